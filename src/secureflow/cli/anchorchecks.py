"""Checks statements about anchors for a person: signatures, heads, receipts, a node if given."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from secureflow.cli.anchornodes import NodeAnswer, asked_of_node
from secureflow.cli.files import read_json
from secureflow.domain.charter import Charter, SignedCharter
from secureflow.engines.anchors.bundled import parse_anchored
from secureflow.engines.anchors.entries import AnchorHead, log_digest
from secureflow.engines.anchors.statements import (
    Statement,
    check_statement,
    heads_apart,
    parse_statement,
)
from secureflow.engines.ledger.anchored import Anchored, anchor_failures
from secureflow.engines.ledger.bundle import BundleVerdict
from secureflow.engines.ledger.notes import parse_note
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

HOLDS: Final = "the place holds it"
FALSE: Final = "false"


def pinned_charter(path: Path) -> Charter:
    """Return the charter in a file, as `audit verify` reads it.

    Raises:
        SecureFlowError: `invalid_file`, `malformed_json`, `malformed_charter`.
    """
    given: Any = read_json(path)
    if isinstance(given, dict):
        given.pop("history", None)
    return SignedCharter.from_json(given).charter


def read_statements(path: Path) -> list[dict[str, Any]]:
    """Return the statements that `secureflow anchor list -o json` wrote.

    Raises:
        SecureFlowError: `malformed_anchor`.
    """
    found = read_json(path)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise SecureFlowError(
            "malformed_anchor",
            Text("{path} is no list of statements.", path=path),
            "secureflow anchor list -o json writes one.",
        )
    return found


def checked(
    found: Sequence[Mapping[str, Any]], pinned: Charter, node: str = "", note: str = ""
) -> tuple[list[dict[str, Any]], list[SecureFlowError]]:
    """Return a line for each statement, and what is wrong.

    Args:
        found: as the centre or a file gives them.
        pinned: the reader's own charter.
        node: URL of the reader's own node of a chain; empty asks nobody.
        note: a head of the log that the reader holds: one of its size must be the same.

    Raises:
        SecureFlowError: `missing_extra`, `anchor_unavailable` where a node was given.
    """
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
    statements = [one for _, one in sound]
    problems += [_apart(*pair, pinned) for pair in heads_apart(statements)]
    problems += [_beside(one, pinned) for one in statements if note and _differs(one, note)]
    if node:
        problems += _ask(sound, node, pinned)
    return lines, problems


def _ask(
    sound: Sequence[tuple[dict[str, Any], Statement]], node: str, charter: Charter
) -> list[SecureFlowError]:
    """Ask a node about the receipts of its chain."""
    problems: list[SecureFlowError] = []
    answers = asyncio.run(asked_of_node([one for _, one in sound], node))
    for (line, one), answer in zip(sound, answers, strict=True):
        if answer.holds is None:
            continue
        line["check"] = HOLDS if answer.holds else FALSE
        if not answer.holds:
            problems.append(_denied(_who(one, charter), one))
    return problems


def asked_bundle(shown: Any, verdict: BundleVerdict, node: str) -> BundleVerdict:
    """Return the verdict on a bundle with what a node says of the receipts in it.

    Args:
        shown: the bundle.
        verdict: on it, with its anchors.
        node: URL of the reader's own node of a chain.

    Raises:
        SecureFlowError: `missing_extra`, `anchor_unavailable`.
    """
    open_ones = [one for one in verdict.anchors if one.standing == "not checked"]
    said = [parse_anchored(shown["anchors"][one.number - 1])[0] for one in open_ones]
    answers = asyncio.run(asked_of_node(said, node))
    told = {
        one.number: _answered(one, answer) for one, answer in zip(open_ones, answers, strict=True)
    }
    anchors = tuple(told.get(one.number, one) for one in verdict.anchors)
    denied = [one for one in told.values() if one.standing == "false"]
    if not denied:
        return replace(verdict, anchors=anchors)
    failures = (*verdict.failures, *anchor_failures(denied))
    return replace(verdict, anchors=anchors, failures=failures, status="broken", ok=False)


def _answered(one: Anchored, answer: NodeAnswer) -> Anchored:
    if answer.holds is None:
        return replace(one, reason=one.reason or answer.reason)
    if answer.holds:
        return replace(one, standing=HOLDS)
    reason = Text("the node has no such transaction: {transaction}", transaction=one.transaction)
    return replace(one, standing=FALSE, covers="", reason=reason)


def _differs(one: Statement, note: str) -> bool:
    """Tell whether a head is of the same log and size as a note, with another root."""
    held, head = parse_note(note).checkpoint, one.entry
    if not isinstance(head, AnchorHead) or head.log != log_digest(held.origin):
        return False
    return head.size == held.size and head.root != held.root


def _beside(one: Statement, charter: Charter) -> SecureFlowError:
    return SecureFlowError(
        "ledger_inconsistent",
        Text(
            "{who} anchored a head that the log signed and that is not the bundle's, of the same "
            "size: the log has two histories.",
            who=_who(one, charter),
        ),
        "Stop trusting this centre: show bundle and statement to the other members.",
    )


def _line(one: Mapping[str, Any]) -> dict[str, Any]:
    names = ("organisation", "place", "kind", "size")
    return {name: one.get(name, "") for name in names} | {
        "digest": "",
        "transaction": "",
        "block": "",
    }


def _said(one: Statement, charter: Charter) -> dict[str, Any]:
    return {
        "organisation": _who(one, charter),
        "place": one.place,
        "kind": one.entry.kind,
        "digest": one.entry.digest.hex(),
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
