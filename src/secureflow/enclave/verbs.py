"""The enclave's verbs: the only requests that the centre may send it.

A table of verb → handler. Every answer is derived from signed data; nothing depends on the
centre's word. All state is in memory: after a restart every job is `job_not_open`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from secureflow.domain.specs.protections import traits_of
from secureflow.enclave.jobs import EnclaveJob
from secureflow.enclave.kind import EnclaveKinds
from secureflow.enclave.kinds import ENCLAVE_KINDS
from secureflow.enclave.models import Blobs
from secureflow.enclave.plans import RoundId, verify_plan, verify_recipients
from secureflow.enclave.uploads import Uploads
from secureflow.engines.attestation import Evidence
from secureflow.engines.closing import Certificate
from secureflow.engines.run.messages import (
    AttestReply,
    AttestRequest,
    Empty,
    ForgetRequest,
    OpenReply,
    OpenRequest,
    ReleaseRequest,
    RollRequest,
    UnlockRequest,
    as_body,
    read,
)
from secureflow.engines.secagg import Opened
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

Body = Mapping[str, JSON]

_log = get_logger(__name__)


class Attester(Protocol):
    """Creates evidence (`adapters.tee`)."""

    def attest(self, runtime_data: Mapping[str, str], now: int) -> Evidence:
        """Return evidence whose report covers the runtime data."""


class EnclaveVerbs:
    """The jobs of this enclave.

    Args:
        attester: creates evidence.
        blobs: the centre's blobs.
        uplink: returns `host:port` of this enclave's uplink, which agents dial.
        clock: unix seconds.
        kinds: the kinds of job in which this enclave takes part.
    """

    def __init__(
        self,
        attester: Attester,
        blobs: Blobs,
        uplink: Callable[[], str],
        clock: Clock,
        kinds: EnclaveKinds = ENCLAVE_KINDS,
    ) -> None:
        self._attester = attester
        self._kinds = kinds
        self._blobs = blobs
        self._uplink = uplink
        self._clock = clock
        self._jobs: dict[str, EnclaveJob] = {}
        self.uploads = Uploads(self.job, clock)
        self._verbs: dict[str, Callable[[Body], Awaitable[JSON]]] = {
            "open": self._open,
            "unlock": self._unlock,
            "attest": self._attest,
            "roll": self._roll,
            "release": self._release,
            "finish": self._finish,
        }

    async def handle(self, verb: str, body: dict[str, JSON], log_proofs: JSON = None) -> JSON:
        """Answer a request from the centre.

        Raises:
            SecureFlowError: the refusal; `unknown_verb`.
        """
        del log_proofs  # for parties that keep the log's head
        handler = self._verbs.get(verb)
        if handler is None:
            raise SecureFlowError(
                "unknown_verb", Text("The enclave does not know '{verb}'.", verb=verb)
            )
        return await handler(body)

    async def close(self) -> None:
        """End every job with the process: what a round keeps on the disk goes with it."""
        while self._jobs:
            await self._end(self._jobs.popitem()[1])

    async def _end(self, job: EnclaveJob) -> None:
        self.uploads.forget(job.plan.job)
        await job.close()

    def job(self, name: str) -> EnclaveJob:
        """Return an open job.

        Raises:
            SecureFlowError: `job_not_open`.
        """
        job = self._jobs.get(name)
        if job is None:
            raise SecureFlowError(
                "job_not_open",
                Text("Job {name} is not open in this enclave.", name=name[:80]),
                (
                    "The enclave was restarted or the job has ended: the centre reopens a "
                    "job that continues."
                ),
            )
        return job

    @property
    def open_jobs(self) -> list[str]:
        """The jobs of which this enclave holds any state."""
        return list(self._jobs)

    async def _open(self, body: Body) -> JSON:
        request = read(OpenRequest, body)
        plan = verify_plan(request, self._clock(), self._kinds)
        recipients = verify_recipients(plan, request)
        job = self._jobs.get(plan.job)
        if job is None:
            job = self._jobs[plan.job] = EnclaveJob(plan, self._blobs)
            _log.info("job_opened", job=plan.job, roster=len(plan.spec.roster))
        elif job.plan.digest != plan.digest:
            raise SecureFlowError(
                "spec_digest_mismatch",
                Text("{job} is open with another spec.", job=plan.job),
                "Finish it first.",
            )
        await job.load_model(request.model)
        job.recipients |= recipients
        job.generation = request.generation
        job.rounds.expected = None if request.expected is None else frozenset(request.expected)
        return as_body(OpenReply(**job.keys, uplink=self._uplink()))

    async def _unlock(self, body: Body) -> JSON:
        request = read(UnlockRequest, body)
        await self.job(request.job).unlock(request.model_keys)
        return as_body(Empty())

    async def _attest(self, body: Body) -> JSON:
        request = read(AttestRequest, body)
        job = self.job(request.job)
        evidence = {}
        for party, nonce in request.nonces.items():
            job.plan.check_contributor(party)
            made = await asyncio.to_thread(
                self._attester.attest, job.runtime_data(nonce), self._clock()
            )
            job.remember_evidence(party, made)
            evidence[party] = made.as_json()
        return as_body(AttestReply(evidence=evidence))

    async def _roll(self, body: Body) -> JSON:
        request = read(RollRequest, body)
        job = self.job(request.job)
        return as_body(await job.freeze(RoundId(request.round, request.stage)))

    async def _release(self, body: Body) -> JSON:
        request = read(ReleaseRequest, body)
        job, step = self.job(request.job), RoundId(request.round, request.stage)
        certificate = Certificate.from_json(request.certificate)
        opened = Opened.from_json(request.opened) if traits_of(job.plan.spec).masks else None
        released = await job.release(step, certificate, opened)
        _log.info("released", job=job.plan.job, step=str(step))
        return released

    async def _finish(self, body: Body) -> JSON:
        job = self._jobs.pop(read(ForgetRequest, body).job, None)
        if job is not None:
            await self._end(job)
            _log.info("job_forgotten", job=job.plan.job)
        return as_body(Empty())
