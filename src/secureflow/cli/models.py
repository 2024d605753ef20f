"""`secureflow model`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from secureflow.cli.cards import show_card, show_metrics
from secureflow.cli.console import Form, Output, group, say, show, write
from secureflow.cli.evaluation import evaluate
from secureflow.cli.files import check_writable, refuse_existing, write_text
from secureflow.cli.names import named
from secureflow.cli.predicting import predict
from secureflow.cli.prediction import predict_at
from secureflow.cli.session import client
from secureflow.cli.texts import said, t
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.domain.models import Model

app = group("Released models.")

Id = Annotated[str, typer.Argument(help=t("Id or name of the model, or NAME@VERSION."))]
_EXTENSION: Final = ".safetensors"
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Names that are a file's name as they are."""
_COLUMNS = ("id", "name", "version", "family", "job", "created")


@app.command("list", help=t("List models."))
def list_models(
    project: Annotated[str, typer.Option(help=t("Only of this project."))] = "",
    job: Annotated[str, typer.Option(help=t("Only for this job."))] = "",
    output: Output = Form.TABLE,
) -> None:
    """List models."""
    with client() as connection:
        within = named(connection, "project", project) if project else ""
        of = named(connection, "job", job) if job else ""
        show(list(connection.models.list(within, of)), output, _COLUMNS)


@app.command("show", help=t("Show one model."))
def show_model(model: Id, output: Output = Form.TABLE) -> None:
    """Show a model; metrics are shown with their noise."""
    columns = (*_COLUMNS, "parents", "artifact", "digest")
    with client() as connection:
        found = connection.models.get(named(connection, "model", model))
        card = connection.models.card(found.id) if output is Form.TABLE else {}
    show(found, output, columns)
    show_metrics(card)


@app.command("card", help=t("Show a model's card."))
def card(model: Id, output: Output = Form.TABLE) -> None:
    """Show a model card."""
    with client() as connection:
        answer = connection.models.card(named(connection, "model", model))
    if output is Form.TABLE:
        show_card(answer)
    else:
        show(answer, output)


@app.command("lineage", help=t("Show where a model comes from, and what was done with it."))
def lineage(model: Id, output: Output = Form.TABLE) -> None:
    """Show a model's lineage: a line for each relation, from what came first."""
    with client() as connection:
        found = connection.models.lineage(named(connection, "model", model))
    if output is not Form.TABLE:
        show(found, output)
        return
    names = {one.id: one.name for one in found.nodes}
    lines = [
        {"source": one.source, "relation": one.relation, "target": one.target,
         "name": names.get(one.target, "")}
        for one in found.edges
    ]  # fmt: skip
    show(lines, output, ("source", "relation", "target", "name"))
    if found.more:
        say(t("There is more: the graph is cut."))


@app.command("compare", help=t("Show models side by side, and whether their figures compare."))
def compare(
    models: Annotated[
        list[str],
        typer.Argument(help=t("Ids or names of the models, or NAME@VERSION; at least two.")),
    ],
    evaluation: Annotated[
        str,
        typer.Option(metavar="JOB", help=t("Take the figures of this evaluation of all of them.")),
    ] = "",
    output: Output = Form.TABLE,
) -> None:
    """Compare models."""
    with client() as connection:
        keys = [named(connection, "model", one) for one in models]
        by = named(connection, "job", evaluation) if evaluation else ""
        found = connection.models.compare(*keys, evaluation=by)
    if output is not Form.TABLE:
        show(found.as_json(), output)
        return
    for table in (found.facts, found.shown_metrics):
        if len(table):
            show(list(table.told or ()), output, table.columns)
            write("")
    for note in found.notes:
        write(said(note))


@app.command("download", help=t("Write a model's parameters and card, checked by digest."))
def download(
    model: Id,
    path: Annotated[
        Path | None,
        typer.Argument(
            help=t("File or folder to write to. Default: NAME-vVERSION.safetensors here.")
        ),
    ] = None,
    card: Annotated[
        bool, typer.Option("--card", help=t("Write the card beside it too: FILE.card.json."))
    ] = False,
    force: Annotated[bool, typer.Option("--force", help=t("Replace a file that exists."))] = False,
) -> None:
    """Download a model; the card is in the file's metadata, too."""
    with client() as connection:
        found = connection.models.get(named(connection, "model", model))
        target = _target(path, found)
        beside = target.with_name(f"{target.name.removesuffix(_EXTENSION)}.card.json")
        for place in (target, beside) if card else (target,):
            check_writable(place)
            refuse_existing(place, force)
        connection.models.download(found.id, target)
        say(t("Written to {path}.", path=target))
        if card:
            document = connection.models.card(found.id)
            write_text(beside, json.dumps(document, ensure_ascii=False, indent=2) + "\n")
            say(t("Written to {path}.", path=beside))


def _target(path: Path | None, model: Model) -> Path:
    """Return the file to write to; a foreign name is a file's only if it is plain."""
    plain = model.name if _PLAIN.fullmatch(model.name) else model.id
    if not _PLAIN.fullmatch(plain):
        raise SecureFlowError(
            "invalid_answer",
            t("The server's model has neither a plain name nor a plain id."),
            t("Name a file to write to."),
        )
    usual = f"{plain}-v{model.version}{_EXTENSION}"
    if path is None:
        return Path(usual)
    if path.is_dir():
        return path / usual
    return path if path.suffix else path.with_name(path.name + _EXTENSION)


@app.command("upload", help=t("Write a model file's tensors to the centre, to start a job from."))
def upload(
    path: Annotated[Path, typer.Argument(help=t("Model file (safetensors)."))],
    project: Annotated[str, typer.Option(help=t("Id or name of the project."))],
    output: Output = Form.TABLE,
) -> None:
    """Upload weights; the answer is the member `initial` of a job."""
    with client() as connection:
        found = connection.models.upload(path, named(connection, "project", project))
    if output is not Form.TABLE:
        show(found, output)
        return
    shapes = [
        {"name": one.name, "shape": str(list(one.shape)), "dtype": one.dtype}
        for one in found.tensors
    ]
    show(shapes, output)
    write(t("In the job file:"))
    write(f"initial: {{model: {found.initial.model}, layout: {found.initial.layout}}}")


app.command("evaluate", help=t("Measure models on the rows of several owners, a job each time."))(
    evaluate
)
app.command("predict", help=t("Predict rows of a file with a model."))(predict)
app.command(
    "predict-at", help=t("Predict the rows of several owners, who keep the answers, by a job.")
)(predict_at)
