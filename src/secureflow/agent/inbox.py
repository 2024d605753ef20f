"""The inbox: requests for data that wait for a person of this organisation."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from secureflow.agent.records import InboxItem
from secureflow.agent.store import Store
from secureflow.kit.canonical import digest
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError

JSON = Any
MAX_WAITING: Final = 256
"""Requests that wait at once. What expired or was withdrawn keeps its summary, not its spec: the
centre chooses how many it sends, and how long they are."""


class Inbox:
    """Keeps requests and wakes those who wait for a decision.

    Args:
        store: the agent's record.
        clock: unix seconds.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._decided: dict[str, asyncio.Event] = {}

    def list(self, *, waiting: bool = True) -> list[InboxItem]:
        """Return items, newest first."""
        return self._store.inbox(waiting=waiting)

    def get(self, item: str) -> InboxItem:
        """Return one item.

        Raises:
            SecureFlowError: `not_found`.
        """
        found = self._store.inbox_item(item)
        if found is None:
            raise SecureFlowError(
                "not_found",
                f"The inbox has no item {item!r}.",
                "`secureflow agent inbox list --all` shows every item.",
            )
        return found

    def put(
        self,
        job: str,
        spec_digest: str,
        spec: Mapping[str, JSON],
        request: Mapping[str, JSON],
        reasons: Sequence[str],
        expires: int,
    ) -> str:
        """Insert a request unless this very one (job and spec digest) is there; return its id.

        Raises:
            SecureFlowError: `inbox_full`.
        """
        # Twelve hex digits are for people's eyes; the item itself holds job and whole digest.
        item = digest({"job": job, "spec": spec_digest})[:12]
        if self._store.inbox_item(item) is None:
            if len(self._store.inbox(waiting=True)) >= MAX_WAITING:
                raise SecureFlowError(
                    "inbox_full",
                    f"{MAX_WAITING} requests wait for a person here; {job} finds no place.",
                    "Approve or reject some: `secureflow agent inbox list`.",
                )
            now = self._clock()
            new = InboxItem(
                item, job, spec_digest, _plain(request), dict(spec), tuple(reasons),
                "waiting", now, expires,
            )  # fmt: skip
            with self._store.transaction():
                self._store.put_inbox_item(new)
                self._store.note(now, "inbox.waiting", job, item=item)
        return item

    def decide(
        self, item: str, state: Literal["approved", "rejected"], reason: str = ""
    ) -> InboxItem:
        """Store a person's decision; it is final.

        Raises:
            SecureFlowError: `not_found`, `already_decided`, `expired`.
        """
        found = self.get(item)
        now = self._clock()
        if found.state != "waiting":
            raise SecureFlowError(
                "already_decided",
                f"Inbox item {item} is already {found.state}.",
                "A decision stands; a changed job comes as a new item.",
            )
        if now >= found.expires:
            raise SecureFlowError(
                "expired",
                f"Inbox item {item} has expired: nobody waits for it any more.",
                "Let the job be submitted again.",
            )
        decided = replace(found, state=state, decided_at=now, reason=reason)
        with self._store.transaction():
            self._store.put_inbox_item(decided)
            self._store.note(now, f"inbox.{state}", found.job, item=item, reason=reason)
        return decided

    def withdraw(self, job: str) -> None:
        """A job is over: its waiting items are closed."""
        waiting = [item for item in self._store.inbox(waiting=True) if item.job == job]
        if not waiting:
            return
        with self._store.transaction():
            for item in waiting:
                self._store.put_inbox_item(
                    replace(item, state="withdrawn", reason="the job is over", spec={})
                )
        for item in waiting:
            self.wake(item.id)

    def wake(self, item: str) -> None:
        """Tell those who wait that an item was decided (on the event loop)."""
        if item in self._decided:
            self._decided[item].set()

    async def decision(self, item: str) -> InboxItem:
        """Wait until an item is decided or expired."""
        event = self._decided.setdefault(item, asyncio.Event())
        while True:
            event.clear()
            found = self.get(item)
            left = found.expires - self._clock()
            if found.state != "waiting":
                return found
            if left <= 0:
                return await asyncio.to_thread(self._expire, found)
            try:
                await asyncio.wait_for(event.wait(), left)
            except TimeoutError:
                continue

    def _expire(self, item: InboxItem) -> InboxItem:
        expired = replace(item, state="expired", reason="nobody decided in time", spec={})
        with self._store.transaction():
            self._store.put_inbox_item(expired)
        return expired


def _plain(request: Mapping[str, JSON]) -> dict[str, JSON]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in request.items()}
