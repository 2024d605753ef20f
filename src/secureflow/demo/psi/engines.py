"""The engine of the demo's intersection: chosen, installed where somebody said so, lent to agents.

An owner's engine lies below the agent's folder, and the demo empties its own with every start. So
it keeps engines in the user's cache, each installed once as `secureflow engine install` does, and
links them into the folders of its agents.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from secureflow.adapters.mpcengines import failures
from secureflow.agent.owner.engines import FOLDER, OwnEngines
from secureflow.agent.owner.venvs import Source
from secureflow.demo.words import Words
from secureflow.domain.specs.psi import PsiProtocol
from secureflow.kit.errors import SecureFlowError

EngineName = Literal["spu", "openmined"]
BEST: Final[EngineName] = "spu"
SMALL: Final[EngineName] = "openmined"
PROTOCOLS: Final[Mapping[EngineName, PsiProtocol]] = {"spu": "rr22", "openmined": "openmined"}


@dataclass(frozen=True)
class Asked:
    """What the user said about engines.

    Args:
        engine: the one that was named; empty: SPU if it is there.
        install: whether what is missing may be installed.
        agreed: asks at the terminal; None without one.
    """

    engine: EngineName | Literal[""] = ""
    install: bool = False
    agreed: Callable[[str], bool] | None = None


def place() -> Path:
    """Return the folder that the demo's engines lie in."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "secureflow-engines"


class Shelf:
    """The demo's engines.

    Args:
        directory: where they lie.
        say: texts for people.
        tell: prints a line.
        waiting: shows that something goes on.
    """

    def __init__(
        self,
        directory: Path,
        say: Words,
        tell: Callable[[str], None],
        waiting: Callable[[str], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._own = OwnEngines(directory)
        self._directory = directory
        self._say, self._tell, self._waiting = say, tell, waiting

    def chosen(self, asked: Asked) -> EngineName:
        """Return the engine to use, which is there then.

        SPU is used where it is installed, or may be; else openmined-psi.

        Raises:
            SecureFlowError: `engine_absent` where nobody said that one may be installed; why one
                that was named cannot be.
        """
        if asked.engine:
            self._installed(asked.engine)
            return asked.engine
        if self._has(BEST):
            return BEST
        if self._may(BEST, asked):
            try:
                self._installed(BEST)
            except SecureFlowError as error:  # no Python 3.11, no index, no room
                self._tell(str(error.message))
            else:
                return BEST
        if not self._has(SMALL):
            if not self._may(SMALL, asked):
                raise self._absent()
            self._installed(SMALL)
        self._tell(self._say("SPU is not installed here: {name} takes its place.", name=SMALL))
        if asked.agreed is None and not asked.install:
            fetched = self._own.make(BEST).megabytes[0]
            told = "To install SPU ({fetched} MB): secureflow demo --scenario psi --install-engine"
            self._tell(self._say(told, fetched=fetched))
        return SMALL

    def offered(self, asked: Asked) -> tuple[EngineName, ...]:
        """Return the engines that are there for later intersections, often of several protocols.

        One is installed if it was named, or SPU if it was to be installed.

        Raises:
            SecureFlowError: why one that was asked for cannot be.
        """
        wanted = asked.engine or (BEST if asked.install else "")
        if wanted:
            self._installed(wanted)
        return tuple(name for name in (BEST, SMALL) if self._has(name))

    def lend(self, engine: EngineName, directory: Path) -> None:
        """Link an engine that is there into the folder of an agent that has none."""
        self._own.interpreter(engine).find()
        folder = directory / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        for found in (self._directory / FOLDER).glob(f"{engine}-*"):
            (folder / found.name).symlink_to(found)

    def _has(self, engine: EngineName) -> bool:
        return any(one.name == engine and one.state == "installed" for one in self._own.every())

    def _may(self, engine: EngineName, asked: Asked) -> bool:
        if asked.install or asked.agreed is None:
            return asked.install
        make = self._own.make(engine)
        fetched, kept = make.megabytes
        return asked.agreed(
            self._say(
                "The engine {name} {version} is not installed: about {fetched} MB to fetch, {kept} "
                "MB on the disk, {seconds} s or less from a near index. Install it?",
                name=engine, version=make.version, fetched=fetched, kept=kept,
                seconds=make.seconds,
            )
        )  # fmt: skip

    def _installed(self, engine: EngineName) -> None:
        """Install an engine unless it is there."""
        if self._has(engine):
            return
        make = self._own.make(engine)
        fetched, kept = make.megabytes
        told = self._say(
            "Installing {name} {version}: about {fetched} MB to fetch and {kept} MB on the disk; "
            "from a near index that takes about {seconds} s.",
            name=engine, version=make.version, fetched=fetched, kept=kept, seconds=make.seconds,
        )  # fmt: skip
        self._tell(told)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        began = time.monotonic()
        with self._waiting(engine):
            self._own.install(engine, None, Source())
        seconds = round(time.monotonic() - began)
        self._tell(self._say("Installed in {seconds} s.", seconds=seconds))

    def _absent(self) -> SecureFlowError:
        return SecureFlowError(
            "engine_absent",
            failures.absent(BEST).message,
            "Let the demo install one: --install-engine for SPU (minutes at a slow line), or "
            "--engine openmined for a small one.",
            {"engine": BEST},
        )
