"""The environment of the gateway process: `secureflow engine install fabric` makes it.

Fabric's official protobuf package is published as one pre-release, so it is pinned exactly; it
needs a release of protobuf before 6, and the platform has 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LOCK: Final = Path(__file__).with_name("lock.txt")


@dataclass(frozen=True)
class GatewayMake:
    """What can be installed, as `adapters.mpcengines.registry.EngineMake` says it of engines."""

    name: str
    version: str
    title: str
    pythons: tuple[str, ...]
    megabytes: tuple[int, int]
    seconds: int
    module: str

    @property
    def lock(self) -> bytes:
        """Its packages, each with the hashes of its wheels."""
        return _LOCK.read_bytes()


FABRIC: Final = GatewayMake(
    "fabric",
    "0.3.7.dev349689853811",
    "not for computing: speaks to Hyperledger Fabric, where anchors are kept",
    ("3.11", "3.12", "3.13"),
    (12, 50),
    8,
    "fabric_protos.gateway.gateway_pb2_grpc",
)
