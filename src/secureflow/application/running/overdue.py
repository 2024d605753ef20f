"""Ends of jobs that a party missed: once back, it asks for them and is asked to sign its own end.

The end of a job waits for no party longer than its patience. A party that was away asks later how
its open jobs ended (`job.ends`); it is then asked to `finish` each under the newest head, as it
would have been at the end. Its late leaf is appended after the centre's end, if it continues the
party's leaves in the log and declares the last one, so that nothing can follow it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from secureflow.application.ports.ledger import Ledger
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.application.running.asking import Asking
from secureflow.application.running.driving import passes
from secureflow.application.running.recording import foreign_leaf
from secureflow.application.running.recosigning import PATIENCE, Recosigning, fresh_number
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.scoredocument import KIND as SCORES
from secureflow.domain.scoredocument import scores_digest
from secureflow.engines.ledger.ends import FINISHED, End
from secureflow.engines.ledger.leaves import leaf_from_json
from secureflow.engines.ledger.notes import noted_size
from secureflow.engines.ledger.setback import head_only
from secureflow.engines.run.messages import FinishRequest, Leaves, as_body, read_reply
from secureflow.engines.script import Ask
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

MOST: Final = 100
"""Jobs that a party may ask about at once."""
_FIRST_SEQ: Final = 1 << 41
"""Numbers used neither by a job's own effects nor by `recosigning`."""

_log = get_logger(__name__)


@dataclass(frozen=True)
class _Keys:
    """What a party's leaves are checked against."""

    keys: Mapping[str, str]


class OverdueEnds:
    """Tells a returning party of the ends that it missed, and records what it signs.

    Args:
        begin: starts units of work.
        ledger: the log.
        asking: asks the party, and stores its cosignature.
        recosigning: asks the job's parties for a cosignature over what was added.
    """

    def __init__(
        self, begin: UnitOfWorkFactory, ledger: Ledger, asking: Asking, recosigning: Recosigning
    ) -> None:
        self._begin = begin
        self._ledger = ledger
        self._asking = asking
        self._recosigning = recosigning
        self._lock = asyncio.Lock()
        self._asking_party: set[str] = set()

    async def ask_to_finish(self, party: str, jobs: Sequence[str]) -> None:
        """Ask a party to finish those of its jobs that have ended, one after the other.

        Jobs that are unfinished, unknown, or without this party are skipped. A party that does not
        answer, or refuses, will ask again; the same party is not asked twice at a time.

        Raises:
            InfrastructureError: of the database, or `log_set_back`.
        """
        if party in self._asking_party:
            return
        self._asking_party.add(party)
        try:
            for name in jobs[:MOST]:
                if not await self._asked_to_finish(party, name):
                    break
        finally:
            self._asking_party.discard(party)

    async def ended(self, jobs: Sequence[str]) -> list[str]:
        """Return those of the jobs that have ended, or are unknown here (after a restore)."""
        async with self._begin() as work:
            found = {name: await work.jobs.find(name) for name in jobs}
        return [name for name, job in found.items() if job is None or job.state.final]

    async def _asked_to_finish(self, party: str, name: str) -> bool:
        """Ask a party to finish a job if it has ended; False if the party is silent."""
        try:
            async with self._begin() as work:
                job = await work.jobs.find(name)
            if job is not None and job.state.final and party in _keys(job):
                await self._finish(job, party)
        except SecureFlowError as error:
            if passes(error):
                raise
            _log.warning("end_not_told", job=name, party=party, code=error.code)
            return error.code != "party_silent"
        return True

    async def _finish(self, job: Job, party: str) -> None:
        note = await self._ledger.head()
        model = _model(job)
        outcome: Any = job.state.value  # a final one
        request = FinishRequest(
            job=job.id,
            digest=job.digest,
            outcome=outcome,
            model={"digest": model} if model else None,
            head=head_only(note),
            contribution=_scores(job),
        )
        ask = Ask((party,), request.verb, as_body(request), patience=PATIENCE)
        seq = _FIRST_SEQ + noted_size(note)
        answers = await self._asking.perform(job.id, fresh_number(_FIRST_SEQ), ask, asyncio.Event())
        reply = read_reply(request.reply, party, request.verb, answers["replies"][party])
        if reply.leaf and await self._taken(job, seq, party, reply):
            await self._recosigning.ask(job.id, tuple(_keys(job)))

    async def _taken(self, job: Job, seq: int, party: str, reply: Leaves) -> bool:
        """Append a party's leaves that the log lacks; tell whether there were any.

        Raises:
            SecureFlowError: `leaf_forged`, `malformed_leaf`, `record_set_back`.
        """
        from secureflow.engines.run.run import (  # NumPy is loaded with the first job
            Course,
            JobContext,
            leaf_entries,
        )

        async with self._lock:  # a party signs only one end, even if it answers twice
            context = JobContext[Any](job.id, _Keys(_keys(job)), job.digest, {}, 0, "")
            course: Course[Any] = Course(context)
            offered = [leaf_from_json(one.leaf) for one in reply.all]
            for leaf in {one.hash() for one in offered}:
                if await self._ledger.find(bytes.fromhex(leaf)) is not None:
                    course.ledger.recorded.add(leaf)
            async with self._begin() as work:
                end = await work.leaves.end(job.id, party)
            course.ledger.ends[party] = end
            if job.state is JobState.SUCCEEDED:
                course.ledger.model = _model(job) or ""
                scores = _scores(job)
                course.ledger.scores = "" if scores is None else scores_digest(scores)
            entries = leaf_entries(course, party, reply)
            if not entries:
                return False
            await self._check_follows(job.id, party, end, entries)
            await self._ledger.append(
                [foreign_leaf(job.id, seq, place, one) for place, one in enumerate(entries)]
            )
        _log.info("ended_late", job=job.id, party=party)
        return True

    async def _check_follows(
        self, job: str, party: str, end: End, entries: Sequence[Mapping[str, JSON]]
    ) -> None:
        """Refuse leaves that would make the job's record look cut: a gap, or anything but an end.

        Raises:
            SecureFlowError: `leaf_forged`.
        """
        leaves = [leaf_from_json(one["signed"]) for one in entries]
        ends = [number for number, one in enumerate(leaves, 1) if one.leaf.kind == FINISHED]
        complete = ends == [len(leaves)]
        if end.count:
            complete &= leaves[0].leaf.prev == end.last
            at = await self._ledger.find(bytes.fromhex(end.last))
            last = await self._ledger.entries(start=at or 0, limit=1)
            complete &= bool(last) and last[0].kind != FINISHED
        complete &= all(later.leaf.prev == one.hash() for one, later in pairwise(leaves))
        if not complete:
            raise SecureFlowError(
                "leaf_forged",
                Text(
                    "What {party} signed after the end of job {job} does not "
                    "continue its earlier entries up to its own end.",
                    party=party,
                    job=job,
                ),
                "Its agent is faulty, or somebody speaks in its name: ask the organisation.",
                {"party": party},
            )


def _model(job: Job) -> str | None:
    """Return the digest of the model that a job's report names."""
    model = (job.report or {}).get("model")
    return str(model["digest"]) if isinstance(model, dict) else None


def _scores(job: Job) -> dict[str, JSON] | None:
    """Return the signed scores of contributions in a job's report, if there are any."""
    if job.state is not JobState.SUCCEEDED:
        return None
    scores = (job.report or {}).get(SCORES)
    return scores if isinstance(scores, dict) else None


def _keys(job: Job) -> dict[str, str]:
    return {line["party"]: line["key"] for line in job.spec.get("roster", ())}
