"""Tables of kinds: what does not go together is found when the table is made, by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from secureflow.engines.kinds import ENGINE_KINDS
from secureflow.engines.run.kind import EngineKinds
from secureflow.engines.run.stages import MAX_STAGES


def kind(name: str, *stages: str, contributing: str = "") -> Any:
    return SimpleNamespace(
        spec=SimpleNamespace(name=name), stages=stages, contributing=contributing
    )


def test_a_stage_stands_in_its_kinds_order() -> None:
    table = EngineKinds(*ENGINE_KINDS.values(), kind("overlap", "hash", "count"))
    assert [table.place(one) for one in ("hash", "count", "moments", "train")] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (kind("overlap", "count", "train"), "stage 'train' is of two kinds: 'training' and"),
        (kind("overlap", "count", "count"), "stage 'count' is of two kinds: 'overlap' and"),
        (kind("overlap", "Count"), "kind 'overlap' has a stage 'Count'"),
        (kind("overlap", "count\n"), "kind 'overlap' has a stage"),
        (kind("overlap", *(f"s{n}" for n in range(MAX_STAGES + 1))), "has more than 16 stages"),
        (kind("overlap", "count", contributing="sum"), "'sum' is no stage of kind 'overlap'"),
    ],
)
def test_stages_that_do_not_go_together_are_named(wrong: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        EngineKinds(*ENGINE_KINDS.values(), wrong)
