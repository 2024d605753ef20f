"""Gossip: members' agents compare the log's heads with each other, without the centre.

A centre that shows two histories is found out by the first two agents of both that talk. Each sends
its newest head with its cosignature to those that its owner lists, and gets theirs; both judge what
they get as any head that they hear of (`witness.hearing`). The log's signature makes a head count;
the cosignature only says whose agent answers, by the pinned charter's key.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.agent.keeper.app import Asked, Endpoint, Reply, json_reply
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.charter import PinnedCharter
from secureflow.agent.witness.hearing import GOSSIP, Hearing
from secureflow.agent.witness.witness import Witness
from secureflow.engines.ledger.notes import MAX_NOTE_BYTES, Note, attach, parse_note
from secureflow.kit.backoff import Backoff
from secureflow.kit.boundedhttp import BoundedHttp
from secureflow.kit.canonical import JSON, parse_json
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

PATH: Final = "/gossip/v1/head"
MAX_BODY: Final = 2 * MAX_NOTE_BYTES
INTERVAL: Final = 300.0
"""Seconds between two talks with one partner, if nothing new was accepted here."""
LOOK: Final = 5.0
"""Seconds between two looks for a head that is new here: a job's end brings one."""
LONGEST: Final = 600.0
_ALARMS: Final = frozenset({"ledger_inconsistent", "ledger_key_ended"})

_log = get_logger(__name__)


@dataclass(frozen=True)
class Partner:
    """An organisation, and how its agent is reached."""

    party: str
    http: BoundedHttp


class Gossip:
    """Talks with the agents of other members.

    Args:
        witness: of the log.
        hearing: judges what is heard.
        charter: the pinned charter.
        store: the agent's record.
        party: this organisation's slug.
        partners: whom the owner lists.
        clock: unix seconds.
    """

    def __init__(
        self,
        witness: Witness,
        hearing: Hearing,
        charter: PinnedCharter,
        store: RecordStore,
        party: str,
        partners: tuple[Partner, ...],
        clock: Clock,
    ) -> None:
        self._witness = witness
        self._hearing = hearing
        self._charter = charter
        self._store = store
        self._party = party
        self._partners = partners
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """Return the addresses."""
        return [Endpoint("POST", PATH, MAX_BODY, self._asked)]

    def own(self) -> str:
        """Return the newest head on record with this agent's cosignature; empty without one."""
        note = self._witness.newest
        return attach(note, [self._witness.cosign(note)]) if note else ""

    async def run(self) -> None:
        """Talk with every partner until cancelled."""
        async with asyncio.TaskGroup() as group:
            for partner in self._partners:
                group.create_task(self._talk_on(partner))

    async def talk(self, partner: Partner) -> None:
        """Send the newest head, and judge the one that comes back.

        Raises:
            SecureFlowError: `endpoint_unreachable`, `gossip_refused`, and what `Hearing.hear`
                raises.
        """
        body = json.dumps({"note": self.own()}).encode()
        answer = await partner.http.ask("POST", PATH, MAX_BODY, body, "application/json")
        if answer.status != 200:
            raise refused(partner.party, Text("it answers {status}", status=answer.status))
        note = _note(answer.body)
        if not note:
            return  # it has no head yet
        if partner.party not in self._cosigners(parse_note(note)):
            raise refused(partner.party, "its answer is not signed by its charter key")
        await self._hearing.hear(note)

    async def _talk_on(self, partner: Partner) -> None:
        pauses = Backoff(LOOK, LONGEST)
        while True:
            trouble: SecureFlowError | None = None
            told = self._witness.newest
            try:
                await self.talk(partner)
            except SecureFlowError as error:
                trouble = error
                _log.warning("gossip_failed", partner=partner.party, code=error.code)
            await asyncio.to_thread(self._note_standing, partner.party, trouble)
            if trouble is not None:
                await asyncio.sleep(pauses.next())
                continue
            pauses.reset()
            left = INTERVAL
            while left > 0 and self._witness.newest == told:
                await asyncio.sleep(LOOK)
                left -= LOOK

    def _note_standing(self, party: str, trouble: SecureFlowError | None) -> None:
        listed = {one.party for one in self._partners}
        before: Mapping[str, Any] = self._store.fact(GOSSIP) or {}
        now: dict[str, JSON] = {one: told for one, told in before.items() if one in listed}
        last = now.get(party)
        since = last.get("at", 0) if trouble is not None and isinstance(last, dict) else None
        now[party] = {
            "at": self._clock() if since is None else since,
            "trouble": None if trouble is None else {"code": trouble.code},
        }
        with self._store.transaction():
            self._store.set_fact(GOSSIP, now)

    def _cosigners(self, note: Note) -> frozenset[str]:
        return note.cosigners(self._charter.pinned().keys)

    async def _asked(self, asked: Asked) -> Reply:
        note = _note(asked.body)
        if note:
            if not self._cosigners(parse_note(note)):
                raise SecureFlowError(
                    "forbidden",
                    "The head is not cosigned by a member.",
                    "Compare the charters of both agents.",
                )
            try:
                await self._hearing.hear(note)
            except SecureFlowError as error:
                if error.code not in _ALARMS:
                    raise
                _log.error("gossip_alarm", code=error.code)  # the asker learns what we hold
        return json_reply({"note": self.own()})


def refused(party: str, reason: str) -> SecureFlowError:
    """Return the error of a partner that does not answer as the member that it should be."""
    return SecureFlowError(
        "gossip_refused",
        Text("The agent of {party} is not believed: {reason}.", party=party, reason=reason),
        "Check its address in `witness.gossip`, and its key in the pinned charter.",
    )


def _note(body: bytes) -> str:
    value = parse_json(body, MAX_BODY)
    note = value.get("note") if isinstance(value, dict) and set(value) == {"note"} else None
    if not isinstance(note, str):
        raise SecureFlowError(
            "malformed_request",
            "Gossip is a note in JSON.",
            "Use the same version of SecureFlow on both sides.",
        )
    return note
