"""The owner's commands about grants, stops and use, over the control socket.

Every one works without a link; what the centre is to know it is told when there is one
(`agent.edge.grantwatch`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from secureflow.agent.edge.control import Command
from secureflow.agent.edge.grantwatch import GrantWatch
from secureflow.agent.edge.usage import Usage
from secureflow.agent.edge.wiring import Assembly
from secureflow.agent.owner.grants import confirmed_before
from secureflow.agent.owner.stoppedjobs import StoppedJob
from secureflow.agent.owner.stops import lifted
from secureflow.agent.record.grantrows import KeptGrant, Stop
from secureflow.agent.verbs.stopping import Cause
from secureflow.domain.grants import read_terms
from secureflow.domain.specs.base import dump
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text, with_texts

_MOST: Final = 128
_ONCE: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class GrantCommands:
    """The commands, over a running agent.

    Args:
        assembly: the agent.
        watch: tells the centre, and knows its proposals.
        reporting: who reads the whole record, one after the other: the threads are the agent's.
    """

    assembly: Assembly
    watch: GrantWatch
    reporting: asyncio.Lock = field(default_factory=asyncio.Lock)

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {
            "grant.list": self.every,
            "grant.show": self.show,
            "grant.create": self.create,
            "grant.confirm": self.confirm,
            "grant.revoke": self.revoke,
            "grant.unlock": self.unlock,
            "job.withdraw": self.withdraw,
            "project.freeze": self.freeze,
            "project.unfreeze": self.unfreeze,
            "requester.block": self.block,
            "requester.unblock": self.unblock,
            "stop.list": self.stops,
            "data.usage": self.usage,
        }

    async def every(self) -> list[dict[str, JSON]]:
        """Return this agent's grants, and the centre's that nobody here confirmed (`proposed`)."""
        kept = await asyncio.to_thread(lambda: [self._listed(o) for o in self._grants.every()])
        confirmed = {one["proposal"] for one in kept} - {""}
        proposed = [
            {**one, "state": "proposed"}
            for one in self.watch.proposals.values()
            if one["id"] not in confirmed
        ]
        return [*kept, *proposed]

    async def show(self, grant: str) -> dict[str, JSON]:
        """Return one grant with its terms, and the jobs that were approved under it.

        A proposal that was confirmed has its grant's id here.
        """
        if grant in self.watch.proposals:
            return {**self.watch.proposals[grant], "state": "proposed"}
        kept = self._grants.confirmed(grant) or self._grants.get(grant)
        uses = await asyncio.to_thread(self.assembly.context.store.grant_uses, kept.id)
        jobs = [{"job": one.job, "epsilon": one.epsilon, "at": one.at} for one in uses]
        return {**self._listed(kept), "signature": kept.signature, "jobs": jobs}

    async def create(self, terms: JSON, once: str = "") -> dict[str, JSON]:
        """Make a grant; the centre is told of it. A form that is sent twice makes one (`once`).

        Raises:
            SecureFlowError: `invalid_grant`, `dataset_unknown`, `unknown_column`.
        """
        return await self._make(terms, "", once)

    async def confirm(self, proposal: str, terms: JSON, once: str = "") -> dict[str, JSON]:
        """Confirm a grant that was made at the centre, with the terms that a person here was shown.

        What the centre shows meanwhile changes nothing: the person's terms are signed.

        Raises:
            SecureFlowError: `already_exists` for one that was confirmed; `not_found` for what is
                no proposal; those of `create`.
        """
        if (kept := self._grants.confirmed(proposal)) is not None:
            raise confirmed_before(proposal, kept)
        if proposal not in self.watch.proposals:
            raise SecureFlowError(
                "not_found",
                Text("The centre shows no grant {proposal!r} to confirm.", proposal=proposal[:80]),
                "secureflow agent grant list shows proposals while the link is up.",
            )
        return await self._make(terms, proposal, once)

    async def _make(self, value: JSON, proposal: str, once: str) -> dict[str, JSON]:
        context = self.assembly.context
        if once and not _ONCE.fullmatch(once):
            raise SecureFlowError("invalid_request", "`once` has 32 hex digits.")
        terms = read_terms(value, context.clock())
        declared = {one.name for one in context.settings.dataset(terms.dataset).columns}
        if unknown := sorted(set(terms.columns) - declared):
            raise SecureFlowError(
                "unknown_column",
                Text(
                    "The dataset {name} declares no column {unknown!r:.130}.",
                    name=terms.dataset,
                    unknown=unknown[0],
                ),
                "Grant declared columns only.",
            )
        kept = await asyncio.to_thread(self._grants.create, terms, proposal, once)
        self.watch.hurry()
        return self._listed(kept)

    async def revoke(self, grant: str, reason: str = "") -> dict[str, JSON]:
        """Revoke a grant and stop every job under it, at once."""
        stopped = await self._stop(Cause("grant_revoked", grant, reason=_short(reason)))
        return {**self._listed(self._grants.get(grant)), "stopped": stopped}

    async def unlock(self, grant: str, uses: int, epsilon: float = 0.0) -> dict[str, JSON]:
        """Confirm a restored agent's grant again, with what was used of it since the backup."""
        if type(uses) is not int or not 0 <= uses < 1 << 31 or not 0.0 <= epsilon < 1e9:
            raise SecureFlowError("invalid_request", "Uses and ε are numbers of 0 or more.")
        kept = await asyncio.to_thread(self._grants.unlock, grant, uses, float(epsilon))
        return self._listed(kept)

    async def withdraw(self, job: str, reason: str = "") -> dict[str, JSON]:
        """Withdraw the approval of one job, and end it and the jobs that it starts, at once."""
        cause = Cause("approval_withdrawn", _name(job), reason=_short(reason))
        return {"job": job, "stopped": await self._stop(cause)}

    async def freeze(self, project: str, reason: str = "") -> dict[str, JSON]:
        """Stop a project here: its jobs end, and no request of it is answered."""
        stopped = await self._stop(Cause("project_stopped", _name(project), reason=_short(reason)))
        return {"project": project, "stopped": stopped}

    async def unfreeze(self, project: str) -> dict[str, JSON]:
        """Take part in a project again; what was ended stays ended."""
        context = self.assembly.context
        kept = await asyncio.to_thread(lifted, context.store, "project", project, context.clock())
        return _stop_json(kept)

    async def block(self, user: str, reason: str = "") -> dict[str, JSON]:
        """Take part in no job of a submitter, as the centre names them."""
        cause = Cause("requester_blocked", _name(user), reason=_short(reason))
        return {"requester": user, "stopped": await self._stop(cause)}

    async def unblock(self, user: str) -> dict[str, JSON]:
        """Answer a submitter's requests again."""
        context = self.assembly.context
        kept = await asyncio.to_thread(lifted, context.store, "requester", user, context.clock())
        return _stop_json(kept)

    async def stops(self) -> list[dict[str, JSON]]:
        """Return the projects and requesters that are stopped here."""
        found = await asyncio.to_thread(self.assembly.context.store.stops)
        return [_stop_json(one) for one in found]

    async def usage(self, dataset: str = "", running: bool = False) -> dict[str, JSON]:
        """Return who used what, from the record, and how that differs from the ledger's leaves.

        Of jobs that are `running` alone, nothing is compared.
        """
        usage = Usage(self.assembly.context)
        if running:
            return await asyncio.to_thread(usage.running, dataset)
        async with self.reporting:
            return await asyncio.to_thread(usage.report, dataset)

    @property
    def _grants(self) -> Any:
        return self.assembly.grants

    async def _stop(self, cause: Cause) -> list[dict[str, JSON]]:
        stopped = await self.assembly.stopping.stop(cause)
        self.watch.hurry()
        return [_told(one) for one in stopped]

    def _listed(self, kept: KeptGrant) -> dict[str, JSON]:
        """Return a grant for people; one that is not as it was signed says so."""
        try:
            terms, state = dump(self._grants.terms_of(kept)), str(kept.state)
        except SecureFlowError:
            terms, state = dict(kept.body.get("terms", {})), "forged"
        used, now = self._grants.used(kept.id), self.assembly.context.clock()
        if state == "granted" and now >= int(terms["expires"]):
            state = "expired"
        elif state == "granted" and self._grants.locked(kept.id):
            state = "locked"
        return {
            "id": kept.id,
            "state": state,
            "terms": terms,
            "used": {"uses": used.uses, "epsilon": used.epsilon},
            "proposal": kept.proposal,
            "created": kept.at,
            "revoked": kept.revoked_at,
            "reason": kept.reason,
        }


def _told(one: StoppedJob) -> dict[str, JSON]:
    told = one.told()
    sentences = [with_texts({"said": sentence}) for sentence in told]
    return {**one.as_json(), "told": list(told), "sentences": sentences}


def _stop_json(stop: Stop) -> dict[str, JSON]:
    return {
        "kind": stop.kind, "name": stop.name, "by": stop.by, "reason": stop.reason, "at": stop.at,
    }  # fmt: skip


def _name(value: str) -> str:
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= _MOST:
        raise SecureFlowError("invalid_request", "A name has 1 to 128 printable characters.")
    return value


def _short(reason: str) -> str:
    return "".join(one for one in str(reason)[:500] if one.isprintable())
