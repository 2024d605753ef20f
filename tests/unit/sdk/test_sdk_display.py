"""What answers show in a notebook, and their tables for pandas and Arrow."""

from __future__ import annotations

import sys
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import httpx
import pyarrow as pa
import pytest

from secureflow.domain import datasets, jobs, models, projects
from secureflow.domain.schemas import ColumnConfig, PublicPrivacy
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.modelcards import Card
from secureflow.sdk.objects import Dataset, Job, JobSummary, Model, Project
from secureflow.sdk.reports import Report
from secureflow.sdk.tables import Table

JUNK: list[Any] = [True, 3, "x", [], [[]], [5], {}, {"a": 1}, [{"column": [1]}], 10**400, None]
ATTACK = '<script>alert(1)</script><img src="http://evil/x" onerror=x>\u202e&'
DIGEST = "0123456789abcdef" * 4
RECORD: dict[str, Any] = {
    "id": "job_1", "project": "prj_1", "organisation": "bank-a", "name": ATTACK,
    "submitter": ATTACK, "kind": "training", "script": "s/1", "spec": {"protection": "secagg"},
    "digest": DIGEST, "state": jobs.JobState.FAILED, "created": 1_790_000_000,
    "updated": 1_790_000_001,
    "error": {"code": "party_silent", "message": ATTACK, "hint": ATTACK},
    "progress": {"round": 3, "rounds": 9, "loss": 0.25},
}  # fmt: skip
HISTORY = [
    {"round": 1, "loss": 0.7, "auc": 0.5, "epsilon": 0.1, "survivors": 3, "seconds": 1.5},
    {"round": 2, "loss": 0.5, "auc": 0.75, "epsilon": 0.2, "survivors": 3, "seconds": 1.25},
]
ANSWERS = [
    {"name": "mean-age", "measure": "mean", "rows": [
        {"group": "f", "value": 40.123456, "low": 39.0, "high": 41.2, "standard_error": 0.5},
        {"group": ATTACK, "value": 41.0, "low": 40.0, "high": 42.0, "standard_error": 0.5},
    ]},
    {"name": "rows", "measure": "count", "rows": [{"value": 101.7, "standard_error": 2.0}]},
]  # fmt: skip
REPORT: dict[str, Any] = {
    "job": "job_1", "name": ATTACK, "kind": "training", "state": "succeeded", "tee": "",
    "protection": "sealed+secagg", "rounds": 2, "metrics": {"rows": 99.6, "auc": 0.87654},
    "metrics_errors": {"auc": 0.01}, "history": HISTORY, "spec_digest": DIGEST,
    "privacy": {"epsilon": 1.5, "delta": 1e-6, "unit": "record", "mechanism": "gaussian",
                "noise": "shared"},
    "contributions": {"bank-a": {"rounds": 2, "rows": None}, ATTACK: {"rounds": 1, "rows": 7}},
    "sections": [{"title": ATTACK, "rows": [{"label": ATTACK, "value": ATTACK}]}],
}  # fmt: skip


class Page(HTMLParser):
    """The tags, attributes and texts of some HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.styles: set[str] = set()
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.styles |= {str(value) for _, value in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


def dataset(name: str = ATTACK) -> Dataset:
    columns = (
        ColumnConfig("age", "number", bounds=(0, 100)),
        ColumnConfig("sex", "category", ("f", ATTACK.replace("\u202e", "")), sensitive=True),
    )
    return Dataset("dst_1", "bank-a", "silo", name, columns, "<1k", DIGEST, 1_790_000_000,
                   privacy=PublicPrivacy("person", 3))  # fmt: skip


def shown() -> dict[str, Any]:
    summary = {name: RECORD[name] for name in RECORD if name not in {"script", "spec"}}
    return {
        "job": Job(**RECORD),
        "summary": JobSummary(**summary),
        "model": Model("mdl_1", "prj_1", "job_1", ATTACK, 2, DIGEST, DIGEST[::-1], "mlp",
                       {"auc": 0.5, ATTACK: 1.0}, 1_790_000_000, parents=("job_2@3",)),
        "dataset": dataset(),
        "project": Project("prj_1", ATTACK, ATTACK, "bank-a",
                           (projects.Membership(ATTACK, "active", 1),), 1),
        "report": Report(REPORT),
        "answers": Report({**REPORT, "answers": ANSWERS}),
        "table": Table(({ATTACK: ATTACK},), (ATTACK,), ATTACK, note=ATTACK),
    }  # fmt: skip


@pytest.mark.parametrize("what", list(shown()))
def test_a_notebook_shows_everything_escaped_and_from_nowhere_else(what: str) -> None:
    page = Page(shown()[what]._repr_html_())
    assert page.tags <= {"p", "b", "table", "thead", "tbody", "tr", "th", "td"}
    assert page.attributes <= {"style"}
    assert not any("color" in style or "url" in style for style in page.styles)
    assert "<script>" in page.text
    assert "\u202e" not in page.text
    assert "\\u202e" in page.text
    assert "\n" not in repr(shown()[what]) or what == "table"
    assert "\u202e" not in repr(shown()[what])


def test_ids_and_digests_are_whole() -> None:
    for what, digests in (("job", [DIGEST]), ("model", [DIGEST, DIGEST[::-1]]),
                          ("dataset", [DIGEST]), ("report", [DIGEST])):  # fmt: skip
        assert all(one in shown()[what]._repr_html_() for one in digests)


def test_they_are_the_domains_own_classes_and_short_as_text() -> None:
    assert isinstance(shown()["job"], jobs.Job)
    assert isinstance(shown()["summary"], jobs.JobSummary)
    assert isinstance(shown()["model"], models.Model)
    assert isinstance(dataset(), datasets.Dataset)
    assert repr(dataset("t")) == "<Dataset dst_1 bank-a/silo: <1k rows, 2 columns>"
    job = replace(shown()["job"], name="income")
    assert repr(job) == "<Job job_1 'income': training, failed>"
    assert "per person, at most 3 rows of each count" in dataset()._repr_html_()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_they_are_in_the_readers_language(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    job, report = shown()["job"]._repr_html_(), shown()["report"]._repr_html_()
    zh = language == "zh"
    assert ("状态" if zh else "state") in job
    assert ("失败" if zh else "failed") in job
    assert ("保护方式" if zh else "protection") in report
    assert ("以记录为单位" if zh else "for each record") in report
    assert ("1 轮，7 行" if zh else "1 round, 7 rows") in report


def test_a_report_is_its_json_with_a_table_of_rounds() -> None:
    report = Report(REPORT)
    assert report == REPORT
    assert report.rounds.columns == ("round", "loss", "auc", "epsilon", "survivors", "seconds")
    arrow = report.to_arrow()
    assert arrow.schema.field("round").type == pa.int64()
    assert arrow["auc"].to_pylist() == [0.5, 0.75]
    assert report.metrics.to_arrow().to_pylist() == [
        {"metric": "rows", "value": 99.6, "standard_error": None},
        {"metric": "auc", "value": 0.87654, "standard_error": 0.01},
    ]
    html = Page(report._repr_html_()).text
    assert "0.877 ± 0.020" in html
    assert "ε = 1.5, δ = 1e-06" in html
    assert Report({}).rounds.to_arrow().num_rows == 0


def test_answers_are_unrounded_in_tables_and_rounded_for_people() -> None:
    report = Report({**REPORT, "answers": ANSWERS})
    rows = report.to_arrow().to_pylist()
    assert [row["query"] for row in rows] == ["mean-age", "mean-age", "rows"]
    assert rows[0]["value"] == 40.123456
    assert rows[2]["group"] is None
    text = Page(report._repr_html_()).text
    assert "40.12\n" in text + "\n"
    assert "40.123456" not in text
    assert "102" in text


def test_evaluations_and_sweeps_are_tables() -> None:
    models = [
        {"job": "job_1", "model": DIGEST, "figures": {"auc": 0.75, "rows": 90},
         "parties": {"bank-a": {"auc": 0.5}, "bank-b": {"auc": 0.7}}},
        {"job": "job_2", "model": DIGEST[::-1], "figures": {"auc": 0.8, "rows": 90}},
    ]  # fmt: skip
    rows = Report({"evaluation": {"models": models}}).to_arrow().to_pylist()
    assert [(row["model"], row["party"], row["auc"]) for row in rows] == [
        (DIGEST, "", 0.75), (DIGEST, "bank-a", 0.5), (DIGEST, "bank-b", 0.7),
        (DIGEST[::-1], "", 0.8),
    ]  # fmt: skip
    points = [
        {"point": 1, "sets": {"plan.learning_rate": 0.1}, "metrics": {"auc": 0.7}, "rounds": 5,
         "state": "succeeded", "job": "job_3", "model": {"id": "mdl_3"}},
        {"point": 2, "sets": {"plan.learning_rate": 0.3}, "state": "failed", "job": "job_4"},
    ]  # fmt: skip
    sweep = Report({"points": points, "best": {"point": 1}})
    first, second = sweep.to_arrow().to_pylist()
    assert (first["plan.learning_rate"], first["auc"], first["model"]) == (0.1, 0.7, "mdl_3")
    assert (second["auc"], second["state"], second["job"]) == (None, "failed", "job_4")
    assert "the best is point 1" in sweep._repr_html_()
    tied = Report({**sweep, "best": {"point": 1, "tied": 2}})
    assert "the best is point 1, the first of 2 that are equally good" in tied._repr_html_()


@pytest.mark.parametrize(
    "wrong",
    [
        {"evaluation": {"models": [1, {"parties": [1], "figures": 3}]}, "points": [1, {"sets": 3}]},
        {"metrics": [1], "metrics_errors": [1], "privacy": [1], "history": {"a": 1}},
        {"metrics": {"rows": "x", "auc": None}, "metrics_errors": {"auc": "x"}, "privacy": "x"},
        {"history": [1, {"round": {"a": [1]}}], "answers": [3, {"rows": [4]}], "sections": "x"},
        {"contributions": [1], "model": 3, "started": "x", "privacy": {"epsilon": "x"}},
        {"contributions": {"a": 1}, "answers": {"rows": 1}},
        {"metrics": {"auc": 10**400}, "history": [{"round": 10**400, "loss": 0.5}]},
    ],
)
def test_whatever_a_server_sends_is_shown(wrong: dict[str, Any]) -> None:
    report = Report({**REPORT, **wrong})
    assert "<table>" in report._repr_html_()
    assert report.to_arrow().num_columns >= 0


@pytest.mark.parametrize("value", JUNK)
@pytest.mark.parametrize(
    "place",
    ["features", "features.numeric", "features.categorical", "features.label", "features.recipe",
     "model", "plan", "plan.rounds", "rounds", "kept_round", "contributors", "metrics", "privacy",
     "family", "created", "name"],
)  # fmt: skip
def test_whatever_a_server_sends_as_a_card_is_shown(place: str, value: Any) -> None:
    features = {"numeric": [{"column": "age"}], "label": {"column": "y", "positive": "yes"}}
    whole: dict[str, Any] = {"name": "rates", "features": features, "plan": {"rounds": 3}}
    part, _, member = place.partition(".")
    card = Card({**whole, part: {**whole[part], member: value} if member else value})
    assert "<table>" in card._repr_html_()
    assert all(isinstance(name, str) for name in card.feature_names)
    assert isinstance(card.label, dict)


def test_a_note_does_not_hide_that_there_are_more_rows() -> None:
    rows = tuple({"n": at} for at in range(53))
    told = Page(Table(rows, ("n",), note="every value has noise")._repr_html_()).texts
    assert told[-2:] == ["3 more rows", "every value has noise"]
    assert "more rows" not in Table(rows[:50], ("n",), note="n")._repr_html_()


def test_a_description_without_columns_is_shown() -> None:
    html = replace(dataset(), columns=())._repr_html_()
    assert (html.count("<table>"), "bank-a" in html) == (1, True)


ROWS = (
    {"id": "a", "n": 1, "x": 1, "yes": True, "created": 1_790_000_000, "m": {"a": [1]}},
    {"id": "b", "n": None, "x": 0.5, "yes": None, "created": 1_790_000_060, "m": 2**70},
)


def test_tables_have_the_types_of_their_values() -> None:
    table = Table(ROWS, ("id", "n", "x", "yes", "created", "m", "nothing"))
    arrow = table.to_arrow()
    assert [str(one) for one in arrow.schema.types] == [
        "string", "int64", "double", "bool", "timestamp[s, tz=UTC]", "string", "null"
    ]  # fmt: skip
    assert arrow["m"].to_pylist() == ['{"a": [1]}', str(2**70)]
    assert pa.table(table).equals(arrow)  # by the PyCapsule interface, as Polars reads it
    huge = Table(({"n": 10**400}, {"n": 0.5}), ("n",)).to_arrow()
    assert huge["n"].to_pylist() == [str(10**400), "0.5"]
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = table.to_pandas()
    assert (str(frame.dtypes["n"]), str(frame.dtypes["yes"])) == ("Int64", "boolean")
    assert frame["n"].isna().tolist() == [False, True]
    assert frame["created"][1] == pandas.Timestamp(1_790_000_060, unit="s", tz="UTC")
    assert [len(table), table[0]["id"], [row["x"] for row in table]] == [2, "a", [1, 0.5]]


def test_without_pandas_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SecureFlowError) as caught:
        Table(ROWS, ("id",)).to_pandas()
    assert caught.value.code == "missing_extra"
    assert "[pandas]" in caught.value.hint


def page(*keys: int, following: str = "") -> httpx.Response:
    summary = {name: RECORD[name] for name in RECORD if name not in {"script", "spec"}}
    items = [{**summary, "id": f"job_{key}", "state": "failed"} for key in keys]
    return httpx.Response(200, json={"items": items, "next": following})


def test_a_list_shows_its_first_items_and_loses_none(sdk_server: type) -> None:
    first, last = page(*range(40), following="c"), page(*range(40, 60))
    server = sdk_server(page(1), page(2), first, last, first, last)
    listed = server.client().jobs.list("prj_1")
    assert repr(listed) == "<List of /jobs project=prj_1>"
    assert not server.requests
    assert next(listed).id == "job_1"
    assert "job_2" in listed._repr_html_()
    assert next(listed, None) is None
    whole = server.client().jobs.list()
    html = whole._repr_html_()
    assert "job_49" in html
    assert "job_50" not in html
    assert "to_pandas()" in html
    arrow = whole.to_arrow()
    assert arrow["id"].to_pylist() == [f"job_{key}" for key in range(60)]
    assert arrow.schema.field("created").type == pa.timestamp("s", "UTC")


def test_a_list_without_items_says_so(sdk_server: type) -> None:
    server = sdk_server(page(), page())
    listed = server.client().jobs.list()
    assert "Nothing to show" in listed._repr_html_()
    assert listed.to_arrow().num_rows == 0


async def test_an_awaited_list_gives_the_same_tables(sdk_server: type) -> None:
    server = sdk_server(page(1, 2), page(1, 2))
    listed = server.async_client().jobs.list()
    assert [one.id async for one in listed] == ["job_1", "job_2"]
    assert (await listed.to_arrow())["id"].to_pylist() == ["job_1", "job_2"]
