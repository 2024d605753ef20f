"""What no agent sends, and anybody can: each guard of the contract against calls made by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from peers.chains import HALVES, Party, World, chain, word, world

from secureflow.engines.anchors import entries as e

WIDE = 2**53
JOB, ZERO = word("job"), bytes(32)
EUR = e.currency_word("EUR")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    # Berlin has no bound on the code that makes a contract, and so none on its founders.
    options = ("--hardfork", "berlin", "--gas-price", "0", "--gas-limit", "1000000000")
    with chain(*options) as found:
        yield found


@pytest.fixture
async def here(url: str) -> AsyncIterator[World]:
    async with world(url, target="istanbul") as made:
        yield made


async def said(here: World, who: Party, call: bytes, to: str = "", **more: Any) -> Any:
    """Call the contract without a transaction; return its number, or why it refuses."""
    from secureflow.adapters.anchors.evm.coding import refusal_of
    from secureflow.adapters.anchors.evm.faults import NodeFault

    to = to or here.settings.contract
    about = {"from": who.account.address, "to": to, "data": f"0x{call.hex()}", **more}
    try:
        answer = await here.rpc.ask("eth_call", about, "latest")
    except NodeFault as fault:
        return refusal_of(fault) or "reverted"
    return int(answer, 16) if answer != "0x" else ""


def called(name: str, *values: Any) -> bytes:
    from secureflow.adapters.anchors.evm.coding import function

    return function(name).call(*values)


def shares(here: World, **changes: Any) -> bytes:
    named = tuple(sorted(one.key for one in here.parties[:2]))
    parts: dict[str, Any] = {
        "job": JOB, "version": 1, "root": word(1), "named": named, "shares": (4_000, 6_000),
        "rounding": named[0],
    }  # fmt: skip
    return called("setContributions", *{**parts, **changes}.values())


async def test_numbers_that_canonical_json_cannot_hold_are_refused(here: World) -> None:
    who, key = here.parties[0], here.parties[1].key
    await here.do(who, e.CommitDataset(word("data"), word(1), WIDE - 1))
    for make in (
        lambda n: called("anchor", word("log"), n, word("root"), HALVES),
        lambda n: called("commitDataset", word("other"), word(1), n),
        lambda n: called("commitRound", JOB, n, word(1), word(2), word(3)),
        lambda n: called("spend", word("data"), JOB, n),
        lambda n: shares(here, version=n),
    ):
        assert await said(here, who, make(WIDE)) == "malformed"
        assert await said(here, who, make(WIDE - 1)) == 1
    for call in (
        called("split", JOB, 1, key, WIDE, EUR),
        called("settle", key, WIDE, EUR, word("ref")),
    ):
        assert await said(here, who, call) == "malformed"


async def test_shares_that_are_not_whole_are_refused(here: World) -> None:
    who, (low, high) = here.parties[0], sorted(one.key for one in here.parties[:2])
    assert await said(here, who, shares(here)) == 1
    for changes in (
        {"shares": (4_000, 6_001)},
        {"shares": (4_000, 5_999)},
        {"shares": (4_000, 3_000, 3_000)},
        {"shares": (10_000,)},
        {"named": (high, low)},
        {"named": (low, low)},
        {"named": (), "shares": ()},
        {"rounding": here.parties[2].key},
    ):
        assert await said(here, who, shares(here, **changes)) == "malformed", changes
    assert await said(here, who, shares(here, version=0)) == "old_version"
    named = tuple(sorted((low, here.others[0].key)))
    assert await said(here, who, shares(here, named=named, rounding=low)) == "no_member"


async def test_more_shares_than_members_that_there_may_be_are_refused(here: World) -> None:
    who = here.parties[0]
    many = tuple(sorted(word(i) for i in range(1_001)))
    parts = (9_000, *(1 for _ in range(1_000)))
    call = shares(here, named=many, shares=parts, rounding=many[0])
    assert await said(here, who, call) == "malformed"
    few = shares(here, named=many[:-1], shares=(9_001, *parts[2:]), rounding=many[0])
    assert await said(here, who, few) == "no_member"


async def test_a_call_that_is_spelled_otherwise_is_refused(here: World) -> None:
    """The same lists at other offsets would be another vote on the same."""
    who, call = here.parties[0], shares(here)
    words = [call[4 + at : 36 + at] for at in range(0, len(call) - 4, 32)]
    first, second = words[6:9], words[9:12]
    swapped = [*words[:3], (0x120).to_bytes(32), (0xC0).to_bytes(32), words[5], *second, *first]
    assert await said(here, who, call[:4] + b"".join(swapped)) == "malformed"


async def test_nothing_hides_behind_the_arguments(here: World) -> None:
    from secureflow.adapters.anchors.evm.coding import call_of

    payer = here.parties[0]
    every: Sequence[e.Entry] = (
        e.AnchorHead(word("log"), 7, word("root"), HALVES),
        e.RegisterJob(JOB, word("spec")),
        e.ApproveJob(JOB, word("spec")),
        e.CommitDataset(word("data"), word("commitment"), 500),
        e.CommitRound(JOB, 1, word(1), word(2), word(3)),
        e.Spend(word("data"), JOB, 500),
        e.Dispute(JOB, 1, word("why")),
        e.Withdraw(JOB, 1),
        e.Split(JOB, 1, payer.key, 9, EUR),
        e.Settle(payer.key, 9, EUR, word("ref")),
        e.Confirm(payer.key, word("ref")),
        here.others[0].binding(here.place),
        e.Remove(payer.key),
        e.Upgrade(word("next")),
    )
    for entry in every:
        call = call_of(entry)
        assert await said(here, payer, call + bytes(32)) == "malformed", entry.kind
        assert await said(here, payer, call) != "malformed", entry.kind
    assert await said(here, payer, shares(here) + bytes(32)) == "malformed"


async def test_an_account_is_an_address_and_a_successor_is_one(here: World) -> None:
    who, one = here.parties[0], here.others[0]
    for account in (ZERO, b"\1" + one.account.word[1:], bytes(11) + b"\1" + bytes(20)):
        assert await said(here, who, called("admit", one.key, account, HALVES)) == "malformed"
    taken = called("admit", one.key, here.parties[1].account.word, HALVES)
    assert await said(here, who, taken) == "in_use"
    member = called("admit", here.parties[1].key, one.account.word, HALVES)
    assert await said(here, who, member) == "in_use"
    assert await said(here, who, called("admit", one.key, one.account.word, HALVES)) == 1
    assert await said(here, who, called("upgrade", ZERO)) == "malformed"


async def test_what_does_not_stand_is_neither_disputed_nor_split(here: World) -> None:
    """Version 0 is what a job has that nobody voted on."""
    who = here.parties[0]
    for version in (0, 1):
        dispute = called("dispute", JOB, version, word("why"))
        split = called("split", JOB, version, who.key, 5, EUR)
        assert await said(here, who, dispute) == "not_standing"
        assert await said(here, who, split) == "not_standing"
    await here.do(who, e.Dispute(JOB, 0, word("why")))
    assert await said(here, who, called("withdraw", JOB, 0)) == "no_dispute"
    assert await said(here, who, called("confirm", who.key, word("none"))) == "no_payment"
    nobody = called("settle", word("nobody"), 0, EUR, word("none"))
    assert await said(here, who, nobody) == "no_amount"


async def test_a_batch_has_an_end(here: World) -> None:
    from secureflow.adapters.anchors.evm.coding import call_of

    who, call = here.parties[0], call_of(e.RegisterJob(JOB, word("spec")))
    assert await said(here, who, called("batch", [call] * 257)) == "full"
    assert await said(here, who, called("batch", [call] * 256)) == ""  # it gives nothing back
    assert await said(here, here.others[0], called("batch", [])) == "stranger"


async def test_an_entry_that_ran_out_of_gas_is_not_called_refused(here: World) -> None:
    """The rest of a large entry's gas would be enough to say so, and the others would go on."""
    many = tuple(sorted(word(i) for i in range(1_000)))
    wide = shares(here, named=many, shares=(10,) * 1_000, rounding=many[0])
    batch, who = called("batch", [wide]), here.parties[0]
    found = [
        await said(here, who, batch, gas=hex(gas)) for gas in range(1_600_000, 6_000_000, 200_000)
    ]
    assert found[-1] == ""  # judged, and refused for what it is
    assert found.count("gas") > 3
    assert found == sorted(found, key=["reverted", "gas", ""].index)


async def made(here: World, founders: Sequence[tuple[bytes, str]], window: int = 60) -> Any:
    """Make a contract by hand; return its address, or None if its constructor refuses."""
    from eth_abi.abi import encode

    from secureflow.adapters.anchors.evm.coding import built, constructor

    listed = [(member, account, HALVES) for member, account in founders]
    code = built("istanbul").bytecode + encode(constructor(), (listed, window))
    (maker,) = await here.rpc.ask("eth_accounts")
    about = {"from": maker, "data": f"0x{code.hex()}", "gas": hex(900_000_000), "gasPrice": "0x0"}
    name = await here.rpc.ask("eth_sendTransaction", about)
    while (found := await here.rpc.ask("eth_getTransactionReceipt", name)) is None:
        pass
    return found["contractAddress"] if int(found["status"], 16) else None


def address(number: int) -> str:
    return f"0x{word('address', number)[:20].hex()}"


async def test_a_place_is_made_with_members_that_are_each_one(here: World) -> None:
    one, two = (word("a"), address(1)), (word("b"), address(2))
    assert await made(here, [one, two]) is not None
    assert await made(here, []) is None
    assert await made(here, [one, (word("a"), address(2))]) is None
    assert await made(here, [one, (word("b"), address(1))]) is None
    assert await made(here, [one], WIDE - 1) is not None
    assert await made(here, [one], WIDE) is None


async def test_a_place_has_members_up_to_a_number(here: World) -> None:
    who, new = here.parties[0], here.others[0]
    others = [(word("m", i), address(i)) for i in range(1_000)]
    own = (who.key, who.account.address)
    assert await made(here, [own, *others]) is None
    admit = called("admit", new.key, new.account.word, HALVES)
    assert await said(here, who, admit, await made(here, [own, *others[:-1]])) == "full"
    assert await said(here, who, admit, await made(here, [own, *others[:-2]])) == 1


async def test_members_ever_are_counted_in_sixteen_bits(here: World) -> None:
    who, new = here.parties[0], here.others[0]
    admit = called("admit", new.key, new.account.word, HALVES)
    for ever, wanted in ((64_999, 1), (65_000, "full")):
        # Slot 4: members ever, and members now, 16 bits each.
        both = (len(here.parties) << 16 | ever).to_bytes(32)
        where = (here.settings.contract, hex(4), f"0x{both.hex()}")
        await here.rpc.ask("anvil_setStorageAt", *where)
        assert await said(here, who, admit) == wanted
