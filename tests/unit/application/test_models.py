from __future__ import annotations

import numpy as np
import safetensors.numpy
from blake3 import blake3

from secureflow.domain.users import Role
from secureflow.kit.tensorfile import safetensors_header
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
    assert card["kept_round"] is None
