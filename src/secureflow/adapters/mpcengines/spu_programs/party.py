"""One party's part of a program."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SETTINGS: Final = "secureflow"
"""The parameter with what the agents agreed on beside the program's own parameters."""
CONNECT: Final = "SECUREFLOW_CONNECT"
WAIT: Final = "SECUREFLOW_WAIT"
"""Variables with this party's deadlines in seconds."""

Tell = Callable[[str, float], None]
"""Told of a phase and the share of it that is done, 0 to 1."""


@dataclass(frozen=True)
class Part:
    """One party's part.

    Args:
        program: which of `work.PROGRAMS`.
        protocol: `RR22`, `ABY3`, …
        parameters: of the program, alike at all parties.
        number: this party's place among the parties, from 0.
        parties: how many there are.
        receivers: places of those who learn results, ascending.
        job: the job's id.
        link: the name of this attempt's link.
        addresses: by place: where this party listens, and the local ports that lead to the others.
        inputs: name → file.
        folder: to work in and for results.
        kept: name → file of what earlier attempts kept.
        keep: has a file kept for further attempts.
        connect: seconds until all are connected.
        wait: seconds that a peer may take for one step.
    """

    program: str
    protocol: str
    parameters: Mapping[str, Any]
    number: int
    parties: int
    receivers: tuple[int, ...]
    job: str
    link: str
    addresses: tuple[str, ...]
    inputs: Mapping[str, Path]
    folder: Path
    kept: Mapping[str, Path]
    keep: Callable[[str, Path], None]
    connect: float
    wait: float

    @property
    def learns(self) -> bool:
        """Whether this party gets results."""
        return self.number in self.receivers


def part_of(told: Any) -> Part:
    """Return the part that `host.Job` describes; the settings among its parameters are ours."""
    settings = told.parameters[SETTINGS]
    return Part(
        program=told.program,
        protocol=told.protocol,
        parameters={name: one for name, one in told.parameters.items() if name != SETTINGS},
        number=told.number,
        parties=told.parties,
        receivers=tuple(settings["receivers"]),
        job=settings["job"],
        link=f"{settings['job']}-{settings['attempt']}",
        addresses=tuple(told.addresses),
        inputs=dict(told.inputs),
        folder=Path(told.folder),
        kept=dict(getattr(told, "kept", {})),
        keep=getattr(told, "keep", _kept_nowhere),
        connect=float(os.environ[CONNECT]),
        wait=float(os.environ[WAIT]),
    )


def _kept_nowhere(name: str, path: Path) -> None:
    """Stand in where nothing is kept: the next attempt starts from the beginning."""


@dataclass
class Done:
    """What a program ends with: small figures, and files that it made for this party."""

    figures: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, Path] = field(default_factory=dict)
