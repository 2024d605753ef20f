"""The seccomp filter of a confined process, assembled into classic BPF.

`linux/seccomp.h`, `linux/filter.h`: the program sees the architecture, the number of the call and
its six arguments as numbers (never what they point to), and answers with an action. Calls by
another architecture's numbers (32 bit, x32) kill the process: their tables are not looked at. What
is listed in `syscalls.DENIED` ends with an error, what is newer than the tables does not exist, and
some calls are judged by their arguments: `clone`, `socket`, `socketpair`, `prctl`, `futex`, `mmap`,
`wait4`, `waitid`, and those that `syscalls.BY_ARGUMENT` and `ONLY` list. The rest is allowed.
"""

from __future__ import annotations

import errno
import platform
import signal
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from secureflow.adapters.sandbox.numbers import LAST, NUMBERS
from secureflow.adapters.sandbox.syscalls import (
    BY_ARGUMENT,
    DENIED,
    OF_FILES,
    OF_TCP,
    ONLY,
)

Instruction = tuple[int, int, int, int]
"""`code`, `jt`, `jf`, `k` of `struct sock_filter`."""

ALLOW: Final = 0x7FFF0000
KILL: Final = 0x80000000
_ERRNO: Final = 0x00050000

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_GREATER: Final = 0x25  # BPF_JMP | BPF_JGT | BPF_K
_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
_RETURN: Final = 0x06

_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in `struct seccomp_data`

_X32: Final = 0x3FFFFFFF  # x32 numbers are above it
CLONE_THREAD: Final = 0x00010000
CLONE_NEW: Final = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
CLONE_PIDFD: Final = 0x00001000
"""A handle of the child: its inode's number counts the processes and threads of the host."""
_AF_UNIX: Final = 1
_AF_INET: Final = 2
_SOCK_STREAM: Final = 1
"""Two stream sockets are for each other; one of datagrams can send to any path that it sees."""
_TCP: Final = (0, 6)
"""The default of a stream, and IPPROTO_TCP; SCTP and MPTCP are others."""
_TYPE: Final = 0xF
"""What of a type is no flag (`SOCK_TYPE_MASK`)."""
_PR_SET_PDEATHSIG: Final = 1
_MAP_HUGETLB: Final = 0x40000
_USAGE: Final = {"wait4": 3, "waitid": 4}
"""Which argument is a place for what the child used."""
SHARED_FUTEXES: Final = "shared futexes"
"""The guard that a launch may do without."""
_PRIVATE: Final = 128
"""FUTEX_PRIVATE_FLAG."""
_COMMAND: Final = 0x7F
"""What of a futex' operation is no flag (`FUTEX_CMD_MASK`)."""
_WAITS: Final = (0, 9)
"""FUTEX_WAIT, FUTEX_WAIT_BITSET."""
_WAKES: Final = (1, 3, 4, 5, 10)
"""FUTEX_WAKE, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP, FUTEX_WAKE_BITSET."""


@dataclass(frozen=True)
class Architecture:
    """One that can be filtered: how the kernel names it, and its column in the table."""

    audit: int
    column: int
    has_x32: bool


ARCHITECTURES: Final = {
    "x86_64": Architecture(0xC000003E, 0, has_x32=True),
    "aarch64": Architecture(0xC00000B7, 1, has_x32=False),
}


def filter_program(
    machine: str | None = None,
    *,
    processes: bool,
    devices: bool = False,
    loopback: bool = False,
    without: Collection[str] = (),
) -> bytes | None:
    """Return the program for `bwrap --seccomp`, None for a machine whose numbers are not known.

    Args:
        machine: as `platform.machine`.
        processes: whether it may start processes, not only threads.
        devices: whether it is given devices, whose drivers have calls of their own.
        loopback: whether it may use TCP; its network must reach nothing.
        without: groups that are left out (`syscalls.DENIED`, and `clone`); tests alone name any.
    """
    known = ARCHITECTURES.get(machine or platform.machine())
    if known is None:
        return None
    judged = _Judged(known, without, devices=devices, loopback=loopback)
    program = list(_program(judged, processes=processes))
    return b"".join(struct.pack("=HBBI", *one) for one in program)


@dataclass(frozen=True)
class _Judged:
    """What a program is made for."""

    known: Architecture
    without: Collection[str]
    devices: bool
    loopback: bool

    def tcp(self, group: str) -> bool:
        """Tell whether a group of calls is allowed because it is TCP's."""
        return self.loopback and group == "sockets"


def _program(judged: _Judged, *, processes: bool) -> Iterator[Instruction]:
    known, without = judged.known, judged.without
    yield _load(_ARCHITECTURE)
    yield from _unless_equal(known.audit, KILL)
    yield _load(_NUMBER)
    if known.has_x32:
        yield from ((_GREATER, 0, 1, _X32), _answer(KILL))
    yield from ((_GREATER, 0, 1, LAST), _answer(_error(errno.ENOSYS)))
    for group, (code, names) in DENIED.items():
        if group not in without and not judged.tcp(group):
            for name in names:
                yield from _if_called(known, name, [_answer(_error(code))])
    if "clone" not in without:
        yield from _clones(known, processes=processes)
    yield from _by_arguments(judged)
    yield _answer(ALLOW)


def _by_arguments(judged: _Judged) -> Iterator[Instruction]:
    """Judge calls by their arguments; each ends with the call's number loaded again."""
    known, without = judged.known, judged.without
    if "sockets" not in without:
        yield from _if_called(known, "socketpair", _sockets(_AF_UNIX))
        if judged.loopback:
            yield from _if_called(known, "socket", _sockets(_AF_INET, _TCP))
    if "parent's end" not in without:
        yield from _if_called(known, "prctl", _ends_of_parents())
    yield from _if_called(known, "futex", _shared_futexes(sleep=SHARED_FUTEXES in without))
    if "huge pages" not in without:
        yield from _if_called(known, "mmap", _huge_pages())
    if "counts of waits" not in without:
        for call, argument in _USAGE.items():
            yield from _if_called(known, call, _unless_null(argument, _error(errno.EINVAL)))
    for call in dict.fromkeys((*(one.call for one in BY_ARGUMENT.values()), *ONLY)):
        then = [*_values(call, without), *_others(call, judged)]
        yield from _if_called(known, call, [*then, _load(_NUMBER)])


def _values(call: str, without: Collection[str]) -> Iterator[Instruction]:
    """Refuse a call with these values; with those of a group that is left out, allow it."""
    for group, refused in BY_ARGUMENT.items():
        if refused.call == call:
            yield _load(_ARGUMENTS + 8 * refused.argument)
            action = ALLOW if group in without else _error(refused.code)
            for value in refused.values:
                yield from ((_EQUAL, 0, 1, value), _answer(action))


def _others(call: str, judged: _Judged) -> Iterator[Instruction]:
    """Refuse a call with any other value, where a few are enough."""
    only = ONLY.get(call)
    if only is None or call in judged.without:
        return
    yield _load(_ARGUMENTS + 8 * only.argument)
    more = OF_TCP.get(call, ()) if judged.loopback else ()
    for value in (*only.values, *more):
        yield from ((_EQUAL, 0, 1, value), _answer(ALLOW))
    if judged.devices and call == "ioctl":
        yield (_AND, 0, 0, 0xFF00)
        for kind in OF_FILES:
            yield from ((_EQUAL, 0, 1, kind), _answer(_error(only.code)))
    else:
        yield _answer(_error(only.code))


def _sockets(family: int, protocols: tuple[int, ...] = ()) -> list[Instruction]:
    """Allow stream sockets: pairs of Unix', which are for each other, or those of TCP."""
    kind = [_load(_ARGUMENTS + 8), (_AND, 0, 0, _TYPE)]
    judged: list[Instruction] = []
    if protocols:
        left = range(len(protocols), 0, -1)
        known = [(_EQUAL, skip, 0, one) for one, skip in zip(protocols, left, strict=True)]
        judged = [_load(_ARGUMENTS + 16), *known, _answer(_error(errno.EPROTONOSUPPORT))]
    return [
        *(_load(_ARGUMENTS), *_unless_equal(family, _error(errno.EAFNOSUPPORT))),
        *(*kind, *_unless_equal(_SOCK_STREAM, _error(errno.ESOCKTNOSUPPORT))),
        *judged,
        _load(_NUMBER),
    ]


def _ends_of_parents() -> list[Instruction]:
    """Allow a process to end with its parent, and nothing else in the place of that."""
    killed = [_load(_ARGUMENTS + 8), *_unless_equal(signal.SIGKILL, _error(errno.EPERM))]
    return [
        _load(_ARGUMENTS),
        (_EQUAL, 0, len(killed), _PR_SET_PDEATHSIG),
        *killed,
        _load(_NUMBER),
    ]


def _huge_pages() -> list[Instruction]:
    """Refuse pages of the host's store of huge ones: who gets the last is told, and none counts."""
    answer = _answer(_error(errno.EINVAL))
    return [_load(_ARGUMENTS + 8 * 3), (_ANY_BIT, 0, 1, _MAP_HUGETLB), answer, _load(_NUMBER)]


def _unless_null(argument: int, action: int) -> list[Instruction]:
    """Refuse a call with a pointer to anything; each half of it is looked at."""
    halves = (_ARGUMENTS + 8 * argument, _ARGUMENTS + 8 * argument + 4)
    judged = [one for half in halves for one in (_load(half), *_unless_equal(0, action))]
    return [*judged, _load(_NUMBER)]


def _shared_futexes(*, sleep: bool) -> list[Instruction]:
    """Let nobody sleep or be woken on memory that two processes may share.

    One on a file that two sandboxes see, a library, has one queue for both, though neither may
    write to it: who is woken, and how many, is a channel without noise. No filter sees where an
    address lies. So who would sleep is told that the value has changed, and looks again; who wakes
    is told that nobody slept, which is so. Locks between processes, and `pthread_join`, are right
    so, but turn instead of sleeping, and their time limits do not run out.

    Args:
        sleep: whether they may sleep and be woken; all else is refused in any case.
    """
    judged: list[Instruction] = [(_AND, 0, 0, _COMMAND)]
    for commands, code in ((_WAITS, errno.EAGAIN), (_WAKES, 0)):
        action = ALLOW if sleep else _error(code)
        for one in commands:
            judged += [(_EQUAL, 0, 1, one), _answer(action)]
    judged.append(_answer(_error(errno.ENOSYS)))
    return [
        _load(_ARGUMENTS + 8),
        (_ANY_BIT, len(judged), 0, _PRIVATE),
        *judged,
        _load(_NUMBER),
    ]


def _clones(known: Architecture, *, processes: bool) -> Iterator[Instruction]:
    """Allow threads, processes only where something counts them, never a namespace or handle."""
    told = CLONE_NEW | CLONE_PIDFD
    judged = [_load(_ARGUMENTS), (_ANY_BIT, 0, 1, told), _answer(_error(errno.EPERM))]
    if not processes:
        judged += [(_ANY_BIT, 1, 0, CLONE_THREAD), _answer(_error(errno.EAGAIN))]
        for name in ("fork", "vfork"):
            yield from _if_called(known, name, [_answer(_error(errno.EAGAIN))])
    yield from _if_called(known, "clone", [*judged, _answer(ALLOW)])


def _if_called(known: Architecture, name: str, then: list[Instruction]) -> Iterator[Instruction]:
    number = NUMBERS[name][known.column]
    if number:
        yield (_EQUAL, 0, len(then), number)
        yield from then


def _unless_equal(value: int, action: int) -> Iterator[Instruction]:
    yield (_EQUAL, 1, 0, value)
    yield _answer(action)


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _answer(action: int) -> Instruction:
    return (_RETURN, 0, 0, action)


def _error(code: int) -> int:
    return _ERRNO | code
