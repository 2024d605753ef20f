"""A list of keys on disk: sorted, each once, with its row; what has no key is counted by number."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.adapters.datasources import keylists
from secureflow.adapters.datasources.keylists import KeyCounts, KeyList, write_key_list
from secureflow.domain.specs.keyrules import KeyPart, KeyRules
from secureflow.engines.psi.normalise import KEY_BYTES, key_digest
from secureflow.kit.errors import SecureFlowError

RULES = KeyRules((KeyPart("trim"),))
CELLS = ["b", None, "a", " b ", "c", "", "a", "a"]


def put(folder: Path, cells: Iterable[str | None], size: int = 3) -> tuple[KeyCounts, KeyList]:
    folder.mkdir(exist_ok=True)
    column = list(cells)
    blocks = ([column[at : at + size]] for at in range(0, len(column), size))
    return write_key_list(folder, RULES, blocks), KeyList.open(folder)


def cut(blocks: Iterator[bytes]) -> list[bytes]:
    whole = b"".join(blocks)
    return [whole[at : at + KEY_BYTES] for at in range(0, len(whole), KEY_BYTES)]


def text(cell: str) -> str:
    return base64.urlsafe_b64encode(key_digest([cell])).decode()


def test_each_key_is_there_once_with_its_first_row(tmp_path: Path) -> None:
    counts, listed = put(tmp_path, CELLS)
    wanted = sorted(key_digest([cell]) for cell in "abc")
    assert listed.count == 3
    assert cut(listed.digests()) == wanted
    assert cut(listed.digests(1, 2)) == wanted[1:2]
    assert counts.as_json() == {
        "rows": 8,
        "keys": 3,
        "missing": {"rows": 2, "first": [2, 6]},
        "malformed": {},
        "repeated": {"rows": 3, "first": [4, 7, 8]},
    }
    rows = dict(zip("bac", (0, 2, 4), strict=True))
    assert {one: listed.rows_of([text(one)]).tolist() for one in "abc"} == {
        one: [rows[one]] for one in "abc"
    }
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["keys.bin", "rows.bin"]


def test_malformed_cells_are_counted_by_column(tmp_path: Path) -> None:
    rules = KeyRules((KeyPart("phone"), KeyPart("id_card")))
    phones = ["13800138000", "1", "1", "13800138000"]
    blocks = [[phones[:2], ["E1234567", "?"]], [phones[2:], ["E1234567", "?"]]]
    counts = write_key_list(tmp_path, rules, blocks)
    assert counts.as_json()["malformed"] == {
        "0": {"rows": 2, "first": [2, 3]},
        "1": {"rows": 1, "first": [4]},
    }


def test_only_the_first_rows_are_named(tmp_path: Path) -> None:
    counts, _ = put(tmp_path, ["x"] * 40 + [None] * 40)
    assert counts.repeated.as_json() == {"rows": 39, "first": list(range(2, 12))}
    assert counts.missing.as_json() == {"rows": 40, "first": list(range(41, 51))}


def test_the_order_is_that_of_the_keys_at_every_party(tmp_path: Path) -> None:
    names = [f"name {n}" for n in range(500)]
    _, here = put(tmp_path / "here", names, 64)
    _, there = put(tmp_path / "there", [*reversed(names), "more"], 99)
    common = [text(one) for one in names[::7]]
    ours = [names[row] for row in here.rows_of(common)]
    theirs = [[*reversed(names), "more"][row] for row in there.rows_of(reversed(common))]
    assert ours == theirs
    assert sorted(ours) == sorted(names[::7])


def test_buckets_hold_the_same_keys_at_both_sides(tmp_path: Path) -> None:
    _, one = put(tmp_path / "one", [f"{n}" for n in range(400)], 100)
    _, other = put(tmp_path / "other", [f"{n}" for n in range(200, 700)], 100)
    common = {key_digest([f"{n}"]) for n in range(200, 400)}
    found = set()
    ours, theirs = one.bounds(16), other.bounds(16)
    assert (len(ours), ours[0], ours[-1]) == (17, 0, 400)
    for at in range(16):
        mine = set(cut(one.digests(ours[at], ours[at + 1])))
        found |= mine & set(cut(other.digests(theirs[at], theirs[at + 1])))
    assert found == common
    assert one.bounds(1) == [0, 400]
    with pytest.raises(ValueError, match="power of two"):
        one.bounds(3)


def test_an_engine_reads_a_header_and_a_key_a_line(tmp_path: Path) -> None:
    _, listed = put(tmp_path, CELLS)
    listed.write_csv(tmp_path / "all.csv")
    lines = (tmp_path / "all.csv").read_text().splitlines()
    assert lines[0] == "key"
    assert sorted(lines[1:]) == sorted(text(one) for one in "abc")
    assert listed.rows_of(lines[1:]).tolist() == np.fromfile(tmp_path / "rows.bin", "<i8").tolist()
    listed.write_csv(tmp_path / "one.csv", 1, 2)
    assert (tmp_path / "one.csv").read_text().splitlines()[1:] == lines[2:3]


@pytest.mark.parametrize(
    "named",
    [[text("d")], [text("a"), text("a")], ["short"], ["?" * 32], ["é" * 32], ["=" * 32],
     [text("a")[:-1] + "=", text("b")], [text("a")[:-1], text("a")[-1] + text("b")]],
)  # fmt: skip
def test_an_engine_names_only_keys_of_the_list_and_each_once(
    tmp_path: Path, named: list[str]
) -> None:
    _, listed = put(tmp_path, CELLS)
    with pytest.raises(SecureFlowError) as caught:
        listed.rows_of(named)
    assert caught.value.code == "invalid_file"


def test_keys_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    keys = [bytes(8) + bytes([n]) * 16 for n in range(5)]
    (tmp_path / "keys.bin").write_bytes(b"".join(keys))
    np.arange(5, dtype="<i8").tofile(tmp_path / "rows.bin")
    listed = KeyList.open(tmp_path)
    texts = [base64.urlsafe_b64encode(one).decode() for one in keys]
    assert listed.rows_of([texts[3], texts[1]]).tolist() == [1, 3]
    absent = base64.urlsafe_b64encode(bytes(8) + b"\x09" * 16).decode()
    with pytest.raises(SecureFlowError):
        listed.rows_of([absent])


def test_keys_that_begin_alike_are_in_order_all_the_same() -> None:
    drawn = np.random.default_rng(5)
    keys = drawn.integers(0, 3, (400, 4)).astype(np.uint64)
    keys[:, 3] = drawn.permutation(400)
    ordered = keylists._sorted(keys)
    assert [tuple(one) for one in ordered.tolist()] == sorted(tuple(one) for one in keys.tolist())


def test_an_empty_list_is_a_list(tmp_path: Path) -> None:
    counts, listed = put(tmp_path, [None])
    assert (counts.keys, listed.count, list(listed.digests())) == (0, 0, [])
    assert listed.rows_of([]).tolist() == []
    assert listed.bounds(4) == [0, 0, 0, 0, 0]
    with pytest.raises(SecureFlowError):
        listed.rows_of([text("a")])


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    put(tmp_path, CELLS)
    for broken in (b"", b"x"):
        (tmp_path / "rows.bin").write_bytes(broken)
        with pytest.raises(SecureFlowError) as caught:
            KeyList.open(tmp_path)
        assert caught.value.code == "invalid_file"
    with pytest.raises(SecureFlowError):
        KeyList.open(tmp_path / "absent")


def test_what_fails_leaves_no_spool(tmp_path: Path) -> None:
    def blocks() -> Iterator[list[list[str]]]:
        yield [["a"]]
        raise OSError("torn")

    with pytest.raises(OSError, match="torn"):
        write_key_list(tmp_path, RULES, blocks())
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([None, "", *"abcdefgh"]), max_size=40), st.integers(1, 7))
def test_any_rows_in_any_blocks_are_one_list(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str | None], size: int
) -> None:
    counts, listed = put(tmp_path_factory.mktemp("list"), cells, size)
    wanted = {key_digest([cell]) for cell in cells if cell}
    assert cut(listed.digests()) == sorted(wanted)
    assert counts.rows == counts.keys + counts.repeated.count + counts.missing.count == len(cells)
    assert keylists.FIRST == 10
