"""The script of an engine's program: driven whole, crashed everywhere, attempts lost."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from peers.mpyc_world import CODE, asked_of_mpyc, program

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.mpc.kind import MPC_ENGINE
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese
from tests.unit.engines.mpc.engine_world import EngineWorld, OnceLost, computed
from tests.unit.engines.training.world import Crash, Journal, drive

BROKEN = SecureFlowError("engine_failed", "The engine ended in its computation.", "See its log.")
ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "abc"]


def told(report: dict[str, Any]) -> dict[str, Any]:
    """The report without what a second run measures anew."""
    return {k: v for k, v in report.items() if k not in {"ledger", "history"}}


def test_results_stay_with_the_receivers_and_the_report_has_counts() -> None:
    world = EngineWorld(count=3)
    report = drive(world, [])
    found = report["computation"]
    assert list(found["kept"]) == found["receivers"] == ["bank-a"]
    assert found["rows"] == dict.fromkeys(world.spec.parties, 12)
    assert {one["bytes"] for one in found["channels"]} == {10}
    assert report["program"]["engine"] == "spu"
    assert report["program"]["receivers"] == ["bank-a"]
    outcome = {k: found[k] for k in ("program", "receivers", "attempt", "entered", "kept")}
    finished = next(one for one in world.entries if one.get("kind") == "job.finished")
    assert finished["document"]["computation"] == found["digest"] == digest(outcome)
    verdict = verify_bundle(json.loads(json.dumps(world.bundle())), world.charter)
    assert (verdict.status, verdict.failures) == ("verified", ())


def test_a_lost_attempt_is_begun_again_and_told() -> None:
    world = OnceLost(count=3)
    report = drive(world, [])
    assert report["computation"]["attempt"] == 2
    assert [one["state"] for one in report["computation"]["attempts"]] == ["failed", "succeeded"]
    (section,) = [one for one in report["sections"] if one["title"] == "Attempts"]
    assert "bank-b was restarted" in section["rows"][0]["value"]
    assert {number for _, number in world.runs} == {2}


@pytest.mark.parametrize("lost", [pytest.param(False, marks=pytest.mark.full), True])
def test_a_crash_at_any_effect_changes_nothing(lost: bool) -> None:
    made = OnceLost if lost else EngineWorld
    base, journal = made(count=3), Journal()
    want = told(drive(base, journal))
    for die_at in range(len(journal)):
        world, kept = made(count=3), list[Any]()
        with pytest.raises(Crash):
            drive(world, kept, die_at)
        assert told(drive(world, kept)) == want, die_at


def test_an_engine_that_breaks_every_time_ends_it_with_party_and_reason() -> None:
    world = EngineWorld(count=3)
    world.refuse["bank-b", "peer_run"] = BROKEN
    with pytest.raises(SecureFlowError, match="bank-b") as caught:
        drive(world, [])
    assert caught.value.code == "attempts_exhausted"
    assert caught.value.details["attempts"] == 3
    assert "The engine ended in its computation" in caught.value.message


def test_who_lost_an_attempt_is_named_where_others_had_run_it_to_its_end() -> None:
    """They run it once, and are not why the job ends."""

    class Ended(EngineWorld):
        def party_peer_run(self, party: str, body: dict[str, Any]) -> dict[str, Any]:
            if body["attempt"] == 1 and party == "bank-a":
                raise SecureFlowError("attempt_lost", "bank-a was restarted")
            if body["attempt"] == 1:
                return super().party_peer_run(party, body)
            if party == "bank-a":
                raise SecureFlowError("peer_broken", "bank-b went")
            raise SecureFlowError("attempts_exhausted", f"{party} runs it once")

    with pytest.raises(SecureFlowError, match="lost at bank-a") as caught:
        drive(Ended(count=3), [])
    assert (caught.value.code, caught.value.details["lost"]) == ("attempts_exhausted", ["bank-a"])
    assert caught.value.details["parties"] == ["bank-b", "bank-c"]
    assert chinese(caught.value.message)


def test_unequal_rows_end_it_at_once() -> None:
    world = EngineWorld(count=3)
    world.refuse["bank-b", "peer_run"] = SecureFlowError(
        "inputs_unequal", "bank-a brings 12 rows, and this party 11.", "Prepare them in one order."
    )
    with pytest.raises(SecureFlowError, match="bank-a brings 12 rows") as caught:
        drive(world, [])
    assert caught.value.code == "inputs_unequal"
    assert caught.value.hint == "Prepare them in one order."


def test_every_row_of_the_explanation_has_its_chinese() -> None:
    for name in ("ranking", "sealed-bid", "correlation"):
        spec = computed(ROSTER, computation={"name": name})
        explained = MPC_ENGINE.explanation(spec, tee="", accounting=None, rounds=[], dropouts=[])
        assert explained["privacy"] is None
        for row in (*explained["disclosure"], *explained["attacks"]):
            for part in ("who", "sees", "why", "attack"):
                text = row.get(part)
                assert not text or " " not in text or chinese(text), text


class ProgramWorld(EngineWorld):
    """They run a program of others, and the second party receives its files."""

    changes: ClassVar[dict[str, Any]] = {
        **{k: v for k, v in asked_of_mpyc(ROSTER).items() if k in {"protocol", "engine"}},
        "computation": program(arguments=["@turnover"]), "receivers": ["bank-b"],
    }  # fmt: skip


def test_the_report_of_a_program_of_others_names_its_code_and_what_it_read() -> None:
    report = drive(ProgramWorld(count=3), [])
    assert report["program"]["code"] == {
        "digest": CODE.digest, "entry": "program.py", "arguments": ["@turnover"],
        "input": "rows.csv",
    }  # fmt: skip
    assert report["program"]["label"]["threshold"] == "fewer than half of the parties"
    rows = {str(one["label"]): one["value"] for one in report["sections"][0]["rows"]}
    assert (rows["bundle"], rows["entry"]) == (CODE.digest, "program.py")
    assert rows["columns of bank-a, in inputs/rows.csv"] == ["turnover"]
    assert list(report["computation"]["kept"]) == ["bank-b"]


def test_who_sees_what_of_a_program_of_others_has_its_chinese() -> None:
    spec = parse(MpcSpec, asked_of_mpyc(ROSTER, ("bid", "rate"), receivers=["bank-b"]))
    explained = MPC_ENGINE.explanation(spec, tee="", accounting=None, rounds=[], dropouts=[])
    sees = [(one["who"], str(one["sees"])) for one in explained["disclosure"]]
    assert ("the program", "reads of bank-c: bid, rate") in sees
    assert [who for who, what in sees if "files that the program writes" in what] == ["bank-b"]
    assert ("half of the parties or more, together", "every input") in sees
    for row in (*explained["disclosure"], *explained["attacks"]):
        for part in ("who", "sees", "why", "attack"):
            text = row.get(part)
            assert not text or " " not in text or chinese(text), text
