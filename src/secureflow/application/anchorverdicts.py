"""What an entry came to, by what a place says of it and by what it tells everybody.

A node may lie about a result, or be behind. An entry that counts as kept is among the place's
events under our own key; one that counts as known is there under our own, or, of heads (with the
same signature), jobs and votes that were carried without ours, under anybody's; one that counts as
refused is not. Else the place is asked again.
"""

from __future__ import annotations

from typing import Final

from secureflow.application.ports.anchoroutbox import Verdict
from secureflow.engines.anchors.entries import (
    Admit,
    AnchorHead,
    Entry,
    RegisterJob,
    Remove,
    SetContributions,
    Split,
    Upgrade,
)

ANYBODYS: Final = (AnchorHead, RegisterJob, SetContributions, Split, Admit, Remove, Upgrade)
"""Deeds that are known whoever did them first; of votes, once they are carried."""
EARLIER: Final = "earlier"
"""Why an entry that is kept has no receipt: the ticket that kept it is forgotten."""


def verdict_of(
    entry: Entry,
    said: Verdict,
    tellers: frozenset[str],
    member: str,
    *,
    forgot: bool,
) -> Verdict | None:
    """Return what an entry came to; None while the place contradicts itself.

    Args:
        entry: the deed.
        said: what a final outcome says of it.
        tellers: whose events of just this entry are among the place's events.
        member: our own charter key in lowercase hex.
        forgot: old events were pruned here, so that one may be missing.
    """
    own, result = member in tellers, said.result
    if result == "refused":
        return Verdict("known", said.reason or EARLIER) if own else said
    if result == "known":
        seen = own or (isinstance(entry, ANYBODYS) and bool(tellers))
        return said if seen or forgot else None
    return said if own else None
