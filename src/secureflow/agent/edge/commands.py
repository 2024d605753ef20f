"""The owner's commands for a running agent, over the control socket."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

from secureflow.agent.edge.clockwatch import ClockWatch
from secureflow.agent.edge.control import Command
from secureflow.agent.edge.reload import Reload
from secureflow.agent.edge.wiring import Assembly
from secureflow.agent.job.context import Fetching
from secureflow.agent.owner.budgetrecovery import BudgetRecovery
from secureflow.agent.owner.bundles import code_of
from secureflow.agent.owner.publications import (
    Publication,
    check_publishable,
    declaration,
    described,
    differs,
    keep_published,
    rows_of,
)
from secureflow.agent.record.records import InboxItem
from secureflow.agent.record.restored import CODE, restored
from secureflow.agent.witness.continuations import ACCUSED, SET_BACK
from secureflow.domain.charter import SignedCharter
from secureflow.domain.schemas import DatasetConfig
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import fingerprint
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.kit.version import __version__

_NAMED: Final = 8
_LONGEST: Final = 40
"""Sensitive columns in the inbox's list, and characters of each: even with many requests of many
columns the list must fit the socket's line, or nobody could see, and reject, what fills it."""

_NEWEST: Final = 500
"""How many approved jobs are looked at, as many as the inbox tells of."""

_PATIENCE: Final = 10.0
"""Seconds for the centre to answer, or a signature: less than the command line waits for us."""


class Describing(Protocol):
    """Reads a whole dataset (`agent.compute.workers.Workers`)."""

    async def describe(
        self, dataset: DatasetConfig, salt: bytes, known: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        """Return `name`, `columns`, `rows`, `bucket`, `salt`, `commitment`."""


class Linked(Fetching, Protocol):
    """The link to the centre, and its state (`adapters.link.Link`)."""

    connected: asyncio.Event
    trouble: SecureFlowError | None


@dataclass(frozen=True)
class Commands:
    """The commands, over a running agent.

    Args:
        assembly: the agent.
        link: its link.
        describing: reads datasets.
        reloading: compares the settings with their file.
        watch: knows how much the clocks differ.
    """

    assembly: Assembly
    link: Linked
    describing: Describing
    reloading: Reload
    watch: ClockWatch

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {
            "status": self.status,
            "reload": self.reload,
            "log": self.log,
            "leaves": self.leaves,
            "alarm.clear": self.clear_alarm,
            "inbox.list": self.inbox_list,
            "inbox.show": self.inbox_show,
            "inbox.approve": self.inbox_approve,
            "inbox.reject": self.inbox_reject,
            "charter.show": self.charter_show,
            "charter.pin": self.charter_pin,
            "charter.sign": self.charter_sign,
            "data.list": self.data_list,
            "data.publish": self.data_publish,
            "data.uses": self.data_uses,
            "data.remove": self.data_remove,
            "data.budget": self.data_budget,
            "data.settle": self.data_settle,
        }

    async def status(self) -> dict[str, JSON]:
        """Return who this agent is and the state of its parts."""
        context = self.assembly.context
        trouble = self.link.trouble
        kept = context.store.fact("charter")
        return {
            "organisation": context.party,
            "version": __version__,
            "key": context.key.public,
            "fingerprint": fingerprint(context.key.public),
            "link": "connected" if self.link.connected.is_set() else "down",
            "trouble": trouble and trouble.as_json(),
            "settings": await self.reloading.difference(),
            "clock_skew": self.watch.skew,
            "charter": kept and context.charter.pinned().digest,
            "log_size": context.witness.log_size,
            "unproved": len(context.witness.unproved()),
            "alarm": context.store.fact("alarm"),
            "record": (fault := context.store.held.fault) and fault.as_json(),
            "set_back": context.store.fact(SET_BACK),
            "accused": len(context.store.fact(ACCUSED) or ()),
            "restored": restored(context.store),
            "waiting": len(self.assembly.inbox.list()),
            "jobs": [
                {"job": job.job, "approved": job.approved_at, "outcome": job.outcome or "running"}
                for job in context.store.jobs(20)
            ],
        }

    async def reload(self, preview: bool = False, agreed: JSON = ()) -> dict[str, JSON]:
        """Apply the edited settings file, or only return what it would change."""
        if preview:
            return await self.reloading.preview()
        return await self.reloading.apply(list(agreed))

    async def log(self, job: str = "", limit: int = 100) -> list[dict[str, JSON]]:
        """Return what this agent did, newest first."""
        return self.assembly.context.store.actions(job=job, limit=min(limit, 10_000))

    async def leaves(self, job: str) -> list[dict[str, JSON]]:
        """Return the ledger leaves that this agent signed in a job, oldest first."""
        found = self.assembly.context.store.leaves(job)
        return [
            {"kind": one.kind, "hash": one.hash, "proved": bool(one.proved), **one.bundle}
            for one in found
        ]

    async def clear_alarm(self, reason: str) -> dict[str, JSON]:
        """Let the agent continue after an alarm; the owner gives a reason."""
        context = self.assembly.context
        alarm = context.store.fact("alarm")
        if alarm is not None and alarm["code"] == CODE:
            await self.assembly.rollback.accept()
        with context.store.transaction():
            context.store.set_fact("alarm", None)
            context.store.note(context.clock(), "alarm.cleared", "", alarm=alarm, reason=reason)
        return {"cleared": alarm}

    async def inbox_list(self, waiting: bool = True) -> list[dict[str, JSON]]:
        """Return inbox items without their specs."""
        # Reads every request on record: not while others wait for this agent.
        broken = await asyncio.to_thread(self.assembly.context.store.damaged_inbox)
        return [
            *(_summary(item) for item in self.assembly.inbox.list(waiting=waiting)),
            *({"id": key, "job": job, "state": "damaged"} for key, job in broken),
        ]

    async def inbox_show(self, item: str) -> dict[str, JSON]:
        """Return one item: the request, why it waits, the whole spec, and the local settings.

        `here` is what a decision depends on beside: `allow_simulated`, the `rows` of the data as
        published, and the `budget` that the job's ε is charged to, with its ε `after` the job, or
        `refused` if the job's charge was given back: it pays for no second run. `approved` are the
        private jobs whose charge is in neither: they were approved, and have not started.
        """
        found, context = self.assembly.inbox.shown(item), self.assembly.context
        here = {
            "allow_simulated": context.settings.attestation.allow_simulated,
            "budget": await self._budget(found),
            "rows": rows_of(context.store, str(found.request.get("dataset"))),
        }
        return {**asdict(found), "here": here}

    async def _budget(self, item: InboxItem) -> dict[str, JSON] | None:
        if item.request.get("epsilon") is None or not item.spec:  # expired, or withdrawn
            return None
        context = self.assembly.context
        name = str(item.request.get("dataset"))
        policy = next((d.privacy for d in context.settings.datasets if d.name == name), None)
        if policy is None:
            return None
        rows = await context.budgets.report(exact=False)
        row = next(row for row in rows if row["domain"] == policy.domain)
        reserved = {one["job"]: one["state"] for one in row["reservations"]}
        if reserved.get(item.job) == "voided":
            return {**row, "refused": True}
        if item.job in reserved:
            return {**row, "after": row["spent"]}
        spec = context.kinds.specs.parse(item.spec, stored=True)
        after = await context.budgets.after(policy, spec)
        known = {item.job, *reserved}
        approved = await asyncio.to_thread(self._uncharged, policy.domain, known)
        return {**row, "after": after, "approved": approved}

    def _uncharged(self, domain: str, known: Collection[str]) -> int:
        """Return the number of other jobs that were approved for a domain and have not started."""
        context, now = self.assembly.context, self.assembly.context.clock()
        names = {
            one.name
            for one in context.settings.datasets
            if one.privacy is not None and one.privacy.domain == domain
        }
        jobs = context.store.jobs(limit=_NEWEST)
        approved = {
            one.job
            for one in jobs
            if one.spec.get("privacy") is not None
            and one.spec.get("part_of") is None  # the whole's reservation pays for it
            and one.declared is not None
            and Publication.from_json(one.declared).dataset.name in names
            and now < one.expires
        }
        approved |= {
            one.job
            for one in self.assembly.inbox.list(waiting=False)
            if one.state == "approved"
            and one.request.get("epsilon") is not None
            and one.request.get("dataset") in names
            and now < one.expires
        }
        ended = {one.job for one in jobs if one.outcome}
        return len(approved - ended - set(known))

    async def inbox_approve(self, item: str, reason: str = "") -> dict[str, JSON]:
        """Approve a request, and say what came of it; its code stays until the record says so."""
        if code := code_of(self.assembly.inbox.get(item)):
            self.assembly.bundles.hold(code)
        decided, came = await self.assembly.inbox.approve(item, reason, _PATIENCE)
        return {**_summary(decided), **came}

    async def inbox_reject(self, item: str, reason: str = "") -> dict[str, JSON]:
        """Reject a request; code that only it brought is removed."""
        decided = await asyncio.to_thread(self.assembly.inbox.decide, item, "rejected", reason)
        self.assembly.inbox.wake(item)
        await asyncio.to_thread(self.assembly.bundles.sweep, code_of(decided))
        return _summary(decided)

    async def charter_show(self) -> dict[str, JSON]:
        """Return the pinned charter, the one to pin or sign next, and the differences."""
        following = await self._following() if self.link.connected.is_set() else None
        return await asyncio.to_thread(self.assembly.context.charter.describe, following)

    async def charter_pin(self, charter: JSON = None, confirm: str = "") -> dict[str, JSON]:
        """Pin a charter: the given one, or the centre's."""
        if charter is not None:
            signed: SignedCharter | None = SignedCharter.from_json(charter)
        else:
            signed = await self._following() or await self._adopted()
        if signed is None:
            raise _no_charter()
        await self.assembly.continuations.check(signed)
        pinned = await asyncio.to_thread(self.assembly.context.charter.pin, signed, confirm)
        await asyncio.to_thread(self.assembly.continuations.apply)
        self.assembly.context.witness.troubled = True  # check the log again, now
        return {
            "version": pinned.version,
            "digest": pinned.digest,
            "members": list(pinned.keys),
        }

    async def charter_sign(self, confirm: str) -> dict[str, JSON]:
        """Sign what `charter.show` calls the candidate, and send the signature."""
        signed = await self._following()
        if signed is None:
            raise _no_charter()
        await self.assembly.continuations.check(signed)
        body = await asyncio.to_thread(self.assembly.context.charter.sign, signed, confirm)
        await asyncio.to_thread(self.assembly.continuations.record_signature, signed)
        await self.link.call("charter.sign", body)
        self.assembly.context.witness.troubled = True  # it may have been the last one
        return body

    async def data_list(self) -> list[dict[str, JSON]]:
        """Return the declared datasets and the state of their publications."""
        return [self._listed(dataset) for dataset in self.assembly.context.settings.datasets]

    def _listed(self, dataset: DatasetConfig) -> dict[str, JSON]:
        kept = self.assembly.context.store.fact(f"dataset/{dataset.name}") or {}
        state = "declared"
        if kept:
            state = "edited since" if differs(kept, dataset) else "published"
        return {
            "name": dataset.name,
            "format": dataset.format,
            "path": dataset.path,
            "columns": len(dataset.columns),
            "key": dataset.key_column or "",
            "state": state,
            "published": kept.get("id", ""),
        }

    async def data_publish(self, name: str, title: str = "") -> dict[str, JSON]:
        """Check a dataset row by row and publish its description; the rows stay here.

        The answer has the exact count as well (`counted`); the publication has the bucket.
        """
        context = self.assembly.context
        await self.reloading.check_read(name)
        dataset = context.settings.dataset(name)
        await asyncio.to_thread(check_publishable, context.store, dataset)
        kept = context.store.fact(f"dataset/{name}") or {}
        known = (kept["salt"], kept["commitment"]) if kept else None
        found = await self.describing.describe(dataset, secrets.token_bytes(32), known)
        description = {
            "name": name,
            "title": title or kept.get("title") or name,
            "rows": found["bucket"],
            "commitment": found["commitment"],
            **described(dataset),
        }
        answer = await self.link.call("dataset.publish", description)
        published = {"id": str(answer["id"]), "salt": found["salt"], **description}
        with context.store.transaction():
            fact = {**published, "reading": declaration(dataset)["reading"]}
            context.store.set_fact(f"dataset/{name}", fact)
            keep_published(context.store, context.key, dataset)
            facts = {"name": name, "id": published["id"], "commitment": found["commitment"]}
            context.store.note(context.clock(), "dataset.published", "", **facts)
        publication = {"id": published["id"], **description, "counted": found["rows"]}
        return {**publication, "grants": _counts(answer.get("grants"), "kept", "reduced", "ended")}

    async def data_uses(self, name: str) -> dict[str, JSON]:
        """Return what a withdrawal ends and what continues: grants, requests, approved jobs.

        `unsaid` is the error if the centre does not report it; a withdrawal is still possible.
        """
        context = self.assembly.context
        unsaid: SecureFlowError | None = None
        answer: JSON = {}
        try:
            answer = await self._of_centre("dataset.uses", name)
        except SecureFlowError as error:
            if not self._offered(name):
                raise
            unsaid = error
        declared = [one.declared for one in context.store.jobs(10_000) if not one.outcome]
        mine = [one for one in declared if one and one["dataset"]["name"] == name]
        counts = {"waiting": len(self._waiting_for(name)), "approved": len(mine)}
        known = _counts(answer, "grants", "projects")
        return {**known, **counts, "unsaid": unsaid and unsaid.as_json()}

    async def data_remove(self, name: str) -> dict[str, JSON]:
        """Withdraw a description: new requests are refused, its grants end, approved jobs continue.

        It takes effect here before the centre is notified, whether or not the centre answers. A
        name that is published again keeps its id and its privacy domain.
        """
        context = self.assembly.context
        if offered := self._offered(name):
            with context.store.transaction():
                context.store.set_fact(f"dataset/{name}", None)
                context.store.note(context.clock(), "dataset.removed", "", name=name)
        for item in self._waiting_for(name):
            with contextlib.suppress(SecureFlowError):  # decided or expired meanwhile
                await self.inbox_reject(item.id, "the dataset was withdrawn")
        try:
            await self._of_centre("dataset.remove", name)
        except SecureFlowError as error:
            if not offered:
                raise
            if error.code != "not_found":  # otherwise it has nothing to end
                raise _withdrawn_here(error, name) from error
        return {"name": name}

    def _offered(self, dataset: str) -> bool:
        return self.assembly.context.store.fact(f"dataset/{dataset}") is not None

    async def _of_centre(self, kind: str, dataset: str) -> JSON:
        """Call the centre about a dataset; if it is silent, the owner can still withdraw it."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self.link.call(kind, {"name": dataset})
        except TimeoutError as error:
            reason = Text(
                "The server does not answer {kind} within {patience:.0f} s.",
                kind=kind,
                patience=_PATIENCE,
            )
            raise SecureFlowError("link_broken", reason, "Try again.") from error

    def _waiting_for(self, dataset: str) -> list[InboxItem]:
        waiting = self.assembly.inbox.list()
        return [item for item in waiting if item.request.get("dataset") == dataset]

    async def data_budget(self, *, exact: bool = True) -> list[dict[str, JSON]]:
        """Return what each privacy domain has spent of its budget."""
        return await self.assembly.context.budgets.report(exact=exact)

    async def data_settle(self, domain: str, bundles: JSON = ()) -> dict[str, JSON]:
        """Unlock a restored agent's privacy domain, charged for what was spent since the backup."""
        context = self.assembly.context
        recovery = BudgetRecovery(
            context.budgets, context.store, context.party, context.key.public,
            self.link.call, context.clock,
        )  # fmt: skip
        try:
            settled = await recovery.settle(domain, list(bundles))
        finally:
            await self.assembly.rollback.forget_ended_jobs()  # if a rollback was found
        self.assembly.inbox.wake_all()
        return settled

    async def _charters(self) -> dict[str, SignedCharter]:
        answer = await self.link.call("charter.get", {})
        found = {}
        for name in ("current", "candidate"):
            value = answer.get(name) if isinstance(answer, dict) else None
            if isinstance(value, dict):
                parts = {part: value.get(part) for part in ("charter", "signatures")}
                found[name] = SignedCharter.from_json(parts)
        return found

    async def _adopted(self) -> SignedCharter | None:
        return (await self._charters()).get("current")

    async def _following(self) -> SignedCharter | None:
        """Return the charter to act on next: the centre's, if it is not pinned, else its candidate.

        The same one is shown, signed and pinned.
        """
        known = await self._charters()
        current = known.get("current")
        if current is not None and not self.assembly.context.charter.holds(current):
            return current
        return known.get("candidate")


def _first(names: Sequence[str]) -> list[str]:
    """Return as many list items as fit on a line, and the number of those left out."""
    rest = len(names) - _NAMED
    short = [one if len(one) <= _LONGEST else f"{one[:_LONGEST]}…" for one in names[:_NAMED]]
    return [*short, f"… {rest}"] if rest > 0 else short


def _summary(item: InboxItem) -> dict[str, JSON]:
    request = item.request
    return {
        "id": item.id,
        "job": item.job,
        "digest": item.digest,
        "name": item.spec.get("name"),
        "kind": request.get("kind"),
        "state": item.state,
        "reason": item.reason,
        "purpose": request.get("purpose"),
        "submitter": request.get("submitter"),
        "dataset": request.get("dataset"),
        "columns": len(request.get("columns") or ()),
        "sensitive": _first(request.get("sensitive") or ()),
        "epsilon": request.get("epsilon"),
        "parties": len(request.get("parties") or ()),
        "at": item.at,
        "expires": item.expires,
    }


def _counts(answer: JSON, *names: str) -> dict[str, int]:
    """Return numbers of a foreign answer; anything else counts as 0."""
    given = answer if isinstance(answer, dict) else {}
    found = {name: given.get(name) for name in names}
    return {name: one if type(one) is int and one >= 0 else 0 for name, one in found.items()}


def _withdrawn_here(error: SecureFlowError, name: str) -> SecureFlowError:
    """Return the error of a withdrawal that the centre does not know yet."""
    return SecureFlowError(
        error.code,
        error.message,
        Text(
            "It is withdrawn here, and no new job gets it; its grants end once the server"
            " knows. Run again: secureflow agent data remove {name}",
            name=name,
        ),
        error.details,
    )


def _no_charter() -> SecureFlowError:
    return SecureFlowError(
        "charter_missing",
        "The centre has no charter for this agent to sign or pin.",
        "The operator drafts one once every organisation is enrolled: secureflow charter draft.",
    )
