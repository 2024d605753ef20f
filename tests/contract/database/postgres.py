"""A PostgreSQL of our own: found on this machine, started on a Unix socket, never on a port."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.memory import in_memory

_KEEPER = """
import os, shutil, signal, sys
sys.stdin.read()
home, told = sys.argv[1:]
try:
    with open(f"{home}/data/postmaster.pid") as file:
        os.kill(int(file.readline()), signal.SIGQUIT)
except (OSError, ValueError):
    pass
shutil.rmtree(home, ignore_errors=True)
os.unlink(told)
"""
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/bin", "/usr/pgsql-*/bin")


def binaries() -> Path | None:
    """Return the directory of `initdb`, `pg_ctl` and `postgres`, newest version first."""
    found = shutil.which("initdb")
    candidates = [Path(found).parent] if found else []
    for pattern in _PLACES:
        candidates += sorted(Path("/").glob(pattern.lstrip("/")), reverse=True)
    complete = (d for d in candidates if all((d / b).exists() for b in ("initdb", "postgres")))
    return next(complete, None)


def _other_user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: name somebody else then."""
    if os.getuid() != 0:
        return {}
    known = {user.pw_name: user for user in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@dataclass
class Cluster:
    """A server that a test may stop and start again: its socket stays where it is.

    Args:
        bin_dir: of `binaries`.
        home: an empty directory of its own.
    """

    bin_dir: Path
    home: Path
    who: dict[str, Any] = field(default_factory=_other_user)

    @property
    def url(self) -> str:
        """The URL of its `postgres` database."""
        return f"postgresql+psycopg://sf@/postgres?host={self.home}"

    @property
    def told(self) -> Path:
        """The file that takes the output of its commands."""
        return self.home.parent / f"{self.home.name}.out"

    def make(self) -> None:
        """Make its files."""
        if self.who:
            os.chown(self.home, self.who["user"], self.who["group"])
        self._run("initdb", "-D", self._data, "-U", "sf", "-A", "trust", "-N")

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-k {self.home} -c listen_addresses='' -c fsync=off -c max_connections=60"
        self._control("-l", str(self.home / "log"), "-o", options, "start")

    def stop(self, how: str = "immediate") -> None:
        """End it, as a crash would."""
        self._control("-m", how, "stop")

    @property
    def _data(self) -> str:
        return str(self.home / "data")

    def _control(self, *words: str) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", *words)

    def _run(self, command: str, *words: str) -> None:
        environment = {"PATH": f"{self.bin_dir}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        # Output goes to a file: a server that inherited a pipe would keep it open.
        with self.told.open("w") as out:
            subprocess.run(
                (str(self.bin_dir / command), *words), check=True, cwd=self.home, env=environment,
                stdout=out, stderr=out, timeout=100, **self.who,
            )  # fmt: skip


@contextmanager
def cluster(bin_dir: Path) -> Iterator[Cluster]:
    """Run a server until the block ends."""
    # A socket's path is short.
    home = Path(tempfile.mkdtemp(prefix="sf-pg-", dir=in_memory() or "/tmp"))
    one = Cluster(bin_dir, home)
    with _kept(one):
        try:
            one.make()
            one.start()
            yield one
        finally:
            with suppress(subprocess.CalledProcessError):  # a test may have stopped it
                one.stop()


@contextmanager
def _kept(cluster: Cluster) -> Iterator[None]:
    """Have a process see to it that nothing is left, also of a run that is killed.

    PostgreSQL is a daemon: it would stay. That process reads until we are gone.
    """
    command = (sys.executable, "-I", "-S", "-c", _KEEPER, str(cluster.home), str(cluster.told))
    keeper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        keeper.communicate()


@contextmanager
def server(bin_dir: Path) -> Iterator[str]:
    """Run a server until the block ends; yield the URL of its `postgres` database."""
    with cluster(bin_dir) as one:
        yield one.url
