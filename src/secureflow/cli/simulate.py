"""`secureflow simulate`: try job files in one process before anybody is asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from secureflow.cli.console import Form, Output, say, show
from secureflow.cli.files import check_writable, write_text
from secureflow.cli.texts import language, said, t

if TYPE_CHECKING:
    from collections.abc import Mapping

    from secureflow.simulation import Outcome, Simulation

# As in domain.specs.base, which loads too much for `--help`; mypy reports a mismatch.
ProtectionName = Literal["sealed", "secagg", "sealed+secagg"]

Files = Annotated[
    list[Path], typer.Argument(help=t("Job files (YAML or JSON); several are compared."))
]
_COLUMNS = ("name", "parties", "partition", "attack", "protection", "rounds")
_WORTH = "What each party's updates were worth: score, its 95 % interval, share"
_SHOWN = ("loss", "accuracy", "auc", "r2", "mse")
Data = Annotated[
    list[Path] | None,
    typer.Option(
        help=t("Rows to divide: a CSV or Parquet file, or a folder; repeated: one for each party.")
    ),
]
Parties = Annotated[
    int | None,
    typer.Option(
        min=2,
        max=256,
        help=t("How many parties. Default: 10; one for each file, or word of by:COLUMN."),
    ),
]
Division = Annotated[
    str,
    typer.Option(help=t("How the rows are divided: iid, dirichlet:ALPHA (0.5, say) or by:COLUMN.")),
]
Owners = Annotated[
    list[Path] | None,
    typer.Option(
        help=t(
            "What owners declare (agent.yaml, or what agent data inspect drafts; FILE:NAME is one "
            "of several); repeated: one for each file."
        )
    ),
]
Keys = Annotated[
    str,
    typer.Option(
        help=t("The column that says whose a row is, for jobs that hold rows out by key.")
    ),
]
Attacked = Annotated[
    str,
    typer.Option(help=t("sign-flip:COUNTxFACTOR: so many parties send their update so, reversed.")),
]


def simulate(
    jobs: Files,
    data: Data = None,
    parties: Parties = None,
    partition: Division = "iid",
    attack: Attacked = "",
    protection: Annotated[
        ProtectionName | None, typer.Option(help=t("In the place of the job file's."))
    ] = None,
    initial: Annotated[
        Path | None, typer.Option(help=t("Weights to start from (safetensors)."))
    ] = None,
    dataset: Owners = None,
    key: Keys = "",
    base_model: Annotated[
        Path | None,
        typer.Option(help=t("File of the model on which an adapter stands (safetensors).")),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help=t("Of the division of the rows."))] = 7,
    html: Annotated[Path | None, typer.Option(help=t("Write curves to this page."))] = None,
    save: Annotated[
        Path | None, typer.Option(help=t("Write the model to this file (safetensors)."))
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Simulate jobs: no server, no agents, no protection."""
    from secureflow.kit.kernels import choose

    choose()  # before NumPy is loaded
    from secureflow.kit.atomic import write_result
    from secureflow.simulation import Simulation
    from secureflow.simulation.training.table import read_owners

    if save is not None and len(jobs) > 1:
        raise typer.BadParameter(t("--save is for one job file."))
    for place in (html, save):
        if place is not None:
            check_writable(place)
    owners = tuple(one for path in dataset or () for one in read_owners(path))
    simulation = Simulation(
        parties, partition, attack, protection, seed, initial=initial, owners=owners, key=key,
        base_model=base_model,
    )  # fmt: skip
    outcomes = _run_all(simulation, jobs, data, output)
    if html is not None:
        from secureflow.simulation.training.page import render

        write_text(html, render(outcomes, "zh" if language() == "zh" else "en"))
        say(t("Written to {path}.", path=html))
    if save is not None:
        write_result(save, outcomes[0].file.to_bytes())
        say(t("Written to {path}.", path=save))
    _show(outcomes, output)
    for one in outcomes:
        for note in one.notes:
            say(f"{one.label}: {said(note)}")


def _run_all(
    simulation: Simulation, jobs: list[Path], data: list[Path] | None, output: Form
) -> list[Outcome]:
    """Run every job; what one of them got wrong takes no figures of those before it away."""
    from secureflow.kit.errors import SecureFlowError
    from secureflow.kit.inputfiles import read_mapping

    for path in jobs[1:]:
        read_mapping(path)  # before any of them runs
    outcomes: list[Outcome] = []
    for path in jobs:
        try:
            outcomes.append(_run(simulation, path, data))
        except SecureFlowError:
            if outcomes:
                _show(outcomes, output)
            raise
    return outcomes


def _run(simulation: Simulation, path: Path, data: list[Path] | None) -> Outcome:
    from secureflow.kit.inputfiles import read_mapping

    job = read_mapping(path)
    say(t("{file}: simulated here, unprotected", file=path.name))
    outcome = simulation.run(job, data, label=path.stem, on_round=_tell, base=path.parent)
    if figures := _figures(outcome.last_metrics, noised=outcome.privacy is not None):
        say(f"{t('the last model')}  {figures}")
        say(t("The figures of a round are of the model that it starts from."))
    if (own := outcome.own_models) is not None:
        say(f"{t('the own models')}  {_figures(own['metrics'])}")
        told = t("Of {parties} {parties:party|parties} {gained} gained by them, and {lost} lost.",
                 parties=own["parties"], gained=own["gained"], lost=own["lost"])  # fmt: skip
        say(told)
    return outcome


def _tell(row: Mapping[str, Any]) -> None:
    told = (f"{t('round')} {row['round']}", _figures(row), f"{row['seconds']:.2f} s")
    say("  ".join(filter(None, told)))


def _figures(row: Mapping[str, Any], *, noised: bool = False) -> str:
    """Return the figures of a model in one line, and whether they carry noise."""
    from secureflow.application.reports.curves import own_figures

    told = [
        f"{t(name)} {row[name]:.4f}"
        for name in (*_SHOWN, *own_figures([row]), "epsilon")
        if isinstance(row.get(name), float)
    ]
    return "  ".join([*told, t("noised")] if told and (noised or "epsilon" in row) else told)


def _show(outcomes: list[Outcome], output: Form) -> None:
    if output is not Form.TABLE:
        show([one.as_json() for one in outcomes], output)
        return
    rows = [
        {
            "name": one.label,
            "parties": len(one.spec.roster),
            "partition": one.partition,
            "attack": one.attack or None,
            "protection": one.spec.protection,
            "rounds": len(one.history),
            "kept_round": one.kept_round,
            **{name: round(value, 4) for name, value in one.metrics.items()},
            "epsilon": one.privacy["epsilon"] if one.privacy else None,
            "digest": one.digest,
        }
        for one in outcomes
    ]
    metrics = dict.fromkeys(name for one in outcomes for name in one.metrics)
    private = ("epsilon",) if any(one.privacy for one in outcomes) else ()
    kept = ("kept_round",) if any(one.kept_round is not None for one in outcomes) else ()
    show(rows, output, (*_COLUMNS, *kept, *metrics, *private, "digest"))
    for one in outcomes:
        if one.worth:
            say(f"{one.label}: {t(_WORTH)}")
            show(one.worth, output, ("party", "score", "interval", "share"))
