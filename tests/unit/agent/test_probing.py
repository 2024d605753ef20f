"""The probing limit at the agent: over all partners, kept through kills, never refilled."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB, World

from secureflow.agent.edge.check import check_record
from secureflow.agent.edge.probingcommands import ProbingCommands
from secureflow.agent.owner.publications import check_lineage
from secureflow.agent.record.records import BUDGET, WITHHELD, JobRecord
from secureflow.agent.settings import AgentSettings
from secureflow.domain.schemas import (
    DatasetConfig,
    DatasetPrivacy,
    ProbingLimit,
    ResultOrigin,
    check_dataset,
)
from secureflow.engines.ledger.leaves import leaf_from_json
from secureflow.engines.privacy.probing import Probe
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent import probing_process
from tests.unit.agent.test_restored import backed_up, logged, put_back, put_raw

A_LIST = Probe("bank-b", 60, "ab" * 32)
SAME_HALF = Probe("bank-c", 60, "cd" * 32)


class Owner(World):
    """An agent whose one dataset has a probing limit, and one approved job that reads it."""

    limit: dict[str, Any] | None = {"limit": 100}  # noqa: RUF012  replaced, never changed

    @property
    def declared(self) -> dict[str, Any]:
        return super().declared | ({} if self.limit is None else {"probing": self.limit})

    @property
    def dataset(self) -> DatasetConfig:
        return self.settings.datasets[0]

    @property
    def probing(self) -> Any:
        return self.assembly.context.probing

    @property
    def job(self) -> JobRecord:
        found = self.store.job(JOB)
        assert found is not None
        return found

    def other(self, name: str) -> JobRecord:
        """Return a job as if it were another one."""
        return replace(self.job, job=name)

    async def row(self) -> dict[str, Any]:
        (row,) = await self.probing.report()
        return dict(row)

    async def tested(self) -> int:
        return int((await self.row())["tested"])

    def actions(self, name: str) -> list[dict[str, Any]]:
        return [one["facts"] for one in self.store.actions() if one["action"] == name]

    async def finish(self) -> None:
        await self.ask("finish", self.body(outcome="failed", model=None, head=self.head()))


class Undeclared(Owner):
    """One whose dataset had no limit when it was published."""

    limit = None


async def owner(directory: Path, **changes: Any) -> Owner:
    made = Owner(directory, **changes)
    made.record(await made.ask("consent", made.consent_body()))
    return made


async def refused(code: str, call: Coroutine[Any, Any, object]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await call
    assert caught.value.code == code
    return caught.value


async def test_two_partners_that_split_one_list_do_not_test_more_than_the_limit(
    tmp_path: Path,
) -> None:
    agent = await owner(tmp_path)
    await agent.probing.reserve(agent.job, agent.dataset, [A_LIST])
    agent.probing.begin(agent.job, agent.dataset, [A_LIST])
    assert agent.probing.left(agent.dataset) == 40
    other = agent.other("job_of_bank_c0")  # another partner, and another project
    error = await refused(
        "probing_exceeded", agent.probing.reserve(other, agent.dataset, [SAME_HALF])
    )
    assert error.details["left"] == 40
    assert await agent.tested() == 60
    smaller = replace(SAME_HALF, ids=40)
    assert await agent.probing.check(other.job, agent.dataset, [smaller]) == 0
    await agent.probing.reserve(other, agent.dataset, [smaller])
    assert (await agent.row())["remaining"] == 0


async def test_a_retry_counts_once_and_a_changed_list_in_full(tmp_path: Path) -> None:
    agent = await owner(tmp_path)
    for _ in range(3):
        await agent.probing.reserve(agent.job, agent.dataset, [A_LIST])
        agent.probing.begin(agent.job, agent.dataset, [A_LIST])
    assert await agent.tested() == 60
    changed = replace(A_LIST, inputs="ef" * 32)
    await refused("probing_exceeded", agent.probing.reserve(agent.job, agent.dataset, [changed]))
    shorter = replace(changed, ids=30)
    await agent.probing.reserve(agent.job, agent.dataset, [shorter])
    assert await agent.tested() == 90


async def test_the_owner_reads_of_each_list_and_the_log_of_none(tmp_path: Path) -> None:
    agent = await owner(tmp_path)
    await agent.probing.reserve(agent.job, agent.dataset, [A_LIST])
    (fact,) = agent.actions("probing.reserved")
    assert fact == {"domain": "customers", "lists": [A_LIST.as_json()], "remaining": 40}
    (leaf,) = agent.store.leaves_of(BUDGET)
    assert leaf.bundle["document"]["domain"] == "probing:customers"
    assert BUDGET in WITHHELD
    assert leaf.sent == {"leaf": leaf.bundle["leaf"]}
    (listed,) = (await agent.row())["lists"]
    assert listed == {"job": JOB, **A_LIST.as_json(), "at": agent.now, "state": "reserved"}


async def test_what_an_ended_job_never_began_with_is_given_back(tmp_path: Path) -> None:
    agent = await owner(tmp_path)
    await agent.probing.reserve(agent.job, agent.dataset, [A_LIST])
    await agent.finish()
    assert await agent.tested() == 0
    assert agent.actions("probing.voided") == [{"domain": "customers", "remaining": 100}]


async def test_what_it_began_with_stays_tested(tmp_path: Path) -> None:
    agent = await owner(tmp_path)
    await agent.probing.reserve(agent.job, agent.dataset, [A_LIST])
    agent.probing.begin(agent.job, agent.dataset, [A_LIST])
    await agent.finish()
    assert await agent.tested() == 60


async def test_a_reservation_of_a_killed_agent_counts_and_its_job_goes_on_under_it(
    tmp_path: Path,
) -> None:
    agent = await owner(tmp_path)
    await agent.probing.reserve(agent.job, agent.dataset, [A_LIST])
    agent.reopen()
    assert (await agent.row())["lists"][0]["state"] == "unknown"
    await agent.probing.reserve(agent.job, agent.dataset, [A_LIST])  # the next attempt
    agent.probing.begin(agent.job, agent.dataset, [A_LIST])
    assert await agent.tested() == 60
    agent.reopen()
    await agent.finish()
    assert await agent.tested() == 60


@pytest.mark.parametrize("when", ["reserve", "begin"])
def test_a_real_kill_gives_nothing_back(tmp_path: Path, when: str) -> None:
    run = [sys.executable, "-m", probing_process.__name__, str(tmp_path), when]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        process.send_signal(signal.SIGKILL)
    probing, store = probing_process.opened(tmp_path)
    with store.transaction():
        probing.settle(replace(probing_process.JOB, declared=None))
    assert probing.left(probing_process.DATASET) == 40
    with pytest.raises(SecureFlowError) as caught, store.transaction():
        probing.reserve_now(
            replace(probing_process.JOB, job="job_another000"),
            probing_process.DATASET,
            [probing_process.LIST],
        )
    assert caught.value.code == "probing_exceeded"
    store.close()


async def test_an_engine_starts_under_a_reservation_alone(tmp_path: Path) -> None:
    agent = await owner(tmp_path)
    with pytest.raises(SecureFlowError) as caught:
        agent.probing.begin(agent.job, agent.dataset, [A_LIST])
    assert caught.value.code == "probing_conflict"


async def test_a_longer_list_than_was_said_counts_with_its_length(tmp_path: Path) -> None:
    agent = await owner(tmp_path)
    await agent.probing.reserve(agent.job, agent.dataset, [A_LIST])
    agent.probing.begin(agent.job, agent.dataset, [A_LIST])
    agent.probing.found(agent.job, agent.dataset, A_LIST)
    agent.probing.found(agent.job, agent.dataset, replace(A_LIST, ids=1000))
    assert await agent.tested() == 1000
    (told,) = agent.actions("probing.longer")
    assert (told["ids"], told["remaining"]) == (1000, 0)


async def test_a_list_that_was_tested_to_the_end_counts_again(tmp_path: Path) -> None:
    agent = await owner(tmp_path)
    one = replace(A_LIST, ids=30)
    for attempt in (1, 2):
        await agent.probing.reserve(agent.job, agent.dataset, [one])
        agent.probing.begin(agent.job, agent.dataset, [one])
        agent.probing.ended(agent.job, agent.dataset, one)
        assert await agent.tested() == 30 * attempt
    assert [row["ids"] for row in (await agent.row())["lists"]] == [30, 30]
    with pytest.raises(SecureFlowError, match="probing_conflict"):
        agent.probing.ended(agent.job, agent.dataset, one)
    agent.reopen()
    assert await agent.tested() == 60
    await refused(
        "probing_exceeded", agent.probing.check(JOB, agent.dataset, [replace(one, ids=41)])
    )
    assert all(found["ok"] for found in check_record(agent.settings))


async def test_a_refusal_makes_no_reservation_final(tmp_path: Path) -> None:
    agent = await owner(tmp_path)
    await agent.probing.reserve(agent.job, agent.dataset, [A_LIST])
    other = agent.other("job_of_bank_c0")
    for _ in range(2):
        await refused("probing_exceeded", agent.probing.reserve(other, agent.dataset, [SAME_HALF]))
    await agent.finish()
    assert await agent.tested() == 0


async def test_a_failed_commit_of_the_record_reserves_nothing_in_memory(tmp_path: Path) -> None:
    agent = await owner(tmp_path)

    def reserve() -> None:
        with agent.store.transaction():
            agent.probing.reserve_now(agent.job, agent.dataset, [A_LIST])
            raise OSError("torn")

    with pytest.raises(OSError, match="torn"):
        reserve()
    assert await agent.tested() == 0
    assert agent.store.leaves_of(BUDGET) == []


# Who may be asked at all.


async def test_without_a_declared_limit_nothing_is_tested(tmp_path: Path) -> None:
    agent = Undeclared(tmp_path)
    error = await refused("probing_undeclared", agent.probing.check(JOB, agent.dataset, [A_LIST]))
    assert "Ask bank-a to declare" in error.hint
    agent.limit = {"limit": 0}
    agent.reopen()
    await refused("probing_exceeded", agent.probing.check(JOB, agent.dataset, [A_LIST]))


async def test_a_limit_that_is_declared_later_counts_for_jobs_before(tmp_path: Path) -> None:
    agent = Undeclared(tmp_path)
    agent.record(await agent.ask("consent", agent.consent_body()))
    pinned = agent.dataset
    agent.limit = {"limit": 100, "domain": "people"}
    agent.reopen()
    await agent.probing.reserve(agent.job, pinned, [A_LIST])
    assert (await agent.row())["domain"] == "people"
    assert await agent.tested() == 60
    agent.limit = {"limit": 100, "domain": "fresh"}
    with pytest.raises(SecureFlowError) as caught:
        check_lineage(agent.store, agent.dataset)
    assert caught.value.code == "privacy_fixed"


@pytest.mark.parametrize("limit", [{"limit": 100, "domain": "fresh"}, {"limit": 5, "domain": "b"}])
async def test_the_domain_of_a_name_stays(tmp_path: Path, limit: dict[str, Any]) -> None:
    agent = await owner(tmp_path)
    await agent.probing.reserve(agent.job, agent.dataset, [A_LIST])
    agent.limit = limit
    with pytest.raises(SecureFlowError) as caught:
        check_lineage(agent.store, agent.dataset)
    assert caught.value.code == "privacy_fixed"
    agent.limit = None
    check_lineage(agent.store, agent.dataset)  # without a limit nothing can be tested


def test_a_dataset_is_in_one_privacy_domain() -> None:
    data = DatasetConfig("a", "a", "csv", (), probing=ProbingLimit(5))
    assert data.domain == "a"
    named = replace(data, probing=ProbingLimit(5, domain="x"))
    assert named.domain == "x"
    assert replace(data, privacy=DatasetPrivacy("y", 1.0, 1e-6)).domain == "y"
    for other in (replace(named, privacy=DatasetPrivacy("y", 1.0, 1e-6)),
                  replace(named, result=ResultOrigin("job_0123456789", "y"))):  # fmt: skip
        with pytest.raises(SecureFlowError, match="two privacy domains"):
            check_dataset(other)


async def test_datasets_of_one_privacy_domain_share_one_limit(tmp_path: Path) -> None:
    agent = Owner(tmp_path)
    named = replace(agent.dataset, name="named", probing=ProbingLimit(100, domain="customers"))
    other = replace(named, probing=ProbingLimit(99, domain="customers"))
    values = agent.settings.model_dump()
    assert AgentSettings(**{**values, "datasets": (agent.dataset, named)}).datasets[1] == named
    with pytest.raises(ValueError, match="different probing limits"):
        AgentSettings(**{**values, "datasets": (agent.dataset, other)})


# A restored agent, and one whose record is older than the log.


def commands(agent: Owner) -> ProbingCommands:
    return ProbingCommands(agent.assembly, agent.link)


async def test_a_restored_backup_refills_nothing_until_the_owner_has_spoken(
    tmp_path: Path,
) -> None:
    agent = await owner(tmp_path)
    copy = backed_up(agent)
    await agent.probing.reserve(agent.job, agent.dataset, [A_LIST])
    agent.probing.begin(agent.job, agent.dataset, [A_LIST])
    agent.entries = logged(agent)
    put_back(agent, copy)
    error = await refused("probing_locked", agent.probing.check(JOB, agent.dataset, [A_LIST]))
    assert "secureflow agent probing settle customers" in error.hint
    known = await commands(agent).settle("customers")
    assert known == {"domain": "customers", "jobs": [JOB], "remaining": None}
    assert (await agent.row())["locked"]
    settled = await commands(agent).settle("customers", 60)
    assert settled["remaining"] == 40
    assert agent.actions("probing.settled") == [
        {"domain": "customers", "tested": 60, "remaining": 40}
    ]
    await refused("probing_not_locked", commands(agent).settle("customers", 0))
    await refused("probing_not_locked", commands(agent).settle("customers"))
    await refused("probing_exceeded", agent.probing.check("job_9", agent.dataset, [A_LIST]))
    agent.reopen()
    assert await agent.tested() == 60


@pytest.mark.parametrize("tested", [-1, 1 << 53])
async def test_a_statement_is_a_number_of_ids(tmp_path: Path, tested: int) -> None:
    agent = await owner(tmp_path)
    put_back(agent, backed_up(agent))
    await refused("invalid_request", commands(agent).settle("customers", tested))
    assert (await agent.row())["locked"]


async def test_an_older_record_than_the_log_tests_nothing_more(tmp_path: Path) -> None:
    """The record alone was put back: the own leaf of the log says so."""
    agent = await owner(tmp_path)
    copy = backed_up(agent)
    await agent.probing.reserve(agent.job, agent.dataset, [A_LIST])
    agent.entries = logged(agent)
    put_raw(agent, copy)
    error = await refused(
        "budget_rolled_back", agent.probing.reserve(agent.job, agent.dataset, [A_LIST])
    )
    assert "secureflow agent probing settle customers" in error.hint
    assert await agent.tested() == 0


async def test_a_record_that_lost_events_is_refused_and_the_check_says_so(tmp_path: Path) -> None:
    agent = await owner(tmp_path)
    await agent.probing.reserve(agent.job, agent.dataset, [A_LIST])
    assert all(one["ok"] for one in check_record(agent.settings) if one["check"] == "budgets")
    with agent.store.transaction():
        agent.store._write("DELETE FROM budget_events WHERE event LIKE '%reserve%'")
    agent.reopen()
    await refused("budget_rolled_back", agent.probing.check(JOB, agent.dataset, [A_LIST]))
    (found,) = [one for one in check_record(agent.settings) if one["check"] == "budgets"]
    assert not found["ok"]
    assert "probing:customers" in str(found["message"])


async def test_each_reservation_is_a_leaf_of_the_chain_of_the_agent(tmp_path: Path) -> None:
    agent = await owner(tmp_path)
    await agent.probing.reserve(agent.job, agent.dataset, [A_LIST])
    await agent.probing.reserve(agent.job, agent.dataset, [replace(A_LIST, ids=1, inputs="x")])
    leaves = agent.store.leaves_of(BUDGET)
    assert [one.bundle["document"]["events"] for one in leaves] == [2, 3]
    signed = [leaf_from_json(one.bundle["leaf"]) for one in leaves]
    assert signed[1].leaf.prev == signed[0].hash()


# The owner's limit.


async def test_a_limit_change_is_an_event_and_a_line_of_the_log(tmp_path: Path) -> None:
    agent = await owner(tmp_path)
    await agent.probing.reserve(agent.job, agent.dataset, [A_LIST])
    for limit, grows in (({"limit": 50}, False), ({"limit": 100}, False), ({"limit": 101}, True),
                         ({"limit": 90, "window": 30}, True)):  # fmt: skip
        agent.limit = limit
        (change,) = agent.probing.changes([agent.dataset]) or [None]
        if limit["limit"] == 100:
            assert change is None
        else:
            assert (change["after"]["limit"], change["grows"]) == (limit["limit"], grows)
    agent.reopen()
    changes = agent.probing.changes([agent.dataset])
    agent.probing.take_limits(changes, agent.now)
    assert agent.store.budget_events("probing:customers")[-1]["limit"] == 90
    assert agent.actions("probing.limit") == changes
    assert agent.probing.changes([agent.dataset]) == []
