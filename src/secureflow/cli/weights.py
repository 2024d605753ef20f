"""`secureflow weights`: what `model upload` sent to projects."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, group, say, show
from secureflow.cli.keeping import kept
from secureflow.cli.names import named
from secureflow.cli.session import client
from secureflow.cli.texts import t

app = group("Uploaded weights, from which jobs start.")

_COLUMNS: Final = ("id", "project", "organisation", "uploader", "size", "created", "expires")


@app.command("list", help=t("List the weights that were uploaded to your projects."))
def list_weights(
    project: Annotated[str, typer.Option(help=t("Only of this project."))] = "",
    output: Output = Form.TABLE,
) -> None:
    """List uploads."""
    with client() as connection:
        within = named(connection, "project", project) if project else ""
        found = list(connection.models.uploads(within))
    show(found if output is not Form.TABLE else list(map(kept, found)), output, _COLUMNS)


@app.command("remove", help=t("Remove uploaded weights that no unfinished job starts from."))
def remove(
    upload: Annotated[str, typer.Argument(help=t("Id of the upload: upl_…."))],
    yes: Yes = False,
) -> None:
    """Remove an upload."""
    confirmed(t("Remove the upload {upload}?", upload=upload), yes)
    with client() as connection:
        connection.models.remove_upload(upload)
    say(t("{what} is removed.", what=upload))
