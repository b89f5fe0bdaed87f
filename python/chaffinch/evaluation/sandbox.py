"""Code from models, run where it can do no harm: no network, no processes, no other files, little time and memory."""

import contextlib
import json
import math
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from chaffinch.errors import DataError

Verdict = Literal["passed", "failed", "timeout", "output", "disk"]

_INSIDE = Path(__file__).with_name("_sandboxed.py")
_POLL = 0.05
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
    """

    verdict: Verdict
    output: str
    seconds: float


def run_code(code: str, *, limits: Limits | None = None) -> Outcome:
    """Runs Python code that nobody trusts in a process of its own.

    The process sees the standard library and an empty temporary folder (Landlock), can only call what Python itself
    needs of the kernel (an allow-list by seccomp: no sockets, no new processes, no signals to others, no change of
    limits), has no capabilities, no environment, and dies with this one. Code that leaves early, by `sys.exit` or
    `os._exit`, has not passed. It cannot do harm; but code that searches the memory of its own process can claim to
    have passed.

    Args:
        code: a Python program; an exception or a failed assertion means that it failed.
        limits: what it may use.

    Raises:
        DataError: this machine cannot lock the code in (it needs Linux 6.2 or newer with Landlock, on x86_64 or
            aarch64), so it was not run.
    """
    limits = limits or Limits()
    nonce = secrets.token_hex(16)
    with _folder() as folder:
        told, status = os.pipe()
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", str(_INSIDE)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={},
                pass_fds=[status],
                start_new_session=True,
            )
        except BaseException:
            os.close(told)
            os.close(status)
            raise
        os.close(status)
        with process, os.fdopen(told, "rb") as said:
            try:
                outcome = _watch(process, _asked(code, nonce, status, str(folder), limits), said, nonce, folder, limits)
            finally:
                # Nothing outlives the call, whatever ended it.
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return outcome


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """An empty folder that goes, whatever a program made of it: trees too deep for paths and recursion, too."""
    folder = Path(tempfile.mkdtemp(prefix="chaffinch-sandbox-"))
    try:
        yield folder
    finally:
        while entries := [*folder.iterdir()]:
            for entry in entries:
                if entry.is_symlink() or not entry.is_dir():
                    entry.unlink()
                    continue
                entry.chmod(0o700)
                for child in [*entry.iterdir()]:
                    if child.is_dir():
                        child.chmod(0o700)
                    child.rename(folder / secrets.token_hex(16))
                entry.rmdir()
        folder.rmdir()


def _asked(code: str, nonce: str, status: int, folder: str, limits: Limits) -> bytes:
    seconds = int(limits.seconds) + 1
    allowed = {"CPU": seconds, "AS": limits.memory, "FSIZE": limits.disk, "NOFILE": 64, "CORE": 0}
    asked = {"code": code, "nonce": nonce, "status": status, "folder": folder, "limits": allowed}
    return json.dumps(asked).encode()


def _watch(
    process: "subprocess.Popen[bytes]", asked: bytes, said: IO[bytes], nonce: str, folder: Path, limits: Limits
) -> Outcome:
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
                ended = "disk" if _bytes_in(folder) > limits.disk else None
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
    if ended is not None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    seconds = time.perf_counter() - started
    told = said.read()
    output = bytes(printed[: limits.output]).decode("utf-8", "replace")
    if not told.startswith(b"locked\n"):
        last = output.strip().splitlines()[-1:] or ["no reason given"]
        raise DataError(
            f"the sandbox did not close, and the code was not run: {last[0]}\n"
            "hint: it needs Linux 6.2 or newer with Landlock and seccomp, on x86_64 or aarch64"
        )
    if ended is None:
        ended = "passed" if process.returncode == 0 and told == f"locked\n{nonce}".encode() else "failed"
        if ended == "failed" and process.returncode == -signal.SIGXCPU:
            ended = "timeout"
    return Outcome(ended, output, seconds)


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
