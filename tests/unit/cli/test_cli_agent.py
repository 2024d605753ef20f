"""Agent commands: what they ask of the running agent, and what needs a person's word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent import api


@pytest.fixture(name="asked")
def _asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Replace the control socket; the commands' own arguments are what counts here."""
    calls: list[tuple[str, dict[str, Any]]] = []
    answers: dict[str, Any] = {
        "charter.show": {
            "pinned": {"charter": {"version": 1}, "signatures": {}},
            "candidate": None,
        },
        "data.publish": {"id": "dst_00000000"},
        "log": [{"at": 1, "what": "charter.pinned"}],
    }

    def control(config: Path, command: str, timeout: float = 0, **arguments: Any) -> Any:
        calls.append((command, arguments))
        return answers.get(command, {})

    monkeypatch.setattr(api, "control", control)
    return calls


def test_signing_a_charter_needs_the_compared_words(cli: Any, asked: Any) -> None:
    assert cli("agent", "charter", "sign")[0] == 2
    assert [command for command, _ in asked] == ["charter.show"]
    assert cli("agent", "charter", "sign", "--confirm", "acorn actor")[0] == 0
    assert asked[-1] == ("charter.sign", {"confirm": "acorn actor"})


def test_pinning_takes_the_servers_charter_or_a_file(cli: Any, asked: Any, tmp_path: Path) -> None:
    file = tmp_path / "charter.json"
    assert cli("agent", "charter", "show", "--save", file)[0] == 0
    saved = json.loads(file.read_text())
    assert saved == {"charter": {"version": 1}, "signatures": {}}
    assert cli("agent", "charter", "pin", file, "--confirm", "words")[0] == 0
    assert asked[-1] == ("charter.pin", {"charter": saved, "confirm": "words"})
    assert cli("agent", "charter", "pin")[0] == 0
    assert asked[-1] == ("charter.pin", {"charter": None, "confirm": ""})


def test_an_alarm_is_cleared_only_with_a_reason_and_a_yes(cli: Any, asked: Any) -> None:
    assert cli("agent", "clear-alarm", "--yes")[0] == 2
    assert cli("agent", "clear-alarm", "--reason", "explained")[0] == 2
    assert not asked
    assert cli("agent", "clear-alarm", "--reason", "explained", "--yes")[0] == 0


def test_publishing_log_and_status(cli: Any, asked: Any) -> None:
    assert "dst_00000000" in cli("agent", "data", "publish", "customers")[1]
    assert asked[-1] == ("data.publish", {"name": "customers", "title": "customers"})
    assert "charter.pinned" in cli("agent", "log", "--job", "job_1", "--limit", 5)[1]
    assert asked[-1] == ("log", {"job": "job_1", "limit": 5})
    assert cli("agent", "status")[0] == 0


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
