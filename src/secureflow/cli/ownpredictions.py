"""`secureflow agent prediction`: what models said of an owner's rows, in files of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, group, moment, say, show
from secureflow.cli.exporting import check_target, write_rows
from secureflow.cli.texts import listed, t
from secureflow.kit.errors import SecureFlowError

app = group("What models said of this organisation's rows; the files stay here.")

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
Job = Annotated[str, typer.Argument(help=t("Id of the job."))]
_CONFIG = Path("agent.yaml")
_COLUMNS: Final = ("job", "name", "party", "dataset", "rows", "at", "state")
_LINES: Final = (
    *("job", "name", "purpose", "dataset", "model", "rows", "outputs", "columns", "bytes", "file"),
    *("at", "state", "path"),
)
_RECEIVED: Final = ("party", "bytes", "state", "path")
"""Of files that others handed over."""


@app.command("list", help=t("List the predictions that this agent has made."))
def list_predictions(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """List predictions, the newest first."""
    from secureflow.agent import api

    found = api.prediction_list(config)
    rows = [_told(one) for one in found] if output is Form.TABLE else found
    show(rows, output, _COLUMNS)


@app.command("show", help=t("Show a job's predictions, and compare their file with the log."))
def show_prediction(job: Job, config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show what was predicted for a job; JSON has the leaf, its document and its salt as well."""
    from secureflow.agent import api

    found = api.prediction_show(config, job)
    if output is not Form.TABLE:
        show(found, output)
        return
    if "hash" in found:
        show(_told(found), output, _LINES)
    if received := found.get("received"):
        show([_told(one) for one in received], output, _RECEIVED)
    if unfit := found.get("unfit"):
        say(
            t(
                "Of {count} {count:row|rows} nothing is predicted: a step of the recipe has no "
                "number for them.",
                count=unfit,
            )
        )
    if found.get("state") == "altered":
        say(t("The file is not the one that this agent wrote and committed to."))
    elif found.get("state") == "unknown":
        say(t("This agent was restored without what it committed to: nobody can compare the file."))
    elif found.get("state") == "kept":
        say(t("The file is the one that the log's entry {leaf} commits to.", leaf=found["hash"]))


@app.command("export", help=t("Write a job's predictions as CSV or Parquet."))
def export(
    job: Job,
    path: Annotated[Path, typer.Argument(help=t("File to write, FILE.csv or FILE.parquet."))],
    party: Annotated[
        str, typer.Option(help=t("Of what this party handed over, not of the own rows."))
    ] = "",
    force: Annotated[bool, typer.Option("--force", help=t("Replace a file that exists."))] = False,
    config: Config = _CONFIG,
) -> None:
    """Write a copy of the file, checked against the log's entry, readable by its owner only."""
    from secureflow.agent import api

    check_target(path, force)
    found = api.prediction_show(config, job)
    if party:
        found = _handed_over(job, found["received"], party)
    if found.get("state") != "kept":
        raise SecureFlowError(
            "not_found",
            t("The predictions of {job} are not as this agent wrote them: {state}.",
              job=job, state=t(str(found["state"]))),
            t("Have the rows predicted again: secureflow model predict-at."),
        )  # fmt: skip
    write_rows(Path(found["path"]), path, foreign=bool(party))


@app.command("remove", help=t("Remove the files of a job's predictions."))
def remove(job: Job, yes: Yes = False, config: Config = _CONFIG) -> None:
    """Remove a file; what the log has of it stays."""
    from secureflow.agent import api

    confirmed(t("Remove the predictions of {what}? Its job makes them only once.", what=job), yes)
    api.prediction_remove(config, job)
    say(t("{what} is removed.", what=job))


def _handed_over(job: str, received: list[dict[str, Any]], party: str) -> dict[str, Any]:
    """Return what a party handed over; raise `not_found` with those that did, if it is none."""
    for one in received:
        if one["party"] == party:
            return one
    raise SecureFlowError(
        "not_found",
        t("{party} has handed over no predictions of {job} to this agent.", party=party, job=job),
        t("These have: {names}.", names=", ".join(sorted(one["party"] for one in received)))
        if received
        else t("Only the agent of the organisation that a job delivers to has files of others."),
    )


def _told(one: dict[str, Any]) -> dict[str, Any]:
    return {
        **one,
        "at": moment(one["at"]),
        "state": t(str(one["state"])),
        "outputs": listed(one.get("outputs") or ()),
        "columns": listed(one.get("columns") or ()),
    }
