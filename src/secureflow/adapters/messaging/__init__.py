"""Wake-ups between the parts of a server."""

from secureflow.adapters.messaging.inprocess import InProcessBus

__all__ = ["InProcessBus"]
