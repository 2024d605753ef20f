"""How an engine runs and where: what its adapter says to `running.EngineRun`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from secureflow.adapters.mpcengines.forwarding import SPARES
from secureflow.adapters.mpcengines.speaking import Speech
from secureflow.application.ports.mpcengine import EngineInfo
from secureflow.application.ports.sandbox import Sandbox, View
from secureflow.kit.canonical import JSON


def counts(figures: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """Return figures that are a few finite numbers, by short names.

    Raises:
        ValueError: they are not.
    """
    for name, value in figures.items():
        number = isinstance(value, int | float) and math.isfinite(value)
        if not number or len(name) > 64 or len(figures) > 64:
            raise ValueError(name)
    return dict(figures)


@dataclass(frozen=True)
class Plan:
    """How an engine runs; its adapter says it.

    Args:
        info: the engine.
        python: the interpreter of its environment.
        program: the file that its process runs, with a function `run(job)` (`host`).
        words: further words by which it says why it failed → the reason, for people.
        unsure: words of failures that a peer may have caused.
        blamed: words of failures that the one other party has caused.
        outputs: names that it may return; None for any plain name, at most `outputs.MOST`.
        figures: checks its figures, with `ValueError`; they leave this party.
        environment: variables.
        views: further files that it reads, such as modules of its program.
        processes: threads and processes.
        addresses: bytes of address space, where that is more than memory.
        speech: listens to who speaks; None for an engine of two parties, where it can be one alone.
        shared_futexes: see `Launch`.
        streams: connections that a party opens to another in a run.
    """

    info: EngineInfo
    python: Path
    program: Path
    words: Mapping[str, str] = field(default_factory=dict)
    unsure: frozenset[str] = frozenset({"raised", "files"})
    blamed: frozenset[str] = frozenset()
    outputs: frozenset[str] | None = frozenset()
    figures: Callable[[Mapping[str, JSON]], Mapping[str, JSON]] = counts
    environment: Mapping[str, str] = field(default_factory=dict)
    views: tuple[View, ...] = ()
    processes: int = 256
    addresses: int = 64 << 30
    speech: Speech | None = None
    streams: int = SPARES
    shared_futexes: bool = False


@dataclass(frozen=True)
class Place:
    """Where a run happens.

    Args:
        sandbox: starts the process.
        folder: an empty one to work in where nothing confines; it is the caller's to wipe.
        log: the file of what the process prints.
    """

    sandbox: Sandbox
    folder: Path
    log: Path
