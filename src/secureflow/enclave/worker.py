"""The enclave's verbs: what the centre may ask of it, and nothing else.

A table of verb → handler. Every answer is derived from signed things; the centre's word decides
nothing. State is memory only: after a restart every job is `job_not_open`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from secureflow.domain.specs.protections import traits_of
from secureflow.enclave.jobs import EnclaveJob
from secureflow.enclave.kind import EnclaveKinds
from secureflow.enclave.kinds import ENCLAVE_KINDS
from secureflow.enclave.models import Blobs
from secureflow.enclave.plans import Step, verify_plan, verify_recipients
from secureflow.enclave.uploads import Uploads
from secureflow.engines.attestation import Evidence
from secureflow.engines.closing import Certificate
from secureflow.engines.secagg import Opened
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

JSON = Any
Body = Mapping[str, JSON]

_log = get_logger(__name__)


class Attester(Protocol):
    """Makes evidence (`adapters.tee`)."""

    def attest(self, runtime_data: Mapping[str, str], now: int) -> Evidence:
        """Return evidence whose report covers the runtime data."""


class Worker:
    """The jobs of this enclave.

    Args:
        attester: makes evidence.
        blobs: the centre's blobs.
        uplink: returns `host:port` of this enclave's uplink, as agents dial it.
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

    async def handle(self, verb: str, body: dict[str, JSON], rider: JSON = None) -> JSON:
        """Answer a request of the centre.

        Raises:
            SecureFlowError: the refusal; `unknown_verb`.
        """
        del rider  # proofs about the log are for parties that keep its head
        handler = self._verbs.get(verb)
        if handler is None:
            raise SecureFlowError("unknown_verb", f"The enclave does not know '{verb}'.")
        return await handler(body)

    def job(self, name: str) -> EnclaveJob:
        """Return an open job.

        Raises:
            SecureFlowError: `job_not_open`.
        """
        job = self._jobs.get(name)
        if job is None:
            raise SecureFlowError(
                "job_not_open",
                f"Job {name[:80]} is not open in this enclave.",
                "It was restarted or the job is over: the centre opens it anew.",
            )
        return job

    @property
    def open_jobs(self) -> list[str]:
        """The jobs of which this enclave holds anything."""
        return list(self._jobs)

    async def _open(self, body: Body) -> JSON:
        plan = verify_plan(body, self._clock(), self._kinds)
        recipients = verify_recipients(plan, body.get("generation"), body.get("recipients"))
        expected = _expected(body.get("expected"))
        job = self._jobs.get(plan.job)
        if job is None:
            job = self._jobs[plan.job] = EnclaveJob(plan, self._blobs)
            _log.info("job_opened", job=plan.job, roster=len(plan.spec.roster))
        elif job.plan.digest != plan.digest:
            raise SecureFlowError(
                "spec_digest_mismatch", f"{plan.job} is open with another spec.", "Finish it first."
            )
        model = body.get("model")
        if model is not None and not isinstance(model, dict):
            raise SecureFlowError("invalid_request", "The model is no object.")
        await job.begin_with(model)
        job.recipients |= recipients
        job.generation = int(body["generation"])
        job.rounds.expected = expected
        return {**job.keys, "uplink": self._uplink()}

    async def _unlock(self, body: Body) -> JSON:
        keys = body.get("model_keys")
        if not isinstance(keys, dict):
            raise SecureFlowError("invalid_request", "There are no model keys.")
        await self._named(body).unlock(keys)
        return {}

    async def _attest(self, body: Body) -> JSON:
        job, nonces = self._named(body), body.get("nonces")
        if not isinstance(nonces, dict):
            raise SecureFlowError("invalid_request", "There are no nonces.")
        evidence = {}
        for party, nonce in nonces.items():
            job.plan.check_contributor(party)
            made = await asyncio.to_thread(
                self._attester.attest, job.runtime_data(str(nonce)), self._clock()
            )
            job.attested(party, made)
            evidence[party] = made.as_json()
        return {"evidence": evidence}

    async def _roll(self, body: Body) -> JSON:
        job = self._named(body)
        return await job.roll(_step(body))

    async def _release(self, body: Body) -> JSON:
        job = self._named(body)
        certificate = Certificate.from_json(body.get("certificate"))
        opened = Opened.from_json(body.get("opened")) if traits_of(job.plan.spec).masks else None
        released = await job.release(_step(body), certificate, opened)
        _log.info("released", job=job.plan.job, step=str(_step(body)))
        return released

    async def _finish(self, body: Body) -> JSON:
        name = body.get("job")
        job = self._jobs.pop(name, None) if isinstance(name, str) else None
        if job is not None:
            self.uploads.forget(job.plan.job)
            await job.close()
            _log.info("job_forgotten", job=job.plan.job)
        return {}

    def _named(self, body: Body) -> EnclaveJob:
        return self.job(str(body.get("job")))


def _step(body: Body) -> Step:
    return Step.parse(body.get("round"), body.get("stage"))


def _expected(value: JSON) -> frozenset[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(party, str) for party in value):
        raise SecureFlowError("invalid_request", "The expected parties are no list of names.")
    return frozenset(value)
