"""A node that means harm: numbers that nothing holds, lists without end, values that grow as read.

No chain is needed: each answer is made up.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from secureflow.adapters.anchors.evm import answers
from secureflow.adapters.anchors.evm.answers import Log, block, logs
from secureflow.adapters.anchors.evm.coding import batch_of, call_of, entries_of, kept_of, topic
from secureflow.adapters.anchors.evm.faults import TooMuchError
from secureflow.adapters.anchors.evm.gas import dynamic_fees
from secureflow.adapters.anchors.evm.reading import Reading
from secureflow.adapters.anchors.evm.settings import MOST_FEE
from secureflow.engines.anchors import entries as e
from secureflow.kit.errors import InfrastructureError, SecureFlowError

abi = pytest.importorskip("eth_abi.abi")

JOB = e.RegisterJob(b"\x01" * 32, b"\x02" * 32)
WORD = f"0x{'1' * 64}"


def said(**changes: Any) -> dict[str, Any]:
    return {
        "address": f"0x{'2' * 40}", "topics": [WORD], "data": "0x", "blockNumber": "0x1",
        "blockHash": WORD, "transactionHash": WORD, "logIndex": "0x0", **changes,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["blockNumber", "logIndex"])
def test_a_place_that_no_record_holds_is_none(name: str) -> None:
    """SQLite has whole numbers of 64 bits: a larger one ended the task of every place."""
    (one,) = logs([said(**{name: hex(2**53 - 1)})])
    assert 2**53 - 1 in (one.block, one.index)
    with pytest.raises(InfrastructureError, match="malformed"):
        logs([said(**{name: hex(2**53)})])


def test_nor_is_a_block_or_a_time() -> None:
    head = {"hash": WORD, "gasLimit": "0x1"}
    with pytest.raises(InfrastructureError, match="malformed"):
        block({**head, "number": hex(2**64)})
    topics = (topic("Kept"), b"\x03" * 32, b"\x04" * 32, b"\x05" * 32)
    for time, sound in ((2**53 - 1, True), (2**53, False), (2**64 - 1, False)):
        data = abi.encode(("uint64", "bool", "bytes"), (time, False, call_of(JOB)))
        log = Log("", topics, data, 1, "", "", 0)
        if sound:
            assert kept_of(log).time == time
        else:
            with pytest.raises(InfrastructureError, match="malformed"):
                kept_of(log)


def test_too_many_events_are_too_much_and_not_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the block is read by its transactions."""
    monkeypatch.setattr(answers, "MOST_LOGS", 3)
    assert len(logs([said()] * 3)) == 3
    with pytest.raises(TooMuchError):
        logs([said()] * 4)


class Members:
    """A node that names members without end, or heads."""

    def __init__(self, each: int) -> None:
        self.each = each
        self.asked = 0

    async def opened(self) -> int:
        return 1

    async def view(self, name: str, begin: int, most: int) -> Any:
        self.asked += 1
        one = (bytes([self.asked % 256]) * 32, f"0x{'2' * 40}", (b"\x01" * 32, b"\x02" * 32))
        return [one] * self.each, begin + 1


@pytest.mark.parametrize(("each", "most"), [(0, 326), (1, 326), (200, 6)])
async def test_members_without_end_are_not_read_to_their_end(each: int, most: int) -> None:
    node: Any = Members(each)
    with pytest.raises(InfrastructureError, match="more members"):
        await Reading(node).members()
    assert node.asked == most


def test_a_call_that_grows_as_it_is_read_is_none() -> None:
    """Each part of a list may be the same bytes: 200 times a megabyte, of one that was sent."""
    parts, long = 200, 1 << 20
    heads = (32).to_bytes(32, "big") + parts.to_bytes(32, "big")
    heads += (parts * 32).to_bytes(32, "big") * parts
    call = batch_of([JOB])[:4] + heads + long.to_bytes(32, "big") + bytes(long)
    tracemalloc.start()
    try:
        with pytest.raises(SecureFlowError, match="no entry"):
            entries_of(call)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_batch_is_read_as_it_was_made() -> None:
    for count in (0, 1, 64, 256):
        entries = tuple(e.RegisterJob(bytes([at] * 32), b"\x02" * 32) for at in range(count))
        assert entries_of(batch_of(entries)) == entries
    for cut in (4, 36, 68, 100):
        with pytest.raises(SecureFlowError):
            entries_of(batch_of([JOB, JOB])[:cut])
    with pytest.raises(SecureFlowError):
        entries_of(batch_of([JOB] * 257))


def test_a_base_fee_that_was_made_up_spends_nothing() -> None:
    assert dynamic_fees(8_000, 5, MOST_FEE)["maxFeePerGas"] == 17_000
    with pytest.raises(InfrastructureError, match="at most"):
        dynamic_fees(MOST_FEE, 0, MOST_FEE)
    with pytest.raises(InfrastructureError, match="at most"):
        dynamic_fees(2**255, 0, MOST_FEE)
