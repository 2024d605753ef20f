"""The doctor's check of the agent's own address, of gossip, and of witnesses of others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secureflow.agent.edge import witnesscheck
from secureflow.agent.edge.witnesscheck import check_witness
from secureflow.agent.witnesssettings import WitnessSettings
from secureflow.kit.errors import SecureFlowError

WELL: dict[str, Any] = {
    "listen": "127.0.0.1:1",
    "port": 1,
    "logs": [],
    "waiting": [],
    "gossip": [{"party": "bank-b", "at": 7, "trouble": ""}],
    "witnesses": [{"name": "w", "size": 3, "at": 7, "trouble": "", "line": ""}],
    "keeper": {"problem": "", "hint": ""},
}


def examined(monkeypatch: pytest.MonkeyPatch, found: Any, **given: Any) -> str:
    asked: Any = given or {"listen": "127.0.0.1:1"}
    settings = WitnessSettings(**asked) if found is not None else WitnessSettings()
    monkeypatch.setattr(witnesscheck, "call", lambda *_: found)
    monkeypatch.setattr(witnesscheck, "shown_session", lambda _: "")
    so_far: Any = SimpleNamespace(known=SimpleNamespace(witness=settings, socket=Path("x")))
    return str(check_witness(so_far))


def test_what_is_well_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "1 partner in gossip, 1 witness of others" in examined(monkeypatch, WELL)


def test_who_set_nothing_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    assert examined(monkeypatch, None).startswith("not set")


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"waiting": [7, 9]}, "head_unproved"),
        ({"keeper": {"problem": "it is older", "hint": "put it back"}}, "anchor_unavailable"),
        ({"gossip": [{"party": "bank-b", "at": 0, "trouble": "gossip_refused"}]}, "gossip_refused"),
        ({"witnesses": [{"name": "w", "trouble": "witness_refused"}]}, "witness_refused"),
    ],
)
def test_what_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], code: str
) -> None:
    with pytest.raises(SecureFlowError, match=code):
        examined(monkeypatch, {**WELL, **changed})
