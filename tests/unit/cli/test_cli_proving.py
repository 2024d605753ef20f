"""What takes a recent proof asks for the password once; roles, and lists that are empty."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.cli.conftest import Centre

Cli = Callable[..., tuple[int, str, str]]
KEY = "usr_00000000000000000000"
USER = {"id": KEY, "name": "ada", "display": "Ada", "organisation": "bank-a", "roles": ["auditor"],
        "created": 1, "disabled": False, "erased": None}  # fmt: skip
MISSING = {"code": "proof_required", "detail": "This takes a proof.", "details": {"password": True}}
TOKEN = {"id": "tok_1", "label": "", "created": 1, "expires": 2, "scopes": ["all"], "used": 0,
         "token": "sft_new"}  # fmt: skip


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is typed where nothing is shown, in order."""
    typed = ["my password"]
    monkeypatch.setattr("secureflow.cli.proving.ask_secret", lambda *_: typed.pop(0))
    return typed


def test_the_password_is_asked_for_and_sent_once(
    centre: Centre, cli: Cli, secrets: list[str]
) -> None:
    centre.answers |= {
        "POST /tokens": [(403, MISSING), (201, TOKEN)],
        "POST /me/proof": (200, {"until": 9}),
    }
    code, out, err = cli("token", "create", "nightly")
    assert (code, "sft_new" in out, secrets) == (0, True, [])
    assert "older than five minutes" in err
    asked = [(key, body) for key, _, body in centre.asked]
    assert [key for key, _ in asked] == ["POST /tokens", "POST /me/proof", "POST /tokens"]
    assert asked[1][1] == {"password": "my password"}
    assert "my password" not in str(asked[0]) + str(asked[2]) + out + err


def test_a_code_is_asked_for_where_the_account_needs_one(
    centre: Centre, cli: Cli, secrets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secureflow.cli.proving.ask", lambda *_: "123456")
    needed = (401, {"code": "second_factor_required", "detail": "A code too."})
    centre.answers |= {
        "POST /me/second-factor": [(403, MISSING), (201, {"secret": "S", "uri": "otpauth://x"})],
        "POST /me/proof": [needed, (200, {"until": 9})],
    }
    assert cli("totp", "enrol")[0] == 0
    assert centre.asked[2][2] == {"password": "my password", "code": "123456"}
    assert secrets == []


def test_removing_a_second_factor_sends_code_and_password_together(
    centre: Centre, cli: Cli, secrets: list[str]
) -> None:
    centre.answers["POST /me/second-factor/remove"] = [(403, MISSING), (204, b"")]
    assert cli("totp", "remove", "123456")[0] == 0
    sent = [body for _, _, body in centre.asked]
    assert sent == [{"code": "123456"}, {"code": "123456", "password": "my password"}]
    assert secrets == []


def test_who_has_no_password_is_told_where_to_log_in(centre: Centre, cli: Cli) -> None:
    centre.answers["POST /tokens"] = (403, {**MISSING, "details": {"password": False}})
    code, _, err = cli("token", "create")
    assert (code, len(centre.asked)) == (3, 1)
    assert "proof" in err


def test_roles_are_changed_as_a_whole(centre: Centre, cli: Cli) -> None:
    centre.answers[f"PATCH /users/{KEY}"] = (200, {**USER, "roles": ["data-owner", "auditor"]})
    code, out, _ = cli("user", "roles", KEY, "--role", "auditor", "--role", "data-owner", "--yes")
    assert (code, "data-owner" in out) == (0, True)
    assert centre.asked[-1][2] == {"roles": ["auditor", "data-owner"]}
    assert cli("user", "roles", KEY)[0] == 2


def test_empty_lists_say_what_comes_next(centre: Centre, cli: Cli) -> None:
    centre.answers |= {
        "GET /sessions": (200, {"items": [], "next": ""}),
        "GET /queue": (200, {"items": [], "next": "", "waiting": 0}),
    }
    code, _, err = cli("session", "list")
    assert (code, "secureflow token list" in err) == (0, True)
    code, _, err = cli("queue", "list")
    assert (code, "secureflow job submit" in err) == (0, True)
