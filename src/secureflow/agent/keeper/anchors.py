"""The keeper: it takes entries of members of a place, judges them by its rules, and signs receipts.

The place is founded by the members that the keeper's owner names (by default all of the pinned
charter): each hands in its charter key's signature over its account, which for a file is that key
itself, and with the last one the place is there. Then nobody has a role at it, the keeper neither.

It checks more than an EVM can: bindings, and the log's own signature of heads of logs that it
knows. A head that contradicts one that this agent saw itself is kept as a fork, with the alarm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from secureflow.agent.keeper.anchorfile import AnchorFile
from secureflow.agent.keeper.anchorquestions import Questions
from secureflow.agent.keeper.app import Asked, Endpoint, Reply, json_reply
from secureflow.agent.keeper.knownlogs import KnownLogs
from secureflow.agent.keeper.place import FiledPlace, receipt_of
from secureflow.agent.record.anchorplace import FILE, RESTORED
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witnesssettings import KeeperSettings
from secureflow.application.throttle import Throttle, too_fast
from secureflow.domain.charter import Charter
from secureflow.engines.anchors.entries import AnchorHead, Entry, binding
from secureflow.engines.anchors.filed import (
    MAX_QUESTION,
    MAX_TRANSACTION,
    Transaction,
    member_json,
    parse_member,
    parse_question,
    parse_transaction,
    place_of,
    sign_answer,
    sign_receipt,
)
from secureflow.engines.anchors.state import Member, bound
from secureflow.kit.canonical import JSON, b64decode, parse_json
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

PREFIX: Final = "/anchor/v1"
PER_SECOND: Final = 100.0
BURST: Final = 1000
"""Transactions of one member."""

Heard = Callable[[str], Awaitable[None]]
_log = get_logger(__name__)


class Anchors:
    """Keeps anchors of others.

    Args:
        key: the organisation's charter key.
        charter: returns the pinned charter (raises `charter_not_pinned`).
        store: the agent's record.
        folder: of the file.
        settings: founders and window.
        logs: whose heads can be checked here.
        heard: is told heads that members anchored, as notes; it raises no error.
        clock: unix seconds.
        ticks: seconds of a monotonic clock.
    """

    def __init__(
        self,
        key: SigningKey,
        charter: Callable[[], Charter],
        store: RecordStore,
        folder: Path,
        settings: KeeperSettings,
        logs: KnownLogs,
        heard: Heard,
        clock: Clock,
        ticks: Ticks,
    ) -> None:
        self._key = key
        self._own = b64decode(key.public, 64)
        self._charter = charter
        self._file = AnchorFile(folder / FILE, store)
        self._store = store
        self._settings = settings
        self._logs = logs
        self._heard = heard
        self._clock = clock
        self._rate = Throttle(PER_SECOND, BURST, ticks)
        self._lock = asyncio.Lock()
        self._place = FiledPlace(place_of(self._own))
        self._opened = False
        self.fault: SecureFlowError | None = None
        """Why the file cannot be used, for the doctor and whoever asks."""
        self._questions = Questions(self._place, self._file)

    def endpoints(self) -> list[Endpoint]:
        """Return the addresses."""
        return [
            Endpoint("POST", f"{PREFIX}/entries", MAX_TRANSACTION, self._take_entries),
            Endpoint("POST", f"{PREFIX}/members", MAX_QUESTION, self._take_member),
            Endpoint("POST", f"{PREFIX}/ask", MAX_QUESTION, self._answer),
        ]

    async def take(self, transaction: Transaction) -> JSON:
        """Keep a transaction; return the receipt. The same one gets the same receipt again.

        Raises:
            SecureFlowError: `forbidden`, `anchor_not_founded`, `anchor_file_…`.
        """
        heads: list[str] = []
        async with self._lock:
            await self._open()
            self._check(transaction)
            receipt = await asyncio.to_thread(self._keep, transaction, heads)
        for note in heads:
            await self._heard(note)
        return receipt

    async def bind(self, member: Member) -> bool:
        """Take a founder's binding; return whether the place is founded by now.

        Raises:
            SecureFlowError: `forbidden`, `anchor_file_…`, `charter_not_pinned`.
        """
        async with self._lock:
            await self._open()
            if self._place.state is None:
                await asyncio.to_thread(self._bind, member)
            return self._place.state is not None

    def standing(self) -> dict[str, JSON]:
        """Return how it stands, for the owner."""
        state = self._place.state
        return {
            "place": self._place.name,
            "founded": state is not None,
            "bound": len(self._place.bindings),
            "members": len(state.members) if state else 0,
            "lines": self._file.lines,
            "problem": self.fault.message if self.fault else "",
            "hint": self.fault.hint if self.fault else "",
        }

    async def start(self) -> None:
        """Read the file, and hand in the keeper's own binding; a fault is kept and logged."""
        try:
            own = self._key.private.sign(binding(self._place.name, self._own, self._own))
            await self.bind(Member(self._own, self._own, (own[:32], own[32:])))
        except SecureFlowError as error:
            _log.error("anchors_not_kept", code=error.code, message=error.message)

    async def _open(self) -> None:
        if self.fault is not None:
            raise self.fault
        if not self._opened:
            try:
                await asyncio.to_thread(self._replay)
            except SecureFlowError as error:
                self.fault = error
                raise
            self._opened = True

    def _replay(self) -> None:
        for line in self._file.read():
            self._place.replay(line, self._file.lines)
        self._check_restored()

    def _check_restored(self) -> None:
        """Refuse a backup's file until its owner said how many lines there were.

        Raises:
            SecureFlowError: `anchor_file_restored`.
        """
        back, there, stated = self._store.fact(RESTORED), self._file.lines, self._settings.lines
        if back is None:
            return
        if stated is None or not int(back["lines"]) <= stated <= there:
            raise SecureFlowError(
                "anchor_file_restored",
                Text(
                    "The keeper's file is a backup's, with {lines} lines: it may have had more.",
                    lines=there,
                ),
                "Ask the members for the greatest line that they have a receipt of (secureflow "
                "anchor list: block), put a file with so many lines back, and state their number: "
                "witness.keeper.lines in agent.yaml. It keeps and answers nothing until then.",
            )
        with self._store.transaction():
            self._store.set_fact(RESTORED, None)
        _log.warning("anchors_continued_after_restore", lines=there)

    def _now(self) -> int:
        return max(self._clock(), self._place.at)

    # Founding.

    def _founders(self) -> dict[str, str]:
        """Return the founders' charter keys in hex, and who they are."""
        charter = self._charter()
        chosen = self._settings.founders or tuple(charter.keys)
        missing = [one for one in chosen if one not in charter.keys]
        if missing:
            raise SecureFlowError(
                "anchor_refused",
                Text("The charter names no member {party}.", party=missing[0]),
                "Correct `witness.keeper.founders` in agent.yaml.",
            )
        return {b64decode(charter.keys[one], 64).hex(): one for one in chosen}

    def _bind(self, member: Member) -> None:
        founders = self._founders()
        own_key = member.account == member.key
        if member.key.hex() not in founders or not own_key or not bound(self._place.name, member):
            raise SecureFlowError(
                "forbidden",
                "Who founds this place signs its own charter key, and is among its founders.",
                "Ask the keeper's owner which members found it.",
            )
        now = self._now()
        if member.key.hex() not in self._place.bindings:
            self._file.append({"kind": "bound", "at": now, "member": member_json(member)})
            self._place.bind(member, now)
        if founders.keys() <= self._place.bindings.keys():
            members = [self._place.bindings[key] for key in sorted(founders)]
            window = self._settings.window
            founded = {
                "kind": "founded",
                "at": now,
                "place": self._place.name,
                "window": window,
                "members": [member_json(one) for one in members],
            }
            try:
                self._file.append(founded)
            except BaseException:  # the line may be there: a second one would damage the file
                self._forget()
                raise
            self._place.open(window, members, now)
            _log.info("anchors_founded", place=self._place.name, members=len(members))

    # Entries.

    def _check(self, transaction: Transaction) -> None:
        state = self._place.state
        if state is None:
            raise SecureFlowError(
                "anchor_not_founded",
                "Not every founder of this place has handed in its key.",
                "The others' agents do it when they start.",
            )
        if transaction.place != self._place.name:
            raise SecureFlowError(
                "anchor_refused",
                "The entries are for another place.",
                "Set the keeper's charter key in the settings of anchors.",
            )
        known = transaction.id in self._place.receipts
        if not known and transaction.sender.hex() not in state.members:
            raise SecureFlowError(
                "forbidden", "The sender is no member of this place.", "Its members can admit you."
            )
        if wait := self._rate.take(transaction.sender.hex()):
            raise too_fast(wait)

    def _keep(self, transaction: Transaction, heads: list[str]) -> JSON:
        number = self._place.receipts.get(transaction.id)
        if number is None:
            number = self._append(transaction, heads)
        return self._sign(number)

    def _append(self, transaction: Transaction, heads: list[str]) -> int:
        def unsigned(entry: Entry) -> bool:
            return isinstance(entry, AnchorHead) and self._logs.unsigned(entry)

        def contradicted(entry: Entry) -> bool:
            return isinstance(entry, AnchorHead) and self._logs.contradicted(entry)

        now, place = self._now(), self._place
        try:
            verdicts = place.judge(
                transaction.entries, transaction.sender, now, unsigned, contradicted
            )
            self._file.append(
                {
                    "kind": "transaction",
                    "at": now,
                    "transaction": transaction.signed,
                    "results": [result for result, _ in verdicts],
                    "reasons": [reason for _, reason in verdicts],
                }
            )
        except BaseException:  # whatever the error, memory must not be ahead of the file
            self._forget()
            raise
        place.note(transaction, verdicts, self._file.lines, now)
        for entry, (result, _) in zip(transaction.entries, verdicts, strict=True):
            if isinstance(entry, AnchorHead) and result != "refused":
                heads.extend(self._logs.note_of(entry))
        return self._file.lines

    def _forget(self) -> None:
        """Read the file again before the next entry: memory is ahead of it."""
        self._opened = False
        self._file.forget()
        self._place.forget()

    # Requests.

    async def _take_entries(self, asked: Asked) -> Reply:
        value = await asyncio.to_thread(parse_json, asked.body, MAX_TRANSACTION)
        transaction = await asyncio.to_thread(parse_transaction, value)
        return json_reply(await self.take(transaction))

    async def _take_member(self, asked: Asked) -> Reply:
        member = parse_member(parse_json(asked.body, MAX_QUESTION))
        return json_reply({"founded": await self.bind(member)})

    async def _answer(self, asked: Asked) -> Reply:
        value: Any = parse_json(asked.body, MAX_QUESTION)
        sender, ask, about, nonce = parse_question(value, self._place.name, self._clock())
        async with self._lock:
            await self._open()
            if not self._place.may_ask(sender):
                raise SecureFlowError(
                    "forbidden", "Only members of this place read it.", "Its members can admit you."
                )
            if wait := self._rate.take(sender.hex()):
                raise too_fast(wait)
            answer = await asyncio.to_thread(self._questions.answer, ask, about, self._sign)
        return json_reply(sign_answer(self._key, nonce, answer))

    def _sign(self, number: int) -> JSON:
        line, digest = self._file.line(number), self._file.hash_of(number)
        return sign_receipt(self._key, receipt_of(line, number, digest, self._place.name))
