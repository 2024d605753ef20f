"""`secureflow job sweep`: a training at many points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from secureflow.cli.bringing import brought
from secureflow.cli.console import Form, Output, say, show
from secureflow.cli.dry_runs import show_dry_run
from secureflow.cli.points import show_points
from secureflow.cli.session import client
from secureflow.cli.starts import requested
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

RequestFile = Annotated[
    Path, typer.Argument(help=t("Job file with a `sweep:` section (YAML or JSON)."))
]


def sweep(
    file: RequestFile,
    dry_run: Annotated[
        bool, typer.Option(help=t("Only check it, and show every point and the cost of all."))
    ] = False,
    watch: Annotated[
        bool, typer.Option(help=t("Follow it until it ends, and show its table."))
    ] = True,
    output: Output = Form.TABLE,
) -> None:
    """Submit a job file as a sweep."""
    from secureflow.cli.watching import follow

    with client() as connection:
        request = requested(connection, file)
        if not isinstance(request.get("sweep"), Mapping):
            raise SecureFlowError(
                "invalid_request",
                t("The job file has no `sweep:` section."),
                t("Say which points: sweep: {grid: {plan.learning_rate: [0.03, 0.1, 0.3]}}."),
            )
        with brought({**request, "kind": "sweep"}, file.parent) as found:
            if dry_run:
                show_dry_run(found.check(connection), output)
                return
            job = connection.jobs.submit(found.request)
        say(t("{job}: submitted", job=job.id))
        if watch:
            follow(connection, job.id)
            report = connection.jobs.report(job.id)
            if output is not Form.TABLE:
                show(report, output)
                return
            show_points(report)
            return
        show(job, output, ("id", "name", "state", "digest"))
