"""The inside of the sandbox: a script that locks itself in and then runs the code it was given.

Run by `sandbox.py` as `python -I -S -B _sandboxed.py`: it knows the standard library alone. It is two processes. The
keeper stays outside and removes the folder when the code has ended, or is no longer wanted, or whoever started it is
dead; its child is locked in (by bubblewrap first, where that is asked for) and runs the code. On stdin comes one JSON
object; when the code has run to its end, `nonce` is written to the file descriptor `status`. Everything fails closed:
where a lock does not hold, the code does not run.
"""

import ctypes
import json
import os
import resource
import select
import signal
import stat
import struct
import sys

# linux/landlock.h: everything that a file system can be asked for, by version; then what reading needs, and
# what own files do: without execute, devices, sockets, pipes, links and moves to other folders.
FS_ALL = {3: (1 << 15) - 1, 5: (1 << 16) - 1}
FS_READ = 1 << 2 | 1 << 3
FS_OWN = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 14
FS_OF_FILES = 1 << 1 | 1 << 2 | 1 << 14
# Version 4: to bind and to connect; version 6: abstract sockets and signals to processes outside.
NET_ALL, SCOPE_ALL = 3, 3
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
CAPSET = {"x86_64": 126, "aarch64": 91}
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38


def call(*arguments: object) -> int:
    """A system call by number; raises OSError when it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    found: int = libc.syscall(*arguments)
    if found < 0:
        raise OSError(ctypes.get_errno(), f"system call {arguments[0]}: {os.strerror(ctypes.get_errno())}")
    return found


def prctl(option: int, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    values = [*arguments, *[0] * (4 - len(arguments))]
    if libc.prctl(option, *(ctypes.c_ulong(value) if isinstance(value, int) else value for value in values)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def confine(own: str, readable: list[str]) -> None:
    """Landlock: `readable` can be read, `own` can be read and written, nothing else is there; no signal gets out."""
    version = call(LANDLOCK_CREATE, None, 0, 1)
    if version < 3:
        raise OSError("Landlock of this kernel is older than version 3 (Linux 6.2)")
    handled = FS_ALL[5 if version >= 5 else 3]
    attributes = struct.pack("=QQQ", handled, NET_ALL, SCOPE_ALL)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = call(LANDLOCK_CREATE, ctypes.create_string_buffer(attributes, len(attributes)), len(attributes), 0)
    for path, access in [*((path, FS_READ) for path in readable), (own, FS_OWN)]:
        allowed = access if os.path.isdir(path) else access & FS_OF_FILES  # noqa: PTH112 - pathlib is not loaded here
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        call(LANDLOCK_ADD, ruleset, 1, ctypes.create_string_buffer(struct.pack("=Qi", allowed, handle)), 0)
        os.close(handle)
    call(LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)


def drop_capabilities(machine: str) -> None:
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0))
    call(CAPSET[machine], header, ctypes.create_string_buffer(b"\0" * 24))


def confine_calls(packed: bytes) -> None:
    """seccomp: the calls of syscalls.py, which made the filter."""
    filters = ctypes.create_string_buffer(packed, len(packed))
    pointer = ctypes.create_string_buffer(struct.pack("@HxxxxxxP", len(packed) // 8, ctypes.addressof(filters)))
    prctl(PR_SET_SECCOMP, 2, pointer)


def remove_folder(folder: str) -> None:
    """Removes a folder whatever a program made of it: trees too deep for paths and recursion, too."""
    number = 0
    while True:
        try:
            entries = [*os.scandir(folder)]
        except FileNotFoundError:
            return
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)  # noqa: PTH108
                continue
            os.chmod(entry.path, 0o700)  # noqa: PTH101
            for child in [*os.scandir(entry.path)]:
                if child.is_dir(follow_symlinks=False):
                    os.chmod(child.path, 0o700)  # noqa: PTH101
                while os.path.lexists(f"{folder}/.moved{number}"):
                    number += 1
                os.rename(child.path, f"{folder}/.moved{number}")  # noqa: PTH104
            os.rmdir(entry.path)  # noqa: PTH106
        if not entries:
            os.rmdir(folder)  # noqa: PTH106
            return


def keep(asked: dict[str, object]) -> None:
    """Forks: the child returns, or becomes bubblewrap; the keeper outlives it, cleans up and ends as it did."""
    life, status, folder = int(str(asked.pop("life"))), int(str(asked["status"])), str(asked["folder"])
    command = asked.pop("bubblewrap")
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = os.fork()
    if child == 0:
        os.close(life)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if command:
            assert isinstance(command, list)
            handed = os.memfd_create("asked")
            os.write(handed, json.dumps(asked).encode())
            os.lseek(handed, 0, os.SEEK_SET)
            os.dup2(handed, 0)
            os.execv(command[0], command)
        return
    os.close(status)
    for stream in (1, 2):
        os.dup2(0, stream)
    ended = os.pidfd_open(child)
    waiting = select.poll()
    for one in (life, ended):
        waiting.register(one, select.POLLIN)
    waiting.poll()
    os.kill(child, signal.SIGKILL)
    how = os.waitpid(child, 0)[1]
    try:
        # Of a sandbox within a sandbox the inner processes come here when the outer one has died.
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass
    remove_folder(folder)
    code = os.waitstatus_to_exitcode(how)
    os._exit(128 - code if code < 0 else code)


def inside(asked: dict[str, object]) -> None:
    """Locks this process in and runs the code."""
    limits, readable = asked.pop("limits"), asked.pop("readable")
    assert isinstance(limits, dict)
    assert isinstance(readable, list)
    status, nonce, code = int(str(asked.pop("status"))), str(asked.pop("nonce")), str(asked.pop("code"))
    os.environ.clear()
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
        confine(str(asked["folder"]), readable)
        drop_capabilities(str(asked["machine"]))
        confine_calls(bytes.fromhex(str(asked["filter"])))
    except (OSError, ValueError) as error:
        os.write(status, f"open\n{error}".encode())
        os._exit(1)
    os.write(status, b"locked\n")
    exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})
    sys.stdout.flush()
    os.write(status, nonce.encode())
    os._exit(0)


def main() -> None:
    asked = json.loads(sys.stdin.buffer.read())
    with open(os.devnull, "r+b") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    if "life" in asked:
        keep(asked)
    inside(asked)


def bytes_of_process(process: int, folder: str, most: int) -> int:
    """What a process and those it started hold of files that have no name any more, in bytes.

    A mapping does not say how large its file is: it counts as `most`.
    """
    total = 0
    try:
        device = os.stat(folder).st_dev  # noqa: PTH116
        with open(f"/proc/{process}/task/{process}/children", encoding="ascii") as children:  # noqa: PTH123
            total += sum(bytes_of_process(int(child), folder, most) for child in children.read().split())
        held = set()
        for name in os.listdir(f"/proc/{process}/fd"):  # noqa: PTH208
            try:
                found = os.stat(f"/proc/{process}/fd/{name}")  # noqa: PTH116
            except OSError:
                continue
            nameless = stat.S_ISREG(found.st_mode) and found.st_nlink == 0 and found.st_dev == device
            if nameless and found.st_ino not in held:
                held.add(found.st_ino)
                total += found.st_blocks * 512
        with open(f"/proc/{process}/maps", encoding="utf-8", errors="replace") as maps:  # noqa: PTH123
            total += most * any(line.endswith(" (deleted)\n") and f" {folder}/" in line for line in maps)
    except (FileNotFoundError, ProcessLookupError):
        # It has ended.
        pass
    return total


if __name__ == "__main__":
    main()
