"""From a request for a timetable to a spec that names every run: drafted, priced and checked here.

A run is drafted by its own kind, as if it were asked for alone; the cost of all runs together is
known before anybody is asked, and each owner's agent reserves it when it approves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from secureflow.application.jobs.kind import Cost, Drafted, JobKind, Wanted
from secureflow.application.jobs.pricing import CEILING, epsilon_notes
from secureflow.application.jobs.rosters import contributors_floor
from secureflow.application.ports.accountant import Accountant
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.specs.base import SpecBase, contradiction, dump, parse, spec_digest
from secureflow.domain.specs.timetable import TimetableSpec, check_timetable
from secureflow.domain.specs.timetable_request import DAY, TimesPart
from secureflow.engines.kinds import TIMETABLE_ENGINE
from secureflow.engines.run.kind import EngineKind
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:  # NumPy is loaded with the first price
    from secureflow.engines.privacy.accounting import Charge

_SHARED: Final = tuple(one.name for one in fields(SpecBase))
_GIVEN: Final = ("project", "name", "purpose", "datasets", "not_before", "priority", "kind")


@dataclass(frozen=True)
class TimetablePrice:
    """A timetable's cost.

    Args:
        run: of one run.
        charge: of all runs together.
        answer: the accountant's: `epsilon` of all runs by conversion, and its answer for one
            (`run`).
    """

    run: Cost
    charge: Charge
    answer: Mapping[str, JSON]


class TimetableJobs:
    """`application.jobs.kind.JobKind`.

    Args:
        kinds: of the jobs that a timetable may run.
    """

    engine: Final[EngineKind] = TIMETABLE_ENGINE

    def __init__(self, *kinds: JobKind) -> None:
        self._kinds = {kind.engine.spec.name: kind for kind in kinds}

    def sum_handler(self, artifacts: Artifacts) -> None:
        """Return None: sums are those of its runs."""
        del artifacts

    async def draft(
        self,
        work: UnitOfWork,
        wanted: Wanted,
        submitter: str,
        now: int,
        priced: TimetablePrice | None,
    ) -> Drafted:
        """Draft a run, and name the times of all.

        Raises:
            SecureFlowError: those of a run's draft; `contradictory_spec`, `invalid_spec`.
        """
        kind, alone = self._asked(wanted)
        part = parse(TimesPart, wanted.parts.get("timetable"), "spec")
        drafted = await kind.draft(work, alone, submitter, now, priced and priced.run)
        run = dump(drafted.spec)
        window = part.window or min(part.every, DAY)
        times = {"first": now, "every": part.every, "runs": part.runs, "window": window}
        spec = parse(
            TimetableSpec,
            {
                **{name: run[name] for name in _SHARED if name in run},
                "job": run,
                "timetable": times,
                "stop_on_failure": part.stop_on_failure,
                "privacy": _privacy(part, run.get("privacy")),
            },
        )
        check_timetable(spec)
        details, notes = {**drafted.details, **_details(spec)}, (*drafted.notes, *_notes(spec))
        if priced is not None:
            if TIMETABLE_ENGINE.charge(spec) != priced.charge:
                raise AssertionError(spec.name)  # people would be told another cost
            own = dict(details.get("privacy") or {})
            details["privacy"] = own | {"epsilon": dict(priced.answer["epsilon"])}
            notes += tuple(epsilon_notes(priced.answer["epsilon"]))
        digest = spec_digest(spec)
        return replace(drafted, spec=spec, digest=digest, details=details, notes=notes)

    async def price(
        self, wanted: Wanted, accountant: Accountant, draft: Callable[[], Awaitable[Drafted]]
    ) -> TimetablePrice | None:
        """Return the cost of all runs together; None without differential privacy.

        Raises:
            SecureFlowError: `contradictory_spec` when it is more than the timetable's own ceiling.
        """
        kind, alone = self._asked(wanted)
        part = parse(TimesPart, wanted.parts.get("timetable"), "spec")

        async def run() -> Drafted:
            drafted = await draft()
            spec: Any = drafted.spec
            return replace(drafted, spec=spec.job, digest=spec_digest(spec.job))

        found = await kind.price(alone, accountant, run)
        if found is None or (delta := _delta(wanted)) is None:
            return None
        total = await accountant.fit(
            [one.as_json() for one in repeated(found.charge, part.runs)], delta
        )
        cost = float(total["epsilon"][CEILING])
        if part.epsilon is not None and cost > part.epsilon:
            raise contradiction(
                "timetable.epsilon",
                Text("the runs cost ε = {cost:.4g} ({ceiling}) together, more than {most:g}",
                     cost=cost, ceiling=CEILING, most=part.epsilon),
                "Run it less often, raise the noise, or raise the ceiling.",
            )  # fmt: skip
        answer = {"epsilon": total["epsilon"], "run": dict(found.answer)}
        return TimetablePrice(found, found.charge * part.runs, answer)

    def _asked(self, wanted: Wanted) -> tuple[JobKind, Wanted]:
        """Return the kind of a run, and the request for it alone.

        Without differential privacy every sum is over all parties, as the spec demands.
        """
        run = wanted.parts.get("run")
        name = run.get("kind") if isinstance(run, Mapping) else None
        kind = self._kinds.get(name) if isinstance(name, str) else None
        if not isinstance(run, Mapping) or kind is None:
            problem = Text("it is not one of {kinds}", kinds=", ".join(self._kinds))
            raise SecureFlowError(
                "invalid_spec",
                Text("The spec is not valid: run.kind: {problem}.", problem=problem),
                "A timetable runs one job again and again; it starts no sweeps.",
                {"fields": [{"field": "run.kind", "problem": problem}]},
            )
        if again := sorted(set(run) & set(_GIVEN[:-1])):
            raise contradiction(
                Text("run.{name}", name=again[0]),
                "the timetable says it of all runs",
                "Leave it out of `run`.",
            )
        given = {name: getattr(wanted, name) for name in ("project", "name", "purpose")}
        given |= {"datasets": list(wanted.datasets), **run}
        asked = Wanted.of(parse(kind.engine.spec.request, given, "spec"))
        parts = dict(asked.parts)
        floored = any(one.name == "min_contributors" for one in fields(kind.engine.spec.request))  # type: ignore[arg-type]
        if floored and parts.get("privacy") is None:
            contributors = [*wanted.datasets, *parts.get("parties", ())]
            parts |= contributors_floor(contributors, parts, everybody=True)
        return kind, replace(asked, parts=parts, coming=wanted.coming)


def repeated(charge: Charge, times: int) -> Charge:
    """Return a charge taken several times, each mechanism once, for accountants to compose."""
    single = [one for one in charge if one.kind == "tree"] * times
    return (*single, *(replace(one, count=one.count * times) for one in charge
                       if one.kind != "tree"))  # fmt: skip


def _delta(wanted: Wanted) -> float | None:
    privacy = wanted.parts["run"].get("privacy")
    delta = privacy.get("delta") if isinstance(privacy, Mapping) else None
    return float(delta) if isinstance(delta, int | float) else None


def _privacy(part: TimesPart, run: Mapping[str, JSON] | None) -> dict[str, JSON] | None:
    if run is None:
        return None
    return {**{name: run[name] for name in ("delta", "unit", "noise")}, "epsilon": part.epsilon}


def _notes(spec: TimetableSpec) -> Iterator[str]:
    times = spec.timetable
    yield Text(
        "One approval covers {count} runs, one every {minutes} minutes; a run that cannot begin "
        "within {window} minutes of its time is left out.",
        count=times.runs,
        minutes=times.every // 60,
        window=times.window // 60,
    )
    if not spec.all_private and spec.reads_rows:
        yield (
            "Results of two runs differ by what changed in the data between them: without "
            "differential privacy a change of few rows shows."
        )


def _details(spec: TimetableSpec) -> dict[str, Any]:
    times = dump(spec.timetable)
    return {"timetable": {**times, "last": spec.timetable.last, "of": spec.job.kind}}
