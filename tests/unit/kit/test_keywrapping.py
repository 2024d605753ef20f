"""Wrapping keys in place: killed anywhere, each key can be read, and none stays plain."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from secureflow.adapters.keyvault import KeySettings, key_files, make_key_file, name_key_file
from secureflow.adapters.keyvault.rotation import rotate
from secureflow.adapters.keyvault.sources import given_keys
from secureflow.kit import atomic
from secureflow.kit.clock import system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyfiles import CA, LOG, KeyFiles, KeyPlace, not_wrapped
from secureflow.kit.keyvault import KeyVaultError
from secureflow.kit.keywrapping import (
    EARLIER,
    PLAIN,
    UNKNOWN,
    WRAPPED,
    KeyFolder,
    described,
    wrap_keys,
    wrapping_report,
)
from secureflow.kit.pki import Authority

OWNER = "demo.test/log"


class Folder:
    """A centre's two keys, as they lie on disk."""

    def __init__(self, place: Path) -> None:
        self.place, self.ring = place / "centre", place / "elsewhere" / "wrapping.key"
        self.authority = Authority.create(self.place / "ca", "demo.test", system_clock())
        self.key = SigningKey.generate()
        self.key.save(self.place / "log.key")
        self.places = [
            KeyPlace(self.place / "ca" / "ca.key", CA),
            KeyPlace(self.place / "log.key", LOG),
        ]
        self.secrets = {one.path: one.path.read_bytes() for one in self.places}
        self.settings = KeySettings()

    def configure(self) -> None:
        make_key_file(self.ring, [self.place])
        self.settings = KeySettings(file=self.ring)

    @property
    def files(self) -> KeyFiles:
        return key_files(self.settings, OWNER, [self.place])

    @property
    def keys(self) -> KeyFolder:
        config = self.place / "server.yaml"
        return KeyFolder("server", config, self.files, self.places, contextlib.nullcontext)

    def read(self) -> None:
        """Read every key as a process would."""
        files = self.files
        assert SigningKey.load(self.place / "log.key", files, LOG).public == self.key.public
        assert Authority.load(self.place / "ca", files).pem == self.authority.pem

    def plain_bytes(self) -> list[Path]:
        """Return the files in which a key lies as it is."""
        seed = self.secrets[self.place / "log.key"].strip()
        body = self.secrets[self.place / "ca" / "ca.key"].splitlines()[1]
        return [
            path
            for path in sorted(self.place.rglob("*"))
            if path.is_file() and any(one in path.read_bytes() for one in (seed, body))
        ]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def states(folder: Folder) -> set[str]:
    return {row["state"] for row in described(folder.keys)}


def test_without_a_wrapping_key_nothing_changes_and_the_check_says_so(folder: Folder) -> None:
    assert states(folder) == {PLAIN}
    told = wrapping_report(folder.files, folder.places, Path("server.yaml"))
    assert told["ok"]
    assert "not wrapped" in told["message"]
    assert "secureflow keys wrap --config server.yaml" in told["hint"]
    with pytest.raises(KeyVaultError, match="names no wrapping key"):
        wrap_keys(folder.keys)
    folder.read()


def test_wrapped_keys_are_read_and_no_plain_copy_stays(folder: Folder) -> None:
    for name in ("log.key.4711", "log.key.next", "log.key.partial"):  # of writes that were killed
        (folder.place / name).write_bytes(folder.secrets[folder.place / "log.key"])
    folder.configure()
    told = wrapping_report(folder.files, folder.places, Path("server.yaml"))
    assert (told["ok"], told["code"]) == (False, "keys_not_wrapped")
    assert wrap_keys(folder.keys) == [one.path for one in folder.places]
    folder.read()
    assert folder.plain_bytes() == []
    assert states(folder) == {WRAPPED}
    assert all(one.path.stat().st_mode & 0o777 == 0o600 for one in folder.places)
    assert wrapping_report(folder.files, folder.places, Path("server.yaml"))["ok"]
    assert wrap_keys(folder.keys) == []  # nothing is left to do


def test_the_old_file_is_overwritten_before_it_is_given_up(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.configure()
    handles = {one.path: os.open(one.path, os.O_RDONLY) for one in folder.places}
    wrap_keys(folder.keys)
    for path, handle in handles.items():
        assert os.read(handle, 4096) == bytes(len(folder.secrets[path]))
        os.close(handle)


def test_a_copy_with_another_name_is_left_alone(folder: Folder, tmp_path: Path) -> None:
    folder.configure()
    (tmp_path / "mine").hardlink_to(folder.place / "log.key")
    wrap_keys(folder.keys)
    assert (tmp_path / "mine").read_bytes() == folder.secrets[folder.place / "log.key"]


class Killed(BaseException):
    """The process ends here."""


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch, deed: Callable[[], object]) -> bool:
    """Do something, killed at its so-manyth durable write or rename; return whether it was."""
    left = [step]

    def dying(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **more: object) -> object:
            if not left[0]:
                raise Killed
            left[0] -= 1
            return function(*arguments, **more)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dying(os.fsync))
        patch.setattr(Path, "replace", dying(Path.replace))
        patch.setattr(atomic, "flush_directory", dying(atomic.flush_directory))
        try:
            deed()
        except Killed:
            return True
    return False


def test_killed_at_any_point_each_key_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    while True:
        folder = Folder(tmp_path / f"wrap{steps}")
        folder.configure()
        killed = killed_at(steps, monkeypatch, lambda one=folder: wrap_keys(one.keys))
        folder.read()
        wrap_keys(folder.keys)
        folder.read()
        assert folder.plain_bytes() == []
        if not killed:
            break
        steps += 1
    assert steps >= 6


def test_a_rotation_killed_at_any_point_leaves_each_key_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    while True:
        folder = Folder(tmp_path / f"rotate{steps}")
        folder.configure()
        wrap_keys(folder.keys)
        old = folder.ring.read_text()

        def deed(one: Folder = folder) -> None:
            rotate(one.settings, [one.place], lambda: wrap_keys(one.keys), drop_old=True)

        killed = killed_at(steps, monkeypatch, deed)
        folder.read()
        if not killed:
            break
        steps += 1
    assert steps >= 6
    assert old not in folder.ring.read_text()
    assert folder.ring.stat().st_mode & 0o777 == 0o600
    assert states(folder) == {WRAPPED}


def test_the_old_wrapping_key_is_dropped_only_by_name(folder: Folder) -> None:
    folder.configure()
    wrap_keys(folder.keys)
    old = folder.ring.read_text()
    rotate(folder.settings, [folder.place], lambda: wrap_keys(folder.keys))
    assert folder.ring.read_text().splitlines()[1:] == old.splitlines()
    folder.ring.write_text(old)
    with pytest.raises(KeyVaultError, match="another wrapping key"):
        folder.read()
    assert states(folder) == {UNKNOWN}


def test_a_full_ring_is_not_rotated(folder: Folder) -> None:
    folder.configure()
    wrap_keys(folder.keys)
    before = folder.ring.read_text() * 8
    folder.ring.write_text(before)
    with pytest.raises(KeyVaultError, match="8 wrapping keys"):
        rotate(folder.settings, [folder.place], lambda: wrap_keys(folder.keys))
    assert folder.ring.read_text() == before


def test_a_source_is_changed_to_another_kind(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder.configure()
    wrap_keys(folder.keys)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "wrap").write_text("0123456789abcdef" * 4)
    (tmp_path / "wrap").chmod(0o600)
    folder.settings = KeySettings.model_validate(
        {"credential": "wrap", "previous": {"file": str(folder.ring)}}
    )
    folder.read()
    assert states(folder) == {EARLIER}
    with pytest.raises(KeyVaultError, match="is changed where it is kept"):
        rotate(folder.settings, [folder.place], lambda: wrap_keys(folder.keys))
    wrap_keys(folder.keys)
    folder.settings = KeySettings(credential="wrap")
    folder.read()
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(KeyVaultError, match="no credentials of a service manager"):
        folder.read()


def test_swapped_files_are_refused(folder: Folder, tmp_path: Path) -> None:
    folder.configure()
    wrap_keys(folder.keys)
    other = key_files(folder.settings, "other.test/log", [folder.place])
    SigningKey.generate().save(tmp_path / "other.key", other, LOG)
    (tmp_path / "other.key").replace(folder.place / "log.key")
    with pytest.raises(KeyVaultError) as refused:
        folder.read()
    assert refused.value.code == "wrapped_key_swapped"
    assert "other.test/log" in refused.value.message
    with pytest.raises(KeyVaultError, match="not the signing key"):
        SigningKey.load(folder.place / "log.key", other)


@pytest.mark.parametrize("name", ["wrapping.key", "ca/wrapping.key", "link"])
def test_a_wrapping_key_beside_what_it_wraps_is_refused(folder: Folder, name: str) -> None:
    inside = folder.place / name
    if name == "link":
        inside.symlink_to(folder.place / "real.key")
    with pytest.raises(KeyVaultError, match="is inside"):
        make_key_file(inside, [folder.place])
    assert not inside.exists()
    inside.write_text("0123456789abcdef" * 4)
    inside.chmod(0o600)
    folder.settings = KeySettings(file=inside)
    with pytest.raises(KeyVaultError, match="is inside"):
        wrap_keys(folder.keys)
    assert states(folder) == {PLAIN}


def test_an_exposed_wrapping_key_is_refused(folder: Folder) -> None:
    folder.configure()
    wrap_keys(folder.keys)
    folder.ring.chmod(0o644)
    with pytest.raises(SecureFlowError) as refused:
        folder.read()
    assert refused.value.code == "key_exposed"


def test_two_sources_at_once_are_none() -> None:
    with pytest.raises(ValueError, match="several sources"):
        KeySettings.model_validate({"file": "/a", "secret": "b"})


def test_only_a_previous_source_would_make_new_keys_plain(folder: Folder) -> None:
    folder.configure()
    wrap_keys(folder.keys)
    folder.settings = KeySettings.model_validate({"previous": {"file": str(folder.ring)}})
    with pytest.raises(KeyVaultError, match=r"keys\.previous names a source"):
        folder.read()


def test_settings_get_the_file_once_and_keep_the_rest(tmp_path: Path) -> None:
    config = tmp_path / "server.yaml"
    config.write_text("# mine\norigin: demo.test/log  # the log")
    name_key_file(config, tmp_path / "k")
    name_key_file(config, tmp_path / "k")
    assert config.read_text().startswith("# mine\norigin: demo.test/log  # the log\nkeys:\n")
    given = given_keys(KeySettings, "SECUREFLOW_NOBODY__", config, None)
    assert given.file == tmp_path / "k"
    with pytest.raises(SecureFlowError, match="by hand"):
        name_key_file(config, tmp_path / "other")


def test_the_environment_names_a_source_before_there_are_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_AGENT__KEYS__CREDENTIAL", "wrap")
    monkeypatch.setenv("SECUREFLOW_AGENT__KEYS__PREVIOUS__SECRET", "a long enough phrase")
    given = given_keys(KeySettings, "SECUREFLOW_AGENT__", tmp_path / "agent.yaml", None)
    assert given.credential == "wrap"
    assert "phrase" not in str(given)
    assert list(given.previous.named) == ["secret"]
    with pytest.raises(SecureFlowError, match="several sources"):
        given_keys(KeySettings, "SECUREFLOW_AGENT__", tmp_path / "agent.yaml", tmp_path / "k")


def test_a_key_of_another_user_is_not_replaced(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.configure()
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    with pytest.raises(SecureFlowError, match="belongs to another user"):
        wrap_keys(folder.keys)
    monkeypatch.undo()
    folder.read()
    assert not_wrapped(folder.places)


def test_nothing_is_replaced_while_the_process_runs(folder: Folder) -> None:
    folder.configure()

    @contextlib.contextmanager
    def refusing() -> Iterator[None]:
        raise SecureFlowError("server_running", "A server is running.")
        yield

    with pytest.raises(SecureFlowError, match="is running"):
        wrap_keys(replace(folder.keys, locked=refusing))
    assert states(folder) == {PLAIN}
