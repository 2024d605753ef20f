"""Opens a place on a chain; what that takes is loaded only then."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:
    from secureflow.adapters.anchors.evm.account import EvmAccount
    from secureflow.adapters.anchors.evm.driver import EvmAnchor
    from secureflow.adapters.anchors.evm.settings import EvmSettings
    from secureflow.kit.keyfiles import KeyFiles

NEEDED: Final = ("eth_account", "eth_abi", "coincurve")
EXTRA: Final = "evm"


def check_extra() -> None:
    """Refuse where what speaks to chains is not installed.

    Raises:
        SecureFlowError: `missing_extra`.
    """
    if all(importlib.util.find_spec(one) is not None for one in NEEDED):
        return
    raise SecureFlowError(
        "missing_extra",
        Text("Anchors on a chain take the extra {extra}, which is not installed.", extra=EXTRA),
        Text("Install it: pip install 'secureflow[{extra}]'.", extra=EXTRA),
        {"extra": EXTRA},
    )


def open_evm(settings: EvmSettings, account: EvmAccount | None = None) -> EvmAnchor:
    """Return a place on a chain; nothing is asked before it is used.

    Args:
        settings: which one.
        account: that sends (`open_account`); None for one who only reads.

    Raises:
        SecureFlowError: `missing_extra`.
    """
    check_extra()
    from secureflow.adapters.anchors.evm.driver import EvmAnchor
    from secureflow.adapters.anchors.evm.rpc import Rpc

    return EvmAnchor(settings, account, Rpc(settings.url, settings.seconds, settings.authority))


def open_account(path: Path, files: KeyFiles) -> EvmAccount:
    """Return the account whose key lies there; it is made where there is none.

    Raises:
        SecureFlowError: `missing_extra`, `key_exposed`, `key_unreadable`.
        KeyVaultError, OSError: as `KeyFiles.read` and `KeyFiles.write_new`.
    """
    check_extra()
    from secureflow.adapters.anchors.evm.account import load_account, make_account

    try:
        return make_account(path, files)
    except FileExistsError:
        return load_account(path, files)
