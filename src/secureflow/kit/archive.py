"""A backup is one file: a tar of a manifest, files with their digests, and sealed keys.

Format `secureflow-backup/1`. The first member, `manifest.json`, lists every other member in order,
with size and SHA-256; nothing else may follow. Members are plain files whose names are one of a few
folders and one plain name; there are no links, paths or devices. `keys` is a JSON object of files
that only ever leave a machine sealed: AES-256-GCM under a key that scrypt (RFC 7914; N = 2^17, r =
8, p = 1) makes from the passphrase, with the manifest's own digest as associated data, so that keys
open only in the backup that they were sealed in.

A reader checks every size against what is left of the file before it uses it, and never holds more
than the manifest or one block in memory.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from secureflow.kit import tarformat
from secureflow.kit.atomic import flush_directory
from secureflow.kit.canonical import JSON, canonical_bytes
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import reason_of
from secureflow.kit.text import Text

FORMAT: Final = "secureflow-backup/1"
MANIFEST: Final = "manifest.json"
KEYS: Final = "keys.sealed"
MAX_MANIFEST: Final = 64 << 20
MAX_KEYS: Final = 1 << 20
LEAST_PASSPHRASE: Final = 12
_MAX_TIME: Final = 1 << 36
_PIECE: Final = 1 << 20
_WORK = 1 << 17
"""N of scrypt: half a second and 128 MiB for each attempted passphrase."""
_NAME: Final = re.compile(
    r"(?:config|tables|artifacts|uploads|evidence|record)/[A-Za-z0-9_][A-Za-z0-9._-]{0,89}"
)
_PARTIAL: Final = re.compile(r"\..+\.[0-9a-f]{8}\.partial")
_BEGINNING: Final = MANIFEST.encode() + b"\0"
"""Prefix of a backup that is being written."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
"""`int` also accepts signs, prefixes and underscores; a negative size must never be read."""


@dataclass(frozen=True)
class ArchivedFile:
    """One file of a backup."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class BackupManifest:
    """The description of a backup; `facts` are set by the process that made it."""

    process: str
    facts: Mapping[str, JSON]
    files: tuple[ArchivedFile, ...]
    keys: Mapping[str, JSON] | None = field(default=None, repr=False)

    def json(self, *, keys: bool = True) -> dict[str, JSON]:
        """Return the JSON form, with or without the entry for the sealed keys."""
        value: dict[str, JSON] = {
            "format": FORMAT,
            "process": self.process,
            "facts": dict(self.facts),
            "files": [[one.name, one.size, one.sha256] for one in self.files],
        }
        return {**value, "keys": dict(self.keys) if self.keys else None} if keys else value


def check_passphrase(passphrase: str) -> None:
    """Refuse a passphrase that is easy to guess.

    Raises:
        SecureFlowError: `weak_password`.
    """
    if len(passphrase) < LEAST_PASSPHRASE:
        raise SecureFlowError(
            "weak_password",
            Text(
                "The passphrase has fewer than {least_passphrase} characters: anyone "
                "who finds the backup could soon open its keys.",
                least_passphrase=LEAST_PASSPHRASE,
            ),
            "Choose a longer one; a phrase of four random words is good.",
        )


def write_backup(
    target: Path,
    process: str,
    facts: Mapping[str, JSON],
    files: Mapping[str, Path],
    keys: Mapping[str, bytes],
    passphrase: str | None,
) -> BackupManifest:
    """Write a backup, mode 0600, completely or not at all.

    Args:
        target: the new file.
        process: `server` or `agent`.
        facts: canonical JSON for the manifest.
        files: member names to files; none may change while the backup is written.
        keys: secrets; left out if there is no passphrase.
        passphrase: seals them.

    Raises:
        SecureFlowError: `backup_exists`, `backup_unwritable`, `weak_password`.
    """
    if passphrase is not None:
        check_passphrase(passphrase)
    try:
        members = tuple(_measured(name, path) for name, path in files.items())
        manifest = BackupManifest(process, facts, members)
        sealed = b""
        if passphrase is not None and keys:
            manifest, sealed = _seal(manifest, keys, passphrase)
        with _fresh(target) as file:
            tarformat.add(file, MANIFEST, json.dumps(manifest.json()).encode())
            if sealed:
                tarformat.add(file, KEYS, sealed)
            for member, path in zip(members, files.values(), strict=True):
                _copy(file, member, path)
            file.write(bytes(2 * tarformat.BLOCK))
    except OSError as error:
        raise unwritable(target, error) from error
    return manifest


def check_target(target: Path) -> None:
    """Refuse a target early if it could not be written at the end.

    Raises:
        SecureFlowError: `backup_exists`, `backup_unwritable`.
    """
    if target.exists():
        raise _exists(target)
    if not target.parent.is_dir():
        raise unwritable(target, FileNotFoundError(2, "there is no such folder"))


def unwritable(target: Path, error: OSError) -> SecureFlowError:
    """Return the error for a backup that cannot be written."""
    return SecureFlowError(
        "backup_unwritable",
        Text(
            "The backup {target} cannot be written: {strerror}.",
            target=target,
            strerror=reason_of(error),
        ),
        "Free space or choose another place; a backup needs as much as the database and the "
        "models, twice.",
    )


def _exists(target: Path) -> SecureFlowError:
    return SecureFlowError(
        "backup_exists",
        Text("{target} already exists.", target=target),
        "Name a new file: a backup never replaces an older one.",
    )


class Backup:
    """A backup opened for reading, member by member; a context manager.

    Raises:
        SecureFlowError: `backup_unreadable` if it is not a complete backup of this format.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._sealed = b""

    def __enter__(self) -> Backup:
        """Open it and read its manifest."""
        try:
            self._file = self._path.open("rb")
            self._left = os.fstat(self._file.fileno()).st_size
            self.manifest = _manifest(self._small(MANIFEST, MAX_MANIFEST))
            self._check_sizes()
            if self.manifest.keys is not None:
                self._sealed = self._small(KEYS, MAX_KEYS)
        except OSError as error:
            self.__exit__()
            raise unreadable(self._path, reason_of(error)) from error
        except BaseException:  # whatever the error, the file must not stay open
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        if self._file is not None:
            self._file.close()

    def keys(self, passphrase: str) -> dict[str, bytes]:
        """Return the sealed files, or an empty mapping.

        Raises:
            SecureFlowError: `passphrase_refused`.
        """
        sealed = self.manifest.keys
        if sealed is None:
            return {}
        try:
            cipher = AESGCM(_derived(passphrase, bytes.fromhex(sealed["salt"])))
            nonce = bytes.fromhex(sealed["nonce"])
            opened = cipher.decrypt(nonce, self._sealed, _bound(self.manifest))
            return {name: bytes.fromhex(value) for name, value in json.loads(opened).items()}
        except (
            InvalidTag,
            ValueError,
            AttributeError,
            TypeError,
            KeyError,
            RecursionError,
        ) as error:
            raise SecureFlowError(
                "passphrase_refused",
                "The keys in the backup cannot be opened: the passphrase is wrong, or the backup "
                "was altered.",
                "Give the passphrase that it was made with.",
            ) from error

    def extract(self, directory: Path) -> None:
        """Write every member below a new directory, each checked against the manifest.

        Raises:
            SecureFlowError: `backup_unreadable`; files already written stay.
            OSError: the directory cannot be written.
        """
        directory.mkdir(mode=0o700)
        for member in self.manifest.files:
            path = directory / member.name
            path.parent.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as target:
                found = hashlib.sha256()
                for piece in self._member(member.name, member.size):
                    found.update(piece)
                    target.write(piece)
                target.flush()
                os.fsync(target.fileno())
            if found.hexdigest() != member.sha256:
                raise unreadable(
                    self._path, Text("{name} is not what the manifest says", name=member.name)
                )
        if self._block().strip(b"\0"):
            raise unreadable(self._path, "it holds more than its manifest names")

    def _check_sizes(self) -> None:
        """Check the manifest's sizes against the file before anything is written."""
        named = sum(one.size for one in self.manifest.files)
        if named > self._left:
            raise unreadable(self._path, "it is cut off")

    def _small(self, name: str, most: int) -> bytes:
        return b"".join(self._member(name, None, most))

    def _member(self, name: str, size: int | None, most: int = 0) -> Iterator[bytes]:
        try:
            found, length = tarformat.parse_header(self._block())
        except ValueError as error:
            raise unreadable(self._path, str(error)) from error
        if found != name or (length > most if size is None else length != size):
            raise unreadable(
                self._path, Text("{name} is not the member that is expected here", name=name)
            )
        if length > self._left:
            raise unreadable(self._path, "it is cut off")
        rest = length
        while rest:
            piece = self._read(min(_PIECE, rest))
            rest -= len(piece)
            yield piece
        if length % tarformat.BLOCK:
            self._read(tarformat.BLOCK - length % tarformat.BLOCK)

    def _block(self) -> bytes:
        return self._read(tarformat.BLOCK)

    def _read(self, size: int) -> bytes:
        data = self._file.read(size) if self._file else b""
        self._left -= len(data)
        if len(data) < size:
            raise unreadable(self._path, "it is cut off")
        return data


def made_at(manifest: BackupManifest) -> int:
    """Return when a backup was made, as it claims: unix seconds that can be shown as a date.

    Raises:
        SecureFlowError: `backup_unreadable`.
    """
    value = manifest.facts.get("made_at")
    if type(value) is not int or not 0 <= value < _MAX_TIME:
        raise unreadable(Path(MANIFEST), "it does not say when it was made")
    return value


def unreadable(path: Path, reason: str) -> SecureFlowError:
    """Return the error for a file that is not a complete backup."""
    return SecureFlowError(
        "backup_unreadable",
        Text("{path} is not a complete backup of SecureFlow: {reason}.", path=path, reason=reason),
        "Use another backup; nothing was restored.",
    )


def restore_failed(directory: Path, error: OSError) -> SecureFlowError:
    """Return the error for a folder that cannot be written."""
    return SecureFlowError(
        "restore_failed",
        Text(
            "The backup cannot be restored into {directory}: {strerror}.",
            directory=directory,
            strerror=reason_of(error),
        ),
        "Free space, or choose another folder that this user may write to; nothing that was "
        "there before is lost.",
    )


def _measured(name: str, path: Path) -> ArchivedFile:
    if not _NAME.fullmatch(name):
        message = f"{name!r} is not the name of a member"
        raise ValueError(message)
    found, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)
            size += len(piece)
    return ArchivedFile(name, size, found.hexdigest())


def _seal(
    manifest: BackupManifest, keys: Mapping[str, bytes], passphrase: str
) -> tuple[BackupManifest, bytes]:
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    text = json.dumps({name: value.hex() for name, value in keys.items()}).encode()
    sealed = AESGCM(_derived(passphrase, salt)).encrypt(nonce, text, _bound(manifest))
    header = {"salt": salt.hex(), "nonce": nonce.hex(), "names": sorted(keys)}
    return BackupManifest(manifest.process, manifest.facts, manifest.files, header), sealed


def _derived(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=_WORK, r=8, p=1).derive(passphrase.encode())


def _bound(manifest: BackupManifest) -> bytes:
    return hashlib.sha256(canonical_bytes(manifest.json(keys=False))).digest()


@contextmanager
def _fresh(target: Path) -> Iterator[BinaryIO]:
    """Write to a temporary file next to the target; it is renamed once it is on disk."""
    for left in target.parent.glob(".*.partial"):
        if _PARTIAL.fullmatch(left.name):
            _clear(left)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield file
            file.flush()
            os.fsync(file.fileno())
        _name(partial, target)
    except FileExistsError as error:
        raise _exists(target) from error
    finally:
        with suppress(OSError):
            partial.unlink()
    flush_directory(target.parent)


def _name(partial: Path, target: Path) -> None:
    """Give a complete file its name atomically; `FileExistsError` if the name is taken."""
    try:
        os.link(partial, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: FAT, some network shares
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        partial.replace(target)


def _clear(partial: Path) -> None:
    """Remove what a killed backup left half written; other things of such a name stay."""
    try:
        handle = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        about = os.fstat(handle)
        own = stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid()
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a writer holds its file's lock
        begun = os.read(handle, len(_BEGINNING))
        if own and begun == _BEGINNING and os.lstat(partial).st_ino == about.st_ino:
            partial.unlink()
    except OSError:
        return
    finally:
        os.close(handle)


def _copy(file: BinaryIO, member: ArchivedFile, path: Path) -> None:
    file.write(tarformat.header(member.name, member.size))
    found, rest = hashlib.sha256(), member.size
    with path.open("rb") as source:
        while piece := source.read(min(_PIECE, rest)):
            found.update(piece)
            file.write(piece)
            rest -= len(piece)
    if rest or found.hexdigest() != member.sha256:
        message = "a file changed while it was read"
        raise OSError(0, message, str(path))
    tarformat.pad(file, member.size)


def _manifest(data: bytes) -> BackupManifest:
    try:
        value = json.loads(data)
        if value["format"] != FORMAT or value["process"] not in {"server", "agent"}:
            message = "another format"
            raise ValueError(message)
        files = _files(value["files"])
        keys, facts = value["keys"], value["facts"]
        if not isinstance(facts, dict) or not (keys is None or isinstance(keys, dict)):
            message = "malformed"
            raise ValueError(message)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise unreadable(
            Path(MANIFEST), Text("its manifest cannot be read ({error})", error=error)
        ) from error
    return BackupManifest(value["process"], facts, files, keys)


def _files(listed: Sequence[JSON]) -> tuple[ArchivedFile, ...]:
    members = tuple(ArchivedFile(*one) for one in listed)
    names = {one.name for one in members}
    sound = all(
        isinstance(one.name, str)
        and _NAME.fullmatch(one.name)
        and type(one.size) is int
        and one.size >= 0
        and isinstance(one.sha256, str)
        and _DIGEST.fullmatch(one.sha256)
        for one in members
    )
    if not sound or len(names) != len(members):
        message = "it names files that no backup holds"
        raise ValueError(message)
    return members
