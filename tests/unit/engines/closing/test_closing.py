from __future__ import annotations

import itertools
import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.nasty import NASTY

from secureflow.domain.quorum import threshold_of
from secureflow.engines.closing import (
    Certificate,
    Question,
    Vote,
    cast_vote,
    certify,
    may_vote,
    parse_certificate,
    round_context,
    verify_certificate,
)
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

KEYS = {f"bank-{i}": SigningKey.generate() for i in range(8)}
CONTEXT = "c" * 64


def roster(n: int) -> dict[str, str]:
    return {party: KEYS[party].public for party in sorted(KEYS)[:n]}


def question(n: int, dead: tuple[str, ...] = (), **changes: Any) -> Question:
    survivors = tuple(party for party in roster(n) if party not in dead)
    fields = {
        "job": "job-1",
        "round": 3,
        "stage": "update",
        "context": CONTEXT,
        "survivors": survivors,
        "dead": dead,
    }
    return Question(**{**fields, **changes})


def votes(asked: Question, voters: int) -> list[Vote]:
    return [cast_vote(asked, party, KEYS[party]) for party in asked.survivors[:voters]]


def code(error: pytest.ExceptionInfo[SecureFlowError]) -> str:
    return error.value.code


@pytest.mark.parametrize(
    ("n", "t"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 5), (7, 5), (64, 43), (100, 67)]
)
def test_threshold(n: int, t: int) -> None:
    assert threshold_of(n) == t


def test_two_certificates_for_different_sets_need_more_colluders_than_tolerated() -> None:
    for n in range(3, 200):
        colluders = max(1, -(-n // 3) - 1)
        if n >= 4:
            assert 2 * threshold_of(n) > n + colluders


@pytest.mark.parametrize(("n", "dead"), [(3, 0), (4, 1), (7, 2), (8, 2)])
def test_quorum_certifies_and_one_vote_fewer_does_not(n: int, dead: int) -> None:
    asked = question(n, tuple(sorted(roster(n))[-dead:] if dead else ()))
    t = threshold_of(n)
    verify_certificate(certify(votes(asked, t)), roster(n))
    with pytest.raises(SecureFlowError) as error:
        verify_certificate(certify(votes(asked, t - 1)), roster(n))
    assert code(error) == "certificate_short"


def test_where_all_have_to_contribute_all_have_to_vote() -> None:
    """Then a party that takes its approval back before its vote keeps its update closed."""
    asked = question(4)
    verify_certificate(certify(votes(asked, 3)), roster(4))
    verify_certificate(certify(votes(asked, 4)), roster(4), 4)
    with pytest.raises(SecureFlowError) as error:
        verify_certificate(certify(votes(asked, 3)), roster(4), 4)
    assert code(error) == "certificate_short"


def test_n_is_the_roster_not_those_online() -> None:
    # 3 of 8 survivors would be a quorum of a roster of 4.
    asked = question(4)
    with pytest.raises(SecureFlowError) as error:
        verify_certificate(certify(votes(asked, 4)), roster(8))
    assert code(error) == "dead_inconsistent"
    with pytest.raises(SecureFlowError) as error:
        verify_certificate(certify(votes(question(8, tuple(sorted(roster(8))[4:])), 4)), roster(8))
    assert code(error) == "survivors_too_few"


def test_a_sum_of_two_of_three_is_refused_with_the_reason() -> None:
    asked = question(3, ("bank-2",))
    with pytest.raises(SecureFlowError, match="shows each of the two") as error:
        verify_certificate(certify(votes(asked, 2)), roster(3))
    assert code(error) == "survivors_too_few"


def test_two_parties_close_a_round_together() -> None:
    verify_certificate(certify(votes(question(2), 2)), roster(2))
    with pytest.raises(SecureFlowError):
        verify_certificate(certify(votes(question(2), 1)), roster(2))


def test_stranger_in_the_set_is_refused() -> None:
    asked = question(4)
    with pytest.raises(SecureFlowError) as error:
        verify_certificate(certify(votes(asked, 4)), roster(3))
    assert code(error) == "survivors_unknown"


def test_votes_for_different_sets_do_not_mix() -> None:
    one, two = question(4), question(4, ("bank-3",))
    with pytest.raises(SecureFlowError) as error:
        certify([*votes(one, 2), votes(two, 3)[2]])
    assert code(error) == "certificate_mixed"


def test_a_vote_for_another_set_counts_as_forged() -> None:
    one, two = question(4), question(4, ("bank-3",))
    signatures = dict(certify(votes(one, 2)).votes)
    signatures["bank-2"] = votes(two, 3)[2].signature
    with pytest.raises(SecureFlowError) as error:
        verify_certificate(Certificate(one, signatures), roster(4))
    assert code(error) == "certificate_forged"


@pytest.mark.parametrize("field", ["job", "round", "stage", "context"])
def test_a_vote_counts_for_its_own_slot_only(field: str) -> None:
    other = {"job": "job-2", "round": 4, "stage": "final", "context": "d" * 64}[field]
    signed = certify(votes(question(4), 4))
    moved = Certificate(question(4, **{field: other}), signed.votes)
    with pytest.raises(SecureFlowError) as error:
        verify_certificate(moved, roster(4))
    assert code(error) == "certificate_forged"


def test_a_dead_voter_is_refused() -> None:
    asked = question(4, ("bank-3",))
    all_votes = [*votes(asked, 3), cast_vote(asked, "bank-3", KEYS["bank-3"])]
    with pytest.raises(SecureFlowError, match="not among the contributors") as error:
        verify_certificate(certify(all_votes), roster(4))
    assert code(error) == "certificate_forged"


def test_one_party_cannot_vote_for_another_nor_twice() -> None:
    asked = question(4)
    stolen = cast_vote(asked, "bank-1", KEYS["bank-0"])
    with pytest.raises(SecureFlowError) as error:
        verify_certificate(certify([*votes(asked, 1), stolen, votes(asked, 3)[2]]), roster(4))
    assert code(error) == "certificate_forged"
    with pytest.raises(SecureFlowError) as error:
        certify([*votes(asked, 2), stolen])
    assert code(error) == "certificate_forged"
    again = certify([*votes(asked, 2), *votes(asked, 2)])
    with pytest.raises(SecureFlowError) as error:
        verify_certificate(again, roster(4))
    assert code(error) == "certificate_short"


def test_extra_forged_vote_spoils_a_sufficient_certificate() -> None:
    asked = question(4)
    with pytest.raises(SecureFlowError):
        verify_certificate(
            certify([*votes(asked, 3), cast_vote(asked, "bank-3", KEYS["bank-0"])]), roster(4)
        )


def test_certificate_needs_a_vote() -> None:
    with pytest.raises(SecureFlowError) as error:
        certify([])
    assert code(error) == "certificate_short"


def may(previous: list[Vote], asked: Question, **changes: Any) -> Vote | None:
    return may_vote(
        previous, asked, **{"voter": "bank-0", "context": CONTEXT, "roster": roster(4), **changes}
    )


def test_round_context_binds_every_part() -> None:
    base: dict[str, Any] = {
        "job": "job-1",
        "round_number": 1,
        "stage": "train",
        "spec": "a" * 64,
        "model": "b" * 64,
        "roster": ("x", "y"),
    }
    context = round_context(**base)
    assert round_context(**{**base, "roster": ("y", "x")}) == context
    changed: dict[str, Any] = {
        "job": "job-2",
        "round_number": 2,
        "stage": "final",
        "spec": "c" * 64,
        "model": "d" * 64,
        "roster": ("x", "z"),
    }
    for name, value in changed.items():
        assert round_context(**{**base, name: value}) != context


def test_a_party_votes_once_and_repeats_itself() -> None:
    asked = question(4)
    assert may([], asked) is None
    vote = cast_vote(asked, "bank-0", KEYS["bank-0"])
    assert may([vote], asked) == vote
    assert may([vote], question(4, round=4)) is None
    assert may([vote], question(4, stage="final")) is None


@pytest.mark.parametrize("other", [{"dead": ("bank-3",)}, {"context": "d" * 64}])
def test_a_second_different_question_is_refused(other: dict[str, Any]) -> None:
    vote = cast_vote(question(4), "bank-0", KEYS["bank-0"])
    dead = other.get("dead", ())
    asked = question(4, dead, **{k: v for k, v in other.items() if k != "dead"})
    with pytest.raises(SecureFlowError) as error:
        may([vote], asked)
    assert code(error) == "vote_already_cast"


def test_a_party_does_not_certify_its_own_death() -> None:
    with pytest.raises(SecureFlowError) as error:
        may([], question(4, ("bank-0",)))
    assert code(error) == "voted_dead"


def test_a_party_refuses_other_contexts_sets_and_small_sums() -> None:
    cases: list[tuple[Question, dict[str, Any], str]] = [
        (question(4, context="d" * 64), {}, "vote_other_context"),
        (question(4), {"roster": roster(3)}, "survivors_unknown"),
        (question(3), {}, "dead_inconsistent"),
        (question(4, ("bank-2", "bank-3")), {}, "survivors_too_few"),
        (question(2), {"roster": roster(2)}, "survivors_too_few"),
        (question(4, ("bank-3",)), {"least": 4}, "survivors_too_few"),
    ]
    for asked, changes, expected in cases:
        with pytest.raises(SecureFlowError) as error:
            may([], asked, **changes)
        assert code(error) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"round": -1},
        {"round": True},
        {"round": 2**31},
        {"context": "C" * 64},
        {"context": ""},
        {"stage": ""},
        {"job": "x" * 200},
        {"survivors": ("bank-1", "bank-0", "bank-2", "bank-3")},
        {"survivors": ("bank-0", "bank-0")},
        {"dead": ("b\n",)},
    ],
)
def test_malformed_questions(changes: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError) as error:
        question(4, **changes) if "dead" not in changes else question(4, changes["dead"])
    assert code(error) == "vote_malformed"


def test_json_round_trips() -> None:
    asked = question(4, ("bank-3",))
    certificate = certify(votes(asked, 3))
    assert parse_certificate(canonical_bytes(certificate.as_json())) == certificate
    vote = votes(asked, 1)[0]
    assert Vote.from_json(json.loads(json.dumps(vote.as_json()))) == vote
    body = vote.as_json()["body"]
    for broken in (
        {**vote.as_json(), "x": 1},
        {**vote.as_json(), "body": {**body, "voter": None}},
        {**vote.as_json(), "body": {**body, "x": 1}},
        {**vote.as_json(), "body": None},
        [],
        None,
    ):
        with pytest.raises(SecureFlowError):
            Vote.from_json(broken)


GOOD = canonical_bytes(certify(votes(question(4), 4)).as_json())


@pytest.mark.parametrize(
    "changes",
    [
        {"votes": []},
        {"votes": {"bank-0": 1}},
        {"votes": {"bank-0": "short"}},
        {"votes": {"bank 0": "A" * 86 + "=="}},
        {"votes": {f"p{i}": "A" * 86 + "==" for i in range(4097)}},
        {"job": 1},
        {"survivors": "bank-0"},
        {"survivors": [1, 2, 3]},
        {"dead": [None]},
        {"dead": sorted(f"p{i}" for i in range(4097))},
        {"extra": 1},
    ],
)
def test_malformed_certificates(changes: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError) as error:
        Certificate.from_json({**json.loads(GOOD), **changes})
    assert code(error) in {"certificate_malformed", "vote_malformed"}


@pytest.mark.parametrize("value", [None, [], "text", {}])
def test_what_is_no_certificate_at_all(value: Any) -> None:
    with pytest.raises(SecureFlowError) as error:
        Certificate.from_json(value)
    assert code(error) == "certificate_malformed"
    with pytest.raises(SecureFlowError) as error:
        Question.from_json(value)
    assert code(error) == "vote_malformed"


@pytest.mark.parametrize("changes", [{"signature": 1}, {"signature": "A"}, {"signature": None}])
def test_malformed_votes(changes: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError) as error:
        Vote.from_json({**votes(question(4), 1)[0].as_json(), **changes})
    assert code(error) == "vote_malformed"


def test_oversized_certificate_is_not_parsed() -> None:
    with pytest.raises(SecureFlowError) as error:
        parse_certificate(b" " * (2 << 20))
    assert code(error) == "malformed_json"


def mutate(data: bytes, seed: int) -> bytes:
    rng = Random(seed)  # hypothesis draws a seed only: drawing whole values is far slower
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        out[rng.randrange(len(out))] = rng.randrange(256)
    return bytes(out)


def refuses_or_is_the_same(data: bytes) -> None:
    try:
        certificate = parse_certificate(data)
        verify_certificate(certificate, roster(4))
    except SecureFlowError:
        return
    assert certificate == parse_certificate(GOOD)


def fuzz_bytes(seed: int) -> None:
    refuses_or_is_the_same(mutate(GOOD, seed))


def fuzz_shapes(seed: int) -> None:
    rng = Random(seed)
    names = rng.sample([*question(4).as_json(), "votes"], rng.randint(1, 3))
    changes = {name: rng.choice(NASTY) for name in names}
    refuses_or_is_the_same(json.dumps({**json.loads(GOOD), **changes}).encode())


@pytest.mark.soak
@given(st.integers(0, 2**64))
@settings(max_examples=1_000_000, deadline=None)
def test_soak_fuzzed_bytes(seed: int) -> None:
    refuses_or_is_the_same(mutate(GOOD, seed))


def test_at_most_one_set_is_certified_by_honest_parties_and_one_colluder() -> None:
    """Exhaustive for N = 4, c = 1: a server may ask anyone anything; no two sets are certified."""
    parties = roster(4)
    sets = [question(4), *(question(4, (party,)) for party in parties)]
    colluder = "bank-0"
    for first, second in itertools.permutations(sets, 2):
        cast: dict[str, list[Vote]] = {party: [] for party in parties}
        certified = 0
        for asked in (first, second):
            collected = []
            for party in asked.survivors:
                previous = [] if party == colluder else cast[party]
                try:
                    vote = may_vote(
                        previous, asked, voter=party, context=CONTEXT, roster=parties
                    ) or cast_vote(asked, party, KEYS[party])
                except SecureFlowError:
                    continue
                cast[party].append(vote)
                collected.append(vote)
            try:
                verify_certificate(certify(collected), parties)
                certified += 1
            except SecureFlowError:
                pass
        assert certified <= 1


@pytest.mark.parametrize("fuzz", [fuzz_bytes, fuzz_shapes])
@given(seed=st.integers(0, 2**64))
@settings(max_examples=400, deadline=None)
def test_fuzzed_certificates_are_typed_errors(fuzz: Any, seed: int) -> None:
    """Or nothing else than the one that was given."""
    fuzz(seed)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("fuzz", [fuzz_bytes, fuzz_shapes])
@given(seed=st.integers(0, 2**64))
@settings(max_examples=100_000, deadline=None)
def test_soak_fuzzed_certificates(fuzz: Any, seed: int) -> None:
    fuzz(seed)
