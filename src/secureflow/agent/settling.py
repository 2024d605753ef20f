"""The owner's word on a privacy domain of a restored agent: what was spent since the backup.

The record does not know it, and the log tells it only as far as the centre shows it. So nothing is
spent until the owner has spoken, and what can be found is not left to the owner's memory: own
budget leaves that the log holds and the record lacks name jobs whose audit bundles must be given.
Each is charged with its whole plan, which is never less than what it cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secureflow.agent.budgets import LEAF, Budgets
from secureflow.agent.logged import own_leaves
from secureflow.agent.restored import (
    expects_older,
    go_on_behind,
    locked,
    settle,
    take_all_in,
)
from secureflow.agent.store import Store
from secureflow.domain.jobspecs import JobSpec, parse_spec
from secureflow.engines.ledger.leaves import SignedLeaf
from secureflow.kit.canonical import digest
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError

JSON = Any


@dataclass(frozen=True)
class _Given:
    """A job, as a bundle tells it."""

    job: str
    digest: str
    spec: JobSpec


class Settling:
    """Charges what was spent since a backup, and unlocks domains.

    Args:
        budgets: of this agent.
        store: its record.
        party: organisation slug.
        key: its public signing key.
        call: asks the centre (`audit.entries`).
        clock: unix seconds.
    """

    def __init__(
        self,
        budgets: Budgets,
        store: Store,
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
        """Charge the bundles' jobs to a domain and unlock it; all of it or nothing.

        Returns:
            The `domain` and the `jobs` that it was charged for.

        Raises:
            SecureFlowError: `budget_not_locked`, `budget_undeclared`, `bundle_missing` naming jobs
                of which the log holds entries, `spec_digest_mismatch`, `budget_exceeded`: then the
                domain stays locked; `invalid_file`.
        """
        found, lost = await self._lost()
        shown = any(one.leaf.kind == LEAF for one, _ in lost)  # the log shows that it was set back
        if not shown and not locked(self._store, domain):
            raise SecureFlowError(
                "budget_not_locked",
                f"The privacy budget of {domain} is not locked.",
                "secureflow agent data budget shows every domain.",
            )
        given = {one.job: one for one in map(self._read, bundles)}
        _check_complete(found, given)
        mine = {
            job: one.spec
            for job, one in given.items()
            if self._budgets.domain_of(one.spec) == domain
        }
        await self._budgets.foreknow(domain, list(mine.values()))
        await asyncio.to_thread(self._charge, domain, mine, lost)
        return {"domain": domain, "jobs": sorted(mine)}

    def _read(self, bundle: Mapping[str, JSON]) -> _Given:
        job, spec = bundle.get("job"), bundle.get("spec")
        if not isinstance(job, str) or not isinstance(spec, dict):
            raise SecureFlowError(
                "invalid_file",
                "What was given is no audit bundle: it names no job and spec.",
                "Take what `secureflow job bundle JOB --save FILE` writes.",
            )
        parsed = parse_spec(spec, stored=True)
        if self._party not in parsed.parties:
            raise SecureFlowError(
                "not_a_member",
                f"{self._party} is not on the roster of job {job}.",
                "Give the bundles of jobs in which this organisation took part.",
            )
        return _Given(job, digest(spec), parsed)

    async def _lost(self) -> tuple[dict[str, SignedLeaf], list[tuple[SignedLeaf, int]]]:
        """Return job → own budget leaf, for those that the record lacks or cannot read, and every
        own leaf that it lacks: taken in, they make the chain whole again.
        """
        kept = self._store.leaves_of(LEAF)
        unread = {leaf.hash for leaf in kept if not leaf.bundle.get("document")}
        found: dict[str, SignedLeaf] = {}
        lost: list[tuple[SignedLeaf, int]] = []
        async for page, _ in own_leaves(self._call, self._party, self._key):
            for leaf, place in page:
                known = self._store.has_leaf(leaf.hash())
                lost += [] if known else [(leaf, place)]
                if leaf.leaf.kind == LEAF and (not known or leaf.hash() in unread):
                    found[leaf.leaf.job] = leaf
        return found, lost

    def _charge(
        self, domain: str, jobs: Mapping[str, JobSpec], leaves: Sequence[tuple[SignedLeaf, int]]
    ) -> None:
        with self._store.transaction():
            self._take_in(domain, leaves)
            for job, spec in jobs.items():
                self._budgets.charge_whole(domain, job, spec)
            settle(self._store, domain)
            self._store.note(self._clock(), "budget.settled", "", domain=domain, jobs=sorted(jobs))

    def _take_in(self, domain: str, leaves: Sequence[tuple[SignedLeaf, int]]) -> None:
        """Make the chain whole; where nothing was said of it yet, the record was set back."""
        store, now = self._store, self._clock()
        lacking = [one for one in leaves if not store.has_leaf(one[0].hash())]
        if expects_older(store):
            take_all_in(store, now, lacking)
        elif lacking or not locked(store, domain):
            go_on_behind(store, now, lacking)


def _check_complete(found: Mapping[str, SignedLeaf], given: Mapping[str, _Given]) -> None:
    missing = sorted(set(found) - set(given))
    if missing:
        raise SecureFlowError(
            "bundle_missing",
            f"The log holds own budget entries of jobs that the record does not know: "
            f"{', '.join(missing[:20])}.",
            "Give the audit bundle of each: secureflow job bundle JOB --save FILE.",
            {"jobs": missing},
        )
    for job, leaf in found.items():
        if given[job].digest != leaf.leaf.spec:
            raise SecureFlowError(
                "spec_digest_mismatch",
                f"The bundle of {job} holds another spec than the one that was approved here.",
                "Take the bundle from another member.",
            )
