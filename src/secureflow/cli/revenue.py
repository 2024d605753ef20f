"""`secureflow revenue` and `secureflow settlement`: agreements and settlements at the centre.

What counts is signed at the members' agents: `secureflow agent revenue`, `agent settlement`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, group, moment, say, show
from secureflow.cli.files import check_writable, write_data, write_text
from secureflow.cli.names import named
from secureflow.cli.session import client
from secureflow.cli.texts import language, listed, t

if TYPE_CHECKING:
    from secureflow.engines.revenue.view import SettlementView
    from secureflow.sdk.settlements import AgreementVersion

agreements = group("How a project's revenue is shared, by an agreement that its members sign.")
settlements = group("What jobs earned: proposed, approved and paid by the agreement.")
Project = Annotated[str, typer.Argument(help=t("Id or name of the project."))]
Id = Annotated[str, typer.Argument(help=t("Id of the settlement, whole."))]
Jobs = Annotated[
    list[str] | None,
    typer.Option(
        "--job",
        help=t("Id of a job; may be repeated. Default: all that succeeded and wait for one."),
    ),
]
Amount = Annotated[
    int, typer.Option(min=0, help=t("Minor units beside what the agreement fixes for each job."))
]
Replaces = Annotated[
    str, typer.Option(help=t("Id of the settlement in whose place this one comes."))
]
_LISTED: Final = ("id", "version", "state", "jobs", "amount", "approvals", "opened")
_LINES: Final = ("job", "organisation", "score", "rows", "steps", "formula", "amount")


@agreements.command("show", help=t("Show a project's revenue agreement, and who must sign it."))
def show_agreement(project: Project, output: Output = Form.TABLE) -> None:
    """Show the agreement."""
    with client() as connection:
        found = connection.settlements.agreement(named(connection, "project", project))
    if output is not Form.TABLE:
        show(found, output)
        return
    for title, one in (("stands", found.current), ("waits", found.candidate)):
        if one is not None:
            say(t("The version that stands:") if title == "stands" else t("The version to sign:"))
            show(terms(one.agreement) | _signatures(one), output)
    if found.current is None and found.candidate is None:
        say(t("This project has no revenue agreement: secureflow revenue draft."))


@agreements.command("draft", help=t("Draft the next version of a project's revenue agreement."))
def draft(
    project: Project,
    file: Annotated[Path, typer.Option(help=t("YAML file with the terms (docs/revenue.md)."))],
    output: Output = Form.TABLE,
) -> None:
    """Draft the next version."""
    from secureflow.kit.inputfiles import read_mapping

    wanted = dict(read_mapping(file))
    with client() as connection:
        key = named(connection, "project", project)
        found = connection.settlements.draft(key, wanted)
    if output is not Form.TABLE:
        show(found, output)
        return
    if found.candidate is not None:
        show(terms(found.candidate.agreement) | _signatures(found.candidate), output)
    say(t("Each member now reads it and signs: secureflow agent revenue sign PROJECT."))


@settlements.command("list", help=t("List a project's settlements."))
def list_settlements(project: Project, output: Output = Form.TABLE) -> None:
    """List settlements."""
    with client() as connection:
        found = connection.settlements.list(named(connection, "project", project)).items
    if output is Form.TABLE:
        show([_row(one) for one in found], output, _LISTED)
    else:
        show(list(found), output)


@settlements.command("show", help=t("Show a settlement: figures, approvals, disputes, payments."))
def show_settlement(settlement: Id, output: Output = Form.TABLE) -> None:
    """Show a settlement."""
    with client() as connection:
        told(connection.settlements.get(settlement), output)


@settlements.command("preview", help=t("Show what a settlement would be; nothing is stored."))
def preview(
    project: Project,
    job: Jobs = None,
    amount: Amount = 0,
    replaces: Replaces = "",
    output: Output = Form.TABLE,
) -> None:
    """Preview a settlement."""
    with client() as connection:
        key = named(connection, "project", project)
        told(connection.settlements.preview(key, job or (), amount, replaces), output)


@settlements.command("open", help=t("Propose a settlement to the members."))
def open_settlement(
    project: Project,
    job: Jobs = None,
    amount: Amount = 0,
    replaces: Replaces = "",
    yes: Yes = False,
    output: Output = Form.TABLE,
) -> None:
    """Open a settlement."""
    with client() as connection:
        key = named(connection, "project", project)
        told(connection.settlements.preview(key, job or (), amount, replaces), Form.TABLE)
        confirmed(t("Propose this to the members?"), yes)
        found = connection.settlements.open(key, job or (), amount, replaces)
    if output is Form.TABLE:
        say(t("Opened: {settlement}", settlement=found.id))
        say(t("Each member now checks it: secureflow agent settlement show SETTLEMENT."))
    else:
        show(found, output)


@settlements.command("close", help=t("Close a settlement whose dispute window is over."))
def close(settlement: Id, output: Output = Form.TABLE) -> None:
    """Close a settlement."""
    with client() as connection:
        told(connection.settlements.close(settlement), output)


@settlements.command("statement", help=t("Write an organisation's statement as files."))
def statement(
    settlement: Id,
    organisation: Annotated[str, typer.Option("--org", help=t("Slug of the organisation."))] = "",
    html: Annotated[Path | None, typer.Option(help=t("Write the page to this file."))] = None,
    pdf: Annotated[Path | None, typer.Option(help=t("Write the PDF to this file."))] = None,
    table: Annotated[
        Path | None, typer.Option("--csv", help=t("Write the table (CSV) to this file."))
    ] = None,
) -> None:
    """Write a statement; without a file the table is shown."""
    for path in filter(None, (html, pdf, table)):
        check_writable(path)
    lang: Literal["en", "zh"] = "zh" if language() == "zh" else "en"
    with client() as connection:
        use = connection.settlements
        if html is not None:
            write_text(html, use.statement_html(settlement, organisation, lang))
        if pdf is not None:
            write_data(pdf, use.statement_pdf(settlement, organisation, lang))
        if table is not None:
            write_text(table, use.statement_csv(settlement, organisation))
        if html is None and pdf is None and table is None:
            told(use.get(settlement), Form.TABLE)
    for path in filter(None, (html, pdf, table)):
        say(t("Written to {path}.", path=path))


def told(found: SettlementView, output: Form) -> None:
    """Show a settlement for people, or as it is."""
    if output is not Form.TABLE:
        show(found, output)
        return
    show(
        {
            **_row(found),
            "payer": found.payer,
            "digest": found.computed,
            "since": moment(found.since),
            "closes": moment(found.closes),
            "closed": moment(found.closed),
            "disputes": listed(one.organisation for one in found.disputes if not one.withdrawn),
        },
        output,
    )
    lines = [
        {**vars(line), "job": one.job, "score": _score(line.score),
         "amount": _money(found, line.amount)}
        for one in found.bookings
        for line in one.lines
    ]  # fmt: skip
    show(lines, output, _LINES)
    for out in found.left_out:
        say(t("{job} does not count: {rule}", job=out.job, rule=t(out.rule)))
    for paid in found.payments:
        amount = _money(found, paid.amount)
        fact = {"payer": paid.payer, "payee": paid.payee, "amount": amount}
        if paid.confirmed is None:
            say(t("{payer} says that it paid {amount} to {payee}.", **fact))
        else:
            say(t("{payee} confirms {amount} of {payer}.", **fact))


def terms(agreement: dict[str, Any]) -> dict[str, Any]:
    """Return an agreement's lines for people."""
    from secureflow.engines.revenue.view import decimals_of, money

    members = listed(f"{one['organisation']} ({one['quality']} %)"
                     for one in agreement["members"])  # fmt: skip
    weights = listed(f"{t(name)} {one}" for name, one in agreement["weights"].items())
    currency = agreement["currency"]
    return {
        "version": agreement["version"],
        "members": members,
        "weights": weights,
        "floor": agreement["floor"],
        "rounding": agreement["rounding"],
        "currency": currency,
        "payer": agreement["payer"],
        "per_job": money(agreement["per_job"], decimals_of(currency), currency),
        "entered": t("yes") if agreement["entered"] else t("no"),
        "window_days": agreement["window_days"],
        "unscored": t(agreement["unscored"]),
        "kinds": listed(agreement["kinds"]) or t("any"),
    }


def _signatures(one: AgreementVersion) -> dict[str, Any]:
    found: dict[str, Any] = {"digest": one.digest, "signed": listed(one.signed)}
    return found | ({"must_sign": listed(one.must_sign)} if one.must_sign else {})


def _row(one: SettlementView) -> dict[str, Any]:
    return {
        "id": one.id,
        "version": one.version,
        "state": t(one.state),
        "jobs": len(one.jobs),
        "amount": _money(one, one.amount),
        "approvals": f"{sum(1 for a in one.approvals if a.equal)}/{one.needed}",
        "opened": moment(one.opened),
    }


def _money(one: SettlementView, amount: int) -> str:
    from secureflow.engines.revenue.view import money

    return money(amount, one.decimals, one.currency)


def _score(score: int | None) -> str:
    from secureflow.engines.revenue.view import in_steps

    return in_steps(score)
