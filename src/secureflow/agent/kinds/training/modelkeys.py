"""Intermediate models that only the agents can read, handed over to a restarted enclave.

With `release.intermediate = agents` the operator holds the newest model as ciphertext. Its content
key is sealed to each agent; after a restart an agent seals it to the new enclave, but only to the
HPKE key in evidence that it has just verified.
"""

from __future__ import annotations

import asyncio

from secureflow.agent.job.context import AgentContext
from secureflow.agent.job.guards import released
from secureflow.agent.kinds.training.modelfiles import ModelFiles
from secureflow.agent.record.records import JobRecord
from secureflow.engines.run.messages import AdmitRequest, ReleasedModel
from secureflow.engines.sealing import model_key_info, seal_key
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

ENCLAVE = "enclave"


class ModelKeys:
    """Hands over the content key of the current model.

    Args:
        context: the party.
        files: opens content keys that are sealed to this party.
    """

    def __init__(self, context: AgentContext, files: ModelFiles) -> None:
        self._context = context
        self._files = files

    async def hand_over(self, job: JobRecord, request: AdmitRequest) -> dict[str, JSON]:
        """Return `{"model_key": sealed}` for a sealed model, else nothing.

        Raises:
            SecureFlowError: `unreleased_model`, `sealed_key_refused`.
        """
        model = request.model
        if model is None or not model.keys or model.release is None:
            return {}
        admissions = self._context.store.admissions(job.job)
        release = released(model.release, job.job, job.digest, admissions)
        if release.model != model.digest:
            raise SecureFlowError(
                "unreleased_model", "The release is for another model than the one named."
            )
        sealed = ReleasedModel(model.digest, model.digest, 0, model.release, model.keys)
        newest = max(admissions, key=lambda one: one.generation)
        return {"model_key": await asyncio.to_thread(self._seal, job, sealed, newest.hpke)}

    def _seal(self, job: JobRecord, model: ReleasedModel, hpke: str) -> str | None:
        key = self._files.content_key(job, model)
        if key is None or model.release is None:
            return None
        info = model_key_info(
            job=job.job,
            round_number=int(model.release["round"]),
            stage=str(model.release["stage"]),
            model=model.digest,
            party=ENCLAVE,
        )
        return seal_key(key, hpke, info)
