"""Nothing gets out of the sandbox: code that tries, and what becomes of it."""

import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chaffinch.errors import DataError
from chaffinch.evaluation import sandbox
from chaffinch.evaluation.sandbox import Limits, Outcome, run_code


def closes() -> bool:
    try:
        return run_code("").verdict == "passed"
    except DataError:
        return False


pytestmark = pytest.mark.skipif(not closes(), reason="this machine cannot lock code in")


@pytest.fixture(params=["landlock", "bubblewrap"], autouse=True)
def _in_both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test in every sandbox that there is here."""
    if request.param == "bubblewrap" and sandbox.kind() != "bubblewrap":
        pytest.skip("no bubblewrap, or none that this user may use")
    if request.param == "landlock":
        monkeypatch.setattr(sandbox, "_bubblewrap", lambda: None)


def run(code: str) -> Outcome:
    outcome = run_code(code, limits=Limits(seconds=3))
    assert outcome.sandbox == sandbox.kind()
    return outcome


@pytest.mark.parametrize(
    "code",
    [
        "assert 1 + 1 == 2",
        "import collections, datetime, decimal, functools, hashlib, heapq, itertools, json, math, random, re, string",
        "import threading\nthread = threading.Thread(target=print)\nthread.start()\nthread.join()",
        "with open('own.txt', 'w') as file: file.write('x')\nassert open('own.txt').read() == 'x'",
        "import os\nos.mkdir('a')\nos.rmdir('a')\nassert os.listdir('.') == [] and set(os.environ) <= {'LC_CTYPE'}",
        "assert __name__ == '__main__'",
    ],
)
def test_what_a_program_needs_is_there(code: str) -> None:
    outcome = run(code)
    assert outcome.verdict == "passed", outcome.output


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("assert False, 'no'", "AssertionError: no"),
        ("def (", "SyntaxError"),
        ("import sys\nsys.exit(0)", ""),
        ("import os\nos._exit(0)", ""),
        ("import ctypes\nctypes.string_at(0)", ""),
        ("import os\nwhile True: os.fork()", "PermissionError"),
        ("import subprocess\nsubprocess.run(['ls'])", "PermissionError"),
        ("import os\nassert os.system('touch here') == 0", "AssertionError"),
        ("import os\nos.execv('/bin/sh', ['sh'])", "PermissionError"),
        ("import socket\nsocket.socket()", "PermissionError"),
        ("import socket\nsocket.create_connection(('127.0.0.1', 80))", "PermissionError"),
        ("import os\nos.kill(os.getppid(), 9)", "PermissionError"),
        ("import os\nos.killpg(os.getppid(), 9)", "PermissionError"),
        ("open('/etc/passwd')", "PermissionError"),
        ("open('/proc/self/environ')", "PermissionError"),
        ("import os\nos.listdir('/')", "PermissionError"),
        ("import os\nos.symlink('/etc/passwd', 'x')", "PermissionError"),
        ("import os\nos.link('/etc/passwd', 'x')", "PermissionError"),
        ("import os\nos.chmod('.', 0o777)", "PermissionError"),
        ("import os\nos.mkfifo('x')", "PermissionError"),
        ("import resource\nresource.setrlimit(resource.RLIMIT_CPU, (99, 99))", "ValueError"),
        ("held = bytearray(10**10)", "MemoryError"),
        ("import ctypes\nassert ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0", "AssertionError"),
        ("import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0", "AssertionError"),
        ("import os\nos.memfd_create('x')", "PermissionError"),
        ("import os\nos.execve('/bin/sh', ['sh'], {})", "PermissionError"),
        ("import os\nopen(f'/proc/{os.getppid()}/environ')", "PermissionError"),
        ("import os\nopen(f'/proc/{os.getppid()}/mem', 'rb')", "PermissionError"),
        ("import os\nos.listdir('/proc')", "PermissionError"),
        ("import os\nos.pidfd_open(os.getppid())", "PermissionError"),
        ("import os\nos.sched_setaffinity(os.getppid(), {0})", "PermissionError"),
        ("import os\nos.setpriority(os.PRIO_PROCESS, os.getppid(), 19)", "PermissionError"),
        ("import os\nos.open('../../etc/passwd', os.O_RDONLY, dir_fd=os.open('.', os.O_RDONLY))", "PermissionError"),
        ("open('own', 'w').close()\nimport os\nos.rename('own', '/tmp/escaped')", "PermissionError"),
        ("open('/dev/shm/own', 'w')", "PermissionError"),
        ("import socket\nsocket.socket(socket.AF_UNIX)", "PermissionError"),
        ("held = []\nwhile True: held.append(' ' * 10**7)", "MemoryError"),
        # The end of the program is told by a number that it does not know.
        ("import os\nfor held in range(3, 64):\n  try: os.write(held, b'locked')\n  except OSError: pass", ""),
        ("x = '\0'", "null bytes"),
        ("x = '\ud800'", "surrogates"),
    ],
)
def test_what_it_must_not_do_fails(code: str, said: str) -> None:
    outcome = run(code)
    assert outcome.verdict == "failed"
    # What bubblewrap does not show is not found.
    hidden = ("FileNotFoundError", "cross-device") if outcome.sandbox == "bubblewrap" else ()
    assert any(text in outcome.output for text in (said, *(hidden if said == "PermissionError" else ())))


@pytest.mark.parametrize(
    "asked",
    [
        # By number on x86_64: fork, fork as x32 has it, clone without threads, clone3, vfork, process_vm_readv,
        # execveat, io_uring_setup, shmget, bpf, mount, setns, prctl that would let it outlive its parent.
        *("57", "0x40000000 | 57", "56, 17, 0, 0, 0, 0", "435, 0, 0", "58", "310, os.getppid(), 0, 0, 0, 0, 0"),
        *("322, -100, b'/bin/sh', 0, 0, 0", "425, 1, 0", "29, 1, 100, 0o1777", "321, 0, 0, 0", "165, 0, 0, 0, 0, 0"),
        *("308, 0, 0", "157, 1, 0, 0, 0, 0"),
    ],
)
@pytest.mark.skipif(platform.machine() != "x86_64", reason="calls by number")
def test_no_other_call_reaches_the_kernel(asked: str) -> None:
    code = f"import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\nfound = libc.syscall({asked})\n"
    outcome = run(f"{code}print(found, ctypes.get_errno())")
    # EPERM, and ENOSYS for clone3.
    assert outcome.output.strip() in ("-1 1", "-1 38")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code")
def test_a_call_by_another_door_kills() -> None:
    # int 0x80 with eax 2: fork, as 32-bit programs call it.
    code = (
        "import ctypes, mmap\nheld = mmap.mmap(-1, 4096, prot=7)\n"
        "held.write(b'\\xb8\\x02\\x00\\x00\\x00\\xcd\\x80\\xc3')\n"
        "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(held)))()\nprint('went on')"
    )
    outcome = run(code)
    assert (outcome.verdict, outcome.output) == ("failed", "")


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("while True: pass", "timeout"),
        ("import time\ntime.sleep(100)", "timeout"),
        ("import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass", "timeout"),
        ("import threading, time\nwhile True:\n  threading.Thread(target=time.sleep, args=(9,)).start()", "timeout"),
        # Nothing more to read, and no end.
        ("import os, time\nos.close(1)\nos.close(2)\ntime.sleep(100)", "timeout"),
        (
            "import signal\nfor number in range(1, 65):\n  try: signal.signal(number, signal.SIG_IGN)\n"
            "  except (OSError, ValueError): pass\nwhile True: pass",
            "timeout",
        ),
        ("import os\nwhile True:\n  os.mkdir('d')\n  os.chdir('d')", "disk"),
        ("while True: print('x' * 1000)", "output"),
        ("raise ValueError('x' * 10**7)", "output"),
        ("n = 0\nwhile True:\n  n += 1\n  open(str(n), 'wb').write(b'x' * 10**6)", "disk"),
        ("file = open('one', 'wb')\nwhile True: file.write(b'x' * 10**6)", "failed"),
        # Files without a name count, too: while they are open, and while they are mapped.
        (
            "import os\nheld = []\nwhile len(held) < 55:\n  file = open('x', 'wb')\n  os.unlink('x')\n"
            "  file.write(b'x' * 4 * 10**6)\n  held.append(file)\nwhile True: pass",
            "disk",
        ),
        (
            "import mmap, os\nfile = open('x', 'w+b')\nfile.write(b'x' * 10**6)\nfile.flush()\n"
            "held = mmap.mmap(file.fileno(), 4096)\nfile.close()\nos.unlink('x')\nwhile True: pass",
            "disk",
        ),
    ],
)
def test_what_never_ends_is_ended(code: str, verdict: str) -> None:
    outcome = run(code)
    assert outcome.verdict == verdict
    assert outcome.seconds < 6
    assert len(outcome.output) <= Limits().output


def test_no_file_outside_its_folder_is_written(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    victim.chmod(0o666)
    for code in (f"open({str(victim)!r}, 'w')", f"import os\nos.unlink({str(victim)!r})", f"open({str(victim)!r})"):
        assert any(name in run(code).output for name in ("PermissionError", "FileNotFoundError"))
    assert victim.read_text() == "as it was"


def test_nothing_of_a_program_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for code in (
        "import os\nfor at in range(3000):\n  os.mkdir('d')\n  os.chdir('d')",
        "import os\nos.umask(0o777)\nos.mkdir('a')\nopen('b', 'w').close()",
        "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').close()\nos._exit(1)",
    ):
        run(code)
        assert [*tmp_path.iterdir()] == []


PARENT = """
import sys, tempfile
from chaffinch.evaluation import sandbox
tempfile.tempdir = sys.argv[1]
if sys.argv[2] == "landlock":
    sandbox._bubblewrap = lambda: None
sandbox.run_code("open('own.txt', 'w').close()\\nwhile True: pass", limits=sandbox.Limits(seconds=100))
"""


def test_nothing_stays_when_the_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), sandbox.kind()])
    wait_for(lambda: any(tmp_path.glob("*/own.txt")))
    [folder] = tmp_path.iterdir()
    parent.kill()
    parent.wait()
    wait_for(lambda: not folder.exists())
    # Neither does a process.
    wait_for(lambda: not [path for path in Path("/proc").glob("[0-9]*/cwd") if folder.name in read_link(path)])


def read_link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def wait_for(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(("name", "value"), [("AS", 1 << 28), ("NOFILE", 20), ("FSIZE", 1 << 20), ("CPU", 3)])
def test_lower_limits_of_the_machine_are_named(name: str, value: int) -> None:
    code = (
        "import resource\nfrom chaffinch.evaluation import sandbox\n"
        f"resource.setrlimit(resource.RLIMIT_{name}, ({value}, {value}))\nsandbox.run_code('print(1)')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"({name}), and this process may have {value:,} at most" in found.stderr
    assert "hint: raise the hard limit" in found.stderr


def test_other_files_have_no_names_in_bubblewrap(tmp_path: Path) -> None:
    (tmp_path / "own.txt").touch()
    outcome = run(f"import os\nprint(os.path.exists({str(tmp_path / 'own.txt')!r}), os.path.exists('/etc/passwd'))")
    expected = "False False" if outcome.sandbox == "bubblewrap" else "True True"
    assert outcome.output.strip() == expected


def test_no_server_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        port = server.getsockname()[1]
        assert run(f"import socket\nsocket.create_connection(('127.0.0.1', {port}))").verdict == "failed"
        with pytest.raises(TimeoutError):
            server.accept()


def test_open_files_and_secrets_of_the_caller_stay_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("API_KEY", "secret")
    with (tmp_path / "held").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        code = f"import os\nassert 'API_KEY' not in os.environ\nos.write({held.fileno()}, b'x')"
        assert run(code).output.strip().endswith("Bad file descriptor")


def test_where_it_cannot_close_nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    open_box = tmp_path / "open.py"
    script = Path(sandbox.__file__).with_name("_sandboxed.py").read_text()
    open_box.write_text(script.replace("LANDLOCK_CREATE, None, 0, 1", "LANDLOCK_CREATE, None, 0, 999"))
    monkeypatch.setattr(sandbox, "_INSIDE", open_box)
    with pytest.raises(DataError, match=r"was not run[\s\S]*hint: it needs Linux"):
        run_code("print('ran')")
    assert sys.exc_info() == (None, None, None)
