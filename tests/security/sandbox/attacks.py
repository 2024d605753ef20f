"""What code in a sandbox tries: run as the program of one, `python -I -S -c SOURCE`.

It answers a JSON line `[attack, {argument: …}]` with what it reached; one start serves many.
Nothing but the standard library is there, and nothing is done that would harm the machine if it
worked: a bomb counts to a bound, a mode that was changed is put back.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import stat
import struct
import sys
import threading
import time

_LIBC = ctypes.CDLL(None, use_errno=True)
MEBIBYTE = 1 << 20
NEW = {
    "mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000,
    "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000,
}  # fmt: skip


def sockets() -> list[str]:
    """Open a socket of any family and type."""
    opened = []
    for family in range(48):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            for protocol in (0, 1, 58, 16):
                with contextlib.suppress(OSError):
                    socket.socket(family, kind, protocol).close()
                    opened.append(f"{family}/{kind}/{protocol}")
    return opened


def connect(port: int) -> bool:
    """Reach a service of the host over TCP."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False


def itself() -> bool:
    """Talk TCP with itself."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        one = stack.enter_context(socket.create_connection(listening.getsockname(), 5))
        other = stack.enter_context(listening.accept()[0])
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.sendall(b"x")
        return other.recv(1) == b"x"
    return False


def abroad() -> list[str]:
    """Reach any address but one's own."""
    reached = []
    for address in ("8.8.8.8", "10.0.0.1", "169.254.169.254", "172.17.0.1", "224.0.0.1"):
        with contextlib.suppress(OSError), socket.create_connection((address, 80), 2):
            reached.append(address)
    return reached


def name(port: int) -> bool:
    """Ask a name server, as `getaddrinfo` would: one datagram there and one back."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        query = struct.pack(">6H", 1, 0x100, 1, 0, 0, 0) + b"\7example\0\0\1\0\1"
        asking.connect(("127.0.0.1", port))  # so that a refusal is heard
        asking.send(query)
        return bool(asking.recv(512))
    with contextlib.suppress(OSError):
        return bool(socket.getaddrinfo("example.org", 80))
    return False


def unix(address: str) -> bool:
    """Reach a Unix socket of the host: by its path, or by its abstract name."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as reaching:
        reaching.connect(address.replace("@", "\0"))
        return True
    return False


def read(path: str) -> bool:
    """Read a file or folder, through the path and around it."""
    for way in (path, f"/tmp/../{path}", f"/./{path}"):
        with contextlib.suppress(OSError):
            os.close(os.open(way, os.O_RDONLY))
            return True
    return False


def processes(pid: int) -> list[str]:
    """See another process, or a switch of the kernel."""
    seen = []
    for path in (f"/proc/{pid}", "/proc/self/fd/0", "/proc/1/environ", "/proc/self/environ"):
        with contextlib.suppress(OSError):
            os.stat(path)
            seen.append(path)
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/fs/file-max"):
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_WRONLY))
            seen.append(path)
    return seen


def create(folders: list[str]) -> list[str]:
    """Make a file, folder or link where nothing may be made, or move or remove what is there."""
    made = []
    for folder in folders:
        path = os.path.join(folder, "escaped")
        tries = {
            "file": lambda path=path: os.close(os.open(path, os.O_CREAT | os.O_WRONLY)),
            "folder": lambda path=path: os.mkdir(path + "-folder"),
            "symlink": lambda path=path: os.symlink("/etc/passwd", path + "-link"),
            "fifo": lambda path=path: os.mkfifo(path + "-fifo"),
        }
        for how, attempt in tries.items():
            with contextlib.suppress(OSError):
                attempt()
                made.append(f"{how} in {folder}")
    return made


def change(path: str) -> list[str]:
    """Change a file that may only be read: content, length, name, mode, times, attributes."""
    done = []
    tries = {
        "write": lambda: os.close(os.open(path, os.O_WRONLY)),
        "append": lambda: os.close(os.open(path, os.O_RDWR | os.O_APPEND)),
        "truncate": lambda: os.truncate(path, 1),
        "rename": lambda: (os.rename(path, path + "-moved"), os.rename(path + "-moved", path)),
        "replace": lambda: _replace(path),
        "hard link": lambda: os.link(path, "/tmp/linked"),
        "attribute": lambda: os.setxattr(path, "user.escaped", b"1"),
        "map": lambda: _map(path),
    }
    for how, attempt in tries.items():
        with contextlib.suppress(OSError):
            attempt()
            done.append(how)
    before = os.stat(path)
    for attempt in (lambda: os.chmod(path, 0o777), lambda: os.utime(path, (1, 1))):
        with contextlib.suppress(OSError):
            attempt()
    after = os.stat(path)
    if (before.st_mode, before.st_mtime) != (after.st_mode, after.st_mtime):
        done.append("mode or time")
    with contextlib.suppress(OSError):  # by a descriptor that is open for reading
        handle = os.open(path, os.O_RDONLY)
        os.fchmod(handle, 0o777)
        if os.fstat(handle).st_mode != before.st_mode:
            done.append("mode by descriptor")
    with contextlib.suppress(OSError):
        os.unlink(path)
        done.append("remove")
    return done


def _replace(path: str) -> None:
    with open("/tmp/other", "w") as other:
        other.write("escaped")
    os.replace("/tmp/other", path)


def _map(path: str) -> None:
    with open(path, "r+b") as file:
        mmap.mmap(file.fileno(), 0)


def links(target: str, output: str) -> list[str]:
    """Reach a path of the host by links, and move the output elsewhere."""
    reached = []
    for way in ("symbolic", "hard"):
        link = f"/tmp/{way}"
        with contextlib.suppress(OSError):
            (os.symlink if way == "symbolic" else os.link)(target, link)
        with contextlib.suppress(OSError), open(link, "rb"):
            reached.append(f"{way} link to {target}")
    with contextlib.suppress(OSError):
        os.link(output, "/tmp/output")
        reached.append("a second name of the output")
    with contextlib.suppress(OSError):
        os.unlink(output)
        os.symlink(target, output)
        reached.append("the output is a link")
    return reached


def climb() -> list[str]:
    """Leave the root by `..`, or by descriptors of folders."""
    climbed = []
    handle = os.open("/", os.O_RDONLY)
    above = os.stat("..", dir_fd=handle)
    if (above.st_dev, above.st_ino) != (os.stat("/").st_dev, os.stat("/").st_ino):
        climbed.append("/..")
    with contextlib.suppress(OSError):
        os.mkdir("/tmp/jail")
        os.chroot("/tmp/jail")
        climbed.append("chroot")
    os.close(handle)
    return climbed


def files(folder: str, count: int) -> int:
    """Make many files; return how many there are then."""
    for number in range(count):
        try:
            os.close(os.open(f"{folder}/{number}", os.O_CREAT | os.O_WRONLY))
        except OSError:
            return number
    return count


def grow(path: str, size: int) -> int:
    """Make a file large, by each way that there is; return its size."""
    handle = os.open(path, os.O_RDWR)
    for attempt in (
        lambda: os.pwrite(handle, b"x", size - 1),
        lambda: os.ftruncate(handle, size),
        lambda: os.posix_fallocate(handle, size - 1, 1),
    ):
        with contextlib.suppress(OSError):
            attempt()
    grown = os.fstat(handle).st_size
    os.close(handle)
    return grown


def fill(size: int) -> int:
    """Fill the temporary files, each within its own limit; return how many bytes went there."""
    written, names = 0, []
    with contextlib.suppress(OSError):
        while written < size:
            names.append(f"/tmp/filled{len(names)}")
            with open(names[-1], "wb", 0) as file:
                written += file.write(bytes(MEBIBYTE))
    for name in names:
        with contextlib.suppress(OSError):
            os.unlink(name)
    return written


def forks(count: int) -> int:
    """Start processes that stay; return how many there were."""
    started = []
    with contextlib.suppress(OSError):
        for _ in range(count):
            child = os.fork()
            if child == 0:
                time.sleep(600)
                os._exit(0)
            started.append(child)
    for one in started:
        os.kill(one, signal.SIGKILL)
        os.waitpid(one, 0)
    return len(started)


def threads(count: int) -> int:
    """Start threads that stay; return how many there were."""
    threading.stack_size(1 << 16)
    go, started = threading.Event(), []
    with contextlib.suppress(RuntimeError):
        for _ in range(count):
            one = threading.Thread(target=go.wait, daemon=True)
            one.start()
            started.append(one)
    go.set()
    for one in started:
        one.join()
    return len(started)


def memory(size: int) -> int:
    """Take memory and write to it; return how much there was."""
    held = []
    with contextlib.suppress(MemoryError, OSError):
        while len(held) < size // MEBIBYTE:
            held.append(mmap.mmap(-1, MEBIBYTE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
            held[-1].write(bytes(MEBIBYTE))
    return len(held) * MEBIBYTE


def descriptors() -> list[str]:
    """Find open descriptors beside standard input, output and error."""
    found = []
    for handle in range(3, 1024):
        with contextlib.suppress(OSError):
            found.append(f"{handle}: {stat.filemode(os.fstat(handle).st_mode)}")
    return found


def signals(pid: int) -> list[str]:
    """Signal the agent, by its number and by what asks the kernel to."""
    sent = []
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        sent.append("kill")
    with contextlib.suppress(OSError):
        import fcntl

        ours, _theirs = socket.socketpair()
        fcntl.fcntl(ours, fcntl.F_SETOWN, pid)
        sent.append("F_SETOWN")
    if os.getppid() > 1:  # the first one of its namespace is bubblewrap's own
        sent.append(f"parent {os.getppid()}")
    return sent


def lease(paths: list[str]) -> list[str]:
    """Hold what others open: they wait until the lease is given up, which it is here."""
    held = []
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        for how in (fcntl.F_WRLCK, fcntl.F_RDLCK):
            with contextlib.suppress(OSError):
                fcntl.fcntl(handle, fcntl.F_SETLEASE, how)
                held.append(f"{path} {how}")
                fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.close(handle)
    folder = os.open("/tmp", os.O_RDONLY)
    with contextlib.suppress(OSError):
        fcntl.fcntl(folder, fcntl.F_NOTIFY, fcntl.DN_CREATE)
        held.append("F_NOTIFY")
    os.close(folder)
    return held


def share_locks(path: str) -> list[str]:
    """Lock what another sandbox sees as well: it can tell, bit by bit, and ask in turn."""
    held = []
    with open(path, "rb") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held.append("flock")
        with contextlib.suppress(OSError):
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            held.append("F_SETLK")
        empty = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
        for how in (fcntl.F_GETLK, 36, 37):  # F_OFD_GETLK, F_OFD_SETLK
            with contextlib.suppress(OSError):
                fcntl.fcntl(file, how, empty)
                held.append(str(how))
    return held


def wakers() -> list[str]:
    """Have the kernel send what wakes a process that was stopped, at a time or for a byte."""
    found, made = [], ctypes.c_void_p()
    if _LIBC.timer_create(time.CLOCK_MONOTONIC, None, ctypes.byref(made)) == 0:
        found.append("timer_create")
        _LIBC.timer_delete(made)
    ours, theirs = socket.socketpair()
    with ours, theirs, contextlib.suppress(OSError):
        fcntl.fcntl(ours, 10, signal.SIGCONT)  # F_SETSIG
        found.append("F_SETSIG")
    return found


def watch(path: str) -> list[str]:
    """Be told which shared files others open."""
    handle = max(_LIBC.inotify_init1(0), _LIBC.inotify_init())
    return ["inotify"] if handle >= 0 and _LIBC.inotify_add_watch(handle, path.encode(), 32) else []


def datagram(path: str) -> list[str]:
    """Send to a socket of the host from a pair of one's own, which needs no `socket`."""
    sent = []
    for kind in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_STREAM):
        with contextlib.suppress(OSError):
            ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
            with ours, theirs:
                ours.connect(path)
                ours.send(b"escaped")
                sent.append(str(kind))
    return sent


def buffers() -> list[str]:
    """Enlarge what the kernel holds for a socket or a pipe."""
    enlarged = []
    ours, theirs = socket.socketpair()
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF, 32, 33):
        with contextlib.suppress(OSError):
            ours.setsockopt(socket.SOL_SOCKET, option, 1 << 20)
            enlarged.append(f"option {option}")
    ours.close()
    theirs.close()
    reading, writing = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 18)
        enlarged.append("pipe")
    os.close(reading)
    os.close(writing)
    return enlarged


def flags(path: str) -> bool:
    """Set a flag of a file that may be written (no time of access: it does no harm)."""
    handle = os.open(path, os.O_RDWR)
    with contextlib.suppress(OSError):
        fcntl.ioctl(handle, 0x40086602, struct.pack("l", 0x80))
        return True
    os.close(handle)
    return False


def outlive() -> list[int]:
    """Not end with the parent, by each signal that would not end it."""
    return [one for one in (0, signal.SIGCHLD) if _LIBC.prctl(1, one, 0, 0, 0) == 0]


def secrecy() -> list[int]:
    """Keep the agent from looking at the process."""
    return [one for one in (0, 1) if _LIBC.prctl(4, one, 0, 0, 0) == 0]


def cached(path: str) -> list[str]:
    """Ask which pages of a file are in memory: what another process read, or did not."""
    told = []
    handle = os.open(path, os.O_RDONLY)
    with contextlib.suppress(OSError):
        os.preadv(handle, [bytearray(1)], 0, 8)  # RWF_NOWAIT
        told.append("preadv2")
    with mmap.mmap(handle, 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as pages:
        place = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        held = (ctypes.c_ubyte * 1)()
        if _LIBC.mincore(ctypes.c_void_p(place), ctypes.c_size_t(1), held) == 0:
            told.append("mincore")
    span, found = (ctypes.c_uint64 * 2)(0, 1), (ctypes.c_uint64 * 5)()
    if _LIBC.syscall(451, handle, span, found, 0) == 0:
        told.append("cachestat")
    context, out = ctypes.c_ulong(0), ctypes.create_string_buffer(16)
    if _LIBC.syscall(206, 4, ctypes.byref(context)) == 0:
        place = ctypes.addressof(out)
        nowait = (1, 0, 8, 0, 0, handle, place, 1, 0, 0, 0, 0)  # an `iocb` with RWF_NOWAIT
        block = ctypes.create_string_buffer(struct.pack("=QIIHhIQQqQII", *nowait))
        blocks = (ctypes.c_void_p * 1)(ctypes.addressof(block))
        if _LIBC.syscall(209, context, ctypes.c_long(1), blocks) == 1:
            told.append("io_submit")
        _LIBC.syscall(207, context)
    os.close(handle)
    return told


def advise(path: str) -> list[str]:
    """Have the kernel fetch pages of a file, or let them go: wrong numbers tell who answers."""
    told = []
    handle = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(handle, 0, 0, 99)
    except OSError as error:
        told.append(f"fadvise64: {errno.errorcode[error.errno or 0]}")
    with mmap.mmap(handle, 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as pages:
        for advice in (12, 20, 21, 25):  # MADV_MERGEABLE, _COLD, _PAGEOUT, _COLLAPSE
            with contextlib.suppress(OSError):
                pages.madvise(advice)
                told.append(f"madvise {advice}")
    if _LIBC.readahead(ctypes.c_int(-1), ctypes.c_int64(0), ctypes.c_size_t(1)) != 0:
        told.append("readahead")
    os.close(handle)
    return told


def hints(path: str) -> list[str]:
    """Leave a mark at a file that may only be read, for another job to find."""
    found = []
    handle = os.open(path, os.O_RDONLY)
    for way, call in {
        "F_SET_RW_HINT": lambda: fcntl.fcntl(handle, 1036, struct.pack("Q", 3)),
        "F_GET_RW_HINT": lambda: fcntl.fcntl(handle, 1035, bytes(8)),
    }.items():
        with contextlib.suppress(OSError):
            call()
            found.append(way)
    try:
        fcntl.ioctl(handle, 0xC020660B, bytes(32))  # FIEMAP
        found.append("FIEMAP")
    except OSError as error:
        if error.errno != errno.ENOTTY:
            found.append(f"FIEMAP {error.errno}")
    os.close(handle)
    return found


def nodes(path: str) -> list[str]:
    """Ask where the pages of a file lie, and have them elsewhere."""
    told, found = (ctypes.c_int * 1)(), []
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as pages:
        place = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(pages)))
        if _LIBC.syscall(239, told, None, 0, place, 3) == 0:
            found.append("get_mempolicy")
        if _LIBC.syscall(237, place, ctypes.c_ulong(4096), 0, None, ctypes.c_ulong(0), 0) == 0:
            found.append("mbind")
    if _LIBC.syscall(238, 0, None, ctypes.c_ulong(0)) == 0:
        found.append("set_mempolicy")
    return found


def futexes(path: str) -> int:
    """Wait and wake at a page of a file that may only be read, as two sandboxes could."""
    handle = os.open(path, os.O_RDONLY)
    _LIBC.mmap.restype = ctypes.c_void_p
    place = ctypes.c_void_p(_LIBC.mmap(None, ctypes.c_size_t(4096), 1, 2, handle, ctypes.c_long(0)))
    value = ctypes.c_uint.from_buffer_copy(ctypes.string_at(place, 4))
    limit = (ctypes.c_long * 2)(20, 0)
    slept = threading.Thread(target=lambda: _LIBC.syscall(202, place, 0, value, limit, None, 0))
    slept.start()
    woken = 0
    while slept.is_alive():
        woken += _LIBC.syscall(202, place, 1, 1, None, None, 0)
    os.close(handle)
    return woken


def names(folder: str) -> list[str]:
    """Ask which names somebody looked up, though there is nothing of that name."""
    number, answers = os.getpid() * 1_000_000_007 + time.monotonic_ns(), []
    paths = [f"{folder}/absent-{number}-{one}".encode() for one in ("asked", "other")]
    with contextlib.suppress(OSError):
        os.stat(paths[0])
    for path in paths:
        how = ctypes.create_string_buffer(struct.pack("QQQ", 0, 0, 0x20), 24)  # RESOLVE_CACHED
        ctypes.set_errno(0)
        _LIBC.syscall(437, -100, path, how, ctypes.c_size_t(24))
        answers.append(ctypes.get_errno())
    return ["openat2"] if answers == [errno.ENOENT, errno.EAGAIN] else []


def cookies() -> list[str]:
    """Ask a socket for counts of the host, for its peer, and to be told more of who writes."""
    found = []
    ours, theirs = socket.socketpair()
    channel = socket.socket(fileno=os.dup(0))
    with ours, theirs, channel:
        for option in (57, 71, 59):  # SO_COOKIE, SO_NETNS_COOKIE, SO_PEERGROUPS
            with contextlib.suppress(OSError):
                ours.getsockopt(socket.SOL_SOCKET, option, 4096)
                found.append(f"option {option}")
        with contextlib.suppress(OSError):
            os.close(struct.unpack("i", channel.getsockopt(socket.SOL_SOCKET, 77, 4))[0])
            found.append("SO_PEERPIDFD")
        for option in (16, 76):  # SO_PASSCRED, SO_PASSPIDFD
            with contextlib.suppress(OSError):
                ours.setsockopt(socket.SOL_SOCKET, option, 1)
                found.append(f"option {option} is set")
    return found


def autobind() -> list[str]:
    """Have the kernel give a socket a name, which it counted before Linux 6.0."""
    ours, theirs = socket.socketpair()
    with ours, theirs, contextlib.suppress(OSError):
        ours.bind("")
        return [str(ours.getsockname())]
    return []


def handle() -> list[int]:
    """Start a process and have a handle of it, whose number counts those of the host."""
    number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
    told = ctypes.c_int(-1)
    child = _LIBC.syscall(number, 0x1000 | signal.SIGCHLD, 0, ctypes.byref(told), 0, 0)
    if child == 0:
        os._exit(0)
    if child < 0:
        return []
    os.waitpid(child, 0)
    return [os.fstat(told.value).st_ino]


def merge() -> list[int]:
    """Share pages with whoever has equal ones, and ask for other options of no use."""
    asked = {67: 1, 68: 0, 36: 1}  # PR_SET_MEMORY_MERGE, PR_GET_MEMORY_MERGE, a subreaper
    return [one for one, given in asked.items() if _LIBC.prctl(one, given, 0, 0, 0) >= 0]


def waits() -> list[str]:
    """Ask how many pages were waited for, by each call that tells."""
    found, place = [], ctypes.create_string_buffer(512)
    with contextlib.suppress(OSError):
        resource.getrusage(resource.RUSAGE_SELF)
        found.append("getrusage")
    if _LIBC.wait4(-1, None, os.WNOHANG, place) != -1 or ctypes.get_errno() == errno.ECHILD:
        found.append("wait4")
    ctypes.set_errno(0)
    number = {"x86_64": 247, "aarch64": 95}[os.uname().machine]
    _LIBC.syscall(number, 0, 0, None, os.WNOHANG | os.WEXITED, place)
    if ctypes.get_errno() == errno.ECHILD:
        found.append("waitid")
    return found


def room() -> list[str]:
    """Ask how full the host's disks are."""
    with contextlib.suppress(OSError):
        return [str(os.statvfs("/usr/lib"))]
    return []


def counts() -> list[str]:
    """Ask what the host has in use, and whether another processor has something to do."""
    found, place = [], ctypes.create_string_buffer(512)
    if _LIBC.sysinfo(place) == 0:
        found.append("sysinfo")
    with contextlib.suppress(OSError):
        os.sched_rr_get_interval(0)
        found.append("sched_rr_get_interval")
    return found


def mounts() -> bool:
    """Ask for the number of a mount."""
    number = {"x86_64": 332, "aarch64": 291}[os.uname().machine]
    place = ctypes.create_string_buffer(512)
    return bool(_LIBC.syscall(number, -100, b"/usr/lib", 0, 0x5000, place) == 0)


def writing() -> list[str]:
    """Have file systems written out: a wrong number tells who answers."""
    wrong = ctypes.c_int(-1)
    found = ["syncfs"] if _LIBC.syncfs(wrong) != 0 else []
    if _LIBC.sync_file_range(wrong, ctypes.c_long(0), ctypes.c_long(0), 0) != 0:
        found.append("sync_file_range")
    return found


def huge() -> bool:
    """Take a page of the host's huge ones, of which there may be none."""
    ctypes.set_errno(0)
    _LIBC.mmap.restype = ctypes.c_void_p
    _LIBC.mmap(None, ctypes.c_size_t(2 << 20), 3, 0x40022, -1, ctypes.c_long(0))
    return ctypes.get_errno() != errno.EINVAL


def environment() -> list[str]:
    """Return the variables."""
    return sorted(os.environ)


def identity() -> list[object]:
    """Become another user, or gain a right."""
    gained: list[object] = []
    for attempt in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0])):
        with contextlib.suppress(OSError):
            attempt()
            gained.append("another user or group")
    if os.getuid() != 65534 or os.getgid() != 65534:
        gained.append([os.getuid(), os.getgid()])
    with contextlib.suppress(OSError):
        os.mknod("/tmp/disk", stat.S_IFBLK | 0o600, os.makedev(8, 0))
        gained.append("a device node")
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
        gained.append("a higher limit")
    return gained


def namespaces() -> list[str]:
    """Make a namespace, by each way."""
    made = []
    for kind, flag in NEW.items():
        if _LIBC.unshare(flag) == 0:
            made.append(f"unshare {kind}")
    for kind in ("user", "net"):
        number = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
        child = _LIBC.syscall(number, NEW[kind] | NEW["user"] | signal.SIGCHLD, 0, 0, 0, 0)
        if child == 0:
            os._exit(0)
        if child > 0:
            os.waitpid(child, 0)
            made.append(f"clone {kind}")
    return made


def call(number: int, arguments: list[int]) -> int:
    """Return the error of a system call, 0 for none."""
    ctypes.set_errno(0)
    given = [ctypes.c_long(one) for one in (*arguments, *[0] * (6 - len(arguments)))]
    return ctypes.get_errno() if _LIBC.syscall(ctypes.c_long(number), *given) == -1 else 0


def ring() -> bool:
    """Have an io_uring."""
    setup = ctypes.create_string_buffer(256)
    return bool(_LIBC.syscall(425, 4, setup) >= 0)


def fault() -> bool:
    """Handle page faults (`UFFD_USER_MODE_ONLY`, which needs no right)."""
    number = {"x86_64": 323, "aarch64": 282}[os.uname().machine]
    return bool(_LIBC.syscall(number, 1) >= 0)


def key() -> bool:
    """Add a key to a keyring."""
    number = {"x86_64": 248, "aarch64": 217}[os.uname().machine]
    return bool(_LIBC.syscall(number, b"user", b"escaped", b"1", 1, -3) >= 0)


def trace() -> bool:
    """Trace a process (one that does not exist: only the right is tried)."""
    number = {"x86_64": 101, "aarch64": 117}[os.uname().machine]
    return call(number, [16, 4_194_303]) in (0, errno.ESRCH)


def device(path: str) -> list[str]:
    """Change a device node of the host; it is put back."""
    before, done = os.stat(path), []
    with contextlib.suppress(OSError):
        os.chmod(path, 0o667)
        if os.stat(path).st_mode != before.st_mode:
            done.append("mode")
            os.chmod(path, stat.S_IMODE(before.st_mode))
    return done


def set_user_id(path: str) -> bool:
    """Leave a program behind that runs as its owner."""
    with contextlib.suppress(OSError):
        os.chmod(path, 0o4755)
    return bool(os.stat(path).st_mode & stat.S_ISUID)


def foreign(how: str) -> int:
    """Call by another architecture's numbers: x32, or 32 bit by `int 0x80`."""
    if how == "x32":
        return int(_LIBC.syscall(0x40000000 + 39))
    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"  # mov eax, 20 (getpid); int 0x80; ret
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return int(ctypes.CFUNCTYPE(ctypes.c_int)(address)())


def flood(size: int) -> int:
    """Print without end, from a thread; go on answering."""

    def run() -> None:
        written = 0
        while written < size:
            written += os.write(2, b"x" * 65536)

    threading.Thread(target=run, daemon=True).start()
    return 0


def spin() -> None:
    """Never answer, and ignore what can be ignored."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pass


ATTACKS = {
    one.__name__: one
    for one in (
        sockets, connect, name, unix, read, processes, create, change, links, climb, files, grow,
        fill, forks, threads, memory, descriptors, signals, environment, identity, namespaces,
        call, ring, fault, key, trace, device, set_user_id, foreign, flood, spin,
        lease, share_locks, wakers, watch, datagram, buffers, flags, outlive, secrecy,
        cached, advise, futexes, hints, nodes, names, cookies, autobind, handle, merge, waits,
        room, counts, mounts, writing, huge, itself, abroad,
    )
}  # fmt: skip


def main() -> None:
    """Answer until the channel ends."""
    found = descriptors()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        attack, arguments = json.loads(line)
        seen = found if attack == "descriptors" else ATTACKS[attack](**arguments)
        answers.write(json.dumps(seen) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
