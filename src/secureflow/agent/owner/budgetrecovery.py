"""The owner states what a restored agent's privacy domain has spent since the backup.

The record does not contain it, and the log shows it only as far as the centre shows the log. So
nothing is spent until the owner has stated it, and what can be found does not depend on the owner's
memory: own budget leaves whose contents the record lacks name jobs whose audit bundles must be
given. Each is charged with its whole plan, which is never less than its cost.

Leaves that the log shows are added before anything is asked or refused, and count from then on,
whether or not the log still shows them: a centre can lose them, and hide them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from secureflow.agent.owner.budgets import LEAF, Budgets
from secureflow.agent.record.ownleaves import own_leaves
from secureflow.agent.record.restored import (
    accept_rollback,
    add_missing_leaves,
    expects_older,
    locked,
    mark_checked,
    remembered,
    settle,
    vanished_jobs,
)
from secureflow.agent.record.store import RecordStore
from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import JobSpec, spec_digest
from secureflow.engines.ledger.leaves import SignedLeaf, leaf_from_json
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

READ_WITHIN: Final = 540.0
"""Seconds for reading the log; the owner's command waits for 600."""


@dataclass(frozen=True)
class _Given:
    """A job, as given in a bundle."""

    job: str
    digest: str
    spec: JobSpec


class BudgetRecovery:
    """Charges what was spent since a backup, and unlocks domains.

    Args:
        budgets: of this agent.
        store: its record.
        party: organisation slug.
        key: its public signing key.
        call: asks the centre (`audit.head`, `audit.entries`).
        clock: unix seconds.
    """

    def __init__(
        self,
        budgets: Budgets,
        store: RecordStore,
        party: str,
        key: str,
        call: Callable[[str, dict[str, JSON]], Awaitable[JSON]],
        clock: Clock,
    ) -> None:
        self._budgets = budgets
        self._store = store
        self._party = party
        self._key = key
        self._call = call
        self._clock = clock

    async def settle(self, domain: str, bundles: Sequence[Mapping[str, JSON]]) -> dict[str, JSON]:
        """Charge the bundles' jobs to a domain and unlock it; all or nothing.

        Own entries that the log shows stay in the record even if this is refused.

        Returns:
            The `domain` and the `jobs` charged to it.

        Raises:
            SecureFlowError: `budget_not_locked`, `budget_undeclared`, `bundle_missing` naming jobs
                in which own entries were signed, `spec_digest_mismatch`, `budget_exceeded`: then
                the domain stays locked; `invalid_file`, `server_unreachable`.
        """
        self._budgets.declared_policy(domain)
        given = {one.job: one for one in map(self._read, bundles)}
        await self.take_in()
        self._check(domain, given)
        mine = _without_parts(
            {job: one for job, one in given.items() if self._budgets.domain_of(one.spec) == domain}
        )
        await self._budgets.precompute_curves(domain, list(mine.values()))
        await asyncio.to_thread(self._charge, domain, given, mine)
        return {"domain": domain, "jobs": sorted(mine)}

    async def take_in(self) -> list[str]:
        """Add own entries that the log shows and the record lacks.

        Returns:
            The jobs that may have spent what the record does not know of.

        Raises:
            SecureFlowError: `server_unreachable`; those of the link.
        """
        await asyncio.to_thread(self._take_in, await self._shown())
        return sorted(self._unknown())

    def _read(self, bundle: Mapping[str, JSON]) -> _Given:
        job, spec = bundle.get("job"), bundle.get("spec")
        if not isinstance(job, str) or not isinstance(spec, dict):
            raise SecureFlowError(
                "invalid_file",
                "This is not an audit bundle: it names no job and spec.",
                "Use what `secureflow job bundle JOB --save FILE` writes.",
            )
        parsed = self._budgets.kinds.specs.parse(spec, stored=True)
        if self._party not in parsed.parties:
            raise SecureFlowError(
                "not_a_member",
                Text("{party} is not on the roster of job {job}.", party=self._party, job=job),
                "Give the bundles of jobs in which this organisation took part.",
            )
        return _Given(job, digest(spec), parsed)

    async def _shown(self) -> list[tuple[SignedLeaf, int]]:
        """Return own leaves, shown by the log now or to a job earlier, that the record lacks."""
        try:
            async with asyncio.timeout(READ_WITHIN):
                return await self._read_log()
        except TimeoutError as error:
            raise SecureFlowError(
                "server_unreachable",
                Text(
                    "The centre does not show its whole log within {read_within:.0f} s.",
                    read_within=READ_WITHIN,
                ),
                "Check the connection with secureflow agent doctor; then settle again.",
            ) from error

    async def _read_log(self) -> list[tuple[SignedLeaf, int]]:
        lacking = {one[0].hash(): one for one in remembered(self._store)}
        async for page, _ in own_leaves(self._call, self._store, self._party, self._key):
            for leaf, place in page:
                if not self._store.has_leaf(leaf.hash()):
                    lacking[leaf.hash()] = (leaf, place)
        return sorted(lacking.values(), key=lambda one: one[1])

    def _take_in(self, shown: Sequence[tuple[SignedLeaf, int]]) -> None:
        """Complete the chain; missing leaves, unless expected after a restore, mean a rollback."""
        store, now = self._store, self._clock()
        with store.transaction():
            lacking = [one for one in shown if not store.has_leaf(one[0].hash())]
            if expects_older(store):
                mark_checked(store)
                add_missing_leaves(store, now, lacking)
            elif lacking:
                accept_rollback(store, now, lacking)

    def _check(self, domain: str, given: Mapping[str, _Given]) -> None:
        if not locked(self._store, domain):
            raise SecureFlowError(
                "budget_not_locked",
                Text("The privacy budget of {domain} is not locked.", domain=domain),
                "secureflow agent data budget shows every domain.",
            )
        _check_complete(self._unknown(), given)

    def _charge(
        self, domain: str, given: Mapping[str, _Given], jobs: Mapping[str, JobSpec]
    ) -> None:
        with self._store.transaction():
            self._check(domain, given)  # again: the command may have been given twice at once
            for job, spec in jobs.items():
                self._budgets.charge_in_full(domain, job, spec)
            settle(self._store, domain)
            self._store.note(self._clock(), "budget.settled", "", domain=domain, jobs=sorted(jobs))

    def _unknown(self) -> dict[str, str]:
        """Return job → spec digest of those that may have spent what the record lacks."""
        leaves = (one.bundle for one in self._store.leaves_of(LEAF))
        unread = [leaf_from_json(one["leaf"]).leaf for one in leaves if not one.get("document")]
        return {**vanished_jobs(self._store), **{leaf.job: leaf.spec for leaf in unread}}


def _without_parts(given: Mapping[str, _Given]) -> dict[str, JobSpec]:
    """Return the jobs to charge: a whole is charged with its parts, so it pays for them.

    A bundle says whose part its job is, and anybody can write the whole's. So the whole must be
    charged as well, and its spec must list this very job.
    """
    paid = {
        (part_id(job, number), spec_digest(part))
        for job, one in given.items()
        for number, part in enumerate(one.spec.parts(job), 1)
    }
    return {job: one.spec for job, one in given.items() if (job, one.digest) not in paid}


def _check_complete(unknown: Mapping[str, str], given: Mapping[str, _Given]) -> None:
    missing = sorted(set(unknown) - set(given))
    if missing:
        raise SecureFlowError(
            "bundle_missing",
            Text(
                "The record does not know what these jobs spent, in which this "
                "organisation signed entries: {missing}.",
                missing=", ".join(missing[:20]),
            ),
            "Give the audit bundle of each: secureflow job bundle JOB --save FILE. For a job "
            "that the centre lost, use another member's secureflow agent inbox show ID -o json.",
            {"jobs": missing},
        )
    for job, spec in unknown.items():
        if spec and given[job].digest != spec:
            raise SecureFlowError(
                "spec_digest_mismatch",
                Text(
                    "The bundle of {job} holds another spec than the one that was approved here.",
                    job=job,
                ),
                "Use the bundle of another member.",
            )
