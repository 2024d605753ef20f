"""`secureflow engine`: the engines for computation among parties, at the agent's own machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, group, say, show
from secureflow.cli.texts import said, t
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.agent.owner.engines import OwnEngines

app = group("Engines that compute over the data of several parties, at this agent.")

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
Name = Annotated[str, typer.Argument(help=t("Name of the engine."))]
_CONFIG = Path("agent.yaml")
_COLUMNS = ("name", "version", "state", "python", "megabytes", "title")
_STATES = {"installed": "installed", "outdated": "outdated", "absent": "not installed"}
_PAUSE = 15.0
"""Seconds between two signs that an installation goes on."""


@app.command("list", help=t("List the engines that there are, and whether this agent has them."))
def list_engines(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """List engines."""
    found = _own(config).every()
    if output is not Form.TABLE:
        show(found, output)
        return
    rows = [
        {**asdict(one), "state": t(_STATES[one.state]), "title": said(one.title)} for one in found
    ]
    show(rows, output, _COLUMNS)
    absent = [one.name for one in found if one.state != "installed"]
    if absent:
        say(t("To install one: secureflow engine install {name}", name=absent[0]))


@app.command("install", help=t("Install an engine from the lock that this version carries."))
def install(
    name: Name,
    python: Annotated[
        Path | None,
        typer.Option(help=t("Interpreter of a version that the engine runs under.")),
    ] = None,
    index: Annotated[str, typer.Option(help=t("URL of the package index to install from."))] = "",
    find_links: Annotated[
        Path | None, typer.Option(metavar="DIR", help=t("Folder of wheels; no index is asked."))
    ] = None,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Install an engine; a running agent finds it with its next job."""
    from secureflow.agent.owner.venvs import Source

    if index and find_links:
        raise SecureFlowError(
            "invalid_request",
            t("Name an index or a folder of wheels, not both."),
            t("Leave one of --index and --find-links out."),
        )
    own = _own(config)
    make = own.make(name)
    fetched, kept = make.megabytes
    say(
        t(
            "Installing {name} {version}: about {fetched} MB to fetch and {kept} MB on the disk; "
            "from a near index that takes about {seconds} s.",
            name=name,
            version=make.version,
            fetched=fetched,
            kept=kept,
            seconds=make.seconds,
        )
    )
    folder = None if find_links is None else find_links.resolve()
    began = time.monotonic()
    with _going_on(began):
        made = own.install(
            name, None if python is None else python.absolute(), Source(index, folder)
        )
    if made is None:
        say(t("{what} is installed already, and as it was installed.", what=name))
    else:
        say(t("Installed in {seconds} s.", seconds=round(time.monotonic() - began)))
    show(next(one for one in own.every() if one.name == name), output, _COLUMNS)


@app.command("remove", help=t("Remove an engine from this agent."))
def remove(name: Name, yes: Yes = False, config: Config = _CONFIG) -> None:
    """Remove an engine and its files."""
    own = _own(config)
    own.make(name)
    confirmed(t("Remove {what}? Jobs that run in it fail.", what=name), yes)
    own.remove(name)
    say(t("{what} is removed.", what=name))


@app.command("doctor", help=t("Check that each installed engine starts, and is as installed."))
def doctor(
    name: Annotated[str, typer.Argument(help=t("Name of the engine. Default: all."))] = "",
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Check engines; the exit code is that of the first failed check."""
    from secureflow.agent.edge.enginedoctor import examine
    from secureflow.agent.settings import AgentSettings
    from secureflow.cli.doctor import report

    report(examine(AgentSettings.load(config), name), output)


def _own(config: Path) -> OwnEngines:
    from secureflow.agent.owner.engines import OwnEngines
    from secureflow.agent.settings import AgentSettings

    return OwnEngines(AgentSettings.load(config).directory)


@contextmanager
def _going_on(began: float) -> Iterator[None]:
    """Say from time to time that the work goes on."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(_PAUSE):
            say(t("Still at it: {seconds} s so far.", seconds=round(time.monotonic() - began)))

    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    try:
        yield
    finally:
        over.set()
        telling.join()
