"""Where the private keys for Fabric come from: 0600 files, unwrapped by the key vault if wrapped.

They are read anew each time the gateway process starts, and go to it over the pipe alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from secureflow.adapters.anchors.fabric.driver import FabricKeys
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyfiles import KeyFiles
from secureflow.kit.oserrors import reason_of
from secureflow.kit.text import Text

PURPOSE: Final = "fabric"
"""Of a wrapped key (`kit.keyenvelope.KeyLabel`)."""


def keys_in(
    files: KeyFiles, identity: Path, client: Path | None = None
) -> Callable[[], FabricKeys]:
    """Return what reads the keys.

    Args:
        files: reads and unwraps the process's keys.
        identity: key of the client identity: the file in keystore of its MSP folder.
        client: key for mutual TLS, if the peer asks for it.
    """

    def keys() -> FabricKeys:
        return FabricKeys(_read(files, identity), b"" if client is None else _read(files, client))

    return keys


def _read(files: KeyFiles, path: Path) -> bytes:
    try:
        return files.read(path, PURPOSE)
    except OSError as error:
        raise SecureFlowError(
            "anchor_refused",
            Text("{path} cannot be read: {reason}.", path=path, reason=reason_of(error)),
            "Name the file of the private key, readable for the agent's user alone.",
        ) from error
