"""System calls that a confined process has no use for, and their numbers.

Numbers of x86-64 (`arch/x86/entry/syscalls/syscall_64.tbl`) and of arm64, which has the generic
ones (`include/uapi/asm-generic/unistd.h`); 0 where arm64 never had the call. Both tables end at
`LAST`: what a newer kernel adds does not exist for the process.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Final

LAST: Final = 462
"""`mseal`, Linux 6.10."""

NUMBERS: Final[dict[str, tuple[int, int]]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "cachestat": (451, 451),
    "chmod": (90, 0),
    "chown": (92, 0),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "clone": (56, 220),
    "clone3": (435, 435),
    "delete_module": (176, 106),
    "fadvise64": (221, 223),
    "fanotify_init": (300, 262),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "fcntl": (72, 25),
    "finit_module": (313, 273),
    "flock": (73, 32),
    "fork": (57, 0),
    "fremovexattr": (199, 16),
    "fsconfig": (431, 431),
    "fsetxattr": (190, 7),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "futex": (202, 98),
    "futex_requeue": (456, 456),
    "futex_wait": (455, 455),
    "futex_waitv": (449, 449),
    "futex_wake": (454, 454),
    "futimesat": (261, 0),
    "get_mempolicy": (239, 236),
    "init_module": (175, 105),
    "inotify_init": (253, 0),
    "inotify_init1": (294, 26),
    "io_pgetevents": (333, 292),
    "io_setup": (206, 0),
    "io_submit": (209, 2),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "ioperm": (173, 0),
    "iopl": (172, 0),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lchown": (94, 0),
    "listmount": (458, 458),
    "lookup_dcookie": (212, 18),
    "lremovexattr": (198, 15),
    "lsetxattr": (189, 6),
    "madvise": (28, 233),
    "mbind": (237, 235),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "mincore": (27, 232),
    "modify_ldt": (154, 0),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "prctl": (157, 167),
    "preadv2": (327, 286),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "pwritev2": (328, 287),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "readahead": (187, 213),
    "reboot": (169, 142),
    "removexattr": (197, 14),
    "request_key": (249, 218),
    "semget": (64, 190),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "setsockopt": (54, 208),
    "settimeofday": (164, 170),
    "setxattr": (188, 5),
    "shmat": (30, 196),
    "shmget": (29, 194),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "statmount": (457, 457),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "timer_create": (222, 107),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "utime": (132, 0),
    "utimensat": (280, 88),
    "utimes": (235, 0),
    "vfork": (58, 0),
    "vhangup": (153, 58),
}

_LEFT_ALONE: Final = 0
"""An answer that is no error: the call does nothing, and who copies a file's mode goes on."""

DENIED: Final[dict[str, tuple[int, tuple[str, ...]]]] = {
    "tracing": (
        errno.ENOSYS,
        (
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "process_madvise",
            "process_mrelease",
            "kcmp",
            "pidfd_open",
            "pidfd_getfd",
            "pidfd_send_signal",
            "perf_event_open",
        ),
    ),
    "mounts": (
        errno.ENOSYS,
        (
            "mount",
            "umount2",
            "pivot_root",
            "chroot",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "fsopen",
            "fsconfig",
            "fsmount",
            "fspick",
            "statmount",
            "listmount",
            "quotactl",
            "quotactl_fd",
            "swapon",
            "swapoff",
        ),
    ),
    "kernel": (
        errno.ENOSYS,
        (
            "acct",
            "adjtimex",
            "clock_adjtime",
            "clock_settime",
            "delete_module",
            "finit_module",
            "init_module",
            "ioperm",
            "iopl",
            "kexec_file_load",
            "kexec_load",
            "lookup_dcookie",
            "migrate_pages",
            "modify_ldt",
            "move_pages",
            "nfsservctl",
            "personality",
            "reboot",
            "setdomainname",
            "sethostname",
            "settimeofday",
            "syslog",
            "vhangup",
        ),
    ),
    "bpf": (errno.ENOSYS, ("bpf",)),
    "keys": (
        errno.ENOSYS,
        (
            "add_key",
            "keyctl",
            "request_key",
        ),
    ),
    "io_uring": (
        errno.ENOSYS,
        (
            "io_uring_setup",
            "io_uring_enter",
            "io_uring_register",
        ),
    ),
    "userfaultfd": (errno.ENOSYS, ("userfaultfd",)),
    "namespaces": (
        errno.ENOSYS,
        (
            "unshare",
            "setns",
        ),
    ),
    "clone3": (errno.ENOSYS, ("clone3",)),  # its flags lie in memory, where no filter can look
    "handles": (
        errno.ENOSYS,
        (
            "name_to_handle_at",
            "open_by_handle_at",
            "fanotify_init",
        ),
    ),
    "sockets": (errno.EAFNOSUPPORT, ("socket",)),
    # What another sandbox does with a file that both see, a library, would be told or asked.
    "flocks": (errno.ENOLCK, ("flock",)),
    "notices": (errno.ENOSYS, ("inotify_init", "inotify_init1")),
    # Which pages of a file that two sandboxes see, a library, are in memory: asked without noise,
    # and without a change. (glibc does without the flags of `preadv2` where it does not exist.)
    "cached pages": (
        errno.ENOSYS,
        ("mincore", "cachestat", "preadv2", "pwritev2", "io_setup", "io_submit", "io_pgetevents"),
    ),
    "page cache": (_LEFT_ALONE, ("fadvise64", "readahead")),
    # What `futex` does, and says of its flags elsewhere: nobody needs these as well.
    # Where the pages of a file lie that two sandboxes see, and to have them elsewhere.
    "memory nodes": (
        errno.EPERM,
        ("mbind", "get_mempolicy", "set_mempolicy", "set_mempolicy_home_node"),
    ),
    "newer futexes": (
        errno.ENOSYS,
        ("futex_waitv", "futex_wait", "futex_wake", "futex_requeue"),
    ),
    # A timer may send any signal, SIGCONT to a process that was stopped too; `setitimer` does not.
    "timers": (errno.ENOSYS, ("timer_create",)),
    # Memory that belongs to no address space, and so is within no limit where no cgroup counts it.
    "shared memory": (
        errno.ENOSYS,
        (
            "memfd_create",
            "memfd_secret",
            "shmget",
            "shmat",
            "msgget",
            "semget",
            "mq_open",
        ),
    ),
    # The agent's own files and the device nodes belong to the user who the process is outside.
    "owners": (
        errno.EPERM,
        (
            "chown",
            "fchown",
            "lchown",
            "fchownat",
        ),
    ),
    "modes": (
        _LEFT_ALONE,
        (
            "chmod",
            "fchmod",
            "fchmodat",
            "fchmodat2",
            "utime",
            "utimes",
            "utimensat",
            "futimesat",
        ),
    ),
    "attributes": (
        errno.EOPNOTSUPP,
        (
            "setxattr",
            "lsetxattr",
            "fsetxattr",
            "removexattr",
            "lremovexattr",
            "fremovexattr",
        ),
    ),
}
"""By what they would be used for: the error that they end with."""


@dataclass(frozen=True)
class Refused:
    """A call that ends with an error where one of its arguments is one of these values.

    Args:
        call: its name.
        argument: which of its arguments, from 0; its low 32 bits are compared.
        values: what it must not be.
        code: the error.
    """

    call: str
    argument: int
    values: tuple[int, ...]
    code: int


@dataclass(frozen=True)
class Only:
    """A call that ends with an error unless one of its arguments is one of these values.

    Args:
        argument: which of its arguments, from 0; its low 32 bits are compared.
        values: what it may be.
        code: the error.
    """

    argument: int
    values: tuple[int, ...]
    code: int


BY_ARGUMENT: Final = {
    # TIOCSTI, TIOCLINUX: they type into a terminal that is open.
    "terminals": Refused("ioctl", 1, (0x5412, 0x541C), errno.EPERM),
    # FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, FS_IOC_ENABLE_VERITY, FS_IOC_SET_ENCRYPTION_POLICY,
    # FS_IOC_SETVERSION: a file that may be written would be left read-only for ever, for one.
    "file flags": Refused(
        "ioctl",
        1,
        (0x40086602, 0x401C5820, 0x40806685, 0x800C6613, 0x40087602),
        errno.EOPNOTSUPP,
    ),
    # F_SETLEASE, F_NOTIFY: whoever opens a leased file, the agent and its event loop for one, waits
    # until the lease is given up; the file's owner needs no right to write for it.
    "leases": Refused("fcntl", 1, (1024, 1026), errno.EPERM),
    # F_GETLK, F_SETLK, F_SETLKW and F_OFD_*: a lock on a file that two sandboxes see (a library)
    # is a channel without noise from one job to another; `flock` is refused below.
    "file locks": Refused("fcntl", 1, (5, 6, 7, 36, 37, 38), errno.ENOLCK),
    # MADV_COLD, MADV_PAGEOUT take pages of a file out of memory, MADV_COLLAPSE puts them together,
    # whoever else uses them; MADV_MERGEABLE shares pages with whoever has equal ones.
    "pages of files": Refused("madvise", 2, (12, 20, 21, 25), errno.EINVAL),
    # F_SETSIG: a pipe or socket would send any signal when something comes, SIGCONT too.
    "signals of files": Refused("fcntl", 1, (10,), errno.EPERM),
    # PR_SET_DUMPABLE: who asks for its namespace, to stop it, would be told nothing (`freezing`).
    "secrecy": Refused("prctl", 0, (4,), errno.EPERM),
    # F_SETPIPE_SZ, and SO_SNDBUF, SO_RCVBUF, SO_SNDBUFFORCE, SO_RCVBUFFORCE: memory of the kernel's
    # that no rlimit counts. The only sockets are Unix ones, whose options have one level.
    "pipe sizes": Refused("fcntl", 1, (1031,), errno.EPERM),
    "socket buffers": Refused("setsockopt", 2, (7, 8, 32, 33), errno.EPERM),
}
"""By what they would be used for."""

ONLY: Final = {
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC. Most others change or tell what
    # belongs to a file that several sandboxes see, by a descriptor that may only read: a hint of
    # how long its data live (F_SET_RW_HINT) outlasts the job that left it for another one to find.
    "fcntl": Only(1, (0, 1, 2, 3, 4, 1030), errno.EINVAL),
    # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX. File systems have calls of their own
    # behind a descriptor that may only read (what is cached of a file's extents, for one).
    "ioctl": Only(1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451), errno.ENOTTY),
}
"""By call: what alone is allowed, beside what a group of `BY_ARGUMENT` that is left out has."""

OF_FILES: Final = (0x5800, 0x6600, 0x7600, 0x9400)
"""Kinds of `ioctl` of file systems ("X", "f", "v", btrfs') where devices have theirs."""
