"""`server backup|restore`, `agent backup|restore`: common options and texts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from secureflow.cli.console import moment, say
from secureflow.cli.texts import listed, t
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import reason_of
from secureflow.kit.privatefiles import DENIED, read_private
from secureflow.kit.text import Text

if TYPE_CHECKING:
    from secureflow.kit.archive import BackupManifest

VARIABLE: Final = "SECUREFLOW_BACKUP_PASSPHRASE"

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        readable=False,  # checked by us: click's errors have no next step
        help=t("File with the passphrase that seals the keys; or SECUREFLOW_BACKUP_PASSPHRASE."),
    ),
]
NewFile = Annotated[Path, typer.Argument(metavar="FILE", help=t("New file of the backup."))]
Given = Annotated[Path, typer.Argument(metavar="FILE", help=t("The backup."))]
Into = Annotated[
    Path, typer.Option("--dir", metavar="DIR", help=t("New or empty folder to restore into."))
]
IntoExisting = Annotated[
    bool,
    typer.Option(
        "--into-existing",
        help=t("Keep the folder's keys and settings; move only its record aside."),
    ),
]


def passphrase(file: Path | None) -> str | None:
    """Return the passphrase from the file or the environment; None if there is neither.

    Raises:
        SecureFlowError: `invalid_file`, `key_exposed`.
    """
    if file is None:
        return os.environ.get(VARIABLE) or None
    try:
        return read_private(file).decode().strip()
    except (OSError, UnicodeError) as error:
        raise SecureFlowError(
            "invalid_file",
            Text(
                "The passphrase file {file} cannot be read: {reason}.",
                file=file,
                reason=reason_of(error),
            ),
            DENIED
            if isinstance(error, PermissionError)
            else "Name a file with one line of text in UTF-8.",
        ) from error


def backup_summary(target: Path, manifest: BackupManifest) -> dict[str, Any]:
    """Return the summary of a new backup."""
    keys = sorted((manifest.keys or {}).get("names", ()))
    return {
        "file": str(target),
        "bytes": target.stat().st_size,
        "made": moment(manifest.facts.get("made_at")),
        "keys": listed(keys) or t("not in it"),
    }


def advise_on_keys(manifest: BackupManifest, names: str) -> None:
    """Explain the consequences of a backup without keys."""
    if manifest.keys is None:
        say(
            t(
                "Without a passphrase the backup has no keys: keep {names} yourself, or make the "
                "backup with --passphrase-file.",
                names=names,
            )
        )


def counted(numbers: Mapping[str, int]) -> str:
    """Format counts by name in one line."""
    each = (t("{name}: {value}", name=t(name), value=n) for name, n in sorted(numbers.items()))
    return listed(each) or "-"
