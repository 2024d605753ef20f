"""Contributions scored inside the enclave: rows that are committed to, scores that are signed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from peers.enclaves import JOB, PARTIES, EnclaveWorld, enclave_world

from secureflow.enclave import scoring, spill
from secureflow.engines.contribution.sealedrows import as_matrix, sums_with
from secureflow.engines.contribution.shapley import shapley
from secureflow.engines.contribution.views import others
from secureflow.engines.sealing import SealedUpdate, tensor_digest, update_manifest
from secureflow.engines.training.models import model_family, update_layout
from secureflow.kit.canonical import sha256
from secureflow.kit.crypto import verify
from secureflow.kit.errors import InfrastructureError, SecureFlowError

ROWS = 12
SPEC: dict[str, Any] = {
    "model": {"family": "softmax"},
    "features": {
        "label": {"column": "y", "classes": ["a", "b", "c"]},
        "numeric": [
            {"column": name, "bounds": [0.0, 1.0], "scale": "bounds"} for name in ("u", "v")
        ],
    },
    "plan": {
        "rounds": 2,
        "validation": 0.2,
        "contribution": {"rows": ROWS, "permutations": 5, "within": 0.0, "between": 0.0},
    },
}
Rows = NDArray[np.float32]


def rows_of(party: str, seed: int = 0) -> Rows:
    rng = np.random.default_rng(PARTIES.index(party) + 10 * seed)
    labels = rng.integers(0, 3, ROWS).astype(np.float32)
    inputs = rng.uniform(-0.4, 0.4, (ROWS, 2)).astype(np.float32) + 0.3 * (labels[:, None] - 1)
    return as_matrix(inputs, labels)


def plaintext(rows: Rows, salt: bytes = b"s" * 32) -> bytes:
    return bytes(rows.astype("<f4").tobytes() + sums_with(salt).tobytes())


def committed(content: bytes, salt: bytes = b"s" * 32) -> str:
    return sha256(salt + bytes.fromhex(tensor_digest(content))).hex()


async def send_rows(
    world: EnclaveWorld, party: str, content: bytes, commitment: str = "", **changes: Any
) -> None:
    sealed: SealedUpdate = world.seal(party, content, number=0, stage="validation", **changes)
    link = world.organisations[party].uplink
    await link.send(world.address, sealed, commitment or committed(content))


async def bring(world: EnclaveWorld, **own: Rows) -> None:
    """Have every party seal its rows, and the round of them released."""
    for party in PARTIES:
        await send_rows(world, party, plaintext(own.get(party[-1], rows_of(party))))
    certificate = world.certificate(world.question(number=0, stage="validation"))
    released = await world.release(certificate, number=0, stage="validation")
    assert released["sums"] == [4.0]


async def trained(world: EnclaveWorld) -> dict[str, Any]:
    """Run both rounds and the evaluation; return what is told beside it."""
    for number, stage in ((1, "train"), (2, "train"), (3, "evaluate")):
        answer = await one_round(world, number, stage)
    return dict(answer["contribution"])


async def other_enclave(world: EnclaveWorld, generation: int) -> None:
    """Begin the job anew in an enclave that knows nothing of it."""
    await world.restart()
    world.model = world.worker_initial()
    await world.open(generation=generation)


async def one_round(world: EnclaveWorld, number: int, stage: Any) -> dict[str, Any]:
    for place, party in enumerate(PARTIES):
        content = world.update(10 * number + place, stage, weight=float(place + 1))
        await world.upload(party, world.seal(party, content, number=number, stage=stage))
    certificate = world.certificate(world.question(number=number, stage=stage))
    return dict(await world.release(certificate, number=number, stage=stage))


async def refusal(awaitable: Any) -> str:
    with pytest.raises(SecureFlowError) as caught:
        await awaitable
    return caught.value.code


async def test_scores_are_those_of_every_coalition(tmp_path: Path) -> None:
    async with enclave_world(tmp_path, **SPEC) as world:
        await bring(world)
        models = [world.initial]
        for number in (1, 2):
            answer = await one_round(world, number, "train")
            assert "contribution" not in answer
            models.append(world.stored_model(answer["artifact"]))
        told = (await one_round(world, 3, "evaluate"))["contribution"]
    document = told["document"]
    assert verify(world.public["release"], "contribution", document, told["signature"])
    assert (document["job"], document["spec"], document["scored"]) == (JOB, world.digest, True)
    assert (document["rounds"], document["evaluations"]) == ([1, 2], 32)
    assert document["commitments"] == {
        party: committed(plaintext(rows_of(party))) for party in PARTIES
    }
    expected = expected_scores(world, models)
    for place, party in enumerate(PARTIES):
        one = document["scores"][party]
        assert one["score"] == pytest.approx(expected[place], abs=1e-4)
        assert one["low"] == one["high"] == one["score"]  # exact: nothing was sampled
    assert sum(one["share"] for one in document["scores"].values()) == pytest.approx(1.0)


def expected_scores(world: EnclaveWorld, models: list[Rows]) -> NDArray[np.float64]:
    """Recompute the scores from the updates, without the enclave's code."""
    family, total = model_family(world.spec), np.zeros(4)
    size = update_layout(world.spec, "train").parameters
    for number in (1, 2):
        updates = [
            np.frombuffer(world.update(10 * number + place)[: 4 * size], "<f4")
            for place in range(4)
        ]

        def value(mask: int, number: int = number, updates: Any = updates) -> Any:
            members = [place for place in range(4) if mask >> place & 1]
            made = models[number - 1].astype(np.float64)
            if members:
                weights = [place + 1 for place in members]
                made = made + np.average([updates[place] for place in members], 0, weights)
            losses = []
            for party in PARTIES:
                rows = rows_of(party)
                inputs, labels = np.ascontiguousarray(rows[:, :-1]), rows[:, -1].copy()
                sums = family.metric_sums(world.spec, made.astype(np.float32), inputs, labels)
                losses.append(-sums[1] / sums[0])
            return others(losses)

        total += shapley(4, value)
    return total


async def test_enclaves_that_run_side_by_side_leave_nothing_to_choose(tmp_path: Path) -> None:
    """Orders follow from what the parties drew: a centre cannot try one enclave after another."""
    sampled = {**SPEC["plan"]["contribution"], "permutations": 2}
    spec = {**SPEC, "plan": {**SPEC["plan"], "contribution": sampled}}
    told = []
    async with enclave_world(tmp_path, **spec) as world:
        for generation in (2, 3):
            await bring(world)
            document = (await trained(world))["document"]
            told.append({name: document[name] for name in ("seed", "scores", "rounds")})
            await other_enclave(world, generation)
    assert told[0] == told[1]
    assert any(one["low"] < one["high"] for one in told[0]["scores"].values())  # sampled


async def test_nobody_knows_the_orders_who_knows_not_every_salt(tmp_path: Path) -> None:
    seeds = []
    async with enclave_world(tmp_path, **SPEC) as world:
        for generation, salt in ((2, b"s" * 32), (3, b"t" * 32)):
            for party in PARTIES:
                own = salt if party == PARTIES[-1] else b"s" * 32
                content = plaintext(rows_of(party), own)
                await send_rows(world, party, content, committed(content, own))
            certificate = world.certificate(world.question(number=0, stage="validation"))
            await world.release(certificate, number=0, stage="validation")
            seeds.append((await trained(world))["document"]["seed"])
            await other_enclave(world, generation)
    assert seeds[0] != seeds[1]


async def test_own_rows_that_favour_their_party_do_not_raise_its_score(tmp_path: Path) -> None:
    """They lower others' scores at most, which is told."""
    scores = []
    for number, favoured in enumerate((False, True)):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with enclave_world(folder, **SPEC) as world:
            size = update_layout(world.spec, "train").parameters
            own = np.frombuffer(world.update(13)[: 4 * size], "<f4") * 1e3
            inputs = rows_of("bank-d")[:, :-1]
            labels = model_family(world.spec).outputs(own, np.ascontiguousarray(inputs)).argmax(1)
            favouring = {"d": as_matrix(inputs, labels.astype(np.float32))} if favoured else {}
            await bring(world, **favouring)
            scores.append((await trained(world))["document"]["scores"])
    honest, lied = scores
    assert lied["bank-d"]["score"] == honest["bank-d"]["score"]
    assert lied["bank-a"] != honest["bank-a"]


async def test_rows_that_cannot_be_are_refused_by_name(tmp_path: Path) -> None:
    async with enclave_world(tmp_path, **SPEC) as world:
        good = rows_of("bank-a")
        for place, value, code in (
            ((0, 0), np.nan, "update_not_finite"),
            ((0, 1), np.inf, "update_not_finite"),
            ((0, 0), 1.01, "value_out_of_bounds"),
            ((0, 1), -1.01, "value_out_of_bounds"),
            ((0, 2), 3.0, "validation_label_wrong"),
            ((0, 2), 0.5, "validation_label_wrong"),
        ):
            rows = good.copy()
            rows[place] = value
            assert await refusal(send_rows(world, "bank-a", plaintext(rows))) == code
        for more in (good[:-1], np.vstack([good, good[:1]]), good[:, 1:]):
            shape = update_manifest(more.size, 9)
            sending = send_rows(world, "bank-a", plaintext(more), manifest=shape)
            assert await refusal(sending) == "manifest_mismatch"
        await send_rows(world, "bank-a", plaintext(good))  # nothing of the others was kept


async def test_other_rows_than_those_committed_to_are_refused(tmp_path: Path) -> None:
    async with enclave_world(tmp_path, **SPEC) as world:
        first, second = plaintext(rows_of("bank-a")), plaintext(rows_of("bank-a", seed=1))
        swapped = send_rows(world, "bank-a", second, committed(first))
        assert await refusal(swapped) == "validation_swapped"
        unsalted = first[: -8 * 8] + np.full(8, 0.5).tobytes()
        assert await refusal(send_rows(world, "bank-a", unsalted)) == "validation_swapped"
        await send_rows(world, "bank-a", first)
        assert await refusal(send_rows(world, "bank-a", second)) == "already_uploaded"


async def test_after_the_first_round_no_rows_are_taken(tmp_path: Path) -> None:
    async with enclave_world(tmp_path, **SPEC) as world:
        await bring(world)
        await one_round(world, 1, "train")
        late = send_rows(world, "bank-a", plaintext(rows_of("bank-a")))
        assert await refusal(late) == "stale_round"


async def test_an_update_beyond_its_caps_is_not_kept(tmp_path: Path) -> None:
    async with enclave_world(tmp_path, **SPEC) as world:
        await bring(world)
        long = np.frombuffer(world.update(1), np.uint8).copy()
        long[:4] = np.frombuffer(np.float32(1e6).tobytes(), np.uint8)
        sealed = world.seal("bank-a", long.tobytes())
        assert await refusal(world.upload("bank-a", sealed)) == "norm_exceeded"
        assert (await trained(world))["document"]["rounds"] == [1, 2]


async def test_a_restarted_enclave_says_that_it_scored_nothing(tmp_path: Path) -> None:
    async with enclave_world(tmp_path, **SPEC) as world:
        await bring(world)
        answer = await one_round(world, 1, "train")
        await world.restart()
        model = {"digest": answer["model"], "artifact": answer["artifact"], "size": 36}
        release = {name: answer[name] for name in ("round", "stage")}
        await world.open(generation=2, model={**model, "release": release})
        await one_round(world, 2, "train")
        told = (await one_round(world, 3, "evaluate"))["contribution"]
    assert told["document"]["scored"] is False
    assert "scores" not in told["document"]


async def test_rows_that_come_again_to_a_restarted_enclave_are_not_scored_on(
    tmp_path: Path,
) -> None:
    """Not even if one party seals its own again: the job goes on without scores, and says so."""
    async with enclave_world(tmp_path, **SPEC) as world:
        await bring(world)
        answer = await one_round(world, 1, "train")
        await world.restart()
        model = {"digest": answer["model"], "artifact": answer["artifact"], "size": 36}
        release = {name: answer[name] for name in ("round", "stage")}
        await world.open(generation=2, model={**model, "release": release})
        await send_rows(world, "bank-a", plaintext(rows_of("bank-a")))
        await one_round(world, 2, "train")
        told = (await one_round(world, 3, "evaluate"))["contribution"]
    assert told["document"]["scored"] is False


async def test_without_the_rows_of_every_party_nothing_is_scored(tmp_path: Path) -> None:
    """A centre that goes on without one party's rows: the other ones' would judge alone."""
    async with enclave_world(tmp_path, **SPEC) as world:
        for party in PARTIES[:-1]:
            await send_rows(world, party, plaintext(rows_of(party)))
        question = world.question(PARTIES[:-1], number=0, stage="validation")
        released = await world.release(world.certificate(question), number=0, stage="validation")
        assert released["sums"] == [3.0]
        assert (await trained(world))["document"]["scored"] is False


async def test_a_fault_of_the_disk_while_updates_are_scored_can_be_waited_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores and model are those of a run without it: nothing moved before all was read."""
    told: list[dict[str, Any]] = []
    for faulty in (False, True):
        async with enclave_world(tmp_path / str(faulty), **SPEC) as world:
            await bring(world)
            for place, party in enumerate(PARTIES):
                content = world.update(10 + place, weight=float(place + 1))
                await world.upload(party, world.seal(party, content))
            certificate = world.certificate(world.question())
            if faulty:
                with monkeypatch.context() as broken:
                    broken.setattr(spill.Spill, "_read", _failing(spill.Spill._read, after=5))
                    with pytest.raises(InfrastructureError):
                        await world.release(certificate)
            released = dict(await world.release(certificate))
            await one_round(world, 2, "train")
            last = await one_round(world, 3, "evaluate")
            document = last["contribution"]["document"]
            keys = ("scores", "rounds", "evaluations")
            told.append({"model": released["model"]} | {name: document[name] for name in keys})
    assert told[0] == told[1]


def _failing(read: Any, after: int) -> Any:
    """Return a reading of chunks that fails from the one after so many on."""
    calls = []

    def failing(self: Any, *args: Any) -> Any:
        calls.append(1)
        if len(calls) > after:
            raise InfrastructureError("disk_failed", "the disk is out of order")
        return read(self, *args)

    return failing


async def test_updates_leave_the_disk_with_their_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[spill.Spill] = []

    class Watched(spill.Spill):
        def __init__(self, size: int) -> None:
            super().__init__(size)
            made.append(self)

    monkeypatch.setattr(scoring, "Spill", Watched)
    async with enclave_world(tmp_path, **SPEC) as world:
        await bring(world)
        await one_round(world, 1, "train")
        assert [len(one) for one in made] == [0]


SCALED: dict[str, Any] = SPEC | {
    "features": SPEC["features"]
    | {"numeric": [{**one, "scale": "federated"} for one in SPEC["features"]["numeric"]]}
}
MOMENTS = np.array([10.0, *([1.0, 4.0, 10.0] * 2)], "<f8").tobytes()
"""Of ten rows: rows, then Σz, Σz² and how many, so mean .1 and deviation .62 of half the range."""


async def scaled(world: EnclaveWorld) -> None:
    for party in PARTIES:
        sealed = world.seal(party, MOMENTS, number=0, stage="moments")
        await world.upload(party, sealed)
    certificate = world.certificate(world.question(number=0, stage="moments"))
    await world.release(certificate, number=0, stage="moments")


async def test_rows_follow_moments_and_precede_rounds(tmp_path: Path) -> None:
    async with enclave_world(tmp_path, **SCALED) as world:
        await scaled(world)
        wide = rows_of("bank-a")
        for value, within in ((1.4, True), (1.5, False), (-1.7, True), (-1.8, False)):
            wide[0, 0] = value
            if not within:
                told = await refusal(send_rows(world, "bank-a", plaintext(wide)))
                assert told == "value_out_of_bounds"
        await bring(world, a=np.where(wide == -1.8, np.float32(-1.7), wide))
        sealed = world.seal("bank-a", MOMENTS, number=0, stage="moments")
        assert await refusal(world.upload("bank-a", sealed)) == "stale_round"
        assert (await trained(world))["document"]["scored"] is True


async def test_rows_whose_scale_an_enclave_does_not_know_are_not_scored_on(tmp_path: Path) -> None:
    """It was restarted after the moments: it could not tell what a row can be."""
    async with enclave_world(tmp_path, **SCALED) as world:
        await scaled(world)
        await world.restart()
        await world.open(generation=2)
        await bring(world)
        assert (await trained(world))["document"]["scored"] is False
