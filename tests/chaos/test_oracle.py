"""The oracle sees what it is there for: each promise is broken once, and by itself."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secureflow.application.running import driving
from secureflow.domain.jobs import JobState
from secureflow.kit.errors import SecureFlowError
from tests.chaos import world as worlds
from tests.chaos.oracle import Observed, violations
from tests.chaos.platform import BUDGET, PARTIES, SERVER, Template
from tests.chaos.schedules import CANCEL, KILL, LOCK, Fault, Schedule

Calm = Callable[[str], Observed]
Change = Callable[[Observed], None]
HARD = (Fault(0.0, KILL, "bank-a", 100.0),)


def ended(seen: Observed, code: str, state: JobState = JobState.FAILED) -> None:
    """Make the job one that ended so."""
    assert seen.job is not None
    error = SecureFlowError(code, "Why.").as_json()
    seen.job = replace(seen.job, state=state, error=error, report=None)


def paused(seen: Observed) -> None:
    ended(seen, "script_changed", JobState.PAUSED)


def gone(seen: Observed) -> None:
    seen.job = None


def other_model(seen: Observed) -> None:
    seen.report["model"]["digest"] = "ab" * 32


def two_models(seen: Observed) -> None:
    seen.models *= 2


def other_figures(seen: Observed) -> None:
    seen.report["evaluation"]["digest"] = "ab" * 32


def other_answers(seen: Observed) -> None:
    seen.agents["bank-b"].kept["bank-a"] = "ab" * 32


def a_lost_file(seen: Observed) -> None:
    del seen.agents["bank-c"].kept["bank-c"]


def told_for_nothing(seen: Observed) -> None:
    seen.agents["bank-b"].committed.remove("bank-d")


def kept_for_nothing(seen: Observed) -> None:
    seen.report["prediction"]["kept"]["bank-a"] = {}
    seen.agents["bank-a"].committed.clear()


def other_part(seen: Observed) -> None:
    other_model(seen.parts[2])


def charged_twice_for_a_part(seen: Observed) -> None:
    charged_twice(seen.parts[1])


def a_part_too_few(seen: Observed) -> None:
    del seen.parts[2]


def left_out(seen: Observed) -> None:
    seen.report["dropouts"].append({"party": "bank-a", "code": "party_silent"})


def defective(seen: Observed) -> None:
    seen.events.append(("dropouts", {"dropouts": [{"party": "bank-a", "code": "internal"}]}))


def still(seen: Observed) -> None:
    seen.standstill.append("nobody drives the job")


def busy(seen: Observed) -> None:
    seen.working.append("bank-a: request job_1/7/bank-a")


def entry_of(seen: Observed, kind: str) -> Any:
    return next(e for e in seen.entries if e["leaf"]["leaf"]["kind"] == kind)


def recorded_twice(seen: Observed, kind: str = "update") -> None:
    seen.bundle["entries"].append(entry_of(seen, kind))


def told_twice(seen: Observed) -> None:
    seen.events.append(next(event for event in seen.events if event[0] == "round"))


def journalled_twice(seen: Observed) -> None:
    seen.journal.append(seen.journal[3])


def overspent(seen: Observed) -> None:
    seen.agents["bank-b"].spent = BUDGET + 0.1


def charged_twice(seen: Observed) -> None:
    seen.agents["bank-b"].reservations *= 2


def more_than_the_plan(seen: Observed) -> None:
    seen.agents["bank-b"].spent *= 1.5


def given_for_nothing(seen: Observed) -> None:
    seen.agents["bank-b"].reservations = ["voided"]


def no_bundle(seen: Observed) -> None:
    seen.bundle = None


def altered(seen: Observed) -> None:
    entry_of(seen, "round.closed")["document"]["generation"] = 7


def cut_off(seen: Observed) -> None:
    seen.bundle["entries"] = seen.bundle["entries"][:-1]


def alarmed(seen: Observed) -> None:
    seen.agents["bank-c"].alarm = {"code": "leaf_missing"}


def a_file(seen: Observed) -> None:
    seen.files.append("server/artifacts/vectors/job_1/ab/abcd")


def a_descriptor(seen: Observed) -> None:
    seen.descriptors.append("socket:[7]")


def a_secret(seen: Observed) -> None:
    seen.agents["bank-d"].secret = True


def untold(seen: Observed) -> None:
    seen.agents["bank-d"].outcome = "running"


def unproved(seen: Observed) -> None:
    seen.agents["bank-d"].unproved = 1


BROKEN: list[tuple[str, str, Change, tuple[Fault, ...]]] = [
    ("sealed", "ended_by_name", gone, HARD),
    ("sealed", "ended_by_name", paused, HARD),
    ("sealed", "ended_by_name", lambda seen: ended(seen, "internal"), HARD),
    ("sealed", "ended_by_name", lambda seen: ended(seen, "sqlite3.OperationalError"), HARD),
    ("sealed", "ended_by_name", lambda seen: ended(seen, "leaf_forged"), HARD),
    ("sealed", "ended_by_name", lambda seen: ended(seen, "cancelled", JobState.CANCELLED), HARD),
    ("sealed", "ended_by_name", lambda seen: ended(seen, "party_silent"), ()),
    ("sealed", "ended_by_name", defective, HARD),
    ("sealed", "same_result", other_model, HARD),
    ("masked", "same_result", two_models, HARD),
    ("sealed", "same_result", left_out, ()),
    ("evaluation", "same_result", other_figures, HARD),
    ("private evaluation", "same_result", other_figures, HARD),
    ("prediction", "kept_as_told", other_answers, HARD),
    ("prediction", "kept_as_told", a_lost_file, HARD),
    ("prediction", "kept_as_told", told_for_nothing, HARD),
    ("prediction", "kept_as_told", kept_for_nothing, HARD),
    ("sweep", "every_part", other_part, HARD),
    ("private sweep", "every_part", charged_twice_for_a_part, HARD),
    ("sweep", "every_part", a_part_too_few, HARD),
    ("sealed", "nobody_stands_still", still, HARD),
    ("sealed", "nobody_stands_still", busy, HARD),
    ("sealed", "nothing_twice", recorded_twice, HARD),
    ("masked", "nothing_twice", lambda seen: recorded_twice(seen, "approval"), HARD),
    ("sweep", "nothing_twice", lambda seen: recorded_twice(seen, "job.part"), HARD),
    ("sealed", "nothing_twice", told_twice, HARD),
    ("sealed", "nothing_twice", journalled_twice, HARD),
    ("private", "within_budget", overspent, HARD),
    ("private", "within_budget", charged_twice, HARD),
    ("private", "within_budget", more_than_the_plan, HARD),
    ("private", "within_budget", given_for_nothing, HARD),
    ("sealed", "bundle_verifies", no_bundle, HARD),
    ("sealed", "bundle_verifies", altered, HARD),
    ("sealed", "bundle_verifies", cut_off, HARD),
    ("sealed", "bundle_verifies", alarmed, HARD),
    ("sealed", "nothing_left", a_file, HARD),
    ("sealed", "nothing_left", a_descriptor, HARD),
    ("sealed", "nothing_left", a_secret, HARD),
    ("sealed", "nothing_left", untold, HARD),
    ("sealed", "nothing_left", unproved, HARD),
]


@pytest.mark.parametrize(("kind", "clause", "change", "faults"), BROKEN)
def test_a_broken_promise_is_seen(
    kind: str, clause: str, change: Change, faults: tuple[Fault, ...], calm: Calm
) -> None:
    schedule, undisturbed = Schedule(0, kind, faults), calm(kind)
    assert violations(schedule, undisturbed, undisturbed) == []
    seen = copy.deepcopy(undisturbed)
    change(seen)
    assert {clause} <= {wrong.split(":")[0] for wrong in violations(schedule, seen, undisturbed)}


def test_a_named_end_is_no_broken_promise(calm: Calm) -> None:
    """Of a job that more than its patience disturbed, or that somebody cancelled."""
    for code, state, faults in (
        ("too_few_contributors", JobState.FAILED, HARD),
        ("cancelled", JobState.CANCELLED, (Fault(0.0, CANCEL, SERVER, 0.0),)),
    ):
        seen = copy.deepcopy(calm("sealed"))
        ended(seen, code, state)
        seen.models = []
        assert violations(Schedule(0, "sealed", faults), seen, calm("sealed")) == []


def test_a_job_that_nobody_drives_is_seen(
    template: Template, memory: Path, calm: Calm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that meets a fault of its database and gives up for good."""

    async def for_ever(self: driving.DriverBackoff) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(driving.DriverBackoff, "wait", for_ever)
    monkeypatch.setattr(worlds, "ENDS_WITHIN", 100.0)
    schedule = Schedule(1, "sealed", (Fault(2.0, LOCK, SERVER, 1.0),))
    seen = worlds.play(schedule, template, memory / "undriven")
    found = violations(schedule, seen, calm("sealed"))
    assert any("stands still" in wrong for wrong in found), found
    assert any("the job has not ended" in wrong for wrong in found), found


def test_what_a_schedule_leaves_open_is_seen(
    template: Template, memory: Path, calm: Calm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that a killed process held, and one that nobody removes."""
    held: list[Any] = []
    look = worlds.World._look

    async def leaking(self: worlds.World) -> None:
        held.append((self.platform.directory / SERVER / "left.part").open("w"))
        await look(self)

    monkeypatch.setattr(worlds.World, "_look", leaking)
    schedule = Schedule(2, "sealed", ())
    seen = worlds.play(schedule, template, memory / "leaking")
    found = violations(schedule, seen, calm("sealed"))
    assert any("left over: server/left.part" in wrong for wrong in found), found
    assert any("left open" in wrong for wrong in found), found
    held.pop().close()


def test_files_that_go_to_another_party_are_looked_at(calm: Calm) -> None:
    agents = calm("prediction").agents
    assert {party: set(agent.kept) for party, agent in agents.items()} == {
        **{party: {party} for party in PARTIES},
        "bank-b": set(PARTIES),
    }
    assert all(agents["bank-b"].kept[party] == agents[party].kept[party] for party in PARTIES)


def test_jobs_that_a_job_started_are_looked_at(calm: Calm) -> None:
    parts = calm("private sweep").parts
    assert set(parts) == {1, 2}
    for part in parts.values():
        assert part.succeeded
        assert all(agent.reservations == ["committed"] for agent in part.agents.values())
        assert len(part.entries) > 20


def test_everybody_is_looked_at(calm: Calm) -> None:
    seen = calm("private")
    assert set(seen.agents) == set(PARTIES)
    assert all(0 < agent.spent < BUDGET for agent in seen.agents.values())
    assert len(seen.entries) > 20
    assert len(seen.journal) > 20
