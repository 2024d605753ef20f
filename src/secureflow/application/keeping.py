"""How long the centre keeps what people upload: weights and code bundles.

Both are in a store of their own (`uploads`): removing from it can never remove what jobs released,
even if the bytes are the same. A row is written after its bytes and removed before them, each under
a lock of their digest. Bytes without a row are left by a crash in between, or by an upload that was
refused at its end: `sweep_store` removes them after `ABANDONED_SECONDS`.

What an unfinished job names does not expire (`FOR_EVER`), nor can it be removed. The first sweep
that finds no such job any more lets it expire, `KEPT_SECONDS` after the end of the last one; an
upload of the same that comes before that sweep does, `KEPT_SECONDS` after itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from secureflow.application.access import Principal, missing, seen_projects, sees_work_of
from secureflow.application.listing import list_complete, list_readable, list_with_damaged
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import Page, Store, UnitOfWork, UnitOfWorkFactory
from secureflow.application.transactions import Transactions
from secureflow.domain.bundles import FOR_EVER, KEPT_SECONDS, KeptBundle, StoredBundle
from secureflow.domain.jobs import JobState
from secureflow.domain.models import KeptUpload, Upload
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

R = TypeVar("R", StoredBundle, Upload)
S = TypeVar("S", KeptBundle, KeptUpload)

ABANDONED_SECONDS: Final = 86_400.0
"""Age from which bytes without a row are removed: the row follows its bytes within seconds."""
_UNFINISHED: Final = [state.value for state in JobState if not state.final]
_FINISHED: Final = [state.value for state in JobState if state.final]


@dataclass(frozen=True)
class UploadKind(Generic[R, S]):
    """Weights, or code bundles.

    Args:
        noun: what an error calls one that nobody sees.
        fact: names the digest in the log, and begins the kind of its leaves.
        rows: where the rows are.
        named: the digest that a job's spec names, of this kind; anything else if it names none.
        told: what people are told of a row.
    """

    noun: str
    fact: str
    rows: Callable[[UnitOfWork], Store[R]]
    named: Callable[[Mapping[str, Any]], object]
    told: type[S]


class Keeping(Generic[R, S]):
    """What one kind of upload has in common with the other: lists, removal and expiry.

    Args:
        kind: which.
        begin: starts units of work.
        transactions: opens transactions.
        store: where what people upload is.
        clock: unix seconds.
    """

    def __init__(
        self,
        kind: UploadKind[R, S],
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        store: Artifacts,
        clock: Clock,
    ) -> None:
        self._kind: UploadKind[R, S] = kind
        self._begin = begin
        self._transactions = transactions
        self._store = store
        self._clock = clock

    async def page(self, principal: Principal, project: str, cursor: str, limit: int) -> Page:
        """Return those of the caller's projects, or of one of them."""
        async with self._begin() as work:
            seen = await seen_projects(work, principal, project)
            if seen is None:
                return Page([])
            page = await self._kind.rows(work).list(cursor=cursor, limit=limit, **seen)
            return replace(page, items=await self.told(work, page.items))

    async def told(self, work: UnitOfWork, rows: Sequence[R]) -> list[S]:
        """Return what people are told of rows: what an unfinished job names has no date of expiry.

        The next sweep gives one to what is named no more; that one is told before, unless it
        depends on when the sweep comes.
        """
        undated = [one for one in rows if one.expires == FOR_EVER]
        places = {one.project for one in undated}
        named = {place: await self._naming(work, place) for place in places}
        ends = {
            place: await self._ends(work, place)
            for place, (found, damaged) in named.items()
            if not damaged
            and any(one.project == place and one.digest not in found for one in undated)
        }
        told = []
        for one in rows:
            expires: int | None = one.expires
            jobs: tuple[str, ...] = ()
            if one.expires == FOR_EVER:
                found, damaged = named[one.project]
                jobs = tuple(found.get(one.digest, ()))
                end = None if jobs or damaged else ends[one.project].get(one.digest)
                expires = None if end is None else end + KEPT_SECONDS
            told.append(self._kind.told(**{**vars(one), "expires": expires, "jobs": jobs}))
        return told

    async def told_one(self, work: UnitOfWork, row: R) -> S:
        """Return what people are told of a row; see `told`."""
        (one,) = await self.told(work, [row])
        return one

    async def remove(self, principal: Principal, key: str, **equals: str) -> None:
        """Remove all that match and that the caller's organisation uploaded (operator: anybody's).

        Args:
            principal: who asks.
            key: what they asked for, for the error.
            equals: filters; what matches has one digest.

        Raises:
            SecureFlowError: `not_found`; `forbidden` if others uploaded it; `upload_in_use` while a
                job of the project that names it has not ended, and then nothing is removed.
        """
        async with self._transactions() as transaction:
            work = transaction.work
            digest = (await self._seen(work, principal, key, equals))[0].digest
            await work.lock(blob_lock(digest))
            for one in _owned(principal, await self._seen(work, principal, key, equals)):
                await self._check_unused(work, one)
                await self._kind.rows(work).remove(one.id)
                facts = {self._kind.fact: digest, "project": one.project, "by": principal.user}
                facts |= {"organisation": one.organisation}
                transaction.record(f"{self._kind.fact}.removed", facts)
            transaction.answer(None)
        await drop_bytes(self._begin, self._store, digest)

    async def kept_longer(self, work: UnitOfWork, found: R, now: int) -> R:
        """Keep a row that was uploaded again, under its lock.

        Where no job names it any more and no sweep has come since, it gets its date here: the sweep
        would count from the end of that job.
        """
        before = found.expires
        if before == FOR_EVER and not _names(await self._named(work, found.project), found):
            before = 0
        found = replace(found, expires=max(before, now + KEPT_SECONDS))
        await self._kind.rows(work).save(found)
        return found

    async def sweep(self) -> int:
        """Remove what expired, and let what no job names any more expire; return what is gone."""
        async with self._begin() as work:
            every: list[R] = await list_readable(self._kind.rows(work))
            places = {one.project for one in every if one.expires == FOR_EVER}
            named = {place: await self._named(work, place) for place in places}
        now, gone = self._clock(), 0
        for one in every:
            if one.expires <= now:
                gone += await self._expire(one, now)
            elif one.expires == FOR_EVER and not _names(named[one.project], one):
                await self._release(one, now)
        return gone

    async def _seen(
        self, work: UnitOfWork, principal: Principal, key: str, equals: Mapping[str, str]
    ) -> list[R]:
        found: list[R] = await list_readable(self._kind.rows(work), **equals)
        seen = [one for one in found if await sees_work_of(work, principal, one.project)]
        if not seen:
            raise missing(self._kind.noun, key)
        return seen

    async def _check_unused(self, work: UnitOfWork, one: R) -> None:
        """Refuse to remove what a job still needs; an unreadable job may be one."""
        for job in await list_complete(work.jobs, project=one.project, state=_UNFINISHED):
            if self._kind.named(job.spec) == one.digest:
                raise SecureFlowError(
                    "upload_in_use",
                    Text("Job {job} has not ended, and needs {key}.", job=job.id, key=one.id),
                    "Remove it once the job has ended, or cancel the job first.",
                    {"job": job.id},
                )

    async def _named(self, work: UnitOfWork, project: str) -> frozenset[object] | None:
        """Return what a project's unfinished jobs name; None if one of them cannot be read."""
        found, damaged = await self._naming(work, project)
        return None if damaged else frozenset(found)

    async def _naming(
        self, work: UnitOfWork, project: str
    ) -> tuple[Mapping[object, Sequence[str]], bool]:
        """Return the unfinished jobs of a project by what they name; whether some are unread."""
        jobs, damaged = await list_with_damaged(work.jobs, project=project, state=_UNFINISHED)
        found: dict[object, list[str]] = {}
        for job in jobs:
            found.setdefault(self._kind.named(job.spec), []).append(job.id)
        return found, bool(damaged)

    async def _ends(self, work: UnitOfWork, project: str) -> Mapping[object, int]:
        """Return when the last of a project's jobs ended, by what they name.

        Nothing if one of them cannot be read: it may be the last.
        """
        jobs, damaged = await list_with_damaged(work.jobs, project=project, state=_FINISHED)
        if damaged:
            return {}
        last = sorted(jobs, key=lambda job: job.updated)
        return {self._kind.named(job.spec): job.updated for job in last}

    async def _release(self, one: R, now: int) -> None:
        """Let a row expire; a job that names it meanwhile has the lock, or is seen here."""
        async with self._begin() as work:
            await work.lock(blob_lock(one.digest))
            found = await self._kind.rows(work).find(one.id)
            if found is None or _names(await self._named(work, one.project), one):
                return
            end = (await self._ends(work, one.project)).get(one.digest, now)
            await self._kind.rows(work).save(replace(found, expires=end + KEPT_SECONDS))
            await work.commit()

    async def _expire(self, one: R, now: int) -> bool:
        async with self._begin() as work:
            await work.lock(blob_lock(one.digest))
            found = await self._kind.rows(work).find(one.id)
            if found is None or found.expires > now:
                return False
            await self._kind.rows(work).remove(one.id)
            await work.commit()
        await drop_bytes(self._begin, self._store, one.digest)
        return True


async def kept_for_job(rows: Store[R], found: R) -> R:
    """Keep a row while jobs name it, in the transaction of one that does, under its lock."""
    if found.expires != FOR_EVER:
        found = replace(found, expires=FOR_EVER)
        await rows.save(found)
    return found


async def sweep_store(begin: UnitOfWorkFactory, store: Artifacts) -> int:
    """Remove bytes that no row names; return how many there were."""
    gone = 0
    for digest in await store.older_than(ABANDONED_SECONDS):
        async with begin() as work:
            named = await names_upload(work, digest)
        if not named:
            gone += await drop_bytes(begin, store, digest)
    return gone


async def drop_bytes(begin: UnitOfWorkFactory, store: Artifacts, digest: str) -> bool:
    """Remove bytes, unless a row names them: of the other kind, another project, or a new one."""
    async with begin() as work:
        await work.lock(blob_lock(digest))
        if await names_upload(work, digest):
            return False
        await store.delete(digest)
    return True


async def names_upload(work: UnitOfWork, digest: str) -> bool:
    """Tell whether a row names bytes in the store of uploads: weights or a code bundle."""
    if await work.uploads.count(digest=digest):
        return True
    return bool(await work.bundles.count(digest=digest))


def blob_lock(digest: str) -> str:
    """Return the name of the lock under which rows and bytes of this digest change."""
    return f"bundle/{digest}"


def _names(named: frozenset[object] | None, one: StoredBundle | Upload) -> bool:
    return named is None or one.digest in named


def _owned(principal: Principal, seen: list[R]) -> list[R]:
    """Return those that a caller may remove."""
    owned = [one for one in seen if principal.operator or principal.acts_for(one.organisation)]
    if not owned:
        first = seen[0]
        raise SecureFlowError(
            "forbidden",
            Text("{key} was uploaded by {owner}.", key=first.id, owner=first.organisation),
            Text("Ask {organisation}.", organisation=first.organisation),
        )
    return owned
