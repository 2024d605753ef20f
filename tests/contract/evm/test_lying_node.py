"""A node that is slow, down, gigantic or lies: bounded, named, and nothing of it printed unchecked.

Between the driver and a real chain stands one who changes single answers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from peers.chains import HALVES, World, carried, chain, finished, word, world

from secureflow.engines.anchors import entries as e
from secureflow.kit.errors import InfrastructureError, SecureFlowError

LOG = word("log")
Change = Callable[[str, Any, Any], Any]
ERROR = object()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with chain(
        "--hardfork", "cancun", "--gas-price", "0", "--block-base-fee-per-gas", "0"
    ) as found:
        yield found


def replied(value: Any) -> httpx.Response:
    """Return an answer that comes over a connection, unlike one that httpx has read already."""
    return httpx.Response(200, stream=httpx.ByteStream(json.dumps(value).encode()))


class Between(httpx.AsyncBaseTransport):
    """Asks the chain, and changes what it answers."""

    def __init__(self) -> None:
        self.inner = httpx.AsyncHTTPTransport()
        self.change: Change = lambda _, __, answer: answer
        self.remembers = False
        self.before: dict[str, bytes] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        said = await self._said(request, asked)
        for one, reply in zip(
            asked if isinstance(asked, list) else [asked],
            said if isinstance(said, list) else [said],
            strict=True,
        ):
            changed = self.change(one["method"], one["params"], reply.get("result"))
            if isinstance(changed, Exception):
                reply.pop("result", None)
                reply["error"] = {"code": -32000, "message": str(changed)}
            elif "error" not in reply:
                reply["result"] = changed
        return replied(said)

    async def _said(self, request: httpx.Request, asked: Any) -> Any:
        """Return the chain's answer, or the one that it gave before where that is remembered."""
        alone = isinstance(asked, dict)
        every = [asked] if alone else asked
        key = json.dumps([(one["method"], one["params"]) for one in every])
        if not self.remembers or key not in self.before:
            answer = await self.inner.handle_async_request(request)
            self.before[key] = await answer.aread()
        said = json.loads(self.before[key])
        for one, reply in zip(every, [said] if alone else said, strict=True):
            reply["id"] = one["id"]
        return said

    async def aclose(self) -> None:
        await self.inner.aclose()


@pytest.fixture
async def here(url: str) -> AsyncIterator[World]:
    from secureflow.adapters.anchors.evm.rpc import Rpc

    async with world(url) as made:
        await made.rpc.close()
        made.rpc = Rpc(url, transport=Between())
        yield made
        await made.rpc.close()


def between(here: World) -> Between:
    found: Between = here.rpc._transport
    return found


def at(method: str, make: Callable[[Any], Any]) -> Change:
    return lambda asked, _, answer: make(answer) if asked == method else answer


def head(size: int) -> e.AnchorHead:
    return e.AnchorHead(LOG, size, word("root"), HALVES)


async def code_of(step: Awaitable[Any], into: list[Any] | None = None) -> str:
    """Return the code of the error with which something ends; of any other error, the test ends."""
    try:
        found = await step
    except SecureFlowError as error:
        return error.code
    if into is not None:
        into.append(found)
    return ""


ODD = [
    None, True, 7, "", "0x", "7", "0xzz", "0x" + "f" * 65, [], {}, [{}], {"number": "0x1"},
    {"logs": [1]}, [{"topics": []}], "0x" + "0" * 63,
]  # fmt: skip


@pytest.mark.parametrize(
    "method",
    [
        "eth_chainId", "eth_getCode", "eth_call", "eth_getTransactionCount",
        "eth_getBlockByNumber", "eth_sendRawTransaction", "eth_getTransactionReceipt",
        "eth_getLogs",
    ],
)  # fmt: skip
async def test_an_odd_answer_is_a_named_error(here: World, method: str) -> None:
    """Whatever stands in place of an answer: no crash, nothing taken for true."""
    party = here.parties[0]
    ticket = await here.anchor(party).prepare([head(1)], [])
    between(here).remembers = True
    for odd in ODD:
        anchor = here.anchor(party, span=2)
        between(here).change = at(method, lambda _, odd=odd: odd)
        for step in (
            anchor.prepare([head(2)], []), anchor.send(ticket), anchor.outcome(ticket),
            anchor.happened(None), anchor.heads(LOG), anchor.members(),
            anchor.owed(party.key, party.key, word(1)),
        ):  # fmt: skip
            assert await code_of(step) in {"", "anchor_unavailable", "anchor_refused"}
        assert (await anchor.probe()).facts is not None
    between(here).change, between(here).remembers = lambda _, __, answer: answer, False
    anchor = here.anchor(party)
    await anchor.send(ticket)
    assert (await finished(anchor, ticket)).results == ("kept",)


def receipt_with(**changes: Any) -> Change:
    return at("eth_getTransactionReceipt", lambda one: one and {**one, **changes})


async def test_a_receipt_that_does_not_fit_is_not_believed(here: World) -> None:
    anchor = here.anchor(here.parties[0])
    ticket = await anchor.prepare([head(1), head(2)], [])
    await anchor.send(ticket)
    receipt: Any = (await finished(anchor, ticket)).receipt
    other = await anchor.prepare([head(3)], [])
    await anchor.send(other)
    await finished(anchor, other)
    theirs = await here.rpc.ask("eth_getTransactionReceipt", f"0x{other.id}")
    for change in (
        receipt_with(transactionHash=f"0x{word(1).hex()}"),
        receipt_with(to=here.creator.account.address),
        receipt_with(logs=[]),
        receipt_with(logs=theirs["logs"]),  # speaks of fewer entries
        receipt_with(blockHash=f"0x{word(2).hex()}"),
        receipt_with(blockNumber="0xfffff"),
        at("eth_getTransactionReceipt", lambda _: theirs),
    ):
        between(here).change = change
        asked = here.anchor(here.parties[0])
        found: list[Any] = []
        if not await code_of(asked.outcome(ticket), found):
            assert [one.state for one in found] == ["waiting"]
        found.clear()
        if not await code_of(asked.checked(receipt, head(1)), found):
            assert found == [False]


async def test_events_of_others_or_elsewhere_are_not_taken(here: World) -> None:
    anchor = here.anchor(here.parties[0])
    await carried(anchor, [head(1), head(2)])
    for change in (
        {"address": here.creator.account.address},
        {"blockNumber": "0xffffff"},
        {"blockHash": f"0x{word(1).hex()}"},
        {"topics": [f"0x{word(1).hex()}"] * 4},
        {"data": "0x"},
        {"logIndex": "0x0"},  # twice the same place
    ):
        between(here).change = at(
            "eth_getLogs", lambda logs, change=change: [{**one, **change} for one in logs]
        )
        with pytest.raises(SecureFlowError) as raised:
            await anchor.happened(None)
        assert raised.value.code in {"anchor_unavailable", "anchor_refused"}
    # One that was removed by a reorganisation is none.
    between(here).change = at("eth_getLogs", lambda logs: [{**logs[0], "removed": True}, *logs[1:]])
    assert [one.entry for one in (await anchor.happened(None)).events] == [head(2)]


async def test_another_chain_behind_the_same_address_is_noticed(here: World) -> None:
    between(here).change = at("eth_chainId", lambda _: "0x5")
    with pytest.raises(SecureFlowError, match="chain is 5"):
        await here.anchor(here.parties[0]).prepare([head(1)], [])


async def test_a_node_that_takes_no_long_ranges_is_asked_for_short_ones(here: World) -> None:
    anchor = here.anchor(here.parties[0], span=1_000)
    for number in range(1, 4):
        await carried(anchor, [head(number)])

    def short(method: str, params: Any, answer: Any) -> Any:
        if method != "eth_getLogs":
            return answer
        long = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) >= 2
        return RuntimeError("query exceeds max block range") if long else answer

    between(here).change = short
    page, found = await anchor.happened(None), []
    while page.events:
        found += [one.entry for one in page.events]
        page = await anchor.happened(page.cursor)
    assert found == [head(1), head(2), head(3)]


async def everything(anchor: Any, limit: int) -> list[Any]:
    page, found = await anchor.happened(None, limit), []
    while page.events:
        assert len(page.events) <= limit
        found += page.events
        page = await anchor.happened(page.cursor, limit)
    return found


async def test_a_block_with_more_events_than_an_answer_is_read_by_its_transactions(
    here: World,
) -> None:
    """Where gas is free, one member can fill one: all others would be blind for what follows."""
    anchor = here.anchor(here.parties[0], span=1_000)
    other = here.anchor(here.parties[1])
    await here.rpc.ask("evm_setAutomine", False)
    try:
        for one in (anchor, other):
            sizes = range(1, 4) if one is anchor else range(4, 9)
            await one.send(await one.prepare([head(size) for size in sizes], []))
    finally:
        await here.rpc.ask("evm_setAutomine", True)
        await here.rpc.ask("evm_mine")
    await carried(anchor, [head(9)])
    wanted = [one.entry for one in await everything(anchor, 500)]
    assert len(wanted) == 9

    def no(method: str, params: Any, answer: Any) -> Any:
        return RuntimeError("response too large") if method == "eth_getLogs" else answer

    between(here).change = no
    for limit in (1, 2, 3, 500):
        assert [one.entry for one in await everything(anchor, limit)] == wanted
    between(here).change = lambda method, params, answer: (
        RuntimeError("no") if method in {"eth_getLogs", "eth_getTransactionReceipt"} else answer
    )
    with pytest.raises(InfrastructureError, match="anchor_unavailable"):
        await anchor.happened(None)
    between(here).change = lambda method, params, answer: (
        no(method, params, answer)
        if method != "eth_getTransactionReceipt"
        else answer and {**answer, "blockHash": f"0x{word(1).hex()}"}
    )
    with pytest.raises(InfrastructureError, match="reorganised"):
        await anchor.happened(None)
    for odd in ({"blockNumber": "0x1"}, {"blockHash": f"0x{word(1).hex()}"}, {"logIndex": "0x0"}):
        between(here).change = lambda method, params, answer, odd=odd: (
            no(method, params, answer)
            if method != "eth_getTransactionReceipt"
            else answer and {**answer, "logs": [{**one, **odd} for one in answer["logs"]]}
        )
        with pytest.raises(InfrastructureError, match="asked for"):
            await anchor.happened(None)


async def test_a_receipt_that_comes_after_the_number_is_waited_for(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As anvil does under load: the transaction counts, and its receipt is not there yet."""
    from secureflow.adapters.anchors.evm import outcomes

    anchor = here.anchor(here.parties[0])
    ticket = await anchor.prepare([head(1)], [])
    await anchor.send(ticket)
    between(here).change = at("eth_getTransactionReceipt", lambda _: None)
    while int(await here.rpc.ask("eth_getTransactionCount", here.parties[0].account.address,
                                 "latest"), 16) == 0:  # fmt: skip
        pass
    for _ in range(3):
        assert (await anchor.outcome(ticket)).state == "waiting"
    between(here).change = Between().change
    assert (await finished(anchor, ticket)).results == ("kept",)
    between(here).change = at("eth_getTransactionReceipt", lambda _: None)
    assert (await anchor.outcome(ticket)).state == "waiting"  # it is waited for anew
    monkeypatch.setattr(outcomes, "SURE", 0.0)
    assert (await anchor.outcome(ticket)).state == "lost"


async def test_a_price_that_the_chain_refuses_is_said_and_tried_again(here: World) -> None:
    anchor = here.anchor(here.parties[0])
    ticket = await anchor.prepare([head(1)], [])
    between(here).change = at(
        "eth_sendRawTransaction", lambda _: RuntimeError("Gas price below minimum\x1b[31m")
    )
    between(here).inner = Refusing(between(here).inner)
    await anchor.send(ticket)
    assert (await anchor.outcome(ticket)).state == "lost"
    with pytest.raises(SecureFlowError, match="anchor_refused") as raised:
        await anchor.prepare([head(1)], [])
    assert "below minimum" in raised.value.message
    assert "\x1b" not in raised.value.message
    assert (await anchor.prepare([head(1)], [])).body["nonce"] == ticket.body["nonce"]


class Refusing(httpx.AsyncBaseTransport):
    """Passes everything on but what would be sent."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        if isinstance(asked, dict) and asked["method"] == "eth_sendRawTransaction":
            return replied({"jsonrpc": "2.0", "id": asked["id"], "result": None})
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


# The client alone: no chain behind it.


async def asked(answer: Callable[[httpx.Request], httpx.Response], **more: Any) -> str:
    """Ask a node that answers so; return why that is refused."""
    from secureflow.adapters.anchors.evm.rpc import Rpc

    rpc = Rpc("http://node.example", transport=httpx.MockTransport(answer), **more)
    try:
        with pytest.raises(InfrastructureError) as raised:
            await rpc.known([("eth_blockNumber", ()), ("eth_chainId", ())])
    finally:
        await rpc.close()
    assert raised.value.code == "anchor_unavailable"
    return raised.value.message


def text(body: bytes, status: int = 200, **headers: str) -> Any:
    return lambda _: httpx.Response(status, stream=httpx.ByteStream(body), headers=headers)


async def test_what_is_no_answer_is_named() -> None:
    assert "JSON" in await asked(text(b"<html>"))
    assert "JSON" in await asked(text(b'[{"id": 1, "id": 2}]'))
    assert "every" in await asked(text(b"{}"))
    assert "every" in await asked(text(b"[]"))
    one = {"jsonrpc": "2.0", "id": 1, "result": "0x1"}
    for wrong in ([one, one], [one, {**one, "id": True}], [one, 7], [one, {**one, "id": 3}], [one]):
        assert "every" in await asked(text(json.dumps(wrong).encode()))
    whole = {"id": None, "error": {"code": -32600, "message": "batch\x1b[2J limit " + "x" * 9_999}}
    said = await asked(text(json.dumps(whole).encode()))
    assert "-32600" in said
    assert "\x1b" not in said
    assert len(said) < 400
    both = [{"id": i, "error": {"code": "?", "message": 5, "data": {"data": 7}}} for i in (1, 2)]
    assert "error 0" in await asked(text(json.dumps(both).encode()))
    assert "502" in await asked(text(b"bad gateway", 502))
    assert "302" in await asked(text(b"", 302, location="http://elsewhere.example"))
    assert "compressed" in await asked(text(b"", 200, **{"content-encoding": "gzip"}))


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    from secureflow.adapters.anchors.evm import rpc

    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1 << 16
            yield b" " * (1 << 16)

    assert "bytes" in await asked(lambda _: httpx.Response(200, content=endless()))
    assert read <= rpc.MOST + (2 << 16)


async def test_a_node_that_never_answers_is_given_up() -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    assert "TimeoutError" in await asked(never, seconds=0.05)  # type: ignore[arg-type]

    def down(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no\x1b")

    assert "ConnectError" in await asked(down)


async def test_many_questions_are_asked_in_several_requests() -> None:
    from secureflow.adapters.anchors.evm.rpc import AT_ONCE, Rpc

    sizes = []

    def answer(request: httpx.Request) -> httpx.Response:
        said = json.loads(request.content)
        sizes.append(len(said))
        found = [{"id": one["id"], "result": one["params"][0]} for one in said]
        return replied(found[::-1])  # in any order

    rpc = Rpc("http://node.example", transport=httpx.MockTransport(answer))
    wanted = list(range(2 * AT_ONCE + 5))
    assert await rpc.all([("echo", (one,)) for one in wanted]) == wanted
    assert sizes == [AT_ONCE, AT_ONCE, 5]
    await rpc.close()
