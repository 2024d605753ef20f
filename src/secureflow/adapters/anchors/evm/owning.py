"""One process numbers the transactions of one key."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from secureflow.adapters.anchors.evm.faults import shared_key
from secureflow.kit.folderlock import folder_lock


@contextlib.contextmanager
def sole_owner(path: Path) -> Iterator[None]:
    """Hold a key's file while its transactions are numbered: two senders take the same numbers.

    Raises:
        SecureFlowError: `anchor_key_shared`.
    """
    with folder_lock(path.with_name(path.name + ".lock"), shared_key()):
        yield
