"""What becomes of returned tensors, block by block: the numbers of the whole vector, in less."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from peers.bundle_jobs import SEED, code_spec

from secureflow.adapters.frameworks import Returned, returned
from secureflow.domain.specs.privacy import MAX_COORDINATE, AdaptiveClipping, Privacy
from secureflow.domain.specs.tensors import TensorSpec
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.updatelimits import Limits
from secureflow.engines.sealing.wiretypes import ROUNDING, rounded_to
from secureflow.engines.training.tensors import flat
from secureflow.kit.errors import SecureFlowError

PARTY = Privacy(1e-5, 1.0, "party", "central", "enclave", 2.0, party_unit_acknowledged=True)
TENSORS = (TensorSpec("a", (5, 3)), TensorSpec("n", (4,), "int64"), TensorSpec("b", (11,)))
MOST = 2.0

SPECS: dict[str, TrainingSpec] = {
    "as it is": code_spec(weights=TENSORS, limits=Limits(clip_norm=1e9)),
    "clipped": code_spec(weights=TENSORS, limits=Limits(clip_norm=MOST)),
    "float16": code_spec(weights=TENSORS, limits=Limits(clip_norm=MOST), wire="float16"),
    "bfloat16": code_spec(weights=TENSORS, limits=Limits(clip_norm=MOST), wire="bfloat16"),
    "private": code_spec(weights=TENSORS, privacy=PARTY),
    "adaptive": code_spec(weights=TENSORS, privacy=replace(PARTY, adaptive=AdaptiveClipping())),
}


def as_whole(spec: TrainingSpec, before: Any, after: NDArray[np.float32]) -> Any:
    """Return the update by the formulas, computed at once."""
    change = after.astype(np.float64) - before[: len(after)]
    norm = float(np.linalg.norm(change))
    if spec.privacy is None:
        margin = 0.0 if spec.wire_type == "float32" else 2 * ROUNDING[spec.wire_type]
        limit = spec.limits.clip_norm * (1 - margin)
        scaled = change if norm <= limit else change * (limit * (1 - 1e-6) / norm)
        return rounded_to(spec.wire_type, np.asarray(scaled, np.float32))
    clip, step = spec.privacy.clipping_norm, spec.privacy.step
    if spec.privacy.adaptive is not None:
        clip = float(before[-1])
    within = change * (clip / norm) if norm > clip else change
    if spec.privacy.adaptive is not None:
        within = np.append(within / clip, 0.5 if norm <= clip else -0.5)
    steps = np.clip(np.rint(within / step), -MAX_COORDINATE, MAX_COORDINATE)
    return steps.astype(np.float32)


@pytest.mark.parametrize("size", [1 << 20, 7])
@pytest.mark.parametrize("name", SPECS)
def test_the_numbers_are_those_of_the_whole_vector(
    name: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit in one block; in several the norm may round otherwise in its last one."""
    monkeypatch.setattr(returned, "BLOCK", size)
    spec, draws = SPECS[name], np.random.default_rng(3)
    before = draws.normal(size=spec.parameters).astype("<f4")
    before[-1] = abs(before[-1]) + 1
    before.tofile(tmp_path / "model")
    found = Returned.to_model(spec, tmp_path / "model")
    trained = {one.name: np.array(found.tensors[one.name]) for one in TENSORS}
    trained["a"] += draws.normal(size=(5, 3)).astype("f4")
    trained["n"] += 3
    found.write(trained, tmp_path / "update")
    expected = as_whole(spec, before, flat(TENSORS, trained))
    sent = np.fromfile(tmp_path / "update", expected.dtype)
    if size > spec.parameters or name == "as it is":
        assert sent.tobytes() == expected.tobytes()
    else:
        np.testing.assert_allclose(sent.astype(float), expected.astype(float), rtol=1e-6)
    found.write_zeros(tmp_path / "zeros")
    zeros = np.fromfile(tmp_path / "zeros", expected.dtype)
    assert len(zeros) == len(expected)
    assert not zeros[: spec.model_parameters].any()


def test_a_file_of_another_length_is_no_model(tmp_path: Path) -> None:
    spec = SPECS["as it is"]
    np.zeros(spec.parameters + 1, "<f4").tofile(tmp_path / "model")
    for size in (4 * spec.parameters + 4, 4 * spec.parameters + 1, 4 * spec.parameters - 4, 0):
        with (tmp_path / "model").open("r+b") as file:
            file.truncate(size)
        with pytest.raises(SecureFlowError) as refusal:
            Returned.to_model(spec, tmp_path / "model")
        assert refusal.value.code == "invalid_model"


def test_reported_sums_are_capped_from_both_sides() -> None:
    spec = code_spec(weights=TENSORS, sums=("rows", "loss"))
    found = Returned(spec, np.zeros(spec.parameters, np.float32))
    seed, (rows, validation) = bytes.fromhex(SEED), (49, 11)
    for said, taken in ((-7.0, 0.0), (5.0, 5.0), (1e9, 11.0)):
        weight, own, _ = found.sums({"rows": said, "loss": 0.0}, (rows, validation), seed)
        assert (weight, own) == (rows, taken)
    most = found.sums({"rows": 1.0, "loss": 1e14}, (rows, validation), seed)[2]
    assert found.sums({"rows": 1.0, "loss": -1e14}, (rows, validation), seed)[2] == -most < 0


def written(tmp_path: Path) -> None:
    spec = SPECS["as it is"]
    found = Returned(spec, np.zeros(spec.parameters, np.float32))
    found.write(dict(found.tensors), tmp_path / "update")


def test_an_update_is_a_file_of_its_own(tmp_path: Path) -> None:
    """Who has the old one open writes into nothing, and a link leads nowhere."""
    size, update = 4 * SPECS["as it is"].parameters, tmp_path / "update"
    (tmp_path / "another's").write_bytes(b"kept")
    for made in (update.touch, lambda: update.symlink_to(tmp_path / "another's")):
        made()
        with update.open("r+b") as old:
            written(tmp_path)
            old.write(b"from the worker")
        assert update.read_bytes() == bytes(size)
        assert update.stat().st_mode & 0o777 == 0o600
        update.unlink()


@pytest.mark.parametrize("what", ["a link", "a file"])
def test_nobody_puts_another_file_in_the_place_of_an_update(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the removal of the old one and the new one."""
    (tmp_path / "another's").write_bytes(b"kept")
    remove = Path.unlink

    def removed(path: Path, *, missing_ok: bool = False) -> None:
        remove(path, missing_ok=missing_ok)
        (path.symlink_to if what == "a link" else path.hardlink_to)(tmp_path / "another's")

    monkeypatch.setattr(Path, "unlink", removed)
    with pytest.raises(OSError, match="update"):
        written(tmp_path)
    assert (tmp_path / "another's").read_bytes() == b"kept"


@pytest.mark.parametrize("dtype", ["float32", "int64"])
@pytest.mark.parametrize("private", [False, True])
def test_it_takes_no_memory_for_each_parameter(
    dtype: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, private: bool
) -> None:
    """The agent holds what was returned; no limit holds the agent, so nothing comes to that."""
    count, block = 1 << 20, 1 << 14
    monkeypatch.setattr(returned, "BLOCK", block)
    tensors = (TensorSpec("w", (count,), dtype),)
    spec = code_spec(weights=tensors, privacy=PARTY if private else None)
    np.zeros(count, "<f4").tofile(tmp_path / "model")
    trained = {"w": np.arange(count).astype(dtype)}
    tracemalloc.start()
    try:
        found = Returned.to_model(spec, tmp_path / "model")
        found.write(trained, tmp_path / "update")
        found.sums({}, (3, 2), bytes.fromhex(SEED))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "update").stat().st_size == 4 * count
    assert most / count < 2  # bytes
