"""Accounts on the page."""

from __future__ import annotations

from typing import Any

from secureflow.agent.console.screens.people import people_rows


def account(name: str, **more: Any) -> dict[str, Any]:
    return {"id": f"psn_{name}", "name": name, "roles": ["viewer"], "sessions": 1, **more}


def test_those_in_use_stand_first_and_say_how_they_stand() -> None:
    rows = people_rows([
        account("a", disabled=True, initial_password=True),
        account("c", initial_password=True),
        account("b", second_factor=True, decides_for=[{"name": "c", "until": 9}]),
    ])  # fmt: skip
    assert [(one.name, one.state) for one in rows] == [
        ("b", "in use"), ("c", "password not yet chosen"), ("a", "disabled"),
    ]  # fmt: skip
    assert [(one.name, one.until) for one in rows[0].decides_for] == [("c", 9)]
