"""The driver of a place that another party's agent keeps in a file.

Nothing that the keeper says counts without its charter key's signature (`engines.anchors.filed`),
so its certificate is not pinned: it has to be valid for its name, or be the one that the owner
names as its authority, and only hides what is asked. A transaction that is sent again gets the same
receipt; one that the keeper does not know waits, and is sent again by whoever has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from secureflow.adapters.anchors.file.reading import cursor_of, happened_of, head_of, malformed
from secureflow.application.ports.anchor import (
    AnchoredHead,
    Make,
    Outcome,
    Page,
    Position,
    Probe,
    Ticket,
)
from secureflow.engines.anchors import filed
from secureflow.engines.anchors.entries import Admit, Entry, binding, parse_entry
from secureflow.engines.anchors.state import Member
from secureflow.kit import canonical
from secureflow.kit.boundedhttp import BoundedHttp, HttpAnswer
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

MOST_EVENTS: Final = 500
MOST_HEADS: Final = 1000
MOST_DIGITS: Final = 40
"""Of an amount."""
_PREFIX: Final = "/anchor/v1"
_JSON: Final = "application/json"
_OK: Final = 200
_NOT_FOUNDED: Final = 409
_FORBIDDEN: Final = 403
_REFUSED: Final = frozenset({400, 401, 403, 404, 413, 422})


class FileAnchor:
    """A place in a file (`application.ports.anchor.Anchor`).

    Args:
        key: this organisation's charter key, which is its account too.
        keeper: the keeper's charter key, raw.
        url: the prefix of the keeper's address.
        clock: unix seconds.
        authority: PEM file of the authority of its certificate; None: the system's.
        http: in place of that address, for tests.
    """

    def __init__(
        self,
        key: SigningKey,
        keeper: bytes,
        url: str,
        clock: Clock,
        authority: Path | None = None,
        http: BoundedHttp | None = None,
    ) -> None:
        self._key = key
        self._own = canonical.b64decode(key.public, 64)
        self._keeper = keeper
        self._clock = clock
        self._http = http or _reached(url, authority)

    @property
    def make(self) -> Make:
        """See `Anchor.make`."""
        return "file"

    @property
    def place(self) -> str:
        """See `Anchor.place`."""
        return filed.place_of(self._keeper)

    @property
    def account(self) -> bytes:
        """See `Anchor.account`: the charter key itself."""
        return self._own

    @property
    def limit(self) -> int:
        """See `Anchor.limit`."""
        return filed.LIMIT

    async def prepare(self, entries: Sequence[Entry], unfinished: Sequence[Ticket]) -> Ticket:
        """See `Anchor.prepare`."""
        del unfinished  # transactions of one sender do not wait for one another
        if not 0 < len(entries) <= self.limit:
            raise SecureFlowError(
                "anchor_refused",
                Text("One transaction carries 1 to {most} entries.", most=self.limit),
                "Divide them among several.",
            )
        made = filed.sign_transaction(self.place, self._key, entries)
        return Ticket(made.id, made.signed)

    async def send(self, ticket: Ticket) -> None:
        """See `Anchor.send`."""
        body = canonical.canonical_bytes(ticket.body)
        answer = await self._post("/entries", body, filed.MAX_ANSWER)
        if answer.status == _NOT_FOUNDED:
            await self._bind()
            answer = await self._post("/entries", body, filed.MAX_ANSWER)
        receipt = filed.parse_receipt(self._read(answer), self._keeper)
        if receipt.transaction != ticket.id:
            raise filed.untrue("a receipt is of another transaction")

    async def outcome(self, ticket: Ticket) -> Outcome:
        """See `Anchor.outcome`."""
        answer = await self._ask("transaction", {"id": ticket.id})
        told = answer.get("receipt") if isinstance(answer, dict) else None
        if told is None:
            return Outcome("waiting")
        receipt, lines = filed.parse_receipt(told, self._keeper), answer.get("lines")
        if receipt.transaction != ticket.id or type(lines) is not int or lines < receipt.line:
            raise malformed()
        if receipt.entries != _digests(ticket):
            # Its owner would sign that it proves them, and be convicted by it.
            raise filed.untrue("a receipt is of other entries")
        return Outcome(
            "final",
            Position(receipt.line, receipt.hash),
            receipt.results,
            receipt.reasons,
            told,
            lines - receipt.line + 1,
        )

    async def happened(self, after: Position | None, limit: int = MOST_EVENTS) -> Page:
        """See `Anchor.happened`."""
        begin = after or Position(0, "")
        about = {"line": begin.block, "hash": begin.hash, "index": begin.index}
        answer = await self._ask("events", {**about, "limit": max(1, min(limit, MOST_EVENTS))})
        listed = answer.get("events") if isinstance(answer, dict) else None
        if not isinstance(listed, list) or len(listed) > MOST_EVENTS:
            raise malformed()
        events = tuple(happened_of(one) for one in listed)
        places = [(one.position.block, one.position.index) for one in events]
        cursor = cursor_of(answer)
        restarted = answer.get("reorganised") is True
        first = (0, -1) if restarted or after is None else (after.block, after.index)
        if places != sorted(set(places)) or (places and places[0] <= first):
            raise malformed()
        if cursor and (cursor.block, cursor.index) < max([first, *places[-1:]]):
            raise malformed()
        return Page(events, cursor, restarted)

    async def heads(self, log: bytes) -> Sequence[AnchoredHead]:
        """See `Anchor.heads`."""
        answer = await self._ask("heads", {"log": log.hex()})
        if not isinstance(answer, list) or len(answer) > MOST_HEADS:
            raise malformed()
        return [head_of(log, one) for one in answer]

    async def members(self) -> Sequence[Admit]:
        """See `Anchor.members`."""
        answer = await self._ask("members", {})
        if not isinstance(answer, list):
            raise malformed()
        try:
            found = [filed.parse_member(one) for one in answer]
        except SecureFlowError as error:
            raise malformed() from error
        return [Admit(one.key, one.account, one.signature) for one in found]

    async def owed(self, payer: bytes, payee: bytes, currency: bytes) -> int:
        """See `Anchor.owed`."""
        about = {"payer": payer.hex(), "payee": payee.hex(), "currency": currency.hex()}
        answer = await self._ask("owed", about)
        told = answer.get("amount") if isinstance(answer, dict) else None
        if not isinstance(told, str) or not (
            told.isascii() and told.isdecimal() and len(told) <= MOST_DIGITS
        ):
            raise malformed()
        return int(told)

    async def checked(self, receipt: JSON, entry: Entry) -> bool:
        """See `Anchor.checked`: by its signature, and by what the keeper holds now."""
        try:
            told = filed.parse_receipt(receipt, self._keeper)
        except SecureFlowError:
            return False
        held = zip(told.entries, told.results, strict=True)
        if not any(one == entry.digest.hex() and result != "refused" for one, result in held):
            return False
        answer = await self._ask("transaction", {"id": told.transaction})
        now = answer.get("receipt") if isinstance(answer, dict) else None
        return now is not None and filed.parse_receipt(now, self._keeper) == told

    async def probe(self) -> Probe:
        """See `Anchor.probe`."""
        facts: list[tuple[str, str]] = [("place", self.place), ("address", self._http.base)]
        try:
            await self._bind()
            answer = await self._ask("place", {})
            if not isinstance(answer, dict):
                raise malformed()
            facts += [
                (name, shown(str(answer.get(name))[:80]))
                for name in ("founded", "members", "lines")
            ]
        except SecureFlowError as error:
            return Probe(tuple(facts), str(error.message), str(error.hint))
        return Probe(tuple(facts))

    async def close(self) -> None:
        """See `Anchor.close`."""
        await self._http.close()

    async def _bind(self) -> None:
        """Hand in what binds this account, where the place is not founded yet."""
        signature = self._key.private.sign(binding(self.place, self._own, self._own))
        member = Member(self._own, self._own, (signature[:32], signature[32:]))
        body = canonical.canonical_bytes(filed.member_json(member))
        answer = await self._post("/members", body, filed.MAX_QUESTION)
        if answer.status != _OK:
            self._read(answer)

    async def _ask(self, ask: str, about: Mapping[str, JSON]) -> Any:
        question = filed.sign_question(self.place, self._key, ask, about, self._clock())
        body = canonical.canonical_bytes(question)
        answer = await self._post("/ask", body, filed.MAX_ANSWER)
        if answer.status == _FORBIDDEN:  # a founder whose binding is not there yet
            await self._bind()
            answer = await self._post("/ask", body, filed.MAX_ANSWER)
        return filed.parse_answer(self._read(answer), self._keeper, question)

    async def _post(self, path: str, body: bytes, most: int) -> HttpAnswer:
        try:
            return await self._http.ask("POST", _PREFIX + path, most, body, _JSON)
        except InfrastructureError as error:
            raise unavailable(str(error.message)) from error

    def _read(self, answer: HttpAnswer) -> Any:
        """Return the JSON of an answer.

        Raises:
            InfrastructureError: `anchor_unavailable`.
            SecureFlowError: `anchor_refused`.
        """
        if answer.status in _REFUSED:
            raise filed.untrue(Text("it refuses this account ({status})", status=answer.status))
        if answer.status != _OK:
            raise unavailable(Text("It answers {status}.", status=answer.status))
        try:
            return canonical.parse_json(answer.body, filed.MAX_ANSWER)
        except SecureFlowError as error:
            raise malformed() from error


def _reached(url: str, authority: Path | None) -> BoundedHttp:
    try:
        return BoundedHttp(url, authority)
    except ValueError as error:
        raise SecureFlowError(
            "anchor_refused",
            "The keeper's address must be an https URL without user, query and fragment.",
            "Correct its `url` in the settings of anchors.",
        ) from error


def _digests(ticket: Ticket) -> tuple[str, ...]:
    entries = ticket.body["body"]["entries"]
    return tuple(parse_entry(one).digest.hex() for one in entries)


def unavailable(reason: str) -> InfrastructureError:
    """Return the error of a keeper that cannot answer now."""
    return InfrastructureError(
        "anchor_unavailable",
        Text("The keeper of anchors cannot be used now: {reason}", reason=reason),
        "Nothing is lost: it is tried again. Ask its owner if it stays away.",
    )
