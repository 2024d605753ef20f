"""`secureflow agent model`: models of this organisation alone, in files of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, group, moment, say, show
from secureflow.cli.files import copy_private, refuse_existing
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

app = group("Models of this organisation alone, which trainings ended with; the files stay here.")

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
Job = Annotated[str, typer.Argument(help=t("Id of the job."))]
_CONFIG = Path("agent.yaml")
_COLUMNS: Final = ("job", "name", "family", "gained", "at", "state")
_LINES: Final = (
    *("job", "name", "purpose", "family", "digest", "shared_model", "gained", "bytes", "at"),
    *("state", "path"),
)


@app.command("list", help=t("List the models that this agent keeps for its organisation alone."))
def list_models(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """List own models, the newest first."""
    from secureflow.agent import api

    found = api.model_list(config)
    rows = [_told(one) for one in found] if output is Form.TABLE else found
    show(rows, output, _COLUMNS)


@app.command("show", help=t("Show an own model, and how the shared one does on the same rows."))
def show_model(job: Job, config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show a model: its figures on this organisation's held-out rows beside the shared one's."""
    from secureflow.agent import api

    found = api.model_show(config, job)
    if output is not Form.TABLE:
        show(found, output)
        return
    show(_told(found), output, _LINES)
    shared, own = found["shared_metrics"], found["metrics"]
    rows = [
        {"figure": t(name), "shared_model": shared.get(name), "own": value}
        for name, value in own.items()
    ]
    if rows:
        show(rows, output, ("figure", "shared_model", "own"))


@app.command("export", help=t("Write an own model to a file, as `model download` does."))
def export(
    job: Job,
    path: Annotated[Path, typer.Argument(help=t("File to write, FILE.safetensors."))],
    force: Annotated[bool, typer.Option("--force", help=t("Replace a file that exists."))] = False,
    config: Config = _CONFIG,
) -> None:
    """Write a copy, readable by its owner only; `model predict` predicts with it."""
    from secureflow.agent import api

    refuse_existing(path, force)
    found = api.model_show(config, job)
    if found.get("state") != "kept":
        raise SecureFlowError(
            "not_found",
            t("The own model of {job} is not as this agent wrote it.", job=job),
            t("Put the file back from a backup of yours: {path}", path=str(found["path"])),
        )
    copy_private(Path(found["path"]), path)
    say(t("Predict with it: secureflow model predict {path} ROWS.csv", path=str(path)))


@app.command("remove", help=t("Remove an own model."))
def remove(job: Job, yes: Yes = False, config: Config = _CONFIG) -> None:
    """Remove a file; no job makes it again."""
    from secureflow.agent import api

    confirmed(t("Remove the own model of {what}? No job makes it again.", what=job), yes)
    api.model_remove(config, job)
    say(t("{what} is removed.", what=job))


def _told(one: dict[str, Any]) -> dict[str, Any]:
    gained = one.get("gained")
    return {
        **one,
        "at": moment(one["at"]),
        "state": t(str(one["state"])),
        "gained": None if gained is None else t("yes") if gained else t("no"),
    }
