"""The owner's commands about requests that wait for a person, over the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Final

from secureflow.agent.edge.arguments import SURROGATE
from secureflow.agent.edge.control import Command
from secureflow.agent.edge.running import PATIENCE, RunningAgent
from secureflow.agent.owner.bundles import code_of
from secureflow.agent.owner.publications import Publication, rows_of
from secureflow.agent.owner.requesters import before
from secureflow.agent.record.records import InboxItem
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_NAMED: Final = 8
_LONGEST: Final = 40
"""Sensitive columns in the inbox's list, and characters of each: even with many requests of many
columns the list must fit the socket's line, or nobody could see, and reject, what fills it."""

_LONGEST_NOTE: Final = 2000

_NEWEST: Final = 500
"""How many approved jobs are looked at, as many as the inbox tells of."""


class InboxCommands(RunningAgent):
    """The commands, over a running agent."""

    def inbox_table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {
            "inbox.list": self.inbox_list,
            "inbox.show": self.inbox_show,
            "inbox.approve": self.inbox_approve,
            "inbox.reject": self.inbox_reject,
            "inbox.ask_back": self.inbox_ask_back,
        }

    async def inbox_list(self, waiting: bool = True) -> list[dict[str, JSON]]:
        """Return inbox items without their specs."""
        # Reads every request on record: not while others wait for this agent.
        broken = await asyncio.to_thread(self.assembly.context.store.damaged_inbox)
        listed = await asyncio.to_thread(self._every_listed, waiting)
        return [*listed, *({"id": key, "job": job, "state": "damaged"} for key, job in broken)]

    def _every_listed(self, waiting: bool) -> list[dict[str, JSON]]:
        return [self._listed_item(item) for item in self.assembly.inbox.list(waiting=waiting)]

    async def inbox_show(self, item: str) -> dict[str, JSON]:
        """Return one item: the request, why it waits, the whole spec, and the local settings.

        `here` is what a decision depends on beside: `allow_simulated`, the `rows` of the data as
        published, and the `budget` that the job's ε is charged to, with its ε `after` the job, or
        `refused` if the job's charge was given back: it pays for no second run. `approved` are the
        private jobs whose charge is in neither: they were approved, and have not started. `rule`
        is what policies decide now (`Decisions.explained`), `before` what the submitter asked
        before (`agent.owner.requesters`), `people` who must decide, may, and did, `decide_by` until
        when, `questions` what was asked of the submitter, and the answers as the centre told them.
        """
        found, context = self.assembly.inbox.shown(item), self.assembly.context
        here = {
            "allow_simulated": context.settings.attestation.allow_simulated,
            "budget": await self._budget(found),
            "rows": rows_of(context.store, str(found.request.get("dataset"))),
            "people": self._people(found),
            "decide_by": self.assembly.inbox.deadline(found),
            "rule": await asyncio.to_thread(self._rule, found) if found.spec else None,
            "before": await asyncio.to_thread(before, context.store, found),
            "questions": self.assembly.questions.told(found.job, self.assembly.people.names()),
        }
        return {**asdict(found), "here": here}

    def _people(self, item: InboxItem) -> dict[str, JSON] | None:
        """Return who must decide a request, may, and did; None without accounts or rules.

        Of a request that waits only who approved it, and when: nothing that would sway the second.
        """
        inbox, people = self.assembly.inbox, self.assembly.people
        two = inbox.two_people(item)
        if not (two or people.any()):
            return None
        waits = item.state == "waiting"
        names = people.names()
        return {
            "two_people": list(two),
            "approved": [
                {
                    "id": one.person,
                    "name": names.get(one.person, ""),
                    "at": one.at,
                    "in_place_of": "" if one.authority == one.person else one.authority,
                    **({} if waits else {"reason": one.reason}),
                }
                for one in inbox.approvals(item.id)
            ],
            "can_decide": people.present() if waits else [],
            "decide_by": inbox.deadline(item),
        }

    def _rule(self, item: InboxItem) -> dict[str, JSON] | None:
        try:
            return self.assembly.consent.decisions.explained(item.request)
        except KeyError:  # asked by an older version, which knew fewer facts
            return None

    def _listed_item(self, item: InboxItem) -> dict[str, JSON]:
        """Return an item of the list: `overdue` if it waits for longer than the owner likes.

        `two_people`: whether two must decide it; `approved_by`: how many did so far.
        """
        context = self.assembly.context
        late = context.clock() >= item.at + context.settings.consent.remind_after
        summary = _summary(item)
        if item.state == "waiting":
            summary["expires"] = self.assembly.inbox.deadline(item)
            summary["overdue"] = late
            summary["approved_by"] = len(self.assembly.inbox.approvals(item.id))
            summary["two_people"] = bool(self.assembly.inbox.two_people(item))
        return summary

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
        note = _note(reason)
        if code := code_of(self.assembly.inbox.get(item)):
            self.assembly.bundles.hold(code)
        decided, came = await self.assembly.inbox.approve(item, note, PATIENCE)
        return {**_summary(decided), **came}

    async def inbox_reject(self, item: str, reason: str = "") -> dict[str, JSON]:
        """Reject a request; code that only it brought is removed."""
        note = _note(reason)
        decided = await asyncio.to_thread(self.assembly.inbox.decide, item, "rejected", note)
        return await self._closed(decided)

    async def inbox_ask_back(self, item: str, question: str) -> dict[str, JSON]:
        """Ask a request's submitter something; it goes on waiting, and the answer comes here."""
        questions = self.assembly.questions
        asked = await asyncio.to_thread(questions.ask, item, question)
        questions.asked.set()
        return {**_summary(self.assembly.inbox.get(item)), "asked": asked.asked}

    async def _closed(self, decided: InboxItem) -> dict[str, JSON]:
        self.assembly.inbox.wake(decided.id)
        await asyncio.to_thread(self.assembly.bundles.sweep, code_of(decided))
        return _summary(decided)


def _note(reason: JSON) -> str:
    """Return the note of a decision, if it can be stored and told (`invalid_request`)."""
    if isinstance(reason, str) and len(reason) <= _LONGEST_NOTE and not SURROGATE.search(reason):
        return reason
    raise SecureFlowError(
        "invalid_request",
        Text("A note is a text of at most {longest} characters.", longest=_LONGEST_NOTE),
    )


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
        "project": item.spec.get("project"),
        "dataset": request.get("dataset"),
        "columns": len(request.get("columns") or ()),
        "sensitive": _first(request.get("sensitive") or ()),
        "epsilon": request.get("epsilon"),
        "parties": len(request.get("parties") or ()),
        "at": item.at,
        "expires": item.expires,
    }
