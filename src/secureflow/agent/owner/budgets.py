"""The privacy budgets of this organisation's data: reserve before running, spend before reading.

Guarantees, whenever the agent is killed and whatever the centre asks:
- a job whose noise would raise a domain above its owner's limit is refused before anything runs;
- the charge is on disk before the first row is read: it becomes *spent* in the transaction that
  records "rows are about to be read for (job, round, stage)". That record is made once, only for
  places in the approved plan: repeating, killing or failing a round costs nothing more;
- it is given back only if no row was read, and only by the process that reserved it; after a
  restart an open reservation counts as spent. A job that ends early is charged for the rounds for
  which rows were read, whether or not they succeeded;
- each reservation is an own ledger leaf. Before a process first reserves, it searches the log for
  own leaves that its record lacks: if there are any, a backup was restored, and nothing more is
  spent.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from secureflow.agent.activesettings import ActiveSettings
from secureflow.agent.owner.accounting import (
    Accounting,
    check_ceiling,
    composed,
    kept_epsilon,
    privacy_required,
    row_count_private,
)
from secureflow.agent.owner.publications import Publication
from secureflow.agent.owner.reconciling import Reconciliation
from secureflow.agent.record.going import check_going
from secureflow.agent.record.records import JobRecord
from secureflow.agent.record.restored import check_unlocked, locked
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.witness import DEFERRED, Witness
from secureflow.domain.budgets import unit_mismatch
from secureflow.domain.schemas import DatasetConfig, DatasetPrivacy
from secureflow.domain.specs.base import JobSpec, brings_rows, dataset_name
from secureflow.domain.specs.contributors import any_contributes
from secureflow.engines.kinds import ENGINE_KINDS
from secureflow.engines.privacy import BudgetLedger, Charge, Limit, epsilon, unit_fixed
from secureflow.engines.privacy.accounting import Conversion
from secureflow.engines.run.kind import EngineKinds
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

LEAF: Final = DEFERRED


class Budgets:
    """The budgets of every privacy domain that the agent's datasets declare.

    Args:
        settings: the current declarations; limits are always the present ones, whatever a running
            job was approved under.
        store: the durable record.
        witness: signs leaves.
        key: this organisation's public signing key.
        accounting: computes ε in another process.
        call: asks the centre (`audit.head`, `audit.entries`).
        kinds: the engines' part of each kind of job.
    """

    def __init__(
        self,
        settings: ActiveSettings,
        store: RecordStore,
        witness: Witness,
        key: str,
        accounting: Accounting,
        call: Callable[[str, Mapping[str, JSON]], Awaitable[JSON]],
        kinds: EngineKinds = ENGINE_KINDS,
    ) -> None:
        self.kinds = kinds
        self._settings = settings
        self._store = store
        self._witness = witness
        self._accounting = accounting
        self._ledgers: dict[str, BudgetLedger] = {}
        self._reconciliation = Reconciliation(store, settings.organisation, key, LEAF, call)

    async def expected_epsilon(self, job: str, spec: JobSpec) -> float | None:
        """Return the job's ε at the owner's δ, for policies and people; None without DP.

        The submitter chooses the δ of the job, and could use it to make the job's ε look small.

        Raises:
            SecureFlowError: `privacy_required`, `budget_undeclared`, `budget_unit_mismatch`,
                `row_count_private`, `budget_exceeded`, `contradictory_spec` for a job above its
                own ceiling.
        """
        policy = self._policy(spec)
        if policy is None or spec.privacy is None:
            return None
        check_unlocked(self._store, policy.domain)
        wanted = self._charge(spec)
        await self._learn(policy, wanted)
        check_ceiling(job, spec.privacy, wanted)
        await asyncio.to_thread(self._check, job, spec, policy, wanted)
        return epsilon(wanted, policy.delta)

    def epsilon_of(self, job: str, part: JobSpec) -> float | None:
        """Return what a part of a job costs at the owner's δ, once the job's own cost is known.

        Raises:
            SecureFlowError: `contradictory_spec` for a part above its own ceiling.
        """
        policy = self._policy(part)
        if policy is None or part.privacy is None:
            return None
        wanted = self._charge(part)
        check_ceiling(job, part.privacy, wanted)
        return epsilon(wanted, policy.delta)

    async def reserve(self, job: JobRecord, spec: JobSpec) -> None:
        """Reserve the job's whole charge, once; a repeated job continues under it.

        A part's charge is drawn from what was reserved for the job that starts it.

        Raises:
            SecureFlowError: those of `expected_epsilon`; `budget_rolled_back`, `budget_conflict`
                for a job whose reservation was given back, and for a part of which nothing is left.
        """
        await self.make_ready(spec, job)
        await asyncio.to_thread(self._reserve, job, spec)

    async def reconcile(self) -> None:
        """Refuse to spend on a record that lacks own leaves of the log (`budget_rolled_back`)."""
        await self._reconciliation.ensure()

    async def make_ready(self, spec: JobSpec, job: JobRecord | None = None) -> None:
        """Do everything before a reservation that takes time; see `reserve`."""
        policy = self._policy(spec, job)
        if policy is None:
            return
        check_unlocked(self._store, policy.domain)
        await self.reconcile()
        await self._learn(policy, self._charge(spec))

    def reserve_now(self, job: JobRecord, spec: JobSpec) -> None:
        """Reserve in the caller's transaction, after `make_ready`; see `reserve`."""
        policy = self._policy(spec, job)
        if policy is None:
            return
        ledger, wanted = self._ledger(policy), self._charge(spec)
        state = ledger.state_of(job.job)
        if state in {"committed", "unknown"}:
            # Updates are drawn from stored seeds, sums are stored themselves: sending them
            # again reveals nothing new.
            return
        if spec.part_of is None:
            ledger.reserve(job.job, job.job, wanted)
        else:
            ledger.draw(job.job, spec.part_of.job, wanted)
        if state is None:
            self._witness.leaf(LEAF, job.job, job.digest, ledger.head)

    def begin_reading(self, job: JobRecord, place: tuple[int, str], model: str) -> None:
        """Record that rows are about to be read for a (round, stage), and spend its charge.

        The same place again, from the same model, is the same reading.

        Raises:
            SecureFlowError: `update_already_sealed` for another model: each would be another
                question on the same charge; `budget_conflict`.
        """
        store = self._store
        with store.transaction():
            check_going(store.job(job.job))
            known = store.reading(job.job, *place)
            if known is None:
                store.add_reading(job.job, *place, model)
            elif known != model:
                raise SecureFlowError(
                    "update_already_sealed",
                    Text(
                        "Rows were read for round {round} ({stage}) of {job} from another model.",
                        round=place[0],
                        stage=place[1],
                        job=job.job,
                    ),
                    "A round has one model and one update of each party: the centre shows two "
                    "models.",
                    {"trained": known, "shown": model},
                )
            self.spend(job)

    def spend(self, job: JobRecord) -> None:
        """Mark the charge of the read rounds as spent; the caller's transaction.

        Raises:
            SecureFlowError: `budget_conflict` if that is more than is reserved.
        """
        spec = self._private_spec(job)
        policy = self._policy(spec, job)
        if spec is None or policy is None:
            return
        ledger = self._ledger(policy)
        if not ledger.covers(job.job, self._charge(spec, self._read(job))):
            raise SecureFlowError(
                "budget_conflict",
                Text(
                    "No reservation in {domain} pays for reading rows for {job}.",
                    domain=policy.domain,
                    job=job.job,
                ),
                "The job's charge was settled or given back: submit a new job.",
            )
        if ledger.state_of(job.job) != "committed":
            ledger.commit(job.job)

    def settle(self, job: JobRecord) -> None:
        """Charge an ended job for the rounds that read rows; the caller's transaction.

        A job that read none is given its charge back if this process reserved it; otherwise the
        charge stays spent.
        """
        spec = self._private_spec(job)
        policy = self._policy(spec, job)
        if spec is None or policy is None:
            return
        ledger = self._ledger(policy)
        state = ledger.state_of(job.job)
        released = self._charge(spec, self._read(job))
        if state == "committed" or (state == "unknown" and spec.parts(job.job)):
            # What no part drew was read by nobody, after a restart too: a part draws first.
            ledger.commit(job.job, released)
        elif state == "reserved" and not released:
            ledger.void(job.job)

    def kept_epsilon(self, job: JobRecord) -> float | None:
        """Return ε at the owner's δ of a settled job's charge; None if that is not known here."""
        spec = self._private_spec(job)
        policy = self._policy(spec, job)
        if spec is None or policy is None:
            return None
        if spec.times is not None:  # what its runs drew, by those that were approved
            drawn = self._charge(spec.parts("")[0]) * self._store.count_parts(job.job)
            return epsilon(drawn, policy.delta) if drawn else 0.0
        if spec.parts(job.job):
            return None
        state = self._ledger(policy).state_of(job.job)
        return kept_epsilon(state, self._charge(spec, self._read(job)), policy.delta)

    def committed(self, job: JobRecord) -> tuple[Limit, float] | None:
        """Return the limit of a job's domain and the ε spent of it; the caller's transaction."""
        policy = self._policy(self._private_spec(job), job)
        found = None if policy is None else self._ledger(policy)
        spent = None if found is None else composed(found.committed, found.limit.delta)
        return None if found is None or spent is None else (found.limit, spent)

    # The spending that a restored agent's owner states (`agent.owner.budgetrecovery`).

    def domain_of(self, spec: JobSpec) -> str | None:
        """Return the domain that a job is charged to; None without differential privacy."""
        policy = self._policy(spec)
        return None if policy is None else policy.domain

    async def precompute_curves(
        self, domain: str, specs: Sequence[JobSpec], more: Charge = ()
    ) -> None:
        """Precompute every curve that charging these jobs, or this, to a domain needs.

        Raises:
            SecureFlowError: `budget_undeclared` for a domain that no dataset declares.
        """
        wanted = tuple(one for spec in specs for one in self._charge(spec))
        await self._learn(self.declared_policy(domain), (*wanted, *more))

    def charge_in_full(self, domain: str, job: str, spec: JobSpec) -> None:
        """Charge a job's whole plan, as spent, unconditionally; the caller's transaction.

        Raises:
            SecureFlowError: `budget_exceeded`.
        """
        self._ledger(self.declared_policy(domain)).enter(job, self._charge(spec))

    def declared_policy(self, domain: str) -> DatasetPrivacy:
        """Return the budget of a domain, as a dataset currently declares it.

        Raises:
            SecureFlowError: `budget_undeclared`.
        """
        found = self._declaring(domain)
        if found is None:
            raise SecureFlowError(
                "budget_undeclared",
                Text(
                    "No dataset in agent.yaml declares the privacy domain {domain}.", domain=domain
                ),
                "Declare the dataset again as it was, then settle its domain.",
                {"domain": domain},
            )
        return found

    def changes(self, datasets: Sequence[DatasetConfig]) -> list[dict[str, JSON]]:
        """Return the limits that these declarations would change: `{domain, before, after, grows}`.

        Raises:
            SecureFlowError: `budget_unit_fixed`.
        """
        changes = {}
        for policy in (one.privacy for one in datasets if one.privacy):
            kept = self._kept_limit(policy.domain) or self._declared_limit(policy.domain)
            if kept is not None and kept.unit != policy.unit:
                raise unit_fixed(policy.domain, kept.unit, policy.unit)
            if kept is not None and (kept.epsilon, kept.delta) != (policy.epsilon, policy.delta):
                changes[policy.domain] = {
                    "domain": policy.domain,
                    "before": {"epsilon": kept.epsilon, "delta": kept.delta},
                    "after": {"epsilon": policy.epsilon, "delta": policy.delta},
                    "grows": policy.epsilon > kept.epsilon or policy.delta > kept.delta,
                }
        return [changes[domain] for domain in sorted(changes)]

    def take_limits(self, changes: Sequence[Mapping[str, JSON]], now: int) -> None:
        """Append changed limits, which are now declared, to their domains' chains.

        The next own leaf commits to them, and they are in the agent's log (`budget.limit`).
        """
        if not changes:
            return
        declared = {one.privacy.domain: one.privacy for one in self._settings.datasets
                    if one.privacy}  # fmt: skip
        with self._store.transaction():
            for one in changes:
                self._ledger(declared[one["domain"]])
                self._store.note(now, "budget.limit", "", **one)

    async def report(self, *, exact: bool = True) -> list[dict[str, JSON]]:
        """Return every domain's limit, ε spent by each conversion, and reservations.

        Without `exact`, ε by privacy loss distribution, which may take seconds, is omitted.
        """
        policies = {one.privacy.domain: one for one in self._settings.datasets if one.privacy}
        budgets = []
        for domain, dataset in sorted(policies.items()):
            if (policy := dataset.privacy) is None:
                continue
            limit, charges, ran, reservations = await asyncio.to_thread(self._shown, policy)
            spent = await self._spent(charges, policy.delta, exact)
            budgets.append(
                {
                    **limit,
                    "spent": spent["rdp-filter"],
                    "committed": (await self._spent(ran, policy.delta, False))["rdp-filter"],
                    "epsilon_spent": spent,
                    "reservations": reservations,
                    "locked": locked(self._store, domain),
                }
            )
        return budgets

    async def after(self, policy: DatasetPrivacy, spec: JobSpec) -> float:
        """Return ε of a domain by `rdp-filter` if the job's whole charge were added to it."""
        charges = (*await asyncio.to_thread(self._charges, policy), *self._charge(spec))
        return float((await self._spent(charges, policy.delta, exact=False))["rdp-filter"])

    async def _spent(self, charges: Charge, delta: float, exact: bool) -> dict[str, JSON]:
        if exact:
            return await self._accounting.spent([one.as_json() for one in charges], delta)
        await self._accounting.learn(charges)
        names: tuple[Conversion, ...] = ("rdp-cks20", "rdp-filter")
        return {name: epsilon(charges, delta, name) if charges else 0.0 for name in names}

    def _policy(self, spec: JobSpec | None, job: JobRecord | None = None) -> DatasetPrivacy | None:
        """Return the budget that a job is charged to: as declared when it was approved, or now."""
        if spec is None or not brings_rows(spec, self._settings.organisation):
            return None
        if spec.all_private and not any_contributes(spec):
            return None  # nothing that depends on rows leaves
        name = dataset_name(spec, self._settings.organisation)
        policy = self._declared(name, job).privacy
        if spec.privacy is None:
            if policy is not None and policy.required:
                raise privacy_required(self._settings.organisation, name)
            return None
        if policy is None:
            raise SecureFlowError(
                "budget_undeclared",
                Text(
                    "{organisation} has declared no privacy budget for {name}.",
                    organisation=self._settings.organisation,
                    name=name,
                ),
                Text(
                    "Ask {organisation} to declare `privacy: {{domain, unit, epsilon, delta}}` of "
                    "the dataset in its agent.yaml.",
                    organisation=self._settings.organisation,
                ),
                {"dataset": name},
            )
        if policy.unit != spec.privacy.unit:
            code = spec.bundle is not None
            whose = self._settings.organisation, name
            raise unit_mismatch(*whose, policy.unit, spec.privacy.unit, code=code)
        if spec.tells_rows and not policy.tells_rows:
            raise row_count_private(self._settings.organisation, name)
        return policy

    def _declared(self, name: str, job: JobRecord | None) -> DatasetConfig:
        if job is None or job.declared is None:
            return self._settings.dataset(name)
        return Publication.from_json(job.declared).dataset

    def _charge(self, spec: JobSpec, read: Mapping[str, int] | None = None) -> Charge:
        return self.kinds.of(spec).charge(spec, read)

    def _private_spec(self, job: JobRecord) -> JobSpec | None:
        """Return the spec of a job with differential privacy."""
        if job.spec.get("privacy") is None:
            return None
        return self.kinds.specs.parse(job.spec, stored=True)

    def _read(self, job: JobRecord) -> Counter[str]:
        """Return the number of rounds of each stage for which rows were read.

        Rounds on record count too: earlier versions recorded no readings.
        """
        places = {(one.round, one.stage) for one in self._store.rounds(job.job)}
        return Counter(stage for _, stage in places.union(self._store.readings(job.job)))

    async def _learn(self, policy: DatasetPrivacy, wanted: Charge) -> None:
        """Precompute every curve that the filter will need: it runs inside a transaction."""
        charges = await asyncio.to_thread(self._charges, policy)
        await self._accounting.learn((*charges, *wanted))

    def _charges(self, policy: DatasetPrivacy) -> Charge:
        with self._store.transaction():
            return self._ledger(policy).charges

    def _check(self, job: str, spec: JobSpec, policy: DatasetPrivacy, wanted: Charge) -> None:
        with self._store.transaction():
            ledger = self._ledger(policy)
            if ledger.state_of(job) is None and spec.part_of is None:  # a part's is reserved
                ledger.check(job, wanted)

    def _reserve(self, job: JobRecord, spec: JobSpec) -> None:
        with self._store.transaction():
            self.reserve_now(job, spec)

    def _shown(self, policy: DatasetPrivacy) -> tuple[dict[str, JSON], Charge, Charge, list[JSON]]:
        with self._store.transaction():
            found = self._ledger(policy)
            return found.limit.as_json(), found.charges, found.committed, found.reservations()

    def _ledger(self, policy: DatasetPrivacy) -> BudgetLedger:
        """Return the domain's ledger; the caller holds the transaction.

        If its transaction does not commit, it is dropped and read from the record again.
        """
        domain = policy.domain
        self._store.undo(lambda: self._ledgers.pop(domain, None))
        limit = self._limit(policy)
        if domain not in self._ledgers:
            events = self._store.budget_events(domain)
            ledger = BudgetLedger(
                limit, events, lambda event: self._store.add_budget_event(domain, event)
            )
            documents = (one.bundle.get("document") for one in self._store.leaves_of(LEAF))
            known = [one for one in documents if one]  # those read from the log have no document
            ledger.reconcile(known)
            self._ledgers[domain] = ledger
        self._ledgers[domain].change_limit(limit)
        return self._ledgers[domain]

    def _limit(self, policy: DatasetPrivacy) -> Limit:
        """Return the domain's limit as currently declared, else its last one."""
        now = self._declared_limit(policy.domain) or self._kept_limit(policy.domain)
        used = now or policy
        return Limit(policy.domain, policy.unit, used.epsilon, used.delta)

    def _declared_limit(self, domain: str) -> Limit | None:
        """Return the limit in the current settings."""
        policy = self._declaring(domain)
        if policy is None:
            return None
        return Limit(domain, policy.unit, policy.epsilon, policy.delta)

    def _declaring(self, domain: str) -> DatasetPrivacy | None:
        declared = (one.privacy for one in self._settings.datasets)
        return next((one for one in declared if one and one.domain == domain), None)

    def _kept_limit(self, domain: str) -> Limit | None:
        """Return the newest limit on record."""
        limits = [one for one in self._store.budget_events(domain) if one["kind"] == "limit"]
        if not limits:
            return None
        last = limits[-1]
        return Limit(last["domain"], last["unit"], last["epsilon"], last["delta"])
