"""The owner's commands for a running agent, over the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from secureflow.agent.edge.chartercommands import CharterCommands
from secureflow.agent.edge.control import Command
from secureflow.agent.edge.datacommands import DataCommands
from secureflow.agent.record.restored import CODE, restored
from secureflow.agent.witness.continuations import ACCUSED, SET_BACK
from secureflow.agent.witness.hearing import WITNESSES, witness_lines
from secureflow.engines.ledger.notes import attach
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import fingerprint
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.version import __version__


class Commands(DataCommands, CharterCommands):
    """The commands, over a running agent."""

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {
            "status": self.status,
            "reload": self.reload,
            "log": self.log,
            "leaves": self.leaves,
            "ledger.head": self.ledger_head,
            "alarm.clear": self.clear_alarm,
            **self.inbox_table(),
            **self.charter_table(),
            **self.data_table(),
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

    async def reload(
        self, preview: bool = False, agreed: list[JSON] | None = None
    ) -> dict[str, JSON]:
        """Apply the edited settings file, or only return what it would change."""
        if preview:
            return await self.reloading.preview()
        return await self.reloading.apply(agreed or ())

    async def log(
        self, job: str = "", limit: int = 100, before: int = 0, names: JSON = ()
    ) -> list[dict[str, JSON]]:
        """Return what this agent did, newest first: before an entry, and of these names only."""
        if type(before) is not int or not 0 <= before < 1 << 53:
            raise SecureFlowError("invalid_request", "An entry of the log is named by its number.")
        named = [str(one)[:64] for one in names[:200]] if isinstance(names, list) else []
        return await asyncio.to_thread(
            self.assembly.context.store.actions,
            job=job, limit=max(1, min(limit, 10_000)), before=before, names=named,
        )  # fmt: skip

    async def leaves(self, job: str) -> list[dict[str, JSON]]:
        """Return the ledger leaves that this agent signed in a job, oldest first."""
        found = self.assembly.context.store.leaves(job)
        return [
            {"kind": one.kind, "hash": one.hash, "proved": bool(one.proved), **one.bundle}
            for one in found
        ]

    async def ledger_head(self) -> dict[str, JSON]:
        """Return the last head of the log that this agent accepted, for who verifies against it.

        `note` is that head as the log signed it, with the cosignatures that came with it and those
        of witnesses of others; `root` is in hex. Nothing here is asked of the centre.
        """
        context = self.assembly.context
        view = context.witness.view
        lines = witness_lines(context.store.fact(WITNESSES), context.witness.newest)
        return {
            "origin": view.origin,
            "log_key": view.log_key,
            "size": view.size,
            "root": view.root.hex(),
            "note": attach(view.note, lines) if lines else view.note,
            "head": context.witness.newest,
            "unproved": context.witness.unproved(),
            "alarm": context.store.fact("alarm"),
        }

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
