"""Pictures of evaluations show the figures, are well-formed and escaped, in both languages."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from secureflow.application.reports.page import render
from secureflow.application.reports.pictures.evaluation import pictures
from secureflow.engines.evaluation.binary import Costs
from secureflow.engines.evaluation.figures import evaluate, evaluate_party
from secureflow.engines.evaluation.layout import AnyForm, ClassesForm
from secureflow.engines.evaluation.stability import stability
from secureflow.engines.evaluation.tally import tally
from secureflow.texts import catalogue
from tests.unit.engines.evaluation.rows import BINARY, CLASSES, NUMBER, PRIVATE, Rows, rows_of

FORMS = [BINARY, CLASSES, NUMBER, *PRIVATE]
HOSTILE = [None, True, -1, 0, 1e308, float("nan"), float("inf"), "<b>x</b>", [], {}, [[1, "2"]]]
NAME = "mdl_0a"


def evaluation(form: AnyForm, models: int = 2, count: int = 800) -> dict[str, Any]:
    """Return the JSON of a report: models on the rows of two parties."""
    found = []
    for at in range(models):
        rows = rows_of(form, count=count, seed=60 + at)
        parts = {
            name: evaluate_party(form, tally(form, rows.outputs[one::2], rows.labels[one::2]))
            for one, name in enumerate(("bank-a", "bank-b"))
        }
        told = evaluate(form, rows.totals(form), parties=3, costs=Costs(1.0, 4.0))
        found.append({"job": "job_1", "model": f"mdl_{at}a", **told, "parties": parts})
    later = rows_of(form, count=500, seed=70).totals(form)
    for one in found:
        one["psi"] = stability(form, one["distribution"], later)
    return json.loads(json.dumps({"models": found}))  # type: ignore[no-any-return]


def parsed(markup: str) -> ET.Element:
    return ET.fromstring(f"<main>{markup}</main>")


def words(element: ET.Element, hidden: str) -> Iterator[str]:
    """Return the texts of a page in one language, those of the other left out."""
    if element.get("class") == hidden:
        return
    yield element.text or ""
    for child in element:
        yield from words(child, hidden)
        yield child.tail or ""


@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_pictures_are_well_formed_and_have_unique_ids(form: AnyForm) -> None:
    page = parsed(pictures(evaluation(form)))
    ids = [one.get("id") for one in page.iter() if one.get("id")]
    assert len(ids) == len(set(ids)) == len(list(page.iter("svg")))
    assert {one.get("aria-labelledby") for one in page.iter("svg")} == set(ids)
    for one in page.iter():
        assert one.tag not in ("script", "style", "img", "a", "use")
        for name in ("x", "y", "cx", "cy", "x1", "x2", "y1", "y2"):
            if name in one.attrib:
                assert 0 <= float(one.attrib[name]) <= 320
        if "d" in one.attrib:
            assert re.fullmatch(r"M[\d.]+ [\d.]+( L[\d.]+ [\d.]+)*", one.attrib["d"])


@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_everything_is_told_in_both_languages(form: AnyForm) -> None:
    page = parsed(pictures(evaluation(form)))
    names = {"AUC", "ROC", "KS", "F", "mdl", "bank", "low", "middle", "high", "rare"}
    chinese = set(re.findall(r"[A-Za-z]{2,}", " ".join(words(page, "en"))))
    assert chinese <= names, chinese - names
    english = " ".join(words(page, "zh"))
    assert not re.search(r"[\u4e00-\u9fff]", english)


def test_each_form_has_its_pictures() -> None:
    def captions(form: AnyForm) -> str:
        return "".join(words(parsed(pictures(evaluation(form))), "zh"))

    binary = captions(BINARY)
    for said in ("ROC curve", "KS:", "Gains", "Lift", "Calibration", "Confusion matrix",
                 "Thresholds", "cost of a false positive: 1.0000", "Models by parties (auc)",
                 "All models", "Share of rows in each group"):  # fmt: skip
        assert said in binary, said
    assert "Residuals" not in binary
    classes = captions(CLASSES)
    assert all(said in classes for said in ("ROC curve", "Calibration", "Each class", "matrix"))
    number = captions(NUMBER)
    assert "Residuals" in number
    assert "Models by parties (rmse)" in number
    assert "Confusion" not in number


def test_the_roc_curve_lies_where_its_points_do() -> None:
    told = evaluation(BINARY, models=1)
    page = parsed(pictures(told))
    path = next(one for one in page.iter("path"))
    drawn = np.array([one.split() for one in path.attrib["d"][1:].split(" L")], float)
    points = np.array(told["models"][0]["curves"]["roc"])
    assert len(drawn) == len(points)
    assert np.allclose(drawn[:, 0], 46 + points[:, 0] * 262, atol=0.06)
    assert np.allclose(drawn[:, 1], 208 - points[:, 1] * 196, atol=0.06)


def test_the_gap_of_ks_is_where_it_is_greatest() -> None:
    told = evaluation(BINARY, models=1)
    page = parsed(pictures(told))
    (gap,) = [one for one in page.iter("line") if one.get("class") == "gap"]
    assert gap.attrib["x1"] == gap.attrib["x2"]
    length = abs(float(gap.attrib["y1"]) - float(gap.attrib["y2"])) / 196
    assert length == pytest.approx(told["models"][0]["figures"]["ks"], abs=0.001)


def test_bars_and_points_are_those_of_the_report() -> None:
    told = evaluation(NUMBER, models=1)
    page = parsed(pictures(told))
    titles = [one.text or "" for one in page.iter("title")]
    for low, high, rows in told["models"][0]["curves"]["residuals"]:
        assert f"{low:.4g} – {high:.4g}: {rows:,.0f}" in titles
    told = evaluation(BINARY, models=1)
    page = parsed(pictures(told))
    assert len(list(page.iter("circle"))) == len(told["models"][0]["curves"]["calibration"])


def test_a_matrix_shows_every_count_with_its_share() -> None:
    told = evaluation(CLASSES, models=1)
    page = parsed(pictures(told))
    (table,) = [one for one in page.iter("table") if one.get("class") == "matrix"]
    cells = [one.text for one in table.iter("td")]
    rows = told["models"][0]["curves"]["matrix"]["rows"]
    assert cells == [f"{one:,}" for line in rows for one in line]
    shades = [one.get("class") for one in table.iter("td")]
    assert shades[0] == f"n h{round(10 * rows[0][0] / sum(rows[0]))}"


def test_the_best_model_of_each_party_is_in_bold() -> None:
    for form, better in ((BINARY, max), (NUMBER, min)):
        told = evaluation(form, models=3)
        page = parsed(pictures(told))
        (table,) = [one for one in page.iter("table") if one.get("class") == "sites"]
        main = "auc" if form is BINARY else "rmse"
        for place, name in ((2, "bank-a"), (3, "bank-b")):
            values = [one["parties"][name][main] for one in told["models"]]
            bold = [row[place].find("b") is not None for row in table.find("tbody") or []]
            assert bold == [value == better(values) for value in values]
        low, high = told["models"][0]["intervals"][main]
        assert f"{low:,.4f} – {high:,.4f}" in pictures(told)


def test_a_party_s_figure_stands_with_what_noise_alone_moves_it_by() -> None:
    told = evaluation(BINARY, models=2)
    assert "± " not in pictures(told)
    told["models"][0]["parties_noise"] = {"bank-a": {"auc": 0.05}, "bank-b": {"auc": "x"}}
    (table,) = [one for one in parsed(pictures(told)).iter("table") if one.get("class") == "sites"]
    cells = ["".join(cell.itertext()) for cell in table.iter("td")]
    assert [cell.partition("± ")[2] for cell in cells if "± " in cell] == ["0.0980"]


def test_models_are_called_by_their_names_beside_their_digests() -> None:
    told = evaluation(BINARY)
    for at, one in enumerate(told["models"]):
        one["name"] = f"risk@{at}"
    page = pictures(told)
    assert "risk@0<small>mdl_0a</small>" in page
    assert "risk@1 (mdl_1a)" in page


def test_without_lines_of_parties_one_model_needs_no_comparison() -> None:
    told = evaluation(BINARY, models=1)
    told["models"][0]["parties"] = None
    told["models"][0]["psi"] = None
    shown = pictures(told)
    assert "Models by parties" not in shown
    assert "Share of rows in each group" not in shown
    assert "ROC curve" in shown


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_few_rows_have_pictures_or_none(form: AnyForm, count: int) -> None:
    rows = rows_of(form, count=5)
    few = Rows(rows.outputs[:count], rows.labels[:count])
    told = evaluate(form, few.totals(form))
    parsed(pictures({"models": [{"model": NAME, **told, "parties": None}]}))


def test_what_the_centre_writes_is_escaped() -> None:
    form = ClassesForm(private=False, classes=("</text><script>alert(1)</script>", "b&\"'"))
    rows = Rows(np.eye(2, dtype=np.float32), np.arange(2, dtype=np.float32))
    told = evaluate(form, rows.totals(form))
    model = {"model": '<img src=x onerror="a">', **told, "parties": {"<i>p</i>": told["figures"]}}
    told["thresholds"] = [
        {"marks": ["<u>"], **dict.fromkeys(("threshold", "flagged", "tp", "fp", "fn", "tn"), 1)}
    ]
    shown = pictures({"models": [model, {**model, **told}]})
    page = parsed(shown)
    tags = {one.tag for one in page.iter()}
    assert not tags & {"script", "img", "i", "u"}
    assert "&lt;script&gt;" in shown
    report = {"name": "n", "job": "j", "evaluation": {"models": [model]}}
    whole = render(report)
    assert "<script" not in whole
    assert "<img" not in whole


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, {"models": 5}, {"models": [1, [], {}]}])
def test_no_evaluation_has_no_pictures(value: Any) -> None:
    assert pictures(value) == ""


def _paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield before
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _paths(one, (*before, name))
    elif isinstance(value, list):
        for at, one in enumerate(value[:2]):
            yield from _paths(one, (*before, at))


@pytest.mark.parametrize("form", [BINARY, CLASSES, NUMBER], ids=lambda form: form.name)
def test_a_report_of_another_shape_still_has_a_page(form: AnyForm) -> None:
    """It comes from the centre: what is no number or no list is left out."""
    told, chosen = evaluation(form, models=1, count=200), random.Random(17)
    paths = [path for path in _paths(told) if path]
    for _ in range(50):
        changed = copy.deepcopy(told)
        for _ in range(2):
            *before, last = chosen.choice(paths)
            inside: Any = changed
            try:
                for one in before:
                    inside = inside[one]
                inside[last] = chosen.choice(HOSTILE)
            except (TypeError, KeyError, IndexError):
                continue  # the first change removed it
        parsed(pictures(changed))


def test_long_lists_are_cut_off() -> None:
    points = [[one / 1e5, one / 1e5] for one in range(100_000)]
    model = {"model": NAME, "curves": {"roc": points}, "figures": {}}
    assert len(pictures({"models": [model] * 300})) < 2_500_000


def test_the_page_of_a_report_holds_them_once() -> None:
    told = evaluation(BINARY, models=1)
    for language in ("en", "zh"):
        page = render({"name": "n", "job": "j", "evaluation": told}, language)
        assert page.count('id="m0-roc"') == 1
        assert ".h10 { background" in page
    assert "<svg" not in render({"name": "n", "job": "j"})


def test_marks_are_words_of_the_catalogue() -> None:
    from secureflow.application.reports.pictures.tables import _MARKS

    lines = evaluation(BINARY, models=1)["models"][0]["thresholds"]
    marks = {mark for line in lines for mark in line["marks"]}
    assert marks == _MARKS.keys()
    assert set(_MARKS.values()) <= catalogue().keys()
