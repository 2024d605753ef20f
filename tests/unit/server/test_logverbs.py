"""What agents show the centre of its own log, and what is told to all while it is held."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.adapters.link import LogProgress, PeerIdentity
from secureflow.engines.ledger.notes import Checkpoint, sign_checkpoint
from secureflow.engines.ledger.setback import MAX_SHOWN, Hold
from secureflow.kit.errors import InfrastructureError
from secureflow.server.logverbs import MAX_AGAIN, judge_greeting
from tests.stage import BANKS, ORIGIN
from tests.unit.application.refusing import refused
from tests.unit.server.conftest import FAST, Api
from tests.unit.server.test_edge import assert_problem
from tests.unit.server.test_rpc import ENCLAVE, Desk, desk

__all__ = ["desk"]


def greater(desk: Desk) -> str:
    """A head that the log signed and does not hold."""
    return sign_checkpoint(
        Checkpoint(ORIGIN, 10_000, b"\x05" * 32), desk.stage.ledger._keys.signing
    )


async def test_a_greeting_with_a_newer_head_holds_the_log_before_anything_is_asked(
    desk: Desk,
) -> None:
    stage = desk.stage
    own = stage.keys["bank-a"].public
    await desk.desk.hello(desk.peer("bank-a"), {"key": own, "head": await stage.ledger.head()})
    await desk.desk.hello(desk.peer("bank-a"), {"key": own, "head": ""})
    await desk.desk.hello(desk.peer("bank-a"), {"key": own})  # an older agent
    await desk.call("log.show", heads=[])
    assert stage.ledger.hold is None
    await desk.desk.hello(desk.peer("bank-a"), {"key": own, "head": greater(desk)})
    assert stage.ledger.hold is not None
    # Parties hear it, heads are shown to nobody, and what a job waits for is waited for.
    log = (await desk.call("status"))["log"]
    assert log["held"]["code"] == "log_set_back"
    with pytest.raises(InfrastructureError, match="log_set_back"):
        await desk.desk.log_proofs("bank-a", {"head": await stage.ledger.head()}, LogProgress(3))


async def test_who_goes_by_a_newer_charter_does_not_count_as_seen_until_it_is_here(
    desk: Desk,
) -> None:
    """Else a restored log goes on before the members that only the newer one names were heard."""
    stage = desk.stage
    before = await stage.services.charters.current()
    assert before is not None
    shown = await stage.services.charters.propose(stage.operator, list(BANKS))
    await stage.sign_charter(shown, [{"organisation": name} for name in BANKS])
    newer = await stage.services.charters.current()
    assert newer is not None
    async with stage.services.begin() as work:
        await work.set_setting("charter", before.json())
        await work.commit()
    size = await stage.ledger.caught_up()
    await stage.ledger.judge(lambda _, __: Hold("restored", 1, size, kept=size))
    own, head = stage.keys["bank-a"].public, await stage.ledger.head()
    named = {"version": 2, "digest": newer.charter.digest}
    twin = {"version": 1, "digest": newer.charter.digest}
    for charter in (named, twin):
        await desk.desk.hello(desk.peer("bank-a"), {"key": own, "head": head, "charter": charter})
        answer = await desk.call("log.show", heads=[head], charter=charter)
        assert answer["charter"] == 1
        assert "bank-a" in (await stage.services.guard.hold_error()).details["waiting"]
    with refused("malformed_charter"):
        await desk.call("charter.take_over", charter={"charter": {}})
    await desk.call("charter.take_over", charter=newer.json())
    answer = await desk.call("log.show", heads=[head], charter=named)
    assert answer["charter"] == 2
    assert "bank-a" not in (await stage.services.guard.hold_error()).details["waiting"]


async def test_people_are_told_old_head_own_head_and_what_is_lost(desk: Desk) -> None:
    stage = desk.stage
    api = Api(stage, FAST)
    assert (await api.http.get("/readyz")).json()["signing"] is True
    size = await stage.ledger.caught_up()
    answer = await desk.call("log.show", heads=[greater(desk)], places=[])
    details = answer["held"]["details"]
    assert details["lost"] == 10_000 - details["start"]
    response = await api.http.get("/readyz")
    assert response.status_code == 503
    told = response.json()
    assert told["signing"] is False
    assert (told["log_set_back"]["details"]["old"], told["log_set_back"]["details"]["own"]) == (
        10_000, size,
    )  # fmt: skip
    bearer = {"Authorization": f"Bearer {await stage.bearer(stage.operator)}"}
    head = (await api.http.get("/api/v1/audit/head", headers=bearer)).json()
    assert head["held"]["code"] == "log_set_back"
    body = {"id": "bank-n", "name": "New"}
    refusal = await api.http.post("/api/v1/organisations", json=body, headers=bearer)
    assert_problem(refusal, 503, "log_set_back")


@pytest.mark.parametrize(
    "body",
    [
        {"heads": "x"},
        {"heads": [7]},
        {"heads": ["x" * 5000]},
        {"heads": ["x"] * (MAX_SHOWN + 1)},
        {"heads": [], "places": "x"},
        {"heads": [], "places": 7},
        {"heads": [], "places": [7]},
        {"heads": [], "places": [[7, 1]]},
        {"heads": [], "places": [["ab" * 32, "1"]]},
        {"heads": [], "places": [["ab" * 32]]},
        {"heads": [], "places": [["ab" * 32, -1]]},
        {"heads": [], "places": [["zz" * 32, 1]]},
        {"heads": [], "places": [["ab" * 32, True]]},
        {"heads": [], "places": [["ab" * 32, 1]] * (MAX_SHOWN + 1)},
    ],
)
async def test_what_is_malformed_is_refused(desk: Desk, body: dict[str, Any]) -> None:
    with refused("invalid_request"):
        await desk.call("log.show", **body)
    assert desk.stage.ledger.hold is None


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("log.prove", {}),
        ("log.prove", {"from": 3, "to": 2}),
        ("log.prove", {"from": -1, "to": 2}),
        ("log.prove", {"from": True, "to": 2}),
        ("log.prove", {"from": "1", "to": 2}),
        ("log.prove", {"from": 0, "to": 1 << 53}),
        ("log.prove", {"from": 0, "to": 1, "places": [["ab" * 32, 1]] * (MAX_SHOWN + 1)}),
        ("log.mine", {"limit": -1}),
        ("log.mine", {"limit": "1"}),
        ("log.mine", {"limit": 1 << 53}),
        ("log.resubmit", {"leaves": {}}),
        ("log.resubmit", {"leaves": [{}] * (MAX_AGAIN + 1)}),
        ("log.resubmit", {"jobs": {}}),
        ("log.resubmit", {"jobs": ["job_1"] * (MAX_AGAIN + 1)}),
        ("log.resubmit", {"jobs": [7]}),
        ("log.resubmit", {"jobs": [""]}),
        ("log.resubmit", {"jobs": ["x" * 65]}),
        ("log.resubmit", {"jobs": ["job\0"]}),  # no text for PostgreSQL
    ],
)
async def test_what_is_malformed_of_other_questions_is_refused(
    desk: Desk, kind: str, body: dict[str, Any]
) -> None:
    with refused("invalid_request"):
        await desk.call(kind, **body)


async def test_of_what_is_asked_only_so_much_is_looked_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    async def newest_of(party: str, limit: int) -> list[Any]:
        asked.append(limit)
        return []

    monkeypatch.setattr(desk.stage.ledger, "newest_of", newest_of)
    assert await desk.call("log.mine", limit=1000) == {"leaves": []}
    assert asked == [MAX_SHOWN]
    assert await desk.stage.ledger.caught_up() > 1
    answer = await desk.call("log.prove", **{"from": 0, "to": 1}, places=[["ab" * 32, 1]])
    assert answer == {"consistency": [], "inclusion": []}


@pytest.mark.parametrize("kind", ["log.show", "log.resubmit", "log.mine"])
async def test_an_enclave_is_no_witness(desk: Desk, kind: str) -> None:
    enclave = PeerIdentity("enclave", ENCLAVE, "1")
    with refused("forbidden"):
        await desk.desk.call(enclave, kind, {"heads": [greater(desk)]})
    await judge_greeting(desk.stage.services, enclave, {"head": greater(desk)})
    assert desk.stage.ledger.hold is None


async def test_a_restored_centre_says_so_to_parties_and_people(desk: Desk) -> None:
    stage = desk.stage
    api = Api(stage, FAST)
    bearer = {"Authorization": f"Bearer {await stage.bearer(stage.operator)}"}
    assert (await api.http.get("/api/v1/audit/head", headers=bearer)).json()["restored"] is None
    assert (await desk.call("status"))["log"]["restored"] is None
    async with stage.services.begin() as work:
        row = {"restored_at": 9, "taken_at": 5, "size": 3, "settled": {"at": 9, "how": "unchanged"}}
        await work.set_setting("restored", row)
        await work.commit()
    told = {"restored_at": 9, "taken_at": 5}
    assert (await desk.call("status"))["log"]["restored"] == told
    assert (await api.http.get("/api/v1/audit/head", headers=bearer)).json()["restored"] == told
