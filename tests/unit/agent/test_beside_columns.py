"""Images, arrays and texts of a job against what their owner declares: here and at the centre."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from unit.engines.training.beside_world import SIDE, spec
from unit.engines.training.family_world import private

from secureflow.agent.kinds.training import features as own
from secureflow.agent.kinds.training.features import check_features
from secureflow.application.jobs.training import check_columns
from secureflow.domain.datasets import Dataset
from secureflow.domain.schemas import ColumnConfig, DatasetConfig, check_dataset
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training import torch_modules
from secureflow.kit.errors import SecureFlowError

COLUMNS = (
    ColumnConfig("scan", "image", shape=(SIDE, SIDE, 1)),
    ColumnConfig("signal", "array", shape=(5, 3), dtype="float32", bounds=(-2, 2)),
    ColumnConfig("note", "text"),
    ColumnConfig("kind", "category", ("a", "b", "c")),
    ColumnConfig("y", "category", ("no", "yes")),
)
NAMES = ("scan", "signal", "note")
SOFTMAX = {"family": "softmax"}


def dataset(**changes: Any) -> DatasetConfig:
    """The declaration, with other members of its columns."""
    columns = tuple(replace(one, **changes.get(one.name, {})) for one in COLUMNS)
    made = DatasetConfig("visits", "visits.parquet", "parquet", columns)
    check_dataset(made)
    return made


def refused(job: TrainingSpec, declared: DatasetConfig) -> tuple[str, str]:
    """The codes of the agent and of the centre, which must be one; "" if both accept."""
    codes = []
    described = Dataset("ds", "bank-a", "visits", "", declared.columns, "<1k", "", 0)
    for check in (lambda: check_features(job, declared),
                  lambda: check_columns(job, {"bank-a": described})):  # fmt: skip
        try:
            check()
            codes.append("")
        except SecureFlowError as error:
            codes.append(error.code if any(n in error.message for n in NAMES) else "no column")
    return codes[0], codes[1]


@pytest.mark.parametrize("seen", ["images", "arrays", "texts"])
def test_what_an_owner_declares_is_accepted(seen: str) -> None:
    assert refused(spec(seen, SOFTMAX), dataset()) == ("", "")
    assert refused(spec(seen, SOFTMAX, **private("enclave")), dataset()) == ("", "")


@pytest.mark.parametrize(
    ("seen", "changes"),
    [
        ("images", {"scan": {"shape": (SIDE, SIDE, 3)}}),
        ("images", {"scan": {"shape": (SIDE, SIDE + 1, 1), "fit": "resize"}}),
        ("arrays", {"signal": {"shape": (5, 4)}}),
        ("arrays", {"signal": {"dtype": "float64"}}),
    ],
)
def test_another_shape_or_dtype_is_refused(seen: str, changes: dict[str, Any]) -> None:
    assert refused(spec(seen, SOFTMAX), dataset(**changes)) == ("shape_mismatch",) * 2


def test_a_column_of_another_type_is_refused() -> None:
    declared = dataset(scan={"type": "array", "dtype": "uint8"})
    codes = refused(spec("images", SOFTMAX), declared)
    assert codes == ("column_not_granted", "contradictory_spec")
    declared = dataset(note={"type": "category", "categories": ("x",)})
    codes = refused(spec("texts", SOFTMAX), declared)
    assert codes == ("column_not_granted", "contradictory_spec")


def test_private_arrays_are_held_to_their_owners_bounds() -> None:
    narrow = dataset(signal={"bounds": (-3.0, 3.0)})
    assert refused(spec("arrays", SOFTMAX), narrow) == ("", "")
    private_job = spec("arrays", SOFTMAX, **private("enclave"))
    assert refused(private_job, narrow) == ("bounds_too_narrow",) * 2
    assert refused(private_job, dataset(signal={"bounds": None})) == ("bounds_undeclared",) * 2


def test_a_missing_framework_is_named_before_anybody_trains(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch_modules.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SecureFlowError) as caught:
        check_features(spec("images", {"family": "torch_cnn", "channels": [4]}), dataset())
    assert caught.value.code == "missing_extra"
    assert "[torch]" in caught.value.hint
    check_features(spec("images", SOFTMAX), dataset())
    assert own.require_torch is torch_modules.require_torch
