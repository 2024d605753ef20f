"""`secureflow project` against a scripted server: what is sent, and what people read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from secureflow.domain.projecttemplates import TEMPLATES
from secureflow.domain.specs.base import dump

KEY = "prj_00000000"
PROJECT: dict[str, Any] = {
    "id": KEY, "name": "Credit", "purpose": "credit-scoring", "organisation": "bank-a",
    "members": [{"organisation": "bank-a", "state": "active", "since": 1_790_000_000}],
    "created": 1_790_000_000, "description": "", "closed": None, "ends": 4_000_000_000,
    "frozen": {"organisation": "", "user": "usr_0", "at": 1_790_000_000,
               "reason": "a \x1b[31mreview", "salt": ""},
    "restricted": True, "people": [], "template": "credit-risk",
    "rules": dump(TEMPLATES["credit-risk"].rules),
}  # fmt: skip
PERSON = {"user": "usr_00000001", "name": "ana", "organisation": "bank-a",
          "roles": ["lead", "auditor"], "since": 1_790_000_000}  # fmt: skip
DEED = {"index": 7, "at": 1_790_000_000, "kind": "project.frozen", "organisation": "bank-a",
        "by": "usr_00000001", "name": "ana", "job": "",
        "facts": {"reason": "\x1b[31mred"}}  # fmt: skip


def asked_for(centre: Any) -> tuple[str, Any]:
    key, _, body = centre.asked[-1]
    return key, body


def activity(**given: Any) -> str:
    given = {"kind": "", "organisation": "", "user": "", "before": 0, "limit": 50} | given
    sent = "&".join(f"{name}={value}" for name, value in given.items() if value != "")
    return f"GET /projects/{KEY}/activity?{sent}"


@pytest.fixture
def project(centre: Any) -> Any:
    centre.answers[f"GET /projects/{KEY}"] = (200, PROJECT)
    centre.answers[f"GET /projects/{KEY}/people"] = (200, [PERSON])
    centre.answers[activity(limit=5)] = (200, {"items": [DEED], "next": 3})
    return centre


@pytest.mark.usefixtures("project")
def test_a_project_is_shown_with_state_people_rules_and_activity(cli: Any) -> None:
    code, out, err = cli("project", "show", KEY)
    assert (code, err) == (0, "")
    for shown in ("frozen", "operator", "a \\x1b[31mreview", "2096-10-0", "secagg", "ana",
                  "lead, auditor", "froze the project", "reason \\x1b[31mred"):  # fmt: skip
        assert shown in out, shown
    told = json.loads(cli("project", "show", KEY, "-o", "json")[1])
    assert told == PROJECT


def test_who_is_only_invited_sees_the_project_alone(cli: Any, project: Any) -> None:
    project.answers[activity(limit=5)] = (404, {"code": "not_found", "detail": "no"})
    code, out, _ = cli("project", "show", KEY)
    assert code == 0
    assert "froze the project" not in out


def test_an_end_date_is_the_last_day(cli: Any, centre: Any) -> None:
    centre.answers[f"PATCH /projects/{KEY}"] = (200, {**PROJECT, "ends": 1_814_400_000})
    code, out, _ = cli("project", "change", KEY, "--ends", "2027-06-30")
    assert code == 0
    assert "2027-06-30 (last day, UTC)" in out
    assert asked_for(centre)[1] == {"ends": 1_814_400_000}  # 2027-07-01T00:00Z
    assert cli("project", "change", KEY, "--ends", "never", "--open")[0] == 0
    assert asked_for(centre)[1] == {"ends": 0, "restricted": False}
    code, _, err = cli("project", "change", KEY, "--ends", "tomorrow")
    assert code != 0
    assert "'tomorrow' is no day" in err


def test_a_freeze_and_an_archive_are_confirmed(cli: Any, centre: Any) -> None:
    for verb, body in (("freeze", {"reason": "why"}), ("archive", {})):
        centre.answers[f"POST /projects/{KEY}/{verb}"] = (200, PROJECT)
        options = ("--reason", "why") if verb == "freeze" else ()
        code, _, err = cli("project", verb, KEY, *options)
        assert code != 0
        assert "not_confirmed" in err
        assert not centre.asked or asked_for(centre)[0] != f"POST /projects/{KEY}/{verb}"
        assert cli("project", verb, KEY, *options, "--yes")[0] == 0
        assert asked_for(centre) == (f"POST /projects/{KEY}/{verb}", body)
    centre.answers[f"POST /projects/{KEY}/thaw"] = (200, {**PROJECT, "frozen": None})
    asked = len(centre.asked)
    code, _, err = cli("project", "thaw", KEY)
    assert code == 0
    assert "Jobs that a freeze cancelled" in err
    assert len(centre.asked) == asked + 1


def test_people_are_named_and_removed(cli: Any, project: Any) -> None:
    project.answers[f"POST /projects/{KEY}/people"] = (200, PROJECT)
    project.answers[f"DELETE /projects/{KEY}/people/usr_00000001"] = (200, PROJECT)
    assert cli("project", "people", "set", KEY, "usr_00000001", "lead", "auditor")[0] == 0
    assert project.asked[-2][2] == {"user": "usr_00000001", "roles": ["lead", "auditor"]}
    code, out, _ = cli("project", "people", "list", KEY)
    assert code == 0
    assert "usr_00000001  ana" in out
    assert json.loads(cli("project", "people", "list", KEY, "-o", "json")[1]) == [PERSON]
    for given in ("usr_00000001", "ana"):  # a lead may not list users
        assert cli("project", "people", "remove", KEY, given, "--yes")[0] == 0
    assert asked_for(project)[0].startswith("DELETE ")


def test_activity_is_paged_until_there_is_enough(cli: Any, centre: Any) -> None:
    older = DEED | {"index": 1, "kind": "project.created"}
    centre.answers[activity(kind="project")] = (200, {"items": [DEED], "next": 5})
    centre.answers[activity(kind="project", before=5, limit=49)] = (200, {"items": [], "next": 2})
    centre.answers[activity(kind="project", before=2, limit=49)] = (
        200, {"items": [older], "next": 0},
    )  # fmt: skip
    code, out, _ = cli("project", "activity", KEY, "--kind", "project", "-o", "json")
    assert code == 0
    assert [one["index"] for one in json.loads(out)] == [7, 1]


def test_what_was_received_comes_with_what_nobody_knows(cli: Any, centre: Any) -> None:
    line = {"party": "bank-a", "job": "job_00000000", "name": "m", "kind": "training",
            "state": "running", "rounds": 3, "models": ["mdl_0"], "handed_over": [],
            "results": []}  # fmt: skip
    path = f"GET /projects/{KEY}/received"
    centre.answers[path] = (200, {"items": [line], "next": "n", "unknown": ["x y"]})
    centre.answers[f"{path}?cursor=n"] = (200, {"items": [line], "next": "", "unknown": ["x y"]})
    code, out, err = cli("project", "received", KEY)
    assert code == 0
    assert out.count("job_00000000") == 2
    assert "x y" in err


def test_a_project_is_made_of_a_template(cli: Any, centre: Any) -> None:
    template = dump(TEMPLATES["joint-statistics"])
    centre.answers["GET /project-templates/joint-statistics"] = (200, template)
    centre.answers["GET /project-templates"] = (200, [template])
    centre.answers["POST /projects"] = (201, PROJECT)
    assert cli("project", "create", "S", "--template", "joint-statistics")[0] == 0
    body = asked_for(centre)[1]
    assert (body["template"], body["purpose"]) == ("joint-statistics", "statistics")
    code, _, err = cli("project", "create", "S")
    assert code != 0
    assert "needs a purpose" in err
    assert "joint-statistics" in cli("project", "template", "list")[1]
    assert "epsilon" in cli("project", "template", "show", "joint-statistics")[1]
