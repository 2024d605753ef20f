"""What a party compares before it witnesses that a job succeeded.

The output with its own rounds, the steps of a pipeline with what it signed of them, and scores of
contributions with what an enclave that it verified has signed. A refusal is kept: until the job
ends otherwise, this party cosigns no head for it; others' heads contain it too.
"""

from __future__ import annotations

from secureflow.agent.job.context import AgentContext
from secureflow.agent.job.parts import check_complete
from secureflow.agent.kinds.kind import Contributions
from secureflow.agent.record.going import check_going
from secureflow.agent.record.records import JobRecord
from secureflow.agent.verbs.accusations import accuse
from secureflow.agent.witness.witness import Compared
from secureflow.domain.scoredocument import FORGED
from secureflow.engines.run.messages import FinishRequest, as_body
from secureflow.kit.errors import SecureFlowError


class Outcomes:
    """Judges the outcomes that the centre names.

    Args:
        context: the party.
        contributions: its part in each kind of job.
    """

    def __init__(self, context: AgentContext, contributions: Contributions) -> None:
        self._context = context
        self._contributions = contributions

    def check(self, request: FinishRequest) -> Compared:
        """Witness no success with another output or other scores, or without a due step.

        Return what was compared; a job that is over has its one end.

        Raises:
            SecureFlowError: the refusal; with an accusation if the scores are forged.
        """
        store = self._context.store
        job = store.job(request.job)
        if request.outcome == "succeeded":
            check_going(job)  # it was stopped here, so it did not succeed with this party
        if job is None or job.outcome or request.outcome != "succeeded":
            return Compared()
        try:
            return self._compared(job, request)
        except SecureFlowError as error:
            key = _refused_end(job.job)
            with store.transaction():
                if store.answer(key) is None:
                    store.keep_answer(key, job.job, error.as_json())
            if error.code == FORGED:
                accuse(self._context, job, "finish", as_body(request), error)
            raise

    def _compared(self, job: JobRecord, request: FinishRequest) -> Compared:
        context, model = self._context, (request.model or {}).get("digest")
        spec = context.kinds.specs.parse(job.spec, stored=True)
        check_complete(context.store, context.kinds.specs, job, spec)
        rounds = context.store.rounds(job.job)
        output = self._contributions.check_outcome(spec, rounds, model)
        scores = self._contributions.check_scores(job, spec, request.contribution)
        return Compared(output, scores)

    def check_not_refused(self, job: str) -> None:
        """Refuse again what was refused as the end of a job.

        Raises:
            SecureFlowError: as then.
        """
        refusal = self._context.store.answer(_refused_end(job))
        if refusal is not None:
            raise SecureFlowError.from_json(refusal)


def _refused_end(job: str) -> str:
    return f"refused-finish/{job}"
