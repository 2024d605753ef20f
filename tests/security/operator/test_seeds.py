"""Guessing mask seeds: the search that finds Flower 1.42's on what real agents really send.

A rehearsal's updates are zeros, so the operator knows every plaintext; what it stores *is* the sum
of masks. For the search it is given more than it has: all of a party's masks but one.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import numpy as np
import pytest
from peers.operator import PATIENCE, Operator, Run
from peers.seed_search import Words, flower_mask, folded, search

from secureflow.engines.secagg import SecAggClient
from secureflow.engines.secagg.masks import add_masks
from secureflow.engines.training.encodings import masked_plan
from secureflow.kit.crypto import SigningKey

JSON = Any
pytestmark = pytest.mark.asyncio(loop_scope="package")
WORDS = 4096


def begun(operator: Operator) -> Run:
    model = {"family": "rehearsal", "parameters": WORDS}
    limits = {"patience_seconds": PATIENCE, "max_weight": 1000}
    small = operator.spec(
        protection="secagg", model=model, limits=limits, quantisation={"bits": 12}
    )
    return Run(operator, small)


async def frames(run: Run) -> dict[str, Words]:
    """Return every party's masked vector of the open round, as the centre stores it."""
    sent = {party: await run.operator.vector(run, party) for party in run.spec.parties}
    return {party: np.frombuffer(data, "<u4") for party, data in sent.items()}


def session(run: Run, party: str) -> SecAggClient:
    """Restore a party's half of the session from its own record: the tester may, nobody else."""
    directory = run.operator.platform.directory / party
    with sqlite3.connect(directory / "agent.db") as record:
        query = "SELECT state FROM sessions WHERE job = ? AND stage = 'train'"
        (state,) = record.execute(query, (run.job,)).fetchone()
    plan = masked_plan(run.spec, run.job, run.digest, "train")
    return SecAggClient.restore(
        plan, party, SigningKey.load(directory / "signing.key"), bytes(state)
    )


def keys_of(run: Run, party: str) -> tuple[list[bytes], list[bytes]]:
    """Return the keys of the masks that a party has added, and of those it has taken."""
    client = session(run, party)
    return client._mask_keys(client._open_round())


def alone(sent: Words, kept: bytes, plus: list[bytes], minus: list[bytes]) -> Words:
    """Return one mask of a vector of zeros, the others being known."""
    left = sent.copy()
    add_masks(left, [k for k in minus if k != kept], [k for k in plus if k != kept])
    values = left[:WORDS]
    return values if kept in plus else -values


async def test_the_search_finds_a_seed_of_32_bits() -> None:
    """The tool works: a mask made as Flower makes it gives its seed away."""
    secret = bytes(range(7, 39))
    mask, seed = flower_mask(secret, 16), folded(secret)
    assert list(search(mask, max(0, seed - (1 << 17)), 1 << 18)) == [seed]
    other = flower_mask(secret[::-1] + b"more", 16)
    assert folded(secret) != folded(secret[::-1] + b"more")
    assert seed not in search(other, max(0, seed - (1 << 17)), 1 << 18)


async def test_no_mask_of_a_real_frame_has_such_a_seed(operator: Operator) -> None:
    run = begun(operator)
    await run.until("answer", round=1)
    sent = await frames(run)
    plus, minus = keys_of(run, "bank-a")
    assert len(plus) == 1 + 3  # its own mask, and those with the three parties after it
    assert minus == []
    assert {len(key) for key in plus} == {32}
    bare = sent["bank-a"].copy()
    add_masks(bare, minus, plus)
    assert not bare[:WORDS].any()  # these keys, and no others, hide the zeros
    secrets = session(run, "bank-a")._secrets[0]
    public = bytes.fromhex(session(run, "bank-a")._open_round().context)
    for kept in plus:
        mask = alone(sent["bank-a"], kept, plus, minus)
        # Folded keys and seeds, as Flower would use them, and a stretch of all seeds.
        for secret in (kept, secrets.seed, secrets.self_seed, secrets.mask_secret, public):
            assert (flower_mask(secret, WORDS) == mask).mean() < 0.01
            assert list(search(mask, folded(secret), 1)) == []
        assert list(search(mask, 0, 1 << 20)) == []
    await run.give_up()


async def test_equal_updates_look_alike_in_nothing(operator: Operator) -> None:
    """Every party sends zeros, in each round and job: each vector is a fresh one-time pad."""
    seen: dict[str, Words] = {}
    keys: list[bytes] = []
    for name in ("first", "second"):
        run = begun(operator)
        for number in (1, 2):
            await run.until("answer", round=number)
            for party, vector in (await frames(run)).items():
                seen[f"{name} {number} {party}"] = vector[:WORDS]
                plus, _ = keys_of(run, party)
                keys += plus
        await run.give_up()
    assert len(seen) == 2 * 2 * 4
    # A pair's key is on both sides; here only the one that adds it is counted.
    assert len(set(keys)) == len(keys) == 2 * 2 * (4 + 3 + 2 + 1)
    places = list(seen.values())
    flips = 32 * WORDS
    for at, one in enumerate(places):
        for other in places[at + 1 :]:
            # Each bit of a difference is a fair coin; 6 sigma.
            ones = np.unpackbits((one - other).view(np.uint8)).mean()
            assert abs(ones - 0.5) < 6 * 0.5 / np.sqrt(flips)


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_all_seeds_of_32_bits(operator: Operator) -> None:
    """Flower's whole space, tried on one real mask: the one of bank-a and bank-b in round 1."""
    run = begun(operator)
    await run.until("answer", round=1)
    plus, minus = keys_of(run, "bank-a")
    mask = alone((await frames(run))["bank-a"], plus[1], plus, minus)
    await run.give_up()
    assert list(search(mask, 0, 1 << 32)) == []
