"""What is wrong between two machines, and until when."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc
import grpc.aio

UP, DOWN = "up", "down"


@dataclass
class Weather:
    """Between two machines, until which moment what is wrong."""

    cut: float = 0.0
    hole: dict[str, float] = field(default_factory=lambda: {UP: 0.0, DOWN: 0.0})
    slow: float = 0.0
    delay: float = 0.0
    mute: float = 0.0


def broken(details: str, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> Exception:
    """Return what gRPC raises for a connection that is no more."""
    empty = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, empty, empty, details)
