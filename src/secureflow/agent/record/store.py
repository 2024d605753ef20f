"""What an agent must never forget: one SQLite file (WAL, synchronous FULL).

Rules:
- everything that the agent sends as a commitment (approval, leaf, vote, cosignature) is in this
  file, committed, before it is sent;
- one action is one transaction: `with store.transaction(): …`. Writers require an open one, so a
  stray write cannot commit by itself, and a round costs exactly two commits (a private one three:
  rows are charged before they are read);
- calls block for a disk flush: run transactions in `asyncio.to_thread`; reads are immediate.

The file is as secret as the signing key next to it: it holds the per-job secrets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from secureflow.agent.record.anchoredheads import AnchoredHeadRows
from secureflow.agent.record.anchorrows import AnchorRows
from secureflow.agent.record.damage import fact_named, facts_of, load_json
from secureflow.agent.record.grantrows import GrantRows
from secureflow.agent.record.notificationrows import NotificationRows
from secureflow.agent.record.peoplerows import PeopleRows
from secureflow.agent.record.questionrows import QuestionRows
from secureflow.agent.record.records import (
    AdmittedEnclave,
    InboxItem,
    JobRecord,
    OwnLeaf,
    RoundRecord,
)
from secureflow.engines.ledger.ends import End
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text


def reached_in(one: Callable[[str], Any]) -> dict[str, JSON]:
    """Return a record's newest leaf and action, given a function that queries a row."""
    leaf = one("SELECT number, hash FROM leaves ORDER BY number DESC LIMIT 1")
    action = one("SELECT max(id) AS id FROM deeds")
    return {
        "leaves": 0 if leaf is None else leaf["number"],
        "leaf": "" if leaf is None else leaf["hash"],
        "deeds": (action and action["id"]) or 0,  # named so by marks of older versions
    }


class RecordStore(
    AnchoredHeadRows, AnchorRows, GrantRows, NotificationRows, PeopleRows, QuestionRows
):
    """The agent's durable record (`agent.record.recordfile`)."""

    actor: Callable[[], Mapping[str, JSON]] = staticmethod(dict)
    """Returns who gives the command that runs now (`owner.acting`), as facts of its actions."""

    def reached(self) -> dict[str, JSON]:
        """Return the record's newest own leaf and action."""
        return reached_in(self._one)

    # Facts: single values by name (pinned charter, newest head, alarm).

    def fact(self, name: str) -> JSON:
        """Return a single value, or None."""
        row = self._one("SELECT value FROM facts WHERE name = ?", name)
        return None if row is None else load_json(row["value"], fact_named(name))

    def set_fact(self, name: str, value: JSON) -> None:
        """Store a single value; None removes it."""
        if value is None:
            self._write("DELETE FROM facts WHERE name = ?", name)
        else:
            self._write("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, json.dumps(value))

    # Answers: a repeated request gets the same one.

    def answer(self, request: str) -> JSON:
        """Return the stored answer to a request digest, or None."""
        row = self._one("SELECT reply FROM answers WHERE request = ?", request)
        return None if row is None else load_json(row["reply"], "an answer")

    def count_answers(self, begins: str) -> int:
        """Return the number of stored answers whose request begins with this prefix."""
        row = self._one(
            "SELECT count(*) AS count FROM answers WHERE request >= ? AND request < ?",
            begins, begins[:-1] + chr(ord(begins[-1]) + 1),
        )  # fmt: skip
        return 0 if row is None else int(row["count"])

    def keep_answer(self, request: str, job: str, reply: JSON) -> None:
        """Store the one answer to a request."""
        self._write("INSERT INTO answers VALUES (?, ?, ?)", request, job, json.dumps(reply))

    # Jobs that this organisation approved.

    def job(self, job: str) -> JobRecord | None:
        """Return an approved job."""
        row = self._one("SELECT * FROM jobs WHERE job = ?", job)
        return None if row is None else JobRecord.from_row(row)

    def add_job(self, record: JobRecord) -> None:
        """Insert an approved job."""
        self._insert("jobs", record.row())

    def renew_job(self, job: str, answer: str, expires: int) -> None:
        """Extend an approval to `expires`, and remove the answer with the old one."""
        self._write("UPDATE jobs SET expires = ? WHERE job = ?", expires, job)
        self._write("DELETE FROM answers WHERE request = ?", answer)

    def finish_job(self, job: str, outcome: str) -> None:
        """Record how a job ended and erase its secret."""
        self._write("UPDATE jobs SET outcome = ?, secret = x'' WHERE job = ?", outcome, job)

    def jobs(self, limit: int = 100) -> list[JobRecord]:
        """Return approved jobs, newest first."""
        rows = self._all("SELECT * FROM jobs ORDER BY approved_at DESC, job DESC LIMIT ?", limit)
        return list(JobRecord.readable(rows))

    def is_running(self, job: str) -> bool:
        """Return whether a job was approved here and is not over."""
        return self._one("SELECT 1 FROM jobs WHERE job = ? AND outcome = ''", job) is not None

    def count_parts(self, whole: str) -> int:
        """Return how many of a job's parts were approved here."""
        row = self._one(
            "SELECT count(*) AS count FROM jobs WHERE json_extract(spec, '$.part_of.job') = ?",
            whole,
        )
        return 0 if row is None else int(row["count"])

    def unended(self) -> list[str]:
        """Return jobs that are not over here, wait for a person, or have leaves without a proof.

        Newest first; leaves that the log lost are resubmitted separately.
        """
        rows = self._all(
            "SELECT job FROM jobs WHERE outcome = '' "
            "UNION SELECT job FROM inbox WHERE state = 'waiting' "
            "UNION SELECT job FROM leaves WHERE NOT proved AND job <> '' AND place IS NOT -1 "
            "ORDER BY job DESC"
        )
        return [str(row["job"]) for row in rows]

    # Own leaves.

    def last_leaf(self, job: str) -> str:
        """Return the hash of the newest own leaf of the job, else of all, else empty."""
        row = self._one("SELECT hash FROM leaves ORDER BY job = ? DESC, number DESC LIMIT 1", job)
        return "" if row is None else str(row["hash"])

    def end(self, job: str) -> End:
        """Return the number of the job's own leaves, and the last one's hash."""
        row = self._one("SELECT count(*) AS count FROM leaves WHERE job = ?", job)
        count = 0 if row is None else int(row["count"])
        return End(count, self.last_leaf(job)) if count else End()

    def add_leaf(self, leaf: OwnLeaf) -> None:
        """Append an own leaf."""
        self._insert("leaves", leaf.row())

    def leaf(self, leaf: str) -> OwnLeaf:
        """Return an own leaf by its hash; `not_found`."""
        row = self._one("SELECT * FROM leaves WHERE hash = ?", leaf)
        if row is None:
            raise SecureFlowError(
                "not_found", Text("This agent has no own leaf {leaf}.", leaf=leaf)
            )
        return OwnLeaf.from_row(row)

    def proved_any(self) -> bool:
        """Return whether an own leaf was ever proved to be in the log."""
        return self._one("SELECT 1 FROM leaves WHERE proved LIMIT 1") is not None

    def has_leaf(self, leaf: str) -> bool:
        """Return whether an own leaf is on record."""
        return self._one("SELECT 1 FROM leaves WHERE hash = ?", leaf) is not None

    def leaves(self, job: str) -> list[OwnLeaf]:
        """Return the own leaves of a job, oldest first."""
        rows = self._all("SELECT * FROM leaves WHERE job = ? ORDER BY number", job)
        return [OwnLeaf.from_row(row) for row in rows]

    def has_leaf_beside(self, job: str, kind: str) -> bool:
        """Return whether a job has an own leaf of another kind; it reads no more than it must."""
        found = self._one("SELECT 1 FROM leaves WHERE job = ? AND kind <> ? LIMIT 1", job, kind)
        return found is not None

    def leaf_of(self, job: str, kind: str) -> OwnLeaf | None:
        """Return the first own leaf of a kind in a job, None if there is none."""
        row = self._one(
            "SELECT * FROM leaves WHERE job = ? AND kind = ? ORDER BY number LIMIT 1", job, kind
        )
        return None if row is None else OwnLeaf.from_row(row)

    def every_leaf(self) -> Iterator[OwnLeaf]:
        """Return every own leaf, oldest first."""
        for row in self._all("SELECT * FROM leaves ORDER BY number"):
            yield OwnLeaf.from_row(row)

    def leaves_of(self, kind: str) -> list[OwnLeaf]:
        """Return own leaves of a kind, oldest first."""
        rows = self._all("SELECT * FROM leaves WHERE kind = ? ORDER BY number", kind)
        return [OwnLeaf.from_row(row) for row in rows]

    def unproved(self, job: str | None = None) -> list[OwnLeaf]:
        """Return own leaves without an inclusion proof, oldest first."""
        rows = self._all(
            "SELECT * FROM leaves WHERE NOT proved AND (?1 IS NULL OR job = ?1) ORDER BY number",
            job,
        )
        return [OwnLeaf.from_row(row) for row in rows]

    def offered(self, job: str, deferred: str) -> list[OwnLeaf]:
        """Return the job's unproved leaves that were sent in a reply, oldest first.

        Leaves of the kind `deferred` are sent with the reply of the next leaf of another kind.
        """
        rows = self._all(
            "SELECT * FROM leaves WHERE NOT proved AND job = ?1 AND number <= (SELECT "
            "coalesce(max(number), 0) FROM leaves WHERE job = ?1 AND kind <> ?2) ORDER BY number",
            job, deferred,
        )  # fmt: skip
        return [OwnLeaf.from_row(row) for row in rows]

    def prove_leaf(self, leaf: str, place: int) -> None:
        """Record that an own leaf was proven to be in the log, at this index."""
        self._write("UPDATE leaves SET proved = 1, place = ? WHERE hash = ?", place, leaf)

    # Challenges and admissions (verdicts on enclaves).

    def nonce(self, job: str, generation: int) -> tuple[str, int] | None:
        """Return the unused nonce (hex) of a generation and when it was made."""
        row = self._one(
            "SELECT nonce, at FROM nonces WHERE job = ? AND generation = ?", job, generation
        )
        return None if row is None else (row["nonce"], row["at"])

    def set_nonce(self, job: str, generation: int, nonce: str, at: int) -> None:
        """Store a fresh nonce, replacing any earlier one."""
        self._write("INSERT OR REPLACE INTO nonces VALUES (?, ?, ?, ?)", job, generation, nonce, at)

    def use_nonce(self, job: str, generation: int) -> None:
        """Remove a nonce: evidence for it is accepted once."""
        self._write("DELETE FROM nonces WHERE job = ? AND generation = ?", job, generation)

    def admissions(self, job: str) -> list[AdmittedEnclave]:
        """Return the verdicts of a job, newest generation first."""
        rows = self._all("SELECT * FROM admissions WHERE job = ? ORDER BY generation DESC", job)
        return [AdmittedEnclave.from_row(row) for row in rows]

    def add_admission(self, admission: AdmittedEnclave) -> None:
        """Store the verdict on a generation, replacing its earlier one."""
        self._insert("admissions", admission.row(), replace=True)

    # Rounds and votes.

    def rounds(self, job: str) -> list[RoundRecord]:
        """Return a job's rounds in the order in which they were trained."""
        rows = self._all("SELECT * FROM rounds WHERE job = ? ORDER BY number", job)
        return [RoundRecord.from_row(row) for row in rows]

    def round(self, job: str, round_number: int, stage: str) -> RoundRecord | None:
        """Return the record of one round and stage."""
        row = self._one(
            "SELECT * FROM rounds WHERE job = ? AND round = ? AND stage = ?",
            job, round_number, stage,
        )  # fmt: skip
        return None if row is None else RoundRecord.from_row(row)

    def newest_round(self, job: str) -> RoundRecord | None:
        """Return the round that was trained last."""
        row = self._one("SELECT * FROM rounds WHERE job = ? ORDER BY number DESC LIMIT 1", job)
        return None if row is None else RoundRecord.from_row(row)

    def rounds_from(self, job: str, stage: str, model: str) -> list[RoundRecord]:
        """Return the rounds of a stage that started from one model."""
        rows = self._all(
            "SELECT * FROM rounds WHERE job = ? AND stage = ? AND model = ?", job, stage, model
        )
        return [RoundRecord.from_row(row) for row in rows]

    def add_round(self, record: RoundRecord) -> None:
        """Insert a round; (job, round, stage) is unique."""
        self._insert("rounds", record.row())

    def vote(self, job: str, round_number: int, stage: str) -> JSON:
        """Return the JSON of this party's one vote of a round and stage, or None."""
        row = self._one(
            "SELECT vote FROM votes WHERE job = ? AND round = ? AND stage = ?",
            job, round_number, stage,
        )  # fmt: skip
        return (
            None if row is None else load_json(row["vote"], Text("a vote of {job}", job=shown(job)))
        )

    def voted_before(self, job: str, round_number: int, stage: str) -> bool:
        """Return whether a vote of the job is on record in another round or stage."""
        row = self._one(
            "SELECT 1 FROM votes WHERE job = ? AND NOT (round = ? AND stage = ?)",
            job, round_number, stage,
        )  # fmt: skip
        return row is not None

    def add_vote(self, job: str, round_number: int, stage: str, vote: JSON) -> None:
        """Insert the one vote of (job, round, stage)."""
        self._write(
            "INSERT INTO votes VALUES (?, ?, ?, ?)", job, round_number, stage, json.dumps(vote)
        )

    # Masked sessions: the state of `sf-secagg-1` clients, secrets included.

    def session(self, job: str, stage: str) -> bytes | None:
        """Return the state of a job's masked session of a stage."""
        row = self._one("SELECT state FROM sessions WHERE job = ? AND stage = ?", job, stage)
        return None if row is None else bytes(row["state"])

    def keep_session(self, job: str, stage: str, state: bytes) -> None:
        """Store a session's state, replacing its earlier one."""
        self._write("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", job, stage, state)

    def forget_sessions(self, job: str) -> None:
        """Remove a job's sessions."""
        self._write("DELETE FROM sessions WHERE job = ?", job)

    # Noised sums of statistics jobs: drawn once, because nobody can draw the same noise again.

    def noised_sums(self, job: str) -> bytes | None:
        """Return a job's noised sums."""
        row = self._one("SELECT vector FROM tallies WHERE job = ?", job)
        return None if row is None else bytes(row["vector"])

    def keep_noised_sums(self, job: str, vector: bytes) -> None:
        """Insert a job's noised sums; they are never replaced."""
        self._write("INSERT INTO tallies VALUES (?, ?)", job, vector)

    def forget_noised_sums(self, job: str) -> None:
        """Remove a job's noised sums."""
        self._write("DELETE FROM tallies WHERE job = ?", job)

    # Privacy budgets: append-only events of each domain.

    def budget_events(self, domain: str) -> list[dict[str, JSON]]:
        """Return a privacy domain's events, oldest first."""
        rows = self._all("SELECT event FROM budget_events WHERE domain = ? ORDER BY number", domain)
        what = Text("the budget of {domain}", domain=shown(domain))
        return [load_json(row["event"], what) for row in rows]

    def add_budget_event(self, domain: str, event: Mapping[str, JSON]) -> None:
        """Append an event to a privacy domain."""
        text = json.dumps(dict(event), allow_nan=False)
        self._write("INSERT INTO budget_events (domain, event) VALUES (?, ?)", domain, text)

    # Readings: rows were, or were about to be, read for a private round.

    def readings(self, job: str) -> list[tuple[int, str]]:
        """Return each (round, stage) of a job for which rows were read."""
        rows = self._all("SELECT round, stage FROM readings WHERE job = ?", job)
        return [(int(row["round"]), str(row["stage"])) for row in rows]

    def reading(self, job: str, round_number: int, stage: str) -> str | None:
        """Return the model for which rows were read at this place, or None."""
        row = self._one(
            "SELECT model FROM readings WHERE job = ? AND round = ? AND stage = ?",
            job, round_number, stage,
        )  # fmt: skip
        return None if row is None else str(row["model"])

    def add_reading(self, job: str, round_number: int, stage: str, model: str) -> None:
        """Insert a reading; (job, round, stage) is unique."""
        self._write("INSERT INTO readings VALUES (?, ?, ?, ?)", job, round_number, stage, model)

    # The inbox: requests that wait for a person.

    def inbox(self, *, waiting: bool = False, limit: int = 500) -> list[InboxItem]:
        """Return inbox items, newest first; `damaged_inbox` are those that cannot be read."""
        rows = self._all(
            "SELECT * FROM inbox WHERE NOT ?1 OR state = 'waiting' ORDER BY number DESC LIMIT ?2",
            waiting, limit,
        )  # fmt: skip
        return list(InboxItem.readable(rows))

    def damaged_inbox(self) -> list[tuple[str, str]]:
        """Return (id, job) of inbox items that cannot be read."""
        rows = self._all("SELECT * FROM inbox ORDER BY number DESC")
        return [(str(r["id"]), str(r["job"])) for r in rows if not list(InboxItem.readable([r]))]

    def inbox_item(self, item: str) -> InboxItem | None:
        """Return one inbox item."""
        row = self._one("SELECT * FROM inbox WHERE id = ?", item)
        return None if row is None else InboxItem.from_row(row)

    def inbox_request(self, job: str, digest: str) -> InboxItem | None:
        """Return the newest item of a job and spec; items with an old short id are ignored."""
        row = self._one(
            "SELECT * FROM inbox WHERE job = ? AND digest = ? AND length(id) = 64 "
            "ORDER BY number DESC LIMIT 1",
            job, digest,
        )  # fmt: skip
        return None if row is None else InboxItem.from_row(row)

    def add_inbox_item(self, item: InboxItem) -> None:
        """Insert an inbox item; its id is unique."""
        self._insert("inbox", item.row())

    def decide_inbox_item(self, item: InboxItem) -> None:
        """Store an item's state with its time and reason, and whether its spec is kept."""
        row = item.row()
        self._write(
            "UPDATE inbox SET state = ?, decided_at = ?, reason = ?, spec = ? WHERE id = ?",
            *(row[name] for name in ("state", "decided_at", "reason", "spec", "id")),
        )

    # A restore.

    def end_all(self, outcome: str) -> tuple[str, ...]:
        """End every unfinished job and every waiting request; erase their secrets.

        Sessions of people end, and so do delegations, which may have been taken back since.
        """
        ended = tuple(row["job"] for row in self._all("SELECT job FROM jobs WHERE outcome = ''"))
        self._write("UPDATE jobs SET outcome = ? WHERE outcome = ''", outcome)
        self._write("UPDATE jobs SET secret = x''")
        for table in ("sessions", "nonces", "tallies", "person_sessions", "delegations"):
            self._write(f"DELETE FROM {table}")  # noqa: S608  names of this package
        self._write(
            "UPDATE inbox SET state = 'withdrawn', spec = '{}', reason = ? WHERE state = 'waiting'",
            outcome,
        )
        return ended

    def budget_domains(self) -> tuple[str, ...]:
        """Return the privacy domains on record."""
        rows = self._all("SELECT DISTINCT domain FROM budget_events ORDER BY domain")
        return tuple(str(row["domain"]) for row in rows)

    # The agent's own log of its actions; the table keeps its original name.

    def note(self, at: int, action: str, job: str = "", **facts: JSON) -> None:
        """Append to the log of actions, with who gave the command that runs now, if any."""
        facts = {**self.actor(), **facts}
        self._write(
            "INSERT INTO deeds (at, deed, job, facts) VALUES (?, ?, ?, ?)",
            at, action, job, json.dumps(facts, sort_keys=True),
        )  # fmt: skip

    def actions(
        self, *, job: str = "", limit: int = 100, before: int = 0, names: Sequence[str] = ()
    ) -> list[dict[str, JSON]]:
        """Return the log of actions, newest first.

        Args:
            job: of this job only.
            limit: how many at most.
            before: only those with a smaller number; 0: from the newest on.
            names: of these actions only; none: of all.
        """
        rows = self._all(
            "SELECT id, at, deed AS action, job, facts FROM deeds"
            " WHERE (?1 = '' OR job = ?1) AND (?2 = 0 OR id < ?2)"
            " AND (?3 = '[]' OR deed IN (SELECT value FROM json_each(?3)))"
            " ORDER BY id DESC LIMIT ?4",
            *(job, before, json.dumps(list(names)), limit),
        )
        return [{**dict(row), "facts": facts_of(row["facts"])} for row in rows]
