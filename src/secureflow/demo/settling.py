"""The demo's settlement: what its job would be worth to each owner, by an agreement that all sign.

Everything goes the way of people: one owner drafts and opens at the centre, each owner's own agent
verifies the job's record, computes the amounts and signs. The dispute window of the agreement is
two weeks, so what the demo leaves behind is approved and owed by nobody yet, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from secureflow.agent import api
from secureflow.demo.platform import Owner, Platform
from secureflow.engines.revenue.view import money
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import Client
from secureflow.texts import Language

FOLDER: Final = "settlement"
"""Of the statements, in the demo's directory."""
WINDOW_DAYS: Final = 14
PER_JOB: Final = 100_000
"""Minor units: a made-up thousand euros."""
WITHOUT_PDF: Final = frozenset({"library_missing", "printing_failed"})
"""Of a centre that cannot print: page and table are written all the same."""


def settle(platform: Platform, language: Language, client: Client, job: str) -> dict[str, Any]:
    """Have the owners agree, settle a job, and keep each one's statement.

    Args:
        platform: of the demo.
        language: of the statements.
        client: of the first owner, who leads the project and pays.
        job: that succeeded.

    Returns:
        id, state, amount, the digest that was approved, who gets how much, until when it can be
        disputed, and where the statements are.
    """
    owners = list(platform.parties.values())
    with ThreadPoolExecutor(len(owners)) as people:
        client.settlements.draft(platform.project, terms(owners[0].party))
        list(people.map(lambda one: _sign(one, platform.project), owners))
        opened = client.settlements.open(platform.project, [job])
        list(people.map(lambda one: _approve(one, opened.id), owners))
    shown = client.settlements.get(opened.id)
    folder = platform.directory / FOLDER
    folder.mkdir()
    files = [one for owner in owners for one in _statements(client, shown.id, owner, language)]
    for name, content in files:
        (folder / name).write_bytes(content)
    return {
        "id": shown.id,
        "state": shown.state,
        "amount": money(shown.amount, shown.decimals, shown.currency),
        "digest": shown.computed,
        "approvals": len(shown.approvals),
        "amounts": {one.organisation: one.amount for one in shown.members},
        "written": {
            one.organisation: money(one.amount, shown.decimals, shown.currency)
            for one in shown.members
        },
        "closes": shown.closes,
        "folder": str(folder),
        "files": sorted(name for name, _ in files),
    }


def terms(payer: str) -> dict[str, Any]:
    """Return what the owners agree on (docs/revenue.md).

    Under masks nobody sees rows or scores of others: there participation decides alone.
    """
    return {
        "weights": {"scores": 3, "rows": 1, "participation": 1},
        "floor": 500,
        "rounding": payer,
        "currency": "EUR",
        "window_days": WINDOW_DAYS,
        "payer": payer,
        "per_job": PER_JOB,
        "entered": False,
        "unscored": "other_measures",
        "kinds": ["training"],
    }


def _sign(owner: Owner, project: str) -> None:
    shown: Any = api.revenue_show(owner.config, project)
    api.revenue_sign(owner.config, project, shown["candidate"]["digest"])


def _approve(owner: Owner, settlement: str) -> None:
    shown: Any = api.settlement_show(owner.config, settlement)
    api.settlement_decide(owner.config, "approve", settlement, confirm=shown["digest"])


def _statements(
    client: Client, settlement: str, owner: Owner, language: Language
) -> Iterator[tuple[str, bytes]]:
    """Yield an owner's statement in each form that the centre can give."""
    party, read = owner.party, client.settlements
    yield f"{party}.html", read.statement_html(settlement, party, language).encode()
    yield f"{party}.csv", read.statement_csv(settlement, party).encode()
    try:
        yield f"{party}.pdf", read.statement_pdf(settlement, party, language)
    except SecureFlowError as error:
        if error.code not in WITHOUT_PDF:
            raise
