"""Another signing key for the log: proposed by the operator, decided by the members.

The log is held at the head with which its key shall end, and a charter is drafted that names that
head, the old key, the new key and why. It takes effect as any continuation does
(`application.continuing`): once more than two thirds of the members have signed it. From then on
the log has its next name, under which only the new key signs, so that nothing that the old key
signs later is accepted by anybody; until then the operator may give it up, and the old key goes on.
"""

from __future__ import annotations

from typing import Any, Final

from secureflow.application.access import Principal, require
from secureflow.application.membership import (
    CANDIDATE,
    CHARTER_LOCK,
    CURRENT,
    described,
    is_key_change,
    stored,
)
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.logkeys import LogKeys
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.transactions import Transactions, keep_answer
from secureflow.domain.charter import Charter, SignedCharter
from secureflow.domain.continuation import Continuation
from secureflow.domain.origins import following
from secureflow.engines.ledger.notes import parse_note
from secureflow.engines.ledger.setback import Hold, head_only, set_back
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

GIVEN_UP: Final = "log.key_change_given_up"


class LogKeyChange:
    """Use cases around a change of the log's key.

    Args:
        begin: starts units of work.
        transactions: opens recorded transactions.
        ledger: the log.
        keys: its key, and the one that shall follow.
        clock: unix seconds.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        ledger: Ledger,
        keys: LogKeys,
        clock: Clock,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._ledger = ledger
        self._keys = keys
        self._clock = clock

    async def propose(self, principal: Principal, reason: str) -> dict[str, Any]:
        """Hold the log and draft the charter that names its next key; a candidate is dropped.

        Args:
            principal: the operator.
            reason: why, for the members: one line of at most 200 characters.

        Raises:
            SecureFlowError: `forbidden`, `charter_missing`, `log_key_missing`,
                `malformed_charter`; `log_set_back` while the log is held for another reason.
        """
        require(principal, "charter.propose")
        async with self._begin() as work:
            pinned = await stored(work, CURRENT)
        if pinned is None:
            raise SecureFlowError(
                "charter_missing",
                "There is no charter whose members could decide on the log's key.",
                "Have one signed first: secureflow charter draft.",
            )
        new = self._keys.successor()
        if new is None:
            raise SecureFlowError(
                "log_key_missing",
                "There is no key that could follow the log's present one.",
                "Make one on the centre's machine: secureflow server log-key.",
            )
        draft = SignedCharter(await self._draft(pinned.charter, new.public, reason))
        async with self._begin() as work:
            await work.lock(CHARTER_LOCK)
            await work.set_setting(CANDIDATE, draft.json())
            shown = await described(draft)
            await keep_answer(work, shown)
            await work.commit()
        return shown

    async def give_up(self, principal: Principal) -> None:
        """Drop the proposed key: the log goes on under its present one, and tells so.

        Raises:
            SecureFlowError: `forbidden`; `log_not_set_back` if no key was proposed.
        """
        require(principal, "charter.propose")
        hold = self._ledger.hold
        async with self._begin() as work:
            proposed = await _proposed(work)
        if not proposed and (hold is None or hold.cause != "key"):
            raise SecureFlowError(
                "log_not_set_back",
                Text("No other key was proposed for the log {origin}.", origin=self._origin),
                "See the charter: secureflow charter show.",
            )
        # From here on the proposal cannot take effect: it needs the hold.
        await self._ledger.judge(lambda now, _: None if now and now.cause == "key" else now)
        # The log grows: who signed the proposal has proof that it was given up (`Continuations`).
        async with self._transactions() as transaction:
            await transaction.work.lock(CHARTER_LOCK)
            if await _proposed(transaction.work):
                await transaction.work.set_setting(CANDIDATE, None)
            transaction.record(GIVEN_UP, {"by": principal.user})
            transaction.answer(None)

    @property
    def _origin(self) -> str:
        return self._ledger.origin

    async def _draft(self, pinned: Charter, key: str, reason: str) -> Charter:
        """Hold the log, and name its last head; a draft that is refused leaves no hold behind."""
        was = self._ledger.hold
        if was is not None and was.cause != "key":
            raise set_back(was, self._origin)
        if was is None:
            await self._ledger.caught_up()
        now = self._clock()
        hold = await self._ledger.judge(
            lambda known, size: known or Hold("key", now, size, kept=size)
        )
        if hold is not None and hold.cause != "key":
            raise set_back(hold, self._origin)
        try:
            return _next(pinned, head_only(await self._ledger.head()), key, reason)
        except SecureFlowError:
            if was is None:
                await self._ledger.judge(lambda known, _: None if known == hold else known)
            raise


async def _proposed(work: UnitOfWork) -> bool:
    """Tell whether a charter waits for signatures that changes the key."""
    pinned, draft = await stored(work, CURRENT), await stored(work, CANDIDATE)
    return pinned is not None and draft is not None and is_key_change(pinned, draft)


def _next(pinned: Charter, note: str, key: str, reason: str) -> Charter:
    head = parse_note(note).checkpoint
    root = head.root.hex()
    ends = (head.origin, head.size, root, note, head.size, root)
    return Charter(
        version=pinned.version + 1,
        trust_domain=pinned.trust_domain,
        origin=following(pinned.origin),
        log_key=key,
        members=pinned.members,
        previous=pinned.digest,
        continuations=(*pinned.continuations, Continuation(*ends, pinned.log_key, reason)),
    )
