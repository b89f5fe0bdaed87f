"""Code from models, run where it can do no harm: no network, no processes, no other files, little time and memory."""

import contextlib
import functools
import json
import math
import os
import platform
import resource
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from chaffinch.errors import DataError
from chaffinch.evaluation._sandboxed import bytes_of_process, remove_folder
from chaffinch.evaluation.syscalls import filter_of_this_machine

Verdict = Literal["passed", "failed", "timeout", "output", "disk"]
Sandbox = Literal["bubblewrap", "landlock"]

_INSIDE = Path(__file__).with_name("_sandboxed.py")
_POLL = 0.05
# Seconds that the keeper has to end and to clean up.
_PATIENCE = 30.0
# Folders within each other: what lies deeper cannot be counted by name.
_DEEPEST = 64
# What a file or folder takes at least.
_BLOCK = 4096


@dataclass(frozen=True)
class Limits:
    """What the code may use.

    Attributes:
        seconds: of wall clock; a second more of CPU time ends it, too.
        memory: bytes of address space.
        output: bytes on stdout and stderr together.
        disk: bytes in its temporary folder, 4,096 at least for each file or folder, and 64 folders deep at most.
    """

    seconds: float = 10.0
    memory: int = 512 << 20
    output: int = 64 << 10
    disk: int = 16 << 20


@dataclass(frozen=True)
class Outcome:
    """What became of the code.

    Attributes:
        verdict: `passed`: it ran to its end without an exception; `failed`; or the limit that ended it.
        output: what it printed, the beginning.
        seconds: of wall clock.
        sandbox: `bubblewrap`: within one, and Landlock and seccomp in it; `landlock`: these two alone.
    """

    verdict: Verdict
    output: str
    seconds: float
    sandbox: Sandbox


def run_code(code: str, *, limits: Limits | None = None) -> Outcome:
    """Runs Python code that nobody trusts in a process of its own.

    The process sees the standard library and an empty temporary folder (Landlock), can only call what Python itself
    needs of the kernel (`syscalls.TABLE` by seccomp: no sockets, no new processes, no signals to others, no change of
    limits), has no capabilities, no environment, and ends with this one, as its folder does. Where bubblewrap is
    installed, it runs within one, too: other files then have no names, either. Code that leaves early, by `sys.exit` or
    `os._exit`, has not passed. It cannot do harm; but code that searches the memory of its own process can claim to
    have passed.

    Args:
        code: a Python program; an exception or a failed assertion means that it failed.
        limits: what it may use.

    Raises:
        DataError: this machine cannot lock the code in (it needs Linux 6.2 or newer with Landlock, on x86_64 or
            aarch64), or its own limits are lower than `limits`, so the code was not run.
    """
    limits = limits or Limits()
    _check_limits(limits)
    return _run(code, limits, _bubblewrap())


@functools.cache
def _bubblewrap() -> str | None:
    """The path of bubblewrap, where it is installed and this user may use it."""
    found = shutil.which("bwrap")
    try:
        return found if found and _run("", Limits(), found).verdict == "passed" else None
    except DataError:
        return None


def kind() -> Sandbox:
    """Which sandbox `run_code` uses here."""
    return "bubblewrap" if _bubblewrap() else "landlock"


def _run(code: str, limits: Limits, bubblewrap: str | None) -> Outcome:
    nonce = secrets.token_hex(16)
    folder = Path(tempfile.mkdtemp(prefix="chaffinch-sandbox-"))
    told, status = os.pipe()
    ended, life = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(_INSIDE)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={},
            pass_fds=[status, ended],
            start_new_session=True,
        )
    except BaseException:
        for one in (told, life):
            os.close(one)
        folder.rmdir()
        raise
    finally:
        for one in (status, ended):
            os.close(one)
    with process, os.fdopen(told, "rb") as said, os.fdopen(life, "wb", buffering=0) as alive:
        try:
            asked = _asked(code, nonce, (status, ended), str(folder), limits, bubblewrap)
            verdict, output, seconds = _watch(process, asked, said, alive, nonce, folder, limits)
            return Outcome(verdict, output, seconds, "bubblewrap" if bubblewrap else "landlock")
        finally:
            # Nothing outlives the call, whatever ended it.
            _end(process, alive)
            remove_folder(str(folder))


def _end(process: "subprocess.Popen[bytes]", alive: IO[bytes]) -> None:
    """Has the keeper end the code, and waits until both are gone."""
    with contextlib.suppress(BrokenPipeError):
        alive.write(b".")
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _check_limits(limits: Limits) -> None:
    for name, value in _resources(limits).items():
        hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1]
        if hard not in (resource.RLIM_INFINITY, value) and hard < value:
            raise DataError(
                f"the sandbox needs a limit of {value:,} ({name}), and this process may have {hard:,} at most, "
                f"so the code was not run\nhint: raise the hard limit (`ulimit -H -a` lists them), or give lower limits"
            )


def _resources(limits: Limits) -> dict[str, int]:
    """The limits as setrlimit names them."""
    seconds = int(limits.seconds) + 1
    return {"CPU": seconds, "AS": limits.memory, "FSIZE": limits.disk, "NOFILE": 64, "CORE": 0}


def _asked(code: str, nonce: str, pipes: tuple[int, int], folder: str, limits: Limits, bubblewrap: str | None) -> bytes:
    paths = sysconfig.get_paths()
    files = ["/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/null"]
    named = [paths["stdlib"], paths["platstdlib"], "/usr/lib", "/lib", "/lib64", "/usr/share/zoneinfo"]
    readable = [path for path in dict.fromkeys([*named, f"{sys.base_prefix}/lib", *files]) if Path(path).exists()]
    command = None
    if bubblewrap is not None:
        python = os.path.realpath(sys.executable)
        command = [bubblewrap, "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"]
        for path in [*readable, python, str(_INSIDE)]:
            command += ["--dev-bind" if path.startswith("/dev/") else "--ro-bind", path, path]
        command += ["--bind", folder, folder, "--chdir", folder, "--", python, "-I", "-S", "-B", str(_INSIDE)]
    asked = {
        "code": code,
        "nonce": nonce,
        "status": pipes[0],
        "life": pipes[1],
        "folder": folder,
        "readable": readable,
        "limits": _resources(limits),
        "machine": platform.machine(),
        "filter": filter_of_this_machine().hex(),
        "bubblewrap": command,
    }
    return json.dumps(asked).encode()


def _watch(
    process: "subprocess.Popen[bytes]",
    asked: bytes,
    said: IO[bytes],
    alive: IO[bytes],
    nonce: str,
    folder: Path,
    limits: Limits,
) -> tuple[Verdict, str, float]:
    assert process.stdin is not None
    assert process.stdout is not None
    started = time.perf_counter()
    # What it cannot take any more, it will not run.
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(asked)
        process.stdin.close()
    printed = bytearray()
    ended: Verdict | None = None
    looked = started
    prints = True
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ)
        while ended is None:
            now = time.perf_counter()
            left = limits.seconds - (now - started)
            if left <= 0:
                ended = "timeout"
            elif now - looked > _POLL:
                looked = now
                held = bytes_of_process(process.pid, str(folder), limits.disk + 1)
                ended = "disk" if _bytes_in(folder) + held > limits.disk else None
            elif not prints:
                # What has closed its output may go on for ever.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(min(left, _POLL))
                    break
            elif waiting.select(min(left, _POLL)):
                read = os.read(process.stdout.fileno(), 1 << 16)
                prints = bool(read)
                printed += read
                if len(printed) > limits.output:
                    ended = "output"
    _end(process, alive)
    seconds = time.perf_counter() - started
    told = said.read()
    output = bytes(printed[: limits.output]).decode("utf-8", "replace")
    if not told.startswith(b"locked\n"):
        why = (
            told.removeprefix(b"open\n").decode("utf-8", "replace")
            or (output.strip().splitlines() or ["no reason"])[-1]
        )
        raise DataError(
            f"the sandbox did not close, and the code was not run: {why}\n"
            "hint: it needs Linux 6.2 or newer with Landlock and seccomp, on x86_64 or aarch64"
        )
    if ended is None:
        ended = "passed" if process.returncode == 0 and told == f"locked\n{nonce}".encode() else "failed"
        if ended == "failed" and process.returncode == 128 + signal.SIGXCPU:
            ended = "timeout"
    return ended, output, seconds


def _bytes_in(folder: Path) -> float:
    total = 0
    for at, folders, files in os.walk(folder):
        if at.count(os.sep) - str(folder).count(os.sep) > _DEEPEST:
            return math.inf
        for name in files + folders:
            # A file may go while it is counted.
            with contextlib.suppress(OSError):
                total += max((Path(at) / name).lstat().st_blocks * 512, _BLOCK)
    return total
