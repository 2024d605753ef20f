"""`secureflow model`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureflow.cli.cards import show_card, show_metrics
from secureflow.cli.console import Form, Output, group, say, show, write
from secureflow.cli.evaluation import evaluate
from secureflow.cli.names import named
from secureflow.cli.predictrows import read_rows
from secureflow.cli.session import client
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.sdk.prediction import Predictor

app = group("Released models.")

Id = Annotated[str, typer.Argument(help=t("Id or name of the model, or NAME@VERSION."))]
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


@app.command("download", help=t("Write a model's parameters and card, checked by digest."))
def download(
    model: Id,
    path: Annotated[Path, typer.Argument(help=t("File to write (safetensors)."))],
) -> None:
    """Download a model."""
    with client() as connection:
        connection.models.download(named(connection, "model", model), path)
    say(t("Written to {path}.", path=path))


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


@app.command("predict", help=t("Predict rows of a file with a downloaded model."))
def predict(
    model: Annotated[Path, typer.Argument(help=t("Model file, as `model download` wrote it."))],
    rows: Annotated[Path, typer.Argument(help=t("CSV file with a header line, or Parquet file."))],
    output: Output = Form.TABLE,
) -> None:
    """Predict without any server: a probability, a class and its probability, or a number."""
    from secureflow.sdk.prediction import Predictor

    if not model.is_file():
        raise SecureFlowError(
            "invalid_file",
            t("There is no file {path}.", path=model),
            t("Download the model first: secureflow model download MODEL FILE."),
        )
    loaded = Predictor.load(model)
    show(list(_answers(loaded, read_rows(rows, loaded.features))), output)


def _answers(loaded: Predictor, records: Any) -> Iterator[dict[str, Any]]:
    """Yield a line for each row."""
    from secureflow.domain.specs.training import ClassesLabel, Label  # `--help` needs no spec

    label = loaded.features.label
    if isinstance(label, Label) and loaded.has_chances:
        name = f"P({label.column}={label.positive})"
        for number, chance in enumerate(loaded.predict_proba(records)[:, 1], 1):
            yield {
                "row": number,
                name: round(float(chance), 6),
                "predicted": bool(chance > 0.5),
            }
        return
    found = loaded.predict(records)
    if isinstance(label, ClassesLabel) and not loaded.has_chances:
        for number, value in enumerate(found, 1):
            yield {"row": number, "predicted": value}
        return
    if not isinstance(label, ClassesLabel):
        for number, value in enumerate(found, 1):
            yield {"row": number, "predicted": float(f"{value:.6g}")}
        return
    chances = loaded.predict_proba(records).max(axis=1)
    for number, (value, chance) in enumerate(zip(found, chances, strict=True), 1):
        yield {"row": number, "predicted": value, "P": round(float(chance), 6)}
