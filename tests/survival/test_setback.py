"""A centre set back by a copy of its folder, on real processes: held, named, continued, told."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from secureflow.agent import api
from secureflow.agent.edge.doctor import examine
from secureflow.cli.main import app
from secureflow.demo.platform import Platform
from secureflow.demo.processes import stop_all
from secureflow.domain.charter import SignedCharter
from secureflow.domain.jobs import Job
from secureflow.engines.ledger.bundle import BundleVerdict, verify_bundle
from secureflow.kit.errors import SecureFlowError
from tests.survival.world import await_end, platform, rehearsal, standing

BANKS = ("bank-a", "bank-b", "bank-c")
PATIENCE = 60.0


def until(condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Return what the condition returns once it is true."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.1)
    return found


def run(place: Platform, name: str) -> Job:
    with place.client("bank-a") as client:
        return await_end(client, client.jobs.submit(rehearsal(place, BANKS, 1, 60, name=name)).id)


def bundle_of(place: Platform, job: str) -> Any:
    with place.client("bank-a") as client:
        return client.jobs.bundle(job)


def head(place: Platform) -> dict[str, Any]:
    with place.client() as admin:
        return dict(admin.audit.head())


def set_back(place: Platform, copy: Path) -> None:
    """Stop the centre and put an older copy of its whole folder in place, as a snapshot does."""
    stop_all([place.processes["server"]])
    shutil.rmtree(place.server)
    shutil.copytree(copy, place.server)
    place.start("server")


def snapshot(place: Platform, copy: Path) -> int:
    """Copy the centre as it is; return how many entries its log has: each login adds one."""
    stop_all([place.processes["server"]])
    shutil.copytree(place.server, copy)
    with closing(sqlite3.connect(f"file:{copy}/secureflow.db?mode=ro", uri=True)) as database:
        ((size,),) = database.execute("SELECT size FROM log_head").fetchall()
    place.start("server")
    return int(size)


def known(place: Platform) -> dict[str, int]:
    """Return how long a log each party has seen."""
    return {party: api.status(place.parties[party].config)["log_size"] for party in BANKS}


def failed_checks(place: Platform, party: str) -> dict[str, Any]:
    return {one["check"]: one for one in examine(place.parties[party].config) if not one["ok"]}


def charters(place: Platform, party: str) -> tuple[SignedCharter, list[SignedCharter]]:
    told = api.charter_show(place.parties[party].config)
    earlier = [SignedCharter.from_json(one) for one in told["history"]]
    return SignedCharter.from_json(told["pinned"]), earlier


def judged(place: Platform, bundle: Any) -> BundleVerdict:
    pinned, earlier = charters(place, "bank-a")
    return verify_bundle(bundle, pinned.charter, known=earlier)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    made = tmp_path_factory.mktemp("setback") / "platform"
    with platform(made, data=False, mortal=False) as built:
        yield built


def test_a_log_set_back_is_held_continued_and_told_for_ever(
    place: Platform, tmp_path: Path
) -> None:
    before = run(place, "before")
    assert before.state == "succeeded"
    old_bundle = bundle_of(place, before.id)
    start = snapshot(place, tmp_path / "copy")
    lost = run(place, "lost")
    lost_bundle = bundle_of(place, lost.id)
    set_back(place, tmp_path / "copy")

    # Held at once, by what the agents show; everybody is told old head, own head and loss.
    # Nobody logs in until an agent was there: a login before that is an entry, and makes a fork.
    until(lambda: api.status(place.parties["bank-a"].config)["set_back"])
    held = until(lambda: head(place)["held"])
    assert held["code"] == "log_set_back"
    assert held["details"]["own"] == start
    until(lambda: head(place)["held"]["details"]["old"] == max(known(place).values()))
    newest = max(known(place).values())
    assert newest > start
    for party in BANKS:
        until(lambda party=party: api.status(place.parties[party].config)["set_back"])
        checks = failed_checks(place, party)
        assert set(checks) == {"log"}, checks
        shown = {f"{size - start} entries are lost" for size in (newest, known(place)[party])}
        assert any(one in checks["log"]["message"] for one in shown), checks
    with place.client("bank-a") as client, pytest.raises(SecureFlowError) as caught:
        client.jobs.submit(rehearsal(place, BANKS, 1, 30))
    assert caught.value.code == "log_set_back"
    assert "secureflow charter continue" in caught.value.hint
    assert head(place)["size"] == start

    # The operator drafts; two of three are not more than two thirds; nothing is signed till then.
    with place.client() as admin:
        words = admin.charter.draft_continuation().words
    for party in ("bank-a", "bank-b"):
        api.charter_sign(place.parties[party].config, words)
        assert head(place)["size"] == start
    api.charter_sign(place.parties["bank-c"].config, words)
    now = head(place)
    assert now["held"] is None
    assert (now["origin"], now["size"] > start) == (f"{old_bundle['origin']}~2", True)
    for party in BANKS:  # who signed follows by itself
        until(lambda party=party: not failed_checks(place, party))

    # It goes on, also after a restart; every bundle verifies, and tells the gap.
    stop_all([place.processes["server"]])
    place.start("server")
    assert head(place)["origin"] == now["origin"]
    after = run(place, "after")
    assert after.state == "succeeded", after.error
    fresh = bundle_of(place, after.id)
    verdict = judged(place, fresh)
    assert verdict.ok, verdict
    (gap,) = verdict.gaps
    assert (gap.size, gap.start, gap.lost, gap.members) == (newest, start, newest - start, 3)
    assert gap.signed == BANKS
    for bundle in (old_bundle, lost_bundle, bundle_of(place, before.id)):
        told = judged(place, bundle)
        assert told.ok, told
        assert [one.start for one in told.gaps] == [start]
    # What was lost is there again: the agents' own leaves, of the lost job too.
    with place.client() as admin:
        again = [one for one in admin.audit.entries() if one.get("job") == lost.id]
    own = {leaf["hash"] for leaf in api.leaves(place.parties["bank-b"].config, job=lost.id)}
    assert own <= {one["hash"] for one in again}
    check_forgeries(place, fresh)
    check_command(place, fresh, tmp_path)


def check_forgeries(place: Platform, bundle: Any) -> None:
    """A continuation that is hidden, or signed by too few, makes no bundle."""
    pinned, earlier = charters(place, "bank-a")
    first = earlier[0].charter
    assert verify_bundle(bundle, first).ok  # who pinned the version before believes the signatures
    hidden = {name: one for name, one in bundle.items() if name != "history"}
    for charter in (pinned.charter, first):
        assert not verify_bundle(hidden, charter).ok
    few = json.loads(json.dumps(bundle))
    few["history"][-1]["signatures"].popitem()
    for charter in (pinned.charter, first):
        assert not verify_bundle(few, charter).ok
    without = json.loads(json.dumps(bundle))
    without["entries"] = [
        one for one in without["entries"] if one["leaf"]["leaf"]["kind"] != "log.continued"
    ]
    assert not verify_bundle(without, pinned.charter).ok


def check_command(place: Platform, bundle: Any, directory: Path) -> None:
    charter, file = directory / "charter.json", directory / "bundle.json"
    file.write_text(json.dumps(bundle))
    runner = CliRunner()
    config = str(place.parties["bank-a"].config)
    saved = runner.invoke(
        app, ["agent", "charter", "show", "--config", config, "--save", str(charter)]
    )
    assert saved.exit_code == 0, saved.output
    verify = ["audit", "verify", str(file), "--charter", str(charter)]
    told = runner.invoke(app, verify)
    assert told.exit_code == 0, told.output
    assert "Gap: the log" in told.output
    parsed = runner.invoke(
        app, ["audit", "verify", str(file), "--charter", str(charter), "-o", "json"]
    )
    assert json.loads(parsed.stdout)["gaps"][0]["lost"] > 0


def test_an_agent_set_back_in_mid_job_says_so_and_the_job_ends_by_name(
    place: Platform, tmp_path: Path
) -> None:
    """A snapshot of the agent's whole folder, its mark included, comes back between two rounds."""
    owner, copy = place.parties["bank-b"], tmp_path / "agent"
    with place.client("bank-a") as client:
        job = client.jobs.submit(rehearsal(place, BANKS, 400, 60))

        def rounds() -> int:
            return int(client.jobs.get(job.id).progress.get("round", 0))

        until(lambda: rounds() >= 1)
        stop_all([place.processes["bank-b"]])
        shutil.copytree(owner.directory, copy)
        place.start("bank-b")
        before = rounds()
        until(lambda: rounds() >= before + 2)
        stop_all([place.processes["bank-b"]])
        shutil.rmtree(owner.directory)
        shutil.copytree(copy, owner.directory)
        place.start("bank-b")
        ended = await_end(client, job.id)
    assert ended.state == "failed"
    assert ended.error is not None
    assert "bank-b" in ended.error["message"]
    assert "record" in ended.error["message"], ended.error
    alarm = failed_checks(place, "bank-b")["alarm"]
    assert alarm["code"] == "record_set_back"
    assert job.id in alarm["message"]
    # On its owner's word it goes on, without that job; the next one verifies.
    api.clear_alarm(owner.config, "the newest record is gone")
    assert "alarm" not in failed_checks(place, "bank-b")
    after = run(place, "after-set-back")
    assert after.state == "succeeded", after.error
    assert judged(place, bundle_of(place, after.id)).ok


@pytest.mark.full
def test_an_agent_that_goes_back_without_a_start_says_so(place: Platform) -> None:
    """A snapshot with the memory in it: a copy has worked while the agent was held as it was."""
    owner, twin = place.parties["bank-b"], place.directory / "twin"
    assert run(place, "before-snapshot").state == "succeeded"
    held = place.processes["bank-b"]
    with standing(held):
        left_out = shutil.ignore_patterns("*.sock", "*.lock", "ready.json")
        shutil.copytree(owner.directory, twin, ignore=left_out)
        place.start("twin")
        lost = run(place, "lost-again")
        assert lost.state == "succeeded", lost.error
        stop_all([place.processes["twin"]])
    ended = run(place, "after-snapshot")
    assert ended.state != "succeeded"
    alarm = failed_checks(place, "bank-b")["alarm"]
    assert alarm["code"] == "record_set_back"
    assert lost.id in alarm["message"]
    # Its newest record is the other's: put back, it goes on.
    stop_all([held])
    shutil.rmtree(owner.directory)
    shutil.move(twin, owner.directory)
    place.start("bank-b")
    after = run(place, "after-newest")
    assert after.state == "succeeded", after.error
