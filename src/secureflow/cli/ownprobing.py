"""`secureflow agent probing`: how many ids others may still test against this agent's data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, group, moment, say, show
from secureflow.cli.texts import listed, t
from secureflow.kit.errors import SecureFlowError

app = group("How many ids others may test against this agent's data.")

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
Domain = Annotated[str, typer.Argument(help=t("Name of the privacy domain."))]
_CONFIG = Path("agent.yaml")
_COLUMNS: Final = ("domain", "limit", "window", "tested", "remaining", "locked")
_LISTS: Final = ("at", "job", "party", "ids", "state")


@app.command("list", help=t("Show each probing limit, and what of it is used."))
def list_limits(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show the limits of every domain that has one."""
    from secureflow.agent import api

    show(api.probing_list(config), output, _COLUMNS)


@app.command("show", help=t("Show the lists that were tested against a privacy domain."))
def show_lists(domain: Domain, config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show a domain's lists, the newest first; JSON has the commitment to each as well."""
    from secureflow.agent import api

    found = api.probing_list(config)
    one = next((row for row in found if row["domain"] == domain), None)
    if one is None:
        raise SecureFlowError(
            "not_found",
            t("No dataset declares a probing limit of {domain}.", domain=domain),
            t("These have one: {names}.", names=listed([row["domain"] for row in found]) or "-"),
        )
    if output is not Form.TABLE:
        show(one, output)
        return
    show([_told(row) for row in reversed(one["lists"])], output, _LISTS)
    say(t("{left} of {limit} ids are left.", left=one["remaining"], limit=one["limit"]))


@app.command(
    "settle", help=t("State what was tested since a restored agent's backup, and unlock the limit.")
)
def settle(
    domain: Domain,
    tested: Annotated[
        int, typer.Option(min=0, help=t("Ids that others tested since the backup; 0 for none."))
    ],
    yes: Yes = False,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Count ids as tested since the backup; only the owner can know how many there were."""
    from secureflow.agent import api

    known = api.probing_settle(config, domain)
    if known["jobs"]:
        say(
            t(
                "Since the backup this agent signed entries about its limits in these jobs: {jobs}",
                jobs=listed(known["jobs"]),
            )
        )
    confirmed(
        t(
            "Were no more than {tested} ids tested against {domain} since the backup? Only you can "
            "know it: no bundle says how long the partners' lists were.",
            tested=tested,
            domain=domain,
        ),
        yes,
    )
    settled = api.probing_settle(config, domain, tested)
    show(settled, output, ("domain", "remaining"))
    say(t("The probing limit of {domain} is unlocked.", domain=domain))


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "at": moment(row["at"]), "party": row["party"] or t("the owner's statement"),
            "job": row["job"] or "-", "state": t(str(row["state"]))}  # fmt: skip
