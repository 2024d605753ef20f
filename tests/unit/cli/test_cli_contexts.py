"""Several users on one machine: each context has its own profile, and nobody else reads one."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import Client
from secureflow.sdk.profile import (
    Profile,
    contexts,
    current_context,
    load_profile,
    profile_path,
    save_profile,
)

ANN = {"id": "usr_00000000", "name": "ann", "organisation": "bank-a", "roles": ["auditor"]}


@pytest.fixture(autouse=True)
def _machine(centre: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECUREFLOW_PROFILE", "SECUREFLOW_TOKEN", "SECUREFLOW_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    centre.answers["GET /me"] = (200, ANN)
    (tmp_path / "password").write_text("hunter2\n")
    (tmp_path / "password").chmod(0o600)


def _login(centre: Any, cli: Any, tmp_path: Path, name: str, *options: str) -> None:
    session = {"token": f"sft_{name}", "expires": 1_790_000_000, "user": ANN | {"name": name}}
    centre.answers["POST /login"] = (200, session)
    arguments = ("--name", name, "--password-file", tmp_path / "password", *options)
    assert cli("login", centre.url, *arguments)[0] == 0


def _asks_as(centre: Any, cli: Any, *arguments: str) -> str:
    assert cli(*arguments, "user", "me")[0] == 0
    return str(centre.asked[-1][1]["Authorization"])


def test_who_is_nobody_is_told_the_step_that_helps(centre: Any, cli: Any, tmp_path: Path) -> None:
    assert cli("user", "me")[2].endswith("→ secureflow login URL --ca FILE\n")
    _login(centre, cli, tmp_path, "bob", "--context", "bank-b")
    code, _, err = cli("user", "me")
    assert (code, err) == (
        3, "unauthenticated: You are not logged in. → secureflow context use NAME\n"
    )  # fmt: skip
    code, _, err = cli("--context", "bank-x", "user", "me")
    assert (code, err) == (
        4, "not_found: There is no context bank-x. → secureflow context list\n"
    )  # fmt: skip
    centre.answers["POST /logout"] = (200, {})
    assert cli("--context", "bank-b", "logout")[0] == 0
    assert cli("--context", "bank-b", "user", "me")[2].endswith("login --context bank-b\n")


def test_each_context_speaks_as_its_own_user(
    centre: Any, cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _login(centre, cli, tmp_path, "ann")
    _login(centre, cli, tmp_path, "bob", "--context", "bank-b")
    assert contexts() == ("bank-b", "default")
    assert _asks_as(centre, cli) == "Bearer sft_ann"  # logging in to another one changes nothing
    assert _asks_as(centre, cli, "--context", "bank-b") == "Bearer sft_bob"
    assert cli("context", "use", "bank-b")[0] == 0
    assert _asks_as(centre, cli) == "Bearer sft_bob"
    monkeypatch.setenv("SECUREFLOW_CONTEXT", "default")
    assert _asks_as(centre, cli) == "Bearer sft_ann"
    assert _asks_as(centre, cli, "--context", "bank-b") == "Bearer sft_bob"
    with Client.from_profile() as client:
        assert client.me().name == "ann"
    assert centre.asked[-1][1]["Authorization"] == "Bearer sft_ann"


def test_no_context_shows_a_token_and_every_file_is_private(
    centre: Any, cli: Any, tmp_path: Path
) -> None:
    _login(centre, cli, tmp_path, "ann")
    _login(centre, cli, tmp_path, "bob", "--context", "bank-b")
    cli("context", "use", "bank-b")
    for form in ("table", "json", "yaml"):
        for command in (("context", "list"), ("context", "show"), ("context", "show", "default")):
            code, out, err = cli(*command, "-o", form)
            assert code == 0
            assert "sft_" not in out + err
    rows = json.loads(cli("context", "list", "-o", "json")[1])
    assert [(row["name"], row["user"], row["chosen"]) for row in rows] == [
        ("bank-b", "bob", True),
        ("default", "ann", False),
    ]
    files = [path for path in (tmp_path / "config").rglob("*") if path.is_file()]
    assert len(files) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_logging_out_forgets_the_token_of_the_context_alone(
    centre: Any, cli: Any, tmp_path: Path
) -> None:
    centre.answers["POST /logout"] = (200, {})
    _login(centre, cli, tmp_path, "ann")
    _login(centre, cli, tmp_path, "bob", "--context", "bank-b")
    centre.answers["POST /logout"] = (200, {})
    assert cli("--context", "bank-b", "logout")[0] == 0
    assert centre.asked[-1][1]["Authorization"] == "Bearer sft_bob"
    assert load_profile(profile_path("bank-b")).token == ""
    assert load_profile(profile_path("default")).token == "sft_ann"


def test_removing_needs_a_yes_and_goes_back_to_the_default(
    centre: Any, cli: Any, tmp_path: Path
) -> None:
    _login(centre, cli, tmp_path, "bob", "--context", "bank-b")
    cli("context", "use", "bank-b")
    assert cli("context", "remove", "bank-b")[0] == 2
    assert cli("context", "remove", "bank-b", "--yes")[0] == 0
    assert (contexts(), current_context()) == ((), "default")
    assert cli("context", "remove", "bank-b", "--yes")[0] == 4
    assert cli("context", "use", "bank-b")[0] == 4


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "A", "", ".", "a/b", "x" * 64, "a\nb"])
def test_a_name_is_no_path(cli: Any, name: str) -> None:
    if name:
        assert cli("--context", name, "user", "me")[0] == 2
    assert cli("context", "use", name)[0] == 2
    assert cli("context", "remove", name, "--yes")[0] == 2


def test_a_token_that_others_can_read_is_refused(cli: Any) -> None:
    path = save_profile(Profile("https://c.example", token="sft_x"))
    path.chmod(0o640)
    code, _, err = cli("user", "me")
    assert code == 7
    assert err.startswith("key_exposed: ")
    save_profile(Profile("https://c.example"))
    path.chmod(0o644)  # nothing in it is secret
    assert load_profile() == Profile("https://c.example")


def test_a_single_profile_file_has_no_contexts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECUREFLOW_PROFILE", str(tmp_path / "one.json"))
    assert profile_path() == tmp_path / "one.json"
    with pytest.raises(SecureFlowError, match="no context"):
        profile_path("bank-b")
