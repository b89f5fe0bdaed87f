"""The system calls that code in the sandbox may make: call, arguments, why; and this table as a seccomp filter.

A call that is not in the table, and a call whose arguments fit no row of it, gives EPERM.
"""

import platform
import struct
from dataclasses import dataclass

from chaffinch.errors import DataError

# Columns of the table's numbers, and the audit numbers of linux/audit.h.
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


@dataclass(frozen=True)
class Among:
    """The argument is one of these values; `wide` where the kernel reads 64 bits of it."""

    argument: int
    values: tuple[int, ...]
    wide: bool = False


@dataclass(frozen=True)
class Bits:
    """The argument has no other bits than these."""

    argument: int
    mask: int
    wide: bool = False


@dataclass(frozen=True)
class Row:
    """Calls that are allowed where all conditions hold.

    Attributes:
        calls: `name:number on x86_64:number on aarch64`, with spaces between; `-` where the machine has no such call.
        why: what Python needs them for.
        conditions: of their arguments; none: whatever they are.
    """

    calls: str
    why: str
    conditions: tuple[Among | Bits, ...] = ()

    def numbers(self, column: int) -> list[int]:
        """The calls' numbers on a machine."""
        found = (call.split(":")[1 + column] for call in self.calls.split())
        return [int(number) for number in found if number != "-"]


# Every bit of an open's flags but FASYNC, O_PATH and O_TMPFILE, whose files have no name to be counted by.
_OPENS = 0xFFFFFFFF & ~(0x2000 | 0x200000 | 0x400000)
_CLOEXEC, _NONBLOCK, _APPEND = 0x80000, 0x800, 0x400
# What pthread_create asks for in glibc and in musl: a thread that shares everything, files too.
_THREAD = 0x3D0F00
_CLOCKS = tuple(range(12))

TABLE = (
    Row("read:0:63 readv:19:65 pread64:17:67", "reading what is open"),
    Row("write:1:64 writev:20:66 pwrite64:18:68", "writing to what is open"),
    Row("futex:202:98 sched_yield:24:124", "locks of threads, in the process's own memory"),
    Row("brk:12:214 munmap:11:215 mremap:25:216 mprotect:10:226", "memory, within its limit"),
    Row("mmap:9:222", "memory; neither huge pages nor locked ones", (Bits(3, ~(0x40000 | 0x2000), wide=True),)),
    Row("madvise:28:233", "memory that is not needed any more", (Among(2, (0, 1, 2, 3, 4, 8, 14, 15)),)),
    Row("open:2:-", "opening files, which Landlock checks", (Bits(1, _OPENS),)),
    Row("openat:257:56", "opening files, which Landlock checks", (Bits(2, _OPENS),)),
    Row("close:3:57 lseek:8:62 fstat:5:80 getdents64:217:61 fsync:74:82 fdatasync:75:83", "what is open"),
    Row("close_range:436:436", "closing; the table of files stays one for all threads", (Among(2, (0, 4)),)),
    Row("stat:4:- lstat:6:- newfstatat:262:79 statx:332:291", "imports; any path may be looked up, not read"),
    Row("access:21:- faccessat:269:48 faccessat2:439:439", "as stat"),
    Row("truncate:76:45 ftruncate:77:46 fadvise64:221:223", "own files, which Landlock checks"),
    Row("fallocate:285:47", "room for own files; another mode would pass the limit of a file", (Among(1, (0,)),)),
    Row("copy_file_range:326:285", "copies of own files", (Among(5, (0,)),)),
    Row("sendfile:40:71", "copies of own files"),
    Row("chdir:80:49 fchdir:81:50 getcwd:79:17 umask:95:166", "the process's own place and mask"),
    Row("mkdir:83:- mkdirat:258:34 rmdir:84:- unlink:87:- rename:82:- renameat:264:38", "own files"),
    Row("unlinkat:263:35", "own files and folders", (Among(2, (0, 0x200)),)),
    Row("renameat2:316:276", "own files", (Among(4, (0, 1)),)),
    Row("dup:32:23 dup2:33:-", "own descriptors"),
    Row("dup3:292:24", "own descriptors", (Among(2, (0, _CLOEXEC)),)),
    Row("pipe:22:-", "pipes to itself"),
    Row("pipe2:293:59", "pipes to itself, not of notifications", (Bits(1, _CLOEXEC | _NONBLOCK),)),
    Row("fcntl:72:25", "F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC", (Among(1, (0, 1, 2, 3, 1030)),)),
    # With O_ASYNC a file sends signals, to whomever F_SETOWN names.
    Row("fcntl:72:25", "F_SETFL without O_ASYNC", (Among(1, (4,)), Bits(2, _NONBLOCK | _APPEND | 0x8002, wide=True))),
    Row(
        "ioctl:16:29",
        "TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX",
        (Among(1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),),
    ),
    Row("select:23:- pselect6:270:72 poll:7:- ppoll:271:73", "waiting"),
    Row("epoll_create1:291:20 epoll_ctl:233:21 epoll_wait:232:- epoll_pwait:281:22 eventfd2:290:19", "waiting"),
    Row("nanosleep:35:101 getitimer:36:102 setitimer:38:103 alarm:37:-", "time; its signals are its own"),
    Row("clock_gettime:228:113 clock_getres:229:114", "clocks, not those of other processes", (Among(0, _CLOCKS),)),
    Row("clock_nanosleep:230:115", "clocks, not those of other processes", (Among(0, _CLOCKS),)),
    Row("gettimeofday:96:169 time:201:- times:100:153 getrusage:98:165", "time"),
    Row("rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139", "its own handlers of signals"),
    Row("rt_sigpending:127:136 rt_sigtimedwait:128:137 sigaltstack:131:132", "its own signals; none is sent"),
    Row("restart_syscall:219:128", "what a signal interrupted"),
    Row("getpid:39:172 gettid:186:178 getppid:110:173 getpgrp:111:-", "its own numbers"),
    Row("getuid:102:174 geteuid:107:175 getgid:104:176 getegid:108:177 getgroups:115:158", "its own numbers"),
    Row("getpgid:121:155 getsid:124:156", "its own numbers", (Among(0, (0,)),)),
    Row("getpriority:140:141", "its own priority", (Among(0, (0,)), Among(1, (0,)))),
    Row("sched_getaffinity:204:123 sched_getparam:143:121 sched_getscheduler:145:120", "its own", (Among(0, (0,)),)),
    Row("getrlimit:97:163", "its own limits, to be read"),
    Row("prlimit64:302:261", "its own limits, to be read", (Among(0, (0,)), Among(2, (0,), wide=True))),
    Row("uname:63:160 sysinfo:99:179 getcpu:309:168", "imports: `uuid` asks for the system's name"),
    Row("getrandom:318:278", "random numbers"),
    Row("clone:56:220", "threads that share everything", (Among(0, (_THREAD, _THREAD | 0x400000), wide=True),)),
    Row("set_robust_list:273:99 rseq:334:293", "how glibc starts a thread"),
    Row("exit:60:93 exit_group:231:94", "the end"),
)
# Its flags lie in memory, where no filter can look; glibc falls back to clone where the kernel has no clone3.
CLONE3 = 435

# linux/seccomp.h, linux/filter.h
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
EPERM, ENOSYS = 1, 38
LOAD, EQUAL, ANY_OF, RETURN = 0x20, 0x15, 0x45, 0x06

_Line = tuple[int, int, int, int]


def program(column: int, architecture: int) -> list[_Line]:
    """The table as lines of a filter: code, jumps where true and where false, value."""
    # Calls by another door, such as int 0x80, have other numbers.
    lines: list[_Line] = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL)]
    lines += [(LOAD, 0, 0, 0), (EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, ERRNO | ENOSYS)]
    for row in TABLE:
        for number in row.numbers(column):
            block = [line for condition in row.conditions for line in _tested(condition)]
            block += [(RETURN, 0, 0, ALLOW)]
            # A failed test jumps behind the block, where the call's number is loaded anew.
            block = [
                (code, len(block) - at - 1 if true < 0 else true, len(block) - at - 1 if false < 0 else false, value)
                for at, (code, true, false, value) in enumerate(block)
            ]
            lines += [(EQUAL, 0, len(block), number), *block]
            lines += [(LOAD, 0, 0, 0)] if row.conditions else []
    return [*lines, (RETURN, 0, 0, ERRNO | EPERM)]


def _tested(condition: Among | Bits) -> list[_Line]:
    """Lines that go on where the condition holds; a jump of -1 leads to where it fails."""
    at = 16 + 8 * condition.argument
    wide: list[_Line] = [(LOAD, 0, 0, at + 4), (EQUAL, 0, -1, 0)] if condition.wide else []
    if isinstance(condition, Bits):
        return [*wide, (LOAD, 0, 0, at), (ANY_OF, -1, 0, ~condition.mask & 0xFFFFFFFF)]
    left = len(condition.values) - 1
    return [
        *wide,
        (LOAD, 0, 0, at),
        *((EQUAL, left - done, -1 if done == left else 0, value) for done, value in enumerate(condition.values)),
    ]


def filter_of_this_machine() -> bytes:
    """The filter as the kernel takes it.

    Raises:
        DataError: the table has no numbers for this machine.
    """
    machine = platform.machine()
    if machine not in MACHINES:
        raise DataError(f"the sandbox has no list of system calls for {machine}\nhint: use x86_64 or aarch64")
    return b"".join(struct.pack("=HBBI", *line) for line in program(*MACHINES[machine]))
