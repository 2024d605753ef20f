"""`secureflow psi run`, its report, its job file, and what an owner is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from secureflow.agent.record.records import InboxItem
from secureflow.cli.decision import PendingRequest, screen
from secureflow.cli.kinds import CLI_KINDS
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.psi import PsiSpec
from secureflow.domain.specs.psi_request import PsiRequest
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import psi_request
from secureflow.texts import chinese
from tests.full import thinned
from tests.unit.engines.psi.world import specified

VALUES = thinned(
    ["x\u202e", True, 3, [5], [], {"a": 1}, [[]], {}, None, 10**400], 5, pytest.mark.full
)
"""What a centre may say in the place of something else."""

EXAMPLE = Path(__file__).parents[3] / "examples/psi.yaml"
REPORT: dict[str, Any] = {
    "job": "job_11111111", "name": "shared", "state": "succeeded", "protection": "peers",
    "intersection": {
        "learners": ["bank-a\u202e"], "keys": {"bank-a\u202e": 12, "bank-b": 9},
        "matched": {"bank-a\u202e": 7},
        "attempts": [
            {"attempt": 1, "state": "failed", "seconds": 2.0, "reasons": [
                {"party": "bank-b", "code": "attempt_lost", "reason": "it was restarted"}]},
            {"attempt": 2, "state": "succeeded", "seconds": 3.0, "reasons": []},
        ],
    },
}  # fmt: skip
ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "ab"]


def shown(spec: PsiSpec) -> str:
    """Return the screen of an owner who is asked."""
    request = {"dataset": "customers", "columns": ["phone"], "sensitive": []}
    item = InboxItem(
        "ab" * 32, "job_11111111", spec_digest(spec), request, dump(spec), ("no policy",),
        "waiting", 1, 2,
    )  # fmt: skip
    return "\n".join(screen(PendingRequest(item, {}), CLI_KINDS, width=2000, lines=80))


@pytest.fixture
def asked(centre: Any) -> Any:
    """What is sent to the dry run."""
    project = {"id": "prj_00000000", "name": "shared", "created": 1, "members": []}
    centre.answers["GET /projects"] = (200, {"items": [project], "next": ""})
    centre.answers["GET /projects/prj_00000000"] = (200, project)
    centre.answers["GET /datasets?project=prj_00000000"] = (200, {"items": [], "next": ""})
    details = {
        "estimate": {"bytes": 33, "memory_bytes": 44, "seconds": 5.0},
        "label": {"x": "unshown"},
    }
    centre.answers["POST /jobs/dry-run"] = (
        200, {"digest": "d" * 64, "spec": {}, "details": details},
    )  # fmt: skip

    def sent() -> PsiRequest:
        (body,) = (one for path, _, one in centre.asked if path == "POST /jobs/dry-run")
        return parse(PsiRequest, body, "request")

    return sent


def test_options_become_the_request(cli: Any, asked: Any) -> None:
    status, out, err = cli(
        *("psi", "run", "--project", "prj_00000000", "--purpose", "campaign"),
        *("--key", "phone:DE", "--key", "trim", "--learns", "bank-a", "--minimum", "5"),
        *("--column", "bank-a:mobile", "--column", "bank-b:msisdn", "--column", "bank-a:name"),
        *("--column", "bank-b:surname", "--granted", "bank-a:age", "--most-rows", "50"),
        *("--attempts", "2", "--tells-size", "--dry-run"),
    )
    assert status == 0, err
    request = asked()
    assert [dump(one) if not isinstance(one, str) else one for one in request.key] == [
        {"rule": "phone", "country": "DE"}, "trim",
    ]  # fmt: skip
    assert request.columns["bank-a"].key == ("mobile", "name")
    assert request.columns["bank-a"].granted == ("age",)
    assert request.columns["bank-b"].key == ("msisdn", "surname")
    assert (request.learns, request.minimum, request.most_rows, request.attempts) == (
        "bank-a", 5, 50, 2,
    )  # fmt: skip
    assert request.tells_size is True
    assert "estimated" in out
    assert "unshown" not in out


def test_a_column_without_its_party_is_refused(cli: Any, asked: Any) -> None:
    status, _, err = cli(
        *("psi", "run", "--project", "prj_00000000", "--purpose", "p", "--key", "trim"),
        *("--learns", "bank-a", "--column", "mobile"),
    )
    assert status != 0
    assert "ORG:COLUMN" in err
    assert asked is not None


def granted(centre: Any, *parties: str) -> None:
    """Let each of them have granted a dataset to the project."""
    items = [
        {"id": f"dst_0000000{number}", "organisation": party, "name": "customers", "title": "c",
         "rows": "1k-5k", "columns": [], "commitment": "ab" * 32, "created": 1, "updated": 1,
         "privacy": None}
        for number, party in enumerate(parties)
    ]  # fmt: skip
    centre.answers["GET /datasets?project=prj_00000000"] = (200, {"items": items, "next": ""})


RUN = ("psi", "run", "--project", "prj_00000000", "--purpose", "p", "--learns", "bank-a")


def test_a_column_without_its_party_is_of_every_party_that_has_no_own(
    cli: Any, centre: Any, asked: Any
) -> None:
    granted(centre, "bank-b", "bank-a", "bank-c")
    status, _, err = cli(
        *(*RUN, "--key", "phone", "--key", "trim", "--column", "mobile", "--column", "name"),
        *("--column", "bank-c:msisdn", "--column", "bank-c:surname", "--dry-run"),
    )
    assert status == 0, err
    assert {party: one.key for party, one in asked().columns.items()} == {
        "bank-a": ("mobile", "name"), "bank-b": ("mobile", "name"), "bank-c": ("msisdn", "surname"),
    }  # fmt: skip


def test_a_party_without_a_column_is_named_with_the_option_for_it(
    cli: Any, centre: Any, asked: Any
) -> None:
    granted(centre, "bank-b", "bank-a", "bank-c")
    status, _, err = cli(*RUN, "--key", "phone", "--column", "bank-a:mobile", "--dry-run")
    assert status != 0
    assert "No column of the key is named for bank-b, bank-c." in err
    assert "Add --column bank-b:COLUMN --column bank-c:COLUMN, or name a column without ORG" in err
    assert not [path for path, _, _ in centre.asked if path == "POST /jobs/dry-run"]
    assert asked is not None


def test_a_kind_and_a_figure_of_one_name_have_chinese_of_their_own() -> None:
    assert (chinese("psi"), chinese("PSI")) == ("隐私求交", "群体稳定性指数")
    assert chinese("mpc") == "多方计算"


def test_a_wrong_rule_is_named_without_pydantics_own_names() -> None:
    body = yaml.safe_load(EXAMPLE.read_text()) | {"key": ["telephone"]}
    with pytest.raises(SecureFlowError, match=r"key\.0: it must be 'none'"):
        parse(PsiRequest, body, "request")


def test_the_example_is_a_request() -> None:
    body = yaml.safe_load(EXAMPLE.read_text())
    request = parse(PsiRequest, body, "request")
    assert request.columns["telco"].key == ("msisdn",)


def test_the_sdks_request_is_the_same() -> None:
    made = psi_request(
        "prj_00000000", [], key=["phone", {"rule": "phone", "country": "DE"}], learns="a",
        columns={"a": ["x", "y"], "b": {"key": ["x", "y"], "granted": ["z"]}}, purpose="p",
    )  # fmt: skip
    assert made.columns["b"].granted == ("z",)
    assert (made.kind, made.minimum, made.attempts) == ("psi", None, 3)


def test_a_report_has_counts_and_says_where_the_result_is(cli: Any, centre: Any) -> None:
    centre.answers["GET /jobs/job_11111111/report?format=json"] = (200, REPORT)
    status, out, err = cli("job", "report", "job_11111111")
    assert status == 0, err
    assert "\u202e" not in out + err
    assert "it was restarted" in out
    assert ("keys brought" in out, "matched" in out) == (True, True)
    assert "secureflow agent results show job_11111111" in err
    status, out, _ = cli("job", "report", "job_11111111", "-o", "json")
    assert json.loads(out)["intersection"] == REPORT["intersection"]


SECTIONS: list[Any] = [
    {"title": "Intersection", "rows": [
        {"label": "keys that match, as bank-a counts them", "value": 7, "texts": {
            "label": {"template": "keys that match, as {party} counts them",
                      "facts": {"party": "bank-a"}}}},
        {"label": "learned by", "value": ["bank-a\u202e", True]},
        {"label": "learned by", "value": "told to nobody else"}]},
    {"title": "Empty", "rows": []},
]  # fmt: skip


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_report_tells_the_sections_of_its_kind_and_no_rounds(
    cli: Any, centre: Any, lang: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    given = {"rounds": 1, "contributions": {"bank-a\u202e": {"rounds": 0, "rows": None}}}
    report = {**REPORT, **given, "sections": SECTIONS}
    centre.answers["GET /jobs/job_11111111/report?format=json"] = (200, report)
    status, out, err = cli("job", "report", "job_11111111")
    assert status == 0, err
    assert "\u202e" not in out + err
    assert "Empty" not in out
    said = {
        "en": ("keys that match, as bank-a counts them: 7", "learned by: told to nobody else"),
        "zh": ("：7", "：没有告诉其他人"),
    }
    assert all(one in out for one in said[lang]), out
    assert not [one for one in ("rounds", "轮数", "0 轮", "0 rounds") if one in out]
    assert "secureflow agent results show job_11111111" in err


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("rows", [False, True])
def test_no_sections_of_a_centre_end_the_command_line(
    cli: Any, centre: Any, rows: bool, value: Any
) -> None:
    sections = [{"title": value, "rows": [{"label": value, "value": value}]}] if rows else value
    centre.answers["GET /jobs/job_11111111/report?format=json"] = (
        200, {**REPORT, "sections": sections},
    )  # fmt: skip
    status, out, err = cli("job", "report", "job_11111111")
    assert status == 0, err
    assert "\u202e" not in out + err


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", ["intersection", "keys", "matched", "attempts", "learners"])
def test_no_report_of_a_centre_ends_the_command_line(
    cli: Any, centre: Any, place: str, value: Any
) -> None:
    report = json.loads(json.dumps(REPORT))
    if place == "intersection":
        report["intersection"] = value
    else:
        report["intersection"][place] = value
    centre.answers["GET /jobs/job_11111111/report?format=json"] = (200, report)
    status, out, err = cli("job", "report", "job_11111111")
    assert status == 0, err
    assert "\u202e" not in out + err


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "WHICH OF ITS KEYS MATCH: bank-a LEARNS IT"),
        ({"learns": "all", "sides": [
            {"party": "bank-a", "key": ["phone"]},
            {"party": "bank-b", "key": ["phone"], "granted": ["segment"]}]},
         "segment of bank-b's rows go to the other party"),
        ({"learns": "size", "protocol": "openmined",
          "engine": {"name": "openmined", "version": "2.0.6"}}, "LEARNS THE NUMBER"),
        ({"minimum": 7}, "not shown with fewer than 7"),
        ({"tells_size": True}, "HOW MANY MATCH IS TOLD TO EVERYBODY WITH THE REPORT"),
    ],
)  # fmt: skip
def test_an_owner_is_shown_who_learns_what(changes: dict[str, Any], told: str) -> None:
    lines = shown(specified(ROSTER, **changes))
    assert told in lines
    assert "2, which compute with each other" in lines
    assert "NONE: what is released may reveal single rows" in lines
    assert "the other's agent" in lines
    assert "against parties that follow the protocol, and nobody who does not" in lines
    assert "parties that put together what they receive" in lines


def test_an_owner_of_three_is_shown_that_one_learns_more_and_may_leave_keys_out() -> None:
    roster = [*ROSTER, {"party": "bank-c", "key": "c" * 44, "dataset": "d"}]
    sides = [{"party": one["party"], "key": ["phone"]} for one in roster]
    sides[2]["granted"] = ["segment"]
    lines = shown(specified(roster, learns="all", sides=sides))
    for told in (
        "WHICH KEYS MATCH: EVERY PARTY LEARNS IT",
        "bank-a ALSO LEARNS WHICH EACH SINGLE ONE OF THE OTHERS HAS",
        "segment of bank-c's rows go to all others",
        "can tell the rest of any of their keys that all have it",
        "the intersection with each single one of the others",
    ):
        assert told in lines
    assert "LEARNS WHICH EACH SINGLE ONE" in shown(specified(roster))
