"""A job's revenue over real processes: three banks, an enclave, a keeper's file and a chain.

What each agent's own place says is owed is what the statement says, at every step, though an agent
is killed between a payment and its sending.
"""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from secureflow.agent import api
from secureflow.demo import anchoring
from secureflow.demo.anchoring import DemoAnchors
from secureflow.demo.platform import Owner, Platform, edit
from secureflow.domain.specs.contribution import ContributionPlan
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import Client
from tests.peers import chains
from tests.scenarios.test_contribution import granted
from tests.survival.latekeeper import LATER
from tests.survival.world import PLAN, await_end, platform, training

PATIENCE = 240.0
WINDOW = 60
"""Of the places: the least that they take."""
KEEPER, PAYER, THIRD = "bank-a", "bank-b", "bank-c"
SCORED = replace(PLAN, validation=0.2, contribution=ContributionPlan(rows=20))
TERMS: dict[str, Any] = {
    "weights": {"scores": 3, "rows": 1, "participation": 1}, "floor": 500, "rounding": THIRD,
    "currency": "EUR", "window_days": 0, "payer": PAYER, "per_job": 100_001,
    "unscored": "left_out", "kinds": ["training"],
}  # fmt: skip


class Course:
    """A platform whose agents keep what they settle at the places."""

    def __init__(self, place: Platform, client: Client, chain: str) -> None:
        self.place = place
        self.client = client
        self.chain = chain
        self.settlement = ""

    def owner(self, party: str) -> Owner:
        return self.place.parties[party]

    def decide(self, party: str, act: str, **facts: Any) -> Any:
        return api.settlement_decide(self.owner(party).config, act, self.settlement, **facts)

    def approve(self, party: str) -> Any:
        shown: Any = api.settlement_show(self.owner(party).config, self.settlement)
        return self.decide(party, "approve", confirm=shown["digest"])

    def entries(self, party: str) -> list[Any]:
        found: list[Any] = api.anchor_list(self.owner(party).config, limit=1000)["entries"]
        return found

    def at_places(self, party: str, kind: str, count: int) -> None:
        """Wait until so many of a member's entries of a kind are final, at each of its places."""
        places = 1 + bool(self.chain)

        def there() -> bool:
            ended = [one for one in self.entries(party) if one["kind"] == kind]
            states = [(one["state"], one["result"]) for one in ended]
            return states == [("final", "kept")] * (count * places)

        until(there, lambda: self.entries(party))

    def owed(self, party: str) -> list[dict[str, int]]:
        """Return what each place says, as this member's agent asks it."""
        found = api.anchor_owed(self.owner(party).config, self.place.project)
        assert [one["trouble"] for one in found] == [None] * (1 + bool(self.chain))
        return [one["owed"] for one in found]

    def later(self) -> None:
        """Let the window of both places pass."""
        (self.owner(KEEPER).directory / LATER).write_text(str(2 * WINDOW))
        for method, given in (("evm_increaseTime", [2 * WINDOW]), ("evm_mine", [])):
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": given}
            if self.chain:
                assert "error" not in httpx.post(self.chain, json=body).json()


def until(what: Callable[[], bool], told: Callable[[], object] = str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Course]:
    monkeypatch.setattr(anchoring, "WINDOW", WINDOW)
    with ExitStack() as stack:
        file = DemoAnchors("file", stack, chains.place())
        chain = DemoAnchors("evm", stack, chains.place())
        if chains.lacking() and os.environ.get(chains.DEMANDED):
            chains.demand_anvil()  # fails; else the file alone is tested
        chained = not chains.lacking()
        urls: list[str] = []

        def enrolled(made: Platform) -> None:
            file.before_start(made)
            edit(made.parties[KEEPER].config, {"witness": {"keeper": {"window": WINDOW}}})

        def chartered(made: Platform) -> None:
            if not chained:
                return
            kept = {name: settings(one)["anchors"] for name, one in made.parties.items()}
            chain.after_charter(made)
            for name, one in made.parties.items():
                (added,) = settings(one)["anchors"]
                urls[:] = [added["url"]]
                edit(one.config, {"anchors": [*kept[name], {**added, "name": "chain"}]})
            made.restart(made.parties)

        options = {"enrolled": enrolled, "chartered": chartered}
        entry = {KEEPER: ("-m", "tests.survival.latekeeper")}
        made = stack.enter_context(platform(tmp_path / "p", mortal=False, entry=entry, **options))
        client = stack.enter_context(made.client("bank-a"))
        yield Course(made, client, *urls or [""])


def settings(owner: Owner) -> Any:
    import yaml

    return yaml.safe_load(owner.config.read_text())


def scored_job(course: Course) -> str:
    granted(course.place, rows=20, simulated=True)
    job = course.client.jobs.submit(training(course.place, SCORED))
    ended = await_end(course.client, job.id)
    assert ended.state == "succeeded", ended.error
    return str(job.id)


def agree(course: Course) -> None:
    project = course.place.project
    course.client.settlements.draft(project, TERMS)
    for owner in course.place.parties.values():
        shown: Any = api.revenue_show(owner.config, project)
        api.revenue_sign(owner.config, project, shown["candidate"]["digest"])


def paid(course: Course, payee: str, amount: int) -> str:
    told = course.decide(PAYER, "pay", payee=payee, amount=amount, reference=f"for {payee}")
    return str(told["deed"]["statement"]["reference"])


def statement(course: Course, party: str) -> dict[str, int]:
    """Return organisation → minor units by a statement's table."""
    text = course.client.settlements.statement_csv(course.settlement, party)
    rows = csv.DictReader(io.StringIO(text))
    totals = [one for one in rows if one["section"] == "total"]
    return {one["organisation"]: int(one["minor_units"]) for one in totals}


def test_what_places_say_is_owed_is_what_the_statement_says(course: Course) -> None:
    client = course.client
    job = scored_job(course)
    agree(course)
    course.settlement = client.settlements.open(course.place.project, [job]).id
    assert course.decide(THIRD, "dispute", reason="my rows")["state"] == "open"
    for party in (KEEPER, PAYER):
        course.approve(party)
        course.at_places(party, "setContributions", 1)
    assert course.approve(THIRD)["state"] == "disputed"
    course.at_places(THIRD, "dispute", 1)  # with its own vote, which made the shares stand
    with pytest.raises(SecureFlowError, match="it is disputed"):
        client.settlements.close(course.settlement)
    assert course.decide(THIRD, "withdraw")["state"] == "approved"
    course.at_places(THIRD, "withdraw", 1)
    course.later()
    assert client.settlements.close(course.settlement).state == "closed"
    for owner in course.place.parties.values():
        api.settlement_list(owner.config, course.place.project)
    for party in course.place.parties:
        course.at_places(party, "split", 1)
    stated = statement(course, PAYER)
    assert sum(stated.values()) == TERMS["per_job"]
    due = {party: amount for party, amount in stated.items() if party != PAYER}
    assert min(due.values()) > 0
    assert course.owed(PAYER) == [due] * (1 + bool(course.chain))
    for party, amount in due.items():
        assert course.owed(party) == [{party: amount}] * (1 + bool(course.chain))
    references = {party: paid(course, party, amount) for party, amount in due.items()}
    kill(course.place, PAYER)  # both payments are told; neither was sent
    course.place.start(PAYER)
    course.at_places(PAYER, "settle", 2)
    assert course.owed(PAYER) == [due] * (1 + bool(course.chain))  # stated is not paid
    for party, reference in references.items():
        course.decide(party, "confirm", payer=PAYER, reference=reference)
    for party in due:
        course.at_places(party, "confirm", 1)
    assert course.owed(PAYER) == [dict.fromkeys(due, 0)] * (1 + bool(course.chain))
    assert client.settlements.get(course.settlement).state == "paid"
    shown = json.dumps(course.entries(PAYER))
    assert course.settlement in shown  # of which settlement an entry is, to its owner
    assert not [one for owner in due for one in course.entries(owner) if one["state"] == "refused"]


def kill(place: Platform, party: str) -> None:
    os.kill(place.processes[party].pid, signal.SIGKILL)
    place.processes[party].join()
