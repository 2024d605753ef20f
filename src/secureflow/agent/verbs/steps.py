"""`step`: a party signs what came out of a step of a pipeline, before the next one begins.

It compares what the centre says with its own record: the part was approved here and has succeeded;
the model is the one that its own end of the part names; where that names none, because this party
was away in the rounds that measured it, another step takes it only if more other parties than may
be on the operator's side signed ends that name it: of a training that ran no round, a centre could
have any model evaluated. The rows that matched are those that it keeps; the sums by which a model's
numbers are scaled are those that it trained with itself. Of a recipe, which only the centre has
seen, this party has made the sums of as many rounds as the spec demands of it; which recipe it is
is fixed by this signature: from then on no other is taken for it (`agent.job.parts`, ADR 21).
"""

from __future__ import annotations

import asyncio
from typing import Any

from secureflow.agent.job.context import AgentContext
from secureflow.agent.job.parts import CONTRADICTS, REFUSED, OwnParts
from secureflow.agent.owner.matchedrows import selected_in
from secureflow.agent.record.going import check_going
from secureflow.agent.record.stepmoments import kept_moments
from secureflow.agent.record.store import RecordStore
from secureflow.domain.ids import part_id
from secureflow.domain.quorum import colluders_of
from secureflow.domain.specs.base import JobSpec, spec_digest
from secureflow.domain.specs.ports import PORTS
from secureflow.domain.specs.signedoutputs import is_signed
from secureflow.engines.ledger.ends import FINISHED, read_finished
from secureflow.engines.ledger.modelends import parties_naming
from secureflow.engines.ledger.stepoutputs import STEP
from secureflow.engines.run.messages import StepReply, StepRequest
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

SUCCEEDED = "succeeded"


class Steps:
    """Answers `step`.

    Args:
        context: the party.
    """

    def __init__(self, context: AgentContext) -> None:
        self._context = context

    async def sign(self, request: StepRequest) -> StepReply:
        """Return the leaf that signs a step's outputs; the same for the same step.

        Raises:
            SecureFlowError: those of `AgentContext.approved`; `part_refused` for outputs that are
                not those of this party's own record, `signed_otherwise` for others than it signed;
                `not_finished` for a part that has not ended here.
        """
        job, _ = self._context.approved(request.job, request.digest)
        return await asyncio.to_thread(self._signed, request, job.digest)

    def _signed(self, request: StepRequest, digest: str) -> StepReply:
        context = self._context
        store, key = context.store, f"step/{request.job}/{request.number}"
        own = OwnParts(store, context.kinds.specs, request.job)
        with store.transaction():
            check_going(store.job(request.job))
            known = own.signed(request.number)
            if known is not None:
                if known != request.outputs:
                    reason = "other outputs of this step were signed before"
                    raise _refused(request, reason, CONTRADICTS)
                return StepReply(**context.leaf_reply(store.leaf(str(store.answer(key)))))
            self._check(request, own)
            document: dict[str, JSON] = {"number": request.number, "outputs": request.outputs}
            document["part"] = part_id(request.job, request.number)
            leaf = context.witness.leaf(STEP, request.job, digest, document)
            own.sign(request.number, request.outputs)
            store.keep_answer(key, request.job, leaf.hash)
            store.note(context.clock(), "step.signed", request.job, **document)
        return StepReply(**context.leaf_reply(leaf))

    def _whole(self, request: StepRequest) -> Any:
        """Return the spec of the pipeline."""
        whole = self._context.store.job(request.job)
        assert whole is not None  # noqa: S101  it is approved
        return self._context.kinds.specs.parse(whole.spec, stored=True)

    def _check_metrics(self, request: StepRequest, own: OwnParts) -> None:
        """Refuse figures by which a step runs or not, of sums that this party did not make.

        They are told where a step's condition is on them, of each model that was to be measured.
        """
        pipeline, (spec, part) = self._whole(request), own.part(request.number)
        wanted = pipeline.decides(pipeline.steps[pipeline.place(request.number)[0] - 1].id)
        if wanted != ("metrics" in request.outputs):
            raise _refused(
                request, "it tells figures that no condition is on, or none where one is"
            )
        if not wanted:
            return
        made, planned = self._made(spec, part)
        if len(request.outputs["metrics"]) != planned:
            raise _refused(request, "it tells figures of other models than were to be measured")
        if made < _owed(spec, planned):
            raise _refused(
                request,
                Text(
                    "this party made the sums of {count} of the {rounds} rounds that measure what "
                    "a condition is on",
                    count=made,
                    rounds=planned,
                ),
            )

    def _made(self, spec: JobSpec, part: str) -> tuple[int, int]:
        """Return of how many rounds of a part this party made the sums, and of how many it has."""
        kind = self._context.kinds.of(spec)
        stage = kind.contributing
        rounds = self._context.store.rounds(part)
        made = {one.round for one in rounds if one.stage == stage}
        return len(made), len(kind.rounds_of(spec, stage))

    def _goes_on(self, request: StepRequest) -> bool:
        """Tell whether another step takes what this one gave."""
        spec = self._whole(request)
        given = spec.steps[spec.place(request.number)[0] - 1].id
        return any(edge.step == given for one in spec.steps for edge in one.takes)

    def _check(self, request: StepRequest, own: OwnParts) -> None:
        store, part = self._context.store, part_id(request.job, request.number)
        outcome = own.outcome(request.number)
        if not outcome:
            raise SecureFlowError(
                "not_finished",
                Text("The step {part} of {job} has not ended here.", part=part, job=request.job),
                "Its agent asks the centre for ends that it missed; resume the pipeline then.",
            )
        part_of = own.part(request.number)[0].part_of
        if part_of is None or part_of.step is None:
            raise _refused(request, "it has no steps")
        if outcome != SUCCEEDED:
            raise _refused(request, Text("its part {part} did not succeed", part=part))
        if not is_signed(request.outputs):
            raise _refused(request, "these are no outputs of a step")
        self._check_model(request, own)
        self._check_recipe(request, own)
        self._check_metrics(request, own)
        rows: Any = request.outputs.get("rows") or {}
        if rows.get(self._context.party, "") != selected_in(store, part):
            raise _refused(request, "other rows matched here")

    def _check_model(self, request: StepRequest, own: OwnParts) -> None:
        """Refuse a model, or sums that its numbers are scaled by, that nobody honest compared."""
        store, outputs = self._context.store, request.outputs
        spec, part = own.part(request.number)
        named, model = _named(store, part), outputs.get("model")
        if named and model != named:
            raise _refused(request, "this party ended the step with another model")
        moments = kept_moments(store, request.job, part)
        if moments is not None and outputs.get("moments") != moments:
            raise _refused(request, "this party trained with other sums")
        if not model or not self._goes_on(request):
            return
        if moments is None and "moments" in outputs:
            raise _refused(
                request, "this party cannot tell which sums it trained with, and a step takes them"
            )
        if not named:
            self._check_others(request, spec, part)

    def _check_recipe(self, request: StepRequest, own: OwnParts) -> None:
        """Refuse a recipe that was fitted without the sums that this party owed it.

        Where nobody may be missing, it made those of every round; otherwise of one at least.
        """
        if "recipe" not in request.outputs or not self._goes_on(request):
            return
        spec, part = own.part(request.number)
        if PORTS[spec.kind].output("recipe") is None:
            raise _refused(request, "it fits no recipe")
        made, planned = self._made(spec, part)
        if made < _owed(spec, planned):
            raise _refused(
                request,
                Text(
                    "this party made the sums of {count} of the {rounds} rounds that fit the "
                    "recipe which a step takes",
                    count=made,
                    rounds=planned,
                ),
            )

    def _check_others(self, request: StepRequest, spec: JobSpec, part: str) -> None:
        """Refuse a model that too few of the other parties signed in their ends of the part."""
        keys = {party: key for party, key in spec.keys.items() if party != self._context.party}
        model = str(request.outputs["model"])
        naming = parties_naming(request.ends, part, spec_digest(spec), keys, model)
        if len(naming) <= colluders_of(len(spec.roster)):
            raise _refused(
                request,
                Text(
                    "this party cannot tell which model it gave, and a step takes it; it takes "
                    "the word of {needed} other parties for that, not of {count}",
                    needed=colluders_of(len(spec.roster)) + 1,
                    count=len(naming),
                ),
            )


def _named(store: RecordStore, part: str) -> str:
    """Return the model that this party's own end of a part names, or "" if it could not compare it.

    It ended the part without a round that measured the model: it was away, or there was none.
    """
    leaf = store.leaf_of(part, FINISHED)
    read = None if leaf is None else read_finished(leaf.bundle.get("document"))
    return "" if read is None else read[2]


def _owed(spec: JobSpec, planned: int) -> int:
    """Return of how many rounds a party must have made the sums: all, or one if any may miss."""
    return planned if spec.min_contributors == len(spec.roster) else 1


def _refused(request: StepRequest, reason: str, code: str = REFUSED) -> SecureFlowError:
    return SecureFlowError(
        code,
        Text("Step {number} of {job} is not what this party knows of it: {reason}.",
             number=request.number, job=request.job, reason=reason),
        "The centre must follow the spec that was approved.",
        {"whole": request.job},
    )  # fmt: skip
