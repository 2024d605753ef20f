"""SecureFlow: organisations that may not share raw data compute together."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from secureflow.kit.version import __version__

if TYPE_CHECKING:
    from secureflow.sdk import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "__version__"]


def __getattr__(name: str) -> Any:
    """Load the clients on first use: importing the package stays cheap for every process."""
    if name in {"Client", "AsyncClient"}:
        # By name: what an import statement reaches would be part of what an enclave measures.
        return getattr(import_module("secureflow.sdk"), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
