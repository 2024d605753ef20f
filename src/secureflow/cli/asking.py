"""Jobs that options ask for, rather than a file: on which datasets, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureflow.cli.console import Form, say, show
from secureflow.cli.dry_runs import show_dry_run
from secureflow.cli.names import named_all
from secureflow.cli.texts import t

if TYPE_CHECKING:
    from secureflow.sdk import Client, StatisticsRequest

Datasets = Annotated[
    list[str] | None,
    typer.Option(
        "--dataset", help=t("A dataset; may be repeated. Default: all granted to the project.")
    ),
]


def datasets_of(client: Client, project: str, given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the ids of the datasets that are given, else of all granted to the project."""
    return named_all(client, "dataset", given or ()) or tuple(
        one.id for one in client.datasets.list(project)
    )


def ask_for(
    client: Client,
    request: Mapping[str, Any] | StatisticsRequest,
    shows: Callable[[Mapping[str, Any], Form], None],
    output: Form,
    *,
    dry_run: bool,
    watch: bool,
) -> None:
    """Check a request, or submit it.

    Args:
        client: the person's.
        request: of any kind.
        shows: prints what is asked for of the job's report.
        output: the format of the output.
        dry_run: only check it.
        watch: follow the job until it ends, and show its report.

    Raises:
        SecureFlowError: why it is refused, or why the job did not succeed.
    """
    from secureflow.cli.watching import follow

    if dry_run:
        show_dry_run(client.jobs.dry_run(request), output)
        return
    job = client.jobs.submit(request)
    if not watch:
        show(job, output, ("id", "name", "state", "digest"))
        return
    say(t("{job}: submitted", job=job.id))
    follow(client, job.id)
    shows(client.jobs.report(job.id), output)
