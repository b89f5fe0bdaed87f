"""The filter of system calls allows what its table lists and nothing else: on paper, and in this kernel."""

import platform
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch.evaluation import sandbox
from chaffinch.evaluation.sandbox import run_code
from chaffinch.evaluation.syscalls import (
    ALLOW,
    CLONE3,
    ENOSYS,
    EPERM,
    ERRNO,
    KILL,
    MACHINES,
    TABLE,
    Among,
    Bits,
    Row,
    program,
)  # fmt: skip
from tests.unit.test_sandbox import closes

X86_64 = MACHINES["x86_64"]
PROGRAMS = {machine: program(*columns) for machine, columns in MACHINES.items()}
NAMES = {call.split(":")[0]: row for row in TABLE for call in row.calls.split()}

VALUES = [one.values[0] for row in TABLE for one in row.conditions if isinstance(one, Among)]

# A word is 32 bits: a value, or one whose upper half alone is not zero.
arguments = st.lists(
    st.one_of(
        st.integers(0, 64),
        st.integers(0, 2**64 - 1),
        st.sampled_from(VALUES),
        st.integers(0, 31).map(lambda bit: 1 << bit),
        st.integers(0, 64).map(lambda value: value + (1 << 40)),
    ),
    min_size=6,
    max_size=6,
)


def judged(lines: Sequence[tuple[int, int, int, int]], architecture: int, number: int, values: Sequence[int]) -> int:
    """What the filter says, by a machine of our own that knows the four instructions."""
    words = [number, architecture, 0, 0, *(half for value in values for half in (value & 0xFFFFFFFF, value >> 32))]
    at = held = 0
    while True:
        code, true, false, value = lines[at]
        at += 1
        match code:
            case 0x20:
                held = words[value // 4]
            case 0x15:
                at += true if held == value else false
            case 0x45:
                at += true if held & value else false
            case 0x06:
                return value
            case _:
                raise AssertionError(code)


def listed(row: Row, values: Sequence[int]) -> bool:
    def holds(condition: Among | Bits) -> bool:
        value = values[condition.argument]
        if not condition.wide:
            value &= 0xFFFFFFFF
        if isinstance(condition, Among):
            return value in condition.values
        return not value & ~(condition.mask & 0xFFFFFFFF)

    return all(map(holds, row.conditions))


@pytest.mark.parametrize("machine", MACHINES)
@given(number=st.integers(0, 500), values=arguments)
def test_the_filter_says_what_the_table_says(machine: str, number: int, values: list[int]) -> None:
    column, architecture = MACHINES[machine]
    if number == CLONE3:
        expected = ERRNO | ENOSYS
    else:
        rows = (row for row in TABLE if number in row.numbers(column))
        expected = ALLOW if any(listed(row, values) for row in rows) else ERRNO | EPERM
    assert judged(PROGRAMS[machine], architecture, number, values) == expected
    # By the other machine's door, and by the one that x32 programs use.
    assert judged(PROGRAMS[machine], architecture ^ 1, number, values) == KILL
    assert judged(PROGRAMS[machine], architecture, number | 0x40000000, values) == ERRNO | EPERM


@pytest.mark.parametrize(("machine", "lines"), PROGRAMS.items())
def test_the_kernel_takes_the_filter(machine: str, lines: list[tuple[int, int, int, int]]) -> None:
    assert len(lines) <= 4096, machine
    for at, (code, true, false, value) in enumerate(lines):
        assert 0 <= value < 2**32
        assert code == 0x06 or max(true, false) < min(256, len(lines) - at - 1)


def test_no_call_reaches_another_process() -> None:
    """What names other processes, sockets, mounts, keys or kernel code is in no row."""
    never = (
        "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_send_signal ptrace process_vm_readv "
        "process_vm_writev fork vfork execve execveat socket connect bind unshare setns mount chroot pivot_root prctl "
        "setrlimit setpriority sched_setaffinity setpgid setsid chmod chown link symlink readlink mknod memfd_create "
        "io_uring_setup userfaultfd bpf perf_event_open keyctl add_key timer_create mq_notify flock name_to_handle_at"
    ).split()
    assert not {*never} & NAMES.keys()
    assert all(row.why for row in TABLE)
    for column in (0, 1):
        numbers = [number for row in TABLE for number in row.numbers(column)]
        twice = {number for number in numbers if numbers.count(number) > 1}
        assert twice == {(72, 25)[column]}, "two rows of fcntl, and no number by mistake"


pytestmark = pytest.mark.skipif(not closes(), reason="this machine cannot lock code in")
by_number = pytest.mark.skipif(platform.machine() != "x86_64", reason="calls by number")
CALLS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
inner, outer = os.pipe()
for arguments in {tried!r}:
    arguments = [inner if one == "pipe" else os.getpid() if one == "own" else one for one in arguments]
    ctypes.set_errno(0)
    found = libc.syscall(*map(ctypes.c_long, arguments))
    if (found, ctypes.get_errno()) not in ((-1, 1), (-1, 38)):
        print(arguments, found, ctypes.get_errno())
print("all tried")
"""


def refused(tried: Sequence[Sequence[int | str]]) -> str:
    """What of the calls was not refused; each would do no harm if it were allowed."""
    outcome = run_code(CALLS.format(tried=list(tried)))
    assert outcome.verdict == "passed", outcome.output
    return outcome.output


@by_number
def test_every_other_call_is_refused_by_the_kernel() -> None:
    # The kernel itself lets two calls pass every filter: those of its probes, useless to whoever else makes them.
    allowed = {335, 336, *(number for row in TABLE for number in row.numbers(0))}
    assert refused([[number, *[0] * 6] for number in range(480) if number not in allowed]) == "all tried\n"


@by_number
@pytest.mark.parametrize(
    "tried",
    [
        # Commands of fcntl: who is sent signals, which one, when; leases, notifications, sizes of pipes, seals, hints.
        [[72, "pipe", command, "own"] for command in [*range(5, 45), *range(1024, 1045)] if command not in (1030,)],
        # F_SETFL with O_ASYNC, alone and with others.
        [[72, "pipe", 4, flags] for flags in (0x2000, 0x2800, 0x2C00, 1 << 33)],
        # Every control of terminals and of files but the six.
        [
            [16, "pipe", request, 0]
            for request in [*range(0x5400, 0x5500), *range(0x8900, 0x8920), 0x80045430, 0x40046604]
            if request not in (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
        ],
        # Flags of files without a name, of files that are no files, of signals.
        [[257, -100, 0, flags, 0] for flags in (0x410000 | 2, 0x400000, 0x200000, 0x2000)],
        [[9, 0, 4096, 3, flags, -1, 0] for flags in (0x40022, 0x2022, 1 << 32 | 0x22)],
        [[28, 0, 0, advice] for advice in (9, 10, 12, 13, 100, 101)],
        [[285, "pipe", mode, 0, 4096] for mode in (1, 2, 3, 8, 16, 32, 64)],
        # Numbers and limits of others.
        *([[number, 1, 0, 0, 0]] for number in (121, 124, 143, 145, 204, 302)),
        [[302, 0, 7, 1, 0], [302, 0, 7, 1 << 40, 0], [140, 0, 1], [140, 1, 0], [140, 2, 0]],
        [[228, clock, 0] for clock in (-2, -14, 12, 99)],
        [[56, flags, 0, 0, 0, 0] for flags in (0, 17, 0x10000, 0x3D0B00, 0x3D0F00 | 1 << 25, 0x3D0F00 | 1 << 40)],
        [[436, 60, 61, 2], [293, 0, 0x80], [292, 0, 1, 1], [316, -100, 0, -100, 0, 4]],
    ],
)
def test_other_arguments_are_refused_by_the_kernel(tried: list[list[int | str]]) -> None:
    assert refused(tried) == "all tried\n"


def test_what_the_rows_are_for_works() -> None:
    code = """
import fcntl, os, resource, select, signal, threading, time, uuid
inner, outer = os.pipe()
os.set_blocking(inner, False)
fcntl.fcntl(inner, fcntl.F_GETFL), fcntl.fcntl(inner, fcntl.F_GETFD), os.dup(inner), os.get_inheritable(inner)
os.isatty(inner)
signal.signal(signal.SIGALRM, lambda *_: os.write(outer, b"x"))
signal.setitimer(signal.ITIMER_REAL, 0.01)
assert select.select([inner], [], [], 5)[0]
threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(8)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
with open("a", "ab") as file:
    file.write(b"x" * 10_000), file.flush(), os.fsync(file.fileno()), file.truncate(5)
    os.posix_fallocate(file.fileno(), 0, 9)
os.rename("a", "b"), os.replace("b", "a"), os.stat("a"), os.unlink("a")
os.getcwd(), resource.getrlimit(resource.RLIMIT_AS)
time.monotonic(), time.process_time(), time.thread_time(), os.cpu_count(), os.getpid(), os.urandom(3), uuid.uuid4()
"""
    outcome = run_code(code)
    assert outcome.verdict == "passed", outcome.output
    assert outcome.sandbox == sandbox.kind()
