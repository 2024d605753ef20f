"""Shamir, masks and the fixed-point ring."""

from __future__ import annotations

import os

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.domain.quorum import colluders_of, threshold_of
from secureflow.engines.secagg.encoding import CHECK_SLOTS, Encoding, Metric, decode, encode
from secureflow.engines.secagg.masks import BLOCK_BYTES, add_masks, derive_key
from secureflow.engines.secagg.shamir import PRIME, combine, lagrange, split
from secureflow.kit.errors import SecureFlowError


@given(st.integers(3, 256))
def test_two_quorums_share_an_honest_party(parties: int) -> None:
    assert 2 * threshold_of(parties) > parties + colluders_of(parties)
    assert threshold_of(parties) - colluders_of(parties) >= 2


@given(st.binary(min_size=32, max_size=32), st.data())
@settings(max_examples=50, deadline=None)
def test_any_t_shares_give_the_secret_and_fewer_do_not(secret: bytes, data: st.DataObject) -> None:
    holders = data.draw(st.integers(3, 20))
    t = data.draw(st.integers(2, holders))
    shares = split(secret, t, holders, os.urandom(32))
    chosen = data.draw(st.permutations(range(holders)))[:t]
    points = [i + 1 for i in chosen]
    assert combine(lagrange(points), [shares[i] for i in chosen]) == secret
    fewer = chosen[:-1]
    assert combine(lagrange([i + 1 for i in fewer]), [shares[i] for i in fewer]) != secret


def test_fewer_than_t_shares_fit_every_secret() -> None:
    """t − 1 shares and any secret whatever lie on one polynomial of degree t − 1."""
    shares = split(os.urandom(32), 4, 7, os.urandom(32))[:3]
    other = int.from_bytes(os.urandom(32), "big")
    points, values = [0, 1, 2, 3], [other, *shares]
    at = [(x, y) for x, y in zip(points, values, strict=True)]
    fourth = 0
    for x, y in at:
        term = y
        for z, _ in at:
            if z != x:
                term = term * (4 - z) * pow(x - z, -1, PRIME) % PRIME
        fourth = (fourth + term) % PRIME
    assert combine(lagrange([1, 2, 3, 4]), [*shares, fourth]) == other.to_bytes(32, "big")


def test_shares_of_no_32_byte_secret_are_noticed() -> None:
    assert combine([1], [1 << 300]) is None


@pytest.mark.parametrize("dtype", ["<u2", "<u4", "<u8"])
@pytest.mark.parametrize("extra", [-1, 0, 1, 7])
def test_masks_are_the_aes_256_ctr_stream(dtype: str, extra: int) -> None:
    size = 2 * BLOCK_BYTES // np.dtype(dtype).itemsize + extra
    key, other = os.urandom(32), os.urandom(32)
    vector = np.arange(size).astype(dtype)
    add_masks(vector, [key], [other])

    def stream(secret: bytes) -> np.ndarray:
        cipher = Cipher(algorithms.AES256(secret), modes.CTR(bytes(16))).encryptor()
        return np.frombuffer(cipher.update(bytes(size * np.dtype(dtype).itemsize)), dtype)

    assert (vector == np.arange(size).astype(dtype) + stream(key) - stream(other)).all()
    add_masks(vector, [other], [key])
    assert (vector == np.arange(size).astype(dtype)).all()


def test_a_mask_key_has_256_bits_and_binds_its_info() -> None:
    keys = {derive_key(bytes(32), "pair", c) for c in ("aa", "ab", "b")}
    keys |= {derive_key(bytes(32), "self", "aa"), derive_key(os.urandom(32), "pair", "aa")}
    assert len(keys) == 5
    assert {len(k) for k in keys} == {32}
    with pytest.raises(ValueError, match="key"):
        add_masks(np.zeros(4, np.uint32), [os.urandom(4)])


def _round_trip(encoding: Encoding, parties: int, values: list[np.ndarray], weight: int) -> object:
    ring = encoding.ring(parties)
    total = np.zeros(encoding.slots, ring)
    metrics = {m.name: m.bound for m in encoding.metrics}
    for value in values:
        out = np.empty(encoding.slots, ring)
        encode(encoding, value, weight, metrics, None, out)
        total += out
    return decode(encoding, total, tuple(f"p{i}" for i in range(parties)))


@given(
    st.integers(3, 256),
    st.integers(1, 30),
    st.integers(1, 1 << 22),
    st.sampled_from([-1.0, 1.0]),
    st.floats(1e-3, 1e6),
)
@settings(max_examples=200, deadline=None)
def test_the_ring_never_overflows(
    parties: int, bits: int, weight: int, sign: float, clip: float
) -> None:
    encoding = Encoding(
        length=2, clip=clip, bits=bits, max_weight=weight, metrics=(Metric("m", 2),)
    )
    values = [np.array([sign * clip, sign * clip * 3])] * parties
    got = _round_trip(encoding, parties, values, weight * 2)
    assert got.weight == parties * weight
    assert got.mean == pytest.approx([sign * clip] * 2)
    assert got.metrics["m"] == pytest.approx(2.0)


def test_ten_parties_that_overflow_32_bits_get_64() -> None:
    """Fed-BioMed #1210: large weights overflowed a fixed 32-bit ring at ten parties."""
    encoding = Encoding(length=1, clip=3.0, bits=16, max_weight=4096)
    assert encoding.ring(7).itemsize == 4
    assert encoding.ring(8).itemsize == 8
    assert Encoding(length=1, clip=3.0, bits=16, max_weight=2048, noise_bound=1 << 27).ring(10) == (
        np.dtype("<u8")
    )
    with pytest.raises(SecureFlowError) as refused:
        Encoding(length=1, clip=1.0, bits=40, max_weight=1 << 40).ring(3)
    assert refused.value.code == "ring_overflow"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    encoding = Encoding(length=3, clip=1.0)
    with pytest.raises(SecureFlowError) as refused:
        _round_trip(encoding, 3, [np.array([0.0, bad, 0.0])], 1)
    assert refused.value.code == "invalid_update"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("length", 0),
        ("bits", 0),
        ("bits", 51),
        ("max_weight", 0),
        ("clip", 0.0),
        ("clip", np.nan),
        ("noise_bound", -1),
    ],
)
def test_an_encoding_out_of_range_is_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(SecureFlowError) as refused:
        Encoding(**{"length": 1, "clip": 1.0, field: value})
    assert (refused.value.code, refused.value.details) == ("invalid_encoding", {"field": field})


@pytest.mark.parametrize("slot", [0, 1, 2, -1, -CHECK_SLOTS])
def test_a_sum_whose_masks_did_not_cancel_is_refused(slot: int) -> None:
    encoding = Encoding(length=2, clip=1.0, bits=8)
    total = np.zeros(encoding.slots, np.uint32)
    total[2] = 3
    assert decode(encoding, total, ("a", "b", "c")).weight == 3
    total[slot] = 1 if slot < 0 else 1 << 30
    with pytest.raises(SecureFlowError) as refused:
        decode(encoding, total, ("a", "b", "c"))
    assert refused.value.code == "sum_inconsistent"


def test_noise_is_added_to_every_slot_but_the_check_and_bounded() -> None:
    encoding = Encoding(length=2, clip=1.0, bits=8, noise_bound=5)
    out = np.empty(encoding.slots, np.uint32)
    encode(encoding, np.zeros(2), 1, {}, np.array([5, -5, 1]), out)
    assert out.view(np.int32).tolist() == [5, -5, 2, 0, 0, 0, 0]
    for noise in (np.array([6, 0, 0]), np.array([1])):
        with pytest.raises(SecureFlowError) as refused:
            encode(encoding, np.zeros(2), 1, {}, noise, out)
        assert refused.value.code == "invalid_update"


@given(st.integers(3, 128), st.integers(1, 1 << 24), st.floats(-1.0, 1.0), st.booleans())
@settings(max_examples=100, deadline=None)
def test_digits_carry_weight_and_metrics_beside_values_of_few_bits(
    parties: int, weight: int, metric: float, alike: bool
) -> None:
    most = 1 if alike else 1 << 24
    encoding = Encoding(1, 1.0, 7, most, (Metric("m", 1.0), Metric("n", 2.0)), counted_bits=20)
    ring, total = encoding.ring(parties), np.zeros(encoding.slots, encoding.ring(parties))
    out = np.empty(encoding.slots, ring)
    for _ in range(parties):
        encode(encoding, np.array([-1.0]), weight, {"m": metric, "n": -2.0}, None, out)
        total += out
    got = decode(encoding, total, tuple(f"p{at}" for at in range(parties)))
    counted = min(weight, most)
    assert (got.weight, got.metrics["n"]) == (parties * counted, -2.0)
    assert got.mean == pytest.approx([-1.0])
    assert got.metrics["m"] == pytest.approx(metric, abs=2.0**-20)
    assert ring == np.dtype("<u2" if alike and parties < 129 else ring)


@pytest.mark.parametrize("slot", [0, 1, 4, -1, -2 * CHECK_SLOTS])
def test_a_narrow_sum_is_refused_for_any_slot_that_nobody_can_have_sent(slot: int) -> None:
    encoding = Encoding(1, 1.0, 7, 1, (Metric("m", 1.0),), counted_bits=20)
    assert (encoding.digits, encoding.ring(3)) == (3, np.dtype("<u2"))
    total, out = np.zeros(encoding.slots, "<u2"), np.empty(encoding.slots, "<u2")
    for _ in range(3):
        encode(encoding, np.array([0.5]), 1, {"m": 0.5}, None, out)
        total += out
    assert decode(encoding, total, ("a", "b", "c")).metrics["m"] == 0.5
    total[slot] = 1 if slot < 0 else 1 << 13
    if slot == 4:  # the weight's lowest digit: within a slot's bound, and more than they have
        total[slot] = 700
    with pytest.raises(SecureFlowError) as refused:
        decode(encoding, total, ("a", "b", "c"))
    assert refused.value.code == "sum_inconsistent"
