"""The demo of an intersection from its platform to its result, in a directory that is ready."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from secureflow.demo.platform import Platform
from secureflow.demo.psi.customers import OWNERS, PURPOSE, make_customers
from secureflow.demo.psi.engines import EngineName, Shelf
from secureflow.demo.psi.play import Outcome, Watch, play
from secureflow.demo.psi.screen import PsiScreen
from secureflow.demo.sandboxing import sandbox_settings
from secureflow.texts import Language

Guard = Callable[[Callable[..., None]], Callable[..., None]]


@dataclass
class EnginePlatform(Platform):
    """A platform whose agents have an engine when they start.

    Args:
        lend: puts it into an agent's folder.
    """

    lend: Callable[[Path], None] = field(default=lambda _: None)

    def _start_agents(self) -> None:
        for owner in self.parties.values():
            self.lend(owner.directory)
        super()._start_agents()


@dataclass(frozen=True)
class Staging:
    """What the demo stands on.

    Args:
        directory: its own, empty.
        engine: that is installed.
        shelf: which has it.
        screen: for people.
        language: of the reports.
        database: URL of an empty PostgreSQL database; default: SQLite.
        stays: whether the processes outlive this one.
        guard: wraps what is called at each step, so that Ctrl-C is not lost.
    """

    directory: Path
    engine: EngineName
    shelf: Shelf
    screen: PsiScreen
    language: Language = "en"
    database: str = ""
    stays: bool = False
    guard: Guard = lambda step: step

    def run(self) -> tuple[Platform, Outcome]:
        """Play it; return the platform, which still runs, and what came of it."""
        screen, customers = self.screen, make_customers(self.directory / "data")
        screen.opening(customers)
        workers, without = sandbox_settings(engines=True)
        if without:
            screen.without_sandbox(without)
        platform = EnginePlatform(
            self.directory,
            OWNERS,
            customers.datasets,
            purpose=PURPOSE,
            database=self.database,
            stays=self.stays,
            settings={"agent": workers},
            say=self.guard(screen.step),
            sealing=False,
            lend=lambda directory: self.shelf.lend(self.engine, directory),
        )
        try:
            platform.build()
            watch: Watch = self.guard(screen.event)
            return platform, play(platform, customers, self.engine, watch, self.language)
        except BaseException:  # also on Ctrl-C: no child is left behind
            platform.stop()
            raise
