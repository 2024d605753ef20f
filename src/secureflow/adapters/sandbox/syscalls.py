"""System calls that a confined process has no use for: by name, and by what they are given."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Final

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
            "lsm_get_self_attr",
            "lsm_list_modules",
            "lsm_set_self_attr",
            "migrate_pages",
            "modify_ldt",
            "move_pages",
            "nfsservctl",
            "personality",
            "reboot",
            "setdomainname",
            "sethostname",
            "settimeofday",
            "sysfs",
            "syslog",
            "uselib",
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
            "fanotify_mark",
        ),
    ),
    # Those of a pair are connected. Before Linux 6.0 `bind` gave out names by a count of the host.
    "sockets": (
        errno.EAFNOSUPPORT,
        ("socket", "bind", "listen", "connect", "accept", "accept4"),
    ),
    # What another sandbox does with a file that both see, a library, would be told or asked.
    "flocks": (errno.ENOLCK, ("flock",)),
    "notices": (
        errno.ENOSYS,
        ("inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch"),
    ),
    # RESOLVE_CACHED tells which names somebody looked up, there or not: as many bits as one likes,
    # for any later job. Its flags lie in memory, and who uses it does without.
    "cached names": (errno.ENOSYS, ("openat2",)),
    # Which pages of a file that two sandboxes see, a library, are in memory: asked without noise,
    # and without a change. (glibc does without the flags of `preadv2` where it does not exist.)
    "cached pages": (
        errno.ENOSYS,
        (
            "mincore",
            "cachestat",
            "preadv2",
            "pwritev2",
            "io_setup",
            "io_submit",
            "io_pgetevents",
            "io_getevents",
            "io_cancel",
            "io_destroy",
        ),
    ),
    "page cache": (_LEFT_ALONE, ("fadvise64", "readahead")),
    # How many pages a process waited for says of each whether it was in memory: the same without a
    # measurement. `wait4` and `waitid` tell it as well, where they are asked (`seccomp`).
    "counts of waits": (errno.ENOSYS, ("getrusage",)),
    # What is left on a disk, how many threads and how much memory the machine has in use, whether
    # another processor has something to do: another sandbox moves each of these numbers.
    "room of disks": (errno.ENOSYS, ("statfs", "fstatfs", "ustat")),
    "counts of the host": (errno.ENOSYS, ("sysinfo", "sched_rr_get_interval")),
    # The number of a mount counts the mounts that the host ever had, by which sandboxes start.
    "numbers of mounts": (errno.ENOSYS, ("statx",)),
    "filters": (errno.ENOSYS, ("seccomp",)),
    # The agent's own commits wait behind what others have written out. (`fsync` is for one file.)
    "writing out": (_LEFT_ALONE, ("sync", "syncfs", "sync_file_range")),
    # Where the pages of a file lie that two sandboxes see, and to have them elsewhere.
    "memory nodes": (
        errno.EPERM,
        ("mbind", "get_mempolicy", "set_mempolicy", "set_mempolicy_home_node"),
    ),
    # What `futex` does, and says of its flags elsewhere: nobody needs these as well.
    "newer futexes": (
        errno.ENOSYS,
        ("futex_waitv", "futex_wait", "futex_wake", "futex_requeue"),
    ),
    # A timer may send any signal, SIGCONT to a process that was stopped too; `setitimer` does not.
    "timers": (
        errno.ENOSYS,
        ("timer_create", "timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete"),
    ),
    # Memory that belongs to no address space, and so is within no limit where no cgroup counts it.
    "shared memory": (
        errno.ENOSYS,
        (
            "memfd_create",
            "memfd_secret",
            "shmget",
            "shmat",
            "shmctl",
            "shmdt",
            "msgget",
            "msgsnd",
            "msgrcv",
            "msgctl",
            "semget",
            "semop",
            "semtimedop",
            "semctl",
            "mq_open",
            "mq_unlink",
            "mq_timedsend",
            "mq_timedreceive",
            "mq_notify",
            "mq_getsetattr",
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

_OWN: Final = (1, 2, 3, 15, 16, 21, 23, 29, 30, *range(38, 43), 50, 51, 55, 56, *range(63, 67))
"""Options of `prctl` that are a matter of the process alone; below they have names."""

ONLY: Final = {
    # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC. Most others change or tell what
    # belongs to a file that several sandboxes see, by a descriptor that may only read: a hint of
    # how long its data live (F_SET_RW_HINT) outlasts the job that left it for another one to find.
    "fcntl": Only(1, (0, 1, 2, 3, 4, 1030), errno.EINVAL),
    # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX. File systems have calls of their own
    # behind a descriptor that may only read (what is cached of a file's extents, for one).
    "ioctl": Only(1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451), errno.ENOTTY),
    # MADV_NORMAL, RANDOM, SEQUENTIAL, WILLNEED, DONTNEED, FREE, REMOVE, DONTFORK, DOFORK, HUGEPAGE,
    # NOHUGEPAGE, DONTDUMP, DODUMP, WIPEONFORK, KEEPONFORK, POPULATE_READ, POPULATE_WRITE,
    # DONTNEED_LOCKED, GUARD_INSTALL, GUARD_REMOVE: of the caller's own pages.
    "madvise": Only(
        2, (0, 1, 2, 3, 4, 8, 9, 10, 11, 14, 15, 16, 17, 18, 19, 22, 23, 24, 102, 103), errno.EINVAL
    ),
    # PR_SET_PDEATHSIG (`seccomp` says to what), GET_PDEATHSIG, GET_DUMPABLE, SET_NAME, GET_NAME,
    # GET_SECCOMP, CAPBSET_READ, SET_TIMERSLACK, GET_TIMERSLACK, SET_NO_NEW_PRIVS, GET_NO_NEW_PRIVS,
    # GET_TID_ADDRESS, SET_THP_DISABLE, GET_THP_DISABLE, SVE_SET_VL, SVE_GET_VL, SET_TAGGED_ADDR,
    # GET_TAGGED_ADDR, SME_SET_VL, SME_GET_VL, SET_MDWE, GET_MDWE, SET_VMA. Of the others
    # PR_SET_MEMORY_MERGE shares pages with whoever has equal ones, PR_SET_SECCOMP has a filter.
    "prctl": Only(0, (*_OWN, 0x53564D41), errno.EINVAL),
    # SO_TYPE, SO_ERROR, SO_SNDBUF, SO_RCVBUF, SO_PEERCRED, SO_ACCEPTCONN, SO_PROTOCOL, SO_DOMAIN,
    # and what may be set. SO_COOKIE and SO_NETNS_COOKIE are counts of the host, which stay until it
    # starts again; SO_PEERPIDFD is a handle of the agent, and numbered by a count too.
    "getsockopt": Only(2, (3, 4, 7, 8, 13, 17, 20, 21, 30, 38, 39, 66, 67), errno.ENOPROTOOPT),
    # SO_LINGER, SO_RCVTIMEO, SO_SNDTIMEO with old and new times. SO_PASSPIDFD would have a handle
    # come with what the agent writes, SO_ATTACH_FILTER is a program for the kernel.
    "setsockopt": Only(2, (13, 20, 21, 66, 67), errno.ENOPROTOOPT),
}
"""By call: what alone is allowed, beside what a group of `BY_ARGUMENT` that is left out has."""

OF_TCP: Final = {
    # TCP_NODELAY, SO_REUSEADDR, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, SO_KEEPALIVE,
    # SO_REUSEPORT, TCP_USER_TIMEOUT; no filter sees the level beside the option (the others by
    # these numbers are a matter of the socket alone).
    "setsockopt": (1, 2, 4, 5, 6, 9, 15, 18),
    "getsockopt": (1, 2, 5, 6, 9, 15, 18),
}
"""By call: what else is allowed where TCP is."""
OF_FILES: Final = (0x5800, 0x6600, 0x7600, 0x9400)
"""Kinds of `ioctl` of file systems ("X", "f", "v", btrfs') where devices have theirs."""
