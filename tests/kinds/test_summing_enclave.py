"""A kind that contributes, with a stage and a fold of its own: an enclave by its table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.enclaves import JOB, PARTIES, EnclaveWorld
from peers.links import now

from secureflow.adapters.tee import SimulatedAttester
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.enclave.verbs import EnclaveVerbs
from secureflow.engines.sealing import Binding, SealedUpdate, seal, tensor_digest, verify_release
from secureflow.kit.errors import SecureFlowError
from tests.kinds.summing import ENCLAVES, MANIFEST, STAGE, SummingSpec, brought, sealed_of

EMPTY = tensor_digest(b"")


class SummingEnclaveWorld(EnclaveWorld):
    """The same organisations, and an enclave that is started with another table."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        keys = {name: one.key.public for name, one in self.organisations.items()}
        value: dict[str, Any] = {
            "project": "prj_00000001", "name": "sums", "purpose": "arithmetic", "submitter": "ada",
            "roster": [{"party": name, "key": key} for name, key in keys.items()],
            "protection": "sealed",
        }  # fmt: skip
        self.spec: Any = parse(SummingSpec, value)
        self.digest, self.model = spec_digest(self.spec), EMPTY

    def _verbs(self) -> EnclaveVerbs:
        attester = SimulatedAttester(self.platform, measurement="ab" * 32)
        return EnclaveVerbs(attester, self.blobs, lambda: self.address, now, kinds=ENCLAVES)

    def brings(self, name: str, number: int, **changes: Any) -> SealedUpdate:
        evidence = self.organisations[name].evidence
        binding = Binding(
            **{
                "job": JOB, "round": number, "stage": STAGE, "party": name, "spec": self.digest,
                "model": EMPTY, "evidence": evidence, "manifest": MANIFEST, **changes,
            }
        )  # fmt: skip
        content = memoryview(sealed_of(name, number))
        return seal(binding, content, self.public["hpke"], self.organisations[name].key)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SummingEnclaveWorld]:
    built = SummingEnclaveWorld(tmp_path)
    await built.start()
    try:
        await built.open()
        yield built
    finally:
        await built.stop()


async def test_an_enclave_adds_up_what_the_kinds_own_fold_takes(world: SummingEnclaveWorld) -> None:
    for number in (1, 2):
        for name in PARTIES[:3]:
            await world.upload(name, world.brings(name, number))
        assert (await world.ask("roll", round=number, stage=STAGE))["folded"] == list(PARTIES[:3])
        question = world.question(PARTIES[:3], number=number, stage=STAGE)  # type: ignore[arg-type]
        certificate = world.certificate(question)
        released = await world.release(certificate, number=number, stage=STAGE)  # type: ignore[arg-type]
        expected = np.sum([brought(name, number) for name in PARTIES[:3]], axis=0).tolist()
        assert released["sums"] == [3.0, *expected]
        key = world.public["release"]
        assert verify_release(released, job=JOB, spec=world.digest, release_key=key).stage == STAGE
    assert world.blobs.stored == {}  # no model, so none is put out


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"stage": "train"}, "stale_round"),
        ({"stage": "of-no-kind"}, "stale_round"),
        ({"round": 3}, "stale_round"),
    ],
)
async def test_a_step_that_the_kind_does_not_have_is_refused(
    world: SummingEnclaveWorld, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        await world.upload("bank-a", world.brings("bank-a", 1, **changes))
    assert caught.value.code == code


async def test_the_enclaves_usual_table_does_not_know_the_kind(tmp_path: Path) -> None:
    world = SummingEnclaveWorld(tmp_path)
    usual = EnclaveWorld._verbs(world)
    with pytest.raises(SecureFlowError) as caught:
        await usual.handle("open", world.open_body())
    assert caught.value.code == "invalid_spec"
