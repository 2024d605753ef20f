"""The demo's owners confirm at their agents what was granted at the centre."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from secureflow.agent import api
from secureflow.demo.platform import Platform
from secureflow.domain.schemas import DatasetConfig

TERMS = {"dataset": "customers", "project": "prj_0123456789"}


@pytest.fixture(name="platform")
def _platform(tmp_path: Path) -> Platform:
    table = cast("DatasetConfig", SimpleNamespace(name="customers"))
    owners = {"bank-a": "Bank A", "bank-b": "Bank B", "lab": "Lab"}
    return Platform(tmp_path, owners, {"bank-a": table, "bank-b": table})


def test_a_proposal_is_confirmed_as_soon_as_an_agent_shows_it(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each agent hears of its own at its own time; who has no data has nothing to confirm."""
    asked: list[str] = []
    told: list[tuple[str, str, Any]] = []

    def listed(config: Path) -> list[dict[str, Any]]:
        party = config.parent.name
        asked.append(party)
        if any(one[0] == party for one in told):
            return [{"id": f"own_{party}", "state": "granted", "terms": TERMS}]
        later = 3 if party == "bank-b" else 1
        shown = {"id": f"grt_{party}", "state": "proposed", "terms": TERMS}
        return [shown] if asked.count(party) >= later else []

    def confirm(config: Path, proposal: str, terms: Any) -> dict[str, Any]:
        told.append((config.parent.name, proposal, terms))
        return {}

    monkeypatch.setattr(api, "grant_list", listed)
    monkeypatch.setattr(api, "grant_confirm", confirm)
    platform.confirm_grants()
    assert told == [("bank-a", "grt_bank-a", TERMS), ("bank-b", "grt_bank-b", TERMS)]
    platform.confirm_grants()
    assert len(told) == 2, "what is confirmed is left alone"


def test_an_agent_that_shows_nothing_is_not_waited_for_without_end(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(api, "grant_list", lambda config: asked.append(config) or [])
    platform.confirm_grants(patience=0.1)
    assert {one.parent.name for one in asked} == {"bank-a", "bank-b"}
