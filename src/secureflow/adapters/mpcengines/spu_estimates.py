"""What a run of SPU will cost, from shapes alone.

On shares: `engines.mpc.sharecost`. PSI is measured as that is, by `python -m benchmarks.psi`: n the
longer list, bytes = base + each · n, seconds = start + base + each · n, memory = process + each ·
min(n, bucket): lists beyond a million run in buckets, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from secureflow.adapters.mpcengines.spu_programs.sizes import BUCKET
from secureflow.application.ports.mpcengine import Estimate, Shapes
from secureflow.engines.mpc.sharecost import PROCESS, START, Line, shares_cost


@dataclass(frozen=True)
class _Psi:
    bytes: Line
    seconds: Line
    memory: float
    """Bytes for each identifier of a bucket."""


_PSI: Final[Mapping[str, _Psi]] = {
    "RR22": _Psi(Line(1.2e6, 33.0), Line(0.1, 4.7e-6), 480.0),
    "KKRT": _Psi(Line(0.3e6, 117.0), Line(0.1, 8.9e-6), 590.0),
    "ECDH": _Psi(Line(0.1e6, 77.0), Line(0.2, 17.8e-6), 320.0),
}


def estimated(program: str, protocol: str, shapes: Shapes) -> Estimate:
    """Return the estimate of a program and protocol that fit each other, with one receiver."""
    if program == "psi":
        return _of_psi(_PSI[protocol], shapes)
    return Estimate(*shares_cost(program, protocol.lower(), shapes, 1))


def _of_psi(cost: _Psi, shapes: Shapes) -> Estimate:
    size = max((one["keys"][0] for one in shapes.values() if "keys" in one), default=0)
    held = min(size, BUCKET) * cost.memory + size * 24
    return Estimate(
        bytes=round(cost.bytes.at(size)),
        memory=round(PROCESS + held),
        seconds=START + cost.seconds.at(size),
    )
