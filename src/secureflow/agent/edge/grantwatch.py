"""What agent and centre tell each other about grants, while there is a link.

To the centre: grants that a person here made or confirmed, grants that were revoked, jobs that were
stopped. From the centre: grants that people made there, which are *proposals* here until somebody
confirms them, and what it takes away (a revoked grant, a disabled user). Nothing that it says makes
a grant, widens one or brings one back; a centre that repeats an old answer changes nothing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from secureflow.adapters.link.missedends import INTERVAL, CentreLink
from secureflow.agent.edge.wiring import Assembly
from secureflow.agent.record.going import STOPPED
from secureflow.agent.verbs.stopping import Cause
from secureflow.domain.fieldfaults import ID_PATTERN
from secureflow.domain.grants import REVOKED, GrantTerms
from secureflow.domain.specs.base import STRICT, Id, UserId, dump, parse
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

MOST: Final = 1000
"""Grants and names in one answer of the centre; the rest is not read."""
GRACE: Final = 10
"""Seconds in which a job that asks this agent for anything ends by the refusal, and in order: only
one that still runs afterwards is ended by the centre, which cuts off what it was asking."""
_log = get_logger(__name__)


@dataclass(frozen=True)
class CentreGrant:
    """A grant as the centre shows it."""

    __pydantic_config__ = STRICT
    id: Id
    terms: GrantTerms
    granted_by: UserId = ""
    revoked: bool = False
    local: str = ""


class GrantWatch:
    """Tells and asks the centre.

    Args:
        link: the link to it.
        assembly: the agent.
    """

    def __init__(self, link: CentreLink, assembly: Assembly) -> None:
        self._link = link
        self._assembly = assembly
        self._store = assembly.context.store
        self._hurry = asyncio.Event()
        self.proposals: dict[str, dict[str, JSON]] = {}
        """Grants of the centre that nobody here has confirmed, by id, as it showed them last."""

    def hurry(self) -> None:
        """There is something to tell: do not wait for the next time."""
        self._hurry.set()

    async def run(self) -> None:
        """Tell and ask at the first connection, when something is to be told, and periodically."""
        while True:
            await self._link.connected.wait()
            self._hurry.clear()
            try:
                await self.exchange()
            except SecureFlowError as error:
                _log.warning("grants_not_exchanged", code=error.code, message=error.message)
            try:
                async with asyncio.timeout(INTERVAL):
                    await self._hurry.wait()
            except TimeoutError:
                pass

    async def exchange(self) -> None:
        """Tell the centre what it does not know yet, then ask what it shows.

        Raises:
            SecureFlowError: of the link or the centre.
        """
        await self._tell_stops()
        await self._tell_grants()
        await self._ask()

    async def _tell_stops(self) -> None:
        until = self._assembly.context.clock() - GRACE
        stopped = await asyncio.to_thread(self._store.untold_stops, STOPPED, until)
        if not stopped:
            return
        await self._link.call("job.withdraw", {"jobs": [list(one) for one in stopped]})
        await asyncio.to_thread(self._keep_told, [job for job, _ in stopped])

    def _keep_told(self, jobs: list[str]) -> None:
        with self._store.transaction():
            for job in jobs:
                if self._store.answer(f"withdrawn/{job}") is None:
                    self._store.keep_answer(f"withdrawn/{job}", job, True)

    async def _tell_grants(self) -> None:
        context = self._assembly.context
        for kept in await asyncio.to_thread(self._store.grants):
            if kept.told < 1 and kept.state == "granted":
                body = {"body": kept.body, "signature": kept.signature}
                answer = await self._link.call("grant.tell", body)
                proposal = _id(answer) or kept.proposal
                await asyncio.to_thread(self._keep_grant, kept.id, proposal, 1)
            elif kept.told < 2 and kept.state == "revoked":
                end = {
                    "grant": kept.id, "proposal": kept.proposal, "organisation": context.party,
                    "at": kept.revoked_at,
                }  # fmt: skip
                signed = {"body": end, "signature": context.key.sign(REVOKED, end)}
                await self._link.call("grant.end", signed)
                await asyncio.to_thread(self._keep_grant, kept.id, kept.proposal, 2)

    def _keep_grant(self, grant: str, proposal: str, told: int) -> None:
        with self._store.transaction():
            kept = self._store.grant(grant)
            if kept is not None:
                self._store.keep_grant(replace(kept, proposal=proposal, told=told))

    async def _ask(self) -> None:
        store = self._store
        submitters = await asyncio.to_thread(self._submitters)
        answer = await self._link.call("grant.list", {"submitters": submitters})
        shown = answer if isinstance(answer, dict) else {}
        listed, disabled = shown.get("grants"), shown.get("disabled")
        grants = list(_read(listed[:MOST] if isinstance(listed, list) else []))
        confirmed = {one.proposal: one for one in await asyncio.to_thread(store.grants)}
        self.proposals = {
            one.id: _proposed(one)
            for one in grants
            if one.id not in confirmed and not one.revoked and not one.local
        }
        for one in grants:
            kept = confirmed.get(one.id)
            if one.revoked and kept is not None and kept.state == "granted":
                await self._assembly.stopping.stop(Cause("grant_revoked", kept.id, "centre"))
        for name in disabled[:MOST] if isinstance(disabled, list) else []:
            if name in submitters and store.stop("requester", name) is None:
                await self._assembly.stopping.stop(Cause("requester_blocked", name, "centre"))

    def _submitters(self) -> list[str]:
        """Return who submitted the jobs that are open here; a row that is damaged is left out."""
        found = set()
        for name in self._store.open_jobs()[:MOST]:
            try:
                job = self._store.job(name)
            except SecureFlowError as error:
                _log.warning("job_unreadable", job=name, code=error.code)
                continue
            if job is not None and isinstance(job.spec, dict):
                found.add(str(job.spec.get("submitter", "")))
        return sorted(found)


def _read(listed: list[Any]) -> Any:
    """Yield the grants of the centre's answer that can be read; others are no grants here."""
    for value in listed:
        try:
            yield parse(CentreGrant, value, "grant")
        except SecureFlowError as error:
            _log.warning("grant_unreadable", message=error.message)


def _proposed(one: CentreGrant) -> dict[str, JSON]:
    return {"id": one.id, "terms": dump(one.terms), "by": one.granted_by}


def _id(answer: JSON) -> str:
    """Return the id that the centre gave a grant; "" if it is none."""
    value = answer.get("id") if isinstance(answer, Mapping) else None
    return value if isinstance(value, str) and re.fullmatch(ID_PATTERN, value) else ""
