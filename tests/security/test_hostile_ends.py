"""A party that was away takes others' word for a model, and a hostile centre has too few of them.

The training has four parties, so one of them may be on the centre's side: two others must have
signed that they ended the step with this very model. Everything else that the centre shows in
their place is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import ME, NOW, ORIGIN

from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import spec_digest
from secureflow.domain.specs.outputs import Outputs
from secureflow.engines.ledger.ends import End, finished_document
from secureflow.engines.ledger.leaves import Leaf, commitment, sign_leaf
from secureflow.engines.ledger.modelends import MAX_SHOWN_ENDS, parties_naming
from secureflow.kit.crypto import SigningKey
from tests.security.test_hostile_pipelines import (
    ASKS,
    MODEL,
    OTHER,
    PIPELINE,
    PREPARE,
    TEST,
    TRAIN,
    Centre,
    MaskedWorld,
    refused,
)

EVIL = "cd" * 32
SALT = b"\x05" * 32
B, C, D = "bank-b", "bank-c", "bank-d"
PART = part_id(PIPELINE, TRAIN)
END = End(3, "12" * 32)
Shown = dict[str, Any]


def shown(
    key: SigningKey, author: str, spec: str, model: str = MODEL, *, job: str = PART,
    kind: str = "finished",
) -> Shown:  # fmt: skip
    document = finished_document("succeeded", END, model)
    leaf = Leaf(kind, ORIGIN, author, NOW, commitment(SALT, document), job, spec, END.last)
    return {"leaf": sign_leaf(leaf, key).json(), "document": document, "salt": SALT.hex()}


class Ends:
    """What parties signed at the end of the training, and what a centre makes of it."""

    def __init__(self, keys: Mapping[str, SigningKey], spec: str) -> None:
        self.keys = keys
        self.spec = spec

    def of(self, author: str, model: str = MODEL, **changes: Any) -> Shown:
        signer = changes.pop("signer", author)
        return shown(self.keys[signer], author, changes.pop("spec", self.spec), model, **changes)


def altered(one: Shown, **changes: Any) -> Shown:
    return {**one, **changes}


def with_model(one: Shown, model: str) -> Shown:
    return {**one, "document": {**one["document"], "model": model}}


def other_end(of: Ends, author: str) -> Shown:
    """Another end of the same author: it ended the job twice."""
    document = finished_document("succeeded", End(4, "13" * 32), MODEL)
    digest = commitment(SALT, document)
    leaf = Leaf("finished", ORIGIN, author, NOW + 1, digest, PART, of.spec, "13" * 32)
    signed = sign_leaf(leaf, of.keys[author]).json()
    return {"leaf": signed, "document": document, "salt": SALT.hex()}


FORGED: dict[str, Callable[[Ends], list[Shown]]] = {
    "none": lambda _: [],
    "too few": lambda of: [of.of(B)],
    "one author twice": lambda of: [of.of(B), of.of(B)],
    "one author with two leaves": lambda of: [of.of(B), other_end(of, B)],
    "the own end": lambda of: [of.of(B), of.of(ME)],
    "of another job": lambda of: [of.of(B), of.of(C, job=OTHER)],
    "of the first attempt's spec": lambda of: [of.of(B), of.of(C, spec="ee" * 32)],
    "of another kind": lambda of: [of.of(B), of.of(C, kind="step")],
    "of somebody outside the roster": lambda of: [of.of(B), of.of("bank-x")],
    "of the centre": lambda of: [of.of(B), of.of("server", signer="bank-x")],
    "signed by another": lambda of: [of.of(B), of.of(C, signer=B)],
    "another signature": lambda of: [
        of.of(B),
        altered(of.of(C), leaf={**of.of(C)["leaf"], "signature": of.of(B)["leaf"]["signature"]}),
    ],
    "names another model": lambda of: [of.of(B), of.of(C, EVIL)],
    "names no model": lambda of: [of.of(B), of.of(C, "")],
    "an altered document": lambda of: [of.of(B), with_model(of.of(C, EVIL), MODEL)],
    "another salt": lambda of: [of.of(B), altered(of.of(C), salt="06" * 32)],
    "a salt that is none": lambda of: [of.of(B), altered(of.of(C), salt="zz" * 32)],
    "a short salt": lambda of: [of.of(B), altered(of.of(C), salt="05")],
    "no document": lambda of: [of.of(B), altered(of.of(C), document=None)],
    "a leaf alone": lambda of: [of.of(B), {"leaf": of.of(C)["leaf"]}],
    "no leaf": lambda of: [of.of(B), altered(of.of(C), leaf={})],
    "a body of another form": lambda of: [
        of.of(B), altered(of.of(C), leaf={**of.of(C)["leaf"], "leaf": [1]}),
    ],
}  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> MaskedWorld:
    return MaskedWorld(tmp_path / "agent", policy=ASKS, parties=(ME, B, C, D), members=("bank-x",))


@pytest.fixture
def centre(world: MaskedWorld) -> Centre:
    return Centre(world)


async def away(centre: Centre) -> Ends:
    """Prepare, and end a training of which this party has seen no round."""
    await centre.prepared()
    await centre.approve(TRAIN)
    await centre.end_unseen(TRAIN)
    return Ends(centre.world.all_keys, spec_digest(centre.part(TRAIN)))


async def test_a_party_that_was_away_takes_a_model_that_others_compared(
    world: MaskedWorld, centre: Centre
) -> None:
    ends = await away(centre)
    given = [ends.of(B, EVIL), ends.of(C), ends.of(D)]
    await centre.sign(TRAIN, Outputs(MODEL, 2), ends=given)
    centre.gave(TRAIN, Outputs(MODEL, 2))
    await centre.approve(TEST)
    job = world.store.job(part_id(PIPELINE, TEST))
    assert job is not None
    assert job.spec["models"][0]["digest"] == MODEL


async def test_too_little_is_no_word_of_others(world: MaskedWorld, centre: Centre) -> None:
    ends = await away(centre)
    for name, forged in FORGED.items():
        asking = centre.sign(TRAIN, Outputs(MODEL, 2), ends=forged(ends))
        error = await refused(asking, "part_refused")
        assert "cannot tell which model" in error.message, name
    assert [leaf.kind for leaf in world.store.leaves(PIPELINE)].count("step") == 1
    await centre.sign(TRAIN, Outputs(MODEL, 2), ends=[ends.of(B), ends.of(C)])


async def test_others_do_not_outweigh_what_a_party_compared_itself(centre: Centre) -> None:
    await centre.prepared()
    await centre.approve(TRAIN)
    await centre.end(TRAIN, MODEL)
    ends = Ends(centre.world.all_keys, spec_digest(centre.part(TRAIN)))
    given = [ends.of(one, EVIL) for one in (B, C, D)]
    error = await refused(centre.sign(TRAIN, Outputs(EVIL, 2), ends=given), "part_refused")
    assert "another model" in error.message


async def test_of_three_parties_both_others_must_say_it(tmp_path: Path) -> None:
    centre = Centre(MaskedWorld(tmp_path / "agent", policy=ASKS))
    ends = await away(centre)
    await refused(centre.sign(TRAIN, Outputs(MODEL, 2), ends=[ends.of(B)]), "part_refused")
    await centre.sign(TRAIN, Outputs(MODEL, 2), ends=[ends.of(B), ends.of(C)])


async def test_sums_that_this_party_never_trained_with_are_not_taken_with_a_model(
    centre: Centre,
) -> None:
    """Ends name the model alone: by other sums its numbers would be scaled as the centre likes."""
    ends = await away(centre)
    outputs = Outputs(MODEL, 2, moments=(2.0, 3.0))
    given = [ends.of(one) for one in (B, C, D)]
    error = await refused(centre.sign(TRAIN, outputs, ends=given), "part_refused")
    assert "which sums" in error.message


async def test_more_ends_than_a_roster_has_parties_are_not_read(centre: Centre) -> None:
    ends = await away(centre)
    given = [ends.of(B)] * (MAX_SHOWN_ENDS + 1)
    await refused(centre.sign(TRAIN, Outputs(MODEL, 2), ends=given), "invalid_request")


def test_only_so_many_ends_count() -> None:
    key = SigningKey.from_seed(b"\x01" * 32)
    one = shown(key, B, "ab" * 32)
    keys = {B: key.public}
    assert parties_naming([{}] * (MAX_SHOWN_ENDS - 1) + [one], PART, "ab" * 32, keys, MODEL) == {B}
    assert not parties_naming([{}] * MAX_SHOWN_ENDS + [one], PART, "ab" * 32, keys, MODEL)
    assert not parties_naming([one], PART, "ab" * 32, keys, "")


async def test_no_recipe_is_signed_of_a_preparation_that_never_ran(
    world: MaskedWorld, centre: Centre
) -> None:
    """Its edges and weights would be the centre's own, chosen to single somebody out."""
    await centre.begin()
    await centre.approve(PREPARE)
    await centre.end_unseen(PREPARE)
    error = await refused(centre.sign(PREPARE, centre.recipe), "part_refused")
    assert "0 of the 1 rounds" in error.message
    assert [leaf.kind for leaf in world.store.leaves(PIPELINE)].count("step") == 0
    centre.gave(PREPARE, centre.recipe)
    await refused(centre.approve(TRAIN), "part_refused")


async def test_where_nobody_may_be_missing_a_party_made_the_sums_of_every_round(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    await centre.begin()
    await centre.approve(PREPARE)
    centre.fit(PREPARE, 1)
    await centre.end_unseen(PREPARE)
    engine = centre.world.assembly.context.kinds.of(centre.part(PREPARE))
    monkeypatch.setattr(type(engine), "rounds_of", lambda *_: range(1, 3))
    error = await refused(centre.sign(PREPARE, centre.recipe), "part_refused")
    assert "1 of the 2 rounds" in error.message
    monkeypatch.undo()
    await centre.sign(PREPARE, centre.recipe)


async def test_a_recipe_of_another_step_than_a_preparation_is_none(centre: Centre) -> None:
    await centre.prepared()
    await centre.approve(TRAIN)
    await centre.end(TRAIN, MODEL)
    assert centre.recipe.recipe is not None
    outputs = replace(Outputs(MODEL, 2), recipe=centre.recipe.recipe)
    error = await refused(centre.sign(TRAIN, outputs), "part_refused")
    assert "fits no recipe" in error.message
