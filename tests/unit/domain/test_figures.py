"""Figures for people: noised ones with ±, counts whole, nothing to more digits than it has."""

from __future__ import annotations

import pytest

from secureflow.domain.figures import answer_figures, metric_figures, plus_minus


@pytest.mark.parametrize(
    ("value", "error", "counts", "text"),
    [
        (812.25, 13.0, True, "812 ± 25"),
        (10_234.6, 1_200.0, True, "10,200 ± 2,400"),
        (10_234.6, 0.2, True, "10,235 ± 1"),
        (0.843219, 0.0061, False, "0.843 ± 0.012"),
        (0.843219, 61.0, False, "0 ± 120"),
        (41.7, 1e-12, False, "41.700000 ± 0.000000"),
    ],
)
def test_a_noised_figure(value: float, error: float, counts: bool, text: str) -> None:
    assert plus_minus(value, error, counts=counts) == text


def test_metrics_of_a_job_without_noise_are_plain() -> None:
    told = metric_figures({"metrics": {"rows": 6514.0, "auc": 0.91234567}})
    assert [(one.text, one.noised) for one in told] == [("6,514", False), ("0.9123", False)]


def test_an_earlier_report_without_errors_is_still_called_noised() -> None:
    told = metric_figures({"metrics": {"rows": 6514.3}, "privacy": {"metrics_noise": 4.0}})
    assert [(one.text, one.noised) for one in told] == [("6,514", True)]


@pytest.mark.parametrize(
    ("measure", "error", "texts"),
    [
        ("count", 1.7320508, ("3,000", "2,997", "3,004", "1.7")),  # no part of a row
        ("histogram", 0.34, ("3,000", "2,997", "3,004", "0.34")),
        ("count", 173.2, ("3,000", "3,000", "3,000", "170")),
        ("mean", 1.7320508, ("3,000.5", "2,997.1", "3,003.9", "1.7")),
        ("mean", 0.0017, ("3,000.4837", "2,997.0800", "3,003.8800", "0.0017")),
        ("sum", 0.0, (3000.4837, 2997.08, 3003.88, 0.0)),
    ],
)
def test_an_answer_has_the_digits_of_its_error(
    measure: str, error: float, texts: tuple[object, ...]
) -> None:
    row = {"value": 3000.4837, "low": 2997.08, "high": 3003.88, "standard_error": error}
    told = answer_figures({**row, "cell": "x"}, measure)
    assert tuple(told[name] for name in row) == texts
    assert told["cell"] == "x"
    nothing = {"value": None, "low": None, "high": None, "standard_error": None}
    assert answer_figures(nothing, measure) == nothing
