"""The secret under which this organisation's keys are drawn (`engines.preparation.keysplit`).

One for all of its datasets, whatever their files and versions: whoever is held out of one is held
out of all. It is derived from the signing key, and kept in the record once a dataset with a key is
published, or a job on one is approved. So a backup from before gives the same rows again, and so
does a record whose organisation has changed its signing key since.
"""

from __future__ import annotations

import re
from typing import Final

from secureflow.agent.compute.derivation import derive
from secureflow.agent.record.damage import damaged, fact_named
from secureflow.agent.record.store import RecordStore
from secureflow.kit.crypto import SigningKey
from secureflow.kit.text import Text

FACT: Final = "keys"
"""The fact of the record that holds it, hex."""

_HEX: Final = re.compile(r"[0-9a-f]{64}")


def key_secret(store: RecordStore, key: SigningKey) -> bytes:
    """Return the 32 bytes; `key` is the organisation's signing key.

    Raises:
        SecureFlowError: `record_damaged`.
    """
    kept = store.fact(FACT)
    if kept is None:
        return derive(key.private.private_bytes_raw(), 32, "held-out rows by key")
    if not isinstance(kept, str) or not _HEX.fullmatch(kept):
        raise damaged(Text("{what} cannot be read", what=fact_named(FACT)))
    return bytes.fromhex(kept)


def keep_key_secret(store: RecordStore, key: SigningKey) -> None:
    """Store it, unless it is stored; the caller holds the transaction."""
    if store.fact(FACT) is None:
        store.set_fact(FACT, key_secret(store, key).hex())
