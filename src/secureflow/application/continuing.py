"""How a log that was rolled back continues: by a charter version, signed by its members.

In the same way it continues under another key (`application.logkeychange` drafts that).

While the log is held nothing can be recorded, so drafting and signing leave no entry; the first
entry of the new origin is the continuation itself. Jobs that began before it end with an error that
says so. Each step can be repeated: after a crash in the middle the next start finishes it.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Any, Final

from secureflow.application.access import Principal, require
from secureflow.application.jobs.driver import Driver
from secureflow.application.listing import list_readable
from secureflow.application.membership import (
    CANDIDATE,
    CHARTER_LOCK,
    CURRENT,
    check_candidate,
    continues_log,
    described,
    member_keys,
    stored,
    suffices,
    with_signature,
)
from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.logkeys import LogKeys, OneKey
from secureflow.application.ports.storage import PendingLeaf, UnitOfWork, UnitOfWorkFactory
from secureflow.application.restored import settle_restored, spend_invitations
from secureflow.application.running.driving import retry_stale
from secureflow.application.running.recording import server_leaf
from secureflow.application.running.windups import KEY_CHANGED, SET_BACK
from secureflow.application.secretsroot import carry_secrets
from secureflow.application.throttle import Throttle, too_fast
from secureflow.application.transactions import keep_answer
from secureflow.domain.charter import Charter, SignedCharter
from secureflow.domain.continuation import Continuation
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.origins import continues, following
from secureflow.engines.ledger.gaps import CONTINUED, continued_document
from secureflow.engines.ledger.leaves import commitment, leaf_from_json, verify
from secureflow.engines.ledger.merkle import leaf_hash
from secureflow.engines.ledger.notes import parse_note
from secureflow.engines.ledger.setback import head_only, not_set_back, set_back
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

HISTORY: Final = "charter_history"
"""Signed charters from the version before the first continuation on, oldest first."""
_AGAIN: Final = "submitted_again"
UNNUMBERED: Final = 1000
"""Entries that one member may have signed without their ever having been numbered."""
PAID: Final = 200
"""Counted entries of one member that may not be in the log: its last two batches."""
PER_SECOND: Final = 2.0
AT_ONCE: Final = 20
"""Batches of one member."""
MAX_WEIGHT: Final = 1 << 20
_log = get_logger(__name__)
_SALT: Final = re.compile(r"[0-9a-f]{64}")


class Continuing:
    """Use cases around continuations.

    Args:
        begin: starts units of work.
        ledger: the log.
        key: the log's key.
        driver: drives jobs.
        clock: unix seconds.
        ticks: rate limit for members that resubmit entries.
        keys: where the log's next key is found; by default there is none.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        ledger: Ledger,
        key: SigningKey,
        driver: Driver,
        clock: Clock,
        ticks: Ticks = time.monotonic,
        keys: LogKeys | None = None,
    ) -> None:
        self._begin = begin
        self._ledger = ledger
        self._keys = keys or OneKey(key)
        self._driver = driver
        self._clock = clock
        self._turns = Throttle(PER_SECOND, AT_ONCE, ticks)

    async def propose(self, principal: Principal) -> dict[str, Any]:
        """Draft the charter that continues a held log; an older candidate is dropped.

        Raises:
            SecureFlowError: `forbidden`, `log_not_set_back`, `charter_missing`.
        """
        require(principal, "charter.propose")
        continuation = await self._draft()
        async with self._begin() as work:
            await work.lock(CHARTER_LOCK)
            pinned = await stored(work, CURRENT)
            if pinned is None:
                raise SecureFlowError(
                    "charter_missing",
                    "There is no charter whose members could continue the log.",
                    "Put the newest database back.",
                )
            draft = SignedCharter(_next(pinned.charter, continuation))
            await work.set_setting(CANDIDATE, draft.json())
            shown = await described(draft)
            await keep_answer(work, shown)
            await work.commit()
        return shown

    async def add_signature(
        self, organisation: str, digest: str, signature: str
    ) -> SignedCharter | None:
        """Add a signature to a pending continuation, and continue once there are enough.

        Returns None if no continuation is pending: then it is a signature of another kind.

        Raises:
            SecureFlowError: `charter_mismatch`, `signature_refused`.
        """
        async with self._begin() as work:
            await work.lock(CHARTER_LOCK)
            pinned, draft = await stored(work, CURRENT), await stored(work, CANDIDATE)
            if pinned is None or draft is None or not continues_log(pinned, draft):
                return None
            if pinned.charter.digest == digest:
                return None
            check_candidate(draft, organisation, digest)
            signed = with_signature(draft, pinned.charter.keys, organisation, signature)
            await work.set_setting(CANDIDATE, signed.json())
            await work.commit()
        await self.finish()
        return signed

    async def finish(self) -> None:
        """Carry out a continuation that enough members signed, if there is one."""
        async with self._begin() as work:
            pinned, draft = await stored(work, CURRENT), await stored(work, CANDIDATE)
        if pinned is None or draft is None or not continues_log(pinned, draft):
            return
        if not await asyncio.to_thread(suffices, draft, pinned):
            return
        origin, hold = draft.charter.origin, self._ledger.hold
        if hold is None and self._ledger.origin != origin:
            return  # the newest database is back: nothing was lost
        last, key = draft.charter.continuations[-1], self._keys.find(draft.charter.log_key)
        if key is None or (last.changes_key and hold is not None and hold.cause != "key"):
            # The key is on another server of this centre; or a head beyond the named one was shown.
            _log.error("log_not_continued", origin=origin, key_here=key is not None)
            return
        if last.changes_key:
            await carry_secrets(self._begin, self._keys.signing, key)
        jobs = await self.end_jobs(KEY_CHANGED if last.changes_key else "")
        try:
            document = continued_document(draft.charter, await self._withdrawn(last))
            leaf = server_leaf(CONTINUED, document, origin, key, self._clock())
            root = bytes.fromhex(last.start_root)
            # It checks under the head's lock whether it was done; the charter is adopted only after
            # it.
            other = key.public if last.changes_key else ""
            await self._ledger.continue_as(origin, last.start, root, leaf, other)
            await self._adopt(pinned, draft, hold.at if hold else self._clock())
        finally:  # they end even if the answer to a commit was lost and nobody retries
            await self.restart(jobs)

    async def end_jobs(self, why: str = "") -> list[str]:
        """End every unfinished job with an error that says that the log was rolled back.

        One that another server advances meanwhile is tried again. `why` is `KEY_CHANGED` if the
        log's key changed instead.
        """
        return await retry_stale(lambda: self._end_jobs(why))

    async def _end_jobs(self, why: str) -> list[str]:
        async with self._begin() as work:
            states = [s.value for s in JobState if not s.final and s is not JobState.DRAFT]
            jobs = [job for state in states for job in await list_readable(work.jobs, state=state)]
            for job in jobs:
                job.progress[SET_BACK] = why or True
                await work.jobs.save(job)
            await work.commit()
        return [job.id for job in jobs]

    async def restart(self, jobs: list[str]) -> None:
        """Restart the drivers of jobs, which end them."""
        for job in jobs:
            await self._driver.restart(job)

    async def take_resubmitted(self, organisation: str, leaves: Sequence[JSON]) -> int:
        """Accept a member's leaves that the log lost; one that it holds is not added twice.

        Args:
            organisation: whose agent submits them.
            leaves: `{leaf, document?, salt?}` each, as the agent signed them in an earlier origin.

        Raises:
            SecureFlowError: `leaf_forged`, `malformed_leaf`, `rate_limited`, `quota_exceeded`,
                `invalid_request` for too many bytes; `log_set_back` while it is held.
        """
        if not leaves:
            return 0
        if wait := self._turns.take(organisation):
            raise too_fast(wait)
        _check_weight(leaves)
        if (hold := self._ledger.hold) is not None:
            raise set_back(hold, self._ledger.origin)
        key = (await member_keys(self._begin)).get(organisation, "")
        pending = [_lost_leaf(one, organisation, key, self._ledger.origin) for one in leaves]
        await self._count(organisation, pending)
        await self._ledger.append(pending)
        return len(pending)

    async def _count(self, organisation: str, leaves: Sequence[PendingLeaf]) -> None:
        """Count the leaves that the log does not hold: no member can have lost more than the log.

        Leaves that were counted but could not be written are not counted again.

        Raises:
            SecureFlowError: `quota_exceeded`.
        """
        hashes = {leaf_hash(one.data) for one in leaves}
        lacking = [one.hex() for one in hashes if await self._ledger.find(one) is None]
        name = f"{_AGAIN}/{organisation}"
        async with self._begin() as work:
            await work.lock(name)
            charter = await stored(work, CURRENT)
            gaps = charter.charter.continuations if charter else ()
            most = sum(one.lost for one in gaps) + UNNUMBERED
            before, paid = _counted(await work.setting(name))
            fresh = sorted(set(lacking) - set(paid))
            taken = before + len(fresh)
            if taken > most:
                raise SecureFlowError(
                    "quota_exceeded",
                    Text(
                        "{organisation} resubmits more entries than the log has lost:"
                        " at most {most}.",
                        organisation=organisation,
                        most=most,
                    ),
                    "Its owner checks why: secureflow agent doctor. Nothing else that it sends "
                    "is refused.",
                    {"limit": most},
                )
            if fresh:
                await work.set_setting(name, {"taken": taken, "paid": [*paid, *fresh][-PAID:]})
                await work.commit()

    async def states(self, organisation: str, jobs: Sequence[str]) -> dict[str, str]:
        """Return the states of an organisation's jobs; empty for those that it has no part in."""
        async with self._begin() as work:
            found = {job: await work.jobs.find(job) for job in jobs}
        return {job: _state(one, organisation) for job, one in found.items()}

    async def _draft(self) -> Continuation:
        hold = self._ledger.hold
        if hold is None or hold.cause == "key":
            raise not_set_back(self._ledger.origin)
        note = head_only(hold.head or await self._ledger.head())
        head = parse_note(note).checkpoint
        if head.origin != self._ledger.origin:
            raise SecureFlowError(
                "charter_mismatch",
                Text(
                    "{party} holds a head of {origin}, which continues this log: this centre"
                    " is older than that continuation.",
                    party=hold.by,
                    origin=head.origin,
                ),
                "Put a newer database back.",
            )
        root = (await self._ledger.root(hold.start)).hex()
        return Continuation(head.origin, head.size, head.root.hex(), note, hold.start, root)

    async def _withdrawn(self, last: Continuation) -> str:
        """Return the greatest signed head that the continuation withdraws."""
        note = await self._ledger.head()
        return head_only(note) if parse_note(note).checkpoint.size > last.start else ""

    async def _adopt(self, pinned: SignedCharter, draft: SignedCharter, noticed: int) -> None:
        async with self._begin() as work:
            await work.lock(CHARTER_LOCK)
            known = await work.setting(HISTORY) or [pinned.json()]
            await work.set_setting(HISTORY, [*known, draft.json()])
            await work.set_setting(CURRENT, draft.json())
            await work.set_setting(CANDIDATE, None)
            await settle_restored(work, self._clock(), "continued")
            await spend_invitations(work, noticed)
            await work.commit()


async def charter_naming(work: UnitOfWork, origin: str, digest: str) -> str:
    """Return the charter for a head of a log: the job's, or a later one.

    A job that was running when the log continued ends under the log's new name, which the charter
    version that it began with does not know, nor what was lost.
    """
    history = [SignedCharter.from_json(one).charter for one in await work.setting(HISTORY) or ()]
    names = [one.digest for one in history if one.origin == origin]
    return digest if digest in names or not names else names[0]


async def history_up_to(work: UnitOfWork, digest: str) -> list[SignedCharter]:
    """Return the signed charters from the version before the first continuation up to a digest.

    Empty for a version without a continuation.
    """
    history = [SignedCharter.from_json(one) for one in await work.setting(HISTORY) or ()]
    digests = [one.charter.digest for one in history]
    end = digests.index(digest) + 1 if digest in digests else 0
    return history[:end] if end > 1 else []


async def remember(work: UnitOfWork, signed: SignedCharter) -> None:
    """Store a later version next to its continuations, in the caller's unit of work."""
    known = await work.setting(HISTORY)
    if known is not None:
        others = [one for one in known if one["charter"] != signed.charter.json()]
        await work.set_setting(HISTORY, [*others, signed.json()])


def _counted(value: JSON) -> tuple[int, list[str]]:
    """Return how many were counted, and the last ones; earlier versions stored only the number."""
    if isinstance(value, dict):
        return int(value["taken"]), list(value["paid"])
    return int(value or 0), []


def _check_weight(leaves: Sequence[JSON]) -> None:
    """Refuse a batch that is too large, before it is parsed."""
    left = MAX_WEIGHT
    stack: list[JSON] = list(leaves)
    while stack:
        one = stack.pop()
        left -= 8 + (len(one) if isinstance(one, str) else 0)
        if left < 0:
            raise SecureFlowError(
                "invalid_request",
                Text(
                    ("At most {max_weight} bytes of entries may be resubmitted at once."),
                    max_weight=MAX_WEIGHT,
                ),
                "An agent submits them in smaller parts.",
            )
        if isinstance(one, dict):
            stack.extend(one)
            stack.extend(one.values())
        elif isinstance(one, list):
            stack.extend(one)


def _state(job: Job | None, organisation: str) -> str:
    if job is None or organisation not in {line["party"] for line in job.spec.get("roster", ())}:
        return ""
    return job.state.value


def _lost_leaf(value: JSON, organisation: str, key: str, origin: str) -> PendingLeaf:
    """Parse one leaf that a member resubmits."""
    entry = value if isinstance(value, dict) else {}
    signed = leaf_from_json(entry.get("leaf"))
    leaf = signed.leaf
    earlier = leaf.origin != origin and continues(origin, leaf.origin)
    if leaf.author != organisation or not earlier or not verify(signed, key):
        raise SecureFlowError(
            "leaf_forged",
            Text(
                "The leaf {hash} is not one that {organisation} signed before the log "
                "continued as {origin}.",
                hash=signed.hash(),
                organisation=organisation,
                origin=origin,
            ),
            "An agent submits its own leaves of an earlier origin only.",
        )
    document, salt = entry.get("document"), entry.get("salt")
    if salt is None:
        return PendingLeaf(leaf.job, 0, 0, leaf.kind, leaf.author, signed.data())
    opened = bytes.fromhex(salt) if isinstance(salt, str) and _SALT.fullmatch(salt) else b""
    if commitment(opened, document) != leaf.commitment:
        raise SecureFlowError(
            "leaf_forged",
            Text("The leaf {hash} does not fit its document and salt.", hash=signed.hash()),
        )
    return PendingLeaf(leaf.job, 0, 0, leaf.kind, leaf.author, signed.data(), document, opened)


def _next(pinned: Charter, continuation: Continuation) -> Charter:
    return Charter(
        version=pinned.version + 1,
        trust_domain=pinned.trust_domain,
        origin=following(pinned.origin),
        log_key=pinned.log_key,
        members=pinned.members,
        previous=pinned.digest,
        continuations=(*pinned.continuations, continuation),
    )


def _continues(pinned: SignedCharter, draft: SignedCharter) -> bool:
    return len(draft.charter.continuations) > len(pinned.charter.continuations)
