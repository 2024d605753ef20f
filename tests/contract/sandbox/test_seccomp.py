"""The filter, run by the rules of classic BPF: each architecture, also one that is not here."""

from __future__ import annotations

import ctypes.util
import errno
import functools
import struct
from pathlib import Path

import pytest

from secureflow.adapters.sandbox.numbers import LAST, NUMBERS
from secureflow.adapters.sandbox.seccomp import (
    ALLOW,
    ARCHITECTURES,
    CLONE_NEW,
    CLONE_THREAD,
    KILL,
    SHARED_FUTEXES,
    filter_program,
)
from secureflow.adapters.sandbox.syscalls import BY_ARGUMENT, DENIED, ONLY

ERRNO = 0x50000
MACHINES = sorted(ARCHITECTURES)
ALLOWED = {
    "x86_64": {"read": 0, "mmap": 9, "sendmsg": 46, "execve": 59, "futex": 202, "openat": 257},
    "aarch64": {"read": 63, "mmap": 222, "sendmsg": 211, "execve": 221, "futex": 98, "openat": 56},
}


@functools.cache
def _lines(program: bytes) -> list[tuple[int, int, int, int]]:
    return list(struct.iter_unpack("=HBBI", program))


def run(program: bytes, number: int, *arguments: int, audit: int) -> int:
    """Return the action for a call: what the kernel's interpreter does (`filter.rst`)."""
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, audit, 0, *(*arguments, *[0] * 6)[:6])
    at, loaded, lines = 0, 0, _lines(program)
    while True:
        code, yes, no, value = lines[at]
        at += 1
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        elif code == 0x06:
            return int(value)
        else:
            if code == 0x54:
                loaded &= value
                continue
            test = {0x15: loaded == value, 0x25: loaded > value, 0x45: bool(loaded & value)}
            at += yes if test[code] else no


def program(machine: str, **more: object) -> bytes:
    made = filter_program(machine, **{"processes": True, **more})  # type: ignore[arg-type]
    assert made is not None
    assert len(made) < 4096 * 8
    return made


@pytest.mark.parametrize("machine", MACHINES)
def test_what_is_denied_and_nothing_else(machine: str) -> None:
    made, known = program(machine), ARCHITECTURES[machine]
    answers = {
        NUMBERS[name][known.column]: ERRNO | code
        for code, names in DENIED.values()
        for name in names
    }
    names = {"clone", "socketpair", "futex", "fork", "vfork", *ONLY}
    judged = {NUMBERS[name][known.column] for name in names}
    for number in range(LAST + 1):
        if number not in judged:
            expected = answers.get(number, ALLOW) if number or machine != "aarch64" else ALLOW
            assert run(made, number, audit=known.audit) == expected, number
    for name, number in ALLOWED[machine].items():
        assert run(made, number, 0, 128, audit=known.audit) == ALLOW, name
    assert run(made, LAST + 1, audit=known.audit) == ERRNO | errno.ENOSYS


@pytest.mark.parametrize("machine", MACHINES)
def test_other_tables_kill(machine: str) -> None:
    made, known = program(machine), ARCHITECTURES[machine]
    for other in (0x40000003, 0xC000003E, 0xC00000B7, 0x40000028):
        assert (run(made, 1, audit=other) == KILL) is (other != known.audit)
    for number in (0x40000000, 0x40000001, 0x7FFFFFFF, 0xFFFFFFFF):
        expected = KILL if known.has_x32 else ERRNO | errno.ENOSYS
        assert run(made, number, audit=known.audit) == expected


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("processes", [False, True])
def test_clones(machine: str, processes: bool) -> None:
    made, known = program(machine, processes=processes), ARCHITECTURES[machine]

    def answer(name: str, *arguments: int) -> int:
        return run(made, NUMBERS[name][known.column], *arguments, audit=known.audit)

    forbidden = ERRNO | errno.EAGAIN
    assert answer("clone", 0x003D0F00) == ALLOW  # pthread_create's
    assert answer("clone", 17) == (ALLOW if processes else forbidden)
    for bit in range(32):
        if CLONE_NEW & 1 << bit:
            assert answer("clone", CLONE_THREAD | 1 << bit) == ERRNO | errno.EPERM
            assert answer("clone", 17 | 1 << bit) == ERRNO | errno.EPERM
    assert answer("clone3") == ERRNO | errno.ENOSYS
    for name in ("fork", "vfork"):
        if NUMBERS[name][known.column]:
            assert answer(name) == (ALLOW if processes else forbidden)


@pytest.mark.parametrize("machine", MACHINES)
def test_arguments(machine: str) -> None:
    made, known = program(machine), ARCHITECTURES[machine]

    def answer(name: str, *arguments: int) -> int:
        return run(made, NUMBERS[name][known.column], *arguments, audit=known.audit)

    assert answer("socketpair", 1, 1) == answer("socketpair", 1, 1 | 0o2004000) == ALLOW
    for family in (0, 2, 10, 16, 17, 40):
        assert answer("socketpair", family, 1) == ERRNO | errno.EAFNOSUPPORT
    for kind in (0, 2, 3, 5, 2 | 0o2004000):
        assert answer("socketpair", 1, kind) == ERRNO | errno.ESOCKTNOSUPPORT
    assert answer("prctl", 1, 9) == answer("prctl", 15, 0) == answer("prctl", 2, 0) == ALLOW
    for given in (0, 15, 8, 10):
        assert answer("prctl", 1, given) == ERRNO | errno.EPERM
    for command in (0, 1, 2, 3, 4, 1030):
        assert answer("fcntl", 0, command) == ALLOW
    for command in (8, 1025, *range(1032, 1041), 1 << 31, 0xFFFFFFFF):
        assert answer("fcntl", 0, command) == ERRNO | errno.EINVAL
    assert answer("setsockopt", 0, 1, 20) == answer("ioctl", 0, 0x5401) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_a_loopback_has_streams_of_ip_and_nothing_else(machine: str) -> None:
    made, known = program(machine, loopback=True), ARCHITECTURES[machine]

    def answer(name: str, *arguments: int) -> int:
        return run(made, NUMBERS[name][known.column], *arguments, audit=known.audit)

    for kind in (1, 1 | 0o2004000):
        assert answer("socket", 2, kind) == answer("socket", 2, kind, 6) == ALLOW
    for family in (0, 1, 10, 16, 17, 38, 40):
        assert answer("socket", family, 1) == ERRNO | errno.EAFNOSUPPORT
    for kind in (0, 2, 3, 5, 2 | 0o2004000):
        assert answer("socket", 2, kind) == ERRNO | errno.ESOCKTNOSUPPORT
    for protocol in (1, 17, 132, 262):
        assert answer("socket", 2, 1, protocol) == ERRNO | errno.EPROTONOSUPPORT
    for name in ("bind", "listen", "connect", "accept4", "accept"):
        if NUMBERS[name][known.column]:
            assert answer(name) == ALLOW
    for option in (1, 2, 9, 13, 15, 20):
        assert answer("setsockopt", 0, 6, option) == ALLOW
    for option in (7, 8, 25, 26, 32, 33, 50, 56, 77):
        assert answer("setsockopt", 0, 1, option) != ALLOW
    assert answer("getsockopt", 0, 1, 57) == ERRNO | errno.ENOPROTOOPT
    assert answer("socketpair", 1, 1) == ALLOW
    assert answer("socketpair", 2, 1) == ERRNO | errno.EAFNOSUPPORT
    assert answer("ptrace") == ERRNO | errno.ENOSYS
    assert answer("ioctl", 0, 0x5421) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("devices", [False, True])
def test_ioctl(machine: str, devices: bool) -> None:
    made, known = program(machine, devices=devices), ARCHITECTURES[machine]

    def answer(request: int) -> int:
        return run(made, NUMBERS["ioctl"][known.column], 0, request, audit=known.audit)

    for request in (0x5401, 0x541B, 0x5421, 0x5451):
        assert answer(request) == ALLOW
    # FIEMAP, EXT4_IOC_PRECACHE_EXTENTS, EXT4_IOC_GETSTATE, XFS', EXT4's of "v", btrfs'
    for request in (0xC020660B, 0x6612, 0x40046629, 0xC0045800, 0x80087601, 0x9404):
        assert answer(request) == ERRNO | errno.ENOTTY
    for request in (0xC00C642D, 0xC020462A, 0x84004B02, 0x30000001):  # of drivers
        assert answer(request) == (ALLOW if devices else ERRNO | errno.ENOTTY)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("flags", [0, 256])  # FUTEX_CLOCK_REALTIME
def test_futexes(machine: str, flags: int) -> None:
    made, known = program(machine), ARCHITECTURES[machine]
    answers = {0: errno.EAGAIN, 9: errno.EAGAIN, **dict.fromkeys((1, 3, 4, 5, 10), 0)}
    number = NUMBERS["futex"][known.column]
    for command in range(128):
        private = run(made, number, 0, command | 128 | flags, audit=known.audit)
        shared = run(made, number, 0, command | flags, audit=known.audit)
        expected = ERRNO | answers.get(command, errno.ENOSYS)
        assert (private, shared) == (ALLOW, expected), command


@pytest.mark.parametrize("machine", MACHINES)
def test_shared_futexes_can_be_allowed(machine: str) -> None:
    known = ARCHITECTURES[machine]
    made = program(machine, without={SHARED_FUTEXES})
    for command in range(256):
        answer = run(made, NUMBERS["futex"][known.column], 0, command, audit=known.audit)
        allowed = command > 127 or command in {0, 1, 3, 4, 5, 9, 10}  # none that lends priority
        assert answer == (ALLOW if allowed else ERRNO | errno.ENOSYS), command


@pytest.mark.parametrize("machine", MACHINES)
def test_refused_arguments(machine: str) -> None:
    made, known = program(machine), ARCHITECTURES[machine]
    for one in BY_ARGUMENT.values():
        for value in one.values:
            for given in (value, value | 1 << 32):  # the kernel cuts it off
                arguments = [given if at == one.argument else 0 for at in range(6)]
                number = NUMBERS[one.call][known.column]
                assert run(made, number, *arguments, audit=known.audit) == ERRNO | one.code


@pytest.mark.parametrize("group", [*DENIED, "clone"])
def test_a_group_that_is_left_out_is_allowed(group: str) -> None:
    made, known = program("x86_64", without={group}), ARCHITECTURES["x86_64"]
    for name in DENIED.get(group, (0, ("clone",)))[1]:
        assert run(made, NUMBERS[name][0], CLONE_NEW, audit=known.audit) == ALLOW


@pytest.mark.parametrize("group", BY_ARGUMENT)
def test_an_argument_that_is_left_out_is_allowed(group: str) -> None:
    made, refused = program("x86_64", without={group}), BY_ARGUMENT[group]
    for value in refused.values:
        arguments = [value if at == refused.argument else 0 for at in range(6)]
        number = NUMBERS[refused.call][0]
        assert run(made, number, *arguments, audit=ARCHITECTURES["x86_64"].audit) == ALLOW


def test_a_processor_without_a_table_has_no_filter() -> None:
    assert filter_program("riscv64", processes=True) is None


@pytest.mark.parametrize(("machine", "token"), [("x86_64", 0xC000003E), ("aarch64", 0xC00000B7)])
def test_numbers_are_libseccomps(machine: str, token: int) -> None:
    name = ctypes.util.find_library("seccomp")
    if name is None:
        pytest.skip("libseccomp is not installed: numbers NOT COMPARED")
    resolve = ctypes.CDLL(name).seccomp_syscall_resolve_name_arch
    column = ARCHITECTURES[machine].column
    for call, numbers in NUMBERS.items():
        found = resolve(ctypes.c_uint32(token), call.encode())
        assert numbers[column] == max(found, 0), call


@pytest.mark.parametrize(
    ("machine", "header"),
    [
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        ("aarch64", "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_numbers_are_the_kernels(machine: str, header: str) -> None:
    if not Path(header).exists():
        pytest.skip("the kernel's headers are not installed: numbers NOT COMPARED")
    words = [line.split() for line in Path(header).read_text().splitlines()]
    words = [one for one in words if len(one) > 2 and one[2].isdigit()]
    told = {w[1].removeprefix("__NR_").removeprefix("__NR3264_"): w[2] for w in words}
    for call, numbers in NUMBERS.items():
        assert told.get(call, "0") == str(numbers[ARCHITECTURES[machine].column]), call
