"""Restrictions of an agent restored from a backup: it has lost its later commitments.

The fact `restored` stays in its record permanently:
- jobs that were approved before the restore are declined with `restored_since`: their votes,
  updates and charges may differ from the record (`outcome` is `restored`; no request is accepted);
- so are jobs of which the log holds own leaves that the record lacked;
- every privacy domain is locked until its owner states what was spent since the backup. A domain
  that the backup does not contain is locked as well: it may have been declared later.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from secureflow.agent.record.ownleaves import add_missing_leaf, own_leaves
from secureflow.agent.record.records import JobRecord
from secureflow.agent.record.store import RecordStore
from secureflow.engines.ledger.leaves import SignedLeaf, leaf_from_json
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

FACT: Final = "restored"
"""{restored_at, taken_at, size, settled: [domain], looked_back?}; times in unix seconds, `size` of
the head."""
BEHIND: Final = "record_behind"
"""{since, settled: [domain], unsaid: {job: spec digest}}: the owner continued with a record that
was rolled back."""
SHOWN: Final = "budget.lacking"
"""[[leaf, place]]: own budget leaves that the log showed to a job and that the record lacked."""
CODE: Final = "record_set_back"
"""The alarm of a rolled-back record, and the outcome of its jobs if its owner continues with it."""
OUTCOME: Final = "restored"
"""The outcome of a job that was not over when the backup was made."""


def restored(store: RecordStore) -> dict[str, JSON] | None:
    """Return the record's fact about its restore; None if it was not restored."""
    kept: dict[str, JSON] | None = store.fact(FACT)
    return kept


class ForgottenJobs:
    """Finds the older jobs that the record does not contain: approved since the backup was made.

    Only the log knows them, by the leaves that this organisation signed then. It is read from the
    backup's head on, before the first consent, and from there on before each further one.

    Args:
        store: the record.
        party: organisation slug.
        key: its public signing key.
        call: asks the centre (`audit.head`, `audit.entries`).
    """

    def __init__(
        self,
        store: RecordStore,
        party: str,
        key: str,
        call: Callable[[str, dict[str, JSON]], Awaitable[JSON]],
    ) -> None:
        self._store = store
        self._party = party
        self._key = key
        self._call = call
        self._scanned: int | None = None
        self._older: set[str] = set()
        self._lock = asyncio.Lock()

    async def check(self, job: str) -> None:
        """Refuse a job of which the log holds own leaves that this record lacks.

        Raises:
            SecureFlowError: `restored_since`, or why the centre did not answer.
        """
        fact = restored(self._store)
        if fact is None or self._store.job(job) is not None:
            return
        async with self._lock:
            await self._scan(int(fact["size"]))
        if job in self._older:
            raise _older(job, fact)

    async def _scan(self, start: int) -> None:
        at = start if self._scanned is None else self._scanned
        async for found, end in own_leaves(self._call, self._store, self._party, self._key, at):
            for leaf, _ in found:
                if leaf.leaf.job and not self._store.has_leaf(leaf.hash()):
                    self._older.add(leaf.leaf.job)
            self._scanned = end


def check_not_before_restore(store: RecordStore, job: str, record: JobRecord | None) -> None:
    """Refuse a job that is older than the restore.

    Raises:
        SecureFlowError: `restored_since`.
    """
    fact = restored(store)
    if fact is None:
        return
    older = record.outcome == OUTCOME if record else bool(store.leaves(job))
    if older:
        raise _older(job, fact)


def expects_older(store: RecordStore) -> bool:
    """Return whether a restored record was not yet compared with the log: it lacks later leaves."""
    fact = restored(store)
    return fact is not None and not fact.get("looked_back")


def mark_checked(store: RecordStore) -> None:
    """Note that it was compared, in the caller's transaction: leaves missing later are news."""
    store.set_fact(FACT, {**(restored(store) or {}), "looked_back": True})


def accept_rollback(
    store: RecordStore,
    now: int,
    lacking: Sequence[tuple[SignedLeaf, int]],
    named: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Continue with a rolled-back record, at the owner's request; the caller's transaction.

    Afterwards it holds every own leaf of the log, its unfinished jobs are ended and forgotten ones
    cannot begin again; and since nobody knows here what was spent, every privacy domain is locked.

    Args:
        store: the record.
        now: unix seconds.
        lacking: own leaves that the log holds and it does not, oldest first, with their indexes.
        named: spec digests of jobs of which the log showed own leaves that it no longer shows;
            empty for an unknown one.
    """
    missed = {**vanished_jobs(store), **named}
    store.set_fact(BEHIND, {"since": now, "settled": [], "unsaid": missed})
    add_missing_leaves(store, now, lacking)
    ended = set(store.end_all(CODE))
    for job in {*named, *(one.leaf.job for one, _ in lacking)} - {""}:
        if store.job(job) is None:
            store.add_job(JobRecord(job, digest({}), {}, b"", now, 0, CODE))
            ended.add(job)
    for job in sorted(ended):
        store.note(now, "job.finished", job, outcome=CODE)


def remember(store: RecordStore, lacking: Sequence[tuple[SignedLeaf, int]]) -> None:
    """Store the shown leaves until they are acted on; the caller's transaction."""
    known = {leaf.hash(): [leaf.json(), place] for leaf, place in (*remembered(store), *lacking)}
    store.set_fact(SHOWN, list(known.values()))


def remembered(store: RecordStore) -> list[tuple[SignedLeaf, int]]:
    """Return the leaves stored by `remember` that the record still lacks."""
    kept = [(leaf_from_json(leaf), int(place)) for leaf, place in store.fact(SHOWN) or ()]
    return [one for one in kept if not store.has_leaf(one[0].hash())]


def vanished_jobs(store: RecordStore) -> dict[str, str]:
    """Return job → spec digest of those of which the log showed own leaves and later did not.

    The leaves that it no longer shows may include the budget entry.
    """
    fact: dict[str, JSON] = store.fact(BEHIND) or {}
    return dict(fact.get("unsaid", {}))


def forgotten(record: JobRecord) -> bool:
    """Return whether only the job's id is known: it is over, and its approved spec is unknown."""
    return record.outcome == CODE and not record.spec


def add_missing_leaves(
    store: RecordStore, now: int, lacking: Sequence[tuple[SignedLeaf, int]]
) -> None:
    """Add own leaves of the log to the record; the caller's transaction."""
    fresh = [one for one in lacking if not store.has_leaf(one[0].hash())]
    for signed, place in fresh:
        add_missing_leaf(store, signed, place)
    if fresh:
        store.note(now, "record.taken_in", leaves=len(fresh))


def locked(store: RecordStore, domain: str) -> bool:
    """Return whether a privacy domain waits for its owner's statement."""
    return _locks(store.fact, domain) is not None


def _locks(facts: Callable[[str], JSON], domain: str) -> tuple[str, dict[str, JSON]] | None:
    """Return the fact that locks the domain; None if none does."""
    for name in (FACT, BEHIND):
        fact = facts(name)
        if fact is not None and domain not in fact.get("settled", ()):
            return name, fact
    return None


def check_unlocked(store: RecordStore, domain: str) -> None:
    """Refuse to spend from a domain whose spending since then was not stated.

    Raises:
        SecureFlowError: `budget_locked`.
    """
    refuse_locked(store.fact, domain)


def refuse_locked(facts: Callable[[str], JSON], domain: str) -> None:
    """Do the same by a record's facts, by name: of a record that another process has open.

    Raises:
        SecureFlowError: `budget_locked`.
    """
    lock = _locks(facts, domain)
    if lock is None:
        return
    name, fact = lock
    how = "continues with a record that was rolled back"
    if name == FACT:
        how = Text("was restored from a backup of {moment}", moment=moment(fact["taken_at"]))
    raise SecureFlowError(
        "budget_locked",
        Text(
            "The privacy budget of {domain} is locked: this agent {reason}, and what was "
            "spent since then is not known here.",
            domain=domain,
            reason=how,
        ),
        Text(
            "Its owner states what was spent: secureflow agent data settle {domain}.", domain=domain
        ),
        {"domain": domain},
    )


def settle(store: RecordStore, domain: str) -> None:
    """Record the owner's statement about a domain; the caller holds the transaction."""
    for name in (FACT, BEHIND):
        fact = store.fact(name)
        if fact is not None:
            store.set_fact(name, {**fact, "settled": sorted({*fact.get("settled", ()), domain})})


def _older(job: str, fact: Mapping[str, JSON]) -> SecureFlowError:
    return SecureFlowError(
        "restored_since",
        Text(
            "This agent was restored from a backup of {moment}; job {job} is older than "
            "the restore, and what was promised in it since is not known here.",
            moment=moment(fact["taken_at"]),
            job=job,
        ),
        "Submit a new job.",
        {"taken_at": fact["taken_at"], "restored_at": fact["restored_at"]},
    )


def moment(seconds: int) -> str:
    """Return unix seconds as a date for people."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def check_complete(store: RecordStore, organisation: str) -> None:
    """Refuse to continue if the log ever showed a budget leaf that the record lacks.

    Raises:
        SecureFlowError: `budget_rolled_back`.
    """
    for signed, _ in remembered(store):
        raise SecureFlowError(
            "budget_rolled_back",
            Text(
                "The log holds a budget entry of {organisation} (job {job}) that this agent's "
                "record lacks.",
                organisation=organisation,
                job=signed.leaf.job,
            ),
            "Put the newest record back. If it is lost, its owner states what was spent, with "
            "that job's bundle: secureflow agent data settle DOMAIN --bundle FILE.",
            {"job": signed.leaf.job, "leaf": signed.hash()},
        )
