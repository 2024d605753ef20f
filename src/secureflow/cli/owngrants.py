"""`secureflow agent grant`: what this organisation allows at its own agent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, group, moment, say, show
from secureflow.cli.ownstops import say_stopped
from secureflow.cli.texts import t

app = group("What this organisation allows at its own agent.")

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
GrantId = Annotated[str, typer.Argument(help=t("The grant's id, whole."))]
Reason = Annotated[str, typer.Option(help=t("Why; it stays in the agent's record."))]
Several = list[str] | None
TermsFile = Annotated[
    Path | None, typer.Option("--file", help=t("YAML file with the grant's terms."))
]
Columns = Annotated[Several, typer.Option(help=t("A column that may be used; may be repeated."))]
Purposes = Annotated[
    Several, typer.Option(help=t("An allowed purpose, word for word. Default: any."))
]
Kinds = Annotated[Several, typer.Option(help=t("An allowed kind of job. Default: any."))]
Parties = Annotated[
    Several,
    typer.Option(help=t("Whom a job may include: an organisation, or its key's fingerprint.")),
]
Protections = Annotated[Several, typer.Option(help=t("An allowed protection. Default: any."))]
Group = Annotated[
    int, typer.Option(help=t("The fewest parties whose sum is opened. Default: any."))
]
Code = Annotated[
    Several,
    typer.Option(help=t("Code that a job may bring: its digest, none, or person. Default: none.")),
]
Rows = Annotated[
    int,
    typer.Option(
        min=0,
        help=t(
            "Held-out rows that a job may have sealed to an enclave, to score what updates were "
            "worth. Default: none leave."
        ),
    ),
]
Simulated = Annotated[
    bool, typer.Option(help=t("These rows may go to a SIMULATED enclave, which hides nothing."))
]
Trees = Annotated[
    int,
    typer.Option(
        min=0,
        help=t(
            "Trees grown on this owner's rows alone that a job may release as they are. Default: "
            "none."
        ),
    ),
]
Automatic = Annotated[bool, typer.Option(help=t("A job that fits needs no policy and no person."))]
_CONFIG = Path("agent.yaml")
_COLUMNS: Final = ("id", "state", "dataset", "project", "columns", "uses", "epsilon", "expires")


@app.command("list", help=t("List grants, and what the centre proposes."))
def list_grants(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show every grant, with what is used of it."""
    from secureflow.agent import api

    found = api.grant_list(config)
    if output is not Form.TABLE:
        show(found, output)
        return
    show([_row(one) for one in found], output, _COLUMNS)
    if any(one["state"] == "proposed" for one in found):
        say(t("A proposal allows nothing here: secureflow agent grant confirm GRANT."))


@app.command("show", help=t("Show a grant, and the jobs that were approved under it."))
def show_grant(grant: GrantId, config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show one grant."""
    from secureflow.agent import api

    found = api.grant_show(config, grant)
    if output is not Form.TABLE:
        show(found, output)
        return
    show({**_row(found), **_terms(found["terms"])}, output)
    for one in found.get("jobs", ()):
        say(t("{moment}: {job}", moment=moment(one["at"]), job=one["job"]))


@app.command("create", help=t("Make a grant, from options or from a YAML file."))
def create(
    file: TermsFile = None,
    dataset: Annotated[str, typer.Option(help=t("The dataset's name in agent.yaml."))] = "",
    project: Annotated[str, typer.Option(help=t("The project's id."))] = "",
    column: Columns = None,
    purpose: Purposes = None,
    kind: Kinds = None,
    party: Parties = None,
    protection: Protections = None,
    epsilon: Annotated[float, typer.Option(help=t("ε of all jobs together. Default: any."))] = 0.0,
    epsilon_per_job: Annotated[float, typer.Option(help=t("ε of one job. Default: any."))] = 0.0,
    min_group: Group = 0,
    bundle: Code = None,
    uses: Annotated[int, typer.Option(help=t("How many jobs may be approved. Default: any."))] = 0,
    days: Annotated[int, typer.Option(min=1, help=t("Days until it expires."))] = 90,
    validation_rows: Rows = 0,
    validation_simulated: Simulated = False,
    own_trees: Trees = 0,
    automatic: Automatic = False,
    yes: Yes = False,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Sign a grant at this agent; the centre is told of it."""
    from secureflow.agent import api

    given = {
        "dataset": dataset, "project": project, "columns": column, "purposes": purpose,
        "kinds": kind, "parties": party, "protections": protection, "epsilon": epsilon,
        "epsilon_per_job": epsilon_per_job, "min_group": min_group, "bundles": _code(bundle),
        "uses": uses, "automatic": automatic,
        "validation": _rows(validation_rows, validation_simulated), "own_trees": own_trees,
    }  # fmt: skip
    terms = {**_read(file), **{name: value for name, value in given.items() if value}}
    terms.setdefault("expires", _in_days(days))
    show(_terms(terms), Form.TABLE)
    confirmed(t("Grant this?"), yes)
    _made(api.grant_create(config, terms), output)


@app.command("confirm", help=t("Confirm a grant that was made at the centre."))
def confirm(
    grant: GrantId, yes: Yes = False, config: Config = _CONFIG, output: Output = Form.TABLE
) -> None:
    """Sign a proposal's terms, as they are shown here."""
    from secureflow.agent import api

    found = api.grant_show(config, grant)
    if found["state"] == "proposed":  # the agent says why another one cannot be confirmed
        show(_terms(found["terms"]), Form.TABLE)
        confirmed(t("Grant this?"), yes)
    _made(api.grant_confirm(config, grant, found["terms"]), output)


@app.command("revoke", help=t("Revoke a grant, and stop every job under it at once."))
def revoke(
    grant: GrantId,
    reason: Reason = "",
    yes: Yes = False,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Take a grant back; the agent needs no link for it."""
    from secureflow.agent import api

    confirmed(t("Revoke {grant} and stop its jobs?", grant=grant), yes)
    found = api.grant_revoke(config, grant, reason)
    if output is not Form.TABLE:
        show(found, output)
        return
    say(t("The grant {grant} is revoked.", grant=grant))
    say_stopped(found["stopped"])


@app.command("unlock", help=t("Confirm a restored agent's grant again, with what was used of it."))
def unlock(
    grant: GrantId,
    uses: Annotated[int, typer.Option(min=0, help=t("Jobs approved since the backup."))],
    epsilon: Annotated[float, typer.Option(min=0, help=t("ε spent of it since the backup."))] = 0.0,
    yes: Yes = False,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Only the owner can know what was used, and whether it was revoked, since the backup."""
    from secureflow.agent import api

    confirmed(
        t(
            "Were no more than {uses} {uses:job|jobs} approved under {grant} since the backup, and "
            "was it not revoked?",
            uses=uses,
            grant=grant,
        ),
        yes,
    )
    _made(api.grant_unlock(config, grant, uses, epsilon), output)


def _made(found: dict[str, Any], output: Form) -> None:
    if output is not Form.TABLE:
        show(found, output)
        return
    show(_row(found), output, _COLUMNS)


def _row(one: dict[str, Any]) -> dict[str, Any]:
    terms, used = one["terms"], one.get("used", {})
    return {
        "id": one["id"],
        "state": {"revoked": t("taken back"), "proposed": t("to be confirmed")}.get(
            one["state"], one["state"]
        ),
        "dataset": terms["dataset"],
        "project": terms["project"],
        "columns": len(terms["columns"]),
        "uses": _of(used.get("uses"), terms.get("uses")),
        "epsilon": _of(used.get("epsilon"), terms.get("epsilon")),
        "expires": moment(terms["expires"]),
    }


def _of(used: float | None, most: float | None) -> str:
    return f"{used or 0:g} / {'-' if most is None else f'{most:g}'}"


def _terms(terms: dict[str, Any]) -> dict[str, Any]:
    """Return terms for people: what they leave open says so."""
    shown = {
        name: value or t("any")
        for name, value in terms.items()
        if name not in {"automatic", "expires", "bundles", "validation", "own_trees"}
    }
    return {
        **shown,
        "bundles": terms.get("bundles", "none"),
        "validation_rows": _leaving(terms),
        "own_trees": terms.get("own_trees") or t("none"),
        "automatic": t("yes") if terms.get("automatic") else t("no"),
        "expires": moment(int(terms["expires"])),
    }


def _code(bundles: list[str] | None) -> list[str] | str | None:
    if bundles is not None and len(bundles) == 1 and bundles[0] in {"none", "person"}:
        return bundles[0]
    return bundles


def _rows(most: int, simulated: bool) -> dict[str, Any] | None:
    return {"rows": most, "simulated": simulated} if most else None


def _leaving(terms: dict[str, Any]) -> str:
    """Return which rows may leave, for people."""
    allowed = terms.get("validation")
    if not allowed:
        return t("none")
    if allowed.get("simulated"):
        return t("{rows}, also to a SIMULATED enclave", rows=allowed["rows"])
    return str(allowed["rows"])


def _read(file: Path | None) -> dict[str, Any]:
    from secureflow.kit.inputfiles import read_mapping

    return {} if file is None else dict(read_mapping(file))


def _in_days(days: int) -> int:
    from secureflow.kit.clock import system_clock

    return system_clock() + days * 86_400
