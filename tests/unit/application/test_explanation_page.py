"""The page of an explanation: it tells what the explanation does, escaped, in two languages."""

from __future__ import annotations

from typing import Any

import pytest
from peers.private_jobs import private_spec

from secureflow.application.reports.explanation import render
from secureflow.engines.privacy.accounting import Mechanism, curve
from secureflow.engines.training.explanation import explanation
from secureflow.kit.text import Text, with_texts
from tests.unit.application.test_reports import Balanced

ACCOUNTING = {
    "curve": curve(Mechanism("gaussian", 2.0)),
    "epsilon": {"pld": 3.0, "rdp-cks20": 4.0, "rdp-filter": 5.0},
}
GONE = {"party": "bank-b", "round": 2, "stage": "train", "code": "party_silent", "reason": "…"}


def explained(**changes: Any) -> dict[str, Any]:
    told = explanation(
        private_spec(),
        tee="SIMULATED SGX",
        accounting=ACCOUNTING,
        rounds=[{"round": 1}, {"round": 2}],
        dropouts=[GONE],
    )
    return {"job": "job_00000000", "name": "Income model", "state": "running", **told, **changes}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_tells_all_of_it_and_needs_nothing(lang: Any) -> None:
    told = explained()
    page = render(told, lang)
    parser = Balanced()
    parser.feed(page)
    assert not parser.open
    assert not {"script", "img", "link"} & {tag for tag, _ in parser.tags}
    assert f'<html lang="{lang}">' in page
    for row in told["epsilon_per_round"]:
        assert f"{row['epsilon']:,.4f}" in page
    for text in (
        *("job_00000000", "Income model", "rdp-cks20", "party_silent", "SIMULATED"),
        *("任务说明", "谁能看到什么", "挡住了哪些攻击", "各轮结束时的累计隐私代价"),
    ):
        assert text in page, text
    assert page.count('role="alert"') == 1


def test_a_protocol_is_told_of_a_job_and_of_each_step_of_a_pipeline() -> None:
    line = with_texts({"what": "Statistical security", "why": Text("{bits} bits", bits=40)})
    steps = {"match": {"label": [line]}, "train": {"disclosure": []}}
    assert render(explained(label=[line])).count("What the protocol gives") == 1
    page = render(explained(step_explanations=steps))
    assert page.count("What the protocol gives") == 1
    assert ": match" in page
    assert "40 bits" in page


def test_what_was_fitted_is_told() -> None:
    fits = [{"step": 1, "name": "impute", "column": "age", "fit": {"value": 41.5}}]
    page = render(explained(fitted=fits))
    assert "1. impute age" in page
    assert "value: 41.5" in page
    assert "What was fitted" not in render(explained())


def test_nothing_of_it_is_markup() -> None:
    evil = "<script>alert(1)</script>\x1b\u202e"
    told = explained(
        name=evil, tee=evil, dropouts=[{**GONE, "party": evil, "reason": evil}], choosing=evil,
        disclosure=[{"who": evil, "sees": evil, "why": evil}],
        attacks=[{"attack": evil, "stopped": evil, "why": evil}],
        label=[{"what": evil, "why": evil}], step_explanations={evil: {"label": [{"what": evil}]}},
        fitted=[{"step": evil, "name": evil, "column": evil, "fit": {evil: evil}}],
        epsilon_per_round=[{"round": evil, "epsilon": evil}],
    )  # fmt: skip
    page = render(told)
    assert "<script" not in page
    assert not {"\x1b", "\u202e"} & set(page)


@pytest.mark.parametrize("missing", sorted(explained()))
def test_an_explanation_that_lacks_a_part_still_makes_a_page(missing: str) -> None:
    told = explained()
    del told[missing]
    assert "</html>" in render(told)
