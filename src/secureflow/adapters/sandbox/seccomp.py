"""The seccomp filter of a confined process, assembled into classic BPF.

`linux/seccomp.h`, `linux/filter.h`: the program sees the architecture, the number of the call and
its six arguments as numbers (never what they point to), and answers with an action. Calls by
another architecture's numbers (32 bit, x32) kill the process: their tables are not looked at. What
is listed in `syscalls.DENIED` ends with an error, what is newer than the tables does not exist, and
some calls are judged by their arguments: `clone`, `socketpair`, `prctl`, and those that
`syscalls.BY_ARGUMENT` lists. The rest is allowed.
"""

from __future__ import annotations

import errno
import platform
import signal
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from secureflow.adapters.sandbox.syscalls import BY_ARGUMENT, DENIED, LAST, NEWEST, NUMBERS

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
_AF_UNIX: Final = 1
_SOCK_STREAM: Final = 1
"""Two stream sockets are for each other; one of datagrams can send to any path that it sees."""
_TYPE: Final = 0xF
"""What of a type is no flag (`SOCK_TYPE_MASK`)."""
_PR_SET_PDEATHSIG: Final = 1


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
    machine: str | None = None, *, processes: bool, without: Collection[str] = ()
) -> bytes | None:
    """Return the program for `bwrap --seccomp`, None for a machine whose numbers are not known.

    Args:
        machine: as `platform.machine`.
        processes: whether it may start processes, not only threads.
        without: groups that are left out (`syscalls.DENIED`, and `clone`); tests alone name any.
    """
    known = ARCHITECTURES.get(machine or platform.machine())
    if known is None:
        return None
    program = list(_program(known, without, processes=processes))
    return b"".join(struct.pack("=HBBI", *one) for one in program)


def _program(
    known: Architecture, without: Collection[str], *, processes: bool
) -> Iterator[Instruction]:
    yield _load(_ARCHITECTURE)
    yield from _unless_equal(known.audit, KILL)
    yield _load(_NUMBER)
    if known.has_x32:
        yield from ((_GREATER, 0, 1, _X32), _answer(KILL))
    yield from ((_GREATER, 0, 1, LAST), _answer(_error(errno.ENOSYS)))
    for group, (code, names) in DENIED.items():
        if group not in without:
            for name in names:
                yield from _if_called(known, name, [_answer(_error(code))])
    if "clone" not in without:
        yield from _clones(known, processes=processes)
    yield from _by_arguments(known, without)
    yield _answer(ALLOW)


def _by_arguments(known: Architecture, without: Collection[str]) -> Iterator[Instruction]:
    """Judge calls by their arguments; each ends with the call's number loaded again."""
    if "sockets" not in without:
        yield from _if_called(known, "socketpair", _socket_pairs())
    if "parent's end" not in without:
        yield from _if_called(known, "prctl", _ends_of_parents())
    for group, refused in BY_ARGUMENT.items():
        if group not in without:
            judged = [_load(_ARGUMENTS + 8 * refused.argument)]
            for value in refused.values:
                judged += [(_EQUAL, 0, 1, value), _answer(_error(refused.code))]
            yield from _if_called(known, refused.call, [*judged, _load(_NUMBER)])
    newer = [(_GREATER, 0, 1, NEWEST), _answer(_error(errno.EINVAL))]
    yield from _if_called(known, "fcntl", [_load(_ARGUMENTS + 8), *newer, _load(_NUMBER)])


def _socket_pairs() -> list[Instruction]:
    """Allow pairs of stream sockets, which are for each other."""
    kind = [_load(_ARGUMENTS + 8), (_AND, 0, 0, _TYPE)]
    return [
        *(_load(_ARGUMENTS), *_unless_equal(_AF_UNIX, _error(errno.EAFNOSUPPORT))),
        *(*kind, *_unless_equal(_SOCK_STREAM, _error(errno.ESOCKTNOSUPPORT))),
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


def _clones(known: Architecture, *, processes: bool) -> Iterator[Instruction]:
    """Allow threads, processes only where something counts them, and never a namespace."""
    judged = [_load(_ARGUMENTS), (_ANY_BIT, 0, 1, CLONE_NEW), _answer(_error(errno.EPERM))]
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
