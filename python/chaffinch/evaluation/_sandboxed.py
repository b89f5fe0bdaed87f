"""The inside of the sandbox: a script that locks itself in and then runs the code it was given.

Run by `sandbox.py` as `python -I -S -B _sandboxed.py`, never imported by the package: it knows the standard library
alone. On stdin comes one JSON object; when the code has run to its end, `nonce` is written to the file descriptor
`status`. Everything fails closed: where a lock does not hold, the code does not run.
"""

import ctypes
import json
import os
import platform
import resource
import struct
import sys
import sysconfig

# The system calls that are allowed, as numbers of x86_64 and of aarch64 (Linux's generic table); others give EPERM.
ALLOWED = """
read:0:63 write:1:64 open:2:- openat:257:56 close:3:57 stat:4:- fstat:5:80 lstat:6:- newfstatat:262:79
statx:332:291 lseek:8:62 mmap:9:222 mprotect:10:226 munmap:11:215 mremap:25:216 madvise:28:233 brk:12:214
rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139 rt_sigpending:127:136 rt_sigtimedwait:128:137
sigaltstack:131:132 pread64:17:67 pwrite64:18:68 readv:19:65 writev:20:66 access:21:- faccessat:269:48
faccessat2:439:439 pipe:22:- pipe2:293:59 select:23:- pselect6:270:72 poll:7:- ppoll:271:73 sched_yield:24:124
dup:32:23 dup2:33:- dup3:292:24 nanosleep:35:101 clock_nanosleep:230:115 getitimer:36:102 setitimer:38:103
alarm:37:- getpid:39:172 gettid:186:178 getppid:110:173 exit:60:93 exit_group:231:94 uname:63:160 fcntl:72:25
flock:73:32 fsync:74:82 fdatasync:75:83 truncate:76:45 ftruncate:77:46 getdents64:217:61 getcwd:79:17
chdir:80:49 fchdir:81:50 rename:82:- renameat:264:38 renameat2:316:276 mkdir:83:- mkdirat:258:34 rmdir:84:-
unlink:87:- unlinkat:263:35 readlink:89:- readlinkat:267:78 umask:95:166 gettimeofday:96:169 time:201:-
getrlimit:97:163 getrusage:98:165 sysinfo:99:179 times:100:153 getuid:102:174 geteuid:107:175 getgid:104:176
getegid:108:177 getgroups:115:158 getpgrp:111:- getpgid:121:155 getsid:124:156 getpriority:140:141 futex:202:98
sched_getaffinity:204:123 sched_getparam:143:121 sched_getscheduler:145:120 set_tid_address:218:96
set_robust_list:273:99 get_robust_list:274:100 clock_gettime:228:113 clock_getres:229:114 epoll_create1:291:20
epoll_ctl:233:21 epoll_wait:232:- epoll_pwait:281:22 eventfd2:290:19 getrandom:318:278 rseq:334:293
arch_prctl:158:- close_range:436:436 copy_file_range:326:285 sendfile:40:71 membarrier:324:283
restart_syscall:219:128 statfs:137:43 fstatfs:138:44 fadvise64:221:223 fallocate:285:47 getcpu:309:168
"""
# Allowed with conditions on their arguments.
SPECIAL = {"clone": (56, 220), "clone3": (435, 435), "prlimit64": (302, 261), "ioctl": (16, 29)}
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
CAPSET = (126, 91)
# What Python asks of a file descriptor: TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX.
IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
CLONE_THREAD = 0x10000

# linux/seccomp.h, linux/filter.h
RET_ALLOW, RET_ERRNO, RET_KILL = 0x7FFF0000, 0x00050000, 0x80000000
EPERM, ENOSYS = 1, 38
LOAD, JUMP_EQUAL, JUMP_SET, RETURN = 0x20, 0x15, 0x45, 0x06

# linux/landlock.h: everything of version 3 that a file system can be asked for, and what reading needs.
FS_ALL = (1 << 15) - 1
FS_READ = 1 << 2 | 1 << 3
# Without execute, devices, sockets, pipes, links and moves to other folders.
FS_OWN = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 14
FS_OF_FILES = 1 << 1 | 1 << 2 | 1 << 14
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446


def call(*arguments: object) -> int:
    """A system call by number; ends the process when it fails."""
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


def limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def confine_files(own: str) -> None:
    """Landlock: the standard library can be read, `own` can be read and written, nothing else is there."""
    if call(LANDLOCK_CREATE, None, 0, 1) < 3:
        raise OSError("Landlock of this kernel is older than version 3 (Linux 6.2)")
    rules = ctypes.create_string_buffer(struct.pack("=Q", FS_ALL))
    ruleset = call(LANDLOCK_CREATE, rules, 8, 0)
    paths = sysconfig.get_paths()
    readable = [paths["stdlib"], paths["platstdlib"], "/usr/lib", "/lib", "/lib64", "/usr/share/zoneinfo"]
    readable += [f"{sys.base_prefix}/lib", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/null"]
    for path, access in [*((path, FS_READ) for path in dict.fromkeys(readable)), (own, FS_OWN)]:
        if not os.path.exists(path):  # noqa: PTH110 - pathlib is not loaded here
            continue
        allowed = access if os.path.isdir(path) else access & FS_OF_FILES  # noqa: PTH112
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        call(LANDLOCK_ADD, ruleset, 1, ctypes.create_string_buffer(struct.pack("=Qi", allowed, handle)), 0)
        os.close(handle)
    call(LANDLOCK_RESTRICT, ruleset, 0)
    os.close(ruleset)


def drop_capabilities(column: int) -> None:
    header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0))
    call(CAPSET[column], header, ctypes.create_string_buffer(b"\0" * 24))


def confine_calls(column: int, architecture: int) -> None:
    """seccomp: only what is allowed; no processes, no network, no signals to others, no new limits."""
    program: list[tuple[int, int, int, int]] = [
        (LOAD, 0, 0, 4),
        (JUMP_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, RET_KILL),
        (LOAD, 0, 0, 0),
    ]
    for word in ALLOWED.split():
        number = word.split(":")[1 + column]
        if number != "-":
            program += [(JUMP_EQUAL, 0, 1, int(number)), (RETURN, 0, 0, RET_ALLOW)]
    refused, unknown = RET_ERRNO | EPERM, RET_ERRNO | ENOSYS
    # glibc falls back from clone3, whose flags lie in memory where no filter can look, to clone.
    program += [(JUMP_EQUAL, 0, 1, SPECIAL["clone3"][column]), (RETURN, 0, 0, unknown)]
    program += [
        (JUMP_EQUAL, 0, 4, SPECIAL["clone"][column]),
        (LOAD, 0, 0, 16),
        (JUMP_SET, 0, 1, CLONE_THREAD),
        (RETURN, 0, 0, RET_ALLOW),
        (RETURN, 0, 0, refused),
    ]
    program += [
        (JUMP_EQUAL, 0, 6, SPECIAL["prlimit64"][column]),
        (LOAD, 0, 0, 32),
        (JUMP_EQUAL, 0, 3, 0),
        (LOAD, 0, 0, 36),
        (JUMP_EQUAL, 0, 1, 0),
        (RETURN, 0, 0, RET_ALLOW),
        (RETURN, 0, 0, refused),
    ]
    program += [(JUMP_EQUAL, 0, 2 + 2 * len(IOCTLS), SPECIAL["ioctl"][column]), (LOAD, 0, 0, 24)]
    for request in IOCTLS:
        program += [(JUMP_EQUAL, 0, 1, request), (RETURN, 0, 0, RET_ALLOW)]
    program += [(RETURN, 0, 0, refused), (RETURN, 0, 0, refused)]
    packed = b"".join(struct.pack("=HBBI", *line) for line in program)
    filters = ctypes.create_string_buffer(packed)
    pointer = ctypes.create_string_buffer(struct.pack("@HxxxxxxP", len(program), ctypes.addressof(filters)))
    prctl(22, 2, pointer)


def main() -> None:
    asked = json.loads(sys.stdin.buffer.read())
    if platform.machine() not in MACHINES:
        raise OSError(f"no list of system calls for {platform.machine()}")
    column, architecture = MACHINES[platform.machine()]
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    prctl(1, 9)  # dies with its parent
    prctl(38, 1)  # no new privileges
    limit(asked["limits"])
    confine_files(asked["folder"])
    drop_capabilities(column)
    confine_calls(column, architecture)
    os.write(asked["status"], b"locked\n")
    nonce, status, code = asked.pop("nonce"), asked.pop("status"), asked.pop("code")
    exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})
    sys.stdout.flush()
    os.write(status, nonce.encode())
    os._exit(0)


if __name__ == "__main__":
    main()
