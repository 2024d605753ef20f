"""The owner's commands about the charter, over the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from secureflow.agent.edge.control import Command
from secureflow.agent.edge.running import RunningAgent
from secureflow.domain.charter import SignedCharter
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError


class CharterCommands(RunningAgent):
    """The commands, over a running agent."""

    def charter_table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {
            "charter.show": self.charter_show,
            "charter.pin": self.charter_pin,
            "charter.sign": self.charter_sign,
        }

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


def _no_charter() -> SecureFlowError:
    return SecureFlowError(
        "charter_missing",
        "The centre has no charter for this agent to sign or pin.",
        "The operator drafts one once every organisation is enrolled: secureflow charter draft.",
    )
