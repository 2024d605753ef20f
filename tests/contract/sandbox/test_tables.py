"""The filter's tables, written down a second time: an entry that is lost, or added, is seen here.

Who takes a call out of `ALLOWED` forbids it; who puts one in has looked at what it returns. None of
these gives a number or an error that another sandbox can move, or that tells of the host, but what
`docs/sandbox.md` names: what must be measured by time, and counts that a file's own fields show.
"""

from __future__ import annotations

import errno
import functools
from itertools import chain

import pytest

from secureflow.adapters.sandbox.numbers import LAST
from secureflow.adapters.sandbox.seccomp import ALLOW, ARCHITECTURES
from tests.contract.sandbox.test_seccomp import ERRNO, MACHINES, program, run

ALLOWED = {
    "_sysctl": (156, 0), "access": (21, 0), "afs_syscall": (183, 0), "alarm": (37, 0),
    "arch_prctl": (158, 0), "brk": (12, 214), "capget": (125, 90), "capset": (126, 91),
    "chdir": (80, 49), "clock_getres": (229, 114), "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115), "clone": (56, 220), "close": (3, 57), "close_range": (436, 436),
    "copy_file_range": (326, 285), "creat": (85, 0), "create_module": (174, 0), "dup": (32, 23),
    "dup2": (33, 0), "dup3": (292, 24), "epoll_create": (213, 0), "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21), "epoll_ctl_old": (214, 0), "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441), "epoll_wait": (232, 0), "epoll_wait_old": (215, 0),
    "eventfd": (284, 0), "eventfd2": (290, 19), "execve": (59, 221), "execveat": (322, 281),
    "exit": (60, 93), "exit_group": (231, 94), "faccessat": (269, 48), "faccessat2": (439, 439),
    "fallocate": (285, 47), "fchdir": (81, 50), "fcntl": (72, 25), "fdatasync": (75, 83),
    "fgetxattr": (193, 10), "flistxattr": (196, 13), "fork": (57, 0), "fstat": (5, 80),
    "fsync": (74, 82), "ftruncate": (77, 46), "futex": (202, 98), "get_kernel_syms": (177, 0),
    "get_robust_list": (274, 100), "get_thread_area": (211, 0), "getcpu": (309, 168),
    "getcwd": (79, 17), "getdents": (78, 0), "getdents64": (217, 61), "getegid": (108, 177),
    "geteuid": (107, 175), "getgid": (104, 176), "getgroups": (115, 158), "getitimer": (36, 102),
    "getpeername": (52, 205), "getpgid": (121, 155), "getpgrp": (111, 0), "getpid": (39, 172),
    "getpmsg": (181, 0), "getppid": (110, 173), "getpriority": (140, 141), "getrandom": (318, 278),
    "getresgid": (120, 150), "getresuid": (118, 148), "getrlimit": (97, 163), "getsid": (124, 156),
    "getsockname": (51, 204), "getsockopt": (55, 209), "gettid": (186, 178),
    "gettimeofday": (96, 169), "getuid": (102, 174), "getxattr": (191, 8), "ioctl": (16, 29),
    "ioprio_get": (252, 31), "ioprio_set": (251, 30), "kill": (62, 129),
    "landlock_add_rule": (445, 445), "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446), "lgetxattr": (192, 9), "link": (86, 0),
    "linkat": (265, 37), "listxattr": (194, 11), "llistxattr": (195, 12), "lseek": (8, 62),
    "lstat": (6, 0), "madvise": (28, 233), "map_shadow_stack": (453, 453),
    "membarrier": (324, 283), "mkdir": (83, 0), "mkdirat": (258, 34), "mknod": (133, 0),
    "mknodat": (259, 33), "mlock": (149, 228), "mlock2": (325, 284), "mlockall": (151, 230),
    "mmap": (9, 222), "mprotect": (10, 226), "mremap": (25, 216), "mseal": (462, 462),
    "msync": (26, 227), "munlock": (150, 229), "munlockall": (152, 231), "munmap": (11, 215),
    "nanosleep": (35, 101), "newfstatat": (262, 79), "open": (2, 0), "openat": (257, 56),
    "pause": (34, 0), "pipe": (22, 0), "pipe2": (293, 59), "pkey_alloc": (330, 289),
    "pkey_free": (331, 290), "pkey_mprotect": (329, 288), "poll": (7, 0), "ppoll": (271, 73),
    "prctl": (157, 167), "pread64": (17, 67), "preadv": (295, 69), "prlimit64": (302, 261),
    "pselect6": (270, 72), "putpmsg": (182, 0), "pwrite64": (18, 68), "pwritev": (296, 70),
    "query_module": (178, 0), "read": (0, 63), "readlink": (89, 0), "readlinkat": (267, 78),
    "readv": (19, 65), "recvfrom": (45, 207), "recvmmsg": (299, 243), "recvmsg": (47, 212),
    "remap_file_pages": (216, 234), "rename": (82, 0), "renameat": (264, 38),
    "renameat2": (316, 276), "restart_syscall": (219, 128), "rmdir": (84, 0), "rseq": (334, 293),
    "rt_sigaction": (13, 134), "rt_sigpending": (127, 136), "rt_sigprocmask": (14, 135),
    "rt_sigqueueinfo": (129, 138), "rt_sigreturn": (15, 139), "rt_sigsuspend": (130, 133),
    "rt_sigtimedwait": (128, 137), "rt_tgsigqueueinfo": (297, 240),
    "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126),
    "sched_getaffinity": (204, 123), "sched_getattr": (315, 275), "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120), "sched_setaffinity": (203, 122), "sched_setattr": (314, 274),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "sched_yield": (24, 124),
    "security": (185, 0), "select": (23, 0), "sendfile": (40, 71), "sendmmsg": (307, 269),
    "sendmsg": (46, 211), "sendto": (44, 206), "set_robust_list": (273, 99),
    "set_thread_area": (205, 0), "set_tid_address": (218, 96), "setfsgid": (123, 152),
    "setfsuid": (122, 151), "setgid": (106, 144), "setgroups": (116, 159), "setitimer": (38, 103),
    "setpgid": (109, 154), "setpriority": (141, 140), "setregid": (114, 143),
    "setresgid": (119, 149), "setresuid": (117, 147), "setreuid": (113, 145),
    "setrlimit": (160, 164), "setsid": (112, 157), "setsockopt": (54, 208), "setuid": (105, 146),
    "shutdown": (48, 210), "sigaltstack": (131, 132), "signalfd": (282, 0), "signalfd4": (289, 74),
    "socketpair": (53, 199), "splice": (275, 76), "stat": (4, 0), "symlink": (88, 0),
    "symlinkat": (266, 36), "tee": (276, 77), "tgkill": (234, 131), "time": (201, 0),
    "timerfd_create": (283, 85), "timerfd_gettime": (287, 87), "timerfd_settime": (286, 86),
    "times": (100, 153), "tkill": (200, 130), "truncate": (76, 45), "tuxcall": (184, 0),
    "umask": (95, 166), "uname": (63, 160), "unlink": (87, 0), "unlinkat": (263, 35),
    "uretprobe": (335, 0), "vfork": (58, 0), "vmsplice": (278, 75), "vserver": (236, 0),
    "wait4": (61, 260), "waitid": (247, 95), "write": (1, 64), "writev": (20, 66),
}  # fmt: skip
"""Numbers of x86-64 and arm64, 0 where it never had the call."""

NOBODYS = {
    "x86_64": range(336, 424),
    "aarch64": (84, *range(244, 260), *range(295, 424)),
}
"""Numbers that no call has there (some of arm64's are for programs of 32 bits)."""

LEFT_ALONE = {
    "x86_64": {90, 91, 132, 162, 187, 221, 235, 261, 268, 277, 280, 306, 452},
    "aarch64": {52, 53, 81, 84, 88, 213, 223, 267, 452},
}
"""What does nothing and says that it did: modes, times, advice about files, writing out."""

REFUSED = (
    ("ioctl", 1, (0x5412, 0x541C), errno.EPERM),
    ("ioctl", 1, (0x40086602, 0x401C5820, 0x40806685, 0x800C6613, 0x40087602), errno.EOPNOTSUPP),
    ("fcntl", 1, (1024, 1026, 10, 1031), errno.EPERM),
    ("fcntl", 1, (5, 6, 7, 36, 37, 38), errno.ENOLCK),
    ("fcntl", 1, (8, 9, 11, 15, 16, 1025, 1032, 1033, 1034, 1035, 1036, 1037), errno.EINVAL),
    ("madvise", 2, (12, 13, 20, 21, 25, 100, 101, 104), errno.EINVAL),
    ("prctl", 0, (4,), errno.EPERM),
    ("prctl", 0, (22, 24, 28, 31, 32, 35, 36, 53, 59, 62, 67, 68, 78, 0x59616D61), errno.EINVAL),
    ("setsockopt", 2, (7, 8, 32, 33), errno.EPERM),
    ("setsockopt", 2, (16, 26, 34, 46, 50, 76), errno.ENOPROTOOPT),
    ("getsockopt", 2, (16, 26, 31, 49, 55, 56, 57, 59, 71, 76, 77), errno.ENOPROTOOPT),
    ("mmap", 3, (0x40000, 0x40022, 0x40000 | 21 << 26), errno.EINVAL),
    ("wait4", 3, (1, 0x7FFF0000, 1 << 32), errno.EINVAL),
    ("waitid", 4, (1, 0x7FFF0000, 1 << 32), errno.EINVAL),
    ("clone", 0, (0x1000, 0x1011, 0x11000), errno.EPERM),
)
"""A call, which of its arguments, values, and how it ends with each of them."""

POSSIBLE = {
    "fcntl": (1, {0, 1, 2, 3, 4, 1030}),
    "ioctl": (1, {0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451}),
    "madvise": (2, {*range(5), *range(8, 12), *range(14, 20), 22, 23, 24, 102, 103}),
    "prctl": (0, {2, 3, 15, 16, 21, 23, 29, 30, *range(38, 43), 50, 51, 55, 56, *range(63, 67)}
        | {0x53564D41}),
    "getsockopt": (2, {3, 4, 7, 8, 13, 17, 20, 21, 30, 38, 39, 66, 67}),
    "setsockopt": (2, {13, 20, 21, 66, 67}),
}  # fmt: skip
"""A call, which of its arguments, and all that it may be."""


_program = functools.cache(program)


def answered(machine: str, name: str, *arguments: int) -> int:
    """Return what the filter says to a call that is allowed with some arguments."""
    known = ARCHITECTURES[machine]
    return run(_program(machine), ALLOWED[name][known.column], *arguments, audit=known.audit)


def given(argument: int, value: int) -> list[int]:
    return [value if at == argument else 0 for at in range(6)]


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_allowed_is_written_down(machine: str) -> None:
    known, made = ARCHITECTURES[machine], program(machine)
    allowed = {one[known.column] for name, one in ALLOWED.items()}
    allowed -= set() if machine == "x86_64" else {0}
    judged = {ALLOWED[one][known.column] for one in ("futex", "socketpair", *POSSIBLE)}
    for number in range(LAST + 1):
        answer = run(made, number, audit=known.audit)
        if number in LEFT_ALONE[machine]:
            assert answer == ERRNO, number
        elif number in allowed:
            assert answer == ALLOW or number in judged, number
        elif number not in NOBODYS[machine] and (number or machine == "x86_64"):
            assert answer & ~0xFFFF == ERRNO, number
            assert answer & 0xFFFF, number


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("refused", REFUSED, ids=lambda one: f"{one[0]}-{one[2][0]:#x}")
def test_what_a_call_must_not_be_given(
    machine: str, refused: tuple[str, int, tuple[int, ...], int]
) -> None:
    name, argument, values, code = refused
    for value in values:
        found = answered(machine, name, *given(argument, value))
        assert found == ERRNO | code, hex(value)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", POSSIBLE)
def test_what_a_call_may_be_given(machine: str, name: str) -> None:
    argument, possible = POSSIBLE[name]
    refused = chain.from_iterable(one[2] for one in REFUSED)
    bits = (1 << bit | low for bit in range(12, 32) for low in (0, 3))
    values = {*range(1100), *range(0x5400, 0x5480), *bits, *possible, *refused}
    found = {one for one in values if answered(machine, name, *given(argument, one)) == ALLOW}
    assert {one & 0xFFFFFFFF for one in found} == possible


@pytest.mark.parametrize("machine", MACHINES)
def test_ordinary_calls_go_on(machine: str) -> None:
    assert answered(machine, "mmap", 0, 4096, 3, 0x22) == ALLOW
    assert answered(machine, "wait4", (1 << 64) - 1, 1 << 40, 1, 0) == ALLOW
    assert answered(machine, "waitid", 1, 1, 1 << 40, 4, 0) == ALLOW
    assert answered(machine, "clone", 0x01200011) == ALLOW  # fork
    assert answered(machine, "clone", 0x4111) == ALLOW  # posix_spawn
