"""What SPU's links say passes unchanged, however it is cut up; nothing that could be another's."""

from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Iterator

import pytest

from secureflow.adapters.mpcengines import spu_values
from secureflow.adapters.mpcengines.speaking import ImpostorError, Listener, Stream
from secureflow.adapters.mpcengines.spu_speech import MAX_ANSWER, MAX_FRAME, Speech
from secureflow.adapters.mpcengines.spu_values import MAX_VALUE, Values


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut values into chunks of 500 bytes."""
    monkeypatch.setattr(spu_values, "CHUNK", 500)


SERVICE = b"org.interconnection.link.ReceiverService"


def number(value: int) -> bytes:
    found = bytearray()
    while value >= 128:
        found.append(value % 128 + 128)
        value //= 128
    return bytes((*found, value))


def part(tag: int, data: bytes) -> bytes:
    return bytes([tag]) + number(len(data)) + data


def framed(meta: bytes, body: bytes) -> bytes:
    return struct.pack(">4sII", b"PRPC", len(meta) + len(body), len(meta)) + meta + body


def request(service: bytes = SERVICE, method: bytes = b"Push") -> bytes:
    return part(0x0A, part(0x0A, service) + part(0x12, method))


META = request() + b"\x18\x00\x20" + number(1 << 33 | 5)


def rank(party: int) -> bytes:
    return b"\x08" + number(party) if party else b""


def message(party: int, value: bytes, key: bytes = b"root-0:1->2\x01\x021") -> bytes:
    return framed(META, rank(party) + part(0x12, key) + part(0x1A, value))


def chunk_info(total: int, offset: int) -> bytes:
    told = b"\x08" + number(total) + (b"\x10" + number(offset) if offset else b"")
    return b"\x20\x01" + part(0x2A, told)


def chunk(party: int, value: bytes, total: int, offset: int, key: bytes = b"key\x01\x022") -> bytes:
    body = rank(party) + part(0x12, key) + part(0x1A, value)
    return framed(META, body + chunk_info(total, offset))


def counted(number: int) -> bytes:
    """Return the key of the value of a peer that has this number."""
    return b"key\x01\x02%d" % number


def call(at: int) -> bytes:
    """Return a message of the engine that is asked."""
    return framed(request() + b"\x18\x00\x20" + number(at), KEY + VALUE)


def answer(
    code: int = 0, text: bytes = b"", body: bytes = b"\x0a\x00", at: int = 5
) -> bytes:  # fmt: skip
    told = b"\x08" + number(code) + (part(0x12, text) if text else b"")
    return framed(part(0x12, told) + b"\x18\x00\x20" + number(at), body)


def speech(stream: Stream) -> Listener:
    """Return who listens to the only stream of a run."""
    return Speech()(stream)


def take(data: bytes, passed: bytearray, cut: int) -> None:
    """Keep what passes of what party 1 says in pieces, until it is no word of its own."""
    listener = speech(Stream(0, 1, True))
    for at in range(0, len(data), cut):
        passed += listener.passed(data[at : at + cut])


def heard(data: bytes, *, peer: int = 1, theirs: bool = True, cut: int = 0) -> bytes:
    """Return what passes of data that comes in pieces."""
    listener = speech(Stream(0 if peer else 1, peer, theirs))
    listener.said(call(5) + call(1 << 33 | 6))
    size = cut or max(1, len(data))
    return b"".join(listener.passed(data[at : at + size]) for at in range(0, len(data), size))


HONEST = (
    message(1, b"x" * 300),
    message(1, b""),
    chunk(1, b"y" * 500, 900, 0),
    chunk(1, b"z" * 400, 900, 500),
    message(1, bytes(200_000), b"FIN\x01\x02"),
)


@pytest.mark.parametrize("cut", [1, 2, 7, 64, 4096, 1 << 20])
def test_what_a_party_says_passes_unchanged(cut: int) -> None:
    data = b"".join(HONEST[:4] if cut == 1 else HONEST)
    for number in (3, 4):
        data += data[: len(HONEST[0] + HONEST[1])] + b"".join(
            chunk(1, bytes(size), 900, at, counted(number)) for size, at in ((400, 500), (500, 0))
        )
    assert heard(data, cut=cut) == data
    told = answer() + answer(1014, b"[E1014]" * 100, b"", 1 << 33 | 6)
    assert heard(told, theirs=False, cut=cut) == told


@pytest.mark.parametrize("party", [0, 2, 15, 127, 128, 300])
def test_each_party_by_its_own_number(party: int) -> None:
    data = message(party, b"share") * 2
    assert heard(data, peer=party, cut=3) == data
    for other in {0, 1, 2, 15, 128} - {party}:
        with pytest.raises(ImpostorError, match="another party"):
            heard(message(other, b"share"), peer=party)


def test_a_value_is_not_held() -> None:
    listener, size = speech(Stream(0, 1, True)), 8 << 20
    head = message(1, bytes(size))[:-size]
    assert listener.passed(head + b"x") == head + b"x"
    block = bytes(1 << 18)
    assert listener.passed(block) is block


KEY, VALUE = part(0x12, b"key\x01\x021"), part(0x1A, b"share")
OWN = rank(1)
FORGED = {
    "another party's": framed(META, rank(2) + KEY + VALUE),
    "party 0's, which says nothing": framed(META, KEY + VALUE),
    "said at the end again": framed(META, OWN + KEY + VALUE + rank(2)),
    "said twice": framed(META, OWN + rank(2) + KEY + VALUE),
    "said late": framed(META, KEY + VALUE + OWN),
    "a zero after it": framed(META, OWN + KEY + VALUE + b"\x08\x00"),
    "longer than it need be": framed(META, b"\x08\x81\x00" + KEY + VALUE),
    "its tag longer than it need be": framed(META, b"\x88\x00\x01" + KEY + VALUE),
    "more than 64 bits": framed(META, b"\x08" + b"\x81" * 9 + b"\x02" + KEY + VALUE),
    "nothing at all": framed(META, b""),
    "the number alone": framed(META, OWN),
    "an unknown field": framed(META, OWN + KEY + VALUE + b"\x30\x01"),
    "an unknown field before": framed(META, b"\x30\x01" + OWN + KEY + VALUE),
    "a group": framed(META, OWN + b"\x0b\x08\x02\x0c" + KEY + VALUE),
    "fields in another order": framed(META, OWN + VALUE + KEY),
    "a field twice": framed(META, OWN + KEY + KEY + VALUE),
    "a field beyond its end": framed(META, OWN + KEY + part(0x1A, b"x" * 99)[:-1]),
    "a length without an end": framed(META, OWN + KEY + b"\x1a" + b"\xff" * 11),
    "a cut length": framed(META, OWN + KEY + b"\x1a\xff"),
    "a long key": framed(META, OWN + part(0x12, bytes(5000)) + VALUE),
    "compressed": framed(request() + b"\x18\x01\x20\x05", OWN + KEY + VALUE),
    "an attachment": framed(request() + b"\x18\x00\x20\x05\x28\x09", OWN + KEY + VALUE),
    "a stream": framed(META + b"\x42\x02\x08\x01", OWN + KEY + VALUE),
    "another service": framed(request(b"brpc.flags", b"default_method") + META[52:], OWN + KEY),
    "another method": framed(request(SERVICE, b"Pull") + b"\x18\x00\x20\x05", OWN + KEY + VALUE),
    "an answer": answer(),
    "no meta": framed(b"", OWN + KEY + VALUE),
    "meta beyond its frame": b"PRPC" + struct.pack(">II", 10, 11) + bytes(11),
    "a long meta": framed(META + bytes(1 << 15), OWN),
    "a long frame": b"PRPC" + struct.pack(">II", MAX_FRAME + 1, len(META)) + META,
    "no such kind": framed(META, OWN + KEY + VALUE + b"\x20\x02"),
    "a chunk without a place": framed(META, OWN + KEY + VALUE + b"\x20\x01"),
    "a place of no chunk": framed(META, OWN + KEY + VALUE + part(0x2A, b"\x08\x05")),
    "a chunk beyond its message": framed(META, OWN + KEY + VALUE + chunk_info(4, 0)),
    "a chunk before its message": framed(META, OWN + KEY + VALUE + chunk_info(8, 2**64 - 2)),
    "a message without end": framed(META, OWN + KEY + VALUE + chunk_info(MAX_VALUE + 1, 0)),
    "a chunk that says more": framed(
        META, OWN + KEY + VALUE + b"\x20\x01" + part(0x2A, b"\x18\x01")
    ),
    "a chunk that says its place twice": framed(
        META, OWN + KEY + VALUE + b"\x20\x01" + part(0x2A, b"\x08\x63\x08\x09")
    ),
    "a chunk of a further field": framed(
        META, OWN + KEY + VALUE + b"\x20\x01" + part(0x2A, b"\x08\x63\x18\x01")
    ),
    "another kind with a place": framed(
        META, OWN + KEY + VALUE + b"\x20\x02" + part(0x2A, b"\x08\x63")
    ),
    "a length longer than it need be": framed(META, OWN + b"\x12\x83\x00key" + VALUE),
    "a frame of another protocol": b"HULU" + message(1, b"share")[4:],
    "http": b"POST /org.interconnection.link.ReceiverService/Push HTTP/1.1\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "streaming": b"STRM" + bytes(64),
    "hulu": b"HULU" + bytes(64),
    "TLS": b"\x16\x03\x01" + bytes(64),
}


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("cut", [1, 1 << 20])
def test_what_could_be_another_partys_does_not_reach_the_engine_whole(name: str, cut: int) -> None:
    """Its last byte never does: brpc looks at nothing before that."""
    data, passed = message(1, b"first") + FORGED[name], bytearray()
    with pytest.raises(ImpostorError):
        take(data, passed, cut)
    assert len(passed) < len(data)
    assert data.startswith(passed)


@pytest.mark.parametrize(
    "forged",
    [
        message(1, b"x"),
        answer(),
        framed(part(0x12, b"\x08\x00") + b"\x18\x00\x20\x06\x28\x01", b"\x0a\x00"),
        framed(part(0x12, b"\x08\x00") + b"\x18\x01\x20\x05", b"\x0a\x00"),
        framed(b"\x12\x80", b""),
        answer(body=bytes(MAX_ANSWER)),
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_what_comes_back_is_an_answer(forged: bytes) -> None:
    with pytest.raises(ImpostorError):
        heard(answer() + forged, theirs=False)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("total", [8, 600, 1 << 20])
def test_chunks_of_a_key_say_one_length_in_all_streams(total: int, whole: bool) -> None:
    """SPU makes room for what the first one says, and writes where the others say.

    When a value is whole SPU forgets it, but not before it has read its last chunk, and what comes
    on another stream may be read earlier.
    """
    run = Speech()
    one, other = run(Stream(0, 1, True)), run(Stream(0, 1, True))
    first = chunk(1, b"x" * 500, 900, 0)
    assert one.passed(first) == first
    if whole:
        last = chunk(1, b"x" * 400, 900, 500)
        assert other.passed(last) == last
    different = chunk(1, b"y" * min(total, 500), total, 0)
    for listener in (one, other):
        with pytest.raises(ImpostorError, match="no engine"):
            listener.passed(different)
    theirs = chunk(2, b"y" * min(total, 500), total, 0)
    assert run(Stream(0, 2, True)).passed(theirs) == theirs
    assert Speech()(Stream(0, 1, True)).passed(different) == different


def test_a_value_that_is_whole_does_not_come_again() -> None:
    for said in (chunk(1, b"x" * 9, 9, 0), message(1, b"x", b"key\x01\x022")):
        run = Speech()
        assert run(Stream(0, 1, True)).passed(said) == said
        with pytest.raises(ImpostorError, match="no engine"):
            run(Stream(0, 1, True)).passed(chunk(1, b"x" * 500, 900, 0))


@pytest.mark.parametrize(
    "key", [b"key", b"key\x01\x02", b"key\x01\x020", b"key\x01\x0202", b"key\x01\x02+2",
            b"key\x01\x022\x01\x023", b"other\x01\x022"],
)  # fmt: skip
def test_a_chunk_is_of_a_value_that_spu_counted(key: bytes) -> None:
    """Two keys never have one number, nor one key two."""
    listener = speech(Stream(0, 1, True))
    first = chunk(1, b"x" * 500, 900, 0)
    assert listener.passed(first) == first
    with pytest.raises(ImpostorError, match="no engine"):
        listener.passed(chunk(1, b"x" * 400, 900, 500, key))


def test_of_values_that_are_whole_nothing_is_kept() -> None:
    """However many there are, in the order in which SPU's window lets them come."""
    listener, values = speech(Stream(0, 1, True)), Values()
    drawn = random.Random(5)
    for start in range(1, 3000, 64):
        window = [(number, at) for number in range(start, start + 64) for at in (0, 500)]
        drawn.shuffle(window)
        for number, at in window:
            key = counted(number)
            if number % 3:
                values.chunk(key, 900, at, min(500, 900 - at))
                said = chunk(1, bytes(min(500, 900 - at)), 900, at, key)
            else:
                values.came(key)
                said = message(1, b"", key)
            assert listener.passed(said) == said
        assert (values._coming, values._whole._starts) == ({}, [1])
        assert values._whole._ends == [start + 64]
    with pytest.raises(ImpostorError, match="no engine"):
        listener.passed(chunk(1, bytes(500), 900, 0, counted(7)))


@pytest.mark.parametrize("whole", [False, True])
def test_what_is_kept_of_a_peer_has_a_bound(monkeypatch: pytest.MonkeyPatch, whole: bool) -> None:
    monkeypatch.setattr(spu_values, "MOST", 3)
    listener = speech(Stream(0, 1, True))
    for number in (2, 4, 6, 8):
        key = counted(number)
        said = message(1, b"x", key) if whole else chunk(1, bytes(500), 900, 0, key)
        if number < 8:
            assert listener.passed(said) == said
        else:
            with pytest.raises(ImpostorError, match="no engine"):
                listener.passed(said)


@pytest.mark.parametrize(("size", "at"), [(500, 1), (499, 0), (501, 0), (400, 400), (0, 900)])
def test_chunks_are_as_spu_cuts_them(size: int, at: int) -> None:
    """Else two could lie on each other, and SPU take what its memory held for the rest."""
    with pytest.raises(ImpostorError, match="no engine"):
        speech(Stream(0, 1, True)).passed(chunk(1, bytes(size), 800, at))


@pytest.mark.parametrize("cut", [1, 50, 1 << 20])
@pytest.mark.parametrize("at", [7, 6, 300])
def test_a_party_answers_what_it_was_asked(cut: int, at: int) -> None:
    """Numbers of calls are the process's: that of another connection is a third party's."""
    run = Speech()
    one, other = run(Stream(0, 1, False)), run(Stream(0, 2, False))
    asked = call(5) + call(300)
    for start in range(0, len(asked), cut):
        one.said(asked[start : start + cut])
    other.said(call(7))
    assert one.passed(answer(at=300)) == answer(at=300)
    with pytest.raises(ImpostorError, match="another party"):
        one.passed(answer(at=at))


def test_an_own_engine_that_says_what_none_says_is_nobodys_fault() -> None:
    listener = speech(Stream(0, 1, False))
    listener.said(call(5) + b"HTTP/1.1 200 OK")
    assert listener.passed(answer()) == answer()


def _broken() -> Iterator[bytes]:
    drawn = random.Random(1)
    whole = HONEST[0] + HONEST[2] + HONEST[3]
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(drawn.randrange(1, 4)):
            data[drawn.randrange(len(data))] = drawn.randrange(256)
        yield bytes(data)


def test_whatever_passes_was_said_by_the_peer() -> None:
    """The Protocol Buffers library reads every whole message that passes as the peer's."""
    pb = pytest.importorskip("google.protobuf.descriptor_pb2")
    from google.protobuf import descriptor_pool, message_factory

    of, kinds = pb.FieldDescriptorProto, []
    for name, at, kind in (("rank", 1, of.TYPE_UINT64), ("key", 2, of.TYPE_BYTES),
                           ("value", 3, of.TYPE_BYTES)):  # fmt: skip
        kinds.append(of(name=name, number=at, type=kind, label=of.LABEL_OPTIONAL))
    file = pb.FileDescriptorProto(name="push.proto", package="t", syntax="proto3")
    file.message_type.add(name="Push", field=kinds)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    push = message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Push"))
    seen = 0
    for data in _broken():
        passed = bytearray()
        with contextlib.suppress(ImpostorError):
            take(data, passed, 97)
        while len(passed) >= 12:
            _, size, meta = struct.unpack(">4sII", passed[:12])
            if len(passed) < 12 + size:
                break
            assert push.FromString(bytes(passed[12 + meta : 12 + size])).rank == 1
            del passed[: 12 + size]
            seen += 1
    assert seen > 1000
