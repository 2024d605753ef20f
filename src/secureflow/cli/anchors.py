"""`secureflow anchor`: what members say they anchored, checked here against the charter.

The centre only carries the statements. Each is signed by its member; a file's receipts are checked
without asking anybody, a chain's through a node of one's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, group, moment, say, show
from secureflow.cli.session import client
from secureflow.cli.texts import said, t
from secureflow.kit.errors import SecureFlowError

app = group("What members say they anchored at places that others than the operator keep.")

Organisation = Annotated[str, typer.Option(help=t("Only this organisation's."))]
Place = Annotated[str, typer.Option(help=t("Only this place, like evm:1337:0x…"))]
Most = Annotated[int, typer.Option("--most", min=1, max=2000, help=t("How many at most."))]
Charter = Annotated[
    Path, typer.Option("--charter", help=t("The charter that you pinned; nothing counts without."))
]
Node = Annotated[
    str,
    typer.Option("--anchor-node", help=t("URL of your own node of the chain, for receipts.")),
]
_SAID: Final = ("organisation", "place", "kind", "digest", "size", "transaction", "block")
_COLUMNS: Final = (*_SAID, "at")
_CHECKED: Final = (*_SAID, "receipt")
_PLACES: Final = ("place", "organisations", "statements", "newest", "size")


@app.command("list", help=t("List what members say they anchored, newest first."))
def list_anchors(
    organisation: Organisation = "", place: Place = "", most: Most = 50, output: Output = Form.TABLE
) -> None:
    """List statements; JSON has them whole, as `verify --file` reads them."""
    found, more = _fetched(organisation, place, most)
    show([_row(one) for one in found] if output is Form.TABLE else found, output, _COLUMNS)
    _tell_more(more, most)
    if not found and output is Form.TABLE:
        say(t("No member has said yet that it anchored anything."))


@app.command("verify", help=t("Check statements against the charter, and receipts at a node."))
def verify(
    charter: Charter,
    organisation: Organisation = "",
    place: Place = "",
    file: Annotated[
        Path | None, typer.Option(help=t("What `anchor list -o json` wrote, instead of asking."))
    ] = None,
    anchor_node: Node = "",
    most: Most = 200,
    output: Output = Form.TABLE,
) -> None:
    """Verify; a false one names who signed it, and ends with its error."""
    from secureflow.cli.anchorchecks import checked, pinned_charter, read_statements

    found, more = (
        _fetched(organisation, place, most) if file is None else (read_statements(file), False)
    )
    lines, problems = checked(found, pinned_charter(charter), anchor_node)
    rows = [{**_head_only(one), "receipt": t(str(one["check"]))} for one in lines]
    show(rows if output is Form.TABLE else lines, output, _CHECKED)
    _tell_more(more, most)
    if problems:
        raise problems[0]
    unasked = sum(one["check"] == "not checked" for one in lines)
    if unasked and output is Form.TABLE:
        say(t("{count} receipts of chains: not checked (no node given).", count=unasked))


@app.command("doctor", help=t("Show each place: who anchors there, and its newest head."))
def doctor(most: Most = 2000, output: Output = Form.TABLE) -> None:
    """Examine what the centre was told."""
    found, more = _fetched("", "", most)
    places: dict[str, dict[str, Any]] = {}
    for one in found:
        fresh: dict[str, Any] = {"organisations": set(), "statements": 0, "newest": 0, "size": 0}
        known = places.setdefault(one["place"], {"place": one["place"], **fresh})
        known["organisations"].add(one["organisation"])
        known["statements"] += 1
        known["newest"] = max(known["newest"], one["at"])
        known["size"] = max(known["size"], one["size"])
    rows = [{**one, "organisations": sorted(one["organisations"])} for one in places.values()]
    table = [{**one, "newest": moment(one["newest"])} for one in rows]
    show(table if output is Form.TABLE else rows, output, _PLACES)
    _tell_more(more, most)
    if not rows and output is Form.TABLE:
        say(t("No member has said yet that it anchored anything."))


def _fetched(organisation: str, place: str, most: int) -> tuple[list[dict[str, Any]], bool]:
    """Return statements, and whether the centre has more than these."""
    with client() as connection:
        found = connection.anchors.list(organisation=organisation, place=place)
        taken = [asdict(one) for one in islice(found, most + 1)]
    return taken[:most], len(taken) > most


def _tell_more(more: bool, most: int) -> None:
    # On standard error: what is piped as JSON stays JSON, and is not taken for all there is.
    if more:
        say(t("Only the newest {count} statements; for more: --most NUMBER.", count=most))


def _head_only(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line whose size stands only where its deed is a head of the log."""
    return {**one, "size": one["size"] if one["kind"] == "anchor" else "–"}


def _digest(statement: Any) -> str:
    """Return the digest by which `agent anchor` names a deed; "" of what is no statement."""
    from secureflow.engines.anchors.statements import parse_statement

    try:
        return parse_statement(statement).entry.digest.hex()
    except SecureFlowError:
        return ""


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    statement = one["statement"]
    body = statement.get("body") if isinstance(statement, Mapping) else None
    facts = body if isinstance(body, Mapping) else {}
    known = {name: said(str(facts.get(name, ""))) for name in ("transaction", "block")}
    return {
        **_head_only(one),
        **known,
        "digest": _digest(statement),
        "at": moment(one["at"]),
    }


def newest_by_place(found: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the newest time of each place."""
    newest: dict[str, int] = {}
    for place, at in found:
        newest[place] = max(newest.get(place, 0), at)
    return newest


__all__: Sequence[str] = ("app",)
