"""What the commands of the socket are given is of the form that their signatures say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from peers.agent_people import OWN, Team
from peers.agent_world import World

from secureflow.agent.edge.arguments import check
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError


async def command(
    item: str, limit: int = 1, share: float = 0.0, known: bool = False,
    ids: list[int] | None = None, more: list[JSON] | None = None, reason: str = "",
) -> None:  # fmt: skip
    """Take one argument of every form that commands have."""


def code(**arguments: Any) -> str:
    try:
        check(command, arguments, json.dumps(arguments).encode())
    except SecureFlowError as error:
        return error.code
    return ""


@pytest.mark.parametrize(
    "arguments",
    [
        {"item": "x"},
        {"item": "x", "limit": 7, "share": 1, "known": True, "ids": [1, 2], "more": [{}, "a"]},
        {"item": "é", "share": 0.5, "ids": None, "more": [], "reason": "two\nlines\t"},
    ],
)
def test_what_fits_is_taken(arguments: dict[str, Any]) -> None:
    assert code(**arguments) == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"item": 1}, {"item": None}, {"item": ["x"]}, {"item": {}}, {"limit": "1"}, {"limit": True},
        {"limit": 2.0**60}, {"limit": None}, {"share": "x"}, {"share": None}, {"known": 1},
        {"known": "true"}, {"ids": ["1"]}, {"ids": 3}, {"more": "text"}, {"more": 3},
        {"item": "a\x1b[2J"}, {"item": "a\u202eb"}, {"item": "\u200b"}, {"item": "a\nb"},
        {"item": "\ud800"}, {"reason": "\udfff"}, {"more": [{"a": ["\ud800"]}]},
        {"more": [{"\ud800": 1}]}, {"more": ["a\uffa0"]}, {"unknown": 1}, {"un\x1bknown": 1},
    ],
    ids=repr,
)  # fmt: skip
def test_what_does_not_fit_is_refused(changed: dict[str, Any]) -> None:
    assert code(**{"item": "x", **changed}) == "invalid_request"


def test_half_a_character_is_found_however_deep_it_lies() -> None:
    deep = '{"item": "x", "more": ' + "[" * 800 + r'"\ud800"' + "]" * 800 + "}"
    with pytest.raises(SecureFlowError) as caught:
        check(command, json.loads(deep), deep.encode())
    assert "half a character" in caught.value.message


def test_a_command_without_what_it_needs_is_refused() -> None:
    assert code() == "invalid_request"


async def test_values_that_once_were_internal_errors(tmp_path: Path) -> None:
    team = Team(World(tmp_path / "agent", policy=""))
    for name, given in (
        ("grant.show", {"grant": ["x"]}),
        ("grant.revoke", {"grant": 7}),
        ("grant.unlock", {"grant": "x", "uses": 1, "epsilon": None}),
        ("inbox.show", {"item": {}}),
        ("results.show", {"job": "\ud800"}),
        ("data.settle", {"domain": "x", "bundles": 3}),
        ("log", {"job": "", "limit": "x"}),
    ):
        assert await team.refusal(name, user=OWN, **given) == "invalid_request", name
    assert await team.refusal("people.logout", "sfa_\ud800", user=OWN) == ""
    assert await team.refusal("people.me", "sfa_\ud800") == "session_needed"
