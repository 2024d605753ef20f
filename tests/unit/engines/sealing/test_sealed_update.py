from __future__ import annotations

import json
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.sealing import (
    CHUNK,
    TAG,
    Binding,
    OpenedUpdate,
    Opener,
    RecipientKey,
    SealedUpdate,
    parse_header,
    seal,
    tensor_digest,
    update_manifest,
)
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

RECIPIENT = RecipientKey.generate()
SIGNER = SigningKey.generate()
SUMS = 3


def code(error: pytest.ExceptionInfo[SecureFlowError]) -> str:
    return error.value.code


def binding(d: int, **changes: Any) -> Binding:
    fields: dict[str, Any] = {
        "job": "job_1",
        "round": 2,
        "stage": "train",
        "party": "bank-a",
        "spec": "a" * 64,
        "model": "b" * 64,
        "evidence": "c" * 64,
        "manifest": update_manifest(d, SUMS),
    }
    return Binding(**{**fields, **changes})


def plaintext(d: int) -> bytearray:
    rng = np.random.default_rng(d)
    parameters = rng.standard_normal(d, dtype=np.float32).tobytes()
    return bytearray(parameters + np.array([17.0, 2.5, -1.0]).tobytes())


def sealed(d: int, **changes: Any) -> SealedUpdate:
    return seal(binding(d, **changes), memoryview(plaintext(d)), RECIPIENT.public, SIGNER)


def opener(update: SealedUpdate, d: int, signer: SigningKey = SIGNER, **changes: Any) -> Opener:
    header = parse_header(update.header_bytes)
    made = Opener(RECIPIENT, header, binding(d, **changes), signer.public)
    made.attach(memoryview(bytearray(made.length + 100)))
    return made


def opened(update: SealedUpdate, d: int) -> OpenedUpdate:
    receiver = opener(update, d)
    for chunk in update.chunks():
        receiver.write(chunk)
    return receiver.finish(update.trailer())


D_TWO_CHUNKS = CHUNK // 4 + 100
D_EXACT = (CHUNK - 8 * SUMS) // 4


@pytest.mark.parametrize("d", [0, 1, 7, D_EXACT, D_EXACT + 1, D_TWO_CHUNKS, CHUNK])
def test_round_trip_for_sizes_around_chunk_borders(d: int) -> None:
    update = sealed(d)
    result = opened(update, d)
    assert result.parameters.tobytes() + result.sums.tobytes() == plaintext(d)
    assert result.sums.tolist() == [17.0, 2.5, -1.0]
    assert result.body_digest == update.body_digest
    assert not result.parameters.flags.writeable
    assert update.chunk_count == -(-len(plaintext(d)) // CHUNK)


def test_nothing_of_the_plaintext_is_in_what_travels() -> None:
    update = sealed(1000)
    secret = bytes(plaintext(1000)[:64])
    wire = update.header_bytes + b"".join(update.chunks()) + update.trailer()
    assert secret not in wire
    assert secret[:16] not in wire


def test_each_seal_has_its_own_key() -> None:
    first, second = sealed(10), sealed(10)
    assert first.header.encapsulated != second.header.encapsulated
    assert list(first.chunks()) != list(second.chunks())


def test_resume_sends_identical_ciphertext_and_the_same_digest() -> None:
    d = 3 * CHUNK // 4
    update = sealed(d)
    chunks = list(update.chunks())
    receiver = opener(update, d)
    stream = update.chunks()
    receiver.write(next(stream))
    stream.close()
    assert receiver.received == 1
    for chunk in update.chunks(receiver.received):
        receiver.write(chunk)
    assert list(update.chunks()) == chunks
    digest = update.body_digest
    assert receiver.finish(update.trailer()).body_digest == digest


def test_resume_within_a_first_cut_stream() -> None:
    d = 3 * CHUNK // 4
    update = sealed(d)
    stream = update.chunks()
    lost = [next(stream), next(stream)]
    stream.close()
    rest = list(update.chunks(1))
    assert rest[0] == lost[1]
    receiver = opener(update, d)
    for chunk in [lost[0], *rest]:
        receiver.write(chunk)
    receiver.finish(update.trailer())


def test_resume_beyond_what_was_made_is_refused() -> None:
    update = sealed(CHUNK)
    with pytest.raises(SecureFlowError) as error:
        next(update.chunks(1))
    assert code(error) == "resume_beyond"
    with pytest.raises(SecureFlowError) as error:
        update.trailer()
    assert code(error) == "update_unfinished"


def test_a_changed_plaintext_is_never_sent_under_the_same_key() -> None:
    data = plaintext(CHUNK)
    update = seal(binding(CHUNK), memoryview(data), RECIPIENT.public, SIGNER)
    list(update.chunks())
    data[CHUNK + 5] ^= 1
    stream = update.chunks()
    next(stream)
    with pytest.raises(SecureFlowError) as error:
        next(stream)
    assert code(error) == "update_changed"


def test_length_must_fit_the_manifest() -> None:
    with pytest.raises(SecureFlowError) as error:
        seal(binding(10), memoryview(plaintext(11)), RECIPIENT.public, SIGNER)
    assert code(error) == "update_length_wrong"


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("job", "job_2", "update_unexpected"),
        ("round", 1, "stale_round"),
        ("stage", "moments", "update_unexpected"),
        ("party", "bank-b", "update_unexpected"),
        ("spec", "d" * 64, "update_unexpected"),
        ("model", "d" * 64, "stale_round"),
        ("evidence", "d" * 64, "update_unexpected"),
        ("manifest", update_manifest(9, SUMS), "manifest_mismatch"),
    ],
)
def test_header_for_anything_else_is_refused_before_a_buffer(
    field: str, value: Any, expected: str
) -> None:
    update = sealed(10)
    with pytest.raises(SecureFlowError) as error:
        opener(update, 10, **{field: value})
    assert code(error) == expected
    assert error.value.details == {"field": field}


@pytest.mark.parametrize("field", ["round", "party", "model", "evidence", "spec", "stage", "job"])
def test_a_rewritten_header_opens_no_key(field: str) -> None:
    """A relay that rewrites the header to the expected values still fails: info differs."""
    other = {"round": 9, "job": "job_2", "stage": "x", "party": "bank-b"}.get(field, "d" * 64)
    update = sealed(10, **{field: other})
    value = json.loads(update.header_bytes)
    value[field] = getattr(binding(10), field)
    with pytest.raises(SecureFlowError) as error:
        Opener(RECIPIENT, parse_header(json.dumps(value).encode()), binding(10), SIGNER.public)
    assert code(error) == "sealed_key_refused"


def test_another_recipient_opens_nothing() -> None:
    header = parse_header(sealed(10).header_bytes)
    with pytest.raises(SecureFlowError) as error:
        Opener(RecipientKey.generate(), header, binding(10), SIGNER.public)
    assert code(error) == "sealed_key_refused"


@pytest.mark.parametrize("size", [0, 1, 1167, 1169])
def test_sealed_key_of_another_size(size: int) -> None:
    import base64

    with pytest.raises(SecureFlowError) as error:
        RECIPIENT.open_key(base64.b64encode(b"x" * size).decode(), b"i" * 32)
    assert code(error) == "sealed_key_refused"


@pytest.mark.parametrize("public", ["", "x", "AAAA", SIGNER.public], ids=["", "x", "short", "key"])
def test_malformed_recipient(public: str) -> None:
    with pytest.raises(SecureFlowError) as error:
        seal(binding(1), memoryview(plaintext(1)), public, SIGNER)
    assert code(error) == "malformed_key"


def write_all(receiver: Opener, chunks: list[bytes]) -> None:
    for chunk in chunks:
        receiver.write(chunk)


def test_chunks_out_of_order_doubled_or_missing() -> None:
    d = 3 * CHUNK // 4
    update = sealed(d)
    first, second, third, *last = list(update.chunks())
    assert len(last) == 1
    for wrong in ([second], [first, first], [first, third], [first, second, last[0]]):
        receiver = opener(update, d)
        with pytest.raises(SecureFlowError) as error:
            write_all(receiver, wrong)
        assert code(error) in {"chunk_forged", "chunk_length_wrong"}
        with pytest.raises(SecureFlowError) as error:
            receiver.write(first)
        assert code(error) == "update_aborted"


def test_extra_chunk_is_refused() -> None:
    update = sealed(10)
    receiver = opener(update, 10)
    (chunk,) = update.chunks()
    receiver.write(chunk)
    with pytest.raises(SecureFlowError) as error:
        receiver.write(chunk)
    assert code(error) == "chunk_unexpected"
    with pytest.raises(SecureFlowError):
        receiver.finish(update.trailer())


def test_truncated_body_cannot_finish() -> None:
    update = sealed(D_TWO_CHUNKS)
    receiver = opener(update, D_TWO_CHUNKS)
    chunks = list(update.chunks())
    receiver.write(chunks[0])
    with pytest.raises(SecureFlowError) as error:
        receiver.finish(update.trailer())
    assert code(error) == "stream_short"


def test_last_flag_is_authenticated() -> None:
    """A first chunk of a longer message cannot pass as all of a shorter one."""
    d = D_EXACT
    long = seal(binding(CHUNK), memoryview(plaintext(CHUNK)), RECIPIENT.public, SIGNER)
    key = RECIPIENT.open_key(long.header.encapsulated, long.header.binding.info)
    from secureflow.engines.sealing.stream import ChunkCipher

    cipher = ChunkCipher(key, len(plaintext(d)))
    assert cipher.count == 1
    with pytest.raises(SecureFlowError) as error:
        cipher.decrypt_into(0, next(long.chunks()), memoryview(bytearray(CHUNK)))
    assert code(error) == "chunk_forged"


@pytest.mark.parametrize("change", [-1, 1, -TAG, TAG])
def test_chunk_of_wrong_length(change: int) -> None:
    update = sealed(10)
    chunk = next(update.chunks())
    wrong = chunk[:change] if change < 0 else chunk + b"\0" * change
    receiver = opener(update, 10)
    with pytest.raises(SecureFlowError) as error:
        receiver.write(wrong)
    assert code(error) == "chunk_length_wrong"


def test_signature_of_another_organisation_is_refused() -> None:
    thief = SigningKey.generate()
    update = seal(binding(10), memoryview(plaintext(10)), RECIPIENT.public, thief)
    receiver = opener(update, 10)
    write_all(receiver, list(update.chunks()))
    with pytest.raises(SecureFlowError) as error:
        receiver.finish(update.trailer())
    assert code(error) == "update_forged"


def test_trailer_of_another_update_is_refused() -> None:
    """Same signer, same plan, same plaintext: the trailer still belongs to one ciphertext."""
    one, two = sealed(10), sealed(10)
    list(two.chunks())
    receiver = opener(one, 10)
    write_all(receiver, list(one.chunks()))
    with pytest.raises(SecureFlowError) as error:
        receiver.finish(two.trailer())
    assert code(error) == "update_forged"


@pytest.mark.parametrize("trailer", [b"", b"{}", b"[]", b'{"signature":1}', b"x" * 2000])
def test_malformed_trailer(trailer: bytes) -> None:
    update = sealed(10)
    receiver = opener(update, 10)
    write_all(receiver, list(update.chunks()))
    with pytest.raises(SecureFlowError):
        receiver.finish(trailer)
    with pytest.raises(SecureFlowError) as error:
        receiver.finish(update.trailer())
    assert code(error) == "update_aborted"


def test_no_write_without_a_buffer_and_none_too_small() -> None:
    update = sealed(10)
    receiver = Opener(RECIPIENT, parse_header(update.header_bytes), binding(10), SIGNER.public)
    with pytest.raises(SecureFlowError) as error:
        receiver.write(next(update.chunks()))
    assert code(error) == "update_aborted"
    with pytest.raises(SecureFlowError) as error:
        receiver.attach(memoryview(bytearray(receiver.length - 1)))
    assert code(error) == "buffer_too_small"


def test_opening_writes_nothing_outside_its_place() -> None:
    update = sealed(10)
    receiver = Opener(RECIPIENT, parse_header(update.header_bytes), binding(10), SIGNER.public)
    buffer = bytearray(b"\xee" * (receiver.length + 64))
    receiver.attach(memoryview(buffer))
    write_all(receiver, list(update.chunks()))
    receiver.finish(update.trailer())
    assert buffer[receiver.length :] == b"\xee" * 64


def test_tensor_digest_is_over_raw_bytes() -> None:
    array = np.arange(5, dtype=np.float32)
    assert tensor_digest(array) == tensor_digest(array.tobytes())
    assert tensor_digest(np.zeros(0, np.float32)) == tensor_digest(b"")


SMALL = sealed(40)
HEADER, BODY, TRAILER = SMALL.header_bytes, b"".join(SMALL.chunks()), SMALL.trailer()


def flip(data: bytes, rng: Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        out[rng.randrange(len(out))] ^= rng.randint(1, 255)
    return bytes(out)


def attempt(header: bytes, chunks: list[bytes], trailer: bytes) -> OpenedUpdate:
    receiver = Opener(RECIPIENT, parse_header(header), binding(40), SIGNER.public)
    receiver.attach(memoryview(bytearray(receiver.length)))
    write_all(receiver, chunks)
    return receiver.finish(trailer)


def fuzz(seed: int) -> None:
    rng = Random(seed)
    part, pieces = rng.randrange(3), [HEADER, BODY, TRAILER]
    pieces[part] = flip(pieces[part], rng)
    if pieces[part] == [HEADER, BODY, TRAILER][part]:
        return
    try:
        result = attempt(pieces[0], [pieces[1]], pieces[2])
    except SecureFlowError:
        return
    # Only another spelling of the same JSON may pass.
    assert part in {0, 2}
    assert json.loads(pieces[part]) == json.loads([HEADER, BODY, TRAILER][part])
    assert result.parameters.tobytes() == plaintext(40)[:160]


@pytest.mark.slow
@given(st.integers(0, 2**64))
@settings(max_examples=600, deadline=None)
def test_fuzzed_bytes_open_nothing(seed: int) -> None:
    fuzz(seed)


@pytest.mark.soak
@given(st.integers(0, 2**64))
@settings(max_examples=1_000_000, deadline=None)
def test_soak_fuzzed_bytes_open_nothing(seed: int) -> None:
    fuzz(seed)


@pytest.mark.slow
@given(st.lists(st.binary(max_size=400), max_size=3), st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_fuzzed_streams_are_typed_errors(chunks: list[bytes], trailer: bytes) -> None:
    with pytest.raises(SecureFlowError):
        attempt(HEADER, chunks, trailer)
