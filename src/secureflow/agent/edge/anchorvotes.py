"""The owner's votes at a place: who joins, who leaves, where it is continued; and votes repeated.

A vote goes through the outbox like every deed. One that is not carried is kept at the place. When
members come or go, it may be enough, and whoever voted repeats it (`engines.anchors.rules`).
Nobody is voted in whom the pinned charter does not name with the key that signed the account.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from secureflow.agent.anchorsettings import AnyPlace
from secureflow.agent.edge.anchoraccounts import read_account
from secureflow.agent.edge.control import Command
from secureflow.agent.job.context import AgentContext
from secureflow.engines.anchors.entries import (
    Admit,
    Entry,
    Remove,
    SetContributions,
    Split,
    Upgrade,
    successor_word,
)
from secureflow.engines.anchors.reading import check_members
from secureflow.kit.canonical import JSON, b64decode
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

VOTES: Final = (Admit, Remove, Upgrade, SetContributions, Split)
_KEY: Final = re.compile(r"[0-9a-f]{64}")


class AnchorVotes:
    """The commands.

    Args:
        context: of the agent.
        places: in the settings.
        added: has the sender look soon.
    """

    def __init__(
        self, context: AgentContext, places: Sequence[AnyPlace], added: Callable[[], None]
    ) -> None:
        self._context = context
        self._places = places
        self._added = added

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {
            "anchor.admit": self.admit,
            "anchor.remove": self.remove,
            "anchor.upgrade": self.upgrade,
            "anchor.again": self.again,
        }

    async def admit(self, place: str, account: dict[str, JSON]) -> dict[str, JSON]:
        """Vote for a member, by the document that it made with `agent anchor account`.

        Raises:
            SecureFlowError: `anchor_unknown`, `malformed_anchor`, `charter_not_pinned`;
                `anchor_untrusted` for who is not in the charter, or another signed the account.
        """
        settings = self._named(place)
        where, entry = read_account(account)
        if where != settings.place:
            raise SecureFlowError(
                "malformed_anchor",
                Text("The account is at {where}, not at {place}.", where=where, place=place),
                "Have the member make it again: secureflow agent anchor account.",
            )
        keys = self._context.charter.pinned().keys
        check_members(settings.place, [entry], keys)
        whose = next(name for name, key in keys.items() if b64decode(key, 64) == entry.member)
        return {**await self._voted(settings, entry), "organisation": whose}

    async def remove(self, place: str, member: str) -> dict[str, JSON]:
        """Vote to take a member out.

        Args:
            place: name in the settings.
            member: organisation of the pinned charter, or a charter key in 64 hex digits: of one
                that the charter has no more.

        Raises:
            SecureFlowError: `anchor_unknown`, `charter_not_pinned`, `not_found`.
        """
        settings, keys = self._named(place), self._context.charter.pinned().keys
        if member in keys:
            return await self._voted(settings, Remove(b64decode(keys[member], 64)))
        if not _KEY.fullmatch(member):
            raise SecureFlowError(
                "not_found",
                Text("The charter has no organisation {member}.", member=member),
                "Name one of the charter, or the 64 hex digits of a charter key.",
            )
        return await self._voted(settings, Remove(bytes.fromhex(member)))

    async def upgrade(self, place: str, successor: str) -> dict[str, JSON]:
        """Vote to close a place: it is continued at another one of the same make.

        Raises:
            SecureFlowError: `anchor_unknown`, `malformed_anchor`.
        """
        settings = self._named(place)
        word = successor_word(settings.place, successor)
        if word is None or successor == settings.place:
            raise SecureFlowError(
                "malformed_anchor",
                Text("{place} cannot be continued at {successor}.", place=place,
                     successor=successor),
                "Name another place of the same make: of a contract one on the same chain.",
            )  # fmt: skip
        return await self._voted(settings, Upgrade(word))

    async def again(self, entry: str, place: str = "") -> dict[str, JSON]:
        """Send a vote again that ended: it is counted anew where members came or went since.

        Raises:
            SecureFlowError: `anchor_unknown`, `not_found`.
        """
        whose = self._named(place).place if place else ""
        found = await asyncio.to_thread(self._context.store.anchor_entries_of, entry, whose)
        votes = [one for one in found if isinstance(one.entry, VOTES)]
        if not votes:
            raise SecureFlowError(
                "not_found",
                Text("This agent sent no vote {entry}.", entry=entry),
                "secureflow agent anchor list shows its votes.",
            )
        queued = 0
        for one in votes:
            queued += await asyncio.to_thread(self._queue, one.place, one.entry)
        self._added()
        return {"digest": entry, "kind": votes[0].entry.kind, "queued": queued}

    async def _voted(self, settings: AnyPlace, entry: Entry) -> dict[str, JSON]:
        queued = await asyncio.to_thread(self._queue, settings.place, entry)
        self._added()
        digest = entry.digest.hex()
        return {"place": settings.name, "kind": entry.kind, "digest": digest, "queued": queued}

    def _queue(self, place: str, entry: Entry) -> int:
        """Queue a vote; one that is on its way is left alone."""
        store, now = self._context.store, self._context.clock()
        with store.transaction():
            queued = store.add_anchor_entries([place], [entry], now, again=True)
            if queued:
                facts: dict[str, JSON] = {"place": place, "entry": entry.json()}
                store.note(now, "anchor.voted", "", **facts)
        return queued

    def _named(self, place: str) -> AnyPlace:
        for settings in self._places:
            if settings.name == place:
                return settings
        raise SecureFlowError(
            "anchor_unknown",
            Text("agent.yaml names no place {place} under anchors.", place=place),
            "secureflow agent anchor list shows those that it names.",
        )
