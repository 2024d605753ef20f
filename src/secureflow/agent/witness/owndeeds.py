"""What this agent anchors, and when: outbox entries in the very transaction of the deed.

An entry that is in the outbox was done; what was done is in the outbox: a kill between the two
cannot happen. Nothing here waits for a place; a sender of its own carries the entries away.

- A head is anchored as this agent accepted it, when one is due: after a time, or as the first one
  that this agent accepted after a job of its own ended.
- A job is registered with its spec by everyone who approves it: a centre that shows members
  different specs under one id is seen by all of them.
- What a round gave is said by each member for itself, from the model that it was shown next: some
  jobs' models are a few whole numbers, so that only who knows the job's id can tell which
  (`entries.round_digest`).
- Of datasets only salted commitments leave; the salts stay in the record (`record.anchoredheads`).
- Spending is the growth of what a privacy domain has spent in all, so that the sum at a place is
  the domain's own ε and stays below its limit, which charges that compose would not.
- What was signed in settlements follows the deeds that the centre received, and is derived anew at
  each look: a kill between deed and outbox loses nothing of it.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from secureflow.agent.anchorsettings import AnyPlace, Deed
from secureflow.agent.record.records import OwnLeaf
from secureflow.agent.record.store import RecordStore
from secureflow.domain.charter import Charter
from secureflow.domain.schemas import DatasetConfig
from secureflow.engines.anchors.entries import (
    ApproveJob,
    CommitDataset,
    CommitRound,
    Entry,
    RegisterJob,
    Spend,
    job_digest,
    round_digest,
)
from secureflow.engines.anchors.reading import anchored_head
from secureflow.engines.ledger.ends import FINISHED
from secureflow.engines.ledger.leaves import SALT_BYTES, commitment
from secureflow.engines.ledger.notes import Checkpoint, parse_note
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock

MICRO: Final = 1_000_000
AGAIN: Final = 300
"""Seconds at least from a refusal to the next try at what may be taken later."""
NOT_YET: Final = frozenset(
    {
        "",
        "stranger",
        "no_member",
        "not_standing",
        "window_open",
        "disputed",
        "no_dispute",
        "not_owed",
        "no_payment",
    }
)
"""Reasons that end once others have voted or paid, or time has passed; a place may say none."""
_HEADS: Final = "anchor/heads"
_NONE: Final = bytes(32)


class OwnDeeds:
    """Puts deeds of this agent into the outbox of each place that is to have them.

    Every method is called inside the transaction of the deed, or of the look at settlements.

    Args:
        store: the agent's record.
        places: returns the places in the owner's settings.
        charter: returns the pinned charter.
        clock: unix seconds.
        contributing: the stages of all kinds of job whose updates make a model.
    """

    def __init__(
        self,
        store: RecordStore,
        places: Callable[[], Sequence[AnyPlace]],
        charter: Callable[[], Charter],
        clock: Clock,
        contributing: frozenset[str],
    ) -> None:
        self._contributing = contributing
        self._store = store
        self._places = places
        self._charter = charter
        self._clock = clock
        self.added: Callable[[], None] = _nobody
        """Is called when an entry was added; the sender looks soon."""

    def leaf(self, leaf: OwnLeaf, spec: str) -> None:
        """Anchor what an own leaf of a job with this spec says, if it is one of those deeds."""
        if not self._places() or not leaf.job:
            return
        document = leaf.bundle["document"]
        if leaf.kind == "approval":
            self._job("jobs", RegisterJob(job_digest(leaf.job), _word(spec)), leaf.job)
            self._job("approvals", ApproveJob(job_digest(leaf.job), _word(spec)), leaf.job)
        elif leaf.kind == "update" and document.get("stage") in self._contributing:
            before = document["round"] - 1
            if self._store.round(leaf.job, before, document["stage"]) is not None:
                self._round(leaf.job, before, document["model"])
        elif leaf.kind == FINISHED:
            self._ended(leaf.job, document)

    def head(self, note: str) -> None:
        """Anchor an accepted head at each place where one is due.

        Args:
            note: as the log signed it.
        """
        places = [one for one in self._places() if "heads" in one.events]
        if not places or not note:
            return
        known, now = self._heads(), self._clock()
        head = parse_note(note).checkpoint
        due = [one for one in places if _due(one, known.get(one.place, {}), now, head)]
        if not due:
            return
        charter = self._charter()
        entry = anchored_head(note, charter.log_key)
        self._queue(due, entry, now)
        for one in due:
            known[one.place] = {"at": now, "origin": head.origin, "size": head.size}
        self._store.set_fact(_HEADS, known)
        self._store.add_opening(entry.digest.hex(), {"origin": head.origin, "size": head.size}, now)

    def published(self, dataset: DatasetConfig, description: Mapping[str, JSON]) -> None:
        """Anchor a dataset that was published, and the limit of its privacy domain.

        Args:
            dataset: its declaration.
            description: what was published of it, the commitment to its file included.
        """
        if not self._wanting("datasets"):
            return
        named = {"name": dataset.name, "publication": str(description["commitment"])}
        self._dataset(named, dict(description), 0)
        if dataset.privacy is not None:
            self._domain(dataset.privacy.domain, dataset.privacy.epsilon)

    def spent(self, job: str, domain: str, limit: float, total: float) -> None:
        """Anchor by how much a job let the spending of a domain grow.

        Args:
            job: that ended.
            domain: the privacy domain that it was charged to.
            limit: the domain's ε in all.
            total: ε spent of it by now.
        """
        if not self._wanting("spends"):
            return
        kept = self._domain(domain, limit)
        total_micro = min(math.ceil(total * MICRO), int(kept["cap"]))
        grown = total_micro - int(kept["spent"])
        if grown <= 0:
            return
        entry = Spend(bytes.fromhex(kept["dataset"]), job_digest(job), grown)
        if self._add("spends", entry, {"job": job, "domain": domain, "epsilon": grown / MICRO}):
            self._store.set_fact(_domain_fact(domain), {**kept, "spent": kept["spent"] + grown})

    def settled(self, deeds: Sequence[tuple[Entry, Mapping[str, JSON]]]) -> int:
        """Anchor what this member signed in a settlement.

        What is on its way or kept is left alone. What was refused because others' votes were not
        there yet is sent again, each time after twice as long.

        Args:
            deeds: entries in their order, each with what it stands for.

        Returns:
            How many entries are new on their way, over all places.
        """
        places, now = [one.place for one in self._wanting("settlements")], self._clock()
        if not places or not deeds:
            return 0
        for entry, opening in deeds:
            self._store.add_opening(entry.digest.hex(), opening, now)
        entries = [entry for entry, _ in deeds]
        fresh = self._store.add_anchor_entries(places, entries, now)
        fresh += self._store.retry_anchor_entries(places, entries, NOT_YET, AGAIN, now)
        if fresh:
            self.added()
        return fresh

    def _job(self, deed: Deed, entry: Entry, job: str) -> None:
        self._add(deed, entry, {"job": job})

    def _round(self, job: str, number: int, model: str) -> None:
        entry = CommitRound(job_digest(job), number, round_digest(job, model), _NONE, _NONE)
        self._add("rounds", entry, {"job": job, "round": number, "model": model})

    def _ended(self, job: str, document: Mapping[str, JSON]) -> None:
        trained = [one.round for one in self._store.rounds(job) if one.stage in self._contributing]
        if trained and document.get("model"):
            self._round(job, max(trained), str(document["model"]))
        known = self._heads()
        for one in self._places():
            if one.after_jobs and "heads" in one.events:
                known[one.place] = {**known.get(one.place, {}), "due": True}
        self._store.set_fact(_HEADS, known)

    def _domain(self, domain: str, epsilon: float) -> dict[str, JSON]:
        """Return the domain's dataset at places; another limit is another one."""
        cap, fact = math.floor(epsilon * MICRO), self._store.fact(_domain_fact(domain))
        if fact is not None and fact["cap"] == cap:
            return dict(fact)
        before = 0 if fact is None else int(fact["spent"])
        left = max(0, cap - before)
        said = {"domain": domain, "epsilon": epsilon, "spent_before": before / MICRO}
        dataset = self._dataset({"domain": domain, "epsilon": epsilon}, said, left)
        kept = {"cap": cap, "spent": before, "dataset": dataset.hex()}
        self._store.set_fact(_domain_fact(domain), kept)
        return kept

    def _dataset(
        self, name: Mapping[str, JSON], description: Mapping[str, JSON], cap: int
    ) -> bytes:
        salts = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(SALT_BYTES)
        named, described = commitment(salts[0], dict(name)), commitment(salts[1], dict(description))
        entry = CommitDataset(_word(named), _word(described), cap)
        opening = {
            "name": dict(name),
            "salt": salts[0].hex(),
            "description": dict(description),
            "description_salt": salts[1].hex(),
        }
        self._add("datasets", entry, opening)
        return entry.dataset

    def _add(self, deed: Deed, entry: Entry, opening: Mapping[str, JSON]) -> bool:
        """Put an entry into the outbox of every place that wants it; tell whether it is new."""
        now, places = self._clock(), self._wanting(deed)
        if not places or not self._store.add_opening(entry.digest.hex(), opening, now):
            return False
        self._queue(places, entry, now)
        return True

    def _queue(self, places: Sequence[AnyPlace], entry: Entry, now: int) -> None:
        self._store.add_anchor_entries([one.place for one in places], [entry], now)
        self.added()

    def _wanting(self, deed: Deed) -> list[AnyPlace]:
        return [one for one in self._places() if deed in one.events]

    def _heads(self) -> dict[str, dict[str, JSON]]:
        return dict(self._store.fact(_HEADS) or {})


def _due(place: AnyPlace, known: Mapping[str, JSON], now: int, head: Checkpoint) -> bool:
    if known.get("origin") == head.origin and head.size <= int(known["size"]):
        return False
    waited = now - int(known.get("at", 0))  # below zero where the clock was ahead
    return bool(known.get("due")) or bool(place.every and not 0 <= waited < place.every)


def _nobody() -> None:
    """Tell nobody: nothing sends yet."""


def _word(digest: str) -> bytes:
    return bytes.fromhex(digest)


def _domain_fact(domain: str) -> str:
    return f"anchor/domain/{domain}"
