"""How many ids others may test against this organisation's data, over all of them and all projects.

Guarantees, whenever the agent is killed and whatever the centre and the partners ask
(`engines.privacy.probing` counts, docs/psi-keys.md says what it is worth):
- lists that would bring a domain above its owner's limit are refused before anything runs;
- a list is on disk as tested before an engine starts: `begin` is one transaction, and repeating,
  killing or failing an attempt with the same committed lists costs nothing more, unless the list
  was tested to the end before;
- it is given back only if no engine started, and only by the process that reserved it;
- what the steps of a pipeline will test is set aside when it is approved, and given back at its end
  as far as no step drew it;
- each reservation is an own ledger leaf of the kind of budgets, so what finds a restored backup for
  them finds it here: nothing more is tested until the owner has stated what was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from secureflow.agent.activesettings import ActiveSettings
from secureflow.agent.owner.publications import Publication, keep_probed
from secureflow.agent.record.records import BUDGET, JobRecord
from secureflow.agent.record.restored import locked
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.witness import Witness
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import JobSpec
from secureflow.engines.privacy.probing import (
    PLANNED,
    Name,
    Probe,
    ProbingLedger,
    ProbingRule,
    chain_name,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_ROLLED_BACK: Final = "budget_rolled_back"


class Probing:
    """The probing limits of every privacy domain whose datasets declare one.

    Args:
        settings: the current declarations; limits are always the present ones, whatever a running
            job was approved under.
        store: the durable record.
        witness: signs leaves.
        reconcile: searches the log for own leaves that the record lacks (`Budgets.reconcile`).
        clock: unix seconds.
    """

    def __init__(
        self,
        settings: ActiveSettings,
        store: RecordStore,
        witness: Witness,
        reconcile: Callable[[], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._store = store
        self._witness = witness
        self._reconcile = reconcile
        self._clock = clock
        self._ledgers: dict[str, ProbingLedger] = {}
        self._mine: dict[str, frozenset[Name]] = {}
        """Domain → what this process reserved, where the ledger was dropped."""

    # --- before and during a job ---------------------------------------------------------------

    def left(self, dataset: DatasetConfig) -> int:
        """Return how many ids may still be tested against a dataset.

        Raises:
            SecureFlowError: `probing_undeclared`, `probing_locked`, `budget_rolled_back`.
        """
        domain = self._open(dataset)
        with self._store.transaction():
            return self._ledger(domain).left(self._clock())

    async def check(self, job: str, dataset: DatasetConfig, probes: Sequence[Probe]) -> int:
        """Return how many ids would be left after these lists; nothing is reserved.

        Raises:
            SecureFlowError: those of `left`, `probing_exceeded` naming what is left,
                `probing_conflict`.
        """
        domain = self._open(dataset)
        return await asyncio.to_thread(self._check, job, domain, probes)

    async def reserve(
        self, job: JobRecord, dataset: DatasetConfig, probes: Sequence[Probe]
    ) -> None:
        """Reserve the lists of an attempt; lists that this job named before count already.

        Args:
            job: approved.
            dataset: the one that it was approved for.
            probes: the committed list of every other party that learns which of its ids are here.

        Raises:
            SecureFlowError: those of `check`, those of the link.
        """
        await self.make_ready(dataset)
        await asyncio.to_thread(self._reserve, job, dataset, probes)

    async def make_ready(self, dataset: DatasetConfig) -> None:
        """Do everything before a reservation that takes time; see `reserve`."""
        domain = self._open(dataset)
        try:
            await self._reconcile()
        except SecureFlowError as error:
            if error.code != _ROLLED_BACK:
                raise
            hint = Text(
                "Put the newest record back. If it is lost, its owner states what was tested: "
                "secureflow agent probing settle {domain} --tested IDS.",
                domain=domain,
            )
            raise error.retold(error.message, hint) from error

    def reserve_now(self, job: JobRecord, dataset: DatasetConfig, probes: Sequence[Probe]) -> None:
        """Reserve in the caller's transaction, after `make_ready`; see `reserve`."""
        domain, now = self._open(dataset), self._clock()
        ledger, part_of = self._ledger(domain), job.spec.get("part_of") or {}
        if part_of.get("step"):
            if not ledger.draw(job.job, str(part_of["job"]), probes, now):
                return
        elif not ledger.reserve(job.job, probes, now):
            return
        keep_probed(self._store, dataset.name, domain)
        self._witness.leaf(BUDGET, job.job, job.digest, ledger.head)
        lists = [one.as_json() for one in probes]
        facts: dict[str, JSON] = {"domain": domain, "lists": lists, "remaining": ledger.left(now)}
        self._store.note(now, "probing.reserved", job.job, **facts)

    def begin(self, job: JobRecord, dataset: DatasetConfig, probes: Sequence[Probe]) -> None:
        """Count the lists of an attempt as tested: an engine is about to start; a transaction.

        Raises:
            SecureFlowError: `probing_conflict` for a list that is not reserved.
        """
        with self._store.transaction():
            self._ledger(self._domain(dataset)).commit(job.job, probes, self._clock())

    def found(self, job: JobRecord, dataset: DatasetConfig, probe: Probe) -> None:
        """Count a list with the length that the engine saw, if its party said less; a transaction.

        Raises:
            SecureFlowError: `probing_conflict` for a list that no attempt has begun with.
        """
        domain, now = self._domain(dataset), self._clock()
        with self._store.transaction():
            ledger = self._ledger(domain)
            if not ledger.exceed(job.job, probe, now):
                return
            self._witness.leaf(BUDGET, job.job, job.digest, ledger.head)
            self._store.note(now, "probing.longer", job.job, domain=domain,
                             **probe.as_json(), remaining=ledger.left(now))  # fmt: skip

    def ended(self, job: JobRecord, dataset: DatasetConfig, probe: Probe) -> None:
        """Record that a list was tested to the end, so that it counts again if it is named again.

        A transaction.

        Raises:
            SecureFlowError: `probing_conflict` for a list that no attempt has begun with.
        """
        with self._store.transaction():
            self._ledger(self._domain(dataset)).end(job.job, probe)

    def settle(self, job: JobRecord) -> None:
        """Give back what an ended job reserved and never began with; the caller's transaction."""
        if job.declared is None:
            return
        domain = self._domain(Publication.from_json(job.declared).dataset)
        planned = job.spec.get("steps") is not None  # what no step drew was tested by nobody
        if domain not in self._ledgers and not self._mine.get(domain) and not planned:
            return  # this process has reserved nothing, and only it could give anything back
        if planned and not self._store.budget_events(chain_name(domain)):
            return
        ledger, now = self._ledger(domain), self._clock()
        if ledger.void(job.job):
            self._store.note(
                now, "probing.voided", job.job, domain=domain, remaining=ledger.left(now)
            )

    # --- steps of a pipeline -------------------------------------------------------------------

    def planned(self, spec: JobSpec) -> list[Probe]:
        """Return what is set aside for the parts of a job before the first of them."""
        tests = spec.tests(self._settings.organisation)
        return [Probe(party, ids, PLANNED) for party, ids in sorted(tests.items())]

    async def expect(self, job: str, spec: JobSpec, publication: Publication | None) -> None:
        """Refuse a job whose parts would test more ids than are left, before anybody is asked.

        Of a job that was approved before, and is asked about again, they are set aside already.

        Raises:
            SecureFlowError: those of `check`; those of `make_ready`.
        """
        probes = self.planned(spec)
        if publication is None or not probes or self._store.job(job) is not None:
            return
        await self.make_ready(publication.dataset)
        await self.check(job, publication.dataset, probes)

    # --- the owner's ---------------------------------------------------------------------------

    def enter(self, domain: str, ids: int, now: int) -> int:
        """Count ids as tested by the owner's word; the caller's transaction. Return what is left.

        Raises:
            SecureFlowError: `probing_undeclared`.
        """
        self.rule(domain)
        ledger = self._ledger(domain)
        ledger.enter(ids, now)
        return ledger.left(now)

    def rule(self, domain: str) -> ProbingRule:
        """Return the limit of a domain, as a dataset currently declares it.

        Raises:
            SecureFlowError: `probing_undeclared`.
        """
        found = self._declared(domain)
        if found is None:
            raise SecureFlowError(
                "probing_undeclared",
                Text(
                    "{organisation} has declared no limit of ids that others may test against "
                    "{domain}.",
                    organisation=self._settings.organisation,
                    domain=domain,
                ),
                Text(
                    "Ask {organisation} to declare `probing: {{limit: IDS}}` of the dataset in its "
                    "agent.yaml.",
                    organisation=self._settings.organisation,
                ),
                {"domain": domain},
            )
        return found

    def changes(self, datasets: Sequence[DatasetConfig]) -> list[dict[str, JSON]]:
        """Return the limits that these declarations would change: `{domain, before, after, grows}`.

        A limit and a window are an object each; a shorter window grows what may be tested.
        """
        changes = {}
        for one in datasets:
            kept = self._kept(one.domain) or self._declared(one.domain)
            if one.probing is None or kept is None:
                continue
            rule = ProbingRule(one.domain, one.probing.limit, one.probing.window)
            if kept != rule:
                shorter = rule.window is not None and (
                    kept.window is None or rule.window < kept.window
                )
                changes[one.domain] = {
                    "domain": one.domain,
                    "before": {"limit": kept.limit, "window": kept.window},
                    "after": {"limit": rule.limit, "window": rule.window},
                    "grows": rule.limit > kept.limit or shorter,
                }
        return [changes[domain] for domain in sorted(changes)]

    def take_limits(self, changes: Sequence[dict[str, JSON]], now: int) -> None:
        """Append changed limits, which are now declared, to their domains' chains.

        The next own leaf commits to them, and they are in the agent's log (`probing.limit`).
        """
        if not changes:
            return
        with self._store.transaction():
            for one in changes:
                self._ledger(str(one["domain"]))
                self._store.note(now, "probing.limit", "", **one)

    async def report(self) -> list[dict[str, JSON]]:
        """Return every declared domain's limit, what of it is tested and remains, and the lists."""
        return await asyncio.to_thread(self._report)

    # --- parts ---------------------------------------------------------------------------------

    def _report(self) -> list[dict[str, JSON]]:
        now, rows = self._clock(), []
        for domain in sorted({one.domain for one in self._settings.datasets if one.probing}):
            with self._store.transaction():
                ledger = self._ledger(domain)
                rows.append(
                    {
                        "domain": domain,
                        "limit": ledger.rule.limit,
                        "window": ledger.rule.window,
                        "tested": ledger.tested(now),
                        "remaining": ledger.left(now),
                        "locked": locked(self._store, chain_name(domain)),
                        "lists": ledger.lists(),
                    }
                )
        return rows

    def _check(self, job: str, domain: str, probes: Sequence[Probe]) -> int:
        with self._store.transaction():
            return self._ledger(domain).check(job, probes, self._clock())

    def _reserve(self, job: JobRecord, dataset: DatasetConfig, probes: Sequence[Probe]) -> None:
        with self._store.transaction():
            self.reserve_now(job, dataset, probes)

    def _open(self, dataset: DatasetConfig) -> str:
        """Return a dataset's domain, if ids may be tested against it.

        Raises:
            SecureFlowError: `probing_undeclared`, `probing_locked`.
        """
        domain = self.rule(self._domain(dataset)).domain
        if not locked(self._store, chain_name(domain)):
            return domain
        raise SecureFlowError(
            "probing_locked",
            Text(
                "No ids may be tested against {domain} of {organisation}: its agent's record was "
                "restored or rolled back, and what was tested since is not known there.",
                domain=domain,
                organisation=self._settings.organisation,
            ),
            Text(
                "Its owner states what was tested: secureflow agent probing settle {domain} "
                "--tested IDS.",
                domain=domain,
            ),
            {"domain": domain},
        )

    def _domain(self, dataset: DatasetConfig) -> str:
        """Return a dataset's domain: as declared now, else as it was when its job was approved.

        A limit may have been declared after the approval; a domain with one never changes.
        """
        now = (one for one in self._settings.datasets if one.name == dataset.name and one.probing)
        return next(now, dataset).domain

    def _ledger(self, domain: str) -> ProbingLedger:
        """Return the domain's ledger; the caller holds the transaction.

        If its transaction does not commit, it is dropped and read from the record again. What this
        process reserved before stays its own: a mere refusal ends a transaction, too.
        """
        self._store.undo(lambda: self._drop(domain))
        rule = self._declared(domain) or self._kept(domain) or self.rule(domain)
        if domain not in self._ledgers:
            chain = chain_name(domain)
            events = self._store.budget_events(chain)
            ledger = ProbingLedger(
                rule,
                events,
                lambda event: self._store.add_budget_event(chain, event),
                self._mine.get(domain, frozenset()),
            )
            documents = (one.bundle.get("document") for one in self._store.leaves_of(BUDGET))
            known = [one for one in documents if one]  # those read from the log have no document
            ledger.reconcile(known)
            self._ledgers[domain] = ledger
        self._ledgers[domain].change_rule(rule)
        return self._ledgers[domain]

    def _drop(self, domain: str) -> None:
        """Forget a ledger; of what it says was reserved, the record says whether it was."""
        ledger = self._ledgers.pop(domain, None)
        if ledger is not None:
            self._mine[domain] = ledger.reserved()

    def _declared(self, domain: str) -> ProbingRule | None:
        """Return the limit in the current settings."""
        declared = (one.probing for one in self._settings.datasets if one.domain == domain)
        found = next((one for one in declared if one), None)
        return None if found is None else ProbingRule(domain, found.limit, found.window)

    def _kept(self, domain: str) -> ProbingRule | None:
        """Return the newest limit on record."""
        events = self._store.budget_events(chain_name(domain))
        limits = [one for one in events if one["kind"] == "limit"]
        return ProbingRule.from_json(limits[-1]) if limits else None
