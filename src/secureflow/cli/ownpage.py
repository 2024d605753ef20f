"""`secureflow agent console`: serve the owner's page, in a process of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureflow.cli.console import say
from secureflow.cli.texts import t

if TYPE_CHECKING:
    from secureflow.agent.consolesettings import ConsoleSettings

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
_CONFIG = Path("agent.yaml")


def serve(
    config: Config = _CONFIG,
    listen: Annotated[
        str | None, typer.Option(metavar="ADDRESS:PORT", help=t("Where the page is served."))
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=t("A name under which it answers, too.")),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help=t("Its certificate with the chain, as PEM."))
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help=t("The certificate's key, as PEM."))] = None,
) -> None:
    """Serve the page until SIGTERM."""
    from secureflow.agent.api import socket_of
    from secureflow.agent.console.serving import run
    from secureflow.agent.consolesettings import console_settings

    given = {
        "listen": listen,
        "allowed_hosts": tuple(allow_host) if allow_host else None,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
    }
    read = _read(config)
    values = {name: getattr(read, name) for name in type(read).model_fields}
    values |= {name: one for name, one in given.items() if one is not None}

    def ready(address: str) -> None:
        say(t("The owner's page: {address}", address=address))

    run(console_settings(values), socket_of(config), ready)


def _read(config: Path) -> ConsoleSettings:
    """Return the settings: of agent.yaml, or, for whom the socket is named, of the environment."""
    from secureflow.agent.consolesettings import outside_settings
    from secureflow.agent.settings import AgentSettings

    if os.environ.get("SECUREFLOW_AGENT_SOCKET"):
        return outside_settings()
    return AgentSettings.load(config).console
