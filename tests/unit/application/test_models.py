from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import safetensors.numpy
from blake3 import blake3

from secureflow.application.models import safetensors_header
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.tensors import layout_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.users import Role
from tests.stage import Stage
from tests.unit.application.refusing import refused


async def test_content_is_safetensors_over_the_released_bytes(stage: Stage) -> None:
    model, size, stream = await stage.services.models.content(
        stage.scientist("bank-b"), stage.ids["model"]
    )
    data = b"".join([chunk async for chunk in stream])
    assert len(data) == size
    tensors = safetensors.numpy.load(data)
    assert tensors["parameters"].tolist() == [1.0] * 4
    assert tensors["parameters"].dtype == np.float32
    assert blake3(tensors["parameters"].tobytes()).hexdigest() == model.digest
    header_end = 8 + int.from_bytes(data[:8], "little")
    assert blake3(data[header_end:]).hexdigest() == model.digest


def test_headers_are_aligned() -> None:
    for count in (0, 1, 10, 12345678):
        header = safetensors_header(count, {"model": "m"})
        assert len(header) % 8 == 0
        assert len(header) == 8 + int.from_bytes(header[:8], "little")


async def test_models_belong_to_their_project(stage: Stage) -> None:
    models = stage.services.models
    for organisation, own in (("bank-c", "model"), ("outsider", "outsider.model")):
        page = await models.list(stage.person(organisation, Role.AUDITOR))
        assert [model.id for model in page.items] == [stage.ids[own]]
        assert page.items[0].card == {}  # a page of cards would be full of moment sums
    for attempt in (models.get, models.card, models.content):
        with refused("not_found"):
            await attempt(stage.scientist("outsider"), stage.ids["model"])
    with refused("not_found"):
        await models.list(stage.scientist("outsider"), job=stage.ids["job"])
    with refused("forbidden"):
        await models.content(stage.person("bank-c", Role.AUDITOR), stage.ids["model"])


async def test_the_card_tells_where_a_model_comes_from(stage: Stage) -> None:
    card = await stage.services.models.card(stage.scientist("bank-b"), stage.ids["model"])
    assert card["contributors"] == ["bank-a", "bank-b", "bank-c"]
    assert card["purpose"] == "credit-scoring"
    assert card["metrics"] == {"auc": 0.9}


async def test_weights_are_uploaded_once_and_only_under_their_digest(stage: Stage) -> None:
    models, scientist = stage.services.models, stage.scientist("bank-b")
    data = np.arange(6, dtype="<f4").tobytes()
    digest = blake3(data).hexdigest()
    for _ in range(2):
        told = await models.upload(scientist, digest, len(data), parts(data))
        assert (told.digest, told.size) == (digest, 24)
    for size, body, code in (
        (24, data[:-1] + b"x", "digest_mismatch"),
        (20, data, "too_large"),
        (23, data[:-1], "invalid_request"),
        (0, b"", "invalid_request"),
        (8 << 30, b"", "invalid_request"),
    ):
        with refused(code):
            await models.upload(scientist, digest, size, parts(body))
    with refused("forbidden"):
        await models.upload(stage.operator, digest, 24, parts(data))


async def test_an_upload_of_another_length_removes_nothing(stage: Stage) -> None:
    """The bytes may be a blob of somebody else, which a false length would take away."""
    theirs = b"a bundle's packing, say"
    digest = blake3(theirs).hexdigest()
    artifacts = stage.services.models._artifacts
    await artifacts.put(parts(theirs), limit=100)
    with refused("malformed_request"):
        await stage.services.models.upload(
            stage.scientist("bank-b"), digest, 4 * len(theirs), parts(theirs)
        )
    assert (await artifacts.stat(digest)).size == len(theirs)


async def parts(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 10):
        yield data[start : start + 10]


async def test_a_job_starts_only_from_weights_that_were_uploaded(stage: Stage) -> None:
    """And that are as long as the model; its layout is checked by every party's own rules."""
    scientist = stage.scientist("bank-a")
    asked = stage.wanted()
    drafted = await stage.services.jobs.dry_run(scientist, asked)
    features = {**drafted.spec["features"]}
    spec = parse(TrainingSpec, drafted.spec)
    vector = np.arange(spec.parameters, dtype="<f4").tobytes()
    digest = blake3(vector).hexdigest()
    start = {"model": digest, "layout": layout_digest(spec.tensors)}
    wanted = replace(asked, parts={**asked.parts, "features": features, "initial": start})
    dry = stage.services.jobs.dry_run
    with refused("upload_missing"):
        await dry(scientist, wanted)
    await stage.services.models.upload(scientist, digest, len(vector), parts(vector))
    assert (await dry(scientist, wanted)).spec["initial"] == start
    other = replace(wanted, parts={**wanted.parts, "initial": {**start, "layout": "0" * 64}})
    with refused("contradictory_spec", "initial.layout"):
        await dry(scientist, other)
