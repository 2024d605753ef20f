"""SecureFlow: organisations that may not share raw data compute together."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from secureflow.kit.version import __version__

if TYPE_CHECKING:
    from secureflow.sdk import AsyncClient, Client
    from secureflow.simulation import simulate

__all__ = ["AsyncClient", "Client", "__version__", "simulate"]
_PLACES = {
    "AsyncClient": "secureflow.sdk",
    "Client": "secureflow.sdk",
    "simulate": "secureflow.simulation",
}


def __getattr__(name: str) -> Any:
    """Load what programs use when they use it: importing the package stays cheap."""
    if name in _PLACES:
        # By name: what an import statement reaches would be part of what an enclave measures.
        return getattr(import_module(_PLACES[name]), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
