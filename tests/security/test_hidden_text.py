"""No name or text of a member hides characters: each text field of the API, of job specs and of
dataset descriptions is found in its schema and tried, and what is stored nevertheless is shown
escaped by the command line, the logs and the report.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from secureflow.application.datasets import DatasetDescription
from secureflow.application.reports.page import render
from secureflow.application.running.replies import checked_reply
from secureflow.cli import console, texts, watching
from secureflow.domain.charter import Member, SignedCharter
from secureflow.domain.schemas import ColumnConfig
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.messages import UplinkAddress
from secureflow.kit import logging as logs
from secureflow.kit import plain
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.events import Event
from secureflow.server.rest.app import described_app
from secureflow.server.rest.shapes import RequestBody

HOSTILE = (
    "\x1b", "\x00", "\x07", "\x08", "\r", "\t", "\x7f", "\x9b", "\u0085",
    "\u200b", "\u200d", "\u200e", "\u202e", "\u2066", "\u2028", "\u2029", "\ufeff", "\u00ad",
    "\U000e0041",
)  # fmt: skip
SEVERAL_LINES = {"description", "csr", "text"}
NEVER_SHOWN = {"password", "old", "new"}


@dataclass(frozen=True)
class TextField:
    """A text field of a schema: its path (0 is a place in a list) and its own schema."""

    path: tuple[str | int, ...]
    schema: dict[str, Any]
    tags: tuple[tuple[int, str, str], ...] = ()
    """What tells forms of an object apart: the depth, and the constant that stands there."""

    def filled(self, text: str) -> Any:
        """Return a document that holds nothing but this field, and what its form takes."""
        value: Any = text
        for depth, step in reversed(list(enumerate(self.path))):
            tags = {name: word for at, name, word in self.tags if at == depth}
            alone = self.path[max(depth - 1, 0) : depth + 1] == ("label", "column")
            form = {"positive": "1"} if alone else {}  # a column alone is no label
            value = [value] if isinstance(step, int) else {**tags, **form, step: value}
        return value


def text_fields(
    schema: dict[str, Any], defs: Any, path: tuple[Any, ...] = (), tags: tuple[Any, ...] = ()
) -> Iterator[Any]:
    """Yield every free text of a JSON schema."""
    if "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]]
    for option in schema.get("anyOf", []) + schema.get("oneOf", []):
        yield from text_fields(option, defs, path, tags)
    fields = schema.get("properties", {})
    own = [(len(path), name, one["const"]) for name, one in fields.items()
           if name in {"family", "step"} and "const" in one]  # fmt: skip
    for name, inner in fields.items():
        yield from text_fields(inner, defs, (*path, name), (*tags, *own))
    for inner in [schema.get("items"), *schema.get("prefixItems", [])]:
        if isinstance(inner, dict):
            yield from text_fields(inner, defs, (*path, 0), tags)
    if schema.get("type") == "string" and not {"enum", "const"} & schema.keys():
        yield TextField(path, schema, tags)


def dataclass_fields(of: type) -> list[TextField]:
    schema = TypeAdapter(of).json_schema()
    return list(text_fields(schema, schema.get("$defs", {})))


def hostile_for(field: TextField) -> tuple[str, ...]:
    several = field.path and field.path[-1] in SEVERAL_LINES
    return HOSTILE if several else (*HOSTILE, "\n")


DESCRIPTION = described_app().openapi()
REQUESTS = [
    (operation["operationId"], content["schema"])
    for methods in DESCRIPTION["paths"].values()
    for operation in methods.values()
    for content in operation.get("requestBody", {}).get("content", {}).values()
    if content["schema"].get("format") != "binary"  # files, which are parsed as such
]
PARAMETERS = [
    (f"{operation['operationId']}.{parameter['name']}", parameter["schema"])
    for methods in DESCRIPTION["paths"].values()
    for operation in methods.values()
    for parameter in operation.get("parameters", [])
]


def test_there_is_something_to_try() -> None:
    assert len(REQUESTS) > 15
    assert len(BODIES) > 12
    assert sum(len(dataclass_fields(of)) for of in (TrainingSpec, StatisticsSpec)) > 20


@pytest.mark.parametrize(("name", "schema"), REQUESTS, ids=[name for name, _ in REQUESTS])
def test_every_text_of_a_request_is_described_as_plain(name: str, schema: dict[str, Any]) -> None:
    for field in text_fields(schema, DESCRIPTION["components"]["schemas"]):
        if field.path[-1] in NEVER_SHOWN:
            continue
        pattern = field.schema.get("pattern")
        assert pattern, f"{name} {field.path} may hold anything"
        for character in hostile_for(field):
            assert not re.search(pattern, f"ab{character}cd"), (field.path, character)


BODIES = sorted(RequestBody.__subclasses__(), key=lambda of: of.__name__)


@pytest.mark.parametrize(
    "of",
    [
        TrainingSpec,
        StatisticsSpec,
        PreparationSpec,
        DatasetDescription,
        ColumnConfig,
        UplinkAddress,
        *BODIES,
    ],
    ids=lambda of: of.__name__,
)
def test_every_text_is_refused_where_it_comes_in(of: type) -> None:
    adapter = TypeAdapter(of)
    for field in dataclass_fields(of):
        if field.path[-1] in NEVER_SHOWN:
            continue
        for character in hostile_for(field):
            with pytest.raises(ValidationError) as caught:
                adapter.validate_python(field.filled(f"ab{character}cd"))
            wrong = [one for one in caught.value.errors() if one["type"] != "missing"]
            names = [step for step in field.path if isinstance(step, str)]
            assert any(
                names == [step for step in one["loc"] if step in names]
                and one["type"] in {"value_error", "string_pattern_mismatch", "string_too_short"}
                for one in wrong
            ), (field.path, character, wrong)


def test_a_charter_names_nobody_with_hidden_characters() -> None:
    for character in (*HOSTILE, "\n"):
        with pytest.raises(SecureFlowError, match="the name of bank-a"):
            SignedCharter.from_json(_charter(f"Bank{character}A"))


def _charter(name: str) -> dict[str, Any]:
    member = vars(Member("bank-a", name, "A" * 43 + "="))
    keys = {"version": 1, "trust_domain": "c.example", "origin": "o", "log_key": "A" * 43 + "="}
    return {"charter": {**keys, "members": [member], "previous": ""}, "signatures": {}}


def test_foreign_errors_are_one_plain_line() -> None:
    told = SecureFlowError.foreign("bad\x1bcode", "a\nb\u202ec", "d\x07", ["no details"])
    assert (told.code, told.message, told.hint) == ("internal", "a b\\u202ec", "d\\x07")
    assert told.details == {}
    assert len(SecureFlowError.foreign("x", "a" * 100_000).message) < 10_000


def test_a_verdict_that_a_party_tells_of_is_plain() -> None:
    """It stands in everybody's report."""
    verdict = {"title": "SIMULATED SGX", "reasons": ["fine"], "expires": 1}
    assert checked_reply("admit", "bank-a", {"verdict": verdict})
    for nasty in ({**verdict, "title": "a\x1b[2J"}, {**verdict, "reasons": ["a\u202eb"]}):
        with pytest.raises(SecureFlowError) as caught:
            checked_reply("admit", "bank-a", {"verdict": nasty})
        assert caught.value.code == "malformed_reply"


# --- what is stored, or told by a centre that does not keep to the rule ---------------------------

NASTY = "Bank \x1b]0;owned\x07\x1b[2K\u202eevil\u200b\u2028x\x9b31m [red]markup[/] end"
STORED = {"id": "job_1", "name": NASTY, "columns": [NASTY], "privacy": {"u": NASTY}, NASTY: NASTY}


@pytest.mark.parametrize("form", list(console.Form))
@pytest.mark.parametrize("value", [STORED, [STORED, STORED]], ids=["one", "list"])
def test_results_are_shown_escaped(form: console.Form, value: Any, capsys: Any) -> None:
    console.show(value, form)
    out = capsys.readouterr().out
    assert "owned" in out
    assert not plain.hidden(out.replace("\n", ""))
    assert "[red]markup[/]" in out
    if form is not console.Form.TABLE:  # both read back as they were
        assert (json.loads if form is console.Form.JSON else yaml.safe_load)(out) == value


def test_a_name_forges_no_second_line(capsys: Any) -> None:
    forged = "job\njob_2  approved"
    console.show([{"id": forged, "name": "n"}], console.Form.TABLE)
    console.show({"description": forged, "id": "1"}, console.Form.TABLE)
    console.say(texts.t("{what} is approved.", what=forged))
    console.fail(SecureFlowError("x", forged, forged))
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert [line[:3] for line in lines] == ["id ", "job", "des", "   ", "id "]  # indented
    assert len(told.err.splitlines()) == 2


def test_errors_questions_and_events_are_shown_escaped(
    capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    console.fail(SecureFlowError(NASTY, NASTY, NASTY))
    console.say(NASTY)
    progress = watching.Progress("job_1")
    for kind in ("state", "party", "error"):
        event = Event(
            id=1, kind=kind, data=dict.fromkeys(("state", "reason", "party", "message"), NASTY)
        )
        progress.take(event)
        console.say(progress.line(event))
    dropped = {"party": NASTY, "round": 1, "stage": "train", "reason": NASTY}
    console.say(progress.line(Event(id=2, kind="dropouts", data={"dropouts": [dropped]})))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    told = capsys.readouterr()
    own = re.sub(r"\x1b\[[0-9;]*m", "", told.err)  # the colours are ours, where there are any
    assert not plain.hidden(own.replace("\n", ""))
    assert "owned" in own


def test_the_live_picture_of_a_job_is_escaped() -> None:
    """A centre writes the events; in a terminal they are drawn and not said."""
    names = ("round", "rounds", "loss", "accuracy", "auc", "survivors", "seconds")
    markup = "[link=https://evil.example]" + NASTY
    progress = watching.Progress("job_1")
    for kind, told in (("round", NASTY), ("round", markup), ("party", NASTY), ("state", NASTY)):
        data = dict.fromkeys((*names, "party", "state", "reason"), told)
        progress.take(Event(id=1, kind=kind, data=data))
    drawn = Console(file=StringIO(), force_terminal=True, color_system=None, width=10_000)
    drawn.print(watching.picture(progress))
    assert isinstance(drawn.file, StringIO)
    # Bold and the like are the console's own.
    text = re.sub(r"\x1b\[[0-9;]*m", "", drawn.file.getvalue())
    assert not plain.hidden(text.replace("\n", ""))
    assert "[link=" in text
    assert "owned" in text


def test_logs_are_escaped(capsys: Any) -> None:
    event = {"event": NASTY, "reason": NASTY, "exception": f"a\nb{NASTY}", "level": "info"}
    logged = logs._visible(dict(event))
    assert all(not plain.hidden(value.replace("\n", "")) for value in logged.values())
    assert logged["exception"].startswith("a\nb")
    assert "\n" not in logged["reason"]


def test_the_report_is_escaped() -> None:
    report = {
        "name": NASTY,
        "purpose": f"<script>{NASTY}",
        "tee": "",
        "history": [],
        "state": NASTY,
    }
    try:
        page = render(report)
    except Exception as error:  # noqa: BLE001  a part that the page demands: told by name
        pytest.fail(f"{error}")
    assert not plain.hidden(page.replace("\n", ""))
    assert "<script>" not in page


def test_stored_descriptions_older_than_the_rule_can_be_read() -> None:
    column = {"name": "a\x1bb", "type": "number"}
    with pytest.raises(SecureFlowError):
        parse(ColumnConfig, column, "dataset")
    assert parse(ColumnConfig, column, "dataset", stored=True).name == "a\x1bb"
