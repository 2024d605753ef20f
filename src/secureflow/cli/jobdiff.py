"""`secureflow job diff`: what two job files, or two jobs, differ in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureflow.cli.console import Form, Output, say, show, write
from secureflow.cli.escaping import plain
from secureflow.cli.names import named
from secureflow.cli.session import client
from secureflow.cli.starts import requested
from secureflow.cli.texts import said, t
from secureflow.domain.jobdiff import differences

if TYPE_CHECKING:
    from secureflow.sdk.client import Client

One = Annotated[str, typer.Argument(help=t("Job file, or id or name of a job."))]


def diff(first: One, second: One, output: Output = Form.TABLE) -> None:
    """Show what two jobs differ in."""
    files = [Path(one).is_file() for one in (first, second)]
    with client() as connection:
        if all(files):
            one, other = (requested(connection, Path(each), "") for each in (first, second))
        else:
            one, other = (_spec(connection, each) for each in (first, second))
    found = differences(one, other)
    if output is not Form.TABLE:
        show(list(found), output)
        return
    for each in found:
        write(plain(said(each.sentence)))
    if not found:
        say(t("They do not differ."))


def _spec(connection: Client, given: str) -> dict[str, Any]:
    """Return the spec of a job, or the one that a job file would have."""
    if Path(given).is_file():
        return connection.jobs.dry_run(requested(connection, Path(given), "")).spec
    return dict(connection.jobs.get(named(connection, "job", given)).spec)
