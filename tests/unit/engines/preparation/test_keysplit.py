from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureflow.domain.specs.heldout import HeldOut
from secureflow.domain.specs.split import KeySplit, is_share
from secureflow.domain.specs.training import TrainingPlan
from secureflow.engines.preparation import held_by_key, parts_by_key
from secureflow.engines.preparation.keysplit import held_out, key_places, key_text
from secureflow.kit.errors import SecureFlowError

SECRET = bytes(range(32))
PERSONS = np.array([f"person-{number}" for number in range(4_000)], dtype=object)
texts = st.text(max_size=12)


def chosen(keys: np.ndarray, held: np.ndarray) -> set[object]:
    return set(keys[held].tolist())


@given(st.lists(texts | st.none(), max_size=60), st.integers(0, 100), st.integers(0, 100))
def test_what_a_smaller_share_holds_out_a_larger_one_does_too(
    keys: list[str | None], one: int, other: int
) -> None:
    cells = np.array([*keys, None], dtype=object)[:-1]
    few, many = (held_out(cells, SECRET, part / 100) for part in sorted((one, other)))
    assert not (few & ~many).any()


@given(st.lists(texts, max_size=60), st.integers(2, 20))
def test_folds_partition_the_rows_and_equal_keys_stay_together(keys: list[str], count: int) -> None:
    cells = np.array([*keys, *keys, None], dtype=object)
    folds = [held_out(cells, SECRET, None, (count, fold)) for fold in range(count)]
    keyed = np.array([bool(one and key_text(one)) for one in cells])
    assert (np.sum(folds, axis=0) == keyed).all()
    half = len(keys)
    assert all((fold[:half] == fold[half:-1]).all() for fold in folds)


@given(st.permutations(list(range(40))), st.integers(0, 40))
def test_rows_that_are_sorted_added_or_removed_move_no_row(order: list[int], left: int) -> None:
    cells = PERSONS[:40]
    held = held_out(cells, SECRET, 0.3)
    assert (held_out(cells[order], SECRET, 0.3) == held[order]).all()
    assert (held_out(cells[:left], SECRET, 0.3) == held[:left]).all()


def test_shares_and_folds_are_as_large_as_they_say() -> None:
    assert 330 < held_out(PERSONS, SECRET, 0.1).sum() < 470
    assert not held_out(PERSONS, SECRET, 0.0).any()
    assert held_out(PERSONS, SECRET, 1.0).all()
    for fold in range(3):
        assert 1_200 < held_out(PERSONS, SECRET, None, (3, fold)).sum() < 1_470


def test_two_jobs_differ_by_whole_hundredths_of_the_keys() -> None:
    """With finer parts a submitter could have two jobs that differ in one person."""
    places = key_places(PERSONS, SECRET)
    parts = [held_out(PERSONS, SECRET, share / 100) for share in (5, 6, 10, 33, 34, 50)]
    parts += [held_out(PERSONS, SECRET, None, (count, 0)) for count in (3, 7, 19, 20)]
    for one, other in itertools.combinations(parts, 2):
        for place in np.unique(places[one ^ other]):
            assert (one ^ other)[places == place].all()
    assert sorted(np.unique(places)) == list(range(100))


def test_another_owner_holds_out_others() -> None:
    mine = chosen(PERSONS, held_out(PERSONS, SECRET, 0.2))
    theirs = chosen(PERSONS, held_out(PERSONS, b"\x09" * 32, 0.2))
    assert len(mine & theirs) < 0.3 * len(mine)  # a fifth of it is expected: independent draws


def test_the_draw_of_a_key_never_changes() -> None:
    """A released version must hold out the same rows as the ones before it."""
    cells = np.array(["ada", "17", "李雷", "x@y.example", None, " "], dtype=object)
    assert key_places(cells, SECRET).tolist() == [6, 53, 23, 86, -1, -1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("17", 17.0), ("17", " 17 "), ("17", "017"), ("17", "+17"), ("17", "17.00"),
        ("1000", "1e3"), ("0", -0.0), ("-5", -5.0), ("0.5", ".50"), ("0.5", 0.5),
        ("é", "e\u0301"), ("9007199254740992", 9007199254740992.0), ("0.0000001", 1e-7),
    ],
)  # fmt: skip
def test_one_key_has_one_text_in_every_format(one: object, other: object) -> None:
    assert key_text(one) == key_text(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("17", "18"), ("a", "A"), ("1.5", "15"), ("-5", "5"),
        ("12345678901234567890", "12345678901234567891"),
        ("123456789012345678", "123456789012345679"), ("1" * 500, "1" * 501),
    ],
)  # fmt: skip
def test_keys_that_differ_have_other_texts(one: object, other: object) -> None:
    assert key_text(one) != key_text(other)


@given(st.text(alphabet="0123456789+-.eE", max_size=30) | st.text(max_size=30))
def test_any_text_has_a_text(word: str) -> None:
    assert len(key_text(word)) <= 1_100


def test_a_row_without_a_key_is_never_held_out() -> None:
    words = np.array([None, "", "  "], dtype=object)
    for cells in (words, np.array([np.nan, np.nan])):
        assert not held_out(cells, SECRET, 1.0).any()
        assert not any(held_out(cells, SECRET, None, (2, fold)).any() for fold in range(2))


def test_numbers_and_words_of_one_column_are_the_same_keys() -> None:
    numbers = np.arange(500.0)
    words = np.array([str(one) for one in range(500)], dtype=object)
    assert (key_places(numbers, SECRET) == key_places(words, SECRET)).all()


def test_a_plan_says_which_keys() -> None:
    share = TrainingPlan(validation=0.2, split=KeySplit("key"))
    fold = TrainingPlan(validation=0.1, split=KeySplit("key", 5, 3))
    assert (held_by_key(share, PERSONS, SECRET) == held_out(PERSONS, SECRET, 0.2)).all()
    assert (held_by_key(fold, PERSONS, SECRET) == held_out(PERSONS, SECRET, None, (5, 3))).all()


@pytest.mark.parametrize(
    "taken",
    [*(HeldOut(share=part / 100) for part in (1, 7, 29, 50)),
     *(HeldOut(folds=count, fold=fold) for count in (2, 7, 20) for fold in (0, count - 1))],
)  # fmt: skip
def test_rows_are_held_out_whose_places_a_spec_takes(taken: HeldOut) -> None:
    """Whether a model may have learned from measured rows is told from these places."""
    places = key_places(PERSONS, SECRET)
    expected = np.array([place in taken.places for place in places.tolist()])
    assert (held_out(PERSONS, SECRET, taken.share, taken.part) == expected).all()


def test_rows_that_are_held_out_are_never_trained_on_even_if_too_few_to_measure() -> None:
    held = np.array([True] * 9 + [False] * 5)
    train, valid = parts_by_key(held)
    assert train.tolist() == list(range(9, 14))
    assert not len(valid)
    assert len(parts_by_key(np.array([True] * 10 + [False]))[1]) == 10


def test_a_party_whose_rows_are_all_held_out_is_told_so() -> None:
    with pytest.raises(SecureFlowError, match="held out by its key") as error:
        parts_by_key(np.ones(30, np.bool_))
    assert error.value.code == "empty_dataset"


def test_shares_are_hundredths() -> None:
    assert all(is_share(part / 100) for part in range(101))
    assert not any(map(is_share, (0.105, 0.333, 1 / 3, 0.0999)))
