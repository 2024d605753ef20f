"""The driver on a real chain: numbers of transactions, restarts, reorganisations, cursors, fees."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peers.chains import HALVES, Party, World, carried, chain, finished, word, world

from secureflow.application.ports.anchor import Happened
from secureflow.engines.anchors import entries as e
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.keyfiles import plain_keys

EUR, JOB, LOG = e.currency_word("EUR"), word("job"), word("log")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with chain(
        "--hardfork", "cancun", "--gas-price", "0", "--block-base-fee-per-gas", "0"
    ) as found:
        yield found


@pytest.fixture
async def here(url: str) -> AsyncIterator[World]:
    async with world(url) as made:
        yield made
        await made.rpc.ask("evm_setAutomine", True)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits until something is lost need not wait for as long as a loaded machine does."""
    from secureflow.adapters.anchors.evm import outcomes

    monkeypatch.setattr(outcomes, "SURE", 0.2)


def job(number: int) -> e.RegisterJob:
    return e.RegisterJob(word("job", number), word("spec"))


def head(size: int, root: object = "root") -> e.AnchorHead:
    return e.AnchorHead(LOG, size, word(root), HALVES)


async def mine(here: World, blocks: int = 1) -> None:
    await here.rpc.ask("anvil_mine", hex(blocks))


async def held(here: World) -> None:
    """From now on blocks are made by `mine` alone."""
    await here.rpc.ask("evm_setAutomine", False)


# Numbers: one owner, in the ticket before anything leaves.


async def test_a_restart_goes_on_with_unfinished_tickets(here: World) -> None:
    first = await here.anchor(here.parties[0]).prepare([job(1)], [])
    again = here.anchor(here.parties[0])  # a new process: it knows the stored ticket alone
    second = await again.prepare([job(2)], [first])
    assert (first.body["nonce"], second.body["nonce"]) == (0, 1)
    await again.send(second)  # waits at the node for the first
    assert (await again.outcome(second)).state == "waiting"
    await again.send(first)
    await again.send(first)
    for ticket in (first, second):
        outcome = await finished(again, ticket)
        assert (outcome.state, outcome.results) == ("final", ("kept",))
        await again.send(ticket)  # does no harm
    assert await finished(again, first) == await finished(again, first)
    # Only what waits or never left counts; a finished number is never taken again.
    assert (await again.prepare([job(3)], [])).body["nonce"] == 2
    assert [one.entry for one in (await again.happened(None)).events] == [job(1), job(2)]


async def test_a_number_that_another_transaction_used_is_lost(here: World) -> None:
    anchor = here.anchor(here.parties[0])
    ours = await anchor.prepare([job(1)], [])
    other = await anchor.prepare([job(2)], [])
    assert ours.body["nonce"] == other.body["nonce"]
    await anchor.send(other)
    assert (await finished(anchor, other)).results == ("kept",)
    await anchor.send(
        ours
    )  # the node says that the number is used; what that means, `outcome` does
    assert (await finished(anchor, ours)).state == "lost"
    assert (await carried(anchor, [job(1)])).results == ("kept",)


async def test_it_is_lost_only_when_the_other_one_is_final(here: World) -> None:
    anchor = here.anchor(here.parties[0], confirmations=3)
    ours = await anchor.prepare([job(1)], [])
    other = await anchor.prepare([job(2)], [])
    await anchor.send(other)
    while (await anchor.outcome(other)).depth == 0:
        pass
    for _ in range(3):
        assert (await anchor.outcome(ours)).state == "waiting"
        await mine(here)
    assert (await finished(anchor, ours)).state == "lost"


async def test_another_sender_with_the_same_key_is_named(here: World) -> None:
    await held(here)
    anchor = here.anchor(here.parties[0])
    ours, other = await anchor.prepare([job(1)], []), await anchor.prepare([job(2)], [])
    await anchor.send(other)
    with pytest.raises(SecureFlowError) as raised:
        await anchor.send(ours)
    assert raised.value.code == "anchor_key_shared"
    await anchor.send(other)
    await mine(here)
    assert (await finished(anchor, ours)).state == "lost"


async def test_what_the_node_forgot_is_sent_again(here: World) -> None:
    await held(here)
    anchor = here.anchor(here.parties[0])
    ticket = await anchor.prepare([job(1)], [])
    await anchor.send(ticket)
    await here.rpc.ask("anvil_dropTransaction", f"0x{ticket.id}")
    await mine(here)
    assert (await anchor.outcome(ticket)).state == "waiting"
    await anchor.send(ticket)
    await mine(here)
    assert (await finished(anchor, ticket)).results == ("kept",)


def test_one_process_numbers_for_one_key(tmp_path: Path) -> None:
    from secureflow.adapters.anchors.evm.owning import sole_owner

    key = tmp_path / "evm.key"
    code = (
        "import sys, pathlib; from secureflow.adapters.anchors.evm.owning import sole_owner\n"
        "try:\n with sole_owner(pathlib.Path(sys.argv[1])): print('mine')\n"
        "except Exception as error: print(error.code)"
    )
    command = [sys.executable, "-c", code, str(key)]
    with sole_owner(key):
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        assert said.stdout.strip() == "anchor_key_shared"
    with sole_owner(key):
        pass


async def test_two_senders_with_one_key_are_told_apart(here: World, tmp_path: Path) -> None:
    from secureflow.adapters.anchors.evm.driver import EvmAnchor
    from secureflow.adapters.anchors.evm.opening import open_account

    path = tmp_path / "evm.key"
    first, second = (
        EvmAnchor(here.settings, open_account(path, plain_keys()), here.rpc) for _ in range(2)
    )
    for one in (first, second):
        one._is_member = lambda _: True  # type: ignore[method-assign]
    await first.prepare([job(1)], [])
    await first.prepare([job(2)], [])
    with pytest.raises(SecureFlowError) as raised:
        await second.prepare([job(1)], [])
    assert raised.value.code == "anchor_key_shared"
    assert not (await second.happened(None)).events  # it may still read
    await first.close()
    await second.prepare([job(1)], [])
    await second.close()


def test_a_key_is_made_once_and_shown_nowhere(tmp_path: Path) -> None:
    from secureflow.adapters.anchors.evm.opening import open_account

    path = tmp_path / "evm.key"
    made = open_account(path, plain_keys())
    assert path.stat().st_mode & 0o777 == 0o600
    secret = path.read_text().strip()
    assert open_account(path, plain_keys()).address == made.address
    assert secret not in repr(made)
    path.chmod(0o644)
    with pytest.raises(SecureFlowError, match="key_exposed"):
        open_account(path, plain_keys())
    path.chmod(0o600)
    path.write_text(secret[:-1] + "g")
    with pytest.raises(SecureFlowError) as raised:
        open_account(path, plain_keys())
    assert raised.value.code == "key_unreadable"
    assert secret[:-1] not in f"{raised.value} {raised.value.__cause__} {raised.value.__context__}"


# Depth and reorganisations.


async def test_a_transaction_is_final_below_its_confirmations(here: World) -> None:
    anchor = here.anchor(here.parties[0], confirmations=2)
    ticket = await anchor.prepare([head(1)], [])
    await anchor.send(ticket)
    while not (outcome := await anchor.outcome(ticket)).depth:
        pass
    for depth in (1, 2):
        outcome = await anchor.outcome(ticket)
        assert (outcome.state, outcome.depth, outcome.receipt) == ("waiting", depth, None)
        assert outcome.results == ("kept",)
        assert not (await anchor.happened(None)).events
        assert not await anchor.heads(LOG)
        await mine(here)
    outcome = await anchor.outcome(ticket)
    assert (outcome.state, outcome.depth) == ("final", 3)
    assert await anchor.checked(outcome.receipt, head(1))
    assert len((await anchor.happened(None)).events) == len(await anchor.heads(LOG)) == 1


async def test_a_reorganised_transaction_waits_and_is_kept_again(here: World) -> None:
    anchor = here.anchor(here.parties[0])
    deep = here.anchor(here.parties[0], confirmations=5)
    assert (await carried(anchor, [job(0)])).results == ("kept",)
    seen = await anchor.happened(None)
    before = await here.rpc.ask("evm_snapshot")
    ticket = await anchor.prepare([job(1), head(5)], [])
    await anchor.send(ticket)
    first = await finished(anchor, ticket)
    assert await anchor.checked(first.receipt, job(1))
    page = await anchor.happened(seen.cursor)
    assert [one.entry for one in page.events] == [job(1), head(5)]
    assert (await deep.outcome(ticket)).position == first.position
    assert await here.rpc.ask("evm_revert", before)
    assert (await deep.outcome(ticket)).position is None
    assert (await anchor.outcome(ticket)).state == "waiting"
    assert not await anchor.checked(first.receipt, job(1))
    with pytest.raises(InfrastructureError, match="behind"):
        await anchor.happened(page.cursor)
    await mine(here, 2)  # another chain, and longer
    again = await anchor.happened(page.cursor)
    assert again.reorganised
    assert [one.entry for one in again.events] == [job(0)]
    await anchor.send(ticket)
    second = await finished(anchor, ticket)
    assert second.results == ("kept", "kept")
    assert second.position != first.position
    rest = await anchor.happened(again.cursor)
    assert not rest.reorganised
    assert [one.entry for one in rest.events] == [job(1), head(5)]


async def test_a_receipt_of_a_block_that_is_gone_counts_for_nothing(here: World) -> None:
    anchor = here.anchor(here.parties[0])
    ticket = await anchor.prepare([job(1)], [])
    await anchor.send(ticket)
    outcome = await finished(anchor, ticket)
    ask = here.rpc.known

    async def stale(questions: Any, *more: Any) -> Any:
        """A node whose receipts lag behind its blocks."""
        answers = await ask(questions, *more)
        for (method, _), answer in zip(questions, answers, strict=True):
            if method == "eth_getBlockByNumber" and answer["number"] == hex(outcome.position.block):
                answer["hash"] = f"0x{word('another').hex()}"
        return answers

    here.rpc.known = stale
    assert (await anchor.outcome(ticket)).state == "waiting"
    assert not await anchor.checked(outcome.receipt, job(1))
    here.rpc.known = ask
    assert await anchor.checked(outcome.receipt, job(1))


# Reading.


@pytest.mark.parametrize("span", [1, 2, 2_000])
async def test_a_cursor_goes_on_where_it_ended(here: World, span: int) -> None:
    anchor = here.anchor(here.parties[0])
    for number in range(4):
        await carried(anchor, [job(3 * number + i) for i in range(3)])
        await mine(here, number)
    found: list[Happened] = []
    cursor = None
    for _ in range(30):
        reader = here.anchor(None, span=span)  # a new process each time
        page = await reader.happened(cursor, 2)
        assert len(page.events) <= 2
        found += page.events
        cursor = page.cursor
    assert [one.entry for one in found] == [job(number) for number in range(12)]
    assert {one.sender for one in found} == {here.parties[0].key.hex()}
    assert len({one.transaction for one in found}) == 4
    assert sorted(found, key=lambda one: (one.position.block, one.position.index)) == found


async def test_heads_come_with_all_forks(here: World) -> None:
    anchor, other = here.anchor(here.parties[0]), here.anchor(here.parties[1])
    await carried(anchor, [head(1), head(2)])
    await carried(other, [head(2, "other"), head(3)])
    found = await anchor.heads(LOG)
    assert [(one.size, one.root) for one in found[:2]] == [(3, word("root")), (2, word("other"))]
    assert {(one.size, one.root, one.sender) for one in found} == {
        (1, word("root"), here.parties[0].key.hex()),
        (2, word("root"), here.parties[0].key.hex()),
        (2, word("other"), here.parties[1].key.hex()),
        (3, word("root"), here.parties[1].key.hex()),
    }
    for one in found:
        block = await here.rpc.ask("eth_getBlockByNumber", hex(one.position.block), False)
        assert block["hash"] == f"0x{one.position.hash}"
    assert await anchor.heads(word("unknown")) == []


async def test_members_come_with_what_binds_them(here: World) -> None:
    from secureflow.adapters.anchors.evm import reading

    wanted = [one.binding(here.place) for one in here.parties]
    assert await here.anchor(None).members() == wanted
    for number in (1, 2, 3, 4):  # pages, whatever their length
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "AT_ONCE", number)
            assert await here.anchor(None).members() == wanted


async def test_a_receipt_proves_its_entries_and_no_others(here: World) -> None:
    anchor, reader = here.anchor(here.parties[0]), here.anchor(None)
    refused = e.Spend(word(1), JOB, 1)
    receipt: Any = (await carried(anchor, [job(1), refused, head(2)])).receipt
    assert await reader.checked(receipt, job(1))
    assert await reader.checked(receipt, head(2))
    assert not await reader.checked(receipt, refused)
    assert not await reader.checked(receipt, job(2))
    other: Any = (await carried(anchor, [job(2)])).receipt
    for name in ("transaction", "block", "hash"):
        assert not await reader.checked({**receipt, name: other[name]}, job(1))
    for name, value in (("chain", 5), ("contract", "0x"), ("block", "1"), ("hash", "?" * 64)):
        assert not await reader.checked({**receipt, name: value}, job(1))
    assert not await reader.checked(None, job(1))
    unknown = {**receipt, "transaction": word(1).hex()}
    assert not await reader.checked(unknown, job(1))


# Fees and gas.


async def test_a_chain_with_a_base_fee_gets_dynamic_fees(here: World) -> None:
    party = here.parties[0]
    await here.rpc.ask("anvil_setBalance", party.account.address, hex(10**21))
    await here.rpc.ask("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    await mine(here)
    base = int((await here.rpc.ask("eth_getBlockByNumber", "latest", False))["baseFeePerGas"], 16)
    anchor = here.anchor(party)
    dear, cheap = await anchor.prepare([job(1)], []), await here.anchor(party).prepare([job(2)], [])
    assert int(dear.body["fee"]) > 2 * base > 0
    assert dear.body["raw"].startswith("02")
    legacy = await here.anchor(party, fees="legacy", price=7).prepare([job(1)], [])
    assert not legacy.body["raw"].startswith("02")
    await anchor.send(dear)
    assert (await finished(anchor, dear)).results == ("kept",)
    # What costs more than it offered is lost; its entries go into a ticket with a higher bid.
    cheap = await anchor.prepare([job(2)], [])
    await here.rpc.ask("anvil_setNextBlockBaseFeePerGas", hex(50 * base))
    await mine(here)
    assert (await anchor.outcome(cheap)).state == "lost"
    more = await anchor.prepare([job(2)], [])
    assert more.body["nonce"] == cheap.body["nonce"]
    assert (await carried(anchor, [job(2)])).results == ("kept",)
    await here.rpc.ask("anvil_setNextBlockBaseFeePerGas", "0x0")
    await mine(here)


async def test_an_account_without_money_is_told(here: World) -> None:
    anchor = here.anchor(here.parties[0], fees="legacy", price=10**9)
    ticket = await anchor.prepare([job(1)], [])
    with pytest.raises(SecureFlowError) as raised:
        await anchor.send(ticket)
    assert raised.value.code == "anchor_refused"
    assert "cannot pay" in raised.value.message


async def test_too_little_gas_is_mended_with_more(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from secureflow.adapters.anchors.evm import driver

    monkeypatch.setattr(driver, "gas_for", lambda *_: 150_000)
    anchor, wanted = here.anchor(here.parties[0]), [head(i) for i in range(1, 4)]
    states = []
    for _ in range(5):
        outcome = await carried(anchor, wanted)
        states.append((outcome.state, outcome.results))
        if outcome.state == "final":
            break
    assert states == [("lost", ())] * (len(states) - 1) + [("final", ("kept",) * 3)]
    assert len(states) > 1


async def test_more_entries_are_taken_where_twice_fit(here: World) -> None:
    anchor = here.anchor(here.parties[0])
    assert (await carried(anchor, [job(at) for at in range(64)])).results == ("kept",) * 64
    assert anchor.limit == 128
    assert (await carried(anchor, [job(at) for at in range(64, 192)])).results == ("kept",) * 128
    assert anchor.limit == 128  # as many as the settings say


async def test_fewer_entries_are_taken_where_they_are_too_many_bytes(here: World) -> None:
    from secureflow.adapters.anchors.evm import driver

    anchor, named = here.anchor(here.parties[0]), [word(at) for at in range(1_000)]
    wide = e.SetContributions(JOB, 1, word(1), tuple(sorted(named)), (10,) * 1_000, min(named))
    with pytest.raises(InfrastructureError, match="bytes"):
        await anchor.prepare([wide, job(1)], [])
    assert anchor.limit == 1
    ticket = await anchor.prepare([wide], [])  # what is too large alone is the node's to judge
    assert len(ticket.body["raw"]) // 2 > driver.MOST_BYTES


async def test_fewer_entries_are_taken_where_the_gas_is_too_much(here: World) -> None:
    anchor, wanted = here.anchor(here.parties[0], most_gas=700_000), [head(i) for i in range(8)]
    assert anchor.limit == 64
    for fewer in (4, 2):
        with pytest.raises(InfrastructureError, match="gas"):
            await anchor.prepare(wanted, [])
        assert anchor.limit == fewer
        wanted = wanted[:fewer]
    assert (await carried(anchor, wanted)).results == ("kept", "kept")
    assert anchor.limit == 2  # as long as twice as many are too many
    assert (await carried(anchor, [job(1)])).results == ("kept",)
    assert anchor.limit == 2  # one that is not full shows nothing
    assert (await carried(anchor, [job(2), job(3)])).results == ("kept", "kept")
    assert anchor.limit == 4
    with pytest.raises(SecureFlowError, match="anchor_refused"):
        await here.anchor(here.parties[0], most_gas=50_000).prepare(wanted[:1], [])
    with pytest.raises(SecureFlowError, match="anchor_refused"):
        await anchor.prepare([], [])


async def test_the_gas_is_enough_for_every_kind(here: World) -> None:
    """Of many members, so that what grows with them is in it: nothing is ever lost."""
    async with world(here.settings.url, members=12) as many:
        named = tuple(sorted(one.key for one in many.parties))
        shares = (e.WHOLE - 11 * 700, *[700] * 11)
        told = e.SetContributions(JOB, 1, word(1), named, shares, named[0])
        for one in many.parties[:9]:
            assert (await many.do(one, told)).results == ("kept",)
        await many.pass_time(many.window)
        for one in many.parties[:9]:
            paid = e.Split(JOB, 1, many.others[0].key, 10**9, EUR)
            parted = replace(paid, payer=many.parties[0].key)
            outcome = await many.do(one, paid, parted)
            assert outcome.results == ("refused", "kept")
        payer = many.parties[0].key
        payee = next(one for one in reversed(named) if one != payer)
        assert await many.anchor(None).owed(payer, payee, EUR) > 0


# What it opens, and what it does not.


async def test_another_chain_or_contract_is_refused(here: World) -> None:
    for changes in ({"chain": 5}, {"contract": here.creator.account.address}, {"contract": "0x1"}):
        anchor = here.anchor(here.parties[0], **changes)
        for asked in (anchor.prepare([job(1)], []), anchor.happened(None), anchor.members()):
            with pytest.raises(SecureFlowError) as raised:
                await asked
            assert raised.value.code == "anchor_refused"
        assert (await anchor.probe()).problem


async def test_the_code_must_be_ours_to_the_last_byte(here: World) -> None:
    contract = here.settings.contract
    code = await here.rpc.ask("eth_getCode", contract, "latest")
    other = f"0x{Party('elsewhere').account.address[2:]}"
    last = f"{int(code[-2:], 16) ^ 1:02x}"
    await here.rpc.ask("anvil_setCode", other, code[:-2] + last)
    with pytest.raises(SecureFlowError, match="code"):
        await here.anchor(None, contract=other).members()
    await here.rpc.ask("anvil_setCode", other, code)
    assert await here.anchor(None, contract=other).members() == []


async def test_a_doctor_sees_who_one_is(here: World) -> None:
    facts = dict((await here.anchor(here.parties[0]).probe()).facts)
    assert facts["member"] == here.parties[0].key.hex()
    assert facts["contract"] == here.settings.contract
    with pytest.raises(SecureFlowError, match="no member's"):
        await here.anchor(here.others[0]).prepare([head(1)], [])  # it waits until it is admitted
    probe = await here.anchor(here.others[0]).probe()
    assert here.others[0].account.address in probe.problem
    assert not (await here.anchor(None).probe()).problem
    for one in here.parties[:3]:
        await here.do(one, e.Upgrade(word("next")))
    assert (await here.anchor(here.parties[0]).probe()).problem


async def test_who_only_reads_sends_nothing(here: World) -> None:
    reader = here.anchor(None)
    with pytest.raises(SecureFlowError, match="anchor_refused"):
        await reader.prepare([job(1)], [])
    assert reader.account == bytes(32)
    assert here.anchor(here.parties[0]).account == here.parties[0].account.word
    assert reader.place == here.place == f"evm:31337:{here.settings.contract}"
