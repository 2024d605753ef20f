"""`secureflow agent witness` and `agent fraud`: the agent's address for others, and its proofs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from secureflow.cli.console import Form, Output, group, moment, say, show
from secureflow.cli.files import write_text
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

witness = group("What this agent answers others as a witness, and whom it asks.")
fraud = group("Proofs that the log signed two histories, as this agent wrote them.")

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
_CONFIG = Path("agent.yaml")


@witness.command("show", help=t("Show the address for others, gossip, other witnesses, keeper."))
def show_witness(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show how that goes."""
    from secureflow.agent import api

    found = api.witness_show(config)
    if output is not Form.TABLE:
        show(found, output)
        return
    keeper = found["keeper"]
    facts = {
        "address": found["listen"] or "–",
        "logs": found["logs"],
        "not proved": found["waiting"],
        "place": keeper["place"] if keeper else "–",
        "members": keeper["members"] if keeper else 0,
        "entries": keeper["lines"] if keeper else 0,
    }
    show(facts, Form.TABLE)
    partners = [{**one, "at": moment(one["at"]) if one["at"] else "–"} for one in found["gossip"]]
    if partners:
        show(partners, Form.TABLE, ("party", "at", "trouble"))
    others = [{**one, "at": moment(one["at"]) if one["at"] else "–"} for one in found["witnesses"]]
    if others:
        show(others, Form.TABLE, ("name", "size", "at", "trouble"))
    if keeper and keeper["problem"]:
        say(keeper["problem"])


@fraud.command("list", help=t("List them; the agent need not run."))
def list_frauds(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """List proofs of fraud."""
    from secureflow.agent import api

    rows = []
    for one in api.frauds(config):
        made = one["fraud"] if isinstance(one["fraud"], dict) else {}
        rows.append({"path": one["path"], "origin": str(made.get("origin", "?"))})
    if not rows and output is Form.TABLE:
        say(t("There are none: this agent saw one history of the log."))
        return
    show(rows, output, ("origin", "path"))


@fraud.command("export", help=t("Write the first one to a file, to show it to others."))
def export_fraud(
    file: Annotated[Path, typer.Argument(help=t("File to write."))], config: Config = _CONFIG
) -> None:
    """Write a proof that convinces others (secureflow audit fraud verify)."""
    from secureflow.agent import api
    from secureflow.engines.ledger.fraud import verify_fraud

    for one in api.frauds(config):
        made = one["fraud"]
        if made is None or verify_fraud(made, key=str(made["log_key"])).status != "proved":
            continue
        write_text(file, json.dumps(made, ensure_ascii=False) + "\n")
        say(t("Written to {path}.", path=file))
        return
    raise SecureFlowError(
        "not_found",
        t("This agent holds no proof of fraud."),
        t("An alarm without one is in `secureflow agent status` and in the agent's log."),
    )
