"""Rows are paid for before they are read, once, and a failure after that says nothing of them."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peers.accounting import Analytic
from peers.agent_world import JOB, ME, World
from peers.statistics_world import StatisticsWorld

from secureflow.agent.compute.jobfiles import held_folder
from secureflow.engines.training.kind import TRAINING_ENGINE
from secureflow.kit.errors import SecureFlowError

BUDGET = {"domain": "customers", "epsilon": 5.0, "delta": 1e-5}
PRIVATE: dict[str, Any] = {
    "plan": {"rounds": 3, "validation": 0.2},
    "privacy": {"delta": 1e-6, "noise_multiplier": 5.0, "rows": 1000, "metrics_noise": 5.0},
}
ROW = SecureFlowError("schema_mismatch", "row 17 of column 'age' is 131", "", {"row": 17})
CAUSES = [
    ROW,
    SecureFlowError("worker_died", "The training worker died on the request 'train'."),
    SecureFlowError("worker_out_of_memory", "The training worker failed: it needs more memory."),
    SecureFlowError("worker_failed", "The training worker failed: a ZeroDivisionError inside."),
    SecureFlowError("dataset_too_large", "Dataset 'customers' has more rows or bytes."),
    OSError(24, "Too many open files"),
]


def world(directory: Path) -> World:
    return World(directory, privacy=BUDGET, spec_changes=PRIVATE, accounting=Analytic())


def events(of: World) -> list[str]:
    return [event["kind"] for event in of.store.budget_events("customers")]


def charged(of: World) -> int:
    """Return how many releases this organisation's budget is charged for."""
    policy = of.settings.datasets[0].privacy
    assert policy
    with of.store.transaction():
        return sum(one.count for one in of.assembly.context.budgets._ledger(policy).charges)


async def refused(of: World, verb: str, body: dict[str, Any]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await of.ask(verb, body)
    return caught.value


def breaks(of: Any, verb: str, how: Callable[[], None]) -> None:
    """Let the worker do something before (or instead of) answering a verb, or a step."""
    asked = verb if hasattr(of, verb) else "compute"
    real = getattr(of, asked)

    async def broken(*arguments: Any) -> Any:
        if asked == verb or arguments[1] == verb:
            how()
        return await real(*arguments)

    setattr(of, asked, broken)


def failing(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


async def test_no_row_is_read_before_the_charge_is_on_disk(tmp_path: Path) -> None:
    agent = world(tmp_path)
    seen: list[tuple[list[Any], list[Any]]] = []

    def look() -> None:
        with sqlite3.connect(agent.settings.record) as other:  # what a crash would leave
            readings = other.execute("SELECT job, round, stage FROM readings").fetchall()
            budget = other.execute("SELECT event FROM budget_events").fetchall()
        seen.append((readings, budget))

    breaks(agent.worker, "prepare", look)
    await agent.admitted()
    assert (seen, agent.worker.calls) == ([], ["check"])
    await agent.round(1)
    ((readings, budget),) = seen
    assert readings == [(JOB, 1, "train")]
    assert '"commit"' in budget[-1][0]


@pytest.mark.parametrize("verb", ["prepare", "train"])
@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: getattr(cause, "code", "os_error"))
async def test_what_fails_once_rows_are_read_is_charged_and_says_nothing(
    tmp_path: Path, verb: str, cause: Exception
) -> None:
    agent = world(tmp_path)
    await agent.admitted()
    breaks(agent.worker, verb, failing(cause))
    error = await refused(agent, "train", agent.train_body())
    told = SecureFlowError("private_step_failed", error.message, error.hint)
    assert error.as_json() == told.as_json()
    assert error.message == (
        f"{ME} could not compute its part of {JOB}; the reason is only in its own log. It "
        "is charged as if it had succeeded."
    )
    assert error.__cause__ is None
    assert error.__suppress_context__
    await agent.ask("finish", agent.body(outcome="failed", model=None, head=agent.head()))
    assert events(agent) == ["limit", "reserve", "commit", "commit"]
    cost = TRAINING_ENGINE.charge(agent.spec, {"train": 1})
    assert charged(agent) == sum(one.count for one in cost) == 2


async def test_what_fails_before_rows_are_read_is_free_and_says_why(tmp_path: Path) -> None:
    agent = world(tmp_path)
    breaks(agent.worker, "check", failing(SecureFlowError("schema_mismatch", "no column 'age'")))
    await agent.ask("consent", agent.consent_body())
    with pytest.raises(SecureFlowError, match="no column 'age'"):
        await agent.admit()
    await agent.ask("finish", agent.body(outcome="failed", model=None, head=agent.head()))
    assert events(agent) == ["limit", "reserve", "void"]
    assert charged(agent) == 0


async def test_a_job_without_noise_still_says_what_is_wrong(tmp_path: Path) -> None:
    agent = World(tmp_path)
    breaks(agent.worker, "prepare", failing(ROW))
    await agent.ask("consent", agent.consent_body())
    with pytest.raises(SecureFlowError) as caught:
        await agent.admit()
    assert caught.value.code == ROW.code
    assert "17" not in caught.value.message  # which row, stays at its owner
    assert "row 17" in str(agent.store.actions())


async def test_a_failed_round_is_not_asked_again_from_another_model(tmp_path: Path) -> None:
    """Else one charge would pay for as many questions as the centre has models."""
    agent = world(tmp_path)
    await agent.admitted()
    await agent.round(1)
    breaks(agent.worker, "train", failing(ROW))
    body = agent.train_body(2)
    assert (await refused(agent, "train", body)).code == "private_step_failed"
    other = {**body, "model": agent.released(1, 0.75)}
    error = await refused(agent, "train", other)
    assert error.code == "update_already_sealed"
    assert error.details["accusation"]
    del agent.worker.compute  # the fault is mended: the same question is answered, for one charge
    await agent.ask("train", body)
    assert agent.store.readings(JOB) == [(1, "train"), (2, "train")]


async def test_a_final_model_that_goes_unmeasured_reads_no_rows(tmp_path: Path) -> None:
    unmeasured = {**PRIVATE["privacy"], "metrics_noise": None}
    changes = {"plan": {"rounds": 3, "validation": 0.0}, "privacy": unmeasured}
    agent = World(tmp_path, privacy=BUDGET, spec_changes=changes, accounting=Analytic())
    await agent.admitted()
    await agent.ask("train", agent.train_body(4, "evaluate"))
    assert agent.worker.calls == ["check"]
    assert (agent.store.readings(JOB), charged(agent)) == ([], 3)  # reserved, not spent
    await agent.ask("finish", agent.body(outcome="failed", model=None, head=agent.head()))
    assert events(agent)[-1] == "void"


async def test_a_statistic_that_fails_is_charged_once(tmp_path: Path) -> None:
    agent = StatisticsWorld(tmp_path / "agent", accounting=Analytic())
    await agent.consented()
    frames = await agent.met()
    assert agent.counting.calls == ["check"]
    for verb in ("prepare", "statistics"):
        breaks(agent.counting, verb, failing(ROW))
        error = await refused(agent, "mask", agent.mask_body(frames))
        assert (error.code, "17" in str(error.as_json())) == ("private_step_failed", False)
    assert events(agent) == ["limit", "reserve", "commit"]
    await agent.ask("finish", agent.body(outcome="failed", model=None, head=agent.head()))
    assert events(agent) == ["limit", "reserve", "commit"]
    assert charged(agent) == 2  # its two queries


@pytest.mark.slow
async def test_a_centre_cannot_drain_a_budget(tmp_path: Path) -> None:
    """300 requests: repeats, rounds in any order, models of its own, failures, kills, lies.

    Whatever it does, what this organisation is charged stays what it signed for, and grows only
    with places of the plan that rows were read for.
    """
    agent = world(tmp_path)
    agent.store._db.execute("PRAGMA synchronous=OFF")
    await agent.admitted()
    chance, planned = (
        random.Random(3),
        sum(one.count for one in TRAINING_ENGINE.charge(agent.spec)),
    )
    outcomes: dict[str, int] = {}
    for at in range(300):
        outcome = await _provoke(agent, chance, 1 + at // 75)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        assert charged(agent) == planned == 4
        assert set(agent.store.readings(JOB)) <= {
            *((number, "train") for number in (1, 2, 3)),
            *((number, "evaluate") for number in (1, 2, 3, 4)),
        }
        assert events(agent).count("reserve") == 1
        assert events(agent).count("commit") <= 1
    assert outcomes["private_step_failed"] > 20, outcomes
    assert outcomes["killed"] > 10
    assert {"", "stale_round", "update_already_sealed", "spec_digest_mismatch"} <= set(outcomes)
    await agent.ask("finish", agent.body(outcome="failed", model=None, head=agent.head()))
    rounds = sum(stage == "train" for _, stage in agent.store.readings(JOB))
    assert charged(agent) == rounds + 1 <= planned
    with pytest.raises(SecureFlowError, match="has ended"):
        await agent.ask("train", agent.train_body())


async def _provoke(agent: World, chance: random.Random, number: int) -> str:
    """Send one request of a centre that wants the budget gone; return what became of it."""
    if chance.random() < 0.1:
        agent.reopen()
        agent.store._db.execute("PRAGMA synchronous=OFF")
    if chance.random() < 0.7:  # a power cut: what was recorded must be computed again
        shutil.rmtree(held_folder(agent.settings.models, JOB), ignore_errors=True)
    fault = chance.choice([None, ROW, ROW, ROW, KeyboardInterrupt()])
    if fault is not None:
        for verb in ("prepare", "compute"):
            breaks(agent.worker, verb, failing(fault))
    number += chance.choice([-1, *[0] * 30, 1])
    stage = "train" if number < 4 else "evaluate"
    body = agent.train_body(number, stage)
    if number > 1 and chance.random() < 0.2:
        body["model"] = agent.released(number - 1, chance.random())
    lie = {"digest": "ab" * 32, "outcome": "failed", "model": None, "head": agent.head()}
    try:
        if chance.random() < 0.1:
            await agent.ask("finish", agent.body(**lie))
        agent.record(await agent.ask("train", body))
    except SecureFlowError as error:
        agent.record(error.details.get("accusation", {}))  # it goes by the book where it shows
        return error.code
    except KeyboardInterrupt:
        agent.reopen()
        agent.store._db.execute("PRAGMA synchronous=OFF")
        return "killed"
    finally:
        for verb in ("prepare", "compute"):
            vars(agent.worker).pop(verb, None)
    return ""
