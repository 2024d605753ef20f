"""`secureflow demo`: play the operator and the owners on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from secureflow.cli.texts import t

app = typer.Typer(
    help=t("Train one model with several organisations on this machine."),
    invoke_without_command=True,
    rich_markup_mode=None,
)

Directory = Annotated[Path, typer.Option(help=t("Where the demo keeps its files."))]
_HERE = Path(".demo")
# As in domain.specs, which loads too much for `--help`; the types say when they part.
Protection = Literal["sealed", "secagg", "sealed+secagg"]


@app.callback()
def run(
    context: typer.Context,
    parties: Annotated[int, typer.Option(min=3, max=16, help=t("How many organisations."))] = 3,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help=t("At most so many rounds."))] = 40,
    json: Annotated[bool, typer.Option("--json", help=t("End with one line of JSON."))] = False,
    keep: Annotated[bool, typer.Option("--keep", help=t("Leave the platform running."))] = False,
    directory: Directory = _HERE,
    protection: Annotated[
        Protection,
        typer.Option(help=t("How single updates are hidden.")),
    ] = "sealed",
) -> None:
    """Run the demo, unless a subcommand is named."""
    if context.invoked_subcommand is not None:
        return
    from secureflow.demo import launcher

    code = launcher.run(
        parties=parties,
        rounds=rounds,
        json=json,
        keep=keep,
        directory=directory,
        protection=protection,
    )
    raise typer.Exit(code)


@app.command("stop", help=t("End a demo that was left running."))
def stop(directory: Directory = _HERE) -> None:
    """End a kept demo."""
    from secureflow.demo import launcher

    raise typer.Exit(launcher.stop(directory))
