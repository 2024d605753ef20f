"""`secureflow agent notification`: what the agent tells its owner, from its own record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, group, moment, say, show
from secureflow.cli.texts import part_of, said, t
from secureflow.kit.errors import SecureFlowError

app = group("What this agent tells its owner, from its own record.")

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
_CONFIG = Path("agent.yaml")
_COLUMNS: Final = ("id", "at", "read", "severity", "text")
_TESTED: Final = ("channel", "to", "problem")
_FAILED: Final = ("id", "channel", "kind", "at", "tries", "code")


@app.command("list", help=t("List the agent's notifications, unread ones first."))
def list_notifications(
    unread: Annotated[bool, typer.Option(help=t("Only those that are unread."))] = False,
    most: Annotated[int, typer.Option(min=1, max=1000, help=t("How many at most."))] = 50,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """List the owner's notifications."""
    from secureflow.agent import api

    found = api.notification_list(config, unread=unread, limit=most)
    show([_row(one) for one in found] if output is Form.TABLE else found, output, _COLUMNS)


@app.command("read", help=t("Mark notifications as read."))
def read(
    notifications: Annotated[
        list[int] | None, typer.Argument(help=t("Ids of notifications."))
    ] = None,
    every: Annotated[bool, typer.Option("--all", help=t("Mark all as read."))] = False,
    config: Config = _CONFIG,
) -> None:
    """Mark notifications as read."""
    from secureflow.agent import api

    if every == bool(notifications):
        raise SecureFlowError(
            "invalid_request",
            "Name notifications or give --all.",
            "secureflow agent notification list",
        )
    count = api.notification_read(config, None if every else notifications)
    say(t("Marked as read: {count}.", count=count))


@app.command("failed", help=t("List the deliveries that were given up on."))
def failed(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """List failed deliveries."""
    from secureflow.agent import api

    show(api.notification_failed(config), output, _FAILED)


@app.command("test", help=t("Send a test to every address and webhook in agent.yaml."))
def send_test(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Send a test to every receiver."""
    from secureflow.agent import api

    results = api.notification_test(config)
    if not results:
        say(t("agent.yaml names no address and no webhook under notifications."))
        return
    show([_outcome(one) for one in results] if output is Form.TABLE else results, output, _TESTED)
    if problem := next((one["problem"] for one in results if one["problem"]), None):
        raise SecureFlowError.from_json(problem)


def _row(one: dict[str, Any]) -> dict[str, Any]:
    text = said(part_of(one, "message"))
    return {**one, "severity": t(str(one["severity"])), "read": moment(one["read"]), "text": text}


def _outcome(one: dict[str, Any]) -> dict[str, Any]:
    problem = one["problem"]
    return {**one, "problem": said(part_of(problem, "message")) if problem else t("delivered")}
