"""`enclave check`: each part of the folder, damaged in turn, is named with its file and remedy."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peers.links import Pki, now
from typer.testing import CliRunner

from secureflow.adapters.link.uplink import UplinkServer
from secureflow.adapters.tee import SimulatedPlatform
from secureflow.cli.main import app
from secureflow.enclave import main
from secureflow.enclave.check import check
from secureflow.enclave.identity import IDENTITY
from secureflow.enclave.main import serve
from secureflow.enclave.settings import EnclaveSettings
from secureflow.kit.atomic import write_new
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folder import claim_folder
from secureflow.kit.settings import settings_text

SETTINGS = {
    "directory": ".",
    "server": "centre:8444",
    "rest": "https://centre:8443",
    "simulated": "simulated",
    "uplink": {"bind": "127.0.0.1", "port": 0},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An enclave's folder as its enrolment leaves it, and credentials of others beside it."""
    place = tmp_path_factory.mktemp("pki")
    pki = Pki(place)
    pki.enclave()
    pki.agent("bank-a")
    (folder,) = place.glob("main-*")
    shutil.copytree(next(place.glob("a1-*")), folder / "another")
    key, _, _ = (folder / "another/link.pem").read_text().partition("-----BEGIN CERT")
    _, begin, chain = (folder / "link.pem").read_text().partition("-----BEGIN CERT")
    write_new(folder / "another/mixed.pem", (key + begin + chain).encode())
    SigningKey.generate().save(folder / IDENTITY)
    SimulatedPlatform.create(folder / "simulated", now())
    SimulatedPlatform.create(folder / "other", now())
    (folder / "enclave.yaml").write_text(settings_text(SETTINGS))
    claim_folder(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "e")
    return tmp_path / "e"


def failed(folder: Path, at: int | None = None) -> dict[str, dict[str, Any]]:
    found = list(check(folder / "enclave.yaml", lambda: at or now()))
    assert all(one["ok"] or (one["hint"] and one["code"]) for one in found)
    return {one["check"]: one for one in found if not one["ok"]}


def test_a_folder_is_sound(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    found = list(check(folder / "enclave.yaml"))
    assert [one["check"] for one in found] == [
        *("settings", "keys", "wrapping", "certificate", "platform"),
    ]
    assert all(one["ok"] for one in found), found
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def change(name: str, **changes: Any) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(settings_text(SETTINGS | changes))


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def copy(source: str, name: str) -> Callable[[Path], object]:
    return lambda folder: shutil.copy(folder / source, folder / name)


def mode(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).chmod(0o644)


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def in_the_way(name: str) -> Callable[[Path], object]:
    """Put a folder in a file's place."""

    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return damage


def swap_key(folder: Path) -> None:
    path, other = folder / "simulated/platform.json", folder / "other/platform.json"
    stored, theirs = json.loads(path.read_text()), json.loads(other.read_text())
    stored["keys"]["pck"] = theirs["keys"]["pck"]
    path.write_text(json.dumps(stored))


@pytest.mark.parametrize(
    ("damage", "check", "code", "told"),
    [
        (mode("link.pem"), "keys", "key_exposed", "link.pem"),
        (mode(IDENTITY), "keys", "key_exposed", IDENTITY),
        (mode("simulated/platform.json"), "platform", "key_exposed", "platform.json"),
        (write("link.pem", ""), "keys", "certificate_malformed", "link.pem cannot be read: it is"),
        (in_the_way("ca.pem"), "keys", "certificate_malformed", "ca.pem cannot be read: Is a"),
        (write("link.pem", "x"), "keys", "certificate_malformed", "link.pem"),
        (write("ca.pem", "x"), "keys", "certificate_malformed", "ca.pem"),
        (copy("another/mixed.pem", "link.pem"), "keys", "certificate_foreign", "link.pem and"),
        (remove("ca.pem"), "keys", "not_enrolled", "holds no link credentials"),
        (copy("another/link.pem", "link.pem"), "certificate", "certificate_foreign", "bank-a"),
        (write(IDENTITY, "x"), "keys", "key_unreadable", IDENTITY),
        (remove(IDENTITY), "keys", "key_unreadable", "is missing"),
        (write("simulated/platform.json", "{"), "platform", "simulated_platform_unreadable",
         "simulated"),
        (swap_key, "platform", "simulated_platform_unreadable", "key pck"),
        (copy("other/root.pem", "simulated/root.pem"), "platform",
         "simulated_platform_unreadable", "root.pem"),
        (remove("simulated/root.pem"), "platform", "record_damaged", "root.pem"),
        (change("enclave.yaml", simulated=None), "platform", "no_tee", "attester"),
        (change("enclave.yaml", rest=""), "keys", "key_unreadable", "`rest`"),
        (change("enclave.yaml", rest="http://centre"), "settings", "insecure_url", "centre"),
        (change("enclave.yaml", uplink={"public": "a b"}), "settings", "invalid_address", "uplink"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    folder: Path, damage: Callable[[Path], object], check: str, code: str, told: str
) -> None:
    damage(folder)
    found = failed(folder)
    assert (found[check]["code"], set(found)) == (code, {check}), found
    assert told in found[check]["message"]


def test_a_certificate_that_ran_out_names_who_renews_it(folder: Path) -> None:
    found = failed(folder, now() + 7200)
    assert found["certificate"]["code"] == "certificate_not_valid_now"
    assert "identity.key" in found["certificate"]["hint"]


@pytest.mark.parametrize("seed", range(8))
def test_no_damaged_file_ends_the_check(folder: Path, seed: int) -> None:
    """Whatever bytes stand in the files: findings, and never a trace."""
    drawn = random.Random(seed)
    for path in (folder / "link.pem", folder / IDENTITY, folder / "simulated/platform.json",
                 folder / "ca.pem", folder / "simulated/root.pem"):  # fmt: skip
        data = bytearray(path.read_bytes())
        for _ in range(drawn.choice((1, 20, 400))):
            data[drawn.randrange(len(data))] = drawn.randrange(256)
        path.write_bytes(data)
    assert isinstance(failed(folder), dict)


@pytest.mark.parametrize("name", ["link.pem", "ca.pem"])
async def test_a_start_names_the_damaged_file(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-80] ^= 0x80  # no ASCII any more
    (folder / name).write_bytes(data)
    with pytest.raises(SecureFlowError, match=f"{name} cannot be read") as caught:
        await serve(EnclaveSettings.load(folder / "enclave.yaml"))
    assert caught.value.code == "certificate_malformed"


async def test_a_start_that_cannot_say_that_it_serves_leaves_no_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC's server outlived the loop and printed a trace."""
    stopped: list[bool] = []
    stop = UplinkServer.stop

    async def noted(server: UplinkServer, grace: float = 1.0) -> None:
        await stop(server, grace)
        stopped.append(True)

    def denied(directory: Path, _: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(directory))

    monkeypatch.setattr(UplinkServer, "stop", noted)
    monkeypatch.setattr(main, "announce_ready", denied)
    with pytest.raises(SecureFlowError) as caught:
        await serve(EnclaveSettings.load(folder / "enclave.yaml"))
    assert caught.value.code == "disk_failed"
    assert stopped == [True]


def test_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = CliRunner()
    arguments = ["enclave", "check", "--config", str(folder / "enclave.yaml")]
    sound = runner.invoke(app, [*arguments, "--output", "json"])
    assert sound.exit_code == 0
    assert all(one["ok"] for one in json.loads(sound.stdout))
    (folder / IDENTITY).chmod(0o644)
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    exposed = runner.invoke(app, arguments)
    assert exposed.exit_code != 0
    assert "✗ 密钥" in exposed.stdout
    assert "✓ 证书" in exposed.stdout
    assert "✓ 平台" in exposed.stdout
