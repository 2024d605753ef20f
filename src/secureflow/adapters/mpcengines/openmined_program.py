"""What runs in openmined-psi's own interpreter: private set intersection of two parties' keys.

ECDH over P-256 (Meadows 1986; Huberman, Franklin, Hogg 1999). For each party that learns, it is the
client and the other the server, with fresh keys:

    client → server    its keys, hashed to the curve and multiplied with its secret
    server → client    its own keys so, drawn from their order and sorted: the set-up
    server → client    the client's, multiplied with the server's secret as well
    client             takes its own secret off again and looks them up in the set-up

With `reveal: ids` the answers come in the client's order, so it learns which of its keys both have.
With `reveal: size` the server holds them until it has all of them and sorts them, so the client
learns how many, and not which. A client that asks after a point twice would find its answer by
that: it gets none (`peer_repeats`), of any. Looked up are whole points: nothing is found by mistake
but with a chance of 2^-100. Everybody learns the length of the other's list.

Input `keys`: 16 bytes a key, distinct, at most 100,000. Outputs: `matches`, a NumPy file of int64,
places in the party's own file from 0, in the order of the keys; or `size`, JSON.

Parameter `counts`: how many keys each party committed to, by place. A peer that says another number
ends the run before anything of its list is answered, and one that asks after more ends it there.
"""

from __future__ import annotations

import array
import json
import queue
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

KEY: Final = 16
MAX_KEYS: Final = 100_000
BATCH: Final = 2000
"""Keys that are worked on at once: a third of a second."""
MAX_FRAME: Final = 1 << 20
CONNECT: Final = 60.0
"""Seconds to connect; how long a peer may take, the agent decides."""
ALIVE: Final = b""
"""A frame that says only that its sender goes on."""
POINT: Final = 33
"""Bytes of a point: its sign, 2 or 3, and its coordinate x (SEC 1, section 2.3.3, compressed)."""
SETTINGS: Final = "secureflow"
"""The parameter with what the agents agreed on beside the program's own parameters."""
REVEALS: Final = ("ids", "size")
_HEAD: Final = struct.Struct(">I")
_MAGIC: Final = b"\x93NUMPY\x01\x00"

Keys = list[str]


class Line:
    """Frames to and from the peer: a length and so many bytes.

    A thread takes what comes, for both may be sending; it is little: `MAX_KEYS` points each way.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        self._socket = connection
        self._come: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._take, daemon=True).start()

    def send(self, data: bytes) -> None:
        """Send a frame."""
        self._socket.sendall(_HEAD.pack(len(data)) + data)

    def receive(self) -> bytes:
        """Return the next frame.

        Raises:
            ConnectionError: the peer is gone.
        """
        data: bytes | None = ALIVE
        while data == ALIVE:
            data = self._come.get()
        if data is None:
            raise ConnectionError
        return data

    def close(self) -> None:
        """Say that nothing more comes, and wait until the peer has said so."""
        self._socket.shutdown(socket.SHUT_WR)
        while self._come.get() is not None:
            pass
        self._socket.close()

    def _take(self) -> None:
        try:
            while head := self._exactly(_HEAD.size):
                (size,) = _HEAD.unpack(head)
                data = self._exactly(size) if size <= MAX_FRAME else b""
                if size and not data:
                    break
                self._come.put(data)
        except OSError:
            pass
        self._come.put(None)

    def _exactly(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            data = self._socket.recv(size - len(found))
            if not data:
                return b""
            found += data
        return bytes(found)


def run(job: Any) -> dict[str, Any]:
    """Intersect; see the module. `host.Job` describes the job."""
    keys = _keys(job, Path(job.inputs["keys"]))
    reveal = job.parameters.get("reveal", "ids")
    if reveal not in REVEALS or job.parties != 2:
        raise job.failed("parameter_wrong")
    job.progress("connect", 0.0)
    try:
        line = Line(_connected(job))
        found, theirs = _run(job, line, keys, reveal)
        line.close()
    except (ConnectionError, TimeoutError) as error:
        raise job.failed("peer_gone") from error
    if found is not None:
        job.output(*_written(job, found, reveal))
    return {"keys": len(keys), "theirs": theirs}


def _keys(job: Any, path: Path) -> Keys:
    data = path.read_bytes()
    if len(data) % KEY:
        raise job.failed("keys_malformed")
    if len(data) // KEY > MAX_KEYS:
        raise job.failed("keys_many")
    keys = [data[at : at + KEY].hex() for at in range(0, len(data), KEY)]
    if len(set(keys)) < len(keys):
        raise job.failed("keys_repeated")
    return keys


def _connected(job: Any) -> socket.socket:
    """Return a connection to the peer: the first party waits for the second."""
    if job.number == 0:
        with socket.create_server(("127.0.0.1", job.port)) as server:
            server.settimeout(CONNECT)
            return server.accept()[0]
    host, _, port = job.addresses[0].rpartition(":")
    return socket.create_connection((host, int(port)), timeout=CONNECT)


def _run(
    job: Any, line: Line, keys: Keys, reveal: str
) -> tuple[list[int] | int | None, int]:  # fmt: skip
    """Be client, server, or one after the other; return what this party learns, and their keys."""
    receivers = job.parameters[SETTINGS]["receivers"]
    line.send(json.dumps({"reveal": reveal, "to": receivers, "keys": len(keys)}).encode())
    told = json.loads(line.receive())
    count = told.pop("keys", None) if isinstance(told, dict) else None
    if told != {"reveal": reveal, "to": receivers}:
        raise job.failed("program_mismatch")
    if type(count) is not int or not 0 <= count <= MAX_KEYS:
        raise job.failed("peer_malformed")
    _check_counts(job, len(keys), count)
    found: list[int] | int | None = None
    for turn, receiver in enumerate(receivers):

        def tell(share: float, turn: int = turn) -> None:
            job.progress("compute", (turn + share) / len(receivers))

        if receiver == job.number:
            found = _client(line, keys, count, reveal, tell)
        elif word := _server(line, keys, count, reveal, tell):
            raise job.failed(word)
    return found, count


def _check_counts(job: Any, own: int, theirs: int) -> None:
    """Refuse to run with another number of keys than a party committed to."""
    counts = job.parameters.get("counts")
    if counts is None:
        return
    if not isinstance(counts, list) or len(counts) != 2 or counts[job.number] != own:
        raise job.failed("parameter_wrong")
    if counts[1 - job.number] != theirs:
        raise job.failed("peer_count")


def _client(
    line: Line, keys: Keys, theirs: int, reveal: str, tell: Callable[[float], None]
) -> list[int] | int:
    from private_set_intersection import python as psi

    own = psi.client.CreateWithNewKey(reveal == "ids")
    batches = list(_batches(keys))
    for number, (_, batch) in enumerate(batches):
        line.send(own.CreateRequest(batch).SerializeToString())
        tell(number / len(batches) / 2)
    setup = psi.ServerSetup()
    points: list[bytes] = []
    while len(points) < theirs:
        part = psi.ServerSetup.FromString(line.receive()).raw.encrypted_elements
        if not 0 < len(part) <= theirs - len(points):
            raise ConnectionError
        points += part
    setup.raw.encrypted_elements.extend(sorted(points))
    matches: list[int] = []
    size = 0
    for number, (start, batch) in enumerate(batches):
        tell(0.5 + number / len(batches) / 2)
        answer = psi.Response.FromString(line.receive())
        if len(answer.encrypted_elements) != len(batch):
            raise ConnectionError
        if not points:
            continue
        if reveal == "ids":
            matches += [start + place for place in own.GetIntersection(setup, answer)]
        else:
            size += own.GetIntersectionSize(setup, answer)
    return size if reveal == "size" else sorted(matches, key=lambda place: keys[place])


def _server(line: Line, keys: Keys, theirs: int, reveal: str, tell: Callable[[float], None]) -> str:
    """Answer; return why it was not answered to the end: the word of the fault, "" for none."""
    from private_set_intersection import python as psi

    own = psi.server.CreateWithNewKey(reveal == "ids")
    drawn = keys[:]
    secrets.SystemRandom().shuffle(drawn)
    for start, batch in _batches(drawn):
        setup = own.CreateSetupMessage(1e-9, max(1, theirs), batch, psi.DataStructure.RAW)
        line.send(setup.SerializeToString())
        tell(start / len(drawn) / 2)
    held: list[bytes] = []
    seen: set[bytes] = set()
    done = 0
    while done < theirs:
        request = psi.Request.FromString(line.receive())
        asked = list(request.encrypted_elements)
        if not 0 < len(asked) <= BATCH or not all(map(_is_point, asked)):
            raise ConnectionError
        done += len(asked)
        if done > theirs:
            return "peer_count"
        seen.update(point[1:] for point in asked)  # without the sign: −P is told by P's answer
        if len(seen) < done:
            return "peer_repeats"
        answer = own.ProcessRequest(request)
        tell(0.5 + done / theirs / 2)
        if reveal == "ids":
            line.send(answer.SerializeToString())
        else:
            held += answer.encrypted_elements
            line.send(ALIVE)
    held.sort()
    for start in range(0, len(held), BATCH):
        answer = psi.Response(encrypted_elements=held[start : start + BATCH])
        line.send(answer.SerializeToString())
    return ""


def _is_point(data: bytes) -> bool:
    """Tell whether it is written in the one way that is taken: else one point has two names."""
    return len(data) == POINT and data[0] in (2, 3)


def _batches(keys: Keys) -> Iterator[tuple[int, Keys]]:
    for start in range(0, len(keys), BATCH):
        yield start, keys[start : start + BATCH]


def _written(job: Any, found: list[int] | int, reveal: str) -> tuple[str, Path]:
    """Return name and file of what was found."""
    if isinstance(found, int):
        path = Path(job.folder, "size.json")
        path.write_text(json.dumps({"size": found}), "ascii")
        return reveal, path
    path = Path(job.folder, "matches.npy")
    path.write_bytes(npy(found))
    return "matches", path


def npy(numbers: Sequence[int]) -> bytes:
    """Return whole numbers as a NumPy file (format 1.0); there is no NumPy here."""
    head = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({len(numbers)},), }}"
    padded = head.ljust(-(-(len(_MAGIC) + 2 + len(head) + 1) // 64) * 64 - len(_MAGIC) - 3) + "\n"
    content = array.array("q", numbers)
    if struct.pack("=H", 1) != struct.pack("<H", 1):
        content.byteswap()
    return _MAGIC + struct.pack("<H", len(padded)) + padded.encode() + content.tobytes()
