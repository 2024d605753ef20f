"""Timetables: jobs that run again and again, at the times that their owners approved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Page, Resource, listing, operation

_SHARED: Final = frozenset({"project", "name", "purpose", "datasets", "not_before", "priority"})


def repeating(
    request: Mapping[str, Any],
    *,
    every: int,
    runs: int,
    window: int | None = None,
    stop_on_failure: bool = False,
    epsilon: float | None = None,
) -> dict[str, Any]:
    """Return a request to run a job again and again; `client.jobs.submit` takes it.

    Args:
        request: the job, as a mapping; its `not_before` is the time of the first run.
        every: seconds from each run to the next, 600 at least.
        runs: how many there are, at most 500.
        window: seconds after its time within which a run may begin; by default until the next one
            is due, at most a day.
        stop_on_failure: whether the first run that fails ends it.
        epsilon: the most that all runs may cost.
    """
    times = {"every": every, "runs": runs, "window": window, "epsilon": epsilon}
    told = {name: value for name, value in times.items() if value is not None}
    run = {name: value for name, value in request.items() if name not in _SHARED}
    return {
        **{name: value for name, value in request.items() if name in _SHARED},
        "kind": "timetable",
        "run": {"kind": "training", **run},
        "timetable": {**told, "stop_on_failure": stop_on_failure},
    }


@dataclass(frozen=True)
class Timetable:
    """A timetable; `job` is its id, times are in unix seconds.

    `of` is the kind of job that runs, `next_run` the number of the run that is awaited or runs (0
    for none), `last` the newest runs: `run`, `at`, `job`, `state`, and `why` one was left out.
    """

    job: str
    name: str = ""
    project: str = ""
    organisation: str = ""
    submitter: str = ""
    state: str = ""
    of: str = ""
    first: int = 0
    every: int = 0
    runs: int = 0
    window: int = 0
    last_at: int = 0
    next_run: int = 0
    next_at: int = 0
    paused_by: str = ""
    last: tuple[Mapping[str, Any], ...] = ()


class Timetables(Resource[D_co]):
    """Jobs that run again and again."""

    @listing
    def list(self, project: str = "") -> Call[Page[Timetable]]:
        """Iterate over the timetables of the caller's projects, oldest first."""
        return verbs.pages("/timetables", Timetable, project=project)

    @operation
    def get(self, job: str) -> Call[Timetable]:
        """Return one by its id (`not_found`)."""
        return verbs.get(f"/timetables/{job}", Timetable)

    @operation
    def pause(self, job: str) -> Call[Timetable]:
        """Have its runs left out until it is taken up again.

        Raises:
            SecureFlowError: `not_found`, `forbidden`, `already_finished`.
        """
        return verbs.post(f"/timetables/{job}/pause", {}, answers.value(Timetable))

    @operation
    def resume(self, job: str) -> Call[Timetable]:
        """Take it up again, as the organisation that paused it.

        Raises:
            SecureFlowError: `not_found`, `forbidden`, `already_finished`.
        """
        return verbs.post(f"/timetables/{job}/resume", {}, answers.value(Timetable))
