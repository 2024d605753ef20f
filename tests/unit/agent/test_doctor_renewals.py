"""What an owner is told of renewals, by a centre that says whatever it likes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from secureflow.agent.edge import doctor
from secureflow.agent.edge.doctor import Diagnosis
from secureflow.agent.settings import AgentSettings
from secureflow.kit.errors import SecureFlowError


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the centre say this; return what the doctor says of it."""
    (tmp_path / "link.asked").write_text(f"100 {'ab' * 32}\n")
    settings = AgentSettings(
        directory=tmp_path, organisation="bank-a", server="https://centre.example",
        link="centre.example:1", trust_domain="example.org",
    )  # fmt: skip

    def look(answer: Any) -> str:
        async def ask(known: AgentSettings, kind: str) -> Any:
            del known
            assert kind == "certificate.list"
            return answer

        monkeypatch.setattr(doctor, "_ask", ask)
        return doctor._renewals(Diagnosis(tmp_path / "agent.yaml", lambda: 0, settings=settings))

    return look


@pytest.mark.parametrize("renewed", [None, 7, {}, "x", [7], [[]], [None]])
def test_a_list_that_is_none_names_no_renewal(told: Any, renewed: Any) -> None:
    assert told({"renewed": renewed}).startswith("0 renewals")
    assert told({}).startswith("0 renewals")


@pytest.mark.parametrize("at", [1 << 40, (1 << 53) - 1, 200])
def test_a_foreign_renewal_is_named_at_whatever_time_it_is_said_to_be(told: Any, at: int) -> None:
    with pytest.raises(SecureFlowError, match="renewal_foreign"):
        told({"renewed": [{"key": "cd" * 32, "serial": "01", "at": at}]})
