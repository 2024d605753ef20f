"""`secureflow agent bundle` and `agent environment`: what code this owner lets run, and in what."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, group, say, show, write
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.agent.owner.environments import Environment, Environments

bundles = group("Code that this owner approved.")
environments = group("Python environments that code may run in.")

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
Name = Annotated[str, typer.Argument(help=t("Name of the environment."))]
_CONFIG = Path("agent.yaml")
_JOB = re.compile(r"job_[0-9a-z]{8,40}")
_BUNDLE = ("digest", "entry", "name", "submitter", "job", "approved")


@bundles.command("list", help=t("List the code bundles that were approved here."))
def list_bundles(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """List approved bundles, the last one first."""
    from secureflow.agent import api
    from secureflow.cli.bundle_review import approved

    found = api.bundle_list(config)
    if output is not Form.TABLE:
        show(found, output)
        return
    show([approved(one) for one in found], output, _BUNDLE)


@bundles.command("log", help=t("Show what the code of a job has printed here."))
def show_log(
    job: Annotated[str, typer.Argument(help=t("Id of the job."))], config: Config = _CONFIG
) -> None:
    """Show a job's log, with everything hidden made visible: code wrote it."""
    from secureflow.agent.compute.code_logs import FOLDER
    from secureflow.agent.settings import AgentSettings
    from secureflow.kit.plain import shown

    folder = AgentSettings.load(config).directory / FOLDER
    if not _JOB.fullmatch(job) or not (folder / f"{job}.log").is_file():
        raise SecureFlowError(
            "not_found",
            t("No code of a job with the id {job} has run here.", job=job[:80]),
            t("Give the job's id, not its name: secureflow agent bundle list shows what ran here."),
        )
    lines = (folder / f"{job}.log").read_text(errors="replace").splitlines()
    for line in lines:
        write(shown(line))
    if not lines:
        say(t("Nothing to show."))


@environments.command("add", help=t("Make an environment from a lock of wheels and hashes."))
def add_environment(
    name: Name,
    requirements: Annotated[
        Path, typer.Option(metavar="LOCK", help=t("Requirements file: every package with hashes."))
    ],
    python: Annotated[
        Path | None, typer.Option(help=t("Interpreter. Default: the one that runs this."))
    ] = None,
    index: Annotated[str, typer.Option(help=t("URL of the package index to install from."))] = "",
    find_links: Annotated[
        Path | None, typer.Option(metavar="DIR", help=t("Folder of wheels; no index is asked."))
    ] = None,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Make an environment; a running agent goes on."""
    from secureflow.agent.owner.venvs import Source
    from secureflow.kit.inputfiles import read_bytes

    if index and find_links:
        raise SecureFlowError(
            "invalid_request",
            t("Name an index or a folder of wheels, not both."),
            t("Leave one of --index and --find-links out."),
        )
    if find_links is not None and not find_links.is_dir():
        raise SecureFlowError(
            "invalid_file",
            t("{path} is no folder.", path=find_links),
            t("Name the folder that has the wheels, or an index: --index."),
        )
    lock = read_bytes(requirements)
    folder = None if find_links is None else find_links.resolve()
    interpreter = Path(sys.executable) if python is None else python.absolute()
    made = _environments(config).add(name, interpreter, lock, Source(index, folder))
    _show(made, output)
    say(t("Jobs name it by its digest: {digest}", digest=made.digest))


@environments.command("list", help=t("List the environments of this agent."))
def list_environments(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """List environments."""
    own = _environments(config)
    found = own.every()
    for broken in sorted(set(own.names()) - {one.name for one in found}):
        say(t("{what} is broken: its description cannot be read.", what=broken))
    if output is not Form.TABLE:
        show(found, output)
        return
    rows = [{**asdict(one), "packages": len(one.packages)} for one in found]
    show(rows, output, ("name", "digest", "python", "packages", "created"))


@environments.command(
    "verify", help=t("Compare every file of environments with what was installed.")
)
def verify_environment(
    name: Annotated[str, typer.Argument(help=t("Name of the environment. Default: all."))] = "",
    config: Config = _CONFIG,
) -> None:
    """Compare every file; the first broken environment is the error."""
    own = _environments(config)
    for one in [name] if name else own.names():
        own.verify(one)
        say(t("{what} is as it was installed.", what=one))


@environments.command("remove", help=t("Remove an environment."))
def remove_environment(name: Name, yes: Yes = False, config: Config = _CONFIG) -> None:
    """Remove an environment and its files."""
    own = _environments(config)
    confirmed(t("Remove {what}? Jobs that run in it fail.", what=name), yes)
    own.remove(name)
    say(t("{what} is removed.", what=name))


def _environments(config: Path) -> Environments:
    from secureflow.agent.owner.environments import Environments
    from secureflow.agent.settings import AgentSettings

    return Environments(AgentSettings.load(config).directory)


def _show(made: Environment, output: Form) -> None:
    if output is not Form.TABLE:
        show(made, output)
        return
    listed = "\n".join(f"{name} {version}" for name, version in made.packages)
    show({**asdict(made), "packages": listed}, output, ("name", "digest", "python", "packages"))
