"""The enclave's verbs with real engines: what it opens, folds and releases."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from peers.enclaves import JOB, JSON, PARTIES, EnclaveWorld, enclave_world

from secureflow.domain.specs.base import dump
from secureflow.engines.attestation import parse_evidence
from secureflow.engines.sealing import (
    decrypt_stream,
    model_key_info,
    seal_key,
    tensor_digest,
    verify_release,
)
from secureflow.kit.errors import InfrastructureError, SecureFlowError


async def refused(awaitable: JSON) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await awaitable
    return caught.value


def mean_delta(world: EnclaveWorld, names: tuple[str, ...] = PARTIES) -> JSON:
    size = 4 * world.spec.parameters
    deltas = [np.frombuffer(world.update(PARTIES.index(n))[:size], np.float32) for n in names]
    return np.mean(deltas, axis=0)


async def whole_round(world: EnclaveWorld, number: int, stage: JSON = "train") -> JSON:
    for name in PARTIES:
        await world.upload(name, number=number, stage=stage)
    certificate = world.certificate(world.question(number=number, stage=stage))
    return await world.release(certificate, number=number, stage=stage)


async def test_a_round(world: EnclaveWorld) -> None:
    answer = await whole_round(world, 1)
    release = verify_release(
        answer, job=JOB, spec=world.digest, release_key=world.public["release"]
    )
    assert release.survivors == PARTIES
    assert release.sums == (40.0,)
    assert answer["artifact"] == answer["model"] == release.model
    model = world.stored_model(answer["artifact"])
    assert tensor_digest(model) == release.model
    np.testing.assert_allclose(model, world.initial + mean_delta(world), atol=1e-6)


async def test_a_job_from_first_round_to_evaluation(world: EnclaveWorld) -> None:
    models = [(await whole_round(world, number))["model"] for number in (1, 2, 3)]
    assert len(set(models)) == 3
    evaluated = await whole_round(world, 4, "evaluate")
    assert evaluated["model"] == models[-1]
    assert "artifact" not in evaluated
    np.testing.assert_allclose(
        world.stored_model(models[-1]), world.initial + 3 * mean_delta(world), atol=1e-5
    )


async def test_a_round_begins_from_nothing(
    world: EnclaveWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clearing ahead of time saves milliseconds; a round must not depend on it."""
    monkeypatch.setattr(world.verbs.job(JOB), "_clear_later", lambda _: None)
    await whole_round(world, 1)
    second = await whole_round(world, 2)
    assert second["sums"] == [40.0]
    np.testing.assert_allclose(
        world.stored_model(second["artifact"]), world.initial + 2 * mean_delta(world), atol=1e-5
    )


async def test_the_order_of_arrival_does_not_change_the_model(tmp_path: Path) -> None:
    digests = set()
    for order in (PARTIES, tuple(reversed(PARTIES))):
        async with enclave_world(tmp_path / order[0]) as world:
            for name in order:
                await world.upload(name)
            digests.add((await world.release(world.certificate(world.question())))["model"])
    assert len(digests) == 1


async def test_dropouts_are_left_out_exactly(world: EnclaveWorld) -> None:
    alive = PARTIES[:3]
    for name in alive:
        await world.upload(name)
    assert await world.ask("roll", round=1, stage="train") == {"folded": list(alive), "noise": ""}
    late = await refused(world.upload("bank-d"))
    assert late.code == "round_frozen"
    answer = await world.release(world.certificate(world.question(alive)))
    np.testing.assert_allclose(
        world.stored_model(answer["artifact"]), world.initial + mean_delta(world, alive), atol=1e-6
    )
    await world.upload("bank-d", number=2)  # back in the next round


async def test_the_same_certificate_again_is_the_same_answer(world: EnclaveWorld) -> None:
    first = await whole_round(world, 1)
    world.blobs.stored.clear()
    certificate = world.certificate(
        world.question(model=tensor_digest(world.initial)), voters=PARTIES[1:]
    )
    assert await world.release(certificate) == first


async def test_a_release_that_could_not_be_stored_is_stored_at_the_next_try(
    world: EnclaveWorld,
) -> None:
    for name in PARTIES:
        await world.upload(name)
    certificate = world.certificate(world.question())
    world.blobs.failures = [SecureFlowError("link_broken", "The server was restarted.")]
    assert (await refused(world.release(certificate))).code == "link_broken"
    answer = await world.release(certificate)
    np.testing.assert_allclose(
        world.stored_model(answer["artifact"]), world.initial + mean_delta(world), atol=1e-6
    )


async def test_a_cancelled_release_is_finished(world: EnclaveWorld) -> None:
    """The request is withdrawn while a thread moves the model: it is moved once."""
    for name in PARTIES:
        await world.upload(name)
    certificate = world.certificate(world.question())
    asking = asyncio.create_task(world.release(certificate))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    answer = await world.release(certificate)
    np.testing.assert_allclose(
        world.stored_model(answer["artifact"]), world.initial + mean_delta(world), atol=1e-6
    )


async def test_an_update_is_accepted_once_and_answered_again(world: EnclaveWorld) -> None:
    sealed = world.seal("bank-a", world.update(0))
    first = await world.upload("bank-a", sealed)
    assert await world.upload("bank-a", sealed) == first
    other = world.seal("bank-a", world.update(9))
    assert (await refused(world.upload("bank-a", other))).code == "already_uploaded"
    for name in PARTIES[1:]:
        await world.upload(name)
    await world.release(world.certificate(world.question()))
    assert await world.upload("bank-a", sealed) == first  # after the release too


async def test_a_restarted_enclave_goes_on_from_the_released_model(world: EnclaveWorld) -> None:
    first = await whole_round(world, 1)
    old = dict(world.public)
    await world.restart()
    assert (await refused(world.upload("bank-a", number=2))).code == "job_not_open"
    model = {"digest": first["model"], "artifact": first["artifact"], "size": first["size"]}
    await world.open(generation=2, model=model)
    assert not set(old.values()) & set(world.public.values()) - {world.public["uplink"]}
    second = await whole_round(world, 2)
    np.testing.assert_allclose(
        world.stored_model(second["artifact"]), world.initial + 2 * mean_delta(world), atol=1e-5
    )


async def test_a_restart_with_a_certificate_takes_the_certified_set_only(
    world: EnclaveWorld,
) -> None:
    """The round before was certified for three; the fourth must not spoil the sum."""
    alive = PARTIES[:3]
    for name in alive:
        await world.upload(name)
    certificate = world.certificate(world.question(alive))
    await world.restart()
    await world.open(generation=2, expected=list(alive))
    assert (await refused(world.upload("bank-d"))).code == "party_not_expected"
    for name in alive:
        await world.upload(name)
    await world.release(certificate)
    await world.upload("bank-d", number=2)


async def test_opening_again_keeps_keys_and_round(world: EnclaveWorld) -> None:
    await world.upload("bank-a")
    before = dict(world.public)
    await world.open(generation=2)
    assert world.public == before
    for name in PARTIES[1:]:
        await world.upload(name)
    released = await world.release(world.certificate(world.question()))
    await world.open(generation=3, model={k: released[k] for k in ("artifact", "size")} | {
        "digest": released["model"]})  # fmt: skip
    conflict = await refused(world.open(generation=4))
    assert conflict.code == "model_conflict"


async def test_a_model_with_another_content_is_refused(world: EnclaveWorld) -> None:
    await world.restart()
    world.blobs.stored["ab" * 32] = bytes(4000)
    model = {"digest": "ab" * 32, "artifact": "ab" * 32, "size": 4000}
    assert (await refused(world.open(model=model))).code == "model_mismatch"
    world.blobs.stored["ab" * 32] = bytes(3999)
    assert (await refused(world.open(model=model))).code == "model_mismatch"


async def test_intermediate_models_for_the_agents_only(tmp_path: Path) -> None:
    async with enclave_world(tmp_path, release={"intermediate": "agents"}) as world:
        first = await whole_round(world, 1)
        assert first["artifact"] != first["model"]
        assert first["keys"].keys() == set(PARTIES)
        assert first["model"] not in world.blobs.stored
        model = _opened(world, first, "bank-b")
        np.testing.assert_allclose(model, world.initial + mean_delta(world), atol=1e-6)
        await whole_round(world, 2)
        last = await whole_round(world, 3)
        assert last["artifact"] == last["model"]  # the plan's output
        assert "keys" not in last


async def test_an_early_stopped_model_is_opened_when_it_is_evaluated(tmp_path: Path) -> None:
    plan = {"rounds": 3, "early_stop": {"patience": 1}}
    async with enclave_world(tmp_path, release={"intermediate": "agents"}, plan=plan) as world:
        first = await whole_round(world, 1)
        evaluated = await whole_round(world, 2, "evaluate")
        assert evaluated["artifact"] == evaluated["model"] == first["model"]
        np.testing.assert_array_equal(
            world.stored_model(evaluated["artifact"]), _opened(world, first, "bank-a")
        )


async def test_an_agent_hands_a_sealed_model_to_a_restarted_enclave(tmp_path: Path) -> None:
    async with enclave_world(tmp_path, release={"intermediate": "agents"}) as world:
        first = await whole_round(world, 1)
        await world.restart()
        model = {
            "digest": first["model"],
            "artifact": first["artifact"],
            "size": first["size"],
            "release": {k: first[k] for k in ("round", "stage")},
        }
        await world.open(generation=2, model=model)
        assert (await refused(world.upload("bank-a", number=2))).code == "model_missing"
        assert (await refused(world.ask("unlock", model_keys={}))).code == "sealed_key_refused"
        wrong = {"bank-b": _handover(world, first, b"\0" * 32)}
        assert (await refused(world.ask("unlock", model_keys=wrong))).code == "chunk_forged"
        key = _content_key(world, first, "bank-a")
        keys = {**wrong, "bank-a": _handover(world, first, key)}
        await world.ask("unlock", model_keys=keys)
        second = await whole_round(world, 2)
        np.testing.assert_allclose(
            _opened(world, second, "bank-c"), world.initial + 2 * mean_delta(world), atol=1e-5
        )


def _content_key(world: EnclaveWorld, release: JSON, name: str) -> bytes:
    info = model_key_info(
        job=JOB, round_number=release["round"], stage="train", model=release["model"], party=name
    )
    return world.organisations[name].recipient.open_key(release["keys"][name], info)


def _handover(world: EnclaveWorld, release: JSON, key: bytes) -> str:
    info = model_key_info(
        job=JOB, round_number=1, stage="train", model=release["model"], party="enclave"
    )
    return seal_key(key, world.public["hpke"], info)


def _opened(world: EnclaveWorld, release: JSON, name: str) -> JSON:
    model = np.empty(world.spec.parameters, np.float32)
    sealed = world.blobs.stored[release["artifact"]]
    assert len(sealed) == release["size"]
    step = (1 << 20) + 16
    chunks = (sealed[at : at + step] for at in range(0, len(sealed), step))
    decrypt_stream(_content_key(world, release, name), chunks, model.data.cast("B"))
    assert tensor_digest(model) == release["model"]
    return model


async def test_evidence_binds_nonce_keys_job_and_spec(world: EnclaveWorld) -> None:
    answer = await world.ask("attest", nonces={"bank-a": "12" * 32})
    evidence = parse_evidence(answer["evidence"]["bank-a"])
    assert evidence.runtime_data == {
        "nonce": "12" * 32,
        "hpke": world.public["hpke"],
        "suite": "MLKEM768_X25519/HKDF-SHA256/AES-256-GCM",
        "release": world.public["release"],
        "job": JOB,
        "spec": world.digest,
    }


@pytest.mark.parametrize("verb", ["attest", "unlock", "roll", "release", "open"])
async def test_malformed_bodies_are_refused(world: EnclaveWorld, verb: str) -> None:
    for body in ({}, {"nonces": 1, "model_keys": 1, "round": "x", "certificate": {}}):
        error = await refused(world.ask(verb, **body))
        assert error.code in {"invalid_request", "invalid_spec", "certificate_malformed"}


async def test_unknown_verbs_and_jobs(world: EnclaveWorld) -> None:
    assert (await refused(world.ask("dump_memory"))).code == "unknown_verb"
    other = world.verbs.handle("roll", {"job": "job_other", "round": 1, "stage": "train"})
    assert (await refused(other)).code == "job_not_open"


async def test_finish_forgets_everything(world: EnclaveWorld) -> None:
    await world.upload("bank-a")
    await world.ask("finish")
    await world.ask("finish")
    assert (await refused(world.upload("bank-b"))).code == "job_not_open"
    old = dict(world.public)
    await world.open()
    assert world.public["hpke"] != old["hpke"]
    assert await world.ask("roll", round=1, stage="train") == {"folded": [], "noise": ""}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"approvals": {}}, "approvals_missing"),
        ({"approvals": None}, "invalid_request"),
        ({"spec": {}}, "invalid_spec"),
        ({"generation": None}, "invalid_request"),
        ({"recipients": None}, "invalid_request"),
        ({"recipients": {"bank-a": {}}}, "invalid_request"),
        ({"expected": [1]}, "invalid_request"),
        ({"model": [1]}, "invalid_request"),
        ({"model": {"digest": 1}}, "invalid_request"),
        ({"model": {"digest": "ab" * 32, "artifact": "cd" * 32}}, "invalid_request"),
    ],
)
async def test_opening_on_malformed_things(world: EnclaveWorld, changes: JSON, code: str) -> None:
    await world.restart()
    assert (await refused(world.open(**changes))).code == code


async def test_two_approvals_of_three_open_nothing(world: EnclaveWorld) -> None:
    await world.restart()
    error = await refused(world.open(approvals=world.approvals(PARTIES[:2])))
    assert error.code == "approvals_missing"
    body = world.open_body(approvals=world.approvals(PARTIES[:3]))
    assert (await refused(world.verbs.handle("open", body))).code == "party_not_approved"
    del body["recipients"]["bank-d"]
    world.public = await world.verbs.handle("open", body)
    nobody = world.ask("attest", nonces={"bank-d": "12" * 32})
    assert (await refused(nobody)).code == "party_not_approved"
    assert (await refused(world.upload("bank-d"))).code == "party_not_approved"


async def test_a_party_decides_how_many_contributors_it_accepts(world: EnclaveWorld) -> None:
    await world.restart()
    approvals = world.approvals() | {"bank-b": world.approval("bank-b", min_contributors=4)}
    await world.open(approvals=approvals)
    for name in PARTIES[:3]:
        await world.upload(name)
    error = await refused(world.release(world.certificate(world.question(PARTIES[:3]))))
    assert error.code == "contributors_too_few"


async def test_a_party_that_accepts_only_all_of_them_has_to_vote_itself(
    world: EnclaveWorld,
) -> None:
    """So it can take its approval back until then: three of the four votes open nothing."""
    await world.restart()
    approvals = world.approvals() | {"bank-b": world.approval("bank-b", min_contributors=4)}
    await world.open(approvals=approvals)
    for name in PARTIES:
        await world.upload(name)
    voters = [name for name in PARTIES if name != "bank-b"]
    error = await refused(world.release(world.certificate(world.question(), voters)))
    assert error.code == "certificate_short"
    assert await world.release(world.certificate(world.question()))


async def test_masked_protocols_are_another_enclaves_job(tmp_path: Path) -> None:
    world = await EnclaveWorld(tmp_path, protection="secagg").start()
    assert (await refused(world.open())).code == "protection_unsupported"
    await world.stop()


async def test_another_spec_under_the_same_job_is_refused(world: EnclaveWorld) -> None:
    other = EnclaveWorld(world.pki.directory / "other", plan={"rounds": 2})
    other.organisations = world.organisations
    body = world.open_body()
    changed = dump(world.spec) | {"name": "changed"}
    error = await refused(world.verbs.handle("open", body | {"spec": changed}))
    assert error.code == "approval_mismatch"


async def test_a_model_that_is_not_finite_is_not_released(world: EnclaveWorld) -> None:
    for name in PARTIES:
        await world.upload(name)
    world.verbs.job(JOB).model.parameters[0] = np.inf
    certificate = world.certificate(world.question())
    assert (await refused(world.release(certificate))).code == "model_not_finite"
    assert (await refused(world.release(certificate))).code == "model_missing"
    assert not world.blobs.stored


async def test_a_job_is_opened_again_after_its_moments(tmp_path: Path) -> None:
    """A party that lost its way to a living enclave has it admitted again before round 1."""
    features = {
        "label": {"column": "income", "positive": "high"},
        "numeric": [{"column": "age", "bounds": [0, 100]}],
    }
    family = {"family": "logistic_regression"}
    async with enclave_world(tmp_path, features=features, model=family) as world:
        await whole_round(world, 0, "moments")
        before = dict(world.public)
        await world.open(generation=2)
        assert world.public == before
        await whole_round(world, 1)
        assert (await refused(world.open(generation=3))).code == "model_conflict"


async def test_what_a_killed_enclave_left_goes(
    world: EnclaveWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it loads a model (out of memory, say), it is killed sooner the next time."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    model = await _released(world)
    left, other = (tmp_path / f"{name}abcdefgh" for name in (".secureflow-model-", "secureflow-"))
    for folder in (left, other):
        folder.mkdir(0o700)
        (folder / "model.part").write_bytes(bytes(1000))
    await world.open(generation=2, model=model)
    assert not left.exists()
    assert other.exists()  # nobody's: an owner may have made it


async def _released(world: EnclaveWorld) -> JSON:
    first = await whole_round(world, 1)
    await world.restart()
    return {"digest": first["model"], "artifact": first["artifact"], "size": first["size"]}


async def test_no_room_for_temporary_files_is_waited_for(
    world: EnclaveWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is probed and no other folder is taken; `internal` would be kept as the answer."""
    model, real = await _released(world), os.open

    def full(path: object, flags: int, *more: object, **named: object) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, flags, *more, **named)  # type: ignore[call-overload]

    def unmade(path: object, *_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        patched.setattr(os, "mkdir", unmade)
        with pytest.raises(InfrastructureError) as caught:
            await world.open(generation=2, model=model)
    assert caught.value.code == "disk_full"
    await world.open(generation=2, model=model)


async def test_a_step_that_found_no_memory_is_opened_by_the_next_update(
    world: EnclaveWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr("secureflow.enclave.training.training_fold", exhausted)
        with pytest.raises(SecureFlowError):
            await world.upload("bank-a")
    assert (await whole_round(world, 1))["sums"] == [40.0]
