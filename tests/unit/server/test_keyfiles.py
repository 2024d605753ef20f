"""A centre whose keys are missing or damaged: the way back is its backup, never a new key."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secureflow.domain.exits import exit_code
from secureflow.kit.clock import system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import Authority
from secureflow.kit.recordmark import RecordMark, write_mark
from secureflow.server.certificate import ServerCertificate
from secureflow.server.check import check
from secureflow.server.keyfiles import read_authority, read_log_key
from secureflow.server.settings import ServerSettings

FOREIGN = ("cryptography", "PEM", "Utf8", "asn1", "Errno", "http")
"""What a library would say."""
NOT_RETRIED = {2, 3, 4, 5, 7}
"""As in the systemd units."""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    Authority.create(tmp_path / "ca", "demo.test", 1_700_000_000)
    SigningKey.generate().save(tmp_path / "log.key")
    config = tmp_path / "server.yaml"
    config.write_text("directory: .\norigin: demo.test/log\n")
    return config


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 16] = bytes(one ^ 0xFF for one in data[half : half + 16])
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["log.key", "ca/ca.key", "ca/ca.pem"])
@pytest.mark.parametrize(
    "harm",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        halve,
        flip,
        lambda path: path.write_bytes(b"\0" * 200),
    ],
    ids=["removed", "empty", "half", "flipped", "zeros"],
)
@pytest.mark.parametrize("ran", [True, False])
def test_a_damaged_key_is_named_with_its_backup(
    config: Path, name: str, harm: Callable[[Path], Any], *, ran: bool
) -> None:
    path, settings = config.parent / name, ServerSettings.load(config)
    if ran:
        write_mark(config.parent, RecordMark("ab" * 16, {"size": 3}))
    harm(path)
    read: Callable[[ServerSettings], object] = read_authority
    if name == "log.key":
        read = read_log_key
    with pytest.raises(SecureFlowError) as refused:
        read(settings)
    error = refused.value
    (found,) = [one for one in check(config) if one["check"] == "keys" and not one["ok"]]
    assert (found["code"], found["message"], found["hint"]) == (
        error.code,
        error.message,
        error.hint,
    )
    assert exit_code(error.code) in NOT_RETRIED
    assert str(path.parent) in error.message
    assert path.name in error.message
    assert not [word for word in FOREIGN if word in error.message]
    assert ("server restore BACKUP" in error.hint) == ran
    assert ("server init" in error.hint) != ran


def test_another_centres_authority_is_named(config: Path) -> None:
    """Key and certificate match each other, and no agent would get in."""
    settings = ServerSettings.load(config)
    ServerCertificate(settings.tls, Authority.load(settings.ca), "localhost", system_clock)
    assert read_authority(settings)
    shutil.rmtree(settings.ca)
    Authority.create(settings.ca, "demo.test", 1_700_000_000)
    with pytest.raises(SecureFlowError, match="ca_foreign") as refused:
        read_authority(settings)
    assert "server restore BACKUP" in refused.value.hint
    assert [one["code"] for one in check(config) if one["check"] == "keys"] == ["ca_foreign"]
