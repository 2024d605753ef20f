"""`server backup|restore|restored` as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from secureflow.agent.record.store import RecordStore
from secureflow.cli.main import app
from secureflow.domain.exits import exit_code
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import write_private
from secureflow.server.initialise import initialise

pytestmark = pytest.mark.usefixtures("quick_passphrases")
PHRASE = "four words of luck"


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("c") / "centre"
    initialise(folder, trust_domain="test.example")
    return folder


def test_a_centre_goes_through_a_file_with_its_keys(centre: Path, tmp_path: Path) -> None:
    write_private(tmp_path / "phrase", f"{PHRASE}\n".encode())
    runner, made = CliRunner(), tmp_path / "b.tar"
    words = ["--passphrase-file", str(tmp_path / "phrase"), "-o", "json"]
    done = runner.invoke(
        app, ["server", "backup", str(made), "--config", str(centre / "server.yaml"), *words]
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["keys"] == "ca/ca.key, log.key"
    assert told["log"] == "test.example/log: 2"
    folder = tmp_path / "new"
    done = runner.invoke(app, ["server", "restore", str(made), "--dir", str(folder), *words])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["keys"], told["log"]) == ("there", "test.example/log: 2")
    assert "more than 2 entries" in done.stderr
    assert "log in again" in done.stderr
    assert f"secureflow server start --config {folder / 'server.yaml'}" in done.stderr
    done = runner.invoke(app, ["server", "restored", "--config", str(folder / "server.yaml")])
    assert done.exit_code == 0, done.output


def test_without_a_passphrase_it_says_what_is_not_in_it(
    centre: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, made = CliRunner(), tmp_path / "b.tar"
    config = ["--config", str(centre / "server.yaml")]
    done = runner.invoke(app, ["server", "backup", str(made), *config])
    assert done.exit_code == 0, done.output
    assert "keep log.key, ca/ca.key yourself" in done.stderr
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    done = runner.invoke(app, ["server", "restore", str(made), "--dir", str(tmp_path / "new")])
    assert done.exit_code == 0, done.output
    assert "密钥缺失" in done.stderr
    assert "所存模型文件数" in done.stdout
    again = ["server", "backup", str(tmp_path / "2.tar"), *config]
    assert json.loads(runner.invoke(app, [*again, "-o", "json"]).stdout)["keys"] == "not in it"
    room = runner.invoke(app, ["server", "room", *config]).stdout
    assert "字节" in room
    assert "bytes" not in room


def test_a_passphrase_that_others_can_read_is_refused(centre: Path, tmp_path: Path) -> None:
    (tmp_path / "phrase").write_text(PHRASE)
    (tmp_path / "phrase").chmod(0o644)
    config = ["--config", str(centre / "server.yaml")]
    made = str(tmp_path / "b.tar")
    words = ["server", "backup", made, "--passphrase-file", str(tmp_path / "phrase"), *config]
    error = CliRunner().invoke(app, words).exception
    assert isinstance(error, SecureFlowError)
    assert error.code == "key_exposed"
    assert not (tmp_path / "b.tar").exists()


def test_why_a_passphrase_cannot_be_read_is_told(centre: Path, tmp_path: Path) -> None:
    config = ["--config", str(centre / "server.yaml")]
    (tmp_path / "bytes").write_bytes(b"\xff\xff")
    (tmp_path / "bytes").chmod(0o600)
    for name, why in (("none", "No such file or directory."), ("bytes", "it is not text.")):
        words = ["server", "backup", str(tmp_path / "b"), "--passphrase-file", str(tmp_path / name)]
        error = CliRunner().invoke(app, [*words, *config]).exception
        assert isinstance(error, SecureFlowError)
        assert error.message.endswith(f"{name} cannot be read: {why}")


def ended(words: list[str]) -> int:
    error = CliRunner().invoke(app, words).exception
    assert isinstance(error, SecureFlowError)
    return exit_code(error.code)


def test_what_is_wrong_is_one_line_with_its_exit_code(
    centre: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, made = CliRunner(), tmp_path / "b.tar"
    config = ["--config", str(centre / "server.yaml")]
    assert runner.invoke(app, ["server", "backup", str(made), *config]).exit_code == 0
    monkeypatch.setenv("SECUREFLOW_BACKUP_PASSPHRASE", "short")
    for words, code in (
        (["server", "backup", str(made), *config], 2),  # the passphrase
        (["server", "restore", str(made), "--dir", str(centre)], 5),
        (["server", "restore", str(centre / "log.key"), "--dir", str(tmp_path / "n")], 2),
        (["server", "restore", str(tmp_path / "absent"), "--dir", str(tmp_path / "n")], 2),
    ):
        assert ended(words) == code, words
    monkeypatch.delenv("SECUREFLOW_BACKUP_PASSPHRASE")
    assert ended(["server", "backup", str(made), *config]) == 5
    assert ended(["server", "backup", str(tmp_path / "no" / "b"), *config]) == 8


def test_an_agent_goes_through_a_file_and_says_what_it_no_longer_does(tmp_path: Path) -> None:
    folder, runner, made = tmp_path / "agent", CliRunner(), tmp_path / "a.tar"
    folder.mkdir()
    SigningKey.generate().save(folder / "signing.key")
    write_private(folder / "link.pem", b"link")
    (folder / "ca.pem").write_text("ca")
    named = {"organisation": "bank-a", "server": "https://c.example", "link": "c.example:8444"}
    (folder / "agent.yaml").write_text(json.dumps({**named, "trust_domain": "bank.example"}))
    RecordStore(folder / "agent.db").close()
    config = ["--config", str(folder / "agent.yaml")]
    done = runner.invoke(app, ["agent", "backup", str(made), *config])
    assert done.exit_code == 0, done.output
    assert "keep signing.key, link.pem yourself" in done.stderr
    done = runner.invoke(app, ["agent", "restore", str(made), "--dir", str(tmp_path / "new")])
    assert done.exit_code == 0, done.output
    assert "any job that is older" in done.stderr
    assert "secureflow agent data settle DOMAIN" in done.stderr
    assert "enrol it again with another key" in done.stderr
    assert ended(["server", "restore", str(made), "--dir", str(tmp_path / "other")]) == 2
    assert ended(["agent", "restore", str(made), "--dir", str(folder)]) == 5
