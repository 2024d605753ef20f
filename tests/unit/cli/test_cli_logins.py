"""`secureflow login` with a second factor, by a device code, and `totp`, against a script."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secureflow.cli import devices
from secureflow.sdk import load_profile
from secureflow.sdk.profile import profile_path
from tests.unit.cli.conftest import Centre

Cli = Callable[..., tuple[int, str, str]]
ACCOUNT = {"id": "usr_00000000", "name": "sam"}
SESSION = {
    "token": "sft_2", "expires": 9, "refresh": "sfr_2", "refresh_expires": 99, "user": ACCOUNT,
}  # fmt: skip
ASKING = {"id": "dev_1", "client": "x", "address": "192.0.2.7", "created": 5, "expires": 9}


def refusal(code: str, status: int = 401, **details: Any) -> tuple[int, Any]:
    return status, {"code": code, "detail": "No.", "status": status, "details": details}


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("a long enough one\n")
    path.chmod(0o600)
    return path


def test_the_code_is_asked_for_when_it_is_needed(
    centre: Centre, cli: Cli, password: Path, typing: Callable[[str], None]
) -> None:
    centre.answers["POST /login"] = [refusal("second_factor_required"), (200, SESSION)]
    typing("492039\n")
    code, _, err = cli("login", centre.url, "--name", "sam", "--password-file", password)
    assert code == 0, err
    first, second = (body for _, _, body in centre.asked)
    assert "code" not in first
    assert (second["code"], second["refresh"]) == ("492039", True)
    assert load_profile().refresh == "sfr_2"
    assert stat.S_IMODE(profile_path().stat().st_mode) == 0o600


def test_a_wrong_code_is_not_asked_for_again(centre: Centre, cli: Cli, password: Path) -> None:
    centre.answers["POST /login"] = [refusal("bad_credentials")]
    arguments = ("--name", "sam", "--password-file", password, "--code", "000000")
    assert cli("login", centre.url, *arguments)[0] != 0
    assert centre.asked[0][2]["code"] == "000000"
    assert len(centre.asked) == 1


def test_a_machine_without_a_browser_shows_a_code_and_waits(
    centre: Centre, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(devices.by_device, "__defaults__", (waited.append,))
    codes = {"device_code": "sfd_1", "user_code": "BCDF-GHJK", "expires": 1_800_000_000}
    centre.answers |= {
        "POST /devices": (201, {**codes, "interval": 5}),
        "POST /devices/login": [
            refusal("authorization_pending", 409, interval=5),
            refusal("slow_down", 403, interval=10),
            (200, SESSION),
        ],
    }
    code, _, err = cli("login", centre.url, "--device")
    assert code == 0, err
    assert "BCDF-GHJK" in err
    assert f"logged in to {centre.url}: secureflow login approve BCDF-GHJK" in err
    assert waited == [5, 5, 10]
    assert "sfd_1" not in err
    assert (load_profile().token, load_profile().user) == ("sft_2", "sam")
    assert centre.asked[0][2]["client"].startswith("SecureFlow CLI on ")


def test_what_was_denied_keeps_no_login(
    centre: Centre, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices.by_device, "__defaults__", (lambda _: None,))
    codes = {"device_code": "sfd_1", "user_code": "BCDF-GHJK", "expires": 9, "interval": 1}
    centre.answers |= {
        "POST /devices": (201, codes), "POST /devices/login": refusal("access_denied", 403),
    }  # fmt: skip
    code, _, err = cli("login", centre.url, "--device")
    assert code != 0
    assert err.splitlines()[-1].startswith("access_denied")
    assert not load_profile().token


def test_who_approves_is_shown_who_asks_and_warned(
    centre: Centre, cli: Cli, typing: Callable[[str], None]
) -> None:
    hostile = "Your bank\x1b[2J\u202e says yes"
    centre.answers |= {
        "GET /devices/BCDF-GHJK": (200, {**ASKING, "client": hostile}),
        "POST /devices/BCDF-GHJK/approve": (200, ASKING),
    }
    typing("y\n")
    code, _, err = cli("login", "approve", "BCDF-GHJK")
    assert code == 0, err
    assert "\x1b" not in err
    assert "\u202e" not in err
    assert "calls itself 'Your bank" in err
    assert "192.0.2.7" in err
    assert "only if you began this login yourself" in err


def test_without_a_yes_nothing_is_approved(
    centre: Centre, cli: Cli, typing: Callable[[str], None]
) -> None:
    centre.answers["GET /devices/BCDF-GHJK"] = (200, ASKING)
    typing("n\n")
    assert cli("login", "approve", "BCDF-GHJK")[0] != 0
    typing("")
    assert cli("login", "approve", "BCDF-GHJK")[0] != 0
    assert {key for key, _, _ in centre.asked} == {"GET /devices/BCDF-GHJK"}
    centre.answers["POST /devices/BCDF-GHJK/deny"] = (200, ASKING)
    assert cli("login", "deny", "BCDF-GHJK")[0] == 0


def test_a_code_of_ours_leads_to_no_other_path(centre: Centre, cli: Cli) -> None:
    cli("login", "approve", "../users/usr_1", "--yes")
    (asked,) = (key for key, _, _ in centre.asked)
    assert asked == "GET /devices/..%2Fusers%2Fusr_1"
    assert "approve" in cli("login", "approve")[2]


def test_a_second_factor_is_enrolled_confirmed_and_removed(centre: Centre, cli: Cli) -> None:
    state = {"enrolled": True, "since": 5, "recovery_left": 9, "required": False}
    centre.answers |= {
        "GET /me/second-factor": (200, state),
        "POST /me/second-factor": (201, {"secret": "ABCD", "uri": "otpauth://totp/x"}),
        "POST /me/second-factor/confirm": (200, {"recovery": ["AAAA-BBBB", "CCCC-DDDD"]}),
        "POST /me/second-factor/remove": (204, b""),
        "DELETE /users/usr_00000000/second-factor": (204, b""),
        "GET /users/usr_00000000": (200, ACCOUNT),
    }
    assert json.loads(cli("totp", "enrol", "-o", "json")[1])["uri"] == "otpauth://totp/x"
    assert "CCCC-DDDD" in cli("totp", "confirm", "123456")[1]
    assert json.loads(cli("totp", "show", "-o", "json")[1]) == state
    assert cli("totp", "remove", "123456")[0] == 0
    code, _, err = cli("totp", "reset", "usr_00000000", "--yes")
    assert code == 0, err


def test_an_administrator_sees_and_ends_tokens_and_a_scope_is_asked_for(
    centre: Centre, cli: Cli
) -> None:
    token = {"id": "tok_1", "label": "n", "scopes": ["jobs"], "created": 5, "expires": 9, "used": 7}
    centre.answers |= {
        "GET /users/usr_00000000": (200, ACCOUNT),
        "GET /users/usr_00000000/tokens": (200, {"items": [token]}),
        "DELETE /users/usr_00000000/tokens/tok_1": (204, b""),
        "POST /tokens": (201, {**token, "token": "sft_3"}),
    }
    shown = json.loads(cli("token", "list", "--user", "usr_00000000", "-o", "json")[1])
    assert (shown[0]["scopes"], shown[0]["used"]) == (["jobs"], 7)
    assert cli("token", "revoke", "tok_1", "--user", "usr_00000000")[0] == 0
    assert cli("token", "create", "n", "--scope", "jobs", "--scope", "read")[0] == 0
    assert centre.asked[-1][2]["scopes"] == ["jobs", "read"]


def test_a_token_of_the_environment_is_not_continued_by_anothers_refresh_token(
    centre: Centre, cli: Cli, password: Path
) -> None:
    centre.answers |= {"POST /login": (200, SESSION), "GET /me": refusal("token_expired")}
    assert cli("login", centre.url, "--name", "sam", "--password-file", password)[0] == 0
    assert cli("user", "me")[0] != 0  # SECUREFLOW_TOKEN is set
    assert "POST /refresh" not in [key for key, _, _ in centre.asked]
