"""Lists of keys in buckets: alike at all parties, and without anything to be read from them."""

from __future__ import annotations

import sys
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
from peers.mpc_references import key, key_file

from secureflow.adapters.mpcengines.spu_programs import buckets, psi, sizes
from secureflow.adapters.mpcengines.spu_programs.buckets import Bucket, Bucketing
from secureflow.adapters.mpcengines.spu_programs.errors import RefusedError


def _keys(*words: str) -> buckets.Bytes:
    return np.frombuffer(b"".join(map(key, words)), np.uint8).reshape(-1, sizes.KEY)


def _many(count: int, prefix: str = "id") -> buckets.Bytes:
    return _keys(*(f"{prefix}{number}" for number in range(count)))


def test_a_bucket_of_the_same_keys_is_another_one_each_time() -> None:
    """SPU sends the digest of a list of keys in plain: it must tell nothing of the keys."""
    keys, rows = _keys("alice"), np.arange(1)
    room = Bucketing.of("job", [1, 1]).room(1)
    digests = set()
    for _ in range(8):
        filled = Bucket(keys, rows).filled(room)
        digests.add(sha256(b"".join(sorted(one.tobytes() for one in filled))).digest())
    assert len(digests) == 8
    assert room >= 1 + sizes.KEY // 2


def test_what_a_bucket_holds_depends_on_the_length_of_the_list_alone() -> None:
    cut = Bucketing(7, 12345)
    for keys in (_many(5000), _many(5000, "other")):
        held = {len(Bucket(keys, rows).filled(cut.room(5000))) for rows in cut.sort(keys)}
        assert held == {cut.room(5000)}


def test_the_order_within_a_bucket_is_drawn() -> None:
    keys, rows = _many(64), np.arange(64)
    own = {one.tobytes() for one in keys}
    drawn = [[one.tobytes() for one in Bucket(keys, rows).filled(80)] for _ in range(4)]
    assert len({tuple(one for one in order if one in own) for order in drawn}) == 4
    assert [len(own.intersection(order)) for order in drawn] == [64] * 4
    assert len(set().union(*drawn)) == 64 + 4 * 16


def test_both_parties_put_a_key_into_the_same_bucket() -> None:
    cut = Bucketing.of("job_1", [3_000_000, 10])
    ours, theirs = _many(400), np.concatenate([_many(50, "x"), _many(400)])
    where = {key: number for number, rows in enumerate(cut.sort(ours)) for key in _seen(ours, rows)}
    for number, rows in enumerate(cut.sort(theirs)):
        assert all(where.get(one, number) == number for one in _seen(theirs, rows))
    assert cut.count == 3
    assert Bucketing.of("job_2", [3_000_000, 10]).lot != cut.lot


def _seen(keys: buckets.Bytes, rows: buckets.Rows) -> list[bytes]:
    return [keys[row].tobytes() for row in rows]


def test_every_row_is_in_one_bucket() -> None:
    rows = Bucketing(5, 99).sort(_many(1000))
    assert sorted(np.concatenate(rows)) == list(range(1000))
    assert max(map(len, rows)) - min(map(len, rows)) < 120


def test_a_list_that_is_not_spread_is_refused() -> None:
    cut = Bucketing(4, 7)
    crowded = np.concatenate([_many(4000)[rows] for rows in cut.sort(_many(4000))[:1]])
    with pytest.raises(RefusedError, match="bucket_full"):
        cut.sort(np.concatenate([crowded, _many(10, "y")]))


def test_a_key_that_stands_twice_is_named() -> None:
    keys = _keys("a", "b", "c", "b")
    with pytest.raises(RefusedError, match="keys_repeated") as refused:
        Bucket(keys, np.arange(4))
    assert refused.value.facts["row"] in {2, 4}


def _alike(*ends: int) -> buckets.Bytes:
    """Return keys that begin with the same 64 bits."""
    return np.array([[7] * 8 + [end] + [0] * 7 for end in ends], np.uint8)


@pytest.mark.parametrize("ends", [(1, 2, 9), (9, 1, 2), (5,)])
def test_keys_are_found_by_all_of_their_bits(ends: tuple[int, ...]) -> None:
    bucket = Bucket(_alike(0, *ends), np.arange(1 + len(ends)))
    ordered = sorted(range(len(ends)), key=ends.__getitem__)
    assert bucket.rows_of(_alike(*reversed(ends))).tolist() == [1 + at for at in ordered]
    with pytest.raises(RefusedError, match="result_malformed"):
        bucket.rows_of(_alike(3))
    with pytest.raises(RefusedError, match="keys_repeated"):
        Bucket(_alike(4, *ends, 4), np.arange(2 + len(ends)))


def test_keys_are_compared_by_ninety_bits() -> None:
    first = _alike(1)
    for bit in (89, 90):
        other = first.copy()
        other[0, bit // 8] ^= 128 >> bit % 8
        both = np.concatenate([first, other])
        if bit < 90:
            assert Bucket(both, np.arange(2)).rows_of(other).tolist() in ([0], [1])
        else:
            with pytest.raises(RefusedError, match="keys_repeated"):
                Bucket(both, np.arange(2))


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_rows_come_back_from_what_spu_writes(tmp_path: Path, quote: bytes) -> None:
    """Of a list in any order, found in any order: they are in that of the keys."""
    keys, rows = _many(3000), np.arange(3000)[::3]
    bucket, given, found = Bucket(keys, rows), tmp_path / "given.csv", tmp_path / "found.csv"
    buckets.write_csv(given, keys)
    head, *lines = given.read_bytes().splitlines()
    assert head == b"k"
    assert lines[1] == b64encode(key("id1"))[:15]
    written = [quote + lines[row] + quote + b"\n" for row in rows[::-1]]
    found.write_bytes(quote + b"k" + quote + b"\n" + b"".join(written))
    ascending = sorted(rows.tolist(), key=lambda row: keys[row].tobytes())
    assert bucket.rows_of(buckets.read_csv(found)).tolist() == ascending


@pytest.mark.parametrize("content", [b'"k"\n', b""])
def test_nothing_found_is_no_rows(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "found.csv").write_bytes(content)
    assert (
        len(Bucket(_many(2), np.arange(2)).rows_of(buckets.read_csv(tmp_path / "found.csv"))) == 0
    )
    with pytest.raises(RefusedError, match="result_malformed"):
        Bucket(_many(2), np.arange(0)).rows_of(_many(1))


_LINE = b64encode(key("id1"))[:15] + b"\n"


@pytest.mark.parametrize(
    "lines",
    [
        _LINE[1:],
        _LINE + _LINE[1:],
        _LINE + b"A" + _LINE,
        b"=" + _LINE[1:],
        b"\x00" + _LINE[1:],
        b"," + _LINE[1:],
        _LINE[:-1],
        _LINE[:-1] * 300,
    ],
)
def test_what_is_no_key_is_refused(tmp_path: Path, lines: bytes) -> None:
    (tmp_path / "found.csv").write_bytes(b"k\n" + lines)
    with pytest.raises(RefusedError, match="result_malformed"):
        buckets.read_csv(tmp_path / "found.csv")


def test_a_random_key_that_matches_is_refused() -> None:
    """It cannot be."""
    keys = _many(5)
    bucket = Bucket(keys, np.arange(5))
    drawn = {one.tobytes() for one in bucket.filled(6)} - {one.tobytes() for one in keys}
    with pytest.raises(RefusedError, match="result_malformed"):
        bucket.rows_of(np.frombuffer(drawn.pop(), np.uint8).reshape(1, -1))


def test_a_file_of_keys_is_whole_keys(tmp_path: Path) -> None:
    assert len(buckets.read_keys(key_file(tmp_path / "keys", ["a", "b"]))) == 2
    assert len(buckets.read_keys(key_file(tmp_path / "none", []))) == 0
    (tmp_path / "cut").write_bytes(key("a")[:-1])
    with pytest.raises(RefusedError, match="keys_malformed"):
        buckets.read_keys(tmp_path / "cut")


def test_what_spu_leaves_in_the_folder_for_temporary_files_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other runs of this machine leave theirs there, too: those stay."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", "")  # which it sets, and the test ends
    traces = tmp_path / "tmp"
    traces.mkdir()
    (traces / "psi_other.trace").touch()
    monkeypatch.setattr(psi, "_traces", lambda: set(traces.glob(psi._TRACES)))

    def execute(*_: object) -> None:
        (traces / "psi_own.trace").touch()

    spu = MagicMock()
    spu.psi.psi_execute = execute
    monkeypatch.setitem(sys.modules, "spu", spu)
    part = SimpleNamespace(protocol="RR22", receivers=(0,), parameters={}, learns=False)
    assert len(psi._intersect(part, None, _many(3), np.arange(3), 20)) == 0  # type: ignore[arg-type]
    assert [one.name for one in tmp_path.rglob("*.trace")] == ["psi_other.trace"]
    assert list(tmp_path.iterdir()) == [traces]
