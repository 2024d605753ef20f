"""`secureflow keys` as an operator types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from secureflow.cli.main import app, run
from secureflow.kit.crypto import SigningKey
from secureflow.server.initialise import initialise
from secureflow.server.keyfiles import read_log_key
from secureflow.server.record import serving
from secureflow.server.settings import ServerSettings


@pytest.fixture
def centre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "centre"
    initialise(folder, trust_domain="test.example")
    monkeypatch.chdir(folder)
    return folder


def listed() -> dict[str, str]:
    done = CliRunner().invoke(app, ["keys", "list", "-o", "json"])
    assert done.exit_code == 0, done.output
    return {one["purpose"]: one["state"] for one in json.loads(done.stdout)}


def test_a_plain_centre_is_wrapped_rotated_and_reads_its_keys(
    centre: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    public = read_log_key(ServerSettings.load(centre / "server.yaml")).public
    assert set(listed().values()) == {"plain"}
    wrapping = tmp_path / "out" / "wrapping.key"
    done = CliRunner().invoke(app, ["keys", "wrap", "--wrapping-key", str(wrapping), "-o", "json"])
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["wrapped"]) == 4
    assert f"Keep a copy of {wrapping}" in done.stderr
    assert "an SSD" in done.stderr
    assert set(listed().values()) == {"wrapped"}
    first = wrapping.read_text()
    done = CliRunner().invoke(app, ["keys", "rotate"])
    assert done.exit_code == 0, done.output
    assert wrapping.read_text().splitlines()[1:] == first.splitlines()
    done = CliRunner().invoke(app, ["keys", "rotate", "--drop-old"])
    assert done.exit_code == 0, done.output
    assert len(wrapping.read_text().splitlines()) == 1
    settings = ServerSettings.load(centre / "server.yaml")
    assert read_log_key(settings).public == public
    assert run(["keys", "reveal", "enclave.token"]) == 0
    assert capsys.readouterr().out.startswith("sfe_")
    assert run(["keys", "reveal", "log.key"]) == 4
    assert "Private keys are not shown" in capsys.readouterr().err


def test_keys_of_a_running_centre_are_left_alone(centre: Path, tmp_path: Path) -> None:
    with serving(centre):
        assert run(["keys", "wrap", "--wrapping-key", str(tmp_path / "k")]) == 5
        assert run(["keys", "rotate"]) == 5
    assert not (tmp_path / "k").exists()
    assert SigningKey.load(centre / "log.key")


def test_a_folder_without_settings_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["keys", "list"]) == 2
    assert "--config" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "file", "text"),
    [
        (
            "agent.yaml",
            "signing.key",
            "organisation: bank-a\nserver: https://c\nlink: c:1\ntrust_domain: t.e\n",
        ),
        ("enclave.yaml", "identity.key", "rest: https://c\nsimulated: s\n"),
    ],
)
def test_an_agents_and_an_enclaves_folder_are_known_by_their_settings(
    tmp_path: Path, name: str, file: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    home, wrapping = tmp_path / "home", tmp_path / "wrapping.key"
    home.mkdir()
    (home / name).write_text(text)
    SigningKey.generate().save(home / file)
    words = ["--config", str(home / name)]
    assert run(["keys", "wrap", *words, "--wrapping-key", str(wrapping)]) == 0
    capsys.readouterr()
    assert run(["keys", "list", *words, "-o", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["purpose"], row["state"]) == (file.removesuffix(".key"), "wrapped")


def test_init_wraps_from_the_start_and_says_where_the_key_is(tmp_path: Path) -> None:
    folder, wrapping = tmp_path / "centre", tmp_path / "k"
    words = ["server", "init", str(folder), "--trust-domain", "test.example"]
    done = CliRunner().invoke(app, [*words, "--wrapping-key", str(wrapping), "-o", "json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["wrapping_key"] == str(wrapping)
    assert f"Keep a copy of {wrapping}" in done.stderr
    assert b"WRAPPED KEY" in (folder / "log.key").read_bytes()
    plain = tmp_path / "plain"
    done = CliRunner().invoke(app, ["server", "init", str(plain), "--trust-domain", "test.example"])
    assert "The private keys are not wrapped" in done.stderr
