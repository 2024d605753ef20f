"""Accounts and their access, from the command line."""

from __future__ import annotations

import json
from typing import Any

SESSION = {
    "id": "ses_00000000", "method": "password", "address": "192.0.2.7",
    "created": 1_790_000_000, "used": 1_790_000_000, "expires": 1_790_001_800, "current": False,
}  # fmt: skip
ERASED = {
    "id": "usr_00000000", "name": "erased:usr_00000000", "organisation": "bank-a",
    "roles": ["auditor"], "disabled": True, "erased": 1_790_000_000,
}  # fmt: skip


def test_sessions_in_browsers_are_listed_and_ended(centre: Any, cli: Any) -> None:
    centre.answers["GET /sessions"] = (200, {"items": [SESSION], "next": ""})
    centre.answers["DELETE /sessions/ses_00000000"] = (204, b"")
    centre.answers["DELETE /sessions"] = (204, b"")
    code, out, _ = cli("session", "list")
    assert code == 0
    assert out.splitlines()[1].split()[:3] == ["ses_00000000", "password", "192.0.2.7"]
    assert json.loads(cli("session", "list", "-o", "json")[1]) == [SESSION]
    assert cli("session", "revoke", "ses_00000000")[0] == 0
    assert cli("session", "revoke", "--all")[0] == 0
    ended = [asked[0] for asked in centre.asked[-2:]]
    assert ended == ["DELETE /sessions/ses_00000000", "DELETE /sessions"]


def test_which_sessions_are_meant_is_said(centre: Any, cli: Any) -> None:
    for arguments in ((), ("ses_00000000", "--all")):
        code, _, err = cli("session", "revoke", *arguments)
        assert code == 2
        assert "Name one session" in err
    assert not centre.asked


def test_erasing_needs_a_yes(centre: Any, cli: Any) -> None:
    centre.answers["POST /users/usr_00000000/erase"] = (200, ERASED)
    code, _, err = cli("user", "erase", "usr_00000000")
    assert code == 2
    assert err.startswith("not_confirmed")
    assert not centre.asked
    code, _, err = cli("user", "erase", "usr_00000000", "--yes")
    assert code == 0
    assert "usr_00000000 is erased." in err
