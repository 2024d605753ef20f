"""A malicious server against the real client: each attack is refused with its own code."""

from __future__ import annotations

import dataclasses
import hmac
from collections.abc import Callable

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from peers.secagg import MODEL, OTHER_MODEL, Table
from peers.secagg_adversary import Adversary

from secureflow.engines import closing
from secureflow.engines.closing import Certificate
from secureflow.engines.secagg import SecAggClient, guards, messages
from secureflow.engines.secagg.framing import FrameKind
from secureflow.engines.secagg.masks import add_masks, pair_key, self_key
from secureflow.engines.secagg.messages import SEALED_BYTES, Begin, Meet, sign_round_key, sign_setup
from secureflow.engines.secagg.shamir import PRIME
from secureflow.engines.secagg.shares import seal_pair
from secureflow.kit.canonical import b64encode
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(SecureFlowError) as refused:
        call()
    return refused.value.code


@pytest.fixture
def adversary() -> Adversary:
    """Five parties (t = 4, one colluder); nothing begun."""
    return Adversary(Table(5))


@pytest.fixture
def masked(adversary: Adversary) -> tuple[Adversary, str]:
    """Everybody honest has masked under one context over the whole roster."""
    for name in adversary.honest:
        context = adversary.begin(name, 0, adversary.table.names)
        adversary.mask(name)
    return adversary, context


# --- one answer per round ------------------------------------------------------------------------


def test_two_dead_lists(masked: tuple[Adversary, str]) -> None:
    server, context = masked
    names, victim = server.table.names, server.honest[0]
    assert server.ask(victim, server.question(context, names[:4])) is FrameKind.VOTE
    other = server.question(context, [n for n in names if n != names[3]])
    assert code_of(lambda: server.ask(victim, other)) == "vote_already_cast"
    assert code_of(lambda: server.ask(victim, server.question(context, names))) == (
        "vote_already_cast"
    )


def test_an_opening_is_the_one_vote(masked: tuple[Adversary, str]) -> None:
    server, context = masked
    names, victim = server.table.names, server.honest[0]
    assert server.ask(victim, server.question(context, names)) is FrameKind.OPENING
    assert code_of(lambda: server.ask(victim, server.question(context, names[:4]))) == (
        "vote_already_cast"
    )
    certificate = server.certificate(server.question(context, names[:4]))
    assert code_of(lambda: server.ask(victim, certificate)) == "vote_already_cast"


def test_the_one_vote_survives_a_restart(masked: tuple[Adversary, str]) -> None:
    server, context = masked
    names, victim = server.table.names, server.honest[0]
    server.ask(victim, server.question(context, names[:4]))
    server.table.restart([victim])
    other = server.question(context, [n for n in names if n != names[3]])
    assert code_of(lambda: server.ask(victim, other)) == "vote_already_cast"


def test_double_query(masked: tuple[Adversary, str]) -> None:
    """Flower 1.42's SecAgg+ answers for a node that is both active and dead."""
    server, context = masked
    names, victim = server.table.names, server.honest[0]
    both = server.question(context, names, dead=[names[1]])
    assert code_of(lambda: server.ask(victim, both)) == "active_and_dead"


def test_the_double_query_would_read_one_party(
    masked: tuple[Adversary, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack is real: without the guards it recovers a single update exactly."""
    server, context = masked
    monkeypatch.setattr(guards, "RULES", {})
    monkeypatch.setattr(closing, "may_vote", lambda *_, **__: None)
    monkeypatch.setattr("secureflow.engines.secagg.client.verify_certificate", lambda *_: None)
    victim = server.honest[1]
    for name in server.honest:
        server.ask(name, server.question(context, server.table.names))
        others = [n for n in server.table.names if n != victim]
        server.ask(name, Certificate(server.question(context, others), {}))
    assert {victim} in server.opened(context)
    table, encoding = server.table, server.plan.encoding
    scale = table.weights[victim] / encoding.step
    got = server.read_alone(context, victim)[: encoding.length]
    assert (got == np.rint(table.values[victim] * scale)).all()


# --- who is in the sum ---------------------------------------------------------------------------


def test_roster_shrinking_at_the_close(masked: tuple[Adversary, str]) -> None:
    server, context = masked
    names, victim = server.table.names, server.honest[0]
    for survivors, dead, code in (
        (names[:2], None, "fewer_than_three"),
        (names[:3], None, "survivors_too_few"),
        (names[:4], [], "dead_inconsistent"),
        (names[1:], None, "voted_dead"),
    ):
        asked = server.question(context, survivors, dead)
        assert code_of(lambda asked=asked: server.ask(victim, asked)) == code
    assert not server.votes[asked]


def test_a_party_that_nobody_masked_towards(adversary: Adversary) -> None:
    names, victim = adversary.table.names, adversary.honest[0]
    context = adversary.begin(victim, 0, names[:4])
    adversary.mask(victim)
    asked = adversary.question(context, names)
    assert code_of(lambda: adversary.ask(victim, asked)) == "other_roster"


def test_fewer_contributors_than_the_approval_accepts(masked: tuple[Adversary, str]) -> None:
    server, context = masked
    victim = server.honest[0]
    state = server.table.clients[victim].export_state()
    key = server.table.keys[victim]
    server.table.clients[victim] = SecAggClient.restore(server.plan, victim, key, state, least=5)
    asked = server.question(context, server.table.names[:4])
    assert code_of(lambda: server.ask(victim, asked)) == "survivors_too_few"


def test_roster_shrinking_at_the_begin(adversary: Adversary) -> None:
    names, victim = adversary.table.names, adversary.honest[0]
    assert code_of(lambda: adversary.begin(victim, 0, names[:3])) == "roster_below_threshold"
    assert code_of(lambda: adversary.begin(victim, 0, names[::-1])) == "other_roster"
    assert code_of(lambda: adversary.begin(victim, 0, [*names[:4], names[3]])) == "other_roster"
    assert code_of(lambda: adversary.begin(victim, 0, names[1:])) == "own_key_replaced"


# --- dead parties need a certificate -------------------------------------------------------------


def test_nothing_is_revealed_without_a_certificate(masked: tuple[Adversary, str]) -> None:
    server, context = masked
    question = server.question(context, server.table.names[:4])
    assert {server.ask(n, question) for n in server.honest[:2]} == {FrameKind.VOTE}
    short = server.certificate(question)
    assert code_of(lambda: server.ask(server.honest[0], short)) == "certificate_short"
    key = SigningKey.generate()
    forged = {n: closing.cast_vote(question, n, key).signature for n in question.survivors}
    certificate = Certificate(question, forged)
    assert code_of(lambda: server.ask(server.honest[0], certificate)) == "certificate_forged"
    others = server.question(context, server.table.names)
    moved = Certificate(
        question, dict.fromkeys(others.survivors[:4], server.votes[question][server.honest[0]])
    )
    assert code_of(lambda: server.ask(server.honest[0], moved)) == "certificate_forged"


# --- one context, one vector ---------------------------------------------------------------------


def test_model_inconsistency(adversary: Adversary) -> None:
    """Pasquini et al. (2111.07380): a party that gets another model gets masks that stay."""
    server, table = adversary, adversary.table
    contexts = {
        n: server.begin(n, 0, table.names, OTHER_MODEL if n == server.honest[0] else MODEL)
        for n in table.names
    }
    assert len(set(contexts.values())) == 2
    for name in table.names:
        server.mask(name)
    common = contexts[server.honest[1]]
    victim = server.honest[0]
    asked = server.question(common, table.names)
    assert code_of(lambda: server.ask(victim, asked)) == "vote_other_context"
    for name in server.honest[1:]:
        server.ask(name, asked)
    # Everybody but the victim has opened, yet no sum is readable: it lacks the victim's masks.
    assert server.opened(common) == []


def test_an_upload_under_another_model_is_named(adversary: Adversary) -> None:
    table = Table(4)
    table.set_up()
    victim = table.names[0]
    for name, frame in table.aggregator.begin(0, MODEL).items():
        table.clients[name].begin(frame, OTHER_MODEL if name == victim else MODEL)
    assert code_of(lambda: table.upload([victim])) == "other_context"
    table.upload(table.names[1:])


def test_a_second_context_in_a_round(adversary: Adversary) -> None:
    names, victim = adversary.table.names, adversary.honest[0]
    adversary.begin(victim, 0, names)
    assert code_of(lambda: adversary.begin(victim, 0, names[:4])) == "second_context"
    assert code_of(lambda: adversary.begin(victim, 0, names, OTHER_MODEL)) == "second_context"


def test_a_second_update_in_a_round(masked: tuple[Adversary, str]) -> None:
    """Two updates under one mask would show their difference, also after a restart."""
    server, _ = masked
    victim = server.honest[0]
    server.table.restart([victim])
    server.table.values[victim] = server.table.values[victim] + 0.5
    assert code_of(lambda: server.mask(victim)) == "second_update"


def test_a_stale_round(masked: tuple[Adversary, str]) -> None:
    server, context = masked
    names, victim = server.table.names, server.honest[0]
    question = server.question(context, names[:4])
    for name in server.honest:
        server.ask(name, question)
    certificate = server.certificate(question)
    server.begin(victim, 1, names)
    assert code_of(lambda: server.ask(victim, server.question(context, names))) == "stale_round"
    assert code_of(lambda: server.ask(victim, certificate)) == "stale_round"
    assert code_of(lambda: server.begin(victim, 0, names)) == "stale_round"
    assert code_of(lambda: server.table.clients[victim].advance(1)) == "stale_round"
    assert 0 not in server.table.clients[victim]._secrets
    # A round for which it never gave a key.
    keys = tuple(server.advances[1, name][0].round_key for name in names)
    ahead = messages.pack(Begin(2, keys), bytes(SEALED_BYTES * (len(names) - 1)))
    assert code_of(lambda: server.table.clients[victim].begin(ahead, MODEL)) == "stale_round"


def test_a_question_before_the_mask(adversary: Adversary) -> None:
    names, victim = adversary.table.names, adversary.honest[0]
    context = adversary.begin(victim, 0, names)
    asked = adversary.question(context, names)
    assert code_of(lambda: adversary.ask(victim, asked)) == "not_masked"


def test_another_jobs_question(masked: tuple[Adversary, str]) -> None:
    server, context = masked
    asked = dataclasses.replace(server.question(context, server.table.names), job="job_other123")
    assert code_of(lambda: server.ask(server.honest[0], asked)) == "stale_round"
    asked = dataclasses.replace(server.question(context, server.table.names), stage="train")
    assert code_of(lambda: server.ask(server.honest[0], asked)) == "stale_round"


# --- keys and shares -----------------------------------------------------------------------------


def _begin_with(server: Adversary, **changed: messages.RoundKey) -> str:
    names, victim = server.table.names, server.honest[0]
    keys = tuple(
        changed.get(n.replace("-", "_"), server.advances[0, n][0].round_key) for n in names
    )
    body = b"".join(server.sealed(0, n, victim) for n in names if n != victim)
    frame = messages.pack(Begin(0, keys), body)
    return code_of(lambda: server.table.clients[victim].begin(frame, MODEL))


def test_key_substitution(adversary: Adversary) -> None:
    server, table = adversary, adversary.table
    genuine = server.advances[0, "org-1"][0].round_key
    mine = b64encode(bytes(range(32)))
    swapped = dataclasses.replace(genuine, key=mine)
    assert _begin_with(server, org_1=swapped) == "forged_key"
    commitment = dataclasses.replace(genuine, commitment="00" * 32)
    assert _begin_with(server, org_1=commitment) == "forged_key"
    by_server = sign_round_key(
        SigningKey.generate(), table.clients["org-1"]._own, 0, mine, "00" * 32
    )
    assert _begin_with(server, org_1=by_server) == "forged_key"
    by_colluder = sign_round_key(
        table.keys["org-4"], table.clients["org-1"]._own, 0, mine, "00" * 32
    )
    assert _begin_with(server, org_1=by_colluder) == "forged_key"
    stale = server.advances[1, "org-1"][0].round_key
    assert _begin_with(server, org_1=stale) == "stale_key"
    other = sign_round_key(
        table.keys["org-1"],
        dataclasses.replace(table.clients["org-1"]._own, job="job_else1"),
        0,
        mine,
        "00" * 32,
    )
    assert _begin_with(server, org_1=other) == "other_job"
    same_job = dataclasses.replace(table.clients["org-1"]._own, spec="12" * 32)
    other = sign_round_key(table.keys["org-1"], same_job, 0, mine, "00" * 32)
    assert _begin_with(server, org_1=other) == "other_job"
    fresh = sign_setup(table.keys["org-1"], server.plan, "org-1", mine)
    moved = sign_round_key(table.keys["org-1"], fresh, 0, genuine.key, genuine.commitment)
    assert _begin_with(server, org_1=moved) == "unknown_setup"


def test_forged_zero_updates(adversary: Adversary) -> None:
    """A server that plays all the others itself needs their signatures; minting one fails too."""
    server, table = adversary, adversary.table
    forged = {}
    for name in table.names[1:]:
        own = SigningKey.generate()
        setup = table.clients[name]._own
        forged[name.replace("-", "_")] = sign_round_key(own, setup, 0, setup.key, "11" * 32)
    assert _begin_with(server, **forged) == "forged_key"
    minted = dataclasses.replace(server.advances[0, "org-4"][0].round_key, party="org-9")
    assert _begin_with(server, org_4=minted) == "other_roster"
    with pytest.raises(SecureFlowError) as refused:
        SecAggClient(server.plan, "org-1", SigningKey.generate())
    assert refused.value.code == "unknown_party"


def test_sealing_key_substitution(adversary: Adversary) -> None:
    table, victim = adversary.table, adversary.table.clients["org-0"]
    mine = b64encode(bytes(range(32)))

    def meet(setup: messages.Setup) -> str:
        return code_of(lambda: victim.meet(messages.pack(Meet((setup,)))))

    genuine = table.clients["org-1"]._own
    assert meet(dataclasses.replace(genuine, key=mine)) == "forged_key"
    assert meet(sign_setup(table.keys["org-2"], adversary.plan, "org-1", mine)) == "forged_key"
    assert meet(sign_setup(table.keys["org-1"], adversary.plan, "org-1", mine)) == "setup_changed"
    assert meet(dataclasses.replace(genuine, party="org-9")) == "unknown_party"
    assert meet(dataclasses.replace(genuine, job="job_other")) == "other_job"


def test_a_party_that_was_never_met(adversary: Adversary) -> None:
    """Its sealing key was shown to the others only: no share of it could be opened."""
    server, victim, stranger = adversary, "org-0", "org-1"
    client = SecAggClient(server.plan, victim, server.table.keys[victim])
    others = [
        server.table.clients[n]._own for n in server.table.names if n not in (victim, stranger)
    ]
    client.meet(messages.pack(Meet(tuple(others))))
    own, _ = messages.unpack(server.plan, client.advance(0))
    keys = tuple(
        own.round_key if n == victim else server.advances[0, n][0].round_key
        for n in server.table.names
    )
    body = b"".join(server.sealed(0, n, victim) for n in server.table.names if n != victim)
    frame = messages.pack(Begin(0, keys), body)
    assert code_of(lambda: client.begin(frame, MODEL)) == "unknown_setup"


def test_low_order_keys_of_a_colluder() -> None:
    table = Table(4)
    zero = b64encode(bytes(32))
    setup = sign_setup(table.keys["org-3"], table.plan, "org-3", zero)
    frame = messages.pack(Meet((setup,)))
    assert code_of(lambda: table.clients["org-0"].meet(frame)) == "weak_key"
    server = Adversary(Table(4))
    victim = server.honest[0]
    colluder = server.table.clients["org-3"]
    weak = sign_round_key(server.table.keys["org-3"], colluder._own, 0, zero, "00" * 32)
    _, body = server.advances[0, "org-3"]
    pair = (1, 2)
    agreed = colluder._agreed[victim]
    setups = colluder._setups
    sealed = seal_pair(agreed, setups["org-3"], setups[victim], weak, pair)
    advance = messages.Advance(weak, (victim,))
    server.advances[0, "org-3"] = (advance, sealed)
    server.begin(victim, 0, server.table.names)
    assert code_of(lambda: server.mask(victim)) == "weak_key"
    assert len(body) > len(sealed)


def test_swapped_and_reflected_shares(adversary: Adversary) -> None:
    names, victim = adversary.table.names, adversary.honest[0]
    others = [n for n in names if n != victim]
    keys = tuple(adversary.advances[0, n][0].round_key for n in names)
    genuine = {n: adversary.sealed(0, n, victim) for n in others}

    def begin(shares: dict[str, bytes]) -> str:
        frame = messages.pack(Begin(0, keys), b"".join(shares[n] for n in others))
        return code_of(lambda: adversary.table.clients[victim].begin(frame, MODEL))

    swapped = genuine | {others[0]: genuine[others[1]], others[1]: genuine[others[0]]}
    assert begin(swapped) == "share_unopenable"
    # Its own share for the other, sent back as if it were the other's for it.
    assert begin(genuine | {others[0]: adversary.sealed(0, victim, others[0])}) == (
        "share_unopenable"
    )
    assert begin(genuine | {others[0]: adversary.sealed(1, others[0], victim)}) == (
        "share_unopenable"
    )
    assert begin(genuine | {others[0]: adversary.sealed(0, others[0], others[1])}) == (
        "share_unopenable"
    )
    assert begin({n: s[:-1] for n, s in genuine.items()}) == "malformed_frame"
    colluder = adversary.table.clients["org-4"]  # its own share, and no element of the field
    setups, key = colluder._setups, adversary.advances[0, "org-4"][0].round_key
    pair = (PRIME, 1)
    beyond = seal_pair(colluder._agreed[victim], setups["org-4"], setups[victim], key, pair)
    assert begin(genuine | {"org-4": beyond}) == "share_unopenable"
    assert adversary.begin(victim, 0, names)


# --- seed guessing -------------------------------------------------------------------------------


def test_masks_have_256_bits_from_the_operating_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower 1.42 folds each seed to 32 bits and feeds MT19937: found in minutes."""
    drawn: list[int] = []

    def token_bytes(count: int) -> bytes:
        drawn.append(count)
        return bytes([len(drawn)]) * count

    monkeypatch.setattr("secureflow.engines.secagg.client.secrets.token_bytes", token_bytes)
    server = Adversary(Table(4, dim=4096), rounds=1)
    assert drawn == [32] * 4
    victim = server.honest[1]
    server.table.values[victim] = np.zeros(4096)
    context = server.begin(victim, 0, server.table.names)
    server.mask(victim)
    secret = server.table.clients[victim]._secrets[0]
    size = server.plan.vector_bytes

    def stream(key: bytes) -> np.ndarray:
        assert len(key) == 32
        cipher = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()
        return np.frombuffer(cipher.update(bytes(size)), np.uint32)

    expected = stream(self_key(secret.self_seed, context))
    for name in server.table.names:
        if name != victim:
            peer = server.table.clients[name]._secrets[0].mask_key.public_key()
            agreed = secret.mask_key.exchange(peer)
            mask = stream(pair_key(agreed, context, *sorted((name, victim))))
            expected = expected + mask if name > victim else expected - mask
    assert (server.vectors[context, victim][:4096] == expected[:4096]).all()


def test_masks_are_bound_to_context_and_names() -> None:
    """By RFC 5869 alone, apart from the code: a second model or a copied key gives other masks."""

    def hkdf(secret: bytes, *info: str) -> bytes:
        inner = hmac.digest(bytes(32), secret, "sha256")
        text = "\n".join(("sf-secagg-1", *info)).encode()
        return hmac.digest(inner, text + b"\x01", "sha256")

    secret = bytes(range(32))
    assert pair_key(secret, "c" * 64, "a", "b") == hkdf(secret, "pair", "c" * 64, "a", "b")
    assert self_key(secret, "c" * 64) == hkdf(secret, "self", "c" * 64)


def test_a_colluder_that_copies_a_key_takes_no_mask_away() -> None:
    """With one stream per *key* pair, masks with the original and the copy would cancel."""
    server = Adversary(Table(4, dim=4096))
    table, copied, victim, colluder = server.table, "org-0", "org-1", "org-3"
    genuine = server.advances[0, copied][0].round_key
    setups = table.clients[colluder]._setups
    copy = sign_round_key(table.keys[colluder], setups[colluder], 0, genuine.key, "00" * 32)
    sealed = seal_pair(
        table.clients[colluder]._agreed[victim], setups[colluder], setups[victim], copy, (1, 2)
    )
    server.advances[0, colluder] = (messages.Advance(copy, (victim,)), sealed)
    table.values[victim] = np.zeros(4096)
    context = server.begin(victim, 0, table.names)
    server.mask(victim)
    vector = server.vectors[context, victim].copy()
    secret = table.clients[victim]._secrets[0]
    other = table.clients["org-2"]._secrets[0].mask_key.public_key()
    kept = pair_key(secret.mask_key.exchange(other), context, victim, "org-2")
    add_masks(vector, [], [self_key(secret.self_seed, context), kept])
    assert np.count_nonzero(vector[:4096]) > 4000


def test_the_same_update_looks_fresh_in_every_round() -> None:
    server = Adversary(Table(4, dim=4096))
    victim = server.honest[0]
    contexts = []
    for round_ in range(2):
        contexts.append(server.begin(victim, round_, server.table.names))
        server.mask(victim)
    first, second = (server.vectors[c, victim] for c in contexts)
    assert (first == second).mean() < 0.01
    # Each bit of the difference is a fair coin: 4096 × 32 flips, 6 sigma.
    ones = np.unpackbits((first - second).view(np.uint8)).mean()
    assert abs(ones - 0.5) < 6 * 0.5 / np.sqrt(32 * len(first))
