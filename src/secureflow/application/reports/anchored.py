"""What members anchored of a job, for its report: a row for each head, and their deeds counted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from secureflow.engines.anchors.entries import AnchorHead
from secureflow.engines.ledger.anchored import Anchored
from secureflow.kit.canonical import JSON


def anchored_view(anchors: Iterable[Anchored]) -> list[dict[str, JSON]]:
    """Return a group for each member and place, sorted; what does not count is left out.

    A group is `{member, place, heads: [{size, transaction, block, at, check, covers}], deeds:
    [{kind, count, checked}]}`: `checked` of the deeds have a receipt that holds.
    """
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for one in anchors:
        if one.standing in ("foreign", "false"):
            continue
        fresh: dict[str, Any] = {"member": one.member, "place": one.place, "heads": [], "deeds": {}}
        group = groups.setdefault((one.place, one.member), fresh)
        if one.kind == AnchorHead.kind:
            group["heads"].append(_head(one))
            continue
        deed = group["deeds"].setdefault(one.kind, {"kind": one.kind, "count": 0, "checked": 0})
        deed["count"] += 1
        deed["checked"] += one.standing != "not checked"
    return [{**groups[name], "deeds": [*groups[name]["deeds"].values()]} for name in sorted(groups)]


def _head(one: Anchored) -> dict[str, JSON]:
    names = ("size", "transaction", "block", "at", "covers")
    return {name: getattr(one, name) for name in names} | {"check": one.standing}
