"""Which statements about anchors a job's audit bundle carries (`engines.anchors.bundled`).

Of each member and place the first head that the record lies under, with the proof that it does; if
there is none, the newest before. And every deed about the job. What does not hold under the charter
is left out: one member's lie in a bundle would break it for everyone. The part is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence, Set
from contextlib import suppress
from typing import Final

from secureflow.application.membership import CURRENT
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.domain.anchorstatements import AnchorRecord
from secureflow.domain.charter import Charter, SignedCharter
from secureflow.engines.anchors.bundled import anchored_json, judge_anchors
from secureflow.engines.anchors.entries import (
    AnchorHead,
    ApproveJob,
    RegisterJob,
    job_digest,
    log_digest,
)
from secureflow.engines.anchors.statements import check_statement, parse_statement
from secureflow.engines.ledger.anchored import Anchored
from secureflow.engines.ledger.bundle_format import MAX_ANCHORS, Bundle
from secureflow.engines.ledger.notes import Checkpoint, parse_note
from secureflow.kit.canonical import JSON, canonical_bytes
from secureflow.kit.errors import SecureFlowError

MOST_READ: Final = 5_000
"""Heads that are looked through, newest first."""
MOST_BYTES: Final = 4 << 20
"""Of the whole part."""
_PAGE: Final = 200


class AnchoredBundles:
    """Chooses the statements for bundles.

    Args:
        begin: the database.
        ledger: makes the proofs.
    """

    def __init__(self, begin: UnitOfWorkFactory, ledger: Ledger) -> None:
        self._begin = begin
        self._ledger = ledger

    async def part(self, job: str, spec: dict[str, JSON], note: str) -> list[dict[str, JSON]]:
        """Return the part `anchors` of a job's bundle.

        Args:
            job: its id.
            spec: the job's.
            note: the bundle's head.
        """
        charter, own = await self._charter(), parse_note(note).checkpoint
        if charter is None:
            return []
        heads = [one async for one in self._found(MOST_READ, kind=AnchorHead.kind)]
        chosen = await asyncio.to_thread(_chosen, heads, charter, own)
        deeds = [one async for one in self._found(MAX_ANCHORS, job=job_digest(job).hex())]
        found = [anchored_json(one.statement, await self._proof(own, one)) for one in chosen]
        roster = {line["party"] for line in spec["roster"]}
        found += await asyncio.to_thread(_sound, deeds, charter, roster)
        return list(_bounded(found))

    async def judged(self, job: str, spec: dict[str, JSON], note: str) -> list[Anchored]:
        """Return what those statements say beside a head, as an auditor would find it.

        Args:
            job: its id.
            spec: the job's.
            note: the head that its report names.
        """
        part = await self.part(job, spec, note)
        charter, parsed = await self._charter(), parse_note(note)
        origin = parsed.checkpoint.origin
        bundle = Bundle(origin, parsed, job, spec, (), (), "", (), anchors=tuple(part))
        return await asyncio.to_thread(judge_anchors, bundle, charter, charter)

    async def _charter(self) -> Charter | None:
        async with self._begin() as work:
            kept = await work.setting(CURRENT)
        return None if kept is None else SignedCharter.from_json(kept).charter

    async def _found(self, most: int, **filters: str) -> AsyncIterator[AnchorRecord]:
        """Yield records, newest first."""
        cursor, left = "", most
        while left > 0:
            async with self._begin() as work:
                page = await work.anchor_statements.latest(cursor=cursor, limit=_PAGE, **filters)
            for one in page.items[:left]:
                yield one
            left -= len(page.items)
            if not (cursor := page.next):
                return

    async def _proof(self, own: Checkpoint, head: AnchorRecord) -> Sequence[bytes] | None:
        """Return the proof between the bundle's head and an anchored one; None if there is none."""
        if head.size == own.size or not head.size:
            return None
        with suppress(SecureFlowError):  # greater than the log, which was set back
            return await self._ledger.consistency(*sorted((own.size, head.size)))
        return None


def _chosen(heads: Sequence[AnchorRecord], charter: Charter, own: Checkpoint) -> list[AnchorRecord]:
    log, found = log_digest(own.origin).hex(), dict[tuple[str, str], AnchorRecord]()
    for one in heads:
        if _log_of(one) != log:
            continue
        place = one.organisation, one.place
        known = found.get(place)
        nearer = known is None or _better(one.size, known.size, own.size)
        if nearer and _holds(one, charter):  # the signature last: most heads are not nearer
            found[place] = one
    return [found[place] for place in sorted(found)]


def _better(size: int, known: int, own: int) -> bool:
    """Tell whether a head is nearer above the record's, or nearer below if none is above."""
    if known >= own:
        return own <= size < known
    return size > known


def _log_of(one: AnchorRecord) -> str:
    entry = one.statement["body"]["entry"]  # as it was parsed when it came
    return str(entry["log"])


def _holds(one: AnchorRecord, charter: Charter) -> bool:
    try:
        check_statement(parse_statement(one.statement), charter.keys, charter.log_keys)
    except SecureFlowError:
        return False
    return True


def _sound(
    deeds: Sequence[AnchorRecord], charter: Charter, roster: Set[str]
) -> list[dict[str, JSON]]:
    """Return the deeds that hold, oldest first; a job's spec is what its own parties were shown."""
    specs = RegisterJob.kind, ApproveJob.kind
    return [
        anchored_json(one.statement)
        for one in reversed(deeds)
        if _holds(one, charter) and (one.kind not in specs or one.organisation in roster)
    ]


def _bounded(found: Sequence[dict[str, JSON]]) -> Iterator[dict[str, JSON]]:
    left = MOST_BYTES
    for one in found[:MAX_ANCHORS]:
        left -= len(canonical_bytes(one))
        if left < 0:
            return
        yield one
