"""A log that its members let continue after a rollback: this agent's checks, and its resubmission.

Before its owner signs or pins such a charter, the agent compares it with its own record: the log's
key and members are unchanged, the old head is one that the log signed and no smaller than the one
seen by this agent, and the kept part of the log is a prefix of what this agent saw. Afterwards the
start of the new origin is its last head, old heads stay as evidence, and its leaves in the lost
range are resubmitted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from secureflow.agent.record.records import OwnLeaf
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.charter import PinnedCharter
from secureflow.agent.witness.log_proofs import parse_proof
from secureflow.agent.witness.witness import Witness
from secureflow.domain.charter import Charter, SignedCharter, check_follows
from secureflow.domain.continuation import Continuation
from secureflow.engines.ledger.gaps import signed_by_the_log
from secureflow.engines.ledger.leaves import leaf_from_json
from secureflow.engines.ledger.merkle import verify_consistency, verify_inclusion
from secureflow.engines.ledger.notes import parse_note
from secureflow.engines.ledger.setback import MAX_SHOWN, head_only
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

Call = Callable[[str, Mapping[str, JSON]], Awaitable[JSON]]
End = Callable[[str, str], Awaitable[None]]
"""Ends a job here: (job, outcome)."""

SET_BACK: Final = "set_back"
"""The fact that the centre's log is known to be rolled back."""
SIGNED: Final = "continuation_signed"
CONTINUED: Final = "continued"
AGAIN: Final = "submit_again"
ACCUSED: Final = "accused"
"""Facts: which continuation was signed, which origin the record follows, whether leaves are to be
resubmitted, and alarms ended by a continuation: their evidence against the log is kept."""
_BATCH: Final = 50
_WEIGHT: Final = 1 << 18
"""Bytes per request; the centre accepts four times as many."""
_LOST: Final = "lost"

_log = get_logger(__name__)


class Continuations:
    """Checks and follows continuations for one organisation.

    Args:
        store: the agent's record.
        witness: provides the newest head.
        charter: the pinned charter.
        clock: unix seconds.
        call: asks the centre.
        end: ends a job that the centre lost.
    """

    def __init__(
        self,
        store: RecordStore,
        witness: Witness,
        charter: PinnedCharter,
        clock: Clock,
        call: Call,
        end: End,
    ) -> None:
        self._store = store
        self._witness = witness
        self._charter = charter
        self._clock = clock
        self._call = call
        self._end = end

    async def check(self, candidate: SignedCharter) -> None:
        """Refuse to sign or pin a continuation that contradicts this agent's record.

        Raises:
            SecureFlowError: `continuation_refused`, `charter_mismatch`, those of the link.
        """
        if self._store.fact("charter") is None:
            return  # a new member has seen no head
        pinned, new = self._charter.pinned(), candidate.charter
        if new == pinned:
            return
        check_follows(pinned, new)
        if len(new.continuations) == len(pinned.continuations):
            return
        last = new.continuations[-1]
        self._check_once(new, last)
        self._check_old_head(pinned, last)
        await self._check_start(last)

    def record_signature(self, candidate: SignedCharter) -> None:
        """Record which continuation was signed."""
        new = candidate.charter
        if not new.continuations:
            return
        last = new.continuations[-1]
        fact = {"version": new.version, "digest": new.digest}
        with self._store.transaction():
            self._store.set_fact(SIGNED, {**fact, "size": last.size, "start": last.start})

    def has_signed(self, candidate: SignedCharter) -> bool:
        """Return whether this owner signed this very continuation."""
        fact = self._store.fact(SIGNED)
        return fact is not None and fact["digest"] == candidate.charter.digest

    def apply(self) -> None:
        """Apply the pinned charter's continuations to the record, each once."""
        if self._store.fact("charter") is None:
            return
        charter = self._charter.pinned()
        before = self._store.fact(CONTINUED)
        if not charter.continuations or before == charter.origin:
            return
        names = [one.origin for one in charter.continuations]
        fresh = charter.continuations[names.index(before) if before in names else 0 :]
        start = min(one.start for one in fresh)
        with self._store.transaction():
            self._keep_old_head()
            lost = self._store.lose_leaves(start)
            self._end_alarm(fresh)
            self._store.set_fact(SET_BACK, None)
            self._store.set_fact(CONTINUED, charter.origin)
            self._store.set_fact(AGAIN, True)
            self._store.note(
                self._clock(), "log.continued", origin=charter.origin, start=start, own=lost
            )

    async def resubmit(self) -> None:
        """Resubmit own leaves that the log lost, and end jobs that the centre lost.

        Leaves under an earlier key are kept here: the centre accepts only the charter's key.

        Raises:
            SecureFlowError: of the link or the centre; the rest is submitted next time.
        """
        if not self._store.fact(AGAIN):
            return
        while batch := _light(self._store.lost_leaves(_BATCH)):
            if leaves := [_as_sent(one) for one in self._vouched(batch)]:
                await self._call("log.resubmit", {"leaves": leaves})
            await asyncio.to_thread(self._taken, batch)
        running = [one.job for one in self._store.jobs(10_000) if not one.outcome]
        for at in range(0, len(running), _BATCH):
            answer = await self._call("log.resubmit", {"jobs": running[at : at + _BATCH]})
            await self._end_lost(running, answer)
        await asyncio.to_thread(self._done)

    async def _end_lost(self, running: list[str], answer: JSON) -> None:
        jobs = answer.get("jobs") if isinstance(answer, dict) else None
        for job, state in (jobs if isinstance(jobs, dict) else {}).items():
            over = isinstance(state, str) and state in {"", "failed", "cancelled"}
            if over and job in running:
                await self._end(job, state or _LOST)

    def _check_once(self, new: Charter, last: Continuation) -> None:
        fact = self._store.fact(SIGNED)
        if fact is None or fact["version"] != new.version or fact["digest"] == new.digest:
            return
        if last.size > fact["size"] or (last.size == fact["size"] and last.start < fact["start"]):
            return
        raise _refused(
            "another continuation of the same version, with a head at least as large, was signed "
            "here",
        )

    def _check_old_head(self, pinned: Charter, last: Continuation) -> None:
        if not signed_by_the_log(last, pinned.log_key):
            raise _refused("the old head that it names is not signed by the log's pinned key")
        view = self._witness.view
        if view.size > last.size:
            raise _refused(
                Text(
                    "it says that the log had {size} entries, and this agent holds its "
                    "signed head of size {view_size}: the loss is greater",
                    size=last.size,
                    view_size=view.size,
                )
            )
        if view.size == last.size and view.root.hex() != last.root:
            raise _refused(
                Text("this agent holds another head of size {size}: two histories", size=view.size)
            )

    async def _check_start(self, last: Continuation) -> None:
        """Check that the kept part of the log is a prefix of what this agent saw."""
        if not last.start:
            return
        size, root = self._anchor(last)
        places = [
            (leaf, place)
            for leaf, place in self._store.placed_leaves(1 << 30)
            if size <= place < last.start
        ]
        start_root = bytes.fromhex(last.start_root)
        for at in range(0, max(1, len(places)), MAX_SHOWN):
            page = places[at : at + MAX_SHOWN]
            body = {"from": size, "to": last.start, "places": [list(one) for one in page]}
            answer = await self._call("log.prove", body)
            answered = answer if isinstance(answer, dict) else {}
            proof = parse_proof(answered.get("consistency"))
            if size and not verify_consistency(size, last.start, root, start_root, proof):
                raise _refused(
                    Text(
                        "the {start} entries that the log kept do not begin with the "
                        "{size} that this agent saw",
                        start=last.start,
                        size=size,
                    )
                )
            self._check_places(page, answered.get("inclusion"), last.start, start_root)

    def _check_places(
        self, page: list[tuple[str, int]], shown: JSON, start: int, root: bytes
    ) -> None:
        proofs = shown if isinstance(shown, list) else []
        for number, (leaf, place) in enumerate(page):
            proof = parse_proof(proofs[number]) if number < len(proofs) else ()
            if not verify_inclusion(bytes.fromhex(leaf), place, start, proof, root):
                raise _refused(
                    Text(
                        "this organisation's entry {leaf} was at {place}, and the kept "
                        "part of the log has another one there",
                        leaf=leaf,
                        place=place,
                    )
                )

    def _anchor(self, last: Continuation) -> tuple[int, bytes]:
        """Return the greatest head of the kept part that this agent holds."""
        view = self._witness.view
        if view.size <= last.start:
            return view.size, view.root
        held = self._store.heads(last.origin, last.start)
        if not held:
            return 0, b""
        head = parse_note(held[0]).checkpoint
        return head.size, head.root

    def _keep_old_head(self) -> None:
        kept = self._store.fact("head")
        if kept and kept["note"]:
            head = parse_note(kept["note"]).checkpoint
            self._store.add_head(head.origin, head.size, head_only(kept["note"]))

    def _end_alarm(self, gaps: tuple[Continuation, ...]) -> None:
        """End an alarm about a loss that the members admitted; its evidence is kept."""
        alarm = self._store.fact("alarm")
        if alarm is None or not any(_explains(one, alarm) for one in gaps):
            return
        self._store.set_fact("alarm", None)
        self._store.set_fact(ACCUSED, [*(self._store.fact(ACCUSED) or []), alarm])
        self._store.note(self._clock(), "alarm.cleared", alarm=alarm, reason="continuation")

    def _vouched(self, batch: list[OwnLeaf]) -> list[OwnLeaf]:
        """Return the leaves whose key is in the pinned charter."""
        keys = self._charter.pinned().keys
        signed = [(one, leaf_from_json(one.bundle["leaf"])) for one in batch]
        return [one for one, leaf in signed if leaf.key == keys.get(leaf.leaf.author)]

    def _taken(self, batch: list[OwnLeaf]) -> None:
        with self._store.transaction():
            for leaf in batch:
                self._store.mark_resubmitted(leaf.hash)

    def _done(self) -> None:
        with self._store.transaction():
            self._store.set_fact(AGAIN, None)
            self._store.note(self._clock(), "log.submitted_again")


def _explains(gap: Continuation, alarm: Mapping[str, JSON]) -> bool:
    """Return whether an alarm is about two heads of the lost range, and nothing else."""
    details = alarm.get("details") or {}
    if alarm.get("code") != "ledger_inconsistent":
        return False
    try:
        heads = [parse_note(str(details.get(name, ""))).checkpoint for name in ("known", "shown")]
    except SecureFlowError:
        return False
    known = heads[0]
    inside = all(one.origin == gap.origin and one.size > gap.start for one in heads)
    return inside and known.size <= gap.size


def _light(leaves: list[OwnLeaf]) -> list[OwnLeaf]:
    """Return as many of the first leaves as fit in one request, at least one."""
    weight, batch = 0, list[OwnLeaf]()
    for leaf in leaves:
        weight += len(json.dumps(_as_sent(leaf)))
        if batch and weight > _WEIGHT:
            break
        batch.append(leaf)
    return batch


def _as_sent(leaf: OwnLeaf) -> JSON:
    # The content of one that is too large stays here too.
    return leaf.bare if len(json.dumps(leaf.sent)) > _WEIGHT else leaf.sent


def _refused(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "continuation_refused",
        Text("The continuation of the log is not signed or pinned here: {reason}.", reason=reason),
        "Tell the other members and the operator, who drafts it again from the head that you "
        "hold; `secureflow agent doctor` shows it.",
    )
