"""Sums of rows: they add up over parties, and no row moves private ones by more than is stated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.domain.specs.evaluation import MAX_CLASSES
from secureflow.domain.specs.summed import LIMIT, MOST_ROWS, UNIT
from secureflow.engines.evaluation.layout import (
    CLASS_LOG_ODDS,
    LOG_ODDS,
    PRIVATE_LOG_ODDS,
    AnyForm,
    ClassesForm,
    form_for,
    sigma_of,
    unit_of,
)
from secureflow.engines.evaluation.plan import measured, party_sums
from secureflow.engines.evaluation.sums import projected, read
from secureflow.engines.evaluation.tally import tally
from secureflow.engines.privacy.gaussian import MAX_SIGMA
from secureflow.engines.training import metrics
from tests.unit.engines.evaluation.rows import BINARY, CLASSES, NUMBER, PRIVATE, Rows, rows_of
from tests.unit.engines.evaluation.world import FEATURES, MODELS, specified

ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "people"} for one in "abc"]
EXACT = (BINARY, CLASSES, NUMBER)
HOSTILE = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    0.25,
    1e-30,
    10.0,
    -10.0,
    3e38,
    -3e38,
    np.inf,
    -np.inf,
    np.nan,
]


def test_steps_and_caps_are_those_of_other_jobs() -> None:
    """So that the loss of a training job is that of the evaluation of its model."""
    assert unit_of(BINARY) == UNIT
    assert BINARY.factors["loss"] == metrics.LOSS_CAP
    assert PRIVATE[0].factors["loss"] == metrics.PRIVATE_LOSS_CAP


def test_cells_hold_their_upper_edge_and_zero_is_one() -> None:
    for grid in (LOG_ODDS, PRIVATE_LOG_ODDS, CLASS_LOG_ODDS):
        edges = grid.edges
        assert len(edges) == grid.count - 1
        assert 0.0 in edges
        assert np.array_equal(grid.cells(edges), np.arange(grid.count - 1))
        assert (np.diff(edges) > 0).all()
        assert grid.cells(np.array([1e38])) == grid.count - 1
        assert np.array_equal(grid.cells(grid.middles), np.arange(grid.count))


@pytest.mark.parametrize("form", EXACT, ids=lambda form: form.name)
def test_totals_of_parties_are_those_of_all_rows(form: AnyForm) -> None:
    rows = rows_of(form)
    pooled = tally(form, rows.outputs, rows.labels)
    off = np.abs(rows.totals(form) - pooled)
    assert off.max() <= 2  # 3 roundings of half a step, and one of the pooled sum
    for name in form.groups.keys() - {"predicted", "confidence"}:
        counts = read(form, pooled, UNIT).cells[name]
        assert np.array_equal(counts, np.rint(counts))


def test_a_long_party_is_reckoned_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(CLASSES)
    whole = tally(CLASSES, rows.outputs, rows.labels)
    monkeypatch.setattr("secureflow.engines.evaluation.tally._BLOCK", 97)
    assert np.abs(tally(CLASSES, rows.outputs, rows.labels) - whole).max() <= 1


@pytest.mark.parametrize("form", [*EXACT, *PRIVATE], ids=repr)
def test_the_greatest_party_stays_within_the_limit(form: AnyForm) -> None:
    """A row adds at most a unit to each sum, and a party has at most `MOST_ROWS`."""
    assert MOST_ROWS * UNIT <= LIMIT
    for row in _hostile(form):
        assert np.abs(tally(form, row.outputs, row.labels)).max() <= UNIT


@pytest.mark.parametrize("form", PRIVATE, ids=lambda form: form.name)
@pytest.mark.parametrize("multiplier", [0.5, 30.0])
def test_no_row_moves_private_sums_further_than_stated(form: AnyForm, multiplier: float) -> None:
    unit, rows = unit_of(form, multiplier), rows_of(form, count=50)
    before = tally(form, rows.outputs, rows.labels, unit)
    most = math.sqrt(form.moved) * unit
    moved = []
    for row in _hostile(form):
        outputs = np.concatenate([rows.outputs, row.outputs])
        labels = np.concatenate([rows.labels, row.labels])
        change = tally(form, outputs, labels, unit) - before
        assert np.array_equal(change, tally(form, row.outputs, row.labels, unit))
        moved.append(float(np.linalg.norm(change)))
    assert max(moved) <= most
    assert max(moved) >= 0.9 * most  # and what is stated is not more than it takes
    assert sigma_of(form, multiplier) == pytest.approx(multiplier * most)
    assert sigma_of(form, multiplier) <= MAX_SIGMA


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.floats(width=32), min_size=4, max_size=4), st.floats(width=32),
       st.sampled_from(PRIVATE), st.sampled_from([1, 2, 1 << 9, 1 << 24]))  # fmt: skip
def test_any_row_moves_private_sums_within_the_sensitivity(
    outputs: list[float], label: float, form: AnyForm, unit: int
) -> None:
    wide = 4 if isinstance(form, ClassesForm) else 1
    found = tally(form, np.array([outputs[:wide]], np.float32), np.array([label], np.float32), unit)
    assert np.linalg.norm(found.astype(np.float64)) <= math.sqrt(form.moved) * unit
    assert found[0] == unit  # every row counts, whatever it holds


@pytest.mark.parametrize("form", [*EXACT, *PRIVATE], ids=repr)
def test_no_rows_add_nothing(form: AnyForm) -> None:
    wide = 4 if isinstance(form, ClassesForm) else 1
    found = tally(form, np.zeros((0, wide), np.float32), np.zeros(0, np.float32))
    assert found.dtype == np.int64
    assert not found.any()


@pytest.mark.parametrize("form", EXACT, ids=lambda form: form.name)
def test_rows_without_output_are_counted(form: AnyForm) -> None:
    rows = rows_of(form, count=20)
    outputs = rows.outputs.copy()
    outputs[3:5] = np.nan
    found = read(form, tally(form, outputs, rows.labels), UNIT)
    assert found.numbers["undefined"] == 2
    assert found.rows == 20


def test_the_longest_vector_fits_in_a_round() -> None:
    most = ClassesForm(private=False, classes=tuple(map(str, range(MAX_CLASSES))))
    assert most.length < 1 << 16
    assert BINARY.length == 6 + 3 * 1286
    assert [one.length for one in PRIVATE] == [3 + 68, 2 + 16, 6 + 44]


def test_a_form_has_what_its_target_declares() -> None:
    from secureflow.domain.specs.targets import ClassesLabel, Label, NumberLabel

    assert form_for(Label("y", "1")) == BINARY
    assert form_for(ClassesLabel("y", ("low", "middle", "high", "rare"))) == CLASSES
    assert form_for(NumberLabel("y", (0.0, 100.0))) == NUMBER
    assert form_for(Label("y", "1"), private=True).moved == 4


def test_consistent_counts_are_the_nearest_of_their_sum() -> None:
    random = np.random.default_rng(5)
    for _ in range(20):
        noised = random.normal(3.0, 6.0, 12)
        total = max(float(noised.sum()), 1.0)
        found = projected(noised, total)
        assert found.min() >= 0
        assert found.sum() == pytest.approx(total)
        for _ in range(20):
            other = random.dirichlet(np.ones(12)) * total
            assert np.linalg.norm(found - noised) <= np.linalg.norm(other - noised) + 1e-9
    assert not projected(np.array([-1.0, -2.0]), -3.0).any()


def _hostile(form: AnyForm) -> list[Rows]:
    labels = [0.0, 1.0, -1.0, 0.3, -5.0, 77.0, np.nan, np.inf]
    if isinstance(form, ClassesForm):
        found = [[a, b, 0.0, -b] for a in HOSTILE[4:] for b in (0.0, 9.0, np.nan)]
    else:
        found = [[a] for a in HOSTILE]
    return [
        Rows(np.array([one], np.float32), np.array([label], np.float32))
        for one in found
        for label in labels
    ]


def test_a_party_alone_is_told_of_great_errors_as_all_are() -> None:
    """Only what noise must hide is capped there: a model that fails at one site must show it."""
    for value, label, outputs, names in (
        ({"column": "y", "bounds": [0, 100]}, 0.5, [-2.5], ("rmse", "mae", "bias", "mse")),
        ({"column": "y", "positive": "1"}, 1.0, [-20.0], ("loss", "brier")),
        ({"column": "y", "classes": ["a", "b"]}, 1.0, [20.0, 0.0], ("loss",)),
    ):
        features = {**FEATURES, "label": value}
        network = {**MODELS[1], "features": features}
        spec = specified(ROSTER, models=[network], per_party=True)
        rows = np.tile(np.array(outputs, np.float32), (12, 1)), np.full(12, label, np.float32)
        told = measured(spec, 1, party_sums(spec, 1, "bank-a", *rows), ("bank-a",))
        own: Any = told["parties"]
        for name in names:
            whole: Any = told["figures"]
            assert own["bank-a"][name] == pytest.approx(whole[name], rel=1e-5), name
