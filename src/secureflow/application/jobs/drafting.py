"""Checks of drafts: jobs that somebody is still drawing, with fields that are missing or wrong.

A draft is answered and never refused: with all problems that can be found, each with its field, and
with as much of the job as can be told already. Only who may not submit in the project at all, or
asks too often, gets an error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from secureflow.application.access import Principal, permit, visible_project
from secureflow.application.jobs.jobs import Jobs
from secureflow.application.jobs.kind import Wanted
from secureflow.application.jobs.preview import Preview
from secureflow.application.jobs.rosters import granted_datasets
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.domain.errors import Category, category
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.request import JobRequest
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.text import Text, text_in, with_texts

_RAISED: Final = frozenset(
    {Category.UNAUTHENTICATED, Category.RATE_LIMITED, Category.UNAVAILABLE, Category.INTERNAL}
)
"""Errors that say nothing about the draft."""
_MOST_DATASETS: Final = 256
"""Datasets that are looked up of a draft that is no request: as many as a request may name."""
_SET_ASIDE: Final = {
    **{"name": "draft", "limits": None, "not_before": None, "priority": None},
    **{"min_contributors": None, "attempts": None, "quantisation": None, "wire": None},
    **{"release": None},
}
"""Members that others do not depend on: a wrong one is left out, to look for further problems."""


@dataclass(frozen=True)
class Fault:
    """One problem of a draft.

    Args:
        field: its place in the request, or empty for the whole.
        code, message, hint: as of an error.
        party, column: whom and what it is about, or empty.
        texts: templates and facts of message and hint.
    """

    field: str
    code: str
    message: str
    hint: str = ""
    party: str = ""
    column: str = ""
    texts: dict[str, JSON] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """What can be told of a draft. Without problems it can be submitted as it is.

    `spec`, `digest` and `preview` are absent while the draft cannot become a spec.
    """

    problems: tuple[Fault, ...]
    digest: str = ""
    spec: dict[str, JSON] | None = None
    notes: tuple[str, ...] = ()
    details: dict[str, JSON] = dataclasses.field(default_factory=dict)
    preview: Preview | None = None
    texts: dict[str, JSON] = dataclasses.field(default_factory=dict)


class Drafts:
    """Use cases around drafts.

    Args:
        begin: starts units of work.
        jobs: the use cases of jobs.
    """

    def __init__(self, begin: UnitOfWorkFactory, jobs: Jobs) -> None:
        self._begin = begin
        self._jobs = jobs

    async def check(self, principal: Principal, draft: Mapping[str, Any]) -> Checked:
        """Return what is known of a draft, and everything that is wrong with it.

        Raises:
            SecureFlowError: `forbidden`; `not_found` for a project of others, and what says nothing
                about the draft.
        """
        await self._check_place(principal, draft.get("project"))
        request, faults = _read(self._jobs.kinds, draft)
        if request is None:
            found = [*faults, *await self._dataset_faults(draft, faults)]
            return Checked(tuple(_each_once(found)))
        missed: list[SecureFlowError] = []
        try:
            made = await self._jobs.dry_run(principal, Wanted.of(request), missed)
        except SecureFlowError as error:
            missed.append(error)
            missed = [_about_the_draft(one) for one in missed]
            return Checked(tuple(_each_once([*faults, *_all_of(missed)])))
        found = [*faults, *_all_of([_about_the_draft(one) for one in missed])]
        return Checked(
            tuple(_each_once(found)),
            "" if faults else made.digest,
            made.spec, made.notes, made.details, made.preview, made.texts,
        )  # fmt: skip

    async def _check_place(self, principal: Principal, project: Any) -> None:
        """Refuse a caller who learns nothing of the project; one that stands still is a problem."""
        key = project if isinstance(project, str) else ""
        async with self._begin() as work:
            await permit(work, principal, "job.submit", key)
            if key:
                await visible_project(work, principal, key)

    async def _dataset_faults(self, draft: Mapping[str, Any], known: list[Fault]) -> list[Fault]:
        """Return what is wrong with the datasets of a draft that is no request yet."""
        wrong = {one.field.partition(".")[0] for one in known}
        project, datasets = draft.get("project"), draft.get("datasets")
        if wrong & {"project", "datasets"} or not isinstance(datasets, list):
            return []
        found: list[Fault] = []
        async with self._begin() as work:
            for at, key in enumerate(datasets[:_MOST_DATASETS]):
                try:
                    await granted_datasets(work, str(project), [str(key)])
                except SecureFlowError as error:
                    told = _all_of([_about_the_draft(error)])
                    found += (replace(one, field=f"datasets.{at}") for one in told)
        return found


def _read(kinds: SpecKinds, draft: Mapping[str, Any]) -> tuple[JobRequest | None, list[Fault]]:
    """Return the request that a draft is, as far as it is one, and what is wrong with it."""
    kind = kinds.get(str(draft.get("kind")))
    if kind is None:
        names = Text("The kinds are: {kinds}.", kinds=", ".join(kinds))
        return None, [Fault("kind", "invalid_spec", "it is no kind of job", names,
                            texts=_texts("it is no kind of job", names))]  # fmt: skip
    given = {name: value for name, value in draft.items() if value is not None}
    request, faults = _parsed(kind.request, given)
    wrong = {one.field.partition(".")[0] for one in faults}
    if request is not None or not wrong <= set(_SET_ASIDE):
        return request, faults
    members = {one.name for one in fields(kind.request)}  # type: ignore[arg-type]
    aside = {name: _SET_ASIDE[name] for name in wrong & members}
    kept = {**given, **aside}
    request, _ = _parsed(kind.request, {k: v for k, v in kept.items() if v is not None})
    return request, faults


def _parsed(
    of: type[JobRequest], given: Mapping[str, Any]
) -> tuple[JobRequest | None, list[Fault]]:
    try:
        return parse(of, dict(given), "spec"), []
    except SecureFlowError as error:
        return None, _all_of([error])


def _about_the_draft(error: SecureFlowError) -> SecureFlowError:
    """Return an error that says something about a draft; raise any other."""
    if isinstance(error, InfrastructureError) or category(error.code) in _RAISED:
        raise error
    return error


def _all_of(errors: list[SecureFlowError]) -> list[Fault]:
    return [one for error in errors for one in _faults(error)]


def _faults(error: SecureFlowError) -> Iterator[Fault]:
    """Yield the problems that an error tells: one for each field, if it names several."""
    told = error.details
    named = told.get("fields")
    if isinstance(named, list) and named:
        for one in named:
            reason = one["problem"]
            place = _within_step(error, str(one["field"]))
            yield Fault(place, error.code, reason, texts=_texts(reason))
        return
    yield Fault(
        _place(error),
        error.code,
        error.message,
        error.hint,
        str(told.get("party", "")),
        str(told.get("column", "")),
        _texts(error.message, error.hint),
    )


_PLACES: Final = {
    "not_a_member": "parties", "charter_mismatch": "datasets", "column_not_granted": "datasets",
    "priority_refused": "priority", "budget_unit_mismatch": "privacy.unit",
    "budget_undeclared": "datasets", "budget_impossible": "privacy.epsilon",
}  # fmt: skip
"""The field that an error without one is about."""


def _place(error: SecureFlowError) -> str:
    noun = error.details.get("noun")
    if error.code == "not_found" and noun in {"dataset", "model", "project"}:
        found = {"dataset": "datasets", "model": "models", "project": "project"}[str(noun)]
        return found if noun != "model" else _within_step(error, found)
    return _within_step(error, str(error.details.get("field") or _PLACES.get(error.code, "")))


def _within_step(error: SecureFlowError, place: str) -> str:
    """Return a place in the request, of a pipeline within the step that the error is about."""
    step = error.details.get("step")
    own = f"steps.{step}"
    if not step or place == own or place.startswith(f"{own}."):
        return place
    return f"{own}.{place}" if place else own


def _texts(message: str, hint: str = "") -> dict[str, JSON]:
    made: dict[str, JSON] = dict(with_texts({"message": message, "hint": hint}).get("texts", {}))
    return made


def _each_once(found: list[Fault]) -> Iterator[Fault]:
    seen: set[tuple[str, str]] = set()
    for one in found:
        if (one.field, one.message) not in seen:
            seen.add((one.field, one.message))
            yield one


def in_words(fault: Fault) -> tuple[str, str]:
    """Return message and hint with their facts, for whoever translates them."""
    plain = {"message": fault.message, "hint": fault.hint, "texts": fault.texts}
    return text_in(plain, "message"), text_in(plain, "hint")
