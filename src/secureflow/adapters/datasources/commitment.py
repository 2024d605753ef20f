"""A commitment to a dataset: binding and hiding.

`SHA-256(salt ‖ BLAKE3(file))` with a 32-byte secret salt, so that nobody can test a guessed file
against it. The owner opens it by showing salt and file.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.kit.text import Text

SALT_BYTES = 32


def dataset_commitment(path: Path, salt: bytes) -> str:
    """Return the hex commitment of a file under a salt of 32 bytes.

    Raises:
        ValueError: the salt has another length.
    """
    return commit(file_digest(path), salt)


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
    except OSError:
        raise unreadable(dataset) from None
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


def still_written(dataset: str) -> SecureFlowError:
    """Return the error for a file that changed while it was read for publishing."""
    return SecureFlowError(
        "dataset_changed",
        Text("The file of dataset {dataset!r} changed while it was read.", dataset=dataset),
        "Publish it when nothing writes to it any more: write another file and rename it into "
        "place.",
        {"dataset": dataset},
    )
