"""What members say they anchored: the centre keeps and shows it, and vouches for nothing.

Each statement is signed by its member (`engines.anchors.statements`); who relies on one checks it
against the charter and the place. Of one organisation the newest `MOST_HELD` are kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from secureflow.application.access import Principal, require
from secureflow.application.ports.storage import Page, UnitOfWork, UnitOfWorkFactory
from secureflow.domain.anchorstatements import MOST_HELD, MOST_TOLD, AnchorRecord
from secureflow.domain.charter import SignedCharter
from secureflow.engines.anchors.entries import AnchorHead, job_digest
from secureflow.engines.anchors.statements import Statement, parse_statement
from secureflow.kit.canonical import JSON, canonical_bytes, sha256
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError


class AnchorStatements:
    """Takes and lists statements.

    Args:
        begin: the database.
        clock: unix seconds.
    """

    def __init__(self, begin: UnitOfWorkFactory, clock: Clock) -> None:
        self._begin = begin
        self._clock = clock

    async def take(self, organisation: str, told: JSON) -> int:
        """Keep statements of an organisation, the last of each deed; return how many are new.

        Raises:
            SecureFlowError: `malformed_anchor`, also for one that is signed by another key than the
                organisation's in the charter.
        """
        if not isinstance(told, list) or len(told) > MOST_TOLD:
            raise SecureFlowError("malformed_anchor", "A message has at most 50 statements.")
        statements = [parse_statement(one) for one in told]
        async with self._begin() as work:
            await work.lock(f"anchors/{organisation}")
            key = await _key_of(work, organisation)
            if any(one.key != key for one in statements):
                raise SecureFlowError(
                    "malformed_anchor",
                    "A statement is signed by another key than its organisation's.",
                )
            fresh = 0
            for one in statements:
                fresh += await _keep(work, _record(organisation, one, self._clock()))
            await _trim(work, organisation)
            await work.commit()
        return fresh

    async def list(
        self,
        principal: Principal,
        *,
        organisation: str = "",
        place: str = "",
        kind: str = "",
        job: str = "",
        cursor: str = "",
        limit: int = 100,
    ) -> Page:
        """Return statements, newest first: digests and salted commitments, for every member.

        Args:
            principal: who asks.
            organisation: only its statements.
            place: only of this place.
            kind: only of deeds of this kind.
            job: only of deeds about the job with this id; who asks by it knows it already.
            cursor: `next` of the page before.
            limit: how many at most.
        """
        require(principal, "audit.read")
        about = job_digest(job).hex() if job else ""
        wanted = {"organisation": organisation, "place": place, "kind": kind, "job": about}
        filters = {name: one for name, one in wanted.items() if one}
        async with self._begin() as work:
            return await work.anchor_statements.latest(cursor=cursor, limit=limit, **filters)


async def _key_of(work: UnitOfWork, organisation: str) -> str:
    kept = await work.setting("charter")
    if kept is None:
        return ""
    return SignedCharter.from_json(kept).charter.keys.get(organisation, "")


async def _keep(work: UnitOfWork, record: AnchorRecord) -> bool:
    """Keep a statement; of one deed the last: after a reorganisation it stands elsewhere."""
    page = await work.anchor_statements.list(digest=record.digest, limit=1)
    known: Sequence[AnchorRecord] = page.items
    if known and known[0].statement == record.statement:
        return False
    for one in known:
        await work.anchor_statements.remove(one.id)
    await work.anchor_statements.add(record)
    return True


async def _trim(work: UnitOfWork, organisation: str) -> None:
    over = await work.anchor_statements.count(organisation=organisation) - MOST_HELD
    if over <= 0:
        return
    oldest = await work.anchor_statements.list(
        organisation=organisation, limit=min(over, MOST_TOLD)
    )
    gone: Sequence[AnchorRecord] = oldest.items
    for one in gone:
        await work.anchor_statements.remove(one.id)


def _record(organisation: str, one: Statement, now: int) -> AnchorRecord:
    entry = one.entry
    said = {"organisation": organisation, "place": one.place, "entry": entry.json()}
    digest = sha256(canonical_bytes(said)).hex()
    job: bytes = getattr(entry, "job", b"")
    return AnchorRecord(
        id=f"{now:012d}.{digest}",
        digest=digest,
        organisation=organisation,
        place=one.place,
        kind=entry.kind,
        job=job.hex(),
        at=one.at,
        size=entry.size if isinstance(entry, AnchorHead) else 0,
        statement=one.json(),
    )
