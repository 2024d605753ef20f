"""How rows are divided among simulated parties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureflow.kit.errors import SecureFlowError
from secureflow.simulation.partition import LEAST_ROWS, Partition, divide, drawn_shares


@pytest.mark.parametrize("text", ["iid", "dirichlet:0.5", "dirichlet:100", "by:age", "by:a:b"])
def test_partitions_are_read_and_written(text: str) -> None:
    assert str(Partition.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "IID", "dirichlet", "dirichlet:", "dirichlet:0", "dirichlet:-1", "dirichlet:x", "by:",
     "dirichlet:1e9", "dirichlet:1e-9", "dirichlet:nan", "by", "iid:3", "by:" + "x" * 129],
)  # fmt: skip
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(SecureFlowError) as refused:
        Partition.parse(text)
    assert refused.value.code == "invalid_partition"


@given(rows=st.integers(20, 400), parties=st.integers(2, 10), seed=st.integers(0, 99))
def test_iid_shares_are_equal_in_size_and_the_same_again(
    rows: int, parties: int, seed: int
) -> None:
    owners = divide(Partition(), rows, parties, seed)
    sizes = np.bincount(owners, minlength=parties)
    assert sizes.sum() == rows
    assert sizes.max() - sizes.min() <= 1
    assert (owners == divide(Partition(), rows, parties, seed)).all()


def test_another_seed_divides_in_another_way() -> None:
    first, second = (divide(Partition(), 1000, 4, seed) for seed in (1, 2))
    assert (first != second).any()


@pytest.mark.parametrize(("alpha", "most"), [(0.1, 1.0), (1000.0, 0.1)])
def test_small_alphas_skew_the_classes(alpha: float, most: float) -> None:
    """The largest difference between two parties' shares of class 1."""
    classes = np.arange(6000) % 2
    owners = divide(Partition(alpha), 6000, 5, 7, classes=classes)
    shares = [classes[owners == party].mean() for party in range(5)]
    spread = max(shares) - min(shares)
    assert (spread > 0.5) if most == 1.0 else (spread < most)
    assert np.bincount(owners, minlength=5).min() >= LEAST_ROWS


def test_all_rows_of_every_class_are_given_to_somebody() -> None:
    classes = np.repeat(np.arange(3), [50, 30, 7])
    owners = divide(Partition(0.5), 87, 4, 3, classes=classes)
    assert set(owners.tolist()) == {0, 1, 2, 3}
    assert len(owners) == 87


@pytest.mark.parametrize("alpha", [0.05, 0.5, 1.0, 3.0, 40.0])
def test_shares_have_dirichlets_distribution(alpha: float) -> None:
    """As NumPy draws it: 4,000 draws are compared with 20,000 of its own.

    Shares below 10⁻⁹ count as none: NumPy's last one is what the others leave, which is nothing
    more often than it should.
    """
    words, parties = np.random.PCG64(11), 5
    ours = np.array([drawn_shares(alpha, parties, words) for _ in range(4000)])
    theirs = np.random.default_rng(5).dirichlet(np.full(parties, alpha), 20_000)
    assert np.allclose(ours.sum(axis=1), 1)
    mean = 1 / parties
    spread = mean * (1 - mean) / (parties * alpha + 1)
    assert np.allclose(ours.mean(axis=0), mean, atol=5 * np.sqrt(spread / 4000))
    assert np.allclose(ours.var(axis=0), spread, rtol=0.1)
    ours, theirs = ours.round(9), theirs.round(9)
    for party in range(parties):  # Kolmogorov and Smirnov's distance; 0.035 is passed by chance
        places = np.sort(np.concatenate((ours[:, party], theirs[:, party])))  # once in 10^4 seeds
        below = [
            np.searchsorted(np.sort(one[:, party]), places, side="right") / len(one)
            for one in (ours, theirs)
        ]
        assert np.abs(below[0] - below[1]).max() < 0.035


def test_the_smallest_alpha_gives_whole_shares() -> None:
    """Of a thousandth the Gamma values themselves are below every float."""
    words = np.random.PCG64(3)
    drawn = np.array([drawn_shares(1e-3, 3, words) for _ in range(600)])
    assert np.isfinite(drawn).all()
    assert np.abs((drawn > 0.5).mean(axis=0) - 1 / 3).max() < 0.08


def test_shares_do_not_depend_on_numpys_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its streams may change with any version; these are written down."""
    monkeypatch.delattr(np.random, "Generator")
    classes, cells = np.arange(12) % 2, np.array([1.0, 2.0] * 6)
    shares = [
        divide(Partition(), 12, 3, 7),
        divide(Partition(2.0), 12, 3, 7, classes=classes),
        divide(Partition(column="x"), 12, 3, 7, cells=cells),
    ]
    told = ["".join(map(str, one.tolist())) for one in shares]
    assert told == ["121002022110", "201101022221", "021102021201"]


def test_numbers_are_cut_where_they_are_sorted() -> None:
    ages = np.array([30.0, 20.0, np.nan, 50.0, 40.0, 10.0])
    owners = divide(Partition(column="age"), 6, 3, 7, cells=ages)
    assert owners.tolist() == [1, 0, 2, 2, 1, 0]  # unknown ages last


def test_words_stay_whole_and_sizes_are_close() -> None:
    cells = np.array(["a"] * 50 + ["b"] * 30 + ["c"] * 15 + [None] * 10, dtype=object)
    owners = divide(Partition(column="ward"), 105, 2, 7, cells=cells)
    for start, end in ((0, 50), (50, 80), (80, 95), (95, 105)):
        assert len(set(owners[start:end].tolist())) == 1
    assert sorted(np.bincount(owners).tolist()) == [50, 55]


@pytest.mark.parametrize(
    ("partition", "rows", "parties", "reason"),
    [
        (Partition(), 7, 4, "7 rows are too few for 4 parties"),
        (Partition(0.5), 100, 4, "the label has no classes"),
        (Partition(column="w"), 40, 4, "the column has 2 values for 4 parties"),
        (Partition(column="w"), 39, 3, "a value stands in fewer than 2 rows"),
    ],
)
def test_what_cannot_be_divided_is_said(
    partition: Partition, rows: int, parties: int, reason: str
) -> None:
    cells = np.array(["a", *["b"] * 20, *["c"] * 18][:rows], dtype=object)
    if parties == 4:
        cells = np.array(["a", "b"] * 20, dtype=object)
    with pytest.raises(SecureFlowError) as refused:
        divide(partition, rows, parties, 7, cells=cells)
    assert refused.value.code == "partition_impossible"
    assert reason in refused.value.message


def test_a_draw_that_leaves_a_party_without_rows_is_given_up() -> None:
    with pytest.raises(SecureFlowError) as refused:
        divide(Partition(1e-3), 40, 10, 7, classes=np.zeros(40, np.int64))
    assert "some of 10 parties kept fewer than 2 rows" in refused.value.message
