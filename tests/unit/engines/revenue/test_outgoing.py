"""What members send to a place brings about there just what they approved here."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.anchors import money
from secureflow.engines.anchors.entries import (
    Entry,
    SetContributions,
    Withdraw,
    currency_word,
    job_digest,
    parse_entry,
)
from secureflow.engines.anchors.rules import apply
from secureflow.engines.anchors.state import Member, Shares, found
from secureflow.engines.revenue.deeds import CENTRE, Deed
from secureflow.engines.revenue.outgoing import entries_of
from secureflow.engines.revenue.settlement import computed
from secureflow.engines.revenue.shares import amounts_of, shares_of
from secureflow.engines.revenue.standing import GRACE, standing_of
from secureflow.kit.canonical import b64decode
from tests.unit.engines.revenue.parts import (
    DAY,
    agreement_of,
    case_of,
    deed_of,
    evidence_of,
    measured,
    names_of,
    settlement_of,
)


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(st.integers(2, 8), st.sampled_from([100, 256])),
    st.integers(0, 10**15),
    st.randoms(use_true_random=False),
)
def test_amounts_are_those_of_a_places_split(count, amount, random) -> None:
    names = names_of(count)
    agreement = agreement_of(
        names, floor=random.randint(0, 10_000 // count), rounding=random.choice(names)
    )
    parties = {name: measured(random.randint(-5, 10**6)) for name in names}
    shares = shares_of(agreement, parties)
    keys = {name: b64decode(key) for name, key in agreement.keys.items()}
    ordered = sorted((keys[name].hex(), share) for name, share in shares.items())
    standing = Shares(
        1, "00" * 32, [key for key, _ in ordered], [share for _, share in ordered],
        keys[agreement.rounding].hex(), 0,
    )  # fmt: skip
    there = money.parts(standing, amount)
    here = amounts_of(amount, shares, agreement.rounding)
    assert {keys[name].hex(): one for name, one in here.items()} == there


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 12), st.integers(1, 10**6), st.integers(1, 10**9), st.booleans())
def test_a_place_owes_what_was_approved_to_the_last_unit(count, per_job, entered, disputed) -> None:
    names = names_of(count)
    agreement = agreement_of(names, per_job=per_job, payer=names[-1], rounding=names[1])
    settlement = settlement_of(agreement, "job_a", "job_b", entered=entered)
    records = [
        evidence_of(job, {name: measured(weight + place) for place, name in enumerate(names)})
        for job, weight in (("job_a", 5), ("job_b", -2))
    ]
    result = computed(agreement, settlement, records)
    keys = {name: b64decode(key) for name, key in agreement.keys.items()}
    place = found(
        "file:test", [Member(key, key, ()) for key in keys.values()], agreement.window, checks=False
    )
    currency = currency_word("EUR")
    now, closed = 2000, 2000 + agreement.window + GRACE

    def send(deed: Deed, who: str) -> list[str]:
        entries = entries_of(deed, agreement, settlement, result)
        assert [parse_entry(one.json()) for one in entries] == list(entries)
        return [apply(place, one, keys[who], deed.at).result for one in entries * 2]

    approvals = [
        deed_of("approve", settlement, name, now, computed=result.digest) for name in names
    ]
    for number, deed in enumerate(approvals, 1):
        late = number > agreement.quorum  # a vote for what stands already does no harm
        assert set(send(deed, deed.organisation)) == ({"known"} if late else {"kept", "known"})
    deeds = list(approvals)
    close = deed_of("close", settlement, CENTRE, closed, computed=result.digest)
    if disputed:
        deeds += [
            deed_of("dispute", settlement, names[0], now + DAY, evidence="ab" * 32),
            deed_of("withdraw", settlement, names[0], now + 2 * DAY),
        ]
        assert "refused" not in send(deeds[-2], names[0])
        assert "refused" in send(close, names[1])
        assert "refused" not in send(deeds[-1], names[0])
    for name in names:
        send(close, name)
    for name in names:
        owed = money.owed(place, keys[agreement.payer], keys[name], currency)
        assert owed == result.owed(agreement.payer).get(name, 0)
    deeds.append(close)
    for name, amount in result.owed(agreement.payer).items():
        facts = {"amount": amount, "reference": f"{names.index(name):064x}"}
        pay = deed_of("pay", settlement, agreement.payer, closed, payee=name, **facts)
        confirm = deed_of("confirm", settlement, name, closed, payer=agreement.payer, **facts)
        assert send(pay, agreement.payer) == ["kept", "known"]
        assert send(confirm, name) == ["kept", "known"]
        deeds += [pay, confirm]
        assert money.owed(place, keys[agreement.payer], keys[name], currency) == 0
    assert standing_of(agreement, result, deeds).state == "paid"


def test_entries_name_the_job_and_version_and_members_by_their_keys() -> None:
    agreement, _, _ = case_of(3)
    settlement = settlement_of(agreement, "job_a", version=3, replaces="ab" * 32)
    parties = {name: measured(1) for name in agreement.keys}
    result = computed(agreement, settlement, [evidence_of("job_a", parties)])
    deed = deed_of("approve", settlement, "m001", 5, computed=result.digest)
    (entry,) = entries_of(deed, agreement, settlement, result)
    assert isinstance(entry, SetContributions)
    assert (entry.job, entry.version, entry.root) == (
        job_digest("job_a"), 3, result.bookings[0].root,
    )  # fmt: skip
    assert dict(zip(entry.members, entry.shares, strict=True)) == {
        b64decode(key): result.bookings[0].shares[name] for name, key in agreement.keys.items()
    }
    taken: tuple[Entry, ...] = entries_of(
        deed_of("withdraw", settlement, "m001", 5), agreement, settlement, result
    )
    assert taken == (Withdraw(job_digest("job_a"), 3),)
