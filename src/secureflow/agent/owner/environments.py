"""The environments of an owner: each a virtual environment under the agent's folder.

    environments/NAME.json          what it is, written last: without it there is no environment
    environments/NAME.<hex>/lock.txt, venv/, contents.json, verified (since which boot)

A spec names an environment by the digest of its lock (`engines.bundles.lock`); nothing is resolved
or installed when a job runs. These commands change files of this folder alone, under a lock of its
own: an agent that runs is neither held up nor disturbed, and finds a new environment at the next
job that names it.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from secureflow.agent.owner import installed, venvs
from secureflow.agent.owner.venvs import Source
from secureflow.engines.bundles.lock import MAX_BYTES, Lock, parse_lock
from secureflow.kit.atomic import flush_filesystem, write_atomically, write_shared
from secureflow.kit.canonical import parse_json
from secureflow.kit.clock import system_clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folderlock import folder_lock
from secureflow.kit.text import Text

FOLDER: Final = "environments"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_HOME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\.[0-9a-f]{16}")
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_MAX_JSON: Final = 256 << 20
_NAMED: Final = 5
"""Files of a broken environment that are named."""


_OWN: Final = "secureflow agent environment list shows those that there are."
"""The owner's next step."""
_OTHERS: Final = (
    "Give that owner your lock.txt, whose digest alone is in the job, and ask them to add it: "
    "secureflow agent environment add NAME --requirements lock.txt. Then submit the job again."
)
"""That of whoever submitted a job; its owner's is the same from the other side."""


@dataclass(frozen=True)
class Environment:
    """An environment of this owner.

    Args:
        name: the owner's.
        digest: of its lock; specs name it.
        python: version and platform of its interpreter.
        packages: name and version of each installed package.
        home: the folder in `environments`.
        created: unix seconds.
    """

    name: str
    digest: str
    python: str
    packages: tuple[tuple[str, str], ...]
    home: str
    created: int

    @property
    def version(self) -> str:
        """Its Python as `3.11`, by which the syntax of bundles is checked."""
        return ".".join(self.python.split(".")[:2])


class Environments:
    """The environments below an agent's folder.

    Args:
        directory: the agent's.
        folder: the one in it.
    """

    def __init__(self, directory: Path, folder: str = FOLDER) -> None:
        self._folder = directory / folder

    def add(self, name: str, python: Path, lock: bytes, source: Source) -> Environment:
        """Make an environment from a lock.

        Raises:
            SecureFlowError: `invalid_name`, `already_exists`, `malformed_lock`,
                `environment_failed`; nothing is left of it.
        """
        if not _NAME.fullmatch(name):
            raise SecureFlowError(
                "invalid_name",
                Text("{name!r} cannot be the name of an environment.", name=name[:80]),
                "Use lower-case letters, digits and hyphens.",
            )
        parsed = parse_lock(lock)
        with self._locked():
            if self._described(name).exists():
                raise SecureFlowError(
                    "already_exists",
                    Text("There is an environment {name} already.", name=name),
                    "Choose another name, or remove it first: secureflow agent environment remove.",
                )
            self._sweep()  # a command that was killed leaves hundreds of MB
            home = self._folder / f"{name}.{secrets.token_hex(8)}"
            home.mkdir(mode=0o700)
            try:
                return self._made(name, home, python, parsed, lock, source)
            except BaseException:  # Ctrl-C too: half an environment is none
                shutil.rmtree(home, ignore_errors=True)
                raise

    def every(self) -> list[Environment]:
        """Return the environments by name, without those whose description cannot be read."""
        return list(self._readable())

    def names(self) -> list[str]:
        """Return the names, also of environments that are broken."""
        return [path.stem for path in sorted(self._folder.glob("*.json"))]

    def get(self, name: str) -> Environment:
        """Return an environment by its name.

        Raises:
            SecureFlowError: `environment_unknown`, `environment_broken`.
        """
        if not _NAME.fullmatch(name) or not self._described(name).is_file():
            raise _unknown(name)
        return self._read(name)

    def of(self, digest: str) -> Environment:
        """Return the environment that a spec names by its lock's digest.

        Raises:
            SecureFlowError: `environment_unknown`; a broken one may be the one that was named.
        """
        for found in self._readable():
            if found.digest == digest:
                return found
        raise _unknown(digest, _OTHERS)

    def ready(self, digest: str) -> Environment:
        """Return the environment that a job runs in, compared with what was installed.

        Every byte is compared before the first job since this machine started: what a power cut or
        a disk did to it is not seen from names and sizes, which are compared before each job.

        Raises:
            SecureFlowError: `environment_unknown`, `environment_broken`.
        """
        found, boot = self.of(digest), _boot()
        mark = self._folder / found.home / "verified"
        since = mark.read_bytes() if boot and mark.is_file() else b""
        self.verify(found.name, quick=since == boot and bool(boot))
        if boot and since != boot:
            write_shared(mark, boot)  # jobs that begin at once, each in a thread
        return found

    def python(self, environment: Environment) -> Path:
        """Return the path of an environment's interpreter."""
        return self._venv(environment) / "bin" / "python"

    def remove(self, name: str) -> None:
        """Remove an environment; a job that runs in it fails.

        Raises:
            SecureFlowError: `environment_unknown`.
        """
        with self._locked():
            if not _NAME.fullmatch(name) or not self._described(name).is_file():
                raise _unknown(name)
            self._described(name).unlink()
            self._sweep()

    def verify(self, name: str, *, quick: bool = False) -> Environment:
        """Compare every file of an environment with what was installed.

        Args:
            name: of the environment.
            quick: compare names and sizes only, as before each job.

        Raises:
            SecureFlowError: `environment_unknown`; `environment_broken` naming the files.
        """
        found = self.get(name)
        home = self._folder / found.home
        try:
            lock = parse_lock((home / "lock.txt").read_bytes())
            known = parse_json((home / "contents.json").read_bytes(), _MAX_JSON)
        except (OSError, SecureFlowError) as error:
            raise broken(name, "its description cannot be read") from error
        if lock.digest != found.digest:
            raise broken(name, "its lock is another one")
        wrong = venvs.differences(self._venv(found), known, quick=quick)
        if wrong:
            named = ", ".join(wrong[:_NAMED]) + (", …" if len(wrong) > _NAMED else "")
            raise broken(
                name,
                Text(
                    "{count} {count:file is|files are} not as installed: {named}",
                    count=len(wrong),
                    named=named,
                ),
            )
        return found

    def _made(
        self, name: str, home: Path, python: Path, lock: Lock, given: bytes, source: Source
    ) -> Environment:
        venv = home / "venv"
        version, found = venvs.make(venv, python, lock, source)
        write_atomically(home / "lock.txt", given)
        known = json.dumps(found, sort_keys=True).encode()
        write_atomically(home / "contents.json", known)
        packages = tuple(installed.packages(venv))
        made = Environment(name, lock.digest, version, packages, home.name, system_clock())
        flush_filesystem(home)  # what it describes: a power cut leaves all of it, or nothing
        described = json.dumps(asdict(made), indent=1).encode()
        write_atomically(self._described(name), described + b"\n")
        return made

    def _read(self, name: str) -> Environment:
        try:
            value = parse_json(self._described(name).read_bytes(), MAX_BYTES)
            return _environment(name, value)
        except (OSError, SecureFlowError, TypeError, ValueError, KeyError) as error:
            raise broken(name, "its description cannot be read") from error

    def _venv(self, environment: Environment) -> Path:
        return self._folder / environment.home / "venv"

    def _described(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _sweep(self) -> None:
        """Remove folders that no description names: of removed ones, and of killed commands."""
        named = {one.home for one in self._readable()}
        unread = set(self.names()) - {one.name for one in self._readable()}
        for path in self._folder.iterdir():
            unnamed = path.name not in named and path.name.partition(".")[0] not in unread
            if path.is_dir() and _HOME.fullmatch(path.name) and unnamed:
                shutil.rmtree(path)

    def _readable(self) -> Iterator[Environment]:
        for name in self.names():
            with suppress(SecureFlowError):
                yield self._read(name)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        refusal = SecureFlowError(
            "environment_busy",
            "Another command is changing the environments of this agent.",
            "Wait until it has ended.",
        )
        with folder_lock(self._folder, refusal):
            yield


def _boot() -> bytes:
    """Return what names the time since this machine started (random(4)), b"" if nothing does."""
    with suppress(OSError):
        return _BOOT.read_bytes()
    return b""


def broken(name: str, reason: str) -> SecureFlowError:
    """Return the error of an environment that is not what was installed."""
    return SecureFlowError(
        "environment_broken",
        Text("The environment {name} is broken: {reason}.", name=name[:64], reason=reason),
        "Find out who changed it; then remove it and add it again from its lock.",
    )


def _unknown(name: str, hint: str = _OWN) -> SecureFlowError:
    text = Text("This agent has no environment {name!r}.", name=name[:64])
    return SecureFlowError("environment_unknown", text, hint)


def _environment(name: str, value: Any) -> Environment:
    packages = tuple((str(one), str(version)) for one, version in value["packages"])
    found = Environment(
        str(value["name"]), str(value["digest"]), str(value["python"]), packages,
        str(value["home"]), int(value["created"]),
    )  # fmt: skip
    if found.name != name or not _HOME.fullmatch(found.home):
        message = "it describes another one"
        raise ValueError(message)
    return found
