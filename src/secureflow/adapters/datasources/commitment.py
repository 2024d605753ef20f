"""A commitment to a dataset: binding and hiding.

`SHA-256(salt ‖ BLAKE3(file))` with a 32-byte secret salt, so that nobody can test a guessed file
against it. The owner opens it by showing salt and file. Of a folder it is the digest of everything
in it (`kit.folderdigest`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folderdigest import FolderChangedError, content_digest
from secureflow.kit.foldertree import MAX_ENTRIES
from secureflow.kit.text import Text

SALT_BYTES = 32


def dataset_commitment(path: Path, salt: bytes) -> str:
    """Return the hex commitment of a file or folder under a salt of 32 bytes.

    Raises:
        ValueError: the salt has another length.
        FolderChangedError: a folder changed while it was read.
    """
    return commit(content_digest(path), salt)


def found_commitment(path: Path, salt: bytes) -> str:
    """Return the commitment of what is there now; "" for nothing, or a folder that is changing."""
    try:
        there = path.is_file() or path.is_dir()  # opening a pipe would wait for its writer
        return dataset_commitment(path, salt) if there else ""
    except FolderChangedError:
        return ""


def commit(digest: bytes, salt: bytes) -> str:
    """Return the hex commitment to a file of this digest; see `dataset_commitment`."""
    if len(salt) != SALT_BYTES:
        message = f"the salt has {len(salt)} bytes, not {SALT_BYTES}"
        raise ValueError(message)
    return hashlib.sha256(salt + digest).hexdigest()


def check_unchanged(dataset: str, path: Path, salt: bytes, commitment: str) -> None:
    """Refuse a file that is not the one committed to, without revealing anything about its rows.

    Raises:
        SecureFlowError: `dataset_changed`, `dataset_unreadable`.
    """
    try:
        found = dataset_commitment(path, salt)
    except FolderChangedError:
        raise changed(dataset) from None
    except OSError:
        raise (unreadable_folder if path.is_dir() else unreadable)(dataset) from None
    if found != commitment:
        raise changed(dataset)


def changed(dataset: str) -> SecureFlowError:
    """Return the error for a file that is not the one committed to."""
    return SecureFlowError(
        "dataset_changed",
        Text(
            "The file of dataset {dataset!r} is not the one that its owner published.",
            dataset=dataset,
        ),
        "Its owner restores the file, or publishes it again (secureflow agent data publish); "
        "then submit the job again.",
        {"dataset": dataset},
    )


def unreadable(dataset: str) -> SecureFlowError:
    """Return the error for a missing file."""
    return SecureFlowError(
        "dataset_unreadable",
        Text("The file of dataset {dataset!r} does not exist or is not a file.", dataset=dataset),
        "Check `path` in the agent's configuration.",
        {"dataset": dataset},
    )


def unreadable_folder(dataset: str) -> SecureFlowError:
    """Return the error for a missing folder, or one that holds more than is read."""
    return SecureFlowError(
        "dataset_unreadable",
        Text(
            "The folder of dataset {dataset!r} does not exist, cannot be read, or holds more "
            "than {most} files.",
            dataset=dataset,
            most=MAX_ENTRIES,
        ),
        "Check `path` in the agent's configuration; put more images than that into Parquet.",
        {"dataset": dataset},
    )


def still_written(dataset: str) -> SecureFlowError:
    """Return the error for a file that changed while it was read for publishing."""
    return SecureFlowError(
        "dataset_changed",
        Text("The file of dataset {dataset!r} changed while it was read.", dataset=dataset),
        "Publish it when nothing writes to it any more: write another file and rename it into "
        "place.",
        {"dataset": dataset},
    )
