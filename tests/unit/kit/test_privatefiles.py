"""Files that hold secrets: what others can read is refused by its name."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secureflow.adapters.link import CredentialFiles
from secureflow.adapters.tee import SimulatedPlatform
from secureflow.cli.files import read_secret, read_token
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import Authority, make_csr, new_link_key
from secureflow.kit.privatefiles import exposed, read_private

NOW = 1_800_000_000
GROUPS = {4, 1000}


def _status(mode: int, owner: int, group: int, kind: int = stat.S_IFREG) -> Any:
    return SimpleNamespace(st_mode=kind | mode, st_uid=owner, st_gid=group)


@pytest.mark.parametrize(
    ("status", "others"),
    [
        (_status(0o600, 1000, 1000), False),
        (_status(0o400, 1000, 1000), False),
        (_status(0o644, 1000, 1000), True),
        (_status(0o604, 1000, 1000), True),
        (_status(0o602, 1000, 1000), True),
        (_status(0o640, 1000, 1000), True),  # its owner can mend that
        (_status(0o440, 0, 1000), False),  # a mounted secret, for a group of ours
        (_status(0o640, 0, 4), False),
        (_status(0o660, 0, 1000), True),  # the group may write
        (_status(0o440, 0, 7), True),  # the group is not ours: how is it read?
        (_status(0o444, 0, 1000), True),
        (_status(0o440, 1001, 1000), True),  # another user, who is not root
        (_status(0o666, 1000, 1000, stat.S_IFIFO), False),  # a pipe of the shell
    ],
)
def test_who_can_read_a_file(status: Any, others: bool) -> None:
    assert exposed(status, GROUPS) is others


def _signing(folder: Path) -> tuple[Path, Callable[[], object]]:
    path = folder / "signing.key"
    SigningKey.generate().save(path)
    return path, lambda: SigningKey.load(path)


def _authority(folder: Path) -> tuple[Path, Callable[[], object]]:
    Authority.create(folder / "ca", "test.example", NOW)
    return folder / "ca" / "ca.key", lambda: Authority.load(folder / "ca")


def _link(folder: Path) -> tuple[Path, Callable[[], object]]:
    authority = Authority.create(folder / "ca", "test.example", NOW)
    key = new_link_key()
    leaf = authority.issue(make_csr(key), "spiffe://test.example/enclave/one", NOW)
    CredentialFiles.create(folder / "link", authority.pem, key, leaf)
    return folder / "link" / "link.pem", CredentialFiles(folder / "link")


def _platform(folder: Path) -> tuple[Path, Callable[[], object]]:
    SimulatedPlatform.create(folder, NOW)
    return folder / "platform.json", lambda: SimulatedPlatform.load(folder)


def _password(folder: Path) -> tuple[Path, Callable[[], object]]:
    path = folder / "password"
    path.write_text("correct horse battery\n")
    path.chmod(0o600)
    return path, lambda: read_secret(path)


@pytest.mark.parametrize("make", [_signing, _authority, _link, _platform, _password])
@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620])
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, make: Any, mode: int) -> None:
    path, read = make(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    read()
    path.chmod(mode)
    os.utime(path, ns=(1, 1))  # what was read before is looked at again
    with pytest.raises(SecureFlowError) as refused:
        read()
    assert refused.value.code == "key_exposed"
    assert str(path) in refused.value.message
    assert f"chmod 600 {path}" in refused.value.hint
    path.chmod(0o600)
    os.utime(path, ns=(2, 2))
    read()


@pytest.mark.parametrize("data", [b"", b"AAAA\n", b"\xff\xfe\n", b"no base64\n"])
def test_a_signing_key_that_is_none_is_named(tmp_path: Path, data: bytes) -> None:
    path, read = _signing(tmp_path)
    path.write_bytes(data)
    with pytest.raises(SecureFlowError) as refused:
        read()
    assert refused.value.code == "key_unreadable"
    assert str(path) in refused.value.message


def test_a_one_time_token_may_come_in_any_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("sfe_1\n")
    path.chmod(0o644)
    assert read_token(path) == "sfe_1"


def test_a_pipe_is_read(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"secret\n")
    os.close(writing)
    assert read_private(Path(f"/dev/fd/{reading}")) == b"secret\n"
    os.close(reading)
