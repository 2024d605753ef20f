"""One job inside the enclave: its keys, its plan, its model, and the limits on its output.

Keys are generated for every (enclave start, job) and never leave memory; a restarted enclave is a
new enclave, which agents verify again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from secureflow.domain.specs.protections import traits_of
from secureflow.enclave.buffers import Buffers
from secureflow.enclave.folds import Fold
from secureflow.enclave.models import Blobs, GlobalModel, PublishedMean, load_open, load_sealed
from secureflow.enclave.plans import JobPlan, RoundId
from secureflow.enclave.rounds import JobRounds, ReleaseRecord, upload_receipt
from secureflow.enclave.shielded import ShieldedTasks
from secureflow.engines.attestation import SUITE, Evidence, runtime_data
from secureflow.engines.closing import Certificate
from secureflow.engines.run.messages import ContinuedModel, RollReply
from secureflow.engines.sealing import (
    Binding,
    OpenedUpdate,
    RecipientKey,
    RoundRelease,
    manifest_length,
    model_key_info,
)
from secureflow.engines.secagg import Opened
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.text import Text

BUFFERS: Final = 2
ENCLAVE: Final = "enclave"
MAX_EVIDENCE: Final = 64
"""Evidence digests remembered per party: seals may name any of them."""


@dataclass(frozen=True)
class _Locked:
    """A model whose content key is still missing: what opens it and where it is."""

    digest: str
    artifact: str
    info: bytes


class EnclaveJob:
    """A job that this enclave serves.

    Args:
        plan: verified.
        blobs: the store from which models are fetched and in which they are stored.
    """

    def __init__(self, plan: JobPlan, blobs: Blobs) -> None:
        self.plan = plan
        self.recipient = RecipientKey.generate()
        self.rounds = JobRounds(plan)
        self.generation = 0
        self.recipients: dict[str, str] = {}
        lengths = (manifest_length(self._sample_binding(stage).manifest) for stage in plan.stages)
        self.buffers = Buffers(BUFFERS, max(lengths))
        self._release_key = SigningKey.generate()
        self._blobs = blobs
        self._evidence: dict[str, list[str]] = {}
        self._model: GlobalModel | None = None
        self._mean: PublishedMean | None = None
        self._locked: _Locked | None = None
        self._lock = asyncio.Lock()
        self._shielded = ShieldedTasks()
        self._storing: asyncio.Future[dict[str, JSON]] | None = None
        self._ended = False

    @property
    def keys(self) -> dict[str, str]:
        """The public keys that evidence vouches for."""
        return {"hpke": self.recipient.public, "release": self._release_key.public}

    @property
    def model(self) -> GlobalModel:
        """The current model (`model_missing` while its content key is missing)."""
        if self._model is None:
            raise SecureFlowError(
                "model_missing",
                Text(
                    "The enclave does not have the current model of {job} yet.", job=self.plan.job
                ),
                "The agents send its content key when they admit the enclave.",
            )
        return self._model

    def runtime_data(self, nonce: str) -> dict[str, str]:
        """Return what evidence for this nonce binds."""
        return runtime_data(
            nonce=nonce, suite=SUITE, job=self.plan.job, spec=self.plan.digest, **self.keys
        )

    def remember_evidence(self, party: str, evidence: Evidence) -> None:
        """Remember evidence that was created for a party."""
        known = self._evidence.setdefault(party, [])
        known.append(evidence.digest)
        del known[:-MAX_EVIDENCE]

    async def load_model(self, model: ContinuedModel | None) -> None:
        """Load the model from which the job starts, or continues after a restart.

        Raises:
            SecureFlowError: `model_conflict` when this enclave already holds another one,
                `invalid_request`, and those of fetching.
        """
        async with self._lock:
            digest, artifact, info = self._start(model)
            if self._model is not None or self._locked is not None:
                self._check_same(digest)
                return
            self.rounds.next_number = self._next_number(model)
            if not digest:
                self._model = GlobalModel.of(self.plan.kind.initial(self.plan.spec))
            elif artifact == digest:
                self._model = await self._opened(digest)
            else:
                self._locked = _Locked(digest, artifact, info)

    async def _opened(self, digest: str) -> GlobalModel:
        """Load a model that everyone may see: a round's, or the one that the job starts from."""
        kind, spec = self.plan.kind, self.plan.spec
        if digest != kind.starts_from(spec):
            return await load_open(self._blobs, digest, spec.parameters)
        model = await load_open(self._blobs, digest, kind.start(spec))
        return GlobalModel(kind.started(spec, model.parameters), digest)

    async def unlock(self, sealed: Mapping[str, str]) -> None:
        """Open the current model with a content key from any agent.

        Raises:
            SecureFlowError: `sealed_key_refused` when no key opens it, and those of fetching.
        """
        async with self._lock:
            if self._locked is None:
                return
            locked = self._locked
            failure = SecureFlowError("sealed_key_refused", "No content key of the model was sent.")
            for key in sealed.values():
                try:
                    opened = self.recipient.open_key(key, locked.info)
                    self._model = await load_sealed(
                        self._blobs,
                        locked.digest,
                        locked.artifact,
                        self.plan.spec.parameters,
                        opened,
                    )
                except SecureFlowError as error:
                    failure = error
                else:
                    self._locked = None
                    return
            raise failure

    def expect(self, binding: Binding) -> Binding:
        """Return what an update must be bound to, given what it claims.

        Raises:
            SecureFlowError: `evidence_unknown`, and those of `JobRounds.check_upload`.
        """
        step, party = RoundId.parse(binding.round, binding.stage), binding.party
        self.rounds.check_upload(step, party)
        if binding.evidence not in self._evidence.get(party, ()):
            raise SecureFlowError(
                "evidence_unknown",
                Text(
                    "The update of {party} is bound to evidence that this enclave did not give it.",
                    party=party,
                ),
                "Verify this enclave first.",
            )
        return self.plan.binding(step, party, model=self.model.digest, evidence=binding.evidence)

    async def fold(self, update: OpenedUpdate, commitment: str, at: int) -> dict[str, JSON]:
        """Fold a verified update and return its receipt.

        Raises:
            SecureFlowError: those of `JobRounds.check_upload` and `Fold.fold`.
        """
        binding = update.binding
        step = RoundId.parse(binding.round, binding.stage)
        async with self._lock:
            # The round may have moved on while the chunks came in.
            self.rounds.check_upload(step, binding.party)
            if binding.model != self.model.digest:
                raise SecureFlowError(
                    "stale_round",
                    Text(
                        (
                            "The update is for another model than the one"
                            " that {step} starts from now."
                        ),
                        step=step,
                    ),
                )
            fold = self.rounds.fold(step, self.model.digest)
            self.plan.kind.starts(fold, self.model)
            self.plan.kind.check_committed(fold, update, commitment)
            seed = await asyncio.to_thread(fold.fold, update)
            receipt = upload_receipt(update, at)
            self.rounds.record_fold(update, commitment, receipt, seed)
            return receipt

    async def freeze(self, step: RoundId) -> RollReply:
        """Freeze a step and return whose updates it holds, and what binds their noise."""
        async with self._lock:
            folded = self.rounds.freeze(step, self.model.digest)
            return RollReply(folded=list(folded), noise=self.rounds.noise_binding(step))

    async def release(
        self, step: RoundId, certificate: Certificate, opened: Opened | None = None
    ) -> dict[str, JSON]:
        """Release a step on its closing certificate; the same one again gets the same answer.

        Raises:
            SecureFlowError: `already_released`, those of `JobRounds.certified`, `model_not_finite`,
                and those of storing the model.
        """
        return await self._shielded.run(self._release(step, certificate, opened))

    async def close(self) -> None:
        """Let work in threads finish before the job is forgotten; its models are not needed."""
        self._ended = True
        if self._storing is not None:
            self._storing.cancel()  # otherwise it may wait minutes for room at the centre
        async with self._lock:
            self._model = None
            self.rounds.clear()

    async def _release(
        self, step: RoundId, certificate: Certificate, opened: Opened | None
    ) -> dict[str, JSON]:
        async with self._lock:
            released = self.rounds.releases.get(step)
            if released is None:
                released = await self._compute(step, certificate, opened)
            elif released.certificate != certificate.digest:
                raise SecureFlowError(
                    "already_released",
                    Text(
                        "{step} of {job} was released to another contributor set.",
                        step=step,
                        job=self.plan.job,
                    ),
                    "A round opens once. Keep both certificates: together they are evidence.",
                )
            if not released.stored:
                if self._ended:  # the job ended during the computation
                    raise SecureFlowError(
                        "job_not_open", Text("Job {job} has ended.", job=self.plan.job)
                    )
                self._storing = asyncio.ensure_future(self._store(step))
                released.answer |= await self._storing
                released.stored = True
            return released.answer

    async def _compute(
        self, step: RoundId, certificate: Certificate, opened: Opened | None
    ) -> ReleaseRecord:
        model = self.model
        base: dict[str, JSON] = {"base": model.digest} if traits_of(self.plan.spec).masks else {}
        fold = self.rounds.certified(step, certificate, model.digest, opened)
        number = self.plan.kind.engine.session_round(step.stage, step.number)
        await asyncio.to_thread(fold.open, number, opened)
        seed = partial(self.rounds.noise_seed, step.stage)
        if step.stage == self.plan.kind.engine.contributing:
            try:
                self._mean = await asyncio.to_thread(fold.advance, model, seed)
            except InfrastructureError:
                raise  # updates could not be read now: nothing of the model has changed
            except SecureFlowError:
                self._model = None  # partly updated, so unusable
                raise
        release = RoundRelease(
            self.plan.job,
            self.plan.digest,
            step.number,
            step.stage,
            certificate.survivors,
            model.digest,
            tuple(fold.sums(seed)),
        )
        told = self.plan.kind.told(self.plan.spec, step.stage, self.rounds.folds)
        base |= {name: self._signed(name, one) for name, one in told.items()}
        released = ReleaseRecord(certificate.digest, release.sign(self._release_key) | base)
        self.rounds.close(step, released)
        self._clear_later(fold)
        return released

    def _signed(self, kind: str, document: dict[str, JSON]) -> dict[str, JSON]:
        """Return a document of this job with the signature of this enclave's releases."""
        whole = {"job": self.plan.job, "spec": self.plan.digest, **document}
        return {"document": whole, "signature": self._release_key.sign(kind, whole)}

    async def _store(self, step: RoundId) -> dict[str, JSON]:
        """Store the model if it is an output of this step."""
        model, plan = self.model, self.plan
        whom = plan.kind.model_audience(plan.spec, step.stage, step.number)
        if not whom:
            return {}
        mean = {} if self._mean is None else {"mean": await self._mean.store(self._blobs)}
        if whom == "all":
            return await model.store_open(self._blobs) | mean

        infos = {
            party: _key_info(self.plan.job, step, model.digest, party) for party in self.recipients
        }
        return await model.store_sealed(self._blobs, self.recipients, infos)

    def _clear_later(self, fold: Fold) -> None:
        """Zero the sum while the parties train, outside the round's critical path."""

        async def clear() -> None:
            async with self._lock:
                if fold.count and self.rounds.idle:
                    await asyncio.to_thread(fold.reset)

        self._shielded.start(clear())

    def _start(self, model: ContinuedModel | None) -> tuple[str, str, bytes]:
        """Return digest and artifact of the model to start from, and its content key's info.

        An empty digest stands for the spec's initial model.
        """
        if model is None:
            first = self.plan.kind.starts_from(self.plan.spec)
            return first, first, b""
        digest, artifact, release = model.digest, model.artifact, model.release
        if artifact == digest:
            return digest, artifact, b""
        if release is None:
            raise SecureFlowError("invalid_request", "The sealed model names no release.")
        step = RoundId.parse(release.get("round"), release.get("stage"))
        return digest, artifact, _key_info(self.plan.job, step, digest, ENCLAVE)

    def _next_number(self, model: ContinuedModel | None) -> int | None:
        """Return the round after that of a model that is new here, if it is stated.

        The centre is trusted here: a wrong number keeps every update out and opens nothing.
        """
        release = None if model is None else model.release
        if release is not None:
            return RoundId.parse(release.get("round"), release.get("stage")).number + 1
        first = self.plan.kind.starts_from(self.plan.spec)
        begins = model is None or (first and model.digest == first)
        return 1 if begins else None

    def _check_same(self, digest: str) -> None:
        held = self._model.digest if self._model else self._locked.digest if self._locked else ""
        # Stages before it (in training the moments) leave the initial model as it is.
        moving = self.plan.kind.engine.contributing
        fresh = not digest and not any(step.stage == moving for step in self.rounds.releases)
        if not fresh and digest != held:
            raise SecureFlowError(
                "model_conflict",
                Text(
                    "This enclave holds model {held}… of {job}, not {digest}….",
                    held=held[:16],
                    job=self.plan.job,
                    digest=digest[:16],
                ),
                "Finish the job here first: its keys are for one run of the job.",
            )

    def _sample_binding(self, stage: Any) -> Binding:
        nothing = "0" * 64
        return self.plan.binding(RoundId(0, stage), "shape", model=nothing, evidence=nothing)


def _key_info(job: str, step: RoundId, model: str, party: str) -> bytes:
    return model_key_info(
        job=job, round_number=step.number, stage=step.stage, model=model, party=party
    )
