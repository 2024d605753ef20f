"""Chaos in process: schedules drawn from seeds on a virtual clock and network.

Twenty in `make test`, of every kind of job; a hundred with `make full`, for every landing; ten
thousand in `make soak` (`--seeds A:B` takes a part).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.chaos.jobs import EVERY
from tests.chaos.oracle import Observed, dropouts, violations
from tests.chaos.schedules import CUT, MUTE, Fault, Schedule, draw
from tests.seeded import portions

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")
"""A process whose death is played closes nothing, as a real one; the system does that for it."""

REPEAT = "python -m pytest tests/chaos/test_in_process.py -k test_seeds --seeds {}:{}"
IN_TEST = 20
"""Seeds that `make test` plays."""
Play = Callable[[Schedule], Observed]
Calm = Callable[[str], Observed]


def check(seeds: range, played: Play, calm: Calm) -> None:
    """Play each seed; tell of all that break a promise, with the command that repeats them."""
    found = []
    for seed in seeds:
        schedule = draw(seed)
        wrong = violations(schedule, played(schedule), calm(schedule.kind))
        if wrong:
            found.append("\n  ".join([REPEAT.format(seed, seed + 1), str(schedule), *wrong]))
    assert not found, "\n\n".join(found)


@pytest.mark.parametrize("kind", [kind.name for kind in EVERY])
def test_an_undisturbed_job_breaks_no_promise(kind: str, calm: Calm) -> None:
    seen = calm(kind)
    assert seen.succeeded, seen.job
    assert violations(Schedule(0, kind, ()), seen, seen) == []


@portions(0, IN_TEST, 10)
def test_seeds(seeds: range, played: Play, calm: Calm) -> None:
    check(seeds, played, calm)


@pytest.mark.full
@portions(IN_TEST, 100, 10)
def test_more_seeds(seeds: range, played: Play, calm: Calm) -> None:
    check(seeds, played, calm)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@portions(0, 10_000, 50)
def test_many_seeds(seeds: range, played: Play, calm: Calm) -> None:
    check(seeds, played, calm)


def test_what_every_change_must_pass_disturbs_every_kind_of_job() -> None:
    assert {draw(seed).kind for seed in range(IN_TEST)} == {kind.name for kind in EVERY}


def test_one_seed_makes_one_schedule() -> None:
    assert draw(17) == draw(17)
    assert len({draw(seed).faults for seed in range(200)}) == 200


def test_answers_that_are_lost_in_a_row_accuse_nobody(played: Play, calm: Calm) -> None:
    """Rounds come and go without a party's leaves: nobody heard of them."""
    schedule = Schedule(1, "sealed", (Fault(1.5, MUTE, "bank-b > server", 190.0),))
    seen = played(schedule)
    silent = {(one["round"], one["stage"]) for one in dropouts(seen) if one["party"] == "bank-b"}
    assert len(silent) >= 2
    assert violations(schedule, seen, calm("sealed")) == []


def test_an_uplink_that_is_cut_for_some_seconds_leaves_nobody_out(played: Play, calm: Calm) -> None:
    """Every try failed at once, and the admissions that one party may ask for alone ran out."""
    schedule = Schedule(1, "sealed", (Fault(1.5, CUT, "bank-b > enclave", 15.0),))
    seen = played(schedule)
    assert dropouts(seen) == []
    assert violations(schedule, seen, calm("sealed")) == []
