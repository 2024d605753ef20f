"""Agent commands: what they ask of the running agent, and what needs a person's word."""

from __future__ import annotations

import errno
import io
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent import api
from secureflow.agent.witness.headwatch import set_back_error
from secureflow.domain.charter import Charter, Member
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MEMBERS = tuple(Member(f"bank-{n}", n, SigningKey.generate().public) for n in "abc")
CHARTER = Charter(1, "example.org", "log.example", SigningKey.generate().public, MEMBERS)

ALARM = SecureFlowError(
    "record_set_back",
    Text("The record of {party} is an older copy.", party="bank-b"),
    "Put the newest record back.",
    {"specs": {"job_1": "ab" * 32}},
)


@pytest.fixture(name="asked")
def _asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Replace the control socket; the commands' own arguments are what counts here."""
    calls: list[tuple[str, dict[str, Any]]] = []
    answers: dict[str, Any] = {
        "charter.show": {
            "pinned": {"charter": {"version": 1}, "signatures": {}},
            "candidate": {"charter": CHARTER.json(), "signatures": {}},
        },
        "log": [{"at": 1, "action": "charter.pinned", "facts": {"taken_at": 1_795_869_074}}],
        "status": {
            "settings": {"state": "same", "changed": [], "restart": []},
            "trouble": {"code": "link_broken", "message": "It broke.", "hint": "Mend it."},
            "alarm": ALARM.as_json(),
            "set_back": set_back_error("log.example", 1343, 1115).as_json(),
        },
        "leaves": [{"kind": "approval", "hash": "ab" * 32, "proved": True, "leaf": {}}],
    }

    def control(config: Path, command: str, timeout: float = 0, **arguments: Any) -> Any:
        calls.append((command, arguments))
        return answers.get(command, {})

    monkeypatch.setattr(api, "control", control)
    return calls


def test_signing_a_charter_needs_the_compared_words(cli: Any, asked: Any) -> None:
    """Without them and without a terminal the words are shown, and nothing is signed."""
    status, _, err = cli("agent", "charter", "sign")
    assert status == 2
    assert CHARTER.fingerprint_words() in err
    assert err.splitlines()[-1].startswith("not_confirmed: ")
    assert [command for command, _ in asked] == ["charter.show"]
    assert cli("agent", "charter", "sign", "--yes")[0] == 2  # there is no way around them
    assert cli("agent", "charter", "sign", "--confirm", "acorn actor")[0] == 0
    assert asked[-1] == ("charter.sign", {"confirm": "acorn actor"})
    assert [command for command, _ in asked] == ["charter.show", "charter.sign"]


@pytest.mark.parametrize(("typed", "signed"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_at_a_terminal_what_was_shown_is_what_is_signed(
    cli: Any, asked: Any, monkeypatch: pytest.MonkeyPatch, typed: str, signed: bool
) -> None:
    keyboard = io.StringIO(typed)
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)
    status, _, err = cli("agent", "charter", "sign")
    assert CHARTER.digest in err
    assert MEMBERS[0].key in err
    assert (status == 0) == signed
    signing = [("charter.sign", {"confirm": CHARTER.digest})] if signed else []
    assert asked == [("charter.show", {}), *signing]


def test_pinning_takes_the_servers_charter_or_a_file(cli: Any, asked: Any, tmp_path: Path) -> None:
    file = tmp_path / "charter.json"
    assert cli("agent", "charter", "show", "--save", file)[0] == 0
    saved = json.loads(file.read_text())
    assert saved == {"charter": {"version": 1}, "signatures": {}}
    assert cli("agent", "charter", "pin", file, "--confirm", "words")[0] == 0
    assert asked[-1] == ("charter.pin", {"charter": saved, "confirm": "words"})
    assert cli("agent", "charter", "pin")[0] == 0
    assert asked[-1] == ("charter.pin", {"charter": None, "confirm": ""})


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_charter_is_shown_as_people_compare_it(
    cli: Any, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    signed = {"charter": CHARTER.json(), "signatures": {}}
    told: dict[str, Any] = {"pinned": None, "candidate": signed, "differences": []}
    monkeypatch.setattr(api, "control", lambda *_, **__: told)
    out = cli("agent", "charter", "show")[1]
    assert CHARTER.fingerprint_words("en") in out
    assert "signatures:" not in out
    told |= {"pinned": signed, "differences": ["bank-a: another key"]}
    out = cli("agent", "charter", "show")[1]
    assert out.count(CHARTER.fingerprint_words("en")) == 1, "the same charter is shown once"
    assert "bank-a: another key" in out
    assert json.loads(cli("agent", "charter", "show", "-o", "json")[1]) == told


def test_an_alarm_is_cleared_only_with_a_reason_and_a_yes(cli: Any, asked: Any) -> None:
    assert cli("agent", "clear-alarm", "--yes")[0] == 2
    assert cli("agent", "clear-alarm", "--reason", "explained")[0] == 2
    assert not asked
    code, _, err = cli("agent", "clear-alarm", "--reason", "explained", "--yes")
    assert (code, err) == (0, "There was no alarm.\n")


def test_the_alarm_that_was_cleared_is_told_in_words(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "control", lambda *_, **__: {"cleared": ALARM.as_json()})
    words = ("agent", "clear-alarm", "--reason", "explained", "--yes")
    _, out, err = cli(*words)
    assert "The record of bank-b is an older copy." in out
    assert "template" not in out
    assert err == ""
    assert json.loads(cli(*words, "-o", "json")[1]) == {"cleared": ALARM.as_json()}


def test_log_and_status(cli: Any, asked: Any) -> None:
    assert "Pinned a charter." in cli("agent", "log", "--job", "job_1", "--limit", 5)[1]
    assert asked[-1] == ("log", {"job": "job_1", "limit": 5})
    assert "taken_at=2026-11-2" in cli("agent", "log", "--limit", 5)[1]
    out = cli("agent", "status")[1]
    assert "It broke. → Mend it." in out
    assert "The record of bank-b is an older copy. → Put the newest record back.\n" in out
    assert "template" not in out
    assert "signed head of size 1343. 228 entries are lost. → " in out
    assert json.loads(cli("agent", "status", "-o", "json")[1])["trouble"]["code"] == "link_broken"
    assert "ab" * 32 in cli("agent", "leaves", "job_1")[1]
    assert asked[-1] == ("leaves", {"job": "job_1"})


def test_the_agents_record_is_told_in_the_chosen_language(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"by": "a person: looks fine", "reason": "", "model": None, "item": "a person"}
    rows = [{"at": 1, "action": "job.approved", "job": "j", "facts": facts}]
    monkeypatch.setattr(api, "log", lambda *_, **__: rows)
    out = cli("agent", "log")[1]
    assert "by=a person: looks fine" in out
    assert "reason" not in out  # it says nothing
    assert "model" not in out
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    out = cli("agent", "log")[1]
    assert "决定者=人：looks fine" in out
    assert "请求=a person" in out  # what somebody called something
    assert json.loads(cli("agent", "log", "-o", "json")[1])[0]["facts"] == facts
    told = {"verb": "mask", "stage": "moments", "survivors": ["bank-a", "bank-b"], "restart": []}
    rows[0]["facts"] = told
    out = cli("agent", "log")[1]
    assert "步骤=加掩码 阶段=统计矩 贡献方=bank-a、bank-b" in out
    assert "restart" not in out
    assert "重启" not in out


def test_an_agent_that_does_not_run_is_named(cli: Any, tmp_path: Path) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text(
        "organisation: bank-a\nserver: https://c.example\nlink: c.example:1\n"
        "trust_domain: x.example\n"
    )
    code, out, err = cli("agent", "status", "--config", config)
    assert code == 6
    assert out == ""
    assert err.startswith("agent_not_running: ")
    assert cli("agent", "config", "--config", config)[0] == 0


@pytest.mark.parametrize("edited", ["nonsense: 1\n", "datasets: [\n", "directory: here\nx: 1\n"])
def test_a_running_agent_answers_though_its_file_was_broken(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: str
) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text(edited)
    place = tmp_path / ("here" if "directory" in edited else ".")
    place.mkdir(exist_ok=True)
    assert cli("agent", "inbox", "list", "--config", config)[0] == 2  # none runs
    asked: list[Path] = []

    def call(socket: Path, *_: Any) -> Any:
        asked.append(socket)
        return []

    monkeypatch.setattr(api, "call", call)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place / "agent.sock"))
        assert cli("agent", "inbox", "list", "--config", config)[0] == 0
    assert {one.resolve() for one in asked} == {(place / "agent.sock").resolve()}


def test_a_token_file_that_is_not_there_is_named_in_words(cli: Any, tmp_path: Path) -> None:
    code, _, err = cli("agent", "enroll", tmp_path / "a", "--token-file", tmp_path / "none",
                       "--server", "https://c.example")  # fmt: skip
    assert code == 2
    assert "No such file or directory. → Give the path" in err
    assert "Errno" not in err


def test_a_token_comes_by_stdin_from_whoever_may_read_its_file(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("no token\n"))
    words = (tmp_path / "a", "--token-file", "-", "--server", "https://c.example")
    assert "The enrolment token cannot be read" in cli("agent", "enroll", *words)[2]


@pytest.mark.parametrize(
    "words",
    [
        ("agent", "enroll", "new", "--server", "https://c.example", "--token-file"),
        ("enclave", "init", "new", "--server", "https://c.example", "--token-file"),
        ("server", "restore", "b.tar", "--dir", "new", "--passphrase-file"),
        ("user", "password", "--old-file"),
    ],
    ids=" ".join,
)
def test_a_file_of_another_user_is_refused_with_the_next_step(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    file = tmp_path / "theirs"
    file.write_text("secret")

    def denied(path: Path, *_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", denied)
    monkeypatch.setattr(Path, "read_text", denied)
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    code, _, err = cli(*words, file)
    assert code == 2
    assert "Permission denied. → Run this as a user who may read it" in err
