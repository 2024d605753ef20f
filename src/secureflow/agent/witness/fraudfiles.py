"""The proofs of fraud in an agent's folder: written by the agent at once, erased by nobody else.

A log could sign heads until the disk is full, so the first ones stay, and they are enough.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from secureflow.engines.ledger.fraud import MAX_FRAUD
from secureflow.kit.atomic import write_atomically
from secureflow.kit.canonical import JSON, canonical_bytes, parse_json, sha256
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.oserrors import reason_of

MAX_FILES: Final = 64
_GLOB: Final = "fraud-*.json"
_log = get_logger(__name__)


def keep_fraud(directory: Path, fraud: Mapping[str, JSON]) -> str:
    """Write a file that `engines.ledger.fraud.convict` made; return its path, "" if it is not."""
    path = directory / f"fraud-{sha256(canonical_bytes(fraud)).hex()}.json"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists() and len(list(directory.glob(_GLOB))) < MAX_FILES:
            write_atomically(path, (json.dumps(fraud, indent=1) + "\n").encode())
    except OSError as error:  # the alarm holds both notes as well, and must still be raised
        _log.error("fraud_not_written", path=str(path), reason=reason_of(error))
    return str(path) if path.exists() else ""


def kept_frauds(directory: Path) -> Iterator[tuple[Path, Any]]:
    """Return the files that are there and their JSON; None for one that is damaged."""
    for path in sorted(directory.glob(_GLOB))[:MAX_FILES]:
        try:
            with path.open("rb") as file:
                yield path, parse_json(file.read(MAX_FRAUD + 1), MAX_FRAUD)
        except (OSError, SecureFlowError):
            yield path, None
