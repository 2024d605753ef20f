"""What steps of a requested pipeline take of one another: found, ordered, made provisional.

A reference is `{step: ID}` at the place of an input (`domain.specs.ports`). Before a step is read
as a request of its kind they are taken out; once the steps that give them are drafted, what is
provisional stands in their places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from secureflow.domain.specs.base import Slug, adapter, contradiction, dump, parse
from secureflow.domain.specs.conditions import Condition
from secureflow.domain.specs.heldout import HeldOut, is_within
from secureflow.domain.specs.matchedrows import MATCHED, MatchedRows, owners_of, provisional_rows
from secureflow.domain.specs.notyet import NOT_YET, provisional_digest
from secureflow.domain.specs.outputs import provisional_model
from secureflow.domain.specs.pipeline import Edge
from secureflow.domain.specs.pipeline_request import StepReference
from secureflow.domain.specs.ports import PORTS, Port
from secureflow.domain.specs.provisional import provisional_recipe
from secureflow.domain.specs.scored import ScoredModel
from secureflow.domain.specs.tables import StepProblem
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_HELD: Final = "?"
"""What stands for a reference while the rest of a step is read as a request of its kind."""
_ANY: Final = "any"
"""What stands for the output of an edge that names none, until its type is known."""


@dataclass(frozen=True)
class Asked:
    """A step as it was asked for.

    Args:
        id: its own.
        kind: of job.
        parts: what only this kind has, without references.
        takes: the references, as edges.
        needs: ids of steps that come before it.
        when: what a figure of one before it must reach.
    """

    id: str
    kind: str
    parts: Mapping[str, Any]
    takes: tuple[Edge, ...]
    needs: tuple[str, ...] = ()
    when: Condition | None = None

    @property
    def before(self) -> set[str]:
        """The ids of the steps without which it does not run."""
        named = {*self.needs, *(edge.step for edge in self.takes)}
        return named if self.when is None else {*named, self.when.step}


def asked_steps(steps: Any) -> list[Asked]:
    """Return the steps of a request, each after those that it takes something of.

    Raises:
        SecureFlowError: `invalid_spec`, `contradictory_spec` naming the step.
    """
    listed = steps if isinstance(steps, Sequence) and not isinstance(steps, str) else ()
    found = [_asked(at, one) for at, one in enumerate(listed)]
    known = [one.id for one in found]
    if twice := next((one for one in known if known.count(one) > 1), None):
        raise contradiction(Text("steps.{step}", step=twice), "the id is of another step already",
                            "Give each step its own id.")  # fmt: skip
    return _in_order([_with_outputs(one, {it.id: it.kind for it in found}) for one in found])


def _asked(at: int, step: Any) -> Asked:
    given = dict(step) if isinstance(step, Mapping) else {}
    name, kind = given.pop("id", None), given.pop("kind", None)
    place = Text("steps.{at}", at=at)
    try:
        name = adapter(Slug).validate_python(name)
    except ValueError as error:
        reason = "a step has an `id` of small letters, digits and hyphens"
        raise contradiction(place, reason, "Write for example: id: train.") from error
    if not isinstance(kind, str) or kind not in PORTS:
        reason = Text("its kind is not one of {kinds}", kinds=", ".join(PORTS))
        raise contradiction(
            Text("steps.{step}", step=name), reason, "Steps are jobs that start no others."
        )
    needs = given.pop("needs", None) or ()
    if not isinstance(needs, list | tuple) or not all(isinstance(one, str) for one in needs):
        raise contradiction(
            Text("steps.{step}.needs", step=name), "it is a list of ids of steps",
            "Write for example: needs: [prepare].",
        )  # fmt: skip
    when = _condition(name, given.pop("when", None))
    takes: list[Edge] = []
    for port in PORTS[kind].inputs:
        given, edges = _taken(name, given, port)
        takes += edges
    return Asked(name, kind, given, tuple(takes), tuple(needs), when)


def _condition(step: str, value: Any) -> Condition | None:
    if value is None:
        return None
    try:
        return parse(Condition, value, "spec")
    except SecureFlowError as error:
        reason = "it names a step, a metric, and the least or the most that it may be"
        raise contradiction(Text("steps.{step}.when", step=step), reason,
                            "Write {step: ID, metric: auc, at_least: 0.8}.") from error  # fmt: skip


def _taken(step: str, given: dict[str, Any], port: Port) -> tuple[dict[str, Any], list[Edge]]:
    """Return a step without the references at an input, and these as edges."""
    whole, _, inner = port.field.partition(".")
    value = given.get(whole)
    if inner:
        if not isinstance(value, Mapping) or not _is_reference(value.get(inner)):
            return given, []
        rest = {name: one for name, one in value.items() if name != inner}
        return {**given, whole: rest}, [_edge(step, port, value[inner])]
    if port.many:
        listed = value if isinstance(value, list | tuple) else []
        edges = [_edge(step, port, one) for one in listed if _is_reference(one)]
        if not edges:
            return given, []
        kept = [one for one in listed if not _is_reference(one)]
        return {**given, whole: [_HELD] * len(edges) + kept}, edges
    if not _is_reference(value):
        return given, []
    kept_out = {name: one for name, one in given.items() if name != whole}
    return ({**kept_out, whole: _HELD} if port.needed else kept_out), [_edge(step, port, value)]


def _is_reference(value: Any) -> bool:
    return isinstance(value, Mapping) and "step" in value


def _edge(step: str, port: Port, value: Any) -> Edge:
    try:
        reference = parse(StepReference, value, "spec")
    except SecureFlowError as error:
        field = Text("steps.{step}.{field}", step=step, field=port.field)
        raise contradiction(field, "it names a step, and at most an output",
                            "Write {step: ID}.") from error  # fmt: skip
    return Edge(port.name, reference.step, reference.output or _ANY)


def _with_outputs(step: Asked, kinds: Mapping[str, str]) -> Asked:
    """Return a step whose edges name the outputs that they begin at."""
    edges = []
    for edge in step.takes:
        port, giver = PORTS[step.kind].input(edge.input), kinds.get(edge.step)
        if giver is None:
            reason = Text("there is no step {step!r}", step=edge.step)
            raise contradiction(Text("steps.{step}", step=step.id), reason, "Name a step's id.")
        outputs = [one.name for one in PORTS[giver].outputs if port and one.type == port.type]
        name = outputs[0] if edge.output == _ANY and outputs else edge.output
        edges.append(replace(edge, output=name))
    for need in sorted(step.before):
        if need not in kinds:
            reason = Text("there is no step {step!r}", step=need)
            raise contradiction(Text("steps.{step}", step=step.id), reason, "Name a step's id.")
    return replace(step, takes=tuple(edges))


def _in_order(steps: Sequence[Asked]) -> list[Asked]:
    """Return steps so that each comes after those that it needs; else as they are listed."""
    left, done = list(steps), list[Asked]()
    while left:
        names = {one.id for one in done}
        ready = next((one for one in left if one.before <= names), None)
        if ready is None:
            circle = ", ".join(one.id for one in left)
            raise contradiction("steps", Text("{steps} need one another", steps=circle),
                                "Steps form no circle.")  # fmt: skip
        left.remove(ready)
        done.append(ready)
    return done


def with_provisional(step: Asked, parts: Mapping[str, Any], drafted: Mapping[str, Any]) -> Any:
    """Return the parts of a step with what is provisional in the places of its references.

    Args:
        step: as it was asked for.
        parts: of its request, as JSON.
        drafted: the specs of the steps before it.

    Raises:
        SecureFlowError: `contradictory_spec` for a step that does not give what is taken of it.
    """
    found = dict(parts)
    models = [_model(step, edge, drafted) for edge in step.takes if edge.input == "models"]
    if models:
        found["models"] = [*models, *list(parts.get("models", ()))[len(models) :]]
    for edge in step.takes:
        giver = drafted[edge.step]
        if edge.input == "model":
            found["model"] = _model(step, edge, drafted)
        elif edge.input == "start" and giver.kind == "training":
            digest = provisional_digest(edge.step)
            found["resume"] = {"job": NOT_YET, "round": giver.plan.rounds, "model": digest}
        elif edge.input == "recipe" and giver.kind == "preparation":
            features = dict(found.get("features") or {"label": None})
            found["features"] = {**features, "recipe": dump(_recipe(step, giver))}
    return found


def taken_rows(step: Asked, drafted: Mapping[str, Any]) -> MatchedRows | None:
    """Return what stands for the rows that a step takes of an intersection; None if it takes all.

    Args:
        step: as it was asked for.
        drafted: the specs of the steps before it.
    """
    edge = next((one for one in step.takes if one.input == MATCHED), None)
    giver = None if edge is None else drafted.get(edge.step)
    return None if giver is None else provisional_rows(owners_of(giver))


def _recipe(step: Asked, giver: Any) -> Any:
    try:
        return provisional_recipe(giver)
    except StepProblem as problem:
        field = Text("steps.{step}", step=step.id)
        raise contradiction(field, str(problem), problem.hint) from problem


def _model(step: Asked, edge: Edge, drafted: Mapping[str, Any]) -> ScoredModel:
    trained = drafted[edge.step]
    if trained.kind != "training" or trained.features is None:
        reason = Text("the step {step} releases no model of rows", step=edge.step)
        raise contradiction(Text("steps.{step}", step=step.id), reason, "Name a training.")
    return provisional_model(edge.step, trained, trained.parties, _held_out(trained, drafted))


def _held_out(trained: Any, drafted: Mapping[str, Any]) -> HeldOut | None:
    """Return the rows that a model to come has never learned from, by the owners' keys."""
    own = HeldOut.of_split(trained.plan.split, trained.plan.validation)
    recipe = trained.features.recipe
    if trained.resume is not None:
        return None
    if recipe is None or recipe.label is None:
        return own
    fitted = [one.held_out for one in drafted.values()
              if one.kind == "preparation" and one.steps == recipe.steps]  # fmt: skip
    other = fitted[0] if len(fitted) == 1 else None
    if is_within(own, other):
        return own
    return other if is_within(other, own) else None
