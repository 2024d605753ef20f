"""Every function of the contract, called by everybody: members, the creator, strangers, those who
were removed, payers and payees, on a real chain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from peers.chains import HALVES, Party, World, chain, word, world

from secureflow.engines.anchors import entries as e

EUR = e.currency_word("EUR")
LOG, JOB, DATA = word("log"), word("job"), word("dataset")


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


def shares(here: World, version: int = 1, job: bytes = JOB) -> e.SetContributions:
    named = tuple(sorted(one.key for one in here.parties[:3]))
    return e.SetContributions(job, version, word("scores"), named, (5_000, 3_333, 1_667), named[1])


def every(here: World) -> dict[str, e.Entry]:
    """One entry of each kind that is in order when a member sends it first."""
    payer, payee = here.parties[0], here.parties[1]
    return {
        "anchor": e.AnchorHead(LOG, 7, word("root"), HALVES),
        "registerJob": e.RegisterJob(JOB, word("spec")),
        "approveJob": e.ApproveJob(JOB, word("spec")),
        "commitDataset": e.CommitDataset(DATA, word("commitment"), 500),
        "commitRound": e.CommitRound(JOB, 1, word(1), word(2), word(3)),
        "spend": e.Spend(DATA, JOB, 500),
        "setContributions": shares(here),
        "dispute": e.Dispute(JOB, 1, word("evidence")),
        "withdraw": e.Withdraw(JOB, 1),
        "split": e.Split(JOB, 1, payer.key, 1_000, EUR),
        "settle": e.Settle(payee.key, 100, EUR, word("payment")),
        "confirm": e.Confirm(payer.key, word("payment")),
        "admit": here.others[0].binding(here.place),
        "remove": e.Remove(here.parties[3].key),
        "upgrade": e.Upgrade(word("successor")),
    }


async def refusal(here: World, who: Party, entry: e.Entry) -> str:
    """Call a function outside of a batch, as anybody may; return why it is refused."""
    from secureflow.adapters.anchors.evm.coding import call_of, refusal_of
    from secureflow.adapters.anchors.evm.faults import NodeFault

    data = f"0x{call_of(entry).hex()}"
    call = {"from": who.account.address, "to": here.settings.contract, "data": data}
    try:
        await here.rpc.ask("eth_call", call, "latest")
    except NodeFault as fault:
        return refusal_of(fault)
    return ""


async def test_who_is_no_member_can_do_nothing(here: World) -> None:
    removed = here.parties[3]
    for one in here.parties[:3]:
        await here.do(one, e.Remove(removed.key))
    assert set(every(here)) == set(e.KINDS)
    for who in (here.others[1], here.creator, removed):
        outcome = await here.do(who, *every(here).values())
        assert set(zip(outcome.results, outcome.reasons, strict=True)) == {("refused", "stranger")}
        for entry in every(here).values():
            assert await refusal(here, who, entry) == "stranger", entry.kind
    page = await here.anchor(None).happened(None)
    assert {one.entry.kind for one in page.events} == {"remove"}


async def test_a_member_can_do_everything_in_its_turn(here: World) -> None:
    payer, payee, third, fourth = here.parties
    wanted = every(here)
    first = ("anchor", "registerJob", "approveJob", "commitDataset", "commitRound", "spend")
    assert await here.results(payer, *(wanted[one] for one in first)) == ["kept"] * len(first)
    for one in (payer, payee, third):
        assert await here.results(one, wanted["setContributions"]) == ["kept"]
    # A fourth vote is late and harmless: the version stands; another one is refused.
    assert await here.results(fourth, wanted["setContributions"]) == ["known"]
    other = replace(shares(here), root=word("other scores"))
    assert await here.results(fourth, other) == ["refused old_version"]
    assert await here.results(fourth, wanted["dispute"]) == ["kept"]
    assert await here.results(third, wanted["withdraw"]) == ["refused no_dispute"]
    await here.pass_time(here.window)
    assert await here.results(payer, wanted["split"]) == ["refused disputed"]
    assert await here.results(fourth, wanted["withdraw"]) == ["kept"]
    for one in (payer, payee, fourth):
        assert await here.results(one, wanted["split"]) == ["kept"]
    assert await here.results(third, wanted["split"]) == ["known"]
    again = e.Split(JOB, 1, payer.key, 1_001, EUR)
    assert await here.results(third, again) == ["refused already_split"]
    named = shares(here)
    parts = dict(zip(named.members, (500, 334, 166), strict=True))  # 333 and the rest of 1
    anchor = here.anchor(None)
    for one in here.parties:
        due = 0 if one is payer else parts.get(one.key, 0)
        assert await anchor.owed(payer.key, one.key, EUR) == due
    # Only who owes can settle, only who is paid can confirm.
    assert await here.results(payee, wanted["settle"]) == ["refused not_owed"]
    assert await here.results(payer, wanted["settle"]) == ["kept"]
    for one in (payer, third, fourth):
        assert await here.results(one, wanted["confirm"]) == ["refused no_payment"]
    before = await anchor.owed(payer.key, payee.key, EUR)
    assert await here.results(payee, wanted["confirm"], wanted["confirm"]) == ["kept", "known"]
    assert await anchor.owed(payer.key, payee.key, EUR) == before - 100
    for one in (payer, payee, third):
        assert await here.results(one, wanted["admit"]) == ["kept"]
    for one in here.parties:  # four of five
        assert await here.results(one, wanted["upgrade"]) == ["kept"]
    said = await here.results(payer, wanted["remove"], wanted["settle"], wanted["upgrade"])
    assert said == ["refused closed", "known", "known"]
    assert await here.results(payer, e.Upgrade(word("elsewhere"))) == ["refused closed"]


async def test_what_is_stated_cannot_be_stated_again(here: World) -> None:
    payer, payee = here.parties[0], here.parties[1]
    named = tuple(sorted(one.key for one in here.parties[:2]))
    half = e.SetContributions(JOB, 1, word(1), named, (5_000, 5_000), named[0])
    for one in here.parties[:3]:
        await here.do(one, half)
    await here.pass_time(here.window)
    for one in here.parties[:3]:
        await here.do(one, e.Split(JOB, 1, payer.key, 1_000, EUR))
    pay = [e.Settle(payee.key, 300, EUR, word("payment", i)) for i in range(2)]
    assert await here.results(payer, *pay) == ["kept", "refused not_owed"]


async def test_a_member_taken_out_comes_back_with_other_votes(here: World) -> None:
    gone, key = here.parties[3], here.parties[3].key
    back = e.Admit(key, here.others[0].account.word, HALVES)
    for one in here.parties[:3]:
        assert await here.results(one, e.Remove(key)) == ["kept"]
    assert await here.results(here.parties[0], e.Remove(key)) == ["known"]
    for one in here.parties[:3]:
        assert await here.results(one, back) == ["kept"]
    assert await here.results(gone, e.RegisterJob(JOB, word(1))) == ["refused stranger"]
    assert await here.results(here.others[0], e.RegisterJob(JOB, word(1))) == ["kept"]
    members = await here.anchor(None).members()
    assert [one.account for one in members if one.member == key] == [back.account]
    # Votes on the earlier removal and admission are over.
    assert await here.results(here.parties[0], e.Remove(key)) == ["kept"]
    assert len(await here.anchor(None).members()) == 4


async def test_one_refused_entry_stops_none_of_its_batch(here: World) -> None:
    from secureflow.adapters.anchors.evm.coding import call_of, function

    good = [e.RegisterJob(word(i), word("spec")) for i in range(3)]
    bad = e.Spend(DATA, JOB, 1)
    said = await here.results(here.parties[0], good[0], bad, good[1], good[0], good[2])
    assert said == ["kept", "refused not_committed", "kept", "known", "kept"]
    # Calls that are none of ours, cut off, longer than they are, or batches of batches.
    approve = call_of(e.ApproveJob(JOB, word(1)))
    strange = [b"", b"\1\2", approve[:40], approve + bytes(32), word("?"), approve]
    strange.append(function("batch").call([approve]))
    wide = function("spend").call(DATA, JOB, 2**53)
    assert await raw(here, [*strange, wide]) == [3, 3, 3, 3, 3, 1, 3, 3]


async def raw(here: World, calls: list[bytes], gas: int = 5_000_000) -> list[int]:
    """Send calls as a member's batch, whatever they are; return the contract's results, if any."""
    from secureflow.adapters.anchors.evm.answers import receipt
    from secureflow.adapters.anchors.evm.coding import function, topic

    batch, account = function("batch").call(calls), here.parties[0].account
    count = int(await here.rpc.ask("eth_getTransactionCount", account.address, "latest"), 16)
    to, chain_id = bytes.fromhex(here.settings.contract[2:]), here.settings.chain
    fields = {"to": to, "value": 0, "gas": gas, "gasPrice": 0}
    made = account.signed({**fields, "nonce": count, "chainId": chain_id, "data": batch})
    await here.rpc.ask("eth_sendRawTransaction", f"0x{made.raw.hex()}")
    while (
        found := receipt(await here.rpc.ask("eth_getTransactionReceipt", f"0x{made.id}"))
    ) is None:
        pass
    judged = [one for one in found.logs if one.topics[0] == topic("Judged")]
    assert found.ok is bool(judged)
    return list(judged[0].data[64 : 64 + len(calls)]) if judged else []


async def test_a_batch_without_enough_gas_did_not_happen(here: World) -> None:
    from secureflow.adapters.anchors.evm.coding import call_of

    calls = [call_of(e.AnchorHead(LOG, i, word("root"), HALVES)) for i in range(1, 9)]
    said = [await raw(here, calls, gas) for gas in range(100_000, 1_200_000, 24_000)]
    enough = said.index([1] * 8)
    assert enough > 25
    assert said == [[]] * enough + [[1] * 8] + [[0] * 8] * (len(said) - enough - 1)


async def test_a_contract_is_not_made_with_a_strange_binding(url: str) -> None:
    from secureflow.adapters.anchors.evm.deploying import deploy, planned
    from secureflow.adapters.anchors.evm.rpc import Rpc
    from secureflow.kit.errors import SecureFlowError

    rpc, one, other = Rpc(url), Party("one"), Party("other")
    name = await planned(rpc, one.account.address)
    swapped = e.Admit(one.key, other.account.word, one.binding(name).signature)
    twice = e.Admit(other.key, one.account.word, HALVES)
    for members in ([swapped], [], [one.binding(name), twice]):
        with pytest.raises(SecureFlowError, match="anchor_refused"):
            await deploy(rpc, one.account, members, 10)
    await rpc.close()
