"""`secureflow server`: make and run the coordination centre."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from secureflow.cli.console import Form, Output, group, say, show
from secureflow.cli.texts import t

app = group("The coordination centre.")

Config = Annotated[Path, typer.Option(help=t("The process's YAML file."))]
EmptyDatabase = Annotated[
    str,
    typer.Option(
        metavar="URL",
        help=t("URL of an empty PostgreSQL database, without a password; else SQLite."),
    ),
]


@app.command("init", help=t("Make a new centre: CA, log key, first admin, enclave token."))
def init(
    directory: Annotated[Path, typer.Argument(help=t("New directory."))],
    trust_domain: Annotated[str, typer.Option(help=t("SPIFFE trust domain of the consortium."))],
    host: Annotated[
        str, typer.Option(help=t("Name or address by which people and agents reach it."))
    ] = "127.0.0.1",
    rest_port: Annotated[int, typer.Option(min=0, max=65535, help=t("Port of REST."))] = 8443,
    link_port: Annotated[int, typer.Option(min=0, max=65535, help=t("Port of the link."))] = 8444,
    database: EmptyDatabase = "",
    output: Output = Form.TABLE,
) -> None:
    """Make a new centre's directory."""
    from secureflow.server.initialise import initialise

    made = initialise(
        directory,
        trust_domain=trust_domain,
        host=host,
        rest_port=rest_port,
        link_port=link_port,
        database=database,
    )
    show(made, output)
    say(t("Next: secureflow server start --config {path}", path=directory / "server.yaml"))


@app.command("start", help=t("Run the centre until SIGTERM."))
def start(config: Config = Path("server.yaml")) -> None:
    """Run the centre."""
    from secureflow.server.main import run

    raise typer.Exit(run(config))


@app.command("config", help=t("Show the effective settings, secrets masked."))
def show_settings(config: Config = Path("server.yaml"), output: Output = Form.YAML) -> None:
    """Show the effective settings."""
    from secureflow.server.settings import ServerSettings

    show(ServerSettings.load(config).masked(), output)
