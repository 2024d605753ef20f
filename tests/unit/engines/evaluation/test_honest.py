"""What so many rows can show is said plainly, in both languages; sections say every figure."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from secureflow.domain.specs.evaluation import Costs
from secureflow.engines.evaluation.figures import evaluate, evaluate_party
from secureflow.engines.evaluation.layout import sigma_of, unit_of
from secureflow.engines.evaluation.sections import sections, shortened
from secureflow.engines.evaluation.stability import stability
from secureflow.kit.text import text_in
from secureflow.texts import catalogue, chinese
from tests.unit.engines.evaluation.rows import (
    BINARY,
    CLASSES,
    NUMBER,
    PRIVATE,
    Rows,
    binary_rows,
    rows_of,
)

CJK = re.compile(r"[\u4e00-\u9fff]")


def _lines(found: dict[str, Any]) -> list[str]:
    """Return the lines, each with its facts as a stored report has them."""
    return [text_in(one, "line") for one in found["honest"]]


def test_the_first_line_says_what_cannot_be_told_apart() -> None:
    rows = binary_rows(9768, rate=0.0422, seed=41)
    found = evaluate(BINARY, rows.totals(BINARY))
    low, high = found["intervals"]["auc"]
    first = _lines(found)[0]
    assert first == (
        f"With {int(rows.labels.sum()):,} positives among 9,768 rows an AUC of "
        f"{found['figures']['auc']:.3f} has a 95 % interval of {low:.3f} to {high:.3f}: models "
        f"that differ by less than about {(high - low) / 2:.3f} cannot be told apart here."
    )
    assert chinese(first).startswith("9,768 行中有")  # type: ignore[union-attr]
    for form, word in ((CLASSES, "accuracy"), (NUMBER, "root mean squared error")):
        assert word in _lines(evaluate(form, rows_of(form).totals(form)))[0]


@pytest.mark.parametrize(
    ("outputs", "labels", "said"),
    [
        ([], [], "No rows were evaluated."),
        ([0.1], [1.0], "1 row is too few to judge a model"),
        ([0.1] * 29, [1.0] + [0.0] * 28, "29 rows are too few to judge a model"),
        ([0.1] * 40, [0.0] * 40, "All rows are of one class"),
        ([0.1] * 40, [1.0] + [0.0] * 39, "Only 1 row is positive"),
        ([0.1] * 40, [1.0] * 38 + [0.0] * 2, "Only 2 rows are negative"),
        ([np.nan] + [0.1] * 9, [1.0, 0.0] * 5, "For 1 row the model computed no number"),
        ([0.101, 0.102] * 20, [1.0, 0.0] * 20, "the AUC may differ by up to 0.5000"),
    ],
)
def test_what_rows_cannot_show_is_said(
    outputs: list[float], labels: list[float], said: str
) -> None:
    rows = Rows(np.array(outputs, np.float32)[:, None], np.array(labels, np.float32))
    lines = _lines(evaluate(BINARY, rows.totals(BINARY)))
    assert any(said in line for line in lines), lines
    assert all(CJK.search(chinese(line) or "") for line in lines)


def test_a_margin_has_no_figures_of_probabilities() -> None:
    for form, left_out in (
        (BINARY, {"loss", "brier", "predicted_rate", "calibration_error"}),
        (CLASSES, {"loss", "brier", "calibration_error", "auc"}),
        (NUMBER, set()),
    ):
        totals = rows_of(form).totals(form)
        whole, found = (evaluate(form, totals, chances=one) for one in (True, False))
        assert whole["figures"].keys() - found["figures"].keys() == left_out
        kept = {name: value for name, value in whole["figures"].items() if name not in left_out}
        assert found["figures"] == kept == evaluate_party(form, totals, chances=False)
        for name in ("bounds", "intervals"):
            assert not found[name].keys() & left_out
        assert "calibration" not in found["curves"]
        said = [line for line in _lines(found) if "have no probability" in line]
        assert len(said) == (form is not NUMBER)
        assert all(CJK.search(chinese(line) or "") for line in said)


@pytest.mark.parametrize(("rows", "said"), [(600, True), (60_000, False)])
def test_great_noise_is_said(rows: int, said: bool) -> None:
    form = PRIVATE[0]
    unit, sigma = unit_of(form, 10.0), sigma_of(form, 10.0)
    noise = np.random.default_rng(2).normal(0, sigma, form.length).astype(np.int64)
    lines = _lines(
        evaluate(form, binary_rows(rows).totals(form, unit) + noise, unit=unit, sigma=sigma)
    )
    told = [line for line in lines if "noise is great" in line]
    assert len(told) == said
    assert all(CJK.search(chinese(line) or "") for line in told)


def test_enough_rows_are_not_called_few() -> None:
    lines = _lines(evaluate(BINARY, binary_rows(2000).totals(BINARY)))
    assert not any("single rows" in line or "no number" in line for line in lines)


def test_noise_and_a_chosen_threshold_are_named() -> None:
    form, unit = PRIVATE[0], unit_of(PRIVATE[0], 3.0)
    found = evaluate(
        form, binary_rows().totals(form, unit), unit=unit, sigma=6.0 * unit, costs=Costs(1, 4)
    )
    told = " ".join(_lines(found))
    assert f"± {1.959964 * found['noise']['auc']:.2g} in 95 of 100" in told
    assert "chosen on these rows" in told
    exact = " ".join(_lines(evaluate(BINARY, binary_rows().totals(BINARY))))
    assert "Noise" not in exact
    assert "chosen on these rows" not in exact


@pytest.mark.parametrize("form", [BINARY, CLASSES, NUMBER, *PRIVATE], ids=repr)
def test_sections_tell_every_figure_in_both_languages(form: Any) -> None:
    totals = rows_of(form).totals(form)
    found = evaluate(form, totals, sigma=float(5 << 24))
    shift = stability(form, found["distribution"], totals)
    told = sections({"models": [{"job": "j", "model": "m1", **found, "psi": shift}]})
    assert text_in(told[0], "title") == "Evaluation of m1"
    assert [row["label"] for row in told[0]["rows"]] == list(found["figures"])
    for one in told:
        assert CJK.search(chinese(text_in(one, "title")) or "")
        for row in one["rows"]:
            label, value = str(row["label"]), text_in(row, "value")
            assert label[:-1].isdigit() or label in catalogue(), label
            if re.search("[a-z]{2}", value):
                assert chinese(value) is not None, value
    if "auc" in found["figures"] and "auc" in found["intervals"]:
        low, high = found["intervals"]["auc"]
        (line,) = [row for row in told[0]["rows"] if row["label"] == "auc"]
        value = f"{found['figures']['auc']:.4f}"
        assert line["value"] == f"{value} (95 % interval {low:.4f} to {high:.4f})"
    assert told[-1]["rows"][0] == {"label": "PSI", "value": "0.0000"}


def test_numbers_are_shortened_to_their_digits() -> None:
    assert [shortened(one) for one in (0.0, 0.12345, 1234.567, 2e-7, -3.14159)] == [
        "0.0000", "0.1235", "1235", "2e-07", "-3.1416",
    ]  # fmt: skip
