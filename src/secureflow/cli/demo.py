"""`secureflow demo`: play the operator and the owners on this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from secureflow.cli.console import agreed
from secureflow.cli.server import EmptyDatabase
from secureflow.cli.texts import language, t

app = typer.Typer(
    help=t("Train one model with several organisations on this machine."),
    invoke_without_command=True,
    rich_markup_mode=None,
)

Directory = Annotated[Path, typer.Option(help=t("Where the demo keeps its files."))]
_HERE = Path(".demo")
# As in domain.specs.base, which loads too much for `--help`; mypy reports a mismatch.
ProtectionName = Literal["sealed", "secagg", "sealed+secagg"]
AnchorName = Literal["file", "evm", "none"]
ScenarioName = Literal["training", "psi"]
EngineName = Literal["spu", "openmined"]
_TRAINING = ("data", "label", "positive", "by", "parties", "rounds", "protection", "anchor")
_INTERSECTION = ("engine", "install_engine")
"""Options of one scenario alone."""

Table = Annotated[
    Path | None, typer.Option(help=t("Your own table instead of UCI Adult: CSV or Parquet."))
]
By = Annotated[
    str, typer.Option(help=t("Sort by this column and cut, so that the owners' rows differ."))
]
Engine = Annotated[
    EngineName | None,
    typer.Option(
        help=t("Engine of psi, or with --keep; it is installed if absent. Default: spu if there.")
    ),
]
Anchor = Annotated[
    AnchorName,
    typer.Option(
        help=t(
            "Where the owners anchor: a file that one of them keeps, a chain (evm: npm brings "
            "anvil), or none."
        )
    ),
]


@app.callback()
def run(
    context: typer.Context,
    data: Table = None,
    label: Annotated[str, typer.Option(help=t("The column of the table to predict."))] = "",
    positive: Annotated[str, typer.Option(help=t("The value of it to predict."))] = "",
    by: By = "",
    parties: Annotated[
        int, typer.Option("--parties", "--split", min=3, max=16, help=t("How many organisations."))
    ] = 3,
    rounds: Annotated[
        int, typer.Option(min=1, max=1000, help=t("The maximum number of rounds."))
    ] = 40,
    json: Annotated[bool, typer.Option("--json", help=t("End with one line of JSON."))] = False,
    keep: Annotated[bool, typer.Option("--keep", help=t("Leave the platform running."))] = False,
    directory: Directory = _HERE,
    database: EmptyDatabase = "",
    protection: Annotated[
        ProtectionName, typer.Option(help=t("How single updates are hidden."))
    ] = "sealed+secagg",
    scenario: Annotated[
        ScenarioName,
        typer.Option(help=t("What to play: training, or psi (which customers two share).")),
    ] = "training",
    engine: Engine = None,
    anchor: Anchor = "file",
    install_engine: Annotated[
        bool, typer.Option("--install-engine", help=t("Install SPU for psi if it is not."))
    ] = False,
) -> None:
    """Run the demo, unless a subcommand is named."""
    if context.invoked_subcommand is not None:
        return
    _refuse_others(context, scenario, keep=keep)
    _refuse_half(data, label, positive)
    _refuse_chain(anchor, keep=keep)
    from secureflow.demo import launcher
    from secureflow.demo.own_table import OwnTable
    from secureflow.demo.psi.engines import Asked

    own = OwnTable(data, label, positive, by or None) if data else None
    options = launcher.Options(
        directory=directory,
        parties=parties,
        rounds=rounds,
        protection=protection,
        own=own,
        by=by,
        database=database,
        json=json,
        keep=keep,
        language="zh" if language() == "zh" else "en",
        scenario=scenario,
        anchor=anchor,
        engines=Asked(engine or "", install=install_engine, agreed=_asking()),
    )
    raise typer.Exit(launcher.run(options))


def _asking() -> Callable[[str], bool] | None:
    """Return what asks the person at the terminal, if there is one."""
    return agreed if sys.stdin.isatty() else None


def _refuse_chain(anchor: str, *, keep: bool) -> None:
    """Refuse to keep a demo whose chain ends with it."""
    if keep and anchor == "evm":
        said = t("The chain of --anchor evm ends with the demo: leave out --keep.")
        raise typer.BadParameter(said)


def _refuse_half(data: Path | None, label: str, positive: str) -> None:
    """Refuse options about a table of one's own that do not stand together."""
    if bool(data) != bool(label):
        raise typer.BadParameter(t("--data and --label must be given together."))
    if positive and not data:
        raise typer.BadParameter(t("--positive needs --data and --label."))


def _refuse_others(context: typer.Context, scenario: str, *, keep: bool) -> None:
    """Refuse options that the scenario does not have; a platform that is kept may have an engine.

    Raises:
        BadParameter: naming one.
    """
    foreign = _TRAINING if scenario == "psi" else () if keep else _INTERSECTION
    for name in foreign:
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            option = f"--{name.replace('_', '-')}"
            raise typer.BadParameter(
                t("{option} is not of the scenario {scenario}.", option=option, scenario=scenario)
            )


@app.command("stop", help=t("End a demo that was left running."))
def stop(directory: Directory = _HERE) -> None:
    """End a kept demo."""
    from secureflow.demo import launcher

    raise typer.Exit(launcher.stop(directory, "zh" if language() == "zh" else "en"))
