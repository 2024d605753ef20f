"""The report page: complete, self-contained, escaped, loud about simulation, in two languages."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from peers.private_jobs import private_spec
from peers.statistics import LOCAL, LOCALLY, SHARED, statistics_spec

import secureflow.application.reports.page as reports
from secureflow.application.reports.charts import SMALL, chart, nice_steps
from secureflow.application.reports.curves import NO_FIGURES
from secureflow.domain.figures import STABILITY, section_rows
from secureflow.domain.specs.bundle_family import RESERVED
from secureflow.domain.specs.training import ModelSpec, Release, TrainingSpec
from secureflow.engines.privacy.accounting import Mechanism, curve
from secureflow.engines.statistics import disclosure as statistics_disclosure
from secureflow.engines.statistics.charges import released
from secureflow.engines.statistics.spending import spending
from secureflow.engines.training import spending as training
from secureflow.engines.training.disclosure import attacks, disclosure
from secureflow.kit.text import Text, with_texts
from secureflow.sdk.reports import Report
from secureflow.texts import catalogue, chinese

TEMPLATES = Path(reports.__file__).parent / "templates"
VOID = {"meta", "input", "line", "path", "circle", "br", "link"}


class Balanced(HTMLParser):
    """Fails when tags do not nest; collects tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def spec(**fields: Any) -> TrainingSpec:
    return TrainingSpec("prj_00000000", "income", "credit", "sam", (), **fields)


def report(**changes: Any) -> dict[str, Any]:
    history = [
        {"round": n, "loss": 0.7 / n, "accuracy": 0.8, "auc": 0.85 + n / 100, "survivors": 3}
        for n in range(1, 5)
    ]
    told = {
        "job": "job_00000000",
        "name": "Income model",
        "purpose": "credit risk",
        "spec_digest": "a" * 64,
        "state": "succeeded",
        "protection": "sealed",
        "tee": "SIMULATED SGX",
        "rounds": 4,
        "stopped_early": False,
        "metrics": {"rows": 4884, "loss": 0.32, "accuracy": 0.8467, "auc": 0.8992},
        "history": history,
        "model": {"id": "mdl_00000000", "version": 1, "digest": "b" * 64},
        "contributions": {
            "bank-a": {"rounds": 4, "rows": 3000},
            "bank-b": {"rounds": 3, "rows": 1000},
        },
        "dropouts": [
            {"party": "bank-b", "round": 2, "stage": "train", "code": "party_silent", "reason": "…"}
        ],
        "generations": 1,
        "disclosure": disclosure(spec(), "SIMULATED SGX"),
        "started": 1_790_000_000,
        "finished": 1_790_000_060,
        "ledger": {"size": 41, "note": "origin\n41\n", "cosigners": ["bank-a"], "quorum": 3},
    }
    return told | changes


def test_the_page_holds_every_section() -> None:
    page = reports.render(report())
    for text in ("Income model", "0.8467", "mdl_00000000", "bank-b", "75.0%", "party_silent",
                 "audit verify", "credit risk", "2026-09-21", "origin\n41"):  # fmt: skip
        assert text in page, text
    assert page.count("<svg") == 3


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_is_well_formed_and_needs_nothing(lang: Any) -> None:
    parser = Balanced()
    page = reports.render(report(), lang)
    parser.feed(page)
    assert not parser.open
    assert "script" not in {tag for tag, _ in parser.tags}
    for _, attributes in parser.tags:
        assert not {"src", "href", "srcset"} & set(attributes)
    assert "url(" not in page
    assert "@import" not in page
    [checked] = [a["id"] for tag, a in parser.tags if tag == "input" and "checked" in a]
    assert checked == f"lang-{lang}"


def test_what_the_report_says_is_escaped() -> None:
    evil = "<script>alert(1)</script>\"'&"
    told = report(name=evil, purpose=evil, tee=evil, contributions={evil: {"rounds": 1, "rows": 1}})
    told["dropouts"] = [{"party": evil, "reason": evil, "code": evil}]
    told["disclosure"] = [{"who": evil, "sees": evil, "why": evil}]
    told["history"] = [{"round": 1, "loss": evil}]
    told["ledger"] |= {"note": evil, "cosigners": [evil]}
    assert "<script" not in reports.render(told)


def test_a_simulated_tee_is_shouted_and_a_real_one_is_not() -> None:
    assert reports.render(report()).count('role="alert"') == 1
    assert 'role="alert"' not in reports.render(report(tee="SGX: UpToDate"))


@pytest.mark.parametrize("missing", sorted(report()))
def test_a_report_that_lacks_a_part_still_makes_a_page(missing: str) -> None:
    told = report()
    del told[missing]
    assert "</html>" in reports.render(told)


def test_a_job_without_an_enclave_is_not_said_to_have_verified_one() -> None:
    page = reports.render(report(tee="", protection="secagg"))
    assert "verified the enclave" not in page
    assert "No enclave took part" in page
    assert "verified the enclave" in reports.render(report())


@pytest.mark.parametrize("more", [{}, {"model": {"id": "mdl_00000000"}}])
def test_a_job_without_protection_is_not_said_to_have_masks(more: dict[str, Any]) -> None:
    page = reports.render({"kind": "counting", "protection": "none", "tee": "", **more})
    assert "masks alone protect" not in page
    assert "the parties contribute nothing that could be read" in page
    assert "各方不贡献任何可被读取的内容" in page


SECTION = {
    "title": "Outcome",
    "rows": [
        {"label": "Rounds run", "value": 12345},
        {"label": "Stretches", "value": ["1–2", 0.25, True]},
        with_texts({"label": "Reason", "value": Text("resumed by {name}", name="ann")}),
    ],
}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_a_kind_of_its_own_tells_is_shown_in_both_languages(lang: Any) -> None:
    page = reports.render(
        report(kind="counting", sections=[SECTION, SECTION | {"title": "X"}]), lang
    )
    parser = Balanced()
    parser.feed(page)
    assert not parser.open
    for text in (
        "完成轮数",
        "12,345",
        "Stretches",
        "1–2, 0.2500, ",
        "resumed by ann",
        "由 ann 恢复",
        ">X<",
    ):
        assert text in page, text


def test_the_stability_index_of_a_kept_report_is_no_intersection() -> None:
    """A kind of job is called as reports from before called the figure."""
    kept = {"title": STABILITY, "rows": [{"label": "psi", "value": "0.1"}]}
    page = reports.render(report(kind="evaluation", sections=[kept]), "zh")
    assert "群体稳定性指数</" in page
    assert "隐私求交" not in page
    assert list(section_rows({**kept, "title": "other"})) == kept["rows"]
    assert "PSI" in Report({"sections": [kept]})._repr_html_()


def test_nothing_of_a_section_is_markup() -> None:
    evil = "<script>alert(1)</script>\x1b\u202e"
    made_of = {"template": evil, "facts": {evil: evil}}
    row = {"label": evil, "value": evil, "texts": {"label": made_of, "value": made_of}}
    rows = [row, row | {"value": [evil, {evil: [evil]}]}, row | {"value": {evil: evil}}, evil, None]
    page = reports.render(report(sections=[{"title": evil, "rows": rows}, evil, {"rows": 7}]))
    assert "<script" not in page
    assert not {"\x1b", "\u202e"} & set(page)
    assert "</html>" in reports.render(report(sections=evil))


def test_the_page_tells_what_privacy_cost_and_who_dropped_out() -> None:
    made = private_spec()
    accounting = {
        "curve": curve(Mechanism("gaussian", 2.0)),
        "epsilon": {"pld": 3.0, "rdp-cks20": 4.0, "rdp-filter": 5.0},
    }
    history = [
        {"round": n, "epsilon": training.epsilon_after(made, accounting, n)} for n in (1, 2, 3)
    ]
    told = report(history=history, privacy=training.spending(made, accounting, 3))
    told["attacks"] = attacks(made, "SIMULATED SGX")
    page = reports.render(told)
    for row in history:
        assert f"{row['epsilon']:,.4f}" in page
    assert 0 < history[0]["epsilon"] < history[2]["epsilon"]
    for text in ("rdp-cks20", "δ = 1e-06", "party_silent", "记录", "无响应", "合谋"):
        assert text in page
    assert "ε of this job" in page
    assert "名单只含已固定的成员，且须有 3 方（共 4 方）贡献" in page


def test_an_empty_report_makes_a_page() -> None:
    assert "</html>" in reports.render({})


def test_every_fixed_text_is_translated() -> None:
    source = "".join(one.read_text() for one in sorted(TEMPLATES.iterdir()))
    fixed = set(re.findall(r'"([^"{}]+)"\|both', source))
    fixed |= set(re.findall(r'\("([A-Z][^"]+)", report', source))
    assert len(fixed) > 25
    assert fixed <= set(catalogue())


@pytest.mark.parametrize("tee", ["SGX", "SIMULATED SGX"])
@pytest.mark.parametrize("intermediate", ["operator", "agents"])
def test_every_disclosure_is_translated(tee: str, intermediate: Any) -> None:
    for family in ("logistic_regression", "rehearsal"):
        told = spec(model=ModelSpec(family), release=Release(intermediate))
        for line in disclosure(told, tee):
            assert {str(line[name]) for name in ("who", "sees", "why")} <= set(catalogue())


ROW = {
    "group": None, "cell": None, "quantile": None, "value": 812.25, "standard_error": 13.0,
    "low": 786.7, "high": 837.7, "reason": "",
}  # fmt: skip


def statistics_report(**changes: Any) -> dict[str, Any]:
    spec = statistics_spec()
    accounting = {"epsilon": {"pld": 0.5, "rdp-cks20": 0.6, "rdp-filter": 0.7}}
    told = {
        "job": "job_00000000",
        "kind": "statistics",
        "name": "Ages",
        "state": "succeeded",
        "protection": "secagg",
        "tee": "",
        "answers": [
            {"name": "rows", "measure": "count", "column": None, "by": None, "rows": [ROW]},
            {"name": "ages", "measure": "histogram", "column": "age", "by": "sex", "rows": [
                {**ROW, "group": "f", "cell": [0.0, 12.5]},
                {**ROW, "group": "x", "cell": [12.5, 25.0], "value": None, "low": None,
                 "high": None, "standard_error": None, "reason": "too_few_rows"},
            ]},
            {"name": "median", "measure": "quantile", "column": "age", "by": None,
             "rows": [{**ROW, "quantile": 0.5}]},
        ],
        "privacy": spending(spec, accounting, 1),
        "disclosure": statistics_disclosure.disclosure(spec),
        "attacks": statistics_disclosure.attacks(spec),
    }  # fmt: skip
    return told | changes


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_statistics_are_a_table_of_answers(lang: Any) -> None:
    page = reports.render(statistics_report(), lang)
    parser = Balanced()
    parser.feed(page)
    assert not parser.open
    for text in ('<td class="n">812</td>', "787 – 838", ">13<", "f · 0 – 12.5", "x · 12.5 – 25",
                 "行数过少", "0.6000 (rdp-cks20", "count of rows", "opendp"):  # fmt: skip
        assert text in page, text
    assert "the masks alone protect" in page  # no enclave takes part


@pytest.mark.parametrize("name", ["rows", "weight"])
def test_the_name_of_a_query_is_not_translated(name: str) -> None:
    """It is its submitter's word, even where a column of ours has the same."""
    spec = statistics_spec([{"name": name, "measure": "count"}])
    accounting = {"epsilon": {"pld": 0.5, "rdp-cks20": 0.6, "rdp-filter": 0.7}}
    page = reports.render(statistics_report(privacy=spending(spec, accounting, 1)), "zh")
    assert f"<td>{name}</td><td>" in page
    assert "<td>" + str(reports.both(name)) not in page
    assert "贡献方的数目" in page  # what we call a number is


def test_what_an_answer_says_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    row = {**ROW, "group": evil, "cell": evil, "reason": evil}
    answer = {"name": evil, "measure": evil, "column": evil, "by": evil, "rows": [row]}
    assert "<script" not in reports.render(statistics_report(answers=[answer]))


@pytest.mark.parametrize("unit", ["record", "person"])
@pytest.mark.parametrize("noise", [SHARED, LOCALLY])
def test_every_line_about_statistics_is_translated(unit: str, noise: dict[str, Any]) -> None:
    queries = LOCAL if noise is LOCALLY else None
    spec = statistics_spec(queries, {**noise, "unit": unit})
    for line in statistics_disclosure.disclosure(spec):
        assert {str(line[name]) for name in ("who", "sees", "why")} <= set(catalogue())
    for line in statistics_disclosure.attacks(spec):
        assert all(chinese(line[name]) for name in ("attack", "stopped", "why"))
    for row in released(spec):
        assert chinese(row["mechanism"]), row


@given(
    values=st.lists(
        st.floats(-1e9, 1e9, allow_nan=False).map(lambda v: round(v, 6)), min_size=2, max_size=60
    )
)
def test_curves_stay_inside_their_chart(values: list[float]) -> None:
    drawn = chart("loss", [(float(n), value) for n, value in enumerate(values)])
    numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", drawn.path)]
    assert len(numbers) == 2 * len(values)
    assert all(0 <= x <= SMALL.width for x in numbers[::2])
    assert all(0 <= y <= SMALL.height for y in numbers[1::2])
    assert len({tick.text for tick in drawn.up}) == len(drawn.up)


@example(0.0, 5e-324)  # what is left of a span can be too small for a logarithm
@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_axis_steps_span_the_values(low: float, span: float) -> None:
    steps = nice_steps(low, low + span)
    slack = 1e-6 * max(1.0, abs(low), span)
    assert 2 <= len(steps) <= 7
    assert steps[0] <= low + slack
    assert steps[-1] >= low + span - slack


OF_WHICH = "The figures of a round are of the model that it starts from."


def test_a_curve_goes_on_to_the_last_model() -> None:
    """A round's figures are of the model before it, so a kept round has its own place."""
    ended = reports.contents(report())
    loss = next(one for one in ended["charts"] if one.name == "loss")
    assert loss.value == 0.32  # of the last model, as among the metrics
    assert [tick.text for tick in loss.across] == ["0", "4"]
    kept = {"kept_round": 2, "metrics": {"loss": 0.1}}
    told = reports.contents(report(**kept, last_metrics={"loss": 0.6}))
    assert next(one for one in told["charts"] if one.name == "loss").value == 0.6
    assert told["last_row"] == {"loss": 0.6}
    earlier = reports.contents(report(**kept))  # of an earlier version
    (loss,) = [one for one in earlier["charts"] if one.name == "loss"]
    assert (loss.value, earlier["last_row"]) == (0.7 / 4, None)
    assert [tick.text for tick in loss.across] == ["0", "3"]


def test_the_page_says_which_round_was_kept_and_of_which_model_figures_are() -> None:
    page = reports.render(report(kept_round=2, last_metrics={"loss": 0.6}))
    kept = re.search(r"Kept round</span>.*?<dd>(\d)</dd>", page, re.DOTALL)
    assert kept
    assert kept[1] == "2"
    assert OF_WHICH in page
    row = re.search(r">the last model</span>.*?</tr>", page, re.DOTALL)
    assert row
    assert "0.6000" in row[0]
    assert "Kept round" not in reports.render(report())
    assert OF_WHICH not in reports.render(report(history=[]))


def test_the_sums_of_a_bundle_have_curves_and_columns() -> None:
    history = [
        {"round": n, "rows": 90.0, "loss": 0.7 / n, "correct": n / 10, "cost": 2, "survivors": 3,
         "seconds": 1.5} for n in (1, 2, 3)
    ]  # fmt: skip
    told = reports.contents(report(history=history, metrics={"rows": 90.0, "correct": 0.4}))
    assert [one.name for one in told["charts"]] == ["loss", "correct", "cost"]
    assert told["charts"][1].value == 0.4
    assert told["columns"] == ["round", "loss", "correct", "cost", "survivors", "seconds"]
    assert RESERVED < NO_FIGURES


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_noised_metrics_are_shown_with_their_noise(lang: str) -> None:
    metrics = {"rows": 9768.317, "auc": 0.87654}
    noised = report(metrics=metrics, metrics_errors={"rows": 32.0, "auc": 0.0012})
    page = reports.render(noised, "zh" if lang == "zh" else "en")
    for text in ("9,768 ± 63", "0.8765 ± 0.0024", "noised", "已加噪", "95 times in 100", "95%"):
        assert text in page
    assert "9,768.3" not in page
    assert "已加噪" not in reports.render(report(metrics=metrics))
