"""From a request for a pipeline to a spec that holds every step: drafted, priced, checked here.

Each step is drafted by its own kind, as if it were asked for alone, with what is provisional where
it takes something of another step. The cost of all attempts at all steps together is known before
anybody is asked, and each owner's agent reserves it when it approves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from secureflow.application.jobs.kind import Cost, Drafted, JobKind, Wanted
from secureflow.application.jobs.pricing import CEILING, LEAST_NOISE, epsilon_notes
from secureflow.application.jobs.rosters import contributors_floor
from secureflow.application.jobs.stepreferences import (
    Asked,
    asked_steps,
    taken_rows,
    with_provisional,
)
from secureflow.application.jobs.timetable import repeated
from secureflow.application.ports.accountant import Accountant
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.specs.base import SpecBase, contradiction, dump, parse, spec_digest
from secureflow.domain.specs.pipeline import PipelineSpec
from secureflow.engines.kinds import PIPELINE_ENGINE
from secureflow.engines.run.kind import EngineKind
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:  # NumPy is loaded with the first price
    from secureflow.engines.privacy.accounting import Charge

_SHARED: Final = tuple(one.name for one in fields(SpecBase) if one.name != "rows")
_GIVEN: Final = ("project", "name", "purpose", "datasets", "not_before", "priority")
USUAL_ATTEMPTS: Final = 3
"""How often a step may be tried where no attempt costs anything."""


@dataclass(frozen=True)
class PipelinePrice:
    """A pipeline's cost.

    Args:
        steps: of each step that costs something, by its id.
        charge: of all attempts at all steps together.
        answer: the accountant's: `epsilon` of all of it by conversion, and its answers by step
            (`steps`).
    """

    steps: Mapping[str, Cost]
    charge: Charge
    answer: Mapping[str, JSON]


class PipelineJobs:
    """`application.jobs.kind.JobKind`.

    Args:
        kinds: of the jobs that steps may be.
    """

    engine: Final[EngineKind] = PIPELINE_ENGINE

    def __init__(self, *kinds: JobKind) -> None:
        self._kinds = {kind.engine.spec.name: kind for kind in kinds}

    def sum_handler(self, artifacts: Artifacts) -> None:
        """Return None: sums are those of its steps."""
        del artifacts

    async def draft(
        self,
        work: UnitOfWork,
        wanted: Wanted,
        submitter: str,
        now: int,
        priced: PipelinePrice | None,
    ) -> Drafted:
        """Draft every step, and check what they are together.

        Raises:
            SecureFlowError: those of a step's draft, naming the step; `contradictory_spec`,
                `invalid_spec`.
        """
        steps = asked_steps(wanted.parts.get("steps"))
        drafted: dict[str, Drafted] = {}
        for step in steps:
            price = None if priced is None else priced.steps.get(step.id)
            specs = {name: one.spec for name, one in drafted.items()}
            try:
                kind, alone = self._alone(wanted, step, specs, unpriced=priced is None)
                drafted[step.id] = await kind.draft(work, alone, submitter, now, price)
            except SecureFlowError as error:
                raise _at(step, error) from error
        first = next(iter(drafted.values()))
        spec = parse(PipelineSpec, _spec(wanted, steps, drafted))
        PIPELINE_ENGINE.spec.check(spec)
        _check_starts(steps, drafted)
        notes = (*_step_notes(drafted), *_notes(spec))
        details = _details(spec, drafted)
        if priced is not None:
            if PIPELINE_ENGINE.charge(spec) != priced.charge:
                raise AssertionError(spec.name)  # people would be told another cost
            privacy = spec.privacy
            told = {"delta": privacy.delta, "unit": privacy.unit} if privacy else {}
            details["privacy"] = {**told, "epsilon": dict(priced.answer["epsilon"]),
                                  "budget_conversion": "rdp-filter"}  # fmt: skip
            notes += tuple(epsilon_notes(priced.answer["epsilon"]))
        return Drafted(spec, spec_digest(spec), first.charter, notes, details)

    async def price(
        self, wanted: Wanted, accountant: Accountant, draft: Callable[[], Awaitable[Drafted]]
    ) -> PipelinePrice | None:
        """Return the cost of all attempts at all steps; None without differential privacy.

        Raises:
            SecureFlowError: `contradictory_spec` when it is more than the pipeline's own ceiling.
        """
        steps = asked_steps(wanted.parts.get("steps"))
        if not any(one.parts.get("privacy") for one in steps):
            return None
        whole = await draft()
        specs: dict[str, Any] = {one.id: one.job for one in _steps_of(whole.spec)}
        found: dict[str, Cost] = {}
        for step in steps:
            kind, alone = self._alone(wanted, step, specs, unpriced=False)
            drafted = replace(whole, spec=specs[step.id], digest=spec_digest(specs[step.id]))
            try:
                cost = await kind.price(alone, accountant, _returning(drafted))
            except SecureFlowError as error:
                raise _at(step, error) from error
            if cost is not None:
                found[step.id] = cost
        if not found:
            return None
        pipeline: Any = whole.spec
        charge = tuple(
            one
            for step in pipeline.steps
            if step.id in found
            for one in found[step.id].charge * pipeline.attempts
        )
        together = tuple(
            one for cost in found.values() for one in repeated(cost.charge, pipeline.attempts)
        )
        total = await accountant.fit([one.as_json() for one in together], pipeline.privacy.delta)
        cost_of_all, most = float(total["epsilon"][CEILING]), wanted.parts.get("epsilon")
        if most is not None and cost_of_all > float(most):
            raise contradiction(
                "epsilon",
                Text("the steps cost ε = {cost:.4g} ({ceiling}) together, more than {most:g}",
                     cost=cost_of_all, ceiling=CEILING, most=float(most)),
                "Leave steps out, try them less often, raise the noise, or raise the ceiling.",
            )  # fmt: skip
        answers = {name: dict(cost.answer) for name, cost in found.items()}
        return PipelinePrice(found, charge, {"epsilon": total["epsilon"], "steps": answers})

    def _alone(
        self, wanted: Wanted, step: Asked, specs: Mapping[str, Any], *, unpriced: bool
    ) -> tuple[JobKind, Wanted]:
        """Return the kind of a step, and the request for it alone.

        Without differential privacy every sum is over all parties, as the spec demands.
        """
        kind = self._kinds[step.kind]
        if again := sorted(set(step.parts) & set(_GIVEN)):
            raise contradiction(
                again[0], "the pipeline says it of all steps", "Leave it out of the step."
            )
        given = {name: getattr(wanted, name) for name in ("project", "name", "purpose")}
        given |= {"datasets": list(wanted.datasets), "kind": step.kind, **step.parts}
        request = kind.engine.spec.request
        asked = Wanted.of(parse(request, given, "spec"))
        parts = with_provisional(step, asked.parts, specs)
        floored = any(one.name == "min_contributors" for one in fields(request))  # type: ignore[arg-type]
        if floored and parts.get("privacy") is None:
            contributors = [*wanted.datasets, *parts.get("parties", ())]
            parts |= contributors_floor(contributors, parts, everybody=True)
        if unpriced and step.kind == "training" and isinstance(parts.get("privacy"), Mapping):
            privacy = parts["privacy"]
            noise = privacy.get("noise_multiplier") or LEAST_NOISE
            parts["privacy"] = {**privacy, "noise_multiplier": noise}
        rows = taken_rows(step, specs)
        return kind, replace(asked, parts=parts, coming=wanted.coming, ahead=True, rows=rows)


def _returning(drafted: Drafted) -> Callable[[], Awaitable[Drafted]]:
    async def again() -> Drafted:
        return drafted

    return again


def _steps_of(spec: Any) -> tuple[Any, ...]:
    return tuple(spec.steps)


def _spec(
    wanted: Wanted, steps: list[Asked], drafted: Mapping[str, Drafted]
) -> dict[str, Any]:  # fmt: skip
    specs = {one.id: dump(drafted[one.id].spec) for one in steps}
    head = next(iter(specs.values()))
    privacy = _privacy(wanted, specs)
    usual = USUAL_ATTEMPTS if privacy is None else 1
    return {
        **{name: head[name] for name in _SHARED if name in head},
        "steps": [
            {
                "id": one.id,
                "job": specs[one.id],
                "takes": [dump(edge) for edge in one.takes],
                **({"needs": list(one.needs)} if one.needs else {}),
                **({} if one.when is None else {"when": dump(one.when)}),
            }
            for one in steps
        ],
        "attempts": wanted.parts.get("attempts") or usual,
        **({} if privacy is None else {"privacy": privacy}),
    }


def _privacy(wanted: Wanted, specs: Mapping[str, Any]) -> dict[str, JSON] | None:
    parts = [one["privacy"] for one in specs.values() if one.get("privacy")]
    if not parts:
        return None
    noises = {one["noise"] for one in parts}
    noise = next(iter(noises)) if len(noises) == 1 else "mixed"
    common = {name: parts[0][name] for name in ("delta", "unit")}
    return {**common, "noise": noise, "epsilon": wanted.parts.get("epsilon")}


def _check_starts(steps: list[Asked], drafted: Mapping[str, Drafted]) -> None:
    """Refuse a training that goes on from a job outside: its owners look at that alone."""
    for step in steps:
        taken = {edge.input for edge in step.takes}
        if drafted[step.id].start is not None and "start" not in taken:
            raise contradiction(
                Text("steps.{step}.resume", step=step.id),
                "it goes on from a job outside of the pipeline",
                "Submit it alone, or go on from a step.",
            )


def _at(step: Asked, error: SecureFlowError) -> SecureFlowError:
    message = Text("steps.{step}: {message}", step=step.id, message=error.message)
    return SecureFlowError(error.code, message, error.hint, {**error.details, "step": step.id})


def _step_notes(drafted: Mapping[str, Drafted]) -> Iterator[str]:
    """Yield the notes of all steps, each once."""
    told: dict[str, list[str]] = {}
    for name, one in drafted.items():
        for note in one.notes:
            told.setdefault(note, []).append(name)
    for note, names in told.items():
        yield Text("{steps}: {note}", steps=", ".join(names), note=note)


def _notes(spec: PipelineSpec) -> Iterator[str]:
    from secureflow.engines.pipeline.label import together

    yield Text(
        "One approval covers {count} jobs, one after the other; each may be tried {attempts} "
        "{attempts:time|times}.",
        count=len(spec.steps),
        attempts=spec.attempts,
    )
    for step in spec.steps:
        if step.when is not None:
            yield Text("{step} runs only if {condition}; otherwise it is skipped, and so is what "
                       "needs it.", step=step.id, condition=step.when.sentence)  # fmt: skip
    for row in together(spec):
        yield Text("Together: {who} can see {sees}: {why}.",
                   who=row["who"], sees=row["sees"], why=row["why"])  # fmt: skip


def _details(spec: PipelineSpec, drafted: Mapping[str, Drafted]) -> dict[str, Any]:
    rows = []
    for step in spec.steps:
        takes = ", ".join(f"{edge.input} of {edge.step}" for edge in step.takes)
        row = {"step": step.id, "kind": step.job.kind, "rounds": step.job.planned_rounds}
        own = drafted[step.id].details.get("privacy")
        cost = own.get("epsilon") if isinstance(own, Mapping) else None
        rows.append({**row, "takes": takes, "epsilon": cost and cost.get(CEILING)})
    return {
        "parties": list(spec.parties),
        "attempts": spec.attempts,
        "rounds": spec.planned_rounds,
        "pipeline": rows,
    }
