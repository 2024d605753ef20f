"""`secureflow agent job`, `project`, `requester`: what this organisation stops at its agent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, group, moment, say, show
from secureflow.cli.texts import language, part_of, said, t

jobs = group("Jobs that this organisation approved.")
projects = group("Projects that this agent takes no part in.")
requesters = group("People whose jobs this agent takes no part in.")

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
Reason = Annotated[str, typer.Option(help=t("Why; it stays in the agent's record."))]
_CONFIG = Path("agent.yaml")
_STOPS: Final = ("name", "by", "at", "reason")


@jobs.command("withdraw", help=t("Withdraw the approval of a job: it ends here at once."))
def withdraw(
    job: Annotated[str, typer.Argument(help=t("The job's id: of a timetable, or of one run."))],
    reason: Reason = "",
    yes: Yes = False,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Take back the approval of one job and what it starts, whatever the centre says."""
    from secureflow.agent import api

    confirmed(t("Withdraw the approval of {what}, and of the jobs that it starts?", what=job), yes)
    _stopped(api.job_withdraw(config, job, reason), job, output)


@projects.command("freeze", help=t("Stop a project at this agent: its jobs end at once."))
def freeze(
    project: Annotated[str, typer.Argument(help=t("The project's id."))],
    reason: Reason = "",
    yes: Yes = False,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Stop a project here, whatever the centre says."""
    from secureflow.agent import api

    confirmed(t("Stop {what} at this agent, and its jobs?", what=project), yes)
    _stopped(api.project_freeze(config, project, reason), project, output)


@projects.command("unfreeze", help=t("Take part in a project again."))
def unfreeze(
    project: Annotated[str, typer.Argument(help=t("The project's id."))], config: Config = _CONFIG
) -> None:
    """Lift the stop; jobs that it ended stay ended."""
    from secureflow.agent import api

    api.project_unfreeze(config, project)
    say(t("{what} is no longer stopped here.", what=project))


@projects.command("list", help=t("List the projects that are stopped here."))
def frozen(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show the stopped projects."""
    _list_stops("project", config, output)


@requesters.command("block", help=t("Take part in no job of somebody: their jobs end at once."))
def block(
    user: Annotated[str, typer.Argument(help=t("The submitter, as the centre names them."))],
    reason: Reason = "",
    yes: Yes = False,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Block a submitter; the name is the centre's word."""
    from secureflow.agent import api

    confirmed(t("Stop {what} at this agent, and its jobs?", what=user), yes)
    _stopped(api.requester_block(config, user, reason), user, output)


@requesters.command("unblock", help=t("Answer somebody's requests again."))
def unblock(
    user: Annotated[str, typer.Argument(help=t("The submitter, as the centre names them."))],
    config: Config = _CONFIG,
) -> None:
    """Lift the block."""
    from secureflow.agent import api

    api.requester_unblock(config, user)
    say(t("{what} is no longer stopped here.", what=user))


@requesters.command("list", help=t("List the people whose jobs are refused here."))
def blocked(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show the blocked submitters."""
    _list_stops("requester", config, output)


def _list_stops(kind: str, config: Path, output: Form) -> None:
    from secureflow.agent import api

    found = [one for one in api.stop_list(config) if one["kind"] == kind]
    if output is Form.TABLE:
        found = [one | {"at": moment(one["at"])} for one in found]
    show(found, output, _STOPS)


def _stopped(found: dict[str, Any], what: str, output: Form) -> None:
    if output is not Form.TABLE:
        show(found, output)
        return
    say(t("{what} is stopped here.", what=what))
    say_stopped(found["stopped"])


def say_stopped(stopped: list[dict[str, Any]]) -> None:
    """Name the jobs that were stopped, and what of each cannot be taken back."""
    for one in stopped:
        each = one.get("sentences") or [{"said": line} for line in one["told"]]
        sentences = [said(part_of(line, "said")) for line in each]
        told = ("" if language() == "zh" else " ").join(sentences)
        say(t("Job {job} was stopped. {told}", job=one["job"], told=told))
