"""`secureflow agent grant`, `job`, `project`, `requester`, `data usage`, over what it tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from secureflow.agent import api

GRANT = "ab" * 32
TERMS: dict[str, Any] = {
    "dataset": "customers", "project": "prj_0123456789", "columns": ["age", "income"],
    "expires": 1_900_000_000, "purposes": [], "kinds": ["training"], "parties": [],
    "protections": [], "epsilon": 3.0, "epsilon_per_job": None, "min_group": None,
    "bundles": "none", "uses": 5, "automatic": False,
}  # fmt: skip
SHOWN: dict[str, Any] = {
    "id": GRANT, "state": "granted", "terms": TERMS, "used": {"uses": 1, "epsilon": 0.5},
    "proposal": "", "created": 1_800_000_000, "revoked": None, "reason": "",
}  # fmt: skip
STOPPED = [
    {"job": "job_1", "voted": [], "sent": [], "needed": 3, "parties": 3, "kept": False,
     "told": ["Nothing of it had been given out."]}
]  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the command line asked the agent for."""
    seen: list[tuple[Any, ...]] = []

    def answers(name: str, answer: Any) -> None:
        def call(config: Path, *given: Any) -> Any:
            seen.append((name, *given))
            return answer

        monkeypatch.setattr(api, name, call)

    proposed = {"id": "grt_0123456789", "state": "proposed", "terms": TERMS}
    answers("grant_list", [SHOWN, proposed])
    answers("grant_show", {**SHOWN, "jobs": [{"job": "job_1", "epsilon": 0.5, "at": 1}]})
    answers("grant_create", SHOWN)
    answers("grant_confirm", SHOWN)
    answers("grant_revoke", {**SHOWN, "stopped": STOPPED})
    answers("grant_unlock", SHOWN)
    answers("job_withdraw", {"job": "job_1", "stopped": STOPPED})
    answers("project_freeze", {"project": "prj_0123456789", "stopped": STOPPED})
    answers("project_unfreeze", {})
    answers("requester_block", {"requester": "usr_eve", "stopped": []})
    answers("requester_unblock", {})
    answers(
        "stop_list", [{"kind": "project", "name": "prj_1", "by": "owner", "at": 1, "reason": ""}]
    )
    answers("data_usage", {"uses": [_USE], "differences": [_DIFFERENCE]})
    return seen


_USE = {
    "job": "job_1", "dataset": "customers", "at": 1_800_000_000, "requester": "usr_alice",
    "purpose": "credit", "kind": "training", "columns": ["age"], "approval": "policy x",
    "epsilon": None, "outcome": "succeeded", "grant": "",
}  # fmt: skip
_DIFFERENCE = {"job": "job_2", "difference": "ledger_only", "message": "It lacks \x1b[2J it."}


def test_grants_are_listed_with_what_is_used(cli: Any, asked: list[Any]) -> None:
    status, out, err = cli("agent", "grant", "list")
    assert status == 0
    assert GRANT in out, "an id that people decide on is shown whole"
    assert "1 / 5" in out
    assert "0.5 / 3" in out
    assert "confirm" in err
    assert json.loads(cli("agent", "grant", "list", "-o", "json")[1])[0]["id"] == GRANT
    assert "job_1" in "".join(cli("agent", "grant", "show", GRANT)[1:])


def test_a_grant_is_made_from_options_or_a_file(cli: Any, asked: list[Any], tmp_path: Path) -> None:
    options = (
        "--dataset", "customers", "--project", "prj_0123456789", "--column", "age", "--column",
        "income", "--kind", "training", "--epsilon", "3", "--uses", "5", "--bundle", "person",
    )  # fmt: skip
    assert cli("agent", "grant", "create", *options)[0] != 0, "nobody confirmed it"
    assert asked == []
    assert cli("agent", "grant", "create", *options, "--yes")[0] == 0
    ((name, terms),) = asked
    assert name == "grant_create"
    assert (terms["columns"], terms["bundles"], terms["uses"]) == (["age", "income"], "person", 5)
    assert "parties" not in terms, "what is not said is left to the default"
    assert terms["expires"] > 1_700_000_000
    file = tmp_path / "grant.yaml"
    file.write_text(yaml.safe_dump(TERMS))
    assert cli("agent", "grant", "create", "--file", str(file), "--uses", "2", "--yes")[0] == 0
    assert asked[-1][1] == {**TERMS, "uses": 2}


def test_a_proposal_is_confirmed_as_it_was_shown(
    cli: Any, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    proposed = {"id": "grt_0123456789", "state": "proposed", "terms": TERMS}
    monkeypatch.setattr(api, "grant_show", lambda *_: proposed)
    status, out, _ = cli("agent", "grant", "confirm", "grt_0123456789", "--yes")
    assert status == 0
    assert "customers" in out
    assert asked[-1] == ("grant_confirm", "grt_0123456789", TERMS)


def test_nobody_is_asked_about_what_was_confirmed_before(cli: Any, asked: list[Any]) -> None:
    _, out, err = cli("agent", "grant", "confirm", "grt_0123456789")
    assert [one[0] for one in asked] == ["grant_show", "grant_confirm"], "the agent says why not"
    assert "Grant this?" not in out + err


def test_the_outcome_of_a_use_is_words(
    cli: Any, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    use = {**_USE, "outcome": "grant_revoked"}
    monkeypatch.setattr(api, "data_usage", lambda *_: {"uses": [use], "differences": []})
    assert "grant revoked" in cli("agent", "data", "usage")[1]
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    assert "授权已撤销" in cli("agent", "data", "usage")[1]


def test_revoking_says_what_cannot_be_taken_back(cli: Any, asked: list[Any]) -> None:
    status, _, err = cli("agent", "grant", "revoke", GRANT, "--reason", "over", "--yes")
    assert (status, asked[-1]) == (0, ("grant_revoke", GRANT, "over"))
    assert "job_1 was stopped. Nothing of it had been given out." in err
    assert cli("agent", "grant", "unlock", GRANT, "--uses", "2", "--yes")[0] == 0
    assert asked[-1] == ("grant_unlock", GRANT, 2, 0.0)


def test_the_approval_of_one_job_is_withdrawn(cli: Any, asked: list[Any]) -> None:
    assert cli("agent", "job", "withdraw", "job_1")[0] != 0, "nobody confirmed it"
    assert asked == []
    status, _, err = cli("agent", "job", "withdraw", "job_1", "--reason", "over", "--yes")
    assert (status, asked) == (0, [("job_withdraw", "job_1", "over")])
    assert "job_1 was stopped. Nothing of it had been given out." in err


def test_projects_and_requesters_are_stopped_and_let_in_again(cli: Any, asked: list[Any]) -> None:
    assert cli("agent", "project", "freeze", "prj_0123456789", "--yes")[0] == 0
    assert cli("agent", "project", "unfreeze", "prj_0123456789")[0] == 0
    assert cli("agent", "requester", "block", "usr_eve", "--yes")[0] == 0
    assert cli("agent", "requester", "unblock", "usr_eve")[0] == 0
    assert [one[0] for one in asked] == [
        "project_freeze", "project_unfreeze", "requester_block", "requester_unblock",
    ]  # fmt: skip
    assert "prj_1" in cli("agent", "project", "list")[1]
    assert "prj_1" not in cli("agent", "requester", "list")[1]


def test_usage_names_the_differences(cli: Any, asked: list[Any]) -> None:
    status, out, err = cli("agent", "data", "usage", "customers")
    assert (status, asked[-1]) == (0, ("data_usage", "customers"))
    assert "policy x" in out
    assert "Job job_2: It lacks" in err
    assert "\x1b" not in err
    assert json.loads(cli("agent", "data", "usage", "-o", "json")[1])["uses"][0]["job"] == "job_1"


def test_who_approved_and_what_waits_is_said_in_chinese(
    cli: Any, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    uses = [{**_USE, "approval": by} for by in ("a person: 同意", "two people", "its grant")]
    monkeypatch.setattr(api, "data_usage", lambda *_: {"uses": uses, "differences": []})
    out = cli("agent", "data", "usage")[1]
    assert "人：同意" in out
    for english in ("a person", "two people", "its grant"):
        assert english not in out
    out, err = cli("agent", "grant", "list")[1:]
    assert "待确认" in out
    assert "待批准" not in out + err
