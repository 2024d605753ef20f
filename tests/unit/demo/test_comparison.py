"""Alone, together, pooled: a fair comparison, and a page that tells it in two languages."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import secureflow.demo
from secureflow.demo import comparison as comparing
from secureflow.demo import page
from secureflow.demo.comparison import Comparison, Federation, compare
from secureflow.demo.data import adult_study
from secureflow.demo.scores import Gain
from secureflow.demo.study import Study, columns_of
from secureflow.texts import catalogue

FOLDER = Path(secureflow.demo.__file__).parent
REPORT: dict[str, Any] = {
    "job": "job_0123456789", "kind": "training", "name": "income", "state": "succeeded",
    "protection": "sealed+secagg", "tee": "SIMULATED SGX 0", "rounds": 40,
}  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return adult_study(tmp_path_factory.mktemp("shares"))


@pytest.fixture(scope="module")
def comparison(study: Study) -> Comparison:
    """Compare with a federation in this process in place of a platform's."""
    parts = [comparing._training_rows(study, silo) for silo in comparing._silos(study)]
    federation = Federation(study, parts)
    return compare(study, dict(enumerate(federation.models(order=9), 1)), federation.moments)


@pytest.mark.slow
def test_together_is_better_than_every_bank_alone_and_close_to_pooled(
    comparison: Comparison,
) -> None:
    together, alone = comparison.together.score, comparison.alone
    assert together.accuracy >= 0.846
    assert together.auc >= 0.90
    assert [line.score.auc for line in alone.values()] == pytest.approx(
        [0.82, 0.89, 0.90], abs=0.01
    )
    assert comparison.best_alone == "bank-c"
    assert comparison.gain.sign == 1
    assert comparison.gain.auc == pytest.approx(together.auc - alone["bank-c"].score.auc)
    assert together.auc == pytest.approx(comparison.pooled.score.auc, abs=0.004)
    assert all(line.best <= together.auc for line in alone.values())  # nor at its best moment


def test_other_orders_of_the_rows_move_no_figure_by_more_than_they_say(
    comparison: Comparison,
) -> None:
    for line in (*comparison.alone.values(), comparison.together, comparison.pooled):
        low, high = line.orders
        assert low - 0.01 < line.score.auc < high + 0.01
        assert high - low < 0.01
        assert [number for number, _ in line.curve] == list(range(1, 41))


def test_nobody_trains_on_validation_or_test_rows(study: Study) -> None:
    for share, silo in zip(study.shares, comparing._silos(study), strict=True):
        part = comparing._training_rows(study, silo)
        assert len(part["age"]) == pytest.approx(0.9 * share.rows, rel=0.03)


@pytest.mark.slow
def test_the_page_shows_the_headline_first_and_digests_last(
    study: Study, comparison: Comparison
) -> None:
    report = REPORT | {"spec_digest": "ab" * 32}
    text = page.render(report, study, comparison)
    head, figure = f"Together: {comparison.together.score.auc:.3f}.", "What each owner gains"
    places = [text.index(part) for part in (head, "SIMULATED", figure, "ab" * 32)]
    assert places == sorted(places)
    for share in study.shares:
        assert f"{share.rows:,}" in text
        assert f"{share.positives:.1%}".replace("%", " %") in text
        assert f"{comparison.alone[share.party].score.auc:.3f}" in text
    assert "plays the operator and all owners" in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    for lang in ("en", "zh"):
        assert f'<html lang="{lang}">' in page.render(report, study, comparison, lang)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gain", "told"),
    [
        (Gain(0.01, 0.002), "better than that of every owner alone"),
        (Gain(0.001, 0.002), "cannot tell the joint model from"),
        (Gain(-0.01, 0.002), "alone is better than the joint model"),
    ],
)
def test_the_headline_claims_no_more_than_the_rows_show(
    study: Study, comparison: Comparison, gain: Gain, told: str
) -> None:
    assert told in page.render(REPORT, study, replace(comparison, gain=gain))


def test_nothing_on_the_page_is_wider_than_a_telephone(
    study: Study, comparison: Comparison
) -> None:
    """Tables and pictures scroll by themselves; long words, a digest above all, may break."""
    text = page.render(REPORT, study, comparison)
    assert re.search(r"dd, p, h1 { overflow-wrap: anywhere; }", text)
    assert text.count("<table") == text.count('<div class="scroll"><table')
    assert re.search(r"\.results td:first-child, \.results th { white-space: nowrap; }", text)


def test_the_page_escapes_what_a_table_brings(study: Study, comparison: Comparison) -> None:
    odd = replace(study, title="<b>{x}</b>", by="<i>{0}</i>", left_out={"<u>": "<s>"})
    text = page.render(REPORT, odd, comparison)
    for tag in ("<b>{", "<i>{", "<u>", "<s>"):
        assert tag not in text
    _Balanced().feed(text)


def test_every_text_of_the_demo_has_its_chinese_and_keeps_its_values() -> None:
    used = set()
    for path in {*FOLDER.glob("*.py")} - {FOLDER / "platform.py"}:  # it names steps
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _says(node.func) and node.args:
                (first, *_) = node.args
                used |= {n.value for n in ast.walk(first) if isinstance(n, ast.Constant)}
    template = (FOLDER / "templates" / "demo.html.jinja").read_text()
    used |= set(re.findall(r'"([^"]*)"\|both', template))
    used |= set(re.findall(r'say\("([^"]*)"', template))
    missing = {text for text in used if isinstance(text, str)} - set(catalogue())
    assert not missing


def test_columns_are_read_as_agents_read_them(study: Study) -> None:
    import pyarrow.parquet as pq

    from secureflow.adapters.datasources import open_source

    names = list(study.features.columns)
    silo = columns_of(pq.read_table(study.shares[0].path, columns=names))
    read = open_source(study.datasets["bank-a"]).read(names)
    for name in names:
        np.testing.assert_array_equal(silo[name], read[name])


def _says(function: ast.expr) -> bool:
    return getattr(function, "id", getattr(function, "attr", "")) in {"say", "_say"}


class _Balanced(HTMLParser):
    """Fails on a tag that nothing opened."""

    def __init__(self) -> None:
        super().__init__()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in {"meta", "input", "br", "circle", "line", "path", "rect"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"circle", "line", "path", "rect"}:
            assert self._open.pop() == tag
