"""The statement of a settlement for one organisation: a page, and a table for spreadsheets.

Members see every line of every job: a share can be computed again only beside the others.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from secureflow.application.settlements import Shown
from secureflow.engines.revenue.view import SettlementView, in_steps, money, view_of
from secureflow.kit.plain import shown
from secureflow.kit.spreadsheets import plain_cell

COLUMNS: Final = (
    "section", "job", "organisation", "score", "low", "high", "rows", "steps", "formula",
    "basis_points", "minor_units", "currency", "at", "key", "digest", "note",
)  # fmt: skip


def view(found: Shown) -> SettlementView:
    """Return what is shown of a settlement."""
    stored = found.stored
    return view_of(
        found.agreement.agreement, stored.settlement, stored.computed, found.standing, stored.by
    )


def statement(found: Shown, organisation: str) -> dict[str, Any]:
    """Return a statement as JSON; amounts also as people write them."""
    told = view(found)
    made = asdict(told)
    own = next((one for one in told.members if one.organisation == organisation), None)

    def written(amount: int) -> str:
        return money(amount, told.decimals, told.currency)

    for line in made["members"]:
        line["written"] = {name: written(line[name]) for name in ("amount", "owed", "confirmed")}
    for booking in made["bookings"]:
        booking["written"] = written(booking["amount"])
        for line in booking["lines"]:
            line["written"] = written(line["amount"])
            line["figures"] = [in_steps(line[name]) for name in ("score", "low", "high")]
    for line in made["payments"]:
        line["written"] = written(line["amount"])
    made["written"] = written(told.amount)
    made["organisation"] = organisation
    made["own"] = written(own.amount) if own is not None else ""
    made["own_owed"] = written(own.owed) if own is not None else ""
    return made


def table(found: Shown, organisation: str) -> str:
    """Return a statement as CSV (RFC 4180); no text in it is a formula to a spreadsheet."""
    written = io.StringIO()
    lines = csv.writer(written)
    lines.writerow(COLUMNS)
    for line in _lines(view(found), organisation):
        lines.writerow([_cell(line.get(name)) for name in COLUMNS])
    return written.getvalue()


def _lines(told: SettlementView, organisation: str) -> Iterator[dict[str, Any]]:
    money_of = {"currency": told.currency}
    yield {
        "section": "settlement", "organisation": organisation, "minor_units": told.amount,
        "at": told.opened, "digest": told.id, "note": told.state, **money_of,
    }  # fmt: skip
    for booking in told.bookings:
        for line in booking.lines:
            yield {
                "section": "job", "job": booking.job, "organisation": line.organisation,
                "score": in_steps(line.score), "low": in_steps(line.low),
                "high": in_steps(line.high), "rows": line.rows, "steps": line.steps,
                "formula": line.formula, "basis_points": line.share,
                "minor_units": line.amount, "digest": booking.scores, **money_of,
            }  # fmt: skip
    for out in told.left_out:
        yield {"section": "left out", "job": out.job, "note": out.rule}
    for one in told.members:
        yield {
            "section": "total", "organisation": one.organisation, "minor_units": one.amount,
            "key": one.key, "note": f"owed {one.owed}", **money_of,
        }  # fmt: skip
    for section, signed in (
        ("approval", told.approvals), ("dispute", told.disputes), ("accusation", told.accusations)
    ):  # fmt: skip
        for act in signed:
            note = act.code or ("withdrawn" if act.withdrawn else "")
            yield {
                "section": section, "organisation": act.organisation, "at": act.at,
                "key": act.key, "digest": act.digest, "note": note,
            }  # fmt: skip
    for paid in told.payments:
        yield {
            "section": "payment", "organisation": paid.payee, "minor_units": paid.amount,
            "at": paid.stated, "digest": paid.reference, **money_of,
            "note": "stated" if paid.confirmed is None else f"confirmed {paid.confirmed}",
        }  # fmt: skip


def _cell(value: Any) -> str | int:
    """Return a cell: numbers as they are, but a score, which may begin with a sign, as a number."""
    if value is None:
        return ""
    if isinstance(value, int):
        return value
    text = shown(str(value))
    return text if _is_number(text) else plain_cell(text)


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isascii() and (
        text.removeprefix("-").replace(".", "", 1).isdecimal()
    )
