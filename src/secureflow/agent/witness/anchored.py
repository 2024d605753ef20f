"""What an agent makes of what places keep: it checks anchored heads itself, and believes nobody.

1. Nothing of a place counts while one of its members is not in the pinned charter with a signed
   account (`engines.anchors.reading`): a stranger's chain could be anybody's. What was read there
   waits.
2. An anchored head of this log that the log did not sign is its sender's lie (`forged`).
3. Every other one is compared with what this agent accepted: at the same size with its own record,
   else by a consistency proof that the centre is asked for. While there is none it waits, and after
   an hour in which the log went on its owner is told. A contradiction is the log's fraud: the
   alarm, and both signed heads are kept as evidence.
4. Each member has its share of what is looked at and kept, so that one that sends heads without end
   (the log may sign it as many as it likes) hides nobody else's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from secureflow.agent.record.anchoredheads import KeptHead, Verdict
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.witness import Witness
from secureflow.application.ports.anchor import Happened
from secureflow.domain.charter import Charter
from secureflow.engines.anchors.entries import MAX_MEMBERS, AnchorHead
from secureflow.engines.anchors.reading import note_of
from secureflow.engines.ledger.notes import noted_size, parse_note
from secureflow.kit.canonical import JSON, b64decode
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

MOST_JUDGED: Final = 200
"""Heads of a place that are compared at one look."""
MOST_WAITING: Final = 5_000
"""Heads of one member that wait at a place: a month of them. Further ones are not stored."""
MOST_WAITING_IN_ALL: Final = 100_000
MOST_FORGED: Final = 100
"""Forged heads of one member that are kept and told; one says as much as a thousand."""
MOST_FORKS: Final = 20
"""The same of its deeds that contradict others."""
UNPROVED: Final = 3600
"""Seconds for which the centre may give no proof of a head while this agent sees its log go on. A
centre that shows members different logs has none, and need not say so."""
_FORKS: Final = "anchor/forks/"
CONTRADICTIONS: Final = frozenset({"ledger_inconsistent", "ledger_key_ended"})
FORGED: Final = "anchor_head_forged"
_log = get_logger(__name__)


class AnchoredHeads:
    """Judges what places keep, for one agent.

    Args:
        store: the agent's record.
        witness: of the log.
        charter: returns the pinned charter.
        clock: unix seconds.
    """

    def __init__(
        self, store: RecordStore, witness: Witness, charter: Callable[[], Charter], clock: Clock
    ) -> None:
        self._store = store
        self._witness = witness
        self._charter = charter
        self._clock = clock
        self._judged_up_to: dict[tuple[str, str], int] = {}
        self._unproved_since: dict[int, tuple[int, int]] = {}
        self._unproved_told: set[str] = set()

    def hear(self, place: str, events: Sequence[Happened]) -> None:
        """Store new events of a place to be judged; the caller's transaction."""
        heads = [one for one in events if isinstance(one.entry, AnchorHead)]
        waiting = Counter(self._store.heads_by_sender(place, "waiting")) if heads else Counter()
        for one in heads:
            if waiting[one.sender] < MOST_WAITING and waiting.total() < MOST_WAITING_IN_ALL:
                waiting[one.sender] += 1
                self._store.add_anchored_head(place, one)
            else:
                _log.warning("anchored_head_not_kept", place=place, sender=one.sender)
        forks = [
            one for one in events if one.result == "fork" and not isinstance(one.entry, AnchorHead)
        ]
        if forks:
            self._keep_forks(place, forks)
        self._store.trim_anchored_heads(place)

    def _keep_forks(self, place: str, forks: Sequence[Happened]) -> None:
        """Keep deeds that contradict others until the place is found in order, so many of each."""
        kept = self._forks(place)
        for one in forks:
            kinds = kept.get(one.sender, [])
            if len(kinds) < MOST_FORKS and (kinds or len(kept) < MAX_MEMBERS):
                kept[one.sender] = [*kinds, one.entry.kind]
        self._store.set_fact(_FORKS + place, kept)

    def _tell_forks(self, place: str) -> None:
        """Tell the owner of deeds that contradict others."""
        kept = self._forks(place)
        untold = {sender: [one for one in kinds if one] for sender, kinds in kept.items()}
        if not any(untold.values()):
            return
        with self._store.transaction():
            for sender, kinds in untold.items():
                for kind in kinds:
                    self._tell("anchor.forked", place, sender, kind)
            told = {sender: [""] * len(kinds) for sender, kinds in kept.items()}
            self._store.set_fact(_FORKS + place, told)

    def _forks(self, place: str) -> dict[str, list[str]]:
        """Return by member the kinds of its deeds that contradict others; empty for one told."""
        return dict(self._store.fact(_FORKS + place) or {})

    async def judge(self, place: str) -> None:
        """Compare the heads of a place that wait with what this agent accepted, and tell of forks.

        The place's members were found in order just now.

        Raises:
            SecureFlowError: the alarm's, if there is one; the centre's, if it gives no proof now.
        """
        await asyncio.to_thread(self._tell_forks, place)
        self._witness.check_alarm()  # nothing is compared after it
        waiting = await asyncio.to_thread(self._shares, place)
        refusal: SecureFlowError | None = None
        for one in waiting:
            try:
                note = note_of(one.head, self._charter().log_keys)
                verdict: Verdict = "unknown" if note is None else await self.compare(note)
            except SecureFlowError as error:
                if error.code == FORGED:
                    verdict = "forged"
                elif error.code in CONTRADICTIONS:
                    await asyncio.to_thread(self._judged, one, "contradiction")
                    raise
                else:
                    refusal = refusal or error  # a larger head may be ahead of the centre's log
                    await asyncio.to_thread(self._unproved, one)
                    continue
            await asyncio.to_thread(self._judged, one, verdict)
        if refusal is not None:
            raise refusal

    def _shares(self, place: str) -> list[KeptHead]:
        """Return heads to compare now: of each member as many, and in turn all that it has."""
        senders = sorted(self._store.heads_by_sender(place, "waiting"))
        found: list[KeptHead] = []
        for sender in senders:
            share = max(1, MOST_JUDGED // len(senders))
            after = self._judged_up_to.get((place, sender), 0)
            some = self._store.waiting_heads(place, sender, after, share)
            if len(some) < share and after:
                more = self._store.waiting_heads(place, sender, 0, share - len(some))
                some += [one for one in more if one.number <= after]
            if some:
                self._judged_up_to[place, sender] = some[-1].number
            found += some
        return found

    async def compare(self, head: str) -> Verdict:
        """Compare a head that others keep, signed by the log, with what this agent accepted.

        A head under an earlier name of the log is comparable only at a size that was accepted.

        Raises:
            SecureFlowError: `ledger_inconsistent`, `ledger_key_ended`, and the alarm is raised with
                both notes as evidence; that of an earlier alarm; the centre's, if it gives no
                proof now.
        """
        self._witness.check_alarm()
        await self._witness.check_key(head)
        shown = parse_note(head).checkpoint
        for known in self._store.heads(shown.origin, shown.size):
            if noted_size(known) == shown.size:
                await self._witness.convicted(known, head)
                return "agrees"
        if shown.origin != self._charter().origin:
            return "unknown"
        try:
            await self._witness.compare(head)
        except SecureFlowError as error:
            if error.code == "not_found":  # the centre denies it: it is shown at once (`headwatch`)
                self._witness.troubled = True
            raise
        return "agrees"

    def name_of(self, sender: str) -> str:
        """Return the organisation whose charter key is this, in hex; else the key itself."""
        for name, key in self._charter().keys.items():
            if b64decode(key).hex() == sender:
                return name
        return sender

    def _unproved(self, one: KeptHead) -> None:
        """Tell the owner of a head that the centre does not prove, though its log goes on."""
        now, size = self._clock(), self._witness.log_size
        since, before = self._unproved_since.setdefault(one.number, (now, size))
        if now - since < UNPROVED or size <= before or one.place in self._unproved_told:
            return
        self._unproved_told.add(one.place)
        with self._store.transaction():
            self._tell("anchor.unproved", one.place, one.sender, one.head.kind)

    def _judged(self, one: KeptHead, verdict: Verdict) -> None:
        self._unproved_since.pop(one.number, None)
        with self._store.transaction():
            known = self._store.heads_by_sender(one.place, "forged") if verdict == "forged" else {}
            if known.get(one.sender, 0) >= MOST_FORGED:
                self._store.drop_head(one.number)
                return
            self._store.judge_head(one.number, verdict)
            if verdict == "forged":
                self._tell("anchor.forged", one.place, one.sender, one.head.kind)

    def _tell(self, action: str, place: str, sender: str, entry: str) -> None:
        """Note in the agent's log what its owner must know; the caller's transaction."""
        facts: dict[str, JSON] = {"place": place, "sender": self.name_of(sender), "entry": entry}
        _log.error(action.replace(".", "_"), **facts)
        self._store.note(self._clock(), action, "", **facts)
