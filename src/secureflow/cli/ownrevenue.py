"""`secureflow agent revenue` and `agent settlement`: what this organisation decides about money.

Amounts are computed at this agent, from records that it verified; what is signed is entered by its
whole digest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, Yes, ask, confirmed, group, moment, say, show
from secureflow.cli.revenue import terms
from secureflow.cli.texts import listed, t
from secureflow.kit.errors import SecureFlowError

agreements = group("The revenue agreements that this organisation signs.")
settlements = group("Settlements, computed and decided at this agent.")
Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
Project = Annotated[str, typer.Argument(help=t("The project's id."))]
Id = Annotated[str, typer.Argument(help=t("Id of the settlement, whole."))]
Confirm = Annotated[
    str, typer.Option("--digest", help=t("The digest that was read, all 64 characters."))
]
_CONFIG: Final = Path("agent.yaml")
_OWED: Final = ("place", "payer", "payee", "amount")
_LISTED: Final = ("id", "version", "state", "jobs", "approvals", "disputes", "closes")


@agreements.command("show", help=t("Show the pinned revenue agreement, and the one to sign."))
def show_agreement(project: Project, config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show agreements."""
    from secureflow.agent import api

    found: dict[str, Any] = api.revenue_show(config, project)
    if output is not Form.TABLE:
        show(found, output)
        return
    if found["pinned"]:
        say(t("The version that stands:"))
        _version(found["pinned"][-1])
    if found["candidate"] is not None:
        say(t("The version to sign:"))
        _version(found["candidate"])
    elif not found["pinned"]:
        say(t("This project has no revenue agreement: secureflow revenue draft."))


@agreements.command("sign", help=t("Sign the revenue agreement that waits."))
def sign(project: Project, digest: Confirm = "", config: Config = _CONFIG) -> None:
    """Sign an agreement, whose digest is entered after it was read."""
    from secureflow.agent import api

    found: dict[str, Any] = api.revenue_show(config, project)
    if found["candidate"] is not None:
        _version(found["candidate"])
    entered = digest or ask(t("Enter the digest of what you read:"), "--digest")
    api.revenue_sign(config, project, entered)
    say(t("Signed."))


@settlements.command("list", help=t("List a project's settlements as this agent judges them."))
def list_settlements(
    project: Project, config: Config = _CONFIG, output: Output = Form.TABLE
) -> None:
    """List settlements."""
    from secureflow.agent import api

    found: list[dict[str, Any]] = api.settlement_list(config, project)
    if output is Form.TABLE:
        show([_row(one) for one in found], output, _LISTED)
    else:
        show(found, output)


@settlements.command("show", help=t("Compute a settlement from verified records, and show it."))
def show_settlement(settlement: Id, config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show a settlement."""
    from secureflow.agent import api

    found: dict[str, Any] = api.settlement_show(config, settlement)
    if output is Form.TABLE:
        _told(found)
    else:
        show(found, output)


@settlements.command("owed", help=t("Ask this agent's places what a project's payer owes."))
def owed(project: Project, config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show what is owed by places that others keep; an error of one is shown after the others."""
    from secureflow.agent import api

    found: list[dict[str, Any]] = api.anchor_owed(config, project)
    if output is not Form.TABLE:
        show(found, output)
    else:
        rows = [
            {**one, "payee": payee, "amount": _written(amount, one["currency"])}
            for one in found
            for payee, amount in one["owed"].items()
        ]
        show(rows, output, _OWED)
        if not found:
            say(t("agent.yaml names no place that keeps what is settled."))
    for one in found:
        if one["trouble"] is not None:
            raise SecureFlowError.from_json(one["trouble"])


@settlements.command("approve", help=t("Sign the amounts of a settlement."))
def approve(settlement: Id, digest: Confirm = "", config: Config = _CONFIG) -> None:
    """Approve a settlement, whose digest is entered after it was read."""
    from secureflow.agent import api

    _told(api.settlement_show(config, settlement))
    entered = digest or ask(t("Enter the digest of what you read:"), "--digest")
    _said(api.settlement_decide(config, "approve", settlement, confirm=entered))


@settlements.command("dispute", help=t("Sign a dispute; nothing is owed while it is open."))
def dispute(
    settlement: Id,
    reason: Annotated[
        str, typer.Option(help=t("Why; others see a commitment to it, the text stays here."))
    ],
    config: Config = _CONFIG,
) -> None:
    """Dispute a settlement."""
    from secureflow.agent import api

    _said(api.settlement_decide(config, "dispute", settlement, reason=reason))


@settlements.command("withdraw", help=t("Take the own dispute back, for good."))
def withdraw(settlement: Id, yes: Yes = False, config: Config = _CONFIG) -> None:
    """Withdraw a dispute."""
    from secureflow.agent import api

    confirmed(t("Take the dispute back? There is no second one."), yes)
    _said(api.settlement_decide(config, "withdraw", settlement))


@settlements.command("pay", help=t("Sign that a payment was made outside of the platform."))
def pay(
    settlement: Id,
    payee: Annotated[str, typer.Option(help=t("Slug of the member that was paid."))],
    amount: Annotated[int, typer.Option(min=1, help=t("Minor units."))],
    reference: Annotated[
        str, typer.Option(help=t("Its reference; others see a commitment, the text stays here."))
    ],
    yes: Yes = False,
    config: Config = _CONFIG,
) -> None:
    """State a payment."""
    from secureflow.agent import api

    confirmed(
        t("Sign that {amount} minor units were paid to {payee}?", amount=amount, payee=payee), yes
    )
    facts: dict[str, Any] = {"payee": payee, "amount": amount, "reference": reference}
    found: dict[str, Any] = api.settlement_decide(config, "pay", settlement, **facts)
    say(t("Reference of the payment: {reference}",
          reference=found["deed"]["statement"]["reference"]))  # fmt: skip
    _said(found)


@settlements.command("confirm", help=t("Sign that a payment arrived."))
def confirm(
    settlement: Id,
    payer: Annotated[str, typer.Option(help=t("Slug of the member that paid."))],
    reference: Annotated[
        str, typer.Option(help=t("The payment's reference in the settlement, all 64 characters."))
    ],
    config: Config = _CONFIG,
) -> None:
    """Confirm a payment."""
    from secureflow.agent import api

    facts: dict[str, Any] = {"payer": payer, "reference": reference}
    _said(api.settlement_decide(config, "confirm", settlement, **facts))


def _version(one: dict[str, Any]) -> None:
    agreement = one["agreement"]
    signed = {"digest": one["digest"], "signed": listed(one["signed"])}
    show(terms(agreement) | signed, Form.TABLE)


def _row(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": one["id"],
        "version": one["version"],
        "state": t(one["state"]),
        "jobs": len(one["jobs"]),
        "approvals": f"{len(one['approvals'])}/{one['needed']}",
        "disputes": listed(one["disputes"]),
        "closes": moment(one["closes"]),
    }


def _written(amount: int, currency: str) -> str:
    from secureflow.engines.revenue.view import decimals_of, money

    return money(amount, decimals_of(currency), currency)


def _told(found: dict[str, Any]) -> None:
    """Show a settlement that this agent computed."""
    from secureflow.engines.revenue.view import in_steps

    show(
        {
            **_row(found),
            "payer": found["payer"],
            "amount": _written(found["computed"]["amount"], found["currency"]),
            "digest": found["digest"],
        },
        Form.TABLE,
    )
    lines = []
    for booking in found["computed"]["bookings"]:
        for name, share in booking["shares"].items():
            measured = booking["measured"].get(name, {})
            lines.append(
                {
                    "job": booking["job"],
                    "organisation": name,
                    "score": in_steps(measured.get("score")),
                    "rows": measured.get("rows", 0),
                    "steps": measured.get("steps", 0),
                    "share": share,
                    "amount": _written(booking["amounts"][name], found["currency"]),
                }
            )
    show(lines, Form.TABLE, tuple(lines[0]))
    for job, rule in found["computed"]["left_out"].items():
        say(t("{job} does not count: {rule}", job=job, rule=t(rule)))
    for one in found["payments"]:
        say(
            t(
                "Payment {reference}: {amount} to {payee}",
                reference=one["reference"],
                amount=_written(one["amount"], found["currency"]),
                payee=one["payee"],
            )
        )
    for one in found["accusations"]:
        say(t("{party} accuses the centre: {code}", party=one["by"], code=one["code"]))


def _said(found: dict[str, Any]) -> None:
    say(t("Signed; the settlement is now: {state}", state=t(str(found["state"]))))
