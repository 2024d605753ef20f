"""In the worker: keys for an engine, columns for a peer, and the rows of every join."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from unit.engines.psi.world import specified

from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.agent.compute.psi_rows import PsiRows
from secureflow.agent.compute.psi_sums import COMMITMENT, COUNTS, ENGINE_KEY, FIRST
from secureflow.agent.compute.psi_told import read_told, write_told
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import parse
from secureflow.engines.psi.commitment import commit_keys
from secureflow.engines.psi.normalise import KEY_BYTES
from secureflow.kit.errors import SecureFlowError

A, B = "bank-a", "bank-b"
OURS = "phone,age\n13800138000,1\n13900139000,2\n,3\nbad,4\n13800138000,5\n13700137000,6\n"
THEIRS = "msisdn,city\n+8613700137000,Bj\n13600136000,Sh\n+86 138 0013 8000,Gz\n"
ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": one} for one in "ab"]


class Pair:
    """Both parties' workers, and a folder for each."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        sides = [
            {"party": A, "key": ["phone"], "granted": ["age"]},
            {"party": B, "key": ["msisdn"], "granted": ["city"]},
        ]
        self.spec = specified(ROSTER, **{"learns": "all", "sides": sides, **changes})
        self.folder = folder
        self.rows = {A: self._rows("a", OURS), B: self._rows("b", THEIRS)}
        self.counts = {
            one: rows.write_keys(one, one[-1].encode() * 32, folder / f"{one}.keys")
            for one, rows in self.rows.items()
        }
        self._match()

    def _rows(self, name: str, text: str) -> PsiRows:
        path = self.folder / f"{name}.csv"
        path.write_text(text)
        types, names = {"age": "number"}, text.partition("\n")[0].split(",")
        columns = [{"name": one, "type": types.get(one, "text")} for one in names]
        config = {"name": name, "path": str(path), "format": "csv", "columns": columns}
        source = open_source(parse(DatasetConfig, config, "dataset"), SourceLimits())
        return PsiRows("job_1", self.spec, source)

    def keys(self, party: str) -> list[bytes]:
        data = (self.folder / f"{party}.keys").read_bytes()
        return [data[at : at + ENGINE_KEY] for at in range(0, len(data), ENGINE_KEY)]

    def _match(self) -> None:
        """Write what an engine would say, in no order."""
        for own, other in ((A, B), (B, A)):
            theirs = set(self.keys(other))
            places = [at for at, key in enumerate(self.keys(own)) if key in theirs][::-1]
            self.matches(own).mkdir()
            np.save(self.matches(own) / f"{other}.npy", np.array(places, np.int64))

    def matches(self, party: str) -> Path:
        return self.folder / f"matches-{party}"

    def result(self, party: str, *, handed: bool = True) -> tuple[list[int], list[dict[str, Any]]]:
        (other,) = self.spec.others(party)
        theirs = {other: self.folder / f"from-{other}"} if handed else {}
        for path in theirs.values():
            self.rows[other].write_shown(other, party, self.matches(other), path)
        path = self.folder / f"result-{party}"
        counts = self.rows[party].write_result(party, self.matches(party), theirs, path)
        return counts.tolist(), pq.read_table(path).to_pylist()


def test_keys_are_listed_once_and_committed_to(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    sums = pair.counts[A].tolist()
    assert dict(zip(COUNTS, sums, strict=False)) == {
        "rows": 6, "keys": 3, "missing": 1, "malformed": 1, "repeated": 1,
    }  # fmt: skip
    first = sums[len(COUNTS) + COMMITMENT :]
    assert [first[at] for at in (0, FIRST, 2 * FIRST)] == [3, 4, 5]
    keys = pair.keys(A)
    assert keys == sorted(set(keys))
    listed = pair.rows[A]._keys(A)
    found = commit_keys(b"a" * 32, 3, listed.digests())
    assert bytes(sums[len(COUNTS) :][:COMMITMENT]).hex() == found
    assert len(b"".join(listed.digests())) == 3 * KEY_BYTES
    assert len(set(pair.keys(A)) & set(pair.keys(B))) == 2  # written otherwise at each side


MATCHING = [
    {"row": 1, "phone": "13800138000", "age": 1.0, "city": "Gz"},
    {"row": 6, "phone": "13700137000", "age": 6.0, "city": "Bj"},
]
UNMATCHED = {"row": 2, "phone": "13900139000", "age": 2.0, "city": None}
OTHERS = {"row": None, "phone": None, "age": None, "city": "Sh"}


@pytest.mark.parametrize(
    ("join", "expected"),
    [
        ("inner", MATCHING),
        ("left", [MATCHING[0], UNMATCHED, MATCHING[1]]),
        ("right", [*MATCHING, OTHERS]),
        ("full", [MATCHING[0], UNMATCHED, MATCHING[1], OTHERS]),
    ],
)
def test_a_join_has_the_rows_that_it_says(
    tmp_path: Path, join: str, expected: list[dict[str, Any]]
) -> None:
    pair = Pair(tmp_path, join=join)
    counts, found = pair.result(A)
    assert counts == [len(expected), 2]
    matched = [row.pop("matched", True) for row in found]
    assert found == expected
    assert [row in MATCHING for row in expected] == matched


def test_the_other_partys_result_is_the_mirror_of_it(tmp_path: Path) -> None:
    counts, found = Pair(tmp_path, join="left").result(B)
    assert counts == [3, 2]
    assert [(row["row"], row["city"], row["age"], row["matched"]) for row in found] == [
        (1, "Bj", 6.0, True), (3, "Gz", 1.0, True), (None, None, 2.0, False),
    ]  # fmt: skip


def test_a_difference_has_rows_without_a_match_alone(tmp_path: Path) -> None:
    sides = [{"party": A, "key": ["phone"]}, {"party": B, "key": ["msisdn"]}]
    pair = Pair(tmp_path, join="difference", sides=sides)
    assert pair.result(A, handed=False) == ([1, 2], [{"row": 2, "phone": "13900139000"}])


def test_several_parties_share_what_all_of_them_have(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    third = pair.matches(A) / "bank-c.npy"
    np.save(third, np.array([pair.keys(A).index(min(pair.keys(A)))], np.int64))
    assert len(pair.rows[A]._places(A, pair.matches(A))) == 2
    roster = [*ROSTER, {"party": "bank-c", "key": "c" * 44, "dataset": "c"}]
    sides = [{"party": one["party"], "key": ["phone"]} for one in roster]
    pair.rows[A]._spec = specified(roster, sides=sides)
    shared = pair.rows[A]._places(A, pair.matches(A))
    assert set(shared) <= {0}


@pytest.mark.parametrize("said", [b"", b"no array", np.array([[1]]), np.array([0.5]), "pickle"])
def test_what_is_no_list_of_places_is_refused(tmp_path: Path, said: Any) -> None:
    pair = Pair(tmp_path)
    path = pair.matches(A) / f"{B}.npy"
    if isinstance(said, bytes):
        path.write_bytes(said)
    else:
        np.save(path, np.array([{}], object) if isinstance(said, str) else said)
    with pytest.raises(Exception, match="no list of places"):
        pair.result(A)


def told(keys: list[bytes], count: int | None = None, most: int = 3) -> bytes:
    number = len(keys) if count is None else count
    return number.to_bytes(8, "big") + b"".join(keys) + bytes(16 * (most - len(keys)))


def test_told_keys_are_places_again_at_whoever_is_told(tmp_path: Path) -> None:
    pair, path = Pair(tmp_path), tmp_path / "told"
    digests = list(pair.rows[A]._keys(A).digests())
    for places in ([], [0], [2], [0, 2], [0, 1, 2]):
        write_told(digests, np.array(places, np.int64), 3, path)
        assert path.stat().st_size == 8 + 3 * ENGINE_KEY
        split = [digests[0][: 2 * KEY_BYTES], digests[0][2 * KEY_BYTES :]]  # in blocks as well
        assert read_told(path, split, B).tolist() == places


@pytest.mark.parametrize("wrong", ["twice", "order", "other", "short", "endless"])
def test_told_keys_that_are_no_part_of_the_list_are_refused(tmp_path: Path, wrong: str) -> None:
    pair, path = Pair(tmp_path), tmp_path / "told"
    keys = pair.keys(A)
    path.write_bytes({
        "twice": told([keys[0], keys[0]]),
        "order": told([keys[1], keys[0]]),
        "other": told([keys[0], b"\xff" * ENGINE_KEY]),
        "short": told([keys[0]])[:20],
        "endless": told(keys, 1 << 60),
    }[wrong])  # fmt: skip
    with pytest.raises(SecureFlowError) as caught:
        read_told(path, pair.rows[A]._keys(A).digests(), B)
    assert (caught.value.code, caught.value.details["party"]) == ("peer_result_malformed", B)
