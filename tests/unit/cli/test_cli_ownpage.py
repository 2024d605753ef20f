"""`secureflow agent console`: where its settings come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from secureflow.agent.console import serving

AGENT = (
    "organisation: bank-a\nserver: https://c.example\nlink: c.example:1\ntrust_domain: x.example\n"
)


@pytest.fixture(name="served")
def _served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []

    def run(settings: Any, agent: Path, ready: Any) -> None:
        found.extend((settings, agent))
        ready("http://127.0.0.1:9/")

    monkeypatch.setattr(serving, "run", run)
    return found


def test_options_come_last_and_the_address_is_told(
    cli: Any, served: list[Any], tmp_path: Path
) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text(f"{AGENT}console: {{listen: '127.0.0.1:7000', allowed_hosts: [a.example]}}\n")
    code, _, err = cli("agent", "console", "--config", config, "--listen", "127.0.0.1:7001")
    assert code == 0, err
    assert "http://127.0.0.1:9/" in err
    settings, agent = served
    assert (settings.listen, settings.allowed_hosts) == ("127.0.0.1:7001", ("a.example",))
    assert agent == tmp_path / "agent.sock"


def test_another_unix_user_names_the_socket_and_needs_no_file(
    cli: Any, served: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_AGENT_SOCKET", "/run/secureflow/agent.sock")
    monkeypatch.setenv("SECUREFLOW_AGENT__CONSOLE__LISTEN", "127.0.0.1:7002")
    missing = tmp_path / "agent.yaml"
    code, _, err = cli("agent", "console", "--config", missing, "--allow-host", "b.example")
    assert code == 0, err
    settings, agent = served
    assert (settings.listen, settings.allowed_hosts) == ("127.0.0.1:7002", ("b.example",))
    assert agent == Path("/run/secureflow/agent.sock")


def test_an_address_of_the_network_is_refused_with_the_next_step(
    cli: Any, served: list[Any], tmp_path: Path
) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text(AGENT)
    code, _, err = cli("agent", "console", "--config", config, "--listen", "0.0.0.0:8765")
    assert (code, served) == (2, [])
    assert "tls_certificate" in err
    assert "docs/owners-page.md" in err
