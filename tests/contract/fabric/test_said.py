"""What a peer says is checked before it is used, and no key is where others see it."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from secureflow.adapters.anchors.fabric.driver import FabricAnchor, FabricKeys, FabricPlace
from secureflow.adapters.anchors.fabric.events import Strange, done_of
from secureflow.application.ports.anchor import Position, Ticket
from secureflow.engines.anchors.entries import RegisterJob
from secureflow.kit.errors import SecureFlowError
from tests.peers.fabric_world import Authority, Member, head, python

ENTRIES = [head(1), RegisterJob(b"j" * 32, b"s" * 32)]


def said() -> dict[str, Any]:
    event = {
        "at": 1,
        "results": ["kept", "refused"],
        "digests": [one.digest.hex() for one in ENTRIES],
        "happened": [
            {"index": 0, "result": "kept", "sender": "ab" * 32, "entry": ENTRIES[0].json()},
            {"index": 1, "result": "refused", "sender": "ab" * 32, "reason": "full"},
        ],
    }
    place = {"id": "cd" * 32, "block": 3, "hash": "ef" * 32, "index": 1, "code": "VALID"}
    return {**place, "event": event}


def read(told: dict[str, Any]) -> Any:
    return done_of({**told, "event": json.dumps(told["event"])})


def test_what_is_as_it_should_be_is_read() -> None:
    done = read(said())
    assert done.results == ("kept", "refused")
    assert done.reasons == ("", "full")
    assert [(one.entry, one.position.index) for one in done.happened()] == [(ENTRIES[0], 64)]
    invalid = done_of({**said(), "code": "MVCC_READ_CONFLICT", "event": "{"})
    assert not invalid.happened()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda told: told.update(id="x"),
        lambda told: told.update(block=-1),
        lambda told: told.update(hash="EF" * 32),
        lambda told: told.update(event=[]),
        lambda told: told["event"].update(at="1"),
        lambda told: told["event"].update(results=["kept"]),
        lambda told: told["event"].update(results=["kept", "well"]),
        lambda told: told["event"].update(results=["kept", "kept"]),
        lambda told: told["event"].update(results=["kept"] * 65, digests=[""] * 65),
        lambda told: told["event"].update(digests=["00" * 32] * 2),
        lambda told: told["event"]["happened"].reverse() or told["event"]["happened"].pop(),
        lambda told: told["event"]["happened"][0].update(index=1),
        lambda told: told["event"]["happened"][0].update(index=2),
        lambda told: told["event"]["happened"][0].update(result="fork"),
        lambda told: told["event"]["happened"][0].update(sender="me"),
        lambda told: told["event"]["happened"][0].update(entry=ENTRIES[1].json()),
        lambda told: told["event"]["happened"][0]["entry"].update(size=2),
        lambda told: told["event"]["happened"][0]["entry"].update(kind="other"),
    ],
)
def test_another_shape_is_refused(wrong: Any) -> None:
    told = said()
    wrong(told)
    with pytest.raises(Strange):
        read(told)


def test_a_reason_that_is_no_word_of_the_rules_is_not_repeated() -> None:
    told = said()
    told["event"]["happened"][1]["reason"] = "pay here"
    assert read(told).reasons == ("", "")


def test_whatever_is_said_is_read_or_refused() -> None:
    draw = random.Random(1)
    for _ in range(500):
        told = copy.deepcopy(said())
        told["event"] = broken(json.dumps(told["event"]), draw)
        try:
            done_of(told)
        except Strange:
            continue


def broken(text: str, draw: random.Random) -> str:
    at = draw.randrange(len(text))
    return text[:at] + draw.choice(["", "0", '"', "}", "[", "null", "9" * 20]) + text[at + 1 :]


ODD: tuple[Any, ...] = (
    None, True, 7, -1, 1.5, "", "x", "9" * 5000, [], [[]], [{}], {}, {"a": 1}, {"a": {}},
    {"aa" * 32: {"account": 1, "signature": []}}, [{"tx": "ab" * 32}],
    [{"tx": "ab" * 32, "root": 1, "size": "x", "sender": 1}],
    {"place": [], "window": {}, "successor": 0}, {"place": 1},
)  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=repr)
async def test_whatever_a_view_gives_is_a_named_error(odd: Any, tmp_path: Path) -> None:
    """Any other exception would end the task that sends to this place, or the doctor."""
    org = Authority("Org1MSP")
    where = FabricPlace("h:1", b"", "ch", "cc", org.msp, Member(org, "ann").certificate)
    anchor = FabricAnchor(where, lambda: tmp_path, lambda: FabricKeys(b""))
    listed = odd if isinstance(odd, list) else []
    answers = {
        "evaluate": {"payload": json.dumps(odd)},
        "info": {"height": 1.8e19, "hash": ""},
        "block": {"hash": "xx", "transactions": listed},
        "page": {"transactions": listed, "through": None},
        "transaction": {"transaction": odd},
        "status": {"block": 3, "code": "VALID"},
    }

    async def ask(do: str, patience: float, **more: Any) -> Any:
        return answers[do]

    anchor.gateway.ask = ask  # type: ignore[method-assign]
    word, entry = bytes(32), ENTRIES[1]
    receipt = {"place": anchor.place, "transaction": "ab" * 32}
    for step in (
        anchor.members(), anchor.heads(word), anchor.owed(word, word, word),
        anchor.prepare([entry], []), anchor.outcome(Ticket("ab" * 32, {})),
        anchor.happened(None), anchor.happened(Position(3, "xx", 5)),
        anchor.checked(receipt, entry),
    ):  # fmt: skip
        with contextlib.suppress(SecureFlowError):
            await step
    assert (await anchor.probe()).problem


def test_blocks_and_transactions_that_are_none_are_refused() -> None:
    """In Fabric's environment, where they are parsed: 3,000 damaged ones."""
    program = Path(__file__).with_name("damaged.py")
    done = subprocess.run(
        [str(python()), "-I", "-B", str(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["damaged"] == 3000
