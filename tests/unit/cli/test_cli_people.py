"""People at an agent, at the command line: sessions are kept, and decisions are explained."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from secureflow.agent import api, peopleapi
from secureflow.agent.edge.keptsessions import keep_session, session_file, shown_session
from secureflow.cli import atproviders
from secureflow.cli.knownhere import known_here
from secureflow.cli.policies import told
from secureflow.kit.errors import SecureFlowError

SECRET = "sfa_" + "A" * 43
OPENED = {
    "session": SECRET,
    "id": "psn_0",
    "name": "ada",
    "roles": ["decider"],
    "expires": 1_800_000_000,
    "initial_password": False,
    "second_factor": True,
    "recovery_codes": 10,
}


class Agent:
    """Answers over a socket that is none; remembers what was asked, and with which session."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], str]] = []
        self.answers: dict[str, Any] = {}

    def call(
        self, path: Path, command: str, arguments: Any, timeout: float, session: str = ""
    ) -> Any:
        self.asked.append((command, dict(arguments), session))
        found = self.answers[command]
        if isinstance(found, list):
            found = found.pop(0)
        if isinstance(found, SecureFlowError):
            raise found
        return found


@pytest.fixture(name="agent")
def _agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Agent:
    agent = Agent()
    monkeypatch.setattr(api, "call", agent.call)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("SECUREFLOW_AGENT_SOCKET", str(tmp_path / "agent.sock"))
    monkeypatch.delenv("SECUREFLOW_AGENT_SESSION", raising=False)
    return agent


def test_a_login_is_kept_shown_and_forgotten(agent: Agent, cli: Any, tmp_path: Path) -> None:
    agent.answers = {
        "people.login": dict(OPENED),
        "people.me": {},
        "people.logout": {"ended": True},
    }
    password = tmp_path / "password"
    password.write_text("four random words here\n")
    password.chmod(0o600)
    code, out, err = cli("agent", "login", "--name", "ada", "--password-file", password)
    assert code == 0
    assert SECRET not in out + err
    file = session_file(tmp_path / "agent.sock")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    peopleapi.me(Path("agent.yaml"))
    assert agent.asked[-1] == ("people.me", {}, SECRET)
    assert cli("agent", "logout")[0] == 0
    assert agent.asked[-1][2] == SECRET
    assert not file.exists()


def test_a_session_goes_to_its_own_agent_alone(agent: Agent, tmp_path: Path) -> None:
    keep_session(tmp_path / "agent.sock", SECRET)
    assert shown_session(tmp_path / "agent.sock") == SECRET
    assert shown_session(tmp_path / "other.sock") == ""


def test_a_session_that_others_can_read_is_refused(agent: Agent, tmp_path: Path) -> None:
    keep_session(tmp_path / "agent.sock", SECRET).chmod(0o644)
    with pytest.raises(SecureFlowError) as error:
        shown_session(tmp_path / "agent.sock")
    assert error.value.code == "key_exposed"


def test_the_environment_may_hold_the_session(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keep_session(tmp_path / "agent.sock", "sfa_other")
    monkeypatch.setenv("SECUREFLOW_AGENT_SESSION", f"{SECRET}\n")
    assert shown_session(tmp_path / "agent.sock") == SECRET


def test_a_code_is_asked_for_only_where_it_is_needed(
    agent: Agent, cli: Any, tmp_path: Path
) -> None:
    agent.answers = {"people.login": SecureFlowError("second_factor_required", "It has one.")}
    password = tmp_path / "password"
    password.write_text("four random words here\n")
    password.chmod(0o600)
    login = ("agent", "login", "--name", "ada", "--password-file", password)
    code, _, err = cli(*login)
    assert code == 2  # no terminal to ask on
    assert "--code" in err
    agent.answers = {"people.login": dict(OPENED)}
    assert cli(*login, "--code", "123456")[0] == 0
    assert agent.asked[-1][1]["code"] == "123456"


BEGUN = {
    "login": "A" * 43,
    "code": "WDJB-MJHT",
    "address": "https://sso.example/activate",
    "complete": "",
    "interval": 5,
    "expires": 1_800_000_000,
}


def test_a_login_at_a_provider_shows_a_code_and_waits(
    agent: Agent, cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(atproviders.by_provider, "__defaults__", (slept.append,))
    opened = {**OPENED, "method": "oidc:sso", "second_factor": False, "recovery_codes": 0}
    agent.answers = {
        "people.device_start": BEGUN,
        "people.device_finish": [
            {"waiting": True, "interval": 10**9},
            SecureFlowError("provider_unreachable", "away"),
            opened,
        ],
    }
    code, out, err = cli("agent", "login", "--provider", "sso")
    assert code == 0, err
    assert slept == [5, atproviders.MAX_INTERVAL, atproviders.MAX_INTERVAL]
    for shown in ("https://sso.example/activate", "WDJB-MJHT", "ada"):
        assert shown in err
    assert SECRET not in out + err
    assert "totp" not in err  # that is the provider's affair
    assert shown_session(tmp_path / "agent.sock") == SECRET
    assert agent.asked[0][:2] == ("people.device_start", {"provider": "sso"})


def test_a_login_that_a_provider_refuses_ends(
    agent: Agent, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atproviders.by_provider, "__defaults__", (lambda _: None,))
    refusal = SecureFlowError("identity_refused", "You cannot be logged in: nobody is bound.")
    agent.answers = {"people.device_start": BEGUN, "people.device_finish": refusal}
    code, _, err = cli("agent", "login", "--provider", "sso")
    assert code != 0
    assert "nobody is bound" in err


def test_accounts_are_bound_to_people_of_providers(agent: Agent, cli: Any) -> None:
    agent.answers = {
        "people.bind": {},
        "people.unbind": {},
        "people.providers": [[{"name": "sso", "title": "Bank A", "page": False}]],
    }
    assert cli("agent", "people", "bind", "ben", "sso", "ben@bank")[0] != 0, "nobody confirmed it"
    assert agent.asked == []
    bind = ("agent", "people", "bind", "ben", "sso", "ben@bank", "--yes")
    assert cli(*bind)[0] == 0
    given = {"name": "ben", "provider": "sso", "subject": "ben@bank", "roles": []}
    assert agent.asked[-1][:2] == ("people.bind", given)
    assert cli(*bind, "--role", "decider")[0] == 0
    assert agent.asked[-1][1]["roles"] == ["decider"]
    assert cli("agent", "people", "unbind", "ben", "sso", "--yes")[0] == 0
    assert "Bank A" in cli("agent", "people", "providers")[1]


def test_a_second_approval_is_waited_for(agent: Agent, cli: Any) -> None:
    agent.answers = {"inbox.approve": {"signed": False, "second": True}}
    code, _, err = cli("agent", "inbox", "approve", "a" * 64, "--yes")
    assert code == 0
    assert "second person" in err


def test_a_question_is_sent(agent: Agent, cli: Any) -> None:
    agent.answers = {"inbox.ask_back": {}}
    assert cli("agent", "inbox", "ask", "a" * 64, "Why all columns?")[0] == 0
    assert agent.asked[-1][1] == {"item": "a" * 64, "question": "Why all columns?"}


@pytest.mark.parametrize("until", ["tomorrow", "2030-13-01", "1e99"])
def test_a_date_is_one(agent: Agent, cli: Any, until: str) -> None:
    assert cli("agent", "people", "away", "--until", until)[0] == 2


QUESTIONS = [
    {"question": "Why?\x1b[2J", "person": "ben", "asked": 1, "told": True, "answer": "",
     "by": "", "answered": None},
    {"question": "How?", "person": "ben", "asked": 1, "told": True, "answer": "So.\u202e",
     "by": "usr_alice", "answered": 2},
    {"question": "When?", "asked": 1, "told": False},
]  # fmt: skip


def test_questions_and_answers_are_on_the_screen_and_hide_nothing() -> None:
    ((label, text, least),) = known_here({"questions": QUESTIONS})
    assert (label, least) == ("Questions", 1_000)
    assert "\x1b" not in text
    assert "\u202e" not in text
    for said in ("Why?", "not answered yet", "as the centre tells, by usr_alice", "not yet told"):
        assert said in text


# --- what is known beside the spec ------------------------------------------------------------

PEOPLE = {
    "two_people": ["sensitive columns"],
    "approved": [{"id": "psn_1", "name": "ada", "at": 1_800_000_000}],
    "can_decide": ["ben"],
}
BEFORE = {
    "jobs": 3,
    "states": {"approved": 2, "rejected": 1},
    "newest": [
        {"job": "job_1", "purpose": "x\x1b[2J", "at": 1, "state": "rejected", "reason": "too much"}
    ],
}


def test_what_the_agent_knows_is_told_and_nothing_hidden_in_it() -> None:
    rule = {
        "effect": "ask",
        "by": ["no policy permits it"],
        "nearly": [{"title": "credit", "missing": ["context.group_size >= 5"]}],
    }
    lines = {label: text for label, text, _ in
             known_here({"people": PEOPLE, "rule": rule, "before": BEFORE})}  # fmt: skip
    assert "TWO PEOPLE must decide: sensitive columns" in lines["People"]
    assert "ada (psn_1) approved" in lines["People"]
    assert "nearest: credit, without context.group_size >= 5" in lines["Rule"]
    assert lines["Before"].startswith("3 jobs: 2 approved, 1 rejected; last: job_1, ")
    assert "too much" in lines["Before"]
    assert "\x1b" not in lines["Before"]


def test_an_agent_of_an_older_version_tells_nothing() -> None:
    assert list(known_here({"budget": None})) == []


@pytest.mark.parametrize("here", [{"people": 3, "rule": [], "before": "x"}, {"before": None}])
def test_a_broken_answer_breaks_nothing(here: dict[str, Any]) -> None:
    assert all(text for _, text, _ in known_here(here))


def test_an_explanation_names_the_rule() -> None:
    text = "\n".join(told({
        "name": "x", "effect": "ask", "by": ["no policy permits it"], "two_people": [],
        "nearly": [{"title": "credit", "missing": ["a > b"]}],
    }))  # fmt: skip
    assert text.splitlines() == [
        "x: a person is asked", "  no policy permits it", "  nearly: credit; missing:", "    a > b",
    ]  # fmt: skip


def test_the_exit_code_tells_whether_the_policies_decide_as_expected(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"organisation": "bank-a", "server": "https://c.example", "link": "c.example:1",
                "trust_domain": "example.org"}  # fmt: skip
    config, file = tmp_path / "agent.yaml", tmp_path / "tests.yaml"
    config.write_text(yaml.safe_dump(settings))
    example = {"name": "nothing is allowed", "request": {"kind": "psi"}, "expect": "ask"}
    for expect, exit_code in (("ask", 0), ("allow", 8)):
        file.write_text(yaml.safe_dump({"tests": [{**example, "expect": expect}]}))
        assert cli("agent", "policy", "test", file, "--config", config)[0] == exit_code
    assert cli("agent", "policy", "explain", file, "--config", config)[0] == 0
