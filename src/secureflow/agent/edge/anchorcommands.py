"""The owner's commands about places, over the control socket: what was anchored, and what is kept.

Everything is from this agent's own record and its own questions to the places; nothing is asked of
the centre.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from secureflow.agent.anchorsettings import AnyPlace
from secureflow.agent.edge.anchorwatch import AnchorWatch
from secureflow.agent.edge.control import Command
from secureflow.agent.job.context import AgentContext
from secureflow.agent.owner.agreements import OwnAgreements
from secureflow.agent.record.anchoredheads import MOST_HEADS, KeptHead
from secureflow.agent.witness.anchored import AnchoredHeads
from secureflow.application.anchoring import Anchoring
from secureflow.application.ports.anchor import Anchor
from secureflow.application.ports.anchoroutbox import Sent
from secureflow.engines.anchors.entries import currency_word, log_digest
from secureflow.engines.anchors.reading import check_members
from secureflow.engines.revenue.agreement import Agreement
from secureflow.kit.canonical import JSON, b64decode
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text, with_texts

PATIENCE: Final = 20.0
"""Seconds that a place may take to answer the owner."""
LATE: Final = 3600
"""Seconds after which an unfinished entry is called late."""
_PAGE: Final = 1000
MOST_CHECKED: Final = 200
"""Receipts that are checked at once."""


class AnchorCommands:
    """The commands.

    Args:
        context: of the agent.
        places: each place with what opens it.
        watch: knows what is wrong with a place.
        sender: knows which places cannot be asked.
        heads: compares heads.
        agreements: about revenue, pinned here.
    """

    def __init__(
        self,
        context: AgentContext,
        places: Mapping[AnyPlace, Anchor],
        watch: AnchorWatch,
        sender: Anchoring,
        heads: AnchoredHeads,
        agreements: OwnAgreements,
    ) -> None:
        self._context = context
        self._places = places
        self._watch = watch
        self._sender = sender
        self._heads = heads
        self._agreements = agreements

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {
            "anchor.list": self.every,
            "anchor.show": self.show,
            "anchor.heads": self.kept_heads,
            "anchor.verify": self.verify,
            "anchor.doctor": self.doctor,
            "anchor.owed": self.owed,
        }

    async def every(self, place: str = "", limit: int = 100) -> dict[str, JSON]:
        """Return the places and what of this agent's deeds is at them or on its way."""
        named = [one for one in self._places if place in {"", one.name}]
        if not named and place:
            raise _unknown(place)
        whose = named[0].place if place else ""
        sent = await asyncio.to_thread(
            self._context.store.anchor_entries, whose, limit=max(1, min(limit, 1000))
        )
        states = [await asyncio.to_thread(self._state, one) for one in named]
        return {"places": states, "entries": [self._told(one) for one in sent]}

    async def show(self, entry: str) -> dict[str, JSON]:
        """Return an own deed whole: what is at each place, and what it stands for."""
        if len(entry) != 64:
            raise SecureFlowError(
                "invalid_request",
                "A deed is named by the 64 digits of its digest.",
                "secureflow agent anchor list shows them.",
            )
        store = self._context.store
        same = await asyncio.to_thread(self._named_so, entry)
        if not same:
            raise SecureFlowError(
                "not_found", Text("This agent anchored no deed {entry}.", entry=entry)
            )
        return {
            "entry": same[0].entry.json(),
            "digest": entry,
            "stands_for": store.opening(entry),
            "places": [{**self._told(one), "receipt": one.receipt} for one in same],
        }

    def _named_so(self, entry: str) -> list[Sent]:
        """Return what became of a deed, at each place; the record is read page by page."""
        same: list[Sent] = []
        before = 0
        while page := self._context.store.anchor_entries("", before=before, limit=_PAGE):
            same += [one for one in page if one.entry.digest.hex() == entry]
            before = page[-1].number
        return same

    async def kept_heads(self, place: str = "", limit: int = 100) -> list[dict[str, JSON]]:
        """Return heads that places keep, newest first, and what this agent made of each."""
        whose = self._named(place)[0].place if place else ""
        found = await asyncio.to_thread(
            self._context.store.anchored_heads, whose, "", max(1, min(limit, 1000))
        )
        return [self._head(one) for one in found]

    async def verify(self, place: str = "") -> list[dict[str, JSON]]:
        """Ask the places again, now: their members, their heads, and the receipts of own deeds."""
        chosen = [self._named(place)] if place else list(self._places.items())
        return [await self._verified(settings, anchor) for settings, anchor in chosen]

    async def doctor(self) -> list[dict[str, JSON]]:
        """Return what each place says of itself, and what is wrong."""
        return [await self._examined(*one) for one in self._places.items()]

    async def owed(self, project: str) -> list[dict[str, JSON]]:
        """Return what a project's payer owes by each place that keeps what is settled.

        The payer is shown its debts to every member, another member what is owed to it. A place
        knows members, not projects: debts of one pair in one currency are one sum there.
        """
        agreement = await asyncio.to_thread(self._agreements.current, project)
        if agreement is None:
            raise SecureFlowError(
                "agreement_missing",
                "This agent has pinned no revenue agreement of that project.",
                "Read and sign it first: secureflow agent revenue show PROJECT.",
            )
        places = [one for one in self._places.items() if "settlements" in one[0].events]
        return [await self._owed(settings, anchor, agreement) for settings, anchor in places]

    async def _owed(
        self, settings: AnyPlace, anchor: Anchor, agreement: Agreement
    ) -> dict[str, JSON]:
        own, payer = self._context.party, agreement.payer
        keys = {name: b64decode(key) for name, key in agreement.keys.items()}
        currency, found = currency_word(agreement.currency), dict[str, JSON]()
        told: dict[str, JSON] = {
            "place": settings.name, "payer": payer, "currency": agreement.currency,
        }  # fmt: skip
        try:
            async with asyncio.timeout(PATIENCE):
                charter = self._context.charter.pinned()
                check_members(settings.place, await anchor.members(), charter.keys)
                for name, key in keys.items():
                    if name != payer and own in (name, payer):
                        found[name] = await anchor.owed(keys[payer], key, currency)
        except TimeoutError:
            return {**told, "owed": {}, "trouble": _silent(settings.name).as_json()}
        except SecureFlowError as error:
            return {**told, "owed": {}, "trouble": error.as_json()}
        return {**told, "owed": found, "trouble": None}

    def _state(self, settings: AnyPlace) -> dict[str, JSON]:
        store, now = self._context.store, self._context.clock()
        waiting, oldest, _ = store.anchor_backlog(settings.place)
        trouble = self.trouble(settings)
        return {
            "name": settings.name,
            "make": settings.make,
            "place": settings.place,
            "account": self._places[settings].account.hex(),
            "waiting": waiting,
            "oldest": oldest,
            "late": 0 if oldest is None else abs(now - oldest),
            "looked": self._watch.looked.get(settings.name),
            "trouble": trouble and trouble.as_json(),
        }

    def trouble(self, settings: AnyPlace) -> SecureFlowError | None:
        """Return what is wrong with a place now."""
        known = self._watch.problems.get(settings.name)
        return known or self._sender.troubles().get(settings.place)

    def _told(self, one: Sent) -> dict[str, JSON]:
        return {
            "digest": one.entry.digest.hex(),
            "place": one.place,
            "kind": one.entry.kind,
            "stands_for": self._context.store.opening(one.entry.digest.hex()),
            "state": one.state,
            "result": one.result,
            "reason": one.reason,
            "at": one.at,
            "ended": one.ended,
            "transaction": one.ticket,
            "block": None if one.position is None else one.position.block,
        }

    def _head(self, one: KeptHead) -> dict[str, JSON]:
        return {
            "place": one.place,
            "size": one.head.size,
            "root": one.head.root.hex(),
            "sender": self._heads.name_of(one.sender),
            "transaction": one.transaction,
            "block": one.block,
            "at": one.at,
            "verdict": one.verdict,
        }

    async def _verified(self, settings: AnyPlace, anchor: Anchor) -> dict[str, JSON]:
        checked, problems = 0, list[JSON]()
        try:
            async with asyncio.timeout(PATIENCE):
                charter = self._context.charter.pinned()
                check_members(settings.place, await anchor.members(), charter.keys)
                agreed = await self._compared(settings, anchor)
                ended = await asyncio.to_thread(
                    self._context.store.anchor_entries,
                    settings.place, ended=True, limit=MOST_CHECKED,
                )  # fmt: skip
                for one in ended:
                    if one.proven:
                        checked += 1
                        if not await anchor.checked(one.receipt, one.entry):
                            problems.append(false_receipt(settings.name, one).as_json())
        except TimeoutError:
            problems.append(_silent(settings.name).as_json())
            agreed = 0
        except SecureFlowError as error:
            problems.append(error.as_json())
            agreed = 0
        return {
            "place": settings.name, "heads": agreed, "receipts": checked, "problems": problems,
        }  # fmt: skip

    async def _compared(self, settings: AnyPlace, anchor: Anchor) -> int:
        """Judge what waits; return how many heads the place has now that were found to agree."""
        await self._heads.judge(settings.place)
        store, charter = self._context.store, self._context.charter.pinned()
        kept = await asyncio.to_thread(store.anchored_heads, settings.place, "agrees", MOST_HEADS)
        known = {(one.head.size, one.head.root) for one in kept}
        now = await anchor.heads(log_digest(charter.origin))
        return len(known & {(one.size, one.root) for one in now})

    async def _examined(self, settings: AnyPlace, anchor: Anchor) -> dict[str, JSON]:
        state = await asyncio.to_thread(self._state, settings)
        try:
            async with asyncio.timeout(PATIENCE):
                probe = await anchor.probe()
        except TimeoutError:
            error = _silent(settings.name)
            return with_texts({**state, "facts": {}, "problem": error.message, "hint": error.hint})
        found: dict[str, JSON] = {"problem": probe.problem, "hint": probe.hint}
        if not probe.problem and (trouble := self.trouble(settings)) is not None:
            found = {"problem": trouble.message, "hint": trouble.hint}
        return with_texts({**state, "facts": dict(probe.facts), **found})

    def _named(self, place: str) -> tuple[AnyPlace, Anchor]:
        for settings, anchor in self._places.items():
            if settings.name == place:
                return settings, anchor
        raise _unknown(place)


def false_receipt(place: str, one: Sent) -> SecureFlowError:
    """Return the error for a receipt that a place does not confirm."""
    return SecureFlowError(
        "anchor_receipt_false",
        Text(
            "{place} does not hold what its receipt of {kind} in transaction {transaction} says.",
            place=place,
            kind=one.entry.kind,
            transaction=one.ticket,
        ),
        "Ask another member's node: either this node or the receipt lies.",
    )


def _silent(place: str) -> SecureFlowError:
    return SecureFlowError(
        "anchor_unavailable",
        Text("{place} did not answer in time.", place=place),
        "It is tried again; check that it can be reached from this machine.",
    )


def _unknown(place: str) -> SecureFlowError:
    return SecureFlowError(
        "anchor_unknown",
        Text("agent.yaml names no place {place} under anchors.", place=place),
        "secureflow agent anchor list shows those that it names.",
    )
