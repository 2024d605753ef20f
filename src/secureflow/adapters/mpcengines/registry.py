"""The engines that this version of SecureFlow knows, and those that an agent has.

An engine is described whether it is installed or not, so that a spec can be checked, a label read
and a cost estimated anywhere. It runs where its environment was installed (`secureflow engine
install`) from the lock that this version carries, and where something confines it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from secureflow.adapters.mpcengines import mpyc_engine, openmined, spu_catalogue
from secureflow.adapters.mpcengines.mpyc_engine import MpycEngine
from secureflow.adapters.mpcengines.openmined import OpenminedEngine
from secureflow.adapters.mpcengines.runs import EngineRuns, Interpreter
from secureflow.adapters.mpcengines.spu import SpuEngine
from secureflow.application.ports.mpcengine import MpcEngine
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

LOCKS: Final = Path(__file__).with_name("locks")


@dataclass(frozen=True)
class EngineMake:
    """An engine that can be installed.

    Args:
        name: by which specs and commands name it.
        version: of what computes.
        title: what it is for, for people.
        pythons: versions of Python that its packages run under, the preferred one first.
        megabytes: to fetch, and on the disk.
        module: that its program imports.
        seconds: that installing it takes, from a near index.
        make: makes the engine for an agent.
    """

    name: str
    version: str
    title: str
    pythons: tuple[str, ...]
    megabytes: tuple[int, int]
    seconds: int
    module: str
    make: Callable[[EngineRuns, Interpreter], MpcEngine]

    @property
    def lock(self) -> bytes:
        """Its packages, each with the hashes of its wheels."""
        return (LOCKS / f"{self.name}.txt").read_bytes()


MAKES: Final[Mapping[str, EngineMake]] = {
    one.name: one
    for one in (
        EngineMake(
            spu_catalogue.NAME,
            spu_catalogue.VERSION,
            "private set intersection, and programs on shares for two or three parties",
            ("3.11",),
            (220, 930),
            40,
            "spu",
            SpuEngine,
        ),
        EngineMake(
            openmined.NAME,
            openmined.VERSION,
            "private set intersection of up to 100,000 identifiers, and of sizes alone",
            ("3.11", "3.12", "3.13"),
            (3, 10),
            8,
            "private_set_intersection",
            OpenminedEngine,
        ),
        EngineMake(
            mpyc_engine.NAME,
            mpyc_engine.VERSION,
            "programs of others in Python, three parties or more, small data",
            ("3.11", "3.12", "3.13", "3.14"),
            (20, 80),
            15,
            "mpyc",
            MpycEngine,
        ),
    )
}
"""By name."""


def make_of(name: str) -> EngineMake:
    """Return an engine by its name.

    Raises:
        SecureFlowError: `engine_unknown`.
    """
    if name not in MAKES:
        raise SecureFlowError(
            "engine_unknown",
            Text("There is no engine {name!r}.", name=shown(name[:64])),
            Text("Choose one of these: {names}.", names=", ".join(MAKES)),
        )
    return MAKES[name]


class Engines:
    """The engines of one agent.

    Args:
        runs: where they run.
        python: returns an engine's interpreter by its name.
        makes: those that there are.
    """

    def __init__(
        self,
        runs: EngineRuns,
        python: Callable[[str], Interpreter],
        makes: Mapping[str, EngineMake] = MAKES,
    ) -> None:
        self._engines = {name: one.make(runs, python(name)) for name, one in makes.items()}
        self._runs = runs

    def get(self, name: str) -> MpcEngine:
        """Return an engine by its name, installed or not.

        Raises:
            SecureFlowError: `engine_unknown`.
        """
        if name not in self._engines:
            make_of(name)
        return self._engines[name]

    def ready(self, name: str) -> MpcEngine:
        """Return an engine that can run here now.

        Raises:
            SecureFlowError: `engine_unknown`, `engine_absent`, `engine_broken`,
                `engine_unconfined`.
        """
        engine = self.get(name)
        if (problem := engine.available()) is not None:
            raise problem
        return engine

    def here(self) -> dict[str, str]:
        """Return name → version of those that can run here, for the centre and for people."""
        return {
            name: one.describe().version
            for name, one in self._engines.items()
            if one.available() is None
        }

    def sweep(self) -> None:
        """Remove what an agent that was killed left behind; at its start."""
        self._runs.sweep()
