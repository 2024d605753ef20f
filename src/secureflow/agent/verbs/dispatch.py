"""Maps verbs to handlers: the centre's requests to an agent. Everything else is refused.

| verb        | what the agent does                              | where          |
|-------------|--------------------------------------------------|----------------|
| `consent`   | decides by its own files and people, signs       | `approvals`    |
| `challenge` | makes a nonce                                    | `attestation`  |
| `admit`     | verifies the enclave's evidence                  | `attestation`  |
| `train`     | makes, seals and uploads one update              | `rounds`       |
| `close`     | votes on who contributed                         | `rounds`       |
| `setup`     | makes keys of a masked job                       | `masking`      |
| `advance`   | reads the others' keys, gives those of a round   | `masking`      |
| `mask`      | makes, masks and sends one update, or its sums   | `masking`      |
| `answer`    | votes, and reveals what opens the sum            | `masking`      |
| `keep`      | computes what stays here, and commits to it      | `keeping`      |
| `receive`   | makes the key to which others seal their files   | `delivering`   |
| `seal`      | seals what this party keeps to that key          | `delivering`   |
| `hand_over` | sends the ciphertext                             | `delivering`   |
| `collect`   | fetches the others' files and opens them         | `delivering`   |
| `peer_offer`| enters an attempt, and commits to its inputs     | `peers`        |
| `peer_run`  | runs the protocol with the others                | `peers`        |
| `cosign`    | checks a head of the log and cosigns it          | here           |
| `finish`    | the same, signs its end and forgets the job      | here           |

Requests of one job are handled one after the other; `consent` waits outside of that lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from secureflow.agent.job.context import AgentContext
from secureflow.agent.job.guards import check_verb
from secureflow.agent.kinds.kind import Contributions
from secureflow.agent.record.going import check_going
from secureflow.agent.record.restored import forgotten
from secureflow.agent.record.room import BEGINNING, Room
from secureflow.agent.verbs.accusations import accuse
from secureflow.agent.verbs.approvals import Approvals
from secureflow.agent.verbs.attestation import Attestation
from secureflow.agent.verbs.delivering import Deliveries, Delivering
from secureflow.agent.verbs.inflight import InFlight
from secureflow.agent.verbs.keeping import KeptResults
from secureflow.agent.verbs.masking import Masking
from secureflow.agent.verbs.outcomes import Outcomes
from secureflow.agent.verbs.ownends import end_stopped, end_unapproved
from secureflow.agent.verbs.peers import PeerAttempts
from secureflow.agent.verbs.rounds import SealedRounds
from secureflow.agent.verbs.sessions import Sessions
from secureflow.agent.verbs.settling import Settling
from secureflow.agent.verbs.steps import Steps
from secureflow.agent.witness.witness import Compared, Observed
from secureflow.domain.specs.base import closes
from secureflow.domain.specs.bundles import CODE_ERRORS
from secureflow.engines.run.messages import (
    AdmitRequest,
    AdvanceRequest,
    AnswerRequest,
    ChallengeRequest,
    CloseRequest,
    CollectRequest,
    ConsentRequest,
    CosignReply,
    CosignRequest,
    FinishReply,
    FinishRequest,
    HandOverRequest,
    KeepRequest,
    MaskRequest,
    PeerOfferRequest,
    PeerRunRequest,
    ReceiveRequest,
    SealRequest,
    SetupRequest,
    StepRequest,
    TrainRequest,
    as_body,
    read,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.logging import get_logger, job_context
from secureflow.kit.text import Text

Guarded = (
    AdmitRequest
    | TrainRequest
    | CloseRequest
    | SetupRequest
    | AdvanceRequest
    | MaskRequest
    | AnswerRequest
    | KeepRequest
    | PeerOfferRequest
    | PeerRunRequest
    | StepRequest
    | Delivering
)
Handler = Callable[[JSON, JSON], Coroutine[Any, Any, dict[str, JSON]]]
_ENDS: Final = frozenset({"finish", "cosign"})
"""Verbs that commit this party to nothing but what is recorded: stopping a job ends none of them.
"""

_log = get_logger(__name__)


class AgentVerbs:
    """One party's answers to the centre: `await agent.handle(verb, body, log_proofs)`.

    Args:
        context: the party.
        approvals: consent.
        attestation: verdicts on enclaves.
        contributions: this party's part in each kind of job.
        rounds: sealed rounds.
        masking: masked rounds.
        keeping: results that stay here.
        deliveries: those that go to one of the roster.
        peers: what the parties compute with each other.
        sessions: their state.
        room: refuses to begin what does not fit on the disk.
        settling: ends jobs in the record.
        check: checks, once per link, whether the record is an older copy of itself.
    """

    def __init__(
        self,
        context: AgentContext,
        approvals: Approvals,
        attestation: Attestation,
        contributions: Contributions,
        rounds: SealedRounds,
        masking: Masking,
        keeping: KeptResults,
        deliveries: Deliveries,
        peers: PeerAttempts,
        sessions: Sessions,
        room: Room,
        settling: Settling,
        check: Callable[[], Awaitable[None]],
    ) -> None:
        self._context = context
        self._check = check
        self._approvals = approvals
        self._attestation = attestation
        self._contributions = contributions
        self._rounds = rounds
        self._masking = masking
        self._keeping = keeping
        self._peers = peers
        self._sessions = sessions
        self._room = room
        self._settling = settling
        self._outcomes = Outcomes(context, contributions)
        self._in_flight = InFlight()
        self._steps = Steps(context)
        self._verbs: dict[str, Handler] = {
            "consent": self._consent,
            "challenge": self._challenge,
            "admit": self._admit,
            "train": self._train,
            "close": self._close,
            "setup": self._setup,
            "advance": self._advance,
            "mask": self._mask,
            "answer": self._answer,
            "keep": self._keep_result,
            "receive": partial(self._deliver, ReceiveRequest, deliveries.receive),
            "seal": partial(self._deliver, SealRequest, deliveries.seal),
            "hand_over": partial(self._deliver, HandOverRequest, deliveries.hand_over),
            "collect": partial(self._deliver, CollectRequest, deliveries.collect),
            "peer_offer": self._peer_offer,
            "peer_run": self._peer_run,
            "step": self._step,
            "cosign": self._cosign,
            "finish": self._finish,
        }

    async def handle(self, verb: str, body: JSON, log_proofs: JSON = None) -> dict[str, JSON]:
        """Answer one request.

        Raises:
            SecureFlowError: the refusal; `unknown_verb`; the alarm that stopped this agent;
                `record_set_back`, `record_replaced`.
            InfrastructureError: a fault of its disk; the request may be repeated.
        """
        handler = self._verbs.get(verb)
        if handler is None:
            raise SecureFlowError(
                "unknown_verb",
                Text("Agents do not answer {verb!r}.", verb=verb),
                "Server and agent must be of compatible versions.",
            )
        self._context.store.held.check()
        self._context.witness.check_alarm()
        await self._check()
        job = str(body.get("job", "")) if isinstance(body, dict) else ""
        with job_context(job, self._context.party):
            if verb in BEGINNING:
                await asyncio.to_thread(self._room.for_step, job)
            try:
                answer = await self._stoppable(job, verb, handler(body, log_proofs))
            except InfrastructureError:
                raise
            except (OSError, SecureFlowError):
                if verb in BEGINNING:  # whatever fails while its folder is gone fails for that
                    await asyncio.to_thread(self._room.demand_folder)
                raise
        await self._check()  # the link may be another one by now: an approval waits for days
        return answer

    async def _stoppable(
        self, job: str, verb: str, work: Coroutine[Any, Any, dict[str, JSON]]
    ) -> dict[str, JSON]:
        """Return a handler's answer; its owner may stop the job, but never its end."""
        if not job or verb in _ENDS:
            return await work
        answer = await self._in_flight.run(job, work)
        if answer is None:
            check_going(self._context.store.job(job))
            raise asyncio.CancelledError
        return answer

    def cancel(self, job: str) -> None:
        """End what is being done for a job whose owner has stopped it."""
        self._in_flight.cancel(job)

    async def end_run(self, job: str) -> None:
        """End a job's run with peers."""
        await self._peers.supersede(job)

    async def end(self, job: str, outcome: str) -> None:
        """End a job that the centre lost, or ended without this party: nothing follows."""
        await self._peers.supersede(job)
        async with self._context.locks[job]:
            await asyncio.to_thread(self._end, job, outcome)
            await self._forget(job)

    async def forget(self, job: str) -> None:
        """Remove files, sums and questions of a job that is over in the record; can be repeated.

        Secrets too: a request that ran while its job ended may have stored them again.
        """
        async with self._context.locks[job]:
            await asyncio.to_thread(self._drop_secrets, job)
            await self._forget(job)

    def _drop_secrets(self, job: str) -> None:
        with self._context.store.transaction():
            self._sessions.forget(job)
            self._context.store.forget_noised_sums(job)

    async def _consent(self, body: JSON, log_proofs: JSON) -> dict[str, JSON]:
        del log_proofs
        request = read(ConsentRequest, body)
        try:
            return await self._approvals.consent(request)
        except SecureFlowError as error:
            await self._accuse(request.job, "consent", body, error)
            raise

    async def _challenge(self, body: JSON, log_proofs: JSON) -> dict[str, JSON]:
        del log_proofs
        request = read(ChallengeRequest, body)
        async with self._context.locks[request.job]:
            return as_body(await self._attestation.challenge(request))

    async def _admit(self, body: JSON, log_proofs: JSON) -> dict[str, JSON]:
        del log_proofs
        request = read(AdmitRequest, body)
        async with self._guarded(request, "admit", body):
            job, spec = self._context.approved(request.job, request.digest)
            check_verb(spec, job.job, "admit")
            # Rows that do not fit are found before the first round, not in it.
            contributing = self._contributions.of(spec)
            await contributing.prepare(job, spec)
            reply = await self._attestation.admit(request)
            return {**reply, **await contributing.hand_over(job, request)}

    async def _train(self, body: JSON, log_proofs: JSON) -> dict[str, JSON]:
        request = read(TrainRequest, body)
        async with self._guarded(request, "train", body):
            return as_body(await self._rounds.train(request, log_proofs))

    async def _close(self, body: JSON, log_proofs: JSON) -> dict[str, JSON]:
        request = read(CloseRequest, body)
        async with self._guarded(request, "close", body):
            return as_body(await self._rounds.close(request, log_proofs))

    async def _setup(self, body: JSON, log_proofs: JSON) -> dict[str, JSON]:
        del log_proofs
        request = read(SetupRequest, body)
        async with self._guarded(request, "setup", body):
            return as_body(await self._masking.setup(request))

    async def _advance(self, body: JSON, log_proofs: JSON) -> dict[str, JSON]:
        del log_proofs
        request = read(AdvanceRequest, body)
        async with self._guarded(request, "advance", body):
            return as_body(await self._masking.advance(request))

    async def _mask(self, body: JSON, log_proofs: JSON) -> dict[str, JSON]:
        request = read(MaskRequest, body)
        async with self._guarded(request, "mask", body):
            return as_body(await self._masking.mask(request, log_proofs))

    async def _answer(self, body: JSON, log_proofs: JSON) -> dict[str, JSON]:
        request = read(AnswerRequest, body)
        async with self._guarded(request, "answer", body):
            return as_body(await self._masking.answer(request, log_proofs))

    async def _keep_result(self, body: JSON, log_proofs: JSON) -> dict[str, JSON]:
        request = read(KeepRequest, body)
        async with self._guarded(request, "keep", body):
            return as_body(await self._keeping.keep(request, log_proofs))

    async def _peer_offer(self, body: JSON, log_proofs: JSON) -> dict[str, JSON]:
        request = read(PeerOfferRequest, body)
        await self._peers.supersede(request.job, request.attempt)
        async with self._guarded(request, "peer_offer", body):
            return as_body(await self._peers.offer(request, log_proofs))

    async def _peer_run(self, body: JSON, log_proofs: JSON) -> dict[str, JSON]:
        del log_proofs
        request = read(PeerRunRequest, body)
        async with self._guarded(request, "peer_run", body):
            return as_body(await self._peers.run(request))

    async def _step(self, body: JSON, log_proofs: JSON) -> dict[str, JSON]:
        del log_proofs
        request = read(StepRequest, body)
        async with self._guarded(request, "step", body):
            return as_body(await self._steps.sign(request))

    async def _deliver(
        self,
        of: type[Delivering],
        answer: Callable[[Any], Awaitable[Any]],
        body: JSON,
        log_proofs: JSON,
    ) -> dict[str, JSON]:
        del log_proofs
        request = read(of, body)
        async with self._guarded(request, request.verb, body):
            return as_body(await answer(request))

    @asynccontextmanager
    async def _guarded(self, request: Guarded, verb: str, body: JSON) -> AsyncIterator[None]:
        """Handle one request of a job at a time; after a failure only the record counts.

        A request that an honest run never sends is refused with a signed accusation.
        """
        async with self._context.locks[request.job]:
            try:
                yield
            except BaseException as error:  # cancellation too: memory may be ahead of the record
                self._sessions.drop(request.job)
                if isinstance(error, SecureFlowError):
                    await self._accuse(request.job, verb, body, error)
                    if error.code in CODE_ERRORS:
                        await asyncio.to_thread(self._note_failed_code, request.job, verb, error)
                raise

    def _note_failed_code(self, job: str, verb: str, error: SecureFlowError) -> None:
        """Name a failure of a job's code in the record; once: the centre may repeat a request."""
        store, action = self._context.store, "bundle.failed"
        facts: dict[str, JSON] = {"code": error.code, "verb": verb, "message": str(error.message)}
        with store.transaction():
            known = (one for one in store.actions(job=job, limit=1000) if one["action"] == action)
            if all(one["facts"] != facts for one in known):
                store.note(self._context.clock(), action, job, **facts)

    async def _accuse(self, name: str, verb: str, body: JSON, error: SecureFlowError) -> None:
        """Sign an accusation in the job, or in the one of which it was to be a part."""
        store = self._context.store
        job = store.job(name) or store.job(str(error.details.get("whole", "")))
        if job is not None:
            await asyncio.to_thread(accuse, self._context, job, verb, body, error)

    async def _cosign(self, body: JSON, log_proofs: JSON) -> dict[str, JSON]:
        request = read(CosignRequest, body)
        observed = await self._context.witness.observe(request.head, log_proofs)
        await asyncio.to_thread(self._keep, observed)
        job = self._context.store.job(request.job) if request.job else None
        if request.job and (job.outcome if job else self._ended_apart(request.job)):
            self._context.witness.check_ended(request.job, observed)
        elif job is not None:
            self._outcomes.check_not_refused(job.job)
        return as_body(CosignReply(cosignature=self._context.witness.cosign(request.head)))

    async def _finish(self, body: JSON, log_proofs: JSON) -> dict[str, JSON]:
        request = read(FinishRequest, body)
        await self._peers.supersede(request.job)
        async with self._context.locks[request.job]:
            self._check_same_spec(request)
            compared = await asyncio.to_thread(self._outcomes.check, request)
            observed = await self._context.witness.observe(request.head, log_proofs)
            apart = await self._approvals.took_no_part(request)
            signed = await asyncio.to_thread(self._keep_end, request, observed, compared, apart)
            await self._forget(request.job)
        line = self._context.witness.cosign(request.head)
        return as_body(FinishReply(cosignature=line, **signed))

    def _ended_apart(self, job: str) -> bool:
        """Tell whether this party has signed that it took no part in a job."""
        return self._context.store.answer(f"finish/{job}") is not None

    def _check_same_spec(self, request: FinishRequest) -> None:
        job = self._context.store.job(request.job)
        if job is not None and job.digest != request.digest and not forgotten(job):
            raise SecureFlowError(
                "spec_digest_mismatch",
                Text(
                    "Job {job} was approved with another spec than the one that is finished.",
                    job=request.job,
                ),
                "An approval covers one spec.",
            )

    def _keep(self, observed: Observed) -> None:
        with self._context.store.transaction():
            self._context.witness.keep(observed)

    def _keep_end(
        self, request: FinishRequest, observed: Observed, compared: Compared, apart: bool
    ) -> dict[str, JSON]:
        """Settle the job, once, and return the leaf with which this party ends it."""
        store, key = self._context.store, f"finish/{request.job}"
        with store.transaction():
            self._context.witness.keep(observed)
            model = (request.model or {}).get("digest")
            job = self._settling.settle(request.job, request.outcome, model=model)
            if job is not None and closes(str(job.spec.get("script", ""))):
                leaf = self._context.witness.finish(job.job, job.digest, request.outcome, compared)
                store.keep_answer(key, job.job, leaf.hash)
            known = store.answer(key) or end_stopped(self._context, request)
            if known is None and apart:
                known = end_unapproved(self._context, request)
            return {} if known is None else self._context.leaf_reply(store.leaf(known))

    def _end(self, job: str, outcome: str) -> None:
        with self._context.store.transaction():
            self._settling.settle(job, outcome)

    async def _forget(self, job: str) -> None:
        """Remove files, sums, channels and questions of a job that is over."""
        await self._peers.forget(job)
        await self._contributions.forget(job)
        self._approvals.withdraw(job)
