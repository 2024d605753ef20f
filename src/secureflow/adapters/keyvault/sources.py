"""Where the wrapping key comes from: the setting `keys`, which names at most one source.

    file        a file outside of every folder that holds keys, mode 0600
    credential  a credential of the service manager: $CREDENTIALS_DIRECTORY/NAME (systemd.exec(5))
    secret      the environment: SECUREFLOW_SERVER__KEYS__SECRET, never the settings file
    pkcs11      an AES key in a token; not for an enclave, which loads measured code only

The first three hold lines of secrets (`secretvault`). `previous` names the source before, while
keys that it wrapped are still around.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator

from secureflow.adapters.keyvault.secretvault import (
    LEAST_LOG2,
    MOST_LOG2,
    USUAL_LOG2,
    new_key,
    secret_vault,
)
from secureflow.kit.atomic import write_atomically, write_new
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.inputfiles import read_mapping
from secureflow.kit.keyfiles import KeyFiles
from secureflow.kit.keyvault import KeyVault, KeyVaultError, SeveralVaults
from secureflow.kit.oserrors import reason_of
from secureflow.kit.privatefiles import DENIED, read_private
from secureflow.kit.settings import Section, anchored, settings_text
from secureflow.kit.text import Text

if TYPE_CHECKING:
    from secureflow.adapters.keyvault.tokenvault import TokenVault

CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
_LARGEST: Final = 64 * 1024


class Pkcs11Settings(Section):
    """An AES key in a PKCS#11 token.

    Args:
        module: the vendor's library.
        token_label: of the token.
        key_label: of the AES key in it.
        pin_file: holds the PIN, outside of the folders that hold keys; or `pin`.
        pin: from the environment, never in the file.
    """

    module: Path
    token_label: Annotated[str, Field(min_length=1, max_length=32)]
    key_label: Annotated[str, Field(min_length=1, max_length=64)] = "secureflow"
    pin_file: Path | None = None
    pin: SecretStr | None = None


class LocalKeySource(Section):
    """One source of the wrapping key, or none."""

    file: Path | None = None
    credential: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@-]{1,64}$")] | None = None
    secret: SecretStr | None = None

    @property
    def named(self) -> dict[str, object]:
        """The sources that are named, by field."""
        return {
            name: found
            for name in ("file", "credential", "secret", "pkcs11")
            if (found := getattr(self, name, None)) is not None
        }

    @model_validator(mode="after")
    def _check_single(self) -> Self:
        if len(self.named) > 1:
            message = Text(
                "{names} are several sources: name one", names=", ".join(sorted(self.named))
            )
            raise ValueError(message)
        return self


class KeySource(LocalKeySource):
    """One source of the wrapping key, or none; a token too."""

    pkcs11: Pkcs11Settings | None = None


_Cost = Annotated[int, Field(ge=LEAST_LOG2, le=MOST_LOG2)]


class LocalKeySettings(LocalKeySource):
    """What wraps an enclave's keys on disk; without a source they are plain, mode 0600.

    Args:
        previous: the source before: what it wrapped still opens.
        scrypt_log2: of a passphrase: scrypt's N is 2 to this.
    """

    previous: LocalKeySource = LocalKeySource()
    scrypt_log2: _Cost = USUAL_LOG2


class KeySettings(KeySource):
    """What wraps a process's keys on disk; without a source they are plain, mode 0600.

    Args:
        previous: the source before: what it wrapped still opens.
        scrypt_log2: of a passphrase: scrypt's N is 2 to this.
    """

    previous: KeySource = KeySource()
    scrypt_log2: _Cost = USUAL_LOG2


AnyKeySettings = LocalKeySettings | KeySettings
_Settings = TypeVar("_Settings", LocalKeySettings, KeySettings)


def key_files(settings: AnyKeySettings, owner: str, folders: Sequence[Path]) -> KeyFiles:
    """Return what reads and writes a process's keys; the source is opened at first need.

    Args:
        settings: the setting `keys`.
        owner: stands in every envelope.
        folders: those that hold its keys; the wrapping key must not lie in one of them.
    """
    return KeyFiles(owner, lambda: _opened(settings, folders))


def given_keys(
    kind: type[_Settings],
    prefix: str,
    config: Path,
    file: Path | None = None,
    base: Path | None = None,
) -> _Settings:
    """Return the setting `keys` of a process whose settings file may not exist yet.

    Args:
        kind: of the setting.
        prefix: of the environment's variables, such as `SECUREFLOW_AGENT__`.
        config: its settings file.
        file: the wrapping key's file, if it was named on the command line.
        base: folder to which relative paths relate; by default that of the settings file.

    Raises:
        SecureFlowError: `invalid_settings`, `invalid_file`.
    """
    values = read_mapping(config).get("keys", {}) if config.exists() else {}
    if not isinstance(values, dict):
        raise _invalid(config, "it must be a mapping of names to values")
    given: dict[str, object] = {} if file is None else {"file": file.absolute()}
    start = f"{prefix}KEYS__"
    for variable, value in os.environ.items():
        if variable.startswith(start):
            _put(given, variable[len(start) :].lower().split("__"), value)
    try:
        settings = kind.model_validate({**values, **given})
    except ValidationError as error:
        raise _invalid(config, str(error.errors(include_input=False)[0]["msg"])) from error
    return anchored(settings, base or config.absolute().parent)


def make_key_file(path: Path, folders: Sequence[Path]) -> bool:
    """Make a file with a new wrapping key unless it exists; return whether it was made.

    Raises:
        KeyVaultError: `wrapping_key_inside`, `wrapping_key_unavailable`.
    """
    check_outside(path, folders)
    if path.exists():
        return False
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_new(path, f"{new_key()}\n".encode())
    except OSError as error:
        raise _unreadable(str(path), error) from error
    return True


def name_key_file(config: Path, file: Path) -> None:
    """Add the wrapping key's file to a settings file that names no source; the rest stays.

    Raises:
        SecureFlowError: `invalid_settings` if it has a section `keys`; `invalid_file`.
        OSError: it cannot be written.
    """
    section = read_mapping(config).get("keys")
    wanted = {"file": str(file.absolute())}
    if section == wanted:
        return
    if section is not None:
        raise _invalid(config, "it is there already: change it by hand, with `previous`")
    text = config.read_text("utf-8")
    end = "" if text.endswith("\n") or not text else "\n"
    made = text + end + settings_text({"keys": wanted})
    write_atomically(config, made.encode(), config.stat().st_mode & 0o777)


def _put(values: dict[str, object], names: list[str], value: str) -> None:
    *outer, last = names
    for name in outer:
        inner = values.setdefault(name, {})
        values = inner if isinstance(inner, dict) else {}
    values[last] = value


def _opened(settings: AnyKeySettings, folders: Sequence[Path]) -> KeyVault | None:
    cost = settings.scrypt_log2
    sources = [one for one in (settings, settings.previous) if one.named]
    vaults = [_vault(one, folders, cost) for one in sources]
    if not settings.named:  # nothing wraps; what `previous` wrapped is not to become plain
        if vaults:
            raise KeyVaultError(
                "wrapping_key_missing",
                "The setting keys.previous names a source, but `keys` itself names none.",
                "Name the new source beside it: file, credential, secret or pkcs11.",
            )
        return None
    return SeveralVaults(vaults) if len(vaults) > 1 else vaults[0]


def _vault(source: LocalKeySource, folders: Sequence[Path], cost: int) -> KeyVault:
    token = source.pkcs11 if isinstance(source, KeySource) else None
    if token is not None:
        return token_vault(token, folders)
    if source.file is not None:
        check_outside(source.file, folders)
        return secret_vault(read_secrets(source.file), cost, str(source.file))
    if source.credential is not None:
        path = _credential(source.credential)
        return secret_vault(read_secrets(path), cost, str(path))
    secret = "" if source.secret is None else source.secret.get_secret_value()
    return secret_vault(secret, cost, "keys.secret")


def token_vault(settings: Pkcs11Settings, folders: Sequence[Path]) -> TokenVault:
    """Return the vault of a token; it is opened for each operation.

    Raises, when it is used:
        KeyVaultError: `wrapping_key_unavailable`, `wrapping_key_inside` for the PIN.
    """
    from secureflow.adapters.keyvault.tokenvault import TokenVault  # an extra; not in an enclave

    def pin() -> str:
        if settings.pin is not None:
            return settings.pin.get_secret_value()
        if settings.pin_file is None:
            raise KeyVaultError(
                "wrapping_key_unavailable",
                Text("There is no PIN for the PKCS#11 token {token}.", token=settings.token_label),
                "Name a file with it (keys.pkcs11.pin_file), or set it in the environment "
                "(…__KEYS__PKCS11__PIN).",
            )
        check_outside(settings.pin_file, folders)
        return read_secrets(settings.pin_file).strip()

    return TokenVault(settings.module, settings.token_label, settings.key_label, pin)


def _credential(name: str) -> Path:
    folder = os.environ.get(CREDENTIALS, "")
    if not folder:
        raise KeyVaultError(
            "wrapping_key_unavailable",
            Text("There are no credentials of a service manager here ({name}).", name=name),
            "Start it as a systemd service with LoadCredentialEncrypted= "
            "(docs/keys.md), or set CREDENTIALS_DIRECTORY.",
        )
    return Path(folder) / name


def read_secrets(path: Path) -> str:
    """Return the text of a file of secrets.

    Raises:
        KeyVaultError: `wrapping_key_unavailable`.
        SecureFlowError: `key_exposed`, `invalid_settings`.
    """
    try:
        data = read_private(path)
        if len(data) > _LARGEST:
            raise _invalid(path, Text("more than {count} bytes", count=_LARGEST))
        return data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(str(path), error) from error


def check_outside(path: Path, folders: Sequence[Path]) -> None:
    """Refuse a wrapping key beside what it wraps: one copy of the folder would hold both.

    Raises:
        KeyVaultError: `wrapping_key_inside`.
    """
    place = path.resolve()
    for folder in folders:
        if place.is_relative_to(folder.resolve()):
            raise KeyVaultError(
                "wrapping_key_inside",
                Text(
                    "The wrapping key {path} is inside {folder}, which holds the keys that it "
                    "wraps.",
                    path=path,
                    folder=folder,
                ),
                "Keep it outside, on another disk if you can: a copy of the folder alone must "
                "open nothing.",
            )


def _unreadable(where: str, error: OSError | UnicodeError) -> KeyVaultError:
    denied = isinstance(error, PermissionError)
    return KeyVaultError(
        "wrapping_key_unavailable",
        Text(
            "The wrapping key {where} cannot be had: {reason}.",
            where=where,
            reason=reason_of(error),
        ),
        DENIED if denied else "Mount the disk that it is on, or put it back from your copy of it.",
    )


def _invalid(path: Path, problem: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_settings",
        Text("{path}: keys: {problem}.", path=path, problem=problem),
        "Correct the named field.",
    )
