"""Checks statements about anchors for a person: signatures, heads, receipts, a node if given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from secureflow.cli.files import read_json
from secureflow.domain.charter import Charter, SignedCharter
from secureflow.engines.anchors.entries import AnchorHead
from secureflow.engines.anchors.statements import (
    Statement,
    check_statement,
    heads_apart,
    parse_statement,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

HOLDS: Final = "the place holds it"
FALSE: Final = "false"


def checked(
    found: Sequence[Mapping[str, Any]], charter: Path, node: str = ""
) -> tuple[list[dict[str, Any]], list[SecureFlowError]]:
    """Return a line for each statement, and what is wrong.

    Args:
        found: as the centre or a file gives them.
        charter: the reader's own pinned charter.
        node: URL of the reader's own node of a chain; empty asks nobody.

    Raises:
        SecureFlowError: `malformed_charter`; `missing_extra` where a node was given.
    """
    pinned = SignedCharter.from_json(read_json(charter)).charter
    lines: list[dict[str, Any]] = []
    problems: list[SecureFlowError] = []
    sound: list[tuple[dict[str, Any], Statement]] = []
    for one in found:
        try:
            statement = parse_statement(one.get("statement"))
            check = check_statement(statement, pinned.keys, pinned.log_keys)
        except SecureFlowError as error:
            problems.append(error)
            lines.append({**_line(one), "check": FALSE})
            continue
        lines.append({**_said(statement, pinned), "check": check})
        sound.append((lines[-1], statement))
    problems += [_apart(*pair, pinned) for pair in heads_apart([one for _, one in sound])]
    if node:
        problems += asyncio.run(_asked(sound, node, pinned))
    return lines, problems


async def _asked(
    sound: Sequence[tuple[dict[str, Any], Statement]], node: str, charter: Charter
) -> list[SecureFlowError]:
    """Ask a node about the receipts of chains."""
    from secureflow.adapters.anchors.evm.opening import open_evm
    from secureflow.adapters.anchors.evm.settings import EvmSettings

    problems: list[SecureFlowError] = []
    for line, one in sound:
        if one.make != "evm":
            continue
        _, chain, contract = one.place.split(":")
        anchor = open_evm(EvmSettings(node, int(chain), contract))
        try:
            if await anchor.checked(one.receipt, one.entry):
                line["check"] = HOLDS
            else:
                line["check"] = FALSE
                problems.append(_denied(_who(one, charter), one))
        finally:
            await anchor.close()
    return problems


def _line(one: Mapping[str, Any]) -> dict[str, Any]:
    names = ("organisation", "place", "kind", "size")
    return {name: one.get(name, "") for name in names} | {"transaction": "", "block": ""}


def _said(one: Statement, charter: Charter) -> dict[str, Any]:
    return {
        "organisation": _who(one, charter),
        "place": one.place,
        "kind": one.entry.kind,
        "size": one.entry.size if isinstance(one.entry, AnchorHead) else 0,
        "transaction": one.transaction,
        "block": one.block,
    }


def _who(one: Statement, charter: Charter) -> str:
    return next((name for name, key in charter.keys.items() if key == one.key), one.key)


def _denied(who: str, one: Statement) -> SecureFlowError:
    return SecureFlowError(
        "anchor_receipt_false",
        Text(
            "{who} signed that {kind} stands in transaction {transaction}, and the node denies it.",
            who=who,
            kind=one.entry.kind,
            transaction=one.transaction,
        ),
        "Ask another node as well: either this node or who signed it lies.",
    )


def _apart(one: Statement, other: Statement, charter: Charter) -> SecureFlowError:
    size = one.entry.size if isinstance(one.entry, AnchorHead) else 0
    return SecureFlowError(
        "ledger_inconsistent",
        Text(
            "The log signed two histories: {one} and {other} anchored different heads of {size} "
            "entries.",
            one=_who(one, charter),
            other=_who(other, charter),
            size=size,
        ),
        "Stop trusting this centre and show both statements to the other members.",
    )
