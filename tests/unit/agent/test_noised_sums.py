"""An agent in a statistics job: one draw of noise is seen, one charge is paid, whatever dies."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.agent_world import JOB, ME
from peers.statistics_world import BUDGET, COLUMNS, QUERIES, StatisticsWorld

from secureflow.domain.specs.base import dump
from secureflow.engines.secagg import SecAggClient, open_sum
from secureflow.engines.secagg.wholenumbers import opened_totals
from secureflow.engines.statistics.kind import STATISTICS_ENGINE
from secureflow.kit.canonical import b64decode
from secureflow.kit.errors import SecureFlowError

pytestmark = pytest.mark.slow


def events(world: StatisticsWorld) -> list[str]:
    return [event["kind"] for event in world.store.budget_events("customers")]


async def spent(world: StatisticsWorld) -> float:
    (domain,) = await world.assembly.context.budgets.report(exact=False)
    return float(domain["spent"])


async def refused(world: StatisticsWorld, verb: str, body: dict[str, Any]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await world.ask(verb, body)
    return caught.value


@pytest.fixture
def world(tmp_path: Path) -> StatisticsWorld:
    return StatisticsWorld(tmp_path / "agent")


async def test_a_whole_job(world: StatisticsWorld) -> None:
    await world.consented()
    frames = await world.met()
    assert events(world) == ["limit", "reserve"]
    masked = await world.ask("mask", world.mask_body(frames))
    assert events(world) == ["limit", "reserve", "commit"]
    world.conductor.receive(ME, b64decode(masked["upload"], 1 << 20))
    total = world.others_upload(frames)
    total += np.frombuffer(world.vectors.sent[0], world.plan.ring)
    head = world.record(masked)
    world.conductor.close()
    answer = await world.ask("answer", world.answer_body(head))
    world.conductor.receive(ME, b64decode(answer["answer"], 1 << 20))
    for party, frame in world.conductor.requests().items():
        if party != ME:
            world.conductor.receive(party, world.others[party].answer(frame))
    open_sum(world.plan, 0, world.conductor.opened(), total)
    # The others added nothing, so the total is what was drawn: once, and nothing but that.
    assert opened_totals(world.plan, total, 3).tolist() == world.counting.drawn[0]
    assert len(world.counting.drawn) == 1
    assert masked["leaves"][-1]["document"].keys() == {
        "round", "stage", "model", "vector", "update",
    }  # fmt: skip


async def test_a_killed_agent_sends_the_same_bytes_for_one_charge(world: StatisticsWorld) -> None:
    """It dies after the record and before the first byte; asked again, it has drawn but once."""
    await world.consented()
    frames = await world.met()
    body = world.mask_body(frames)
    world.vectors.lost = True
    with pytest.raises(KeyboardInterrupt):
        await world.ask("mask", body)
    assert world.vectors.sent == []
    stored = world.store.noised_sums(JOB)
    paid = await spent(world)
    world.vectors.lost = False
    for _ in range(2):
        world.reopen()
        await world.ask("mask", body)
    first, second = world.vectors.sent
    assert first == second
    assert world.store.noised_sums(JOB) == stored
    assert len(world.counting.drawn) == 1
    assert events(world).count("reserve") == events(world).count("commit") == 1
    assert await spent(world) == paid > 0


async def test_a_draw_that_was_not_recorded_is_not_sent(
    world: StatisticsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction fails: nothing left, the next draw is the only one, one charge pays both."""
    await world.consented()
    frames = await world.met()

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(type(world.store), "keep_noised_sums", full)
        with pytest.raises(OSError, match="space"):
            await world.ask("mask", world.mask_body(frames))
    assert (world.vectors.sent, world.store.noised_sums(JOB)) == ([], None)
    assert events(world) == ["limit", "reserve", "commit"]
    await world.ask("mask", world.mask_body(frames))
    assert events(world) == ["limit", "reserve", "commit"]
    assert len(world.counting.drawn) == 2
    assert world.store.noised_sums(JOB) == np.array(world.counting.drawn[1], "<i8").tobytes()


async def test_sums_that_are_no_longer_those_on_record_are_not_sent(world: StatisticsWorld) -> None:
    await world.consented()
    frames = await world.met()
    await world.ask("mask", world.mask_body(frames))
    with world.store.transaction():
        world.store.forget_noised_sums(JOB)
    world.reopen()
    error = await refused(world, "mask", world.mask_body(frames))
    assert error.code == "state_unreadable"
    with world.store.transaction():
        world.store.keep_noised_sums(JOB, b"\0" * 8 * world.counting.length)
    assert (await refused(world, "mask", world.mask_body(frames))).code == "state_unreadable"
    assert len(world.vectors.sent) == len(world.counting.drawn) == 1


async def test_what_is_withdrawn_writes_into_nobodys_vector(
    world: StatisticsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread may go on masking: whoever is asked next has another buffer."""
    await world.consented()
    body = world.mask_body(await world.met())
    given: list[np.ndarray] = []
    begun, release, contribute = threading.Event(), threading.Event(), SecAggClient.contribute

    def slow(client: SecAggClient, *values: Any) -> Any:
        given.append(values[-1])
        if len(given) == 1:
            begun.set()
            release.wait(60)
        return contribute(client, *values)

    monkeypatch.setattr(SecAggClient, "contribute", slow)
    withdrawn = asyncio.create_task(world.ask("mask", body))
    await asyncio.to_thread(begun.wait, 60)
    withdrawn.cancel()
    await asyncio.wait({withdrawn})
    try:
        await world.ask("mask", body)
    finally:
        release.set()
    first, second = given
    assert not np.shares_memory(first, second)


async def test_the_end_deletes_the_sums_and_keeps_the_charge(world: StatisticsWorld) -> None:
    await world.consented()
    frames = await world.met()
    masked = await world.ask("mask", world.mask_body(frames))
    paid, head = await spent(world), world.record(masked)
    await world.ask("finish", world.body(outcome="succeeded", model=None, head=head))
    assert world.store.noised_sums(JOB) is None
    assert world.store.session(JOB, "statistics") is None
    assert "close" in world.counting.calls
    assert await spent(world) == paid
    assert (await refused(world, "mask", world.mask_body(frames))).code == "job_finished"


async def test_a_job_that_ends_before_its_sum_is_not_paid(world: StatisticsWorld) -> None:
    await world.consented()
    await world.met()
    await world.ask("finish", world.body(outcome="failed", model=None, head=world.head()))
    assert events(world) == ["limit", "reserve", "void"]
    assert await spent(world) == 0.0


def test_a_round_that_never_came_costs_nothing(world: StatisticsWorld) -> None:
    charge = STATISTICS_ENGINE.charge
    assert charge(world.spec, {}) == ()
    assert charge(world.spec, {"statistics": 1}) == charge(world.spec) != ()


async def test_a_restart_between_reserving_and_the_sum_leaves_one_charge(
    world: StatisticsWorld,
) -> None:
    await world.consented()
    frames = await world.met()
    world.reopen()
    await world.ask("mask", world.mask_body(frames))
    assert events(world) == ["limit", "reserve", "commit"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"round": 2}, "stale_round"),
        ({"round": 0}, "stale_round"),
        ({"stage": "train"}, "stale_round"),
        ({"stage": "evaluate"}, "stale_round"),
        ({"stage": "moments", "round": 0}, "stale_round"),
        ({"stage": "of-no-kind"}, "stale_round"),
        ({"stage": "Statistics"}, "invalid_request"),
        ({"moments": [1.0]}, "invalid_request"),
        ({"model": {"digest": "ab" * 32, "artifact": "ab" * 32, "size": 4}}, "invalid_request"),
        ({"steps": [{}]}, "invalid_request"),
        ({"digest": "ab" * 32}, "spec_digest_mismatch"),
    ],
)
async def test_only_the_one_round_that_was_approved_is_masked(
    world: StatisticsWorld, changes: dict[str, Any], code: str
) -> None:
    await world.consented()
    frames = await world.met()
    assert (await refused(world, "mask", world.mask_body(frames, **changes))).code == code
    assert world.counting.drawn == []
    assert events(world) == ["limit", "reserve"]


async def test_no_other_verb_makes_anything_of_a_statistics_job(world: StatisticsWorld) -> None:
    """The plain verbs of training, and the way into an enclave, are shut."""
    await world.consented()
    train = {
        "round": 1, "stage": "train", "generation": 1, "head": world.head(),
        "uplink": {"address": "enclave:1"},
    }  # fmt: skip
    assert (await refused(world, "train", world.body(**train))).code == "protection_unsupported"
    challenge = await refused(world, "challenge", world.body(generation=1))
    assert challenge.code == "protection_unsupported"
    evidence = world.enclave.attest("00" * 32, world.digest)
    admit = world.body(generation=1, evidence=evidence.as_json(), model=None)
    assert (await refused(world, "admit", admit)).code == "protection_unsupported"
    assert world.counting.calls == []


# --- consent -----------------------------------------------------------------------------------


NARROW = [{**COLUMNS[0], "bounds": [0, 99]}, COLUMNS[1]]
SHIFTED = [{**COLUMNS[0], "bounds": [1, 200]}, COLUMNS[1]]
MISSING = [COLUMNS[0], {**COLUMNS[1], "categories": ["x"]}]
RETYPED = [COLUMNS[0], {"column": "job", "type": "number", "bounds": [0, 1]}]
UNKNOWN = [COLUMNS[0], {"column": "religion", "type": "category", "categories": ["x"]}]
LOCALLY = {"delta": 1e-6, "noise_multiplier": 5.0, "noise": "local", "mechanism": "laplace"}
LOCAL = [{"name": "mean-age", "measure": "mean", "column": "age"}]
COUNT = [QUERIES[0], {"name": "mean-age", "measure": "mean", "column": "age"}]
BY_RELIGION = [{**QUERIES[1], "by": "religion"}]
OF_JOB = [QUERIES[0], {"name": "jobs", "measure": "mean", "column": "job"}]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"columns": NARROW}, "bounds_too_narrow"),
        ({"columns": SHIFTED}, "bounds_too_narrow"),
        ({"columns": MISSING}, "unknown_category"),
        ({"columns": RETYPED[1:], "queries": OF_JOB}, "column_not_granted"),
        ({"columns": UNKNOWN, "queries": BY_RELIGION}, "column_not_granted"),
        ({"privacy": {"delta": 1e-6, "noise_multiplier": 0.3}}, "budget_exceeded"),
        ({"privacy": {"delta": 1e-6, "noise_multiplier": 5.0, "unit": "person"}},
         "budget_unit_mismatch"),
        ({"privacy": {"delta": 1e-6, "noise_multiplier": 5.0, "epsilon": 0.01}},
         "contradictory_spec"),
        ({"privacy": LOCALLY, "queries": LOCAL, "columns": COLUMNS[:1]}, "row_count_private"),
        ({"queries": [QUERIES[0], QUERIES[0]], "columns": []}, "contradictory_spec"),
    ],
)  # fmt: skip
async def test_what_no_owner_can_agree_to(
    tmp_path: Path, changes: dict[str, Any], code: str
) -> None:
    world = StatisticsWorld(tmp_path / "agent", spec_changes=changes)
    assert (await refused(world, "consent", world.consent_body())).code == code
    assert world.store.job(JOB) is None


async def test_a_library_that_is_not_here_is_told_before_anybody_is_asked(
    world: StatisticsWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secureflow.adapters.statistics.find_spec", lambda _: None)
    error = await refused(world, "consent", world.consent_body())
    assert error.code == "library_missing"
    assert "[stats]" in error.hint
    assert world.assembly.inbox.list() == []


async def test_wider_bounds_and_more_categories_are_sound(tmp_path: Path) -> None:
    wide = [
        {**COLUMNS[0], "bounds": [-5, 120]},
        {**COLUMNS[1], "categories": ["w", "x", "y"]},
    ]
    world = StatisticsWorld(tmp_path / "agent", spec_changes={"columns": wide})
    assert await world.consented()


PERSON = {**BUDGET, "unit": "person", "person": "customer", "rows_per_person": 4}
PER_PERSON = {"delta": 1e-6, "noise_multiplier": 5.0, "unit": "person"}


@pytest.mark.parametrize(("contributions", "agreed"), [(3, False), (4, True), (9, True)])
async def test_the_noise_must_hide_as_many_rows_as_a_person_has_here(
    tmp_path: Path, contributions: int, agreed: bool
) -> None:
    changes = {"privacy": PER_PERSON, "contributions": contributions}
    world = StatisticsWorld(tmp_path / "agent", privacy=PERSON, spec_changes=changes)
    if agreed:
        assert await world.consented()
    else:
        error = await refused(world, "consent", world.consent_body())
        assert error.code == "bounds_too_narrow"
        assert error.details["field"] == "contributions"


async def test_a_bound_that_is_edited_after_approval_does_not_reach_the_job(tmp_path: Path) -> None:
    """The job's noise was made for the declaration that it was approved under, and reads by it."""
    changes = {"privacy": PER_PERSON, "contributions": 4}
    world = StatisticsWorld(tmp_path / "agent", privacy=PERSON, spec_changes=changes)
    await world.consented()
    world.privacy = {**PERSON, "rows_per_person": 5}
    world.reopen()
    await world.ask("setup", world.body())
    assert world.counting.asked is not None
    assert world.counting.asked.privacy is not None
    assert world.counting.asked.privacy.rows_per_person == PERSON["rows_per_person"]


async def test_policies_and_people_are_told_what_is_asked(tmp_path: Path) -> None:
    world = StatisticsWorld(tmp_path / "agent", policy="")
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    while not world.assembly.inbox.list():  # noqa: ASYNC110  a commit in a thread tells nobody
        await asyncio.sleep(0.001)
    (item,) = world.assembly.inbox.list()
    asked = item.request
    assert (asked["kind"], asked["columns"], asked["sensitive"]) == (
        "statistics", ["age", "job"], ["job"],
    )  # fmt: skip
    assert (asked["measures"], asked["queries"]) == (["count", "mean"], 2)
    assert (asked["unit"], asked["contributions"], asked["noise"]) == ("record", 1, "shared")
    assert 0 < asked["epsilon"] < 2
    world.assembly.inbox.decide(item.id, "approved", "")
    world.assembly.inbox.wake(item.id)
    assert (await asking)["approval"]


@pytest.mark.parametrize(
    "changes",
    [
        {"privacy": {"delta": 1e-6, "noise_multiplier": 0.1}},
        {"contributions": 1, "columns": NARROW},
        {"queries": [*QUERIES, {"name": "more", "measure": "count"}]},
    ],
)
async def test_a_centre_that_changes_the_spec_after_approval_is_refused(
    world: StatisticsWorld, changes: dict[str, Any]
) -> None:
    """Every later request names the digest of what was approved; another spec is another job."""
    await world.consented()
    changed = StatisticsWorld(world.directory.parent / "other", spec_changes=changes)
    body = {**world.consent_body(), "spec": dump(changed.spec), "digest": changed.digest}
    assert (await refused(world, "consent", body)).code == "spec_digest_mismatch"
    assert [leaf.job for leaf in world.store.leaves_of("accusation")] == [JOB]
    assert (await refused(world, "setup", changed.body())).code == "spec_digest_mismatch"
    # The digest of the one with the body of the other is no better.
    lying = {**world.consent_body(), "job": "job_9876543210", "spec": dump(changed.spec)}
    assert (await refused(world, "consent", lying)).code == "spec_digest_mismatch"


async def test_a_second_job_is_charged_again(world: StatisticsWorld) -> None:
    await world.consented()
    await world.ask("mask", world.mask_body(await world.met()))
    once = await spent(world)
    second = "job_0123456790"
    body = {**world.consent_body(), "job": second}
    await world.ask("consent", body)
    await world.ask("setup", {"job": second, "digest": world.digest})
    assert await spent(world) > once * 1.2
    assert events(world) == ["limit", "reserve", "commit", "reserve"]
