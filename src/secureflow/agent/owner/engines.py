"""The engines that an owner installed: environments made from the locks of this version.

    engines/NAME-<lock digest>.json, engines/NAME-<lock digest>.<hex>/    as `environments`

An engine's name and its lock's digest name its environment. So a new version of SecureFlow with
another lock finds no environment until its owner installs the engine again, an agent that runs
meanwhile goes on, and the old one is removed when the new one is complete.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, Protocol

from secureflow.adapters.anchors.fabric.environment import FABRIC
from secureflow.adapters.mpcengines import failures
from secureflow.adapters.mpcengines.registry import MAKES
from secureflow.agent.owner import venvs
from secureflow.agent.owner.environments import Environment, Environments
from secureflow.agent.owner.venvs import Source
from secureflow.engines.bundles.lock import parse_lock
from secureflow.kit.disk import Place
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

FOLDER: Final = "engines"
State = Literal["installed", "outdated", "absent"]
_DIGITS: Final = 16
"""Of a lock's digest, in names."""


class Installable(Protocol):
    """What has an environment of its own: an engine, or what speaks to a chain."""

    @property
    def name(self) -> str:
        """By which commands name it."""

    @property
    def version(self) -> str:
        """Of what it is about."""

    @property
    def title(self) -> str:
        """What it is for, for people."""

    @property
    def pythons(self) -> tuple[str, ...]:
        """Versions of Python that its packages run under, the preferred one first."""

    @property
    def megabytes(self) -> tuple[int, int]:
        """To fetch, and on the disk."""

    @property
    def seconds(self) -> int:
        """That installing it takes, from a near index."""

    @property
    def module(self) -> str:
        """That its program imports."""

    @property
    def lock(self) -> bytes:
        """Its packages, each with the hashes of its wheels."""


INSTALLABLE: Final[Mapping[str, Installable]] = {**MAKES, FABRIC.name: FABRIC}
"""By name."""


@dataclass(frozen=True)
class OwnEngine:
    """An engine, and whether this agent has it.

    Args:
        name, version, title: as `Installable`.
        state: `outdated` where only the environment of another lock is there.
        python: version and platform of its interpreter, "" if it is absent.
        created: unix seconds, None if it is absent.
        megabytes: that it takes on the disk.
    """

    name: str
    version: str
    title: str
    state: State
    python: str
    created: int | None
    megabytes: int


class OwnEngines:
    """The engines below an agent's folder.

    Args:
        directory: the agent's.
        makes: the engines that there are.
    """

    def __init__(self, directory: Path, makes: Mapping[str, Installable] = INSTALLABLE) -> None:
        self._folder = directory / FOLDER
        self._environments = Environments(directory, FOLDER)
        self._makes = makes

    def every(self) -> list[OwnEngine]:
        """Return every engine that there is, installed here or not."""
        return [self._shown(one) for one in self._makes.values()]

    def make(self, name: str) -> Installable:
        """Return what is known of an engine.

        Raises:
            SecureFlowError: `engine_unknown`.
        """
        if name not in self._makes:
            raise SecureFlowError(
                "engine_unknown",
                Text("There is no engine {name!r}.", name=shown(name[:64])),
                Text("Choose one of these: {names}.", names=", ".join(self._makes)),
            )
        return self._makes[name]

    def install(self, name: str, python: Path | None, source: Source) -> Environment | None:
        """Make an engine's environment, and remove older ones; None if it is there already.

        Args:
            name: the engine's.
            python: an interpreter of a version that its packages run under; None finds one.
            source: where wheels come from.

        Raises:
            SecureFlowError: `engine_unknown`, `environment_failed`, `environment_busy`,
                `engine_broken`: it is there, and not as it was installed.
            InfrastructureError: `disk_full`.
        """
        make = self.make(name)
        if self._current(make) is not None:
            self.verify(name)
            return None
        Place(self._folder, "own files").demand(make.megabytes[1] << 20)
        found = _suitable(make) if python is None else _checked(make, python)
        made = self._environments.add(_environment(make), found, make.lock, source)
        for one in self._of(make):
            if one != made.name:
                self._environments.remove(one)
        return made

    def remove(self, name: str) -> None:
        """Remove an engine; a job that it computes fails.

        Raises:
            SecureFlowError: `engine_unknown`, `engine_absent`.
        """
        make = self.make(name)
        found = list(self._of(make))
        if not found:
            raise failures.absent(name)
        for one in found:
            self._environments.remove(one)

    def verify(self, name: str, *, quick: bool = False) -> None:
        """Compare every file of an engine with what was installed, or names and sizes.

        Raises:
            SecureFlowError: `engine_unknown`, `engine_absent`, `engine_broken`.
        """
        make = self.make(name)
        if self._current(make) is None:
            raise failures.absent(name)
        try:
            self._environments.verify(_environment(make), quick=quick)
        except SecureFlowError as error:
            raise _broken(name, error) from error

    def interpreter(self, name: str) -> OwnInterpreter:
        """Return an engine's interpreter, installed or not."""
        return OwnInterpreter(self._environments, self.make(name))

    def _shown(self, make: Installable) -> OwnEngine:
        found = self._current(make)
        state: State = "installed" if found is not None else "absent"
        if found is None and any(self._of(make)):
            state = "outdated"
        python, created = ("", None) if found is None else (found.python, found.created)
        return OwnEngine(
            make.name, make.version, make.title, state, python, created, make.megabytes[1]
        )

    def _current(self, make: Installable) -> Environment | None:
        with suppress(SecureFlowError):
            return self._environments.get(_environment(make))
        return None

    def _of(self, make: Installable) -> Iterator[str]:
        for name in self._environments.names():
            head, _, digits = name.rpartition("-")
            if head == make.name and len(digits) == _DIGITS:
                yield name


class OwnInterpreter:
    """`adapters.mpcengines.runs.Interpreter`.

    Args:
        environments: those of engines.
        make: the engine.
    """

    def __init__(self, environments: Environments, make: Installable) -> None:
        self._environments = environments
        self._make = make

    def find(self) -> Path:
        """See `Interpreter.find`."""
        try:
            found = self._environments.get(_environment(self._make))
        except SecureFlowError as error:
            raise failures.absent(self._make.name) from error
        return self._environments.python(found)

    def ready(self) -> Path:
        """See `Interpreter.ready`."""
        self.find()
        try:
            found = self._environments.ready(_digest(self._make.lock))
        except SecureFlowError as error:
            raise _broken(self._make.name, error) from error
        return self._environments.python(found)


def _environment(make: Installable) -> str:
    """Return the name of the environment of an engine."""
    return f"{make.name}-{_digest(make.lock)[:_DIGITS]}"


@cache
def _digest(lock: bytes) -> str:
    """Return a lock's digest; one of our own package is parsed once."""
    return parse_lock(lock).digest


def _suitable(make: Installable) -> Path:
    """Return an interpreter whose version the engine's packages run under."""
    named = (shutil.which(f"python{one}") for one in make.pythons)
    for one in (sys.executable, *named):
        if one is not None:
            with suppress(SecureFlowError):
                return _checked(make, Path(one))
    raise SecureFlowError(
        "environment_failed",
        Text(
            "{engine} needs Python {versions}, and none is on this machine's path.",
            engine=make.name,
            versions=", ".join(make.pythons),
        ),
        Text(
            "Install one, and name it: secureflow engine install {engine} --python PATH.",
            engine=make.name,
        ),
    )


def _checked(make: Installable, python: Path) -> Path:
    version = ".".join(venvs.interpreter(python).split()[0].split(".")[:2])
    if version not in make.pythons:
        raise SecureFlowError(
            "environment_failed",
            Text(
                "{engine} needs Python {versions}; {path} is {found}.",
                engine=make.name,
                versions=", ".join(make.pythons),
                path=shown(str(python)),
                found=version,
            ),
            "Name another interpreter: --python PATH.",
        )
    return python


def _broken(name: str, error: SecureFlowError) -> SecureFlowError:
    return SecureFlowError(
        "engine_broken",
        Text(
            "The engine {engine} is not as it was installed: {reason}",
            engine=name,
            reason=error.message,
        ),
        Text(
            "Find out who changed it; then secureflow engine remove {engine}, and install it "
            "again.",
            engine=name,
        ),
    )
