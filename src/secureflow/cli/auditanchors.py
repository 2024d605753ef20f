"""Shows what members anchored, as the audit of a bundle found it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from secureflow.cli.console import Form, moment, say, show
from secureflow.cli.texts import said, t

if TYPE_CHECKING:
    from secureflow.engines.ledger.anchored import Anchored

_COLUMNS: Final = (
    "member", "place", "kind", "size", "result", "transaction", "block", "at", "receipt", "follows",
)  # fmt: skip


def show_anchored(anchors: Sequence[Anchored]) -> None:
    """Print a table of a bundle's anchors, and how to check those that are not."""
    if not anchors:
        return
    rows = [
        {
            "member": one.member or "–",
            "place": one.place or "–",
            "kind": one.kind or "–",
            "size": one.size if one.kind == "anchor" else "–",
            "result": t(one.result) if one.result else "–",
            "transaction": one.transaction or "–",
            "block": one.block,
            "at": moment(one.at) if one.at else "–",
            "receipt": t(one.standing),
            "follows": _follows(one),
        }
        for one in anchors
    ]
    show(rows, Form.TABLE, _COLUMNS)
    waiting = [one.place for one in anchors if one.standing == "not checked"]
    if chains := sum(place.startswith("evm:") for place in waiting):
        say(
            t(
                "{count} receipts of chains are not checked: give your own node: "
                "--anchor-node URL.",
                count=chains,
            )
        )
    if channels := sum(place.startswith("fabric:") for place in waiting):
        say(
            t(
                "{count} receipts of Fabric channels are not checked: a channel answers only its "
                "members. At the agent of one: secureflow agent anchor verify.",
                count=channels,
            )
        )


def _follows(one: Anchored) -> str:
    if one.reason:
        return said(one.reason)
    if one.covers == "whole":
        return t("the whole record stands under this head")
    if one.covers == "part":
        return t("the entries below {size} stand under this head", size=one.size)
    return t("the member says so")
