"""A party's half of an attempt among peers: enter it, then run the protocol with the others.

Guarantees, whatever the centre asks and whenever the agent is killed:
- one entry of each attempt: its statements and its leaf are on record before they are sent, and a
  repeated `peer_offer` is answered from there. So nobody gets two certificates for one channel, and
  nobody sees two inputs under one attempt;
- nothing is computed before every peer's entry was checked under the keys of the roster, and what
  the peers put in is durable: it may count against a limit of the owner. What each of them signed
  stays here, whatever the centre puts into the log: it is evidence;
- an attempt runs once. Its keys are in memory only: after a restart it is lost (`attempt_lost`),
  and the next one begins with fresh keys and randomness, from the same inputs;
- of a kind that runs once (`Peering.runs_once`) nothing is run again that ended here;
- a result is on the disk, whole, before the leaf that commits to it, and there is one of each job:
  a later attempt is run for the peers' sake, and told with the result that is there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from typing import Any, Final, Protocol

from secureflow.agent.job.context import AgentContext
from secureflow.agent.job.guards import check_verb
from secureflow.agent.kinds.kind import Contributions, Peering, PeerOutcome, PeerSession
from secureflow.agent.owner.peerentries import kept_under
from secureflow.agent.record.going import check_going
from secureflow.agent.record.records import JobRecord
from secureflow.agent.witness.witness import Observed
from secureflow.application.ports.peers import ChannelLimits, PeerChannel
from secureflow.domain.specs.base import MAX_PEER_MEGABYTES, JobSpec
from secureflow.engines.ledger.leaves import leaf_from_json
from secureflow.engines.peers.statements import ChannelScope
from secureflow.engines.run.attemptcodes import EXHAUSTED, LOST
from secureflow.engines.run.attempts import (
    ATTEMPT,
    ENTRY_PARTS,
    Offer,
    attempt_document,
    check_offer,
)
from secureflow.engines.run.kept import KEPT
from secureflow.engines.run.messages import (
    ChannelBytes,
    PeerOfferReply,
    PeerOfferRequest,
    PeerRunReply,
    PeerRunRequest,
    as_body,
    read_reply,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

CONNECT: Final = 30.0
"""Seconds within which every peer must have opened its end of a channel."""
LEAST_BYTES: Final = 256 << 20
USUAL: Final = 8
"""Times the estimate, or the least: what channels carry in an attempt if the spec says nothing."""
_log = get_logger(__name__)
_HINT: Final = "The centre must follow the spec that was approved."


class PeerLinks(Protocol):
    """This agent's channels to others (`agent.peers.channels.PeerChannels`)."""

    def offer(self, scope: ChannelScope, peers: tuple[str, ...]) -> dict[str, JSON]:
        """Make keys for channels, and return the signed statement for each peer."""

    async def open(
        self,
        scope: ChannelScope,
        theirs: Mapping[str, JSON],
        *,
        deadline: float,
        limits: ChannelLimits,
    ) -> dict[str, PeerChannel]:
        """Open a channel to each of these peers, all or none."""

    async def forget_attempt(self, job: str, attempt: int) -> None:
        """End the channels of an attempt, and forget its keys."""

    async def forget_attempts(self, job: str) -> None:
        """End the channels of a job so far, and forget their keys; the job goes on."""

    async def forget(self, job: str) -> None:
        """End the channels of a job that is over, and forget its keys."""


class AttemptSpec(Protocol):
    """What the spec of a kind with peers has."""

    @property
    def program(self) -> str:
        """The digest of what all parties run."""

    @property
    def attempts(self) -> int:
        """How often it may be begun."""


class PeerAttempts:
    """Answers `peer_offer` and `peer_run`.

    Args:
        context: the party.
        contributions: this party's part in each kind of job.
        links: its channels.
    """

    def __init__(
        self, context: AgentContext, contributions: Contributions, links: PeerLinks
    ) -> None:
        self._context = context
        self._contributions = contributions
        self._links = links
        self._entered: dict[str, int] = {}
        """Job → the attempt that this process entered; a restarted one has lost its attempts."""
        self._running: dict[str, tuple[int, asyncio.Task[PeerRunReply]]] = {}

    # --- peer_offer ----------------------------------------------------------------------------

    async def offer(self, request: PeerOfferRequest, log_proofs: JSON) -> PeerOfferReply:
        """Enter an attempt, once, and return the statements and the leaf of that.

        Raises:
            SecureFlowError: those of `check_approved`, `check_verb` and of the witness;
                `peer_offer_stale`; `invalid_request` for another program than the approved one;
                those of `Peering.ready` and `Peering.enter`.
        """
        context = self._context
        job, spec = context.approved(request.job, request.digest)
        check_verb(spec, job.job, request.verb)
        peering = self._contributions.peering(spec)
        self._check_request(job, spec, request)
        observed = await context.witness.observe(request.head, log_proofs)
        known = context.store.answer(_entry(job.job, request.attempt))
        if known is None:
            known = await self._enter(job, spec, peering, request, observed)
        else:
            await asyncio.to_thread(self._keep_head, observed)
        done = context.store.answer(_done(job.job))
        return PeerOfferReply(
            statements=known["statements"],
            done=None if done is None else self._told(done),
            **context.leaf_reply(context.store.leaf(known["leaf"])),
        )

    def _check_request(self, job: JobRecord, spec: Any, request: PeerOfferRequest) -> None:
        asked: AttemptSpec = spec
        if request.program != asked.program:
            raise SecureFlowError(
                "invalid_request",
                Text("Attempt {attempt} of {job} names another program than the approved one.",
                     attempt=request.attempt, job=job.job),
                _HINT,
            )  # fmt: skip
        newest = self._newest(job.job, asked)
        if request.attempt > asked.attempts or request.attempt < newest:
            raise _stale(job.job, request.attempt, newest)

    async def _enter(
        self,
        job: JobRecord,
        spec: JobSpec,
        peering: Peering,
        request: PeerOfferRequest,
        observed: Observed,
    ) -> Mapping[str, Any]:
        peering.ready(spec)
        entered = await peering.enter(job, spec)
        if self._newest(job.job, spec):
            await self._links.forget_attempts(job.job)
        scope = _scope(job, spec, request.attempt)
        peers = tuple(one for one in spec.parties if one != self._context.party)
        statements = self._links.offer(scope, peers)
        document = attempt_document(
            request.attempt, scope.program, entered.inputs, entered.count, statements
        )
        late = self._context.witness.earlier(job.job, observed)
        known = await asyncio.to_thread(
            self._commit_entry, job, request.attempt, document, statements, (observed, late)
        )
        self._entered[job.job] = request.attempt
        return known

    def _commit_entry(
        self,
        job: JobRecord,
        attempt: int,
        document: dict[str, JSON],
        statements: Mapping[str, JSON],
        seen: tuple[Observed, Mapping[str, int]],
    ) -> Mapping[str, Any]:
        """The only commit: leaf, statements, head and the owner's log, before anything is sent."""
        context, (observed, late) = self._context, seen
        with context.store.transaction():
            check_going(context.store.job(job.job))
            context.witness.keep(observed)
            context.store.miss_leaves(late)
            leaf = context.witness.leaf(ATTEMPT, job.job, job.digest, document)
            known = {"leaf": leaf.hash, "statements": dict(statements)}
            context.store.keep_answer(_entry(job.job, attempt), job.job, known)
            facts = {"attempt": attempt, "inputs": document["inputs"], "count": document["count"]}
            context.store.note(context.clock(), "attempt.entered", job.job, **facts)
        return known

    # --- peer_run ------------------------------------------------------------------------------

    async def run(self, request: PeerRunRequest) -> PeerRunReply:
        """Run the protocol of an attempt, once, and return what may be told of it.

        Raises:
            SecureFlowError: `attempt_lost`; `peer_offer_stale`; `peer_offer_forged`; those of the
                channels, of `Peering.admit` and `Peering.run`.
        """
        context = self._context
        job, spec = context.approved(request.job, request.digest)
        check_verb(spec, job.job, request.verb)
        peering = self._contributions.peering(spec)
        known = context.store.answer(_ran(job.job, request.attempt))
        if known is not None:
            return self._told(known)
        newest = self._newest(job.job, spec)
        if request.attempt != newest:
            raise _stale(job.job, request.attempt, newest)
        if self._entered.get(job.job) != request.attempt:
            raise _lost(context.party, request.attempt)
        task = asyncio.ensure_future(self._run(job, spec, peering, request))
        self._running[job.job] = request.attempt, task
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
        finally:
            self._running.pop(job.job, None)
            self._entered.pop(job.job, None)
        if task.cancelled():
            raise _lost(context.party, request.attempt)
        return task.result()

    async def supersede(self, job: str, attempt: int | None = None) -> None:
        """End a run that nobody waits for any more: of an earlier attempt than this, or any."""
        running = self._running.get(job)
        if running is None or (attempt is not None and running[0] >= attempt):
            return
        running[1].cancel()
        await asyncio.gather(running[1], return_exceptions=True)

    async def forget(self, job: str) -> None:
        """End the channels of a job, and forget its keys."""
        self._entered.pop(job, None)
        await self._links.forget(job)

    async def _run(
        self, job: JobRecord, spec: JobSpec, peering: Peering, request: PeerRunRequest
    ) -> PeerRunReply:
        began = time.monotonic()
        scope = _scope(job, spec, request.attempt)
        offers = self._offers(spec, scope, request)
        await asyncio.to_thread(self._keep_offers, job.job, request, tuple(offers))
        theirs = {peer: request.statements[peer] for peer in peering.peers(spec)}
        limits = ChannelLimits(_bytes(spec, peering.traffic(job, spec, offers)), _seconds(spec))
        channels = await self._links.open(scope, theirs, deadline=CONNECT, limits=limits)
        try:
            # Only now: a refusal ends the channels, by which the peers learn of it at once.
            if peering.runs_once:
                self._check_unended(job.job, request.attempt)
            await peering.admit(job, spec, offers)
            outcome = await peering.run(job, spec, PeerSession(request.attempt, channels, offers))
        except BaseException:  # cancellation too: peers learn at once that nothing follows
            await self._links.forget_attempt(job.job, request.attempt)
            raise
        told = PeerRunReply(
            attempt=request.attempt,
            figures=outcome.figures,
            channels={
                peer: ChannelBytes(sent=one.sent, received=one.received)
                for peer, one in channels.items()
            },
            seconds=round(time.monotonic() - began, 3),
            peak=outcome.peak,
        )
        reply = await _to_the_end(asyncio.to_thread(self._commit_run, job, outcome, told))
        await self._close(job.job, request.attempt, channels)
        return reply

    async def _close(
        self, job: str, attempt: int, channels: Mapping[str, PeerChannel]
    ) -> None:  # fmt: skip
        """Close the channels of a run that counts, whatever the peers answer."""
        found = await asyncio.gather(
            *(one.close() for one in channels.values()), return_exceptions=True
        )
        failed = dict(zip(channels, found, strict=True))
        for peer, error in failed.items():
            if isinstance(error, SecureFlowError):
                _log.warning("peer_not_closed", job=job, peer=peer, code=error.code)
            elif error is not None:
                raise error
        if any(failed.values()):
            await self._links.forget_attempt(job, attempt)

    def _offers(
        self, spec: JobSpec, scope: ChannelScope, request: PeerRunRequest
    ) -> dict[str, Offer]:
        """Check every peer's entry, whether or not there is a channel to it.

        Raises:
            SecureFlowError: `peer_offer_forged`; `peer_absent` if one is missing.
        """
        found: dict[str, Offer] = {}
        for peer in (one for one in spec.parties if one != self._context.party):
            if peer not in request.statements or peer not in request.offers:
                raise SecureFlowError(
                    "peer_absent",
                    Text("The centre shows no entry of {peer} into attempt {attempt}.",
                         peer=peer, attempt=request.attempt),
                    _HINT,
                    {"party": peer},
                )  # fmt: skip
            found[peer] = check_offer(
                peer, spec.keys[peer], request.offers[peer], request.statements[peer],
                to=self._context.party, job=scope.job, spec=scope.spec,
                number=scope.attempt, program=scope.program,
            )  # fmt: skip
        return found

    def _check_unended(self, job: str, attempt: int) -> None:
        """Refuse to run again what ran to its end here, whoever has lost what came of it.

        Raises:
            SecureFlowError: `attempts_exhausted` naming the attempt that ended.
        """
        before = (one for one in range(1, attempt) if self._context.store.answer(_ran(job, one)))
        ended = next(before, None)
        if ended is not None:
            raise _ended(self._context.party, ended)

    def _keep_offers(self, job: str, request: PeerRunRequest, peers: tuple[str, ...]) -> None:
        """Keep what each peer signed for an attempt, with what opens it, once."""
        name, context = kept_under(job, request.attempt), self._context
        if context.store.answer(name) is not None:
            return
        kept = {peer: {part: request.offers[peer][part] for part in ENTRY_PARTS} for peer in peers}
        with context.store.transaction():
            check_going(context.store.job(job))
            context.store.keep_answer(name, job, kept)
            signed = {peer: leaf_from_json(one["leaf"]).hash() for peer, one in kept.items()}
            facts: dict[str, JSON] = {"attempt": request.attempt, "leaves": signed}
            context.store.note(context.clock(), "attempt.peers", job, **facts)

    def _commit_run(self, job: JobRecord, outcome: PeerOutcome, told: PeerRunReply) -> PeerRunReply:
        """The only commit of a result: its leaf, the answer and the owner's log, together."""
        context = self._context
        done = context.store.answer(_done(job.job))
        leaf = context.store.leaf_of(job.job, KEPT)
        with context.store.transaction():
            check_going(context.store.job(job.job))
            if outcome.kept is not None and leaf is None:
                leaf = context.witness.leaf(KEPT, job.job, job.digest, outcome.kept.document)
                facts = outcome.kept.facts
                context.store.note(context.clock(), "result.kept", job.job, **facts)
            if leaf is None:
                entry = context.store.answer(_entry(job.job, told.attempt))
                leaf = context.store.leaf(entry["leaf"])
            body = {**as_body(told), "leaf": leaf.hash}
            if done is not None:
                body = done  # a result is told as it was made, once
            elif outcome.kept is not None:
                context.store.keep_answer(_done(job.job), job.job, body)
            context.store.keep_answer(_ran(job.job, told.attempt), job.job, body)
            facts = {"attempt": told.attempt, "seconds": told.seconds}
            context.store.note(context.clock(), "attempt.ended", job.job, **facts)
        return self._told(body)

    # --- parts ---------------------------------------------------------------------------------

    def _told(self, body: Mapping[str, Any]) -> PeerRunReply:
        """Return a recorded answer, with its leaf and those that the log has not proved yet."""
        leaf = self._context.store.leaf(str(body["leaf"]))
        told = {**body, **self._context.leaf_reply(leaf)}
        return read_reply(PeerRunReply, self._context.party, "peer_run", told, stored=True)

    def _newest(self, job: str, spec: Any) -> int:
        """Return the number of the last attempt that was entered; 0 for none."""
        asked: AttemptSpec = spec
        numbers = range(asked.attempts, 0, -1)
        entered = (one for one in numbers if self._context.store.answer(_entry(job, one)))
        return next(entered, 0)

    def _keep_head(self, observed: Observed) -> None:
        with self._context.store.transaction():
            self._context.witness.keep(observed)


async def _to_the_end(work: Coroutine[Any, Any, PeerRunReply]) -> PeerRunReply:
    """Return what comes of work that is not left half done: who cancels it waits for its end."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _scope(job: JobRecord, spec: Any, attempt: int) -> ChannelScope:
    """Return what the channels of an attempt are for; the roster's keys are pinned."""
    return ChannelScope(job.job, job.digest, attempt, spec.program, spec.keys)


def _bytes(spec: Any, estimated: int) -> int:
    """Return the bytes that a party's channels may carry in all attempts together."""
    named: int | None = spec.limits.peer_megabytes
    if named is not None:
        return named << 20
    attempts: int = spec.attempts
    return min(attempts * max(LEAST_BYTES, USUAL * estimated), MAX_PEER_MEGABYTES << 20)


def _seconds(spec: Any) -> float:
    return float(spec.limits.seconds) + CONNECT


def _entry(job: str, attempt: int) -> str:
    return f"peer_offer/{job}/{attempt}"


def _ran(job: str, attempt: int) -> str:
    return f"peer_run/{job}/{attempt}"


def _done(job: str) -> str:
    return f"peer_done/{job}"


def _lost(party: str, attempt: int) -> SecureFlowError:
    return SecureFlowError(
        LOST,
        Text(
            "{party} is no longer in attempt {attempt}: its agent was restarted, or ended it.",
            party=party,
            attempt=attempt,
        ),
        "The next attempt begins with fresh keys.",
        {"party": party, "attempt": attempt},
    )


def _ended(party: str, attempt: int) -> SecureFlowError:
    return SecureFlowError(
        EXHAUSTED,
        Text(
            "{party} has run the program to its end in attempt {attempt}, and runs it once: others "
            "could bring other inputs than before.",
            party=party,
            attempt=attempt,
        ),
        "Submit the job again: every owner then approves what is computed.",
        {"party": party, "attempt": attempt},
    )


def _stale(job: str, attempt: int, newest: int) -> SecureFlowError:
    return SecureFlowError(
        "peer_offer_stale",
        Text(
            "Attempt {attempt} of {job} is not the one that this agent is in, {newest}, or may "
            "enter next.",
            attempt=attempt,
            job=job,
            newest=newest,
        ),
        _HINT,
        {"attempt": attempt, "newest": newest},
    )
