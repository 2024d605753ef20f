"""The log's keys on disk: a successor that waits, takes the old key's place, and survives kills."""

from __future__ import annotations

from pathlib import Path

import pytest

from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyfiles import LOG
from secureflow.server import logkeys
from secureflow.server.keyfiles import key_places, next_log_key, read_log_key
from secureflow.server.logkeys import LogKeyFiles, make_next
from secureflow.server.settings import ServerSettings

pytestmark = pytest.mark.usefixtures("quick_passphrases")


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    """A centre's folder with a wrapped key of its log."""
    folder, away = tmp_path / "centre", tmp_path / "away"
    folder.mkdir()
    away.mkdir()
    (away / "key").write_text("0123456789abcdef" * 4 + "\n")
    (away / "key").chmod(0o600)
    config = folder / "server.yaml"
    config.write_text(
        f"directory: {folder}\norigin: log.example\n"
        f"log_key: {folder}/log.key\nkeys: {{file: {away}/key}}\n"
    )
    found = ServerSettings.load(config)
    SigningKey.generate().save(found.log_key, found.key_files, LOG)
    return found


def test_a_successor_is_made_once_wrapped_and_signs_nothing_yet(settings: ServerSettings) -> None:
    old = read_log_key(settings).public
    made = make_next(settings)
    assert make_next(settings).public == made.public
    assert b"WRAPPED KEY" in next_log_key(settings).read_bytes()
    assert next_log_key(settings) in [place.path for place in key_places(settings)]
    keys = LogKeyFiles(settings)
    assert (keys.signing.public, read_log_key(settings).public) == (old, old)
    assert keys.find(made.public) is not None
    assert keys.find(SigningKey.generate().public) is None
    keys.adopt(SigningKey.generate().public)  # what is not here is not adopted
    assert keys.signing.public == old


def test_it_takes_the_old_keys_place_for_everyone_who_holds_it(settings: ServerSettings) -> None:
    made, keys = make_next(settings), LogKeyFiles(settings)
    held, old = keys.signing, keys.find(keys.signing.public)
    assert old is not None
    before = old.public
    keys.adopt(made.public)
    assert held.public == made.public
    assert old.public == before  # what was found before stays what it was
    assert (read_log_key(settings).public, next_log_key(settings).exists()) == (made.public, False)
    assert b"WRAPPED KEY" in settings.log_key.read_bytes()
    assert keys.find(before) is None  # the old key is gone from this machine
    keys.adopt(made.public)
    assert make_next(settings).public != made.public


@pytest.mark.parametrize("step", ["write_atomically", "remove"])
def test_a_kill_in_between_is_made_good(
    settings: ServerSettings, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, keys = make_next(settings), LogKeyFiles(settings)

    def dying(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(logkeys, step, dying)
        with pytest.raises(KeyboardInterrupt):
            keys.adopt(made.public)
    again = LogKeyFiles(settings)  # the database names the new key
    assert again.find(made.public) is not None
    again.adopt(made.public)
    assert again.signing.public == made.public
    assert read_log_key(settings).public == made.public
    assert make_next(settings).public != made.public


def test_a_full_disk_does_not_stop_the_new_key(
    settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, keys = make_next(settings), LogKeyFiles(settings)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(logkeys, "write_atomically", full)
        keys.adopt(made.public)
    assert keys.signing.public == made.public
    assert LogKeyFiles(settings).find(made.public) is not None


def test_a_successor_that_others_can_read_is_refused(settings: ServerSettings) -> None:
    make_next(settings)
    next_log_key(settings).chmod(0o644)
    with pytest.raises(SecureFlowError) as refused:
        LogKeyFiles(settings).successor()
    assert refused.value.code == "key_exposed"
