"""A PostgreSQL of our own: found on this machine, started on a Unix socket, never on a port."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


@contextmanager
def server(bin_dir: Path) -> Iterator[str]:
    """Run a server until the block ends; yield the URL of its `postgres` database."""
    home = Path(tempfile.mkdtemp(prefix="sf-pg-", dir="/tmp"))  # a socket's path is short
    who = _other_user()
    if who:
        os.chown(home, who["user"], who["group"])
    environment = {"PATH": f"{bin_dir}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}

    def run(*command: str) -> None:
        # Output goes to a file: a server that inherited a pipe would keep it open.
        with (home.parent / f"{home.name}.out").open("w") as out:
            subprocess.run(
                command, check=True, cwd=home, env=environment, stdout=out, stderr=out,
                timeout=100, **who,
            )  # fmt: skip

    control = (str(bin_dir / "pg_ctl"), "-D", str(home / "data"), "-w")
    options = f"-k {home} -c listen_addresses='' -c fsync=off -c max_connections=60"
    try:
        run(str(bin_dir / "initdb"), "-D", str(home / "data"), "-U", "sf", "-A", "trust", "-N")
        run(*control, "-l", str(home / "log"), "-o", options, "start")
        yield f"postgresql+psycopg://sf@/postgres?host={home}"
    finally:
        run(*control, "-m", "immediate", "stop")
        shutil.rmtree(home, ignore_errors=True)
        (home.parent / f"{home.name}.out").unlink(missing_ok=True)
