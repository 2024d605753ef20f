"""A file of weights is read block by block into the same vector as in one piece."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from safetensors.numpy import save, save_file
from unit.engines.training.family_world import spec

from secureflow.domain.specs.tensors import TensorSpec
from secureflow.engines.training import weightsfile
from secureflow.engines.training.export import ModelFile, model_card, model_digest, uploaded_weights
from secureflow.engines.training.initial import initial_parameters
from secureflow.engines.training.weightsfile import WeightsFile
from secureflow.kit.errors import SecureFlowError

ARRAYS: dict[str, Any] = {
    "z.bias": np.linspace(-1, 1, 11, dtype=np.float32),
    "a.kernel": np.arange(-30, 30, dtype=np.float16).reshape(3, 4, 5),
    "m.count": np.array(7, np.int64),
    "m.small": np.arange(9, dtype=np.int32),
    "m.mask": np.array([True, False]),
    "m.bytes": np.arange(256, dtype=np.uint8),
}


@pytest.fixture(autouse=True, params=[1, 7, 1 << 18])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weightsfile, "BLOCK", request.param)


def _same(path: Path) -> WeightsFile:
    """Read a file both ways, and compare."""
    tensors, vector = uploaded_weights(path.read_bytes())
    found = WeightsFile.read(path)
    data = vector.astype("<f4").tobytes()
    assert b"".join(found.blocks()) == b"".join(found.blocks()) == data
    assert (found.size, found.digest) == (len(data), blake3(data).hexdigest())
    assert found.tensors == tensors
    return found


def test_every_dtype_is_read_alike(tmp_path: Path) -> None:
    save_file(ARRAYS, tmp_path / "w")
    found = _same(tmp_path / "w")
    assert [one.name for one in found.tensors] == sorted(ARRAYS)
    brain = np.array([0x3F80, 0xC000], "<u2").tobytes()
    header = b'{"b":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    (tmp_path / "b").write_bytes(len(header).to_bytes(8, "little") + header + brain)
    assert b"".join(_same(tmp_path / "b").blocks()) == np.array([1, -2], "<f4").tobytes()


@pytest.mark.parametrize("more", [0, 1])
def test_a_downloaded_model_counts_as_what_its_card_describes(tmp_path: Path, more: int) -> None:
    """Without the norm that a job adapted."""
    job = spec("mlp", "binary")
    state = initial_parameters(job)
    card = model_card(job, state, moments=None, metrics={}, created=1)
    values = np.append(state, np.float32(0.5))[: len(state) + more]
    card |= {"digest": model_digest(values), "adapts_clipping": bool(more)}
    path = tmp_path / "m.safetensors"
    path.write_bytes(ModelFile(card, values).to_bytes())
    assert _same(path).size == 4 * len(state)
    for wrong, code in (
        ({**card, "digest": "0" * 64}, "model_digest_mismatch"),
        ({**card, "adapts_clipping": not more}, "invalid_model"),
        ({**card, "features": None}, "invalid_spec"),
    ):
        path.write_bytes(ModelFile(wrong, values).to_bytes())
        told = []
        for read in (lambda: uploaded_weights(path.read_bytes()), lambda: WeightsFile.read(path)):
            with pytest.raises(SecureFlowError) as caught:
                read()
            told.append(caught.value.as_json())
        assert told[0] == told[1]
        assert code == "invalid_spec" or told[0]["code"] == code


@pytest.mark.parametrize(
    "arrays",
    [
        {"a": np.array([1.0, np.inf], np.float32)},
        {"a": np.zeros(20, np.float16), "b": np.array([np.nan], np.float16)},
        {"a": np.array([(1 << 24) + 1], np.int32)},
        {"a": np.array([1e300])},
    ],
)
def test_what_a_vector_cannot_hold_is_refused_by_name(arrays: Any, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(bytes(save(arrays)))
    with pytest.raises(SecureFlowError) as caught:
        WeightsFile.read(tmp_path / "w")
    assert caught.value.code == "tensors_wrong"
    with pytest.raises(SecureFlowError) as whole:
        uploaded_weights((tmp_path / "w").read_bytes())
    assert whole.value.as_json() == caught.value.as_json()


def test_a_file_that_is_cut_off_meanwhile_is_refused(tmp_path: Path) -> None:
    save_file(ARRAYS, tmp_path / "w")
    found = WeightsFile.read(tmp_path / "w")
    (tmp_path / "w").write_bytes((tmp_path / "w").read_bytes()[:-5])
    with pytest.raises(SecureFlowError) as caught:
        list(found.blocks())
    assert caught.value.code == "tensors_wrong"


def test_memory_does_not_depend_on_the_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weightsfile, "BLOCK", 1 << 14)
    peaks = []
    for count in (1 << 18, 1 << 21):
        save_file({"w": np.ones(count, np.float32)}, tmp_path / "w")
        tracemalloc.start()
        found = WeightsFile.read(tmp_path / "w")
        assert sum(map(len, found.blocks())) == 4 * count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 1 << 20
    assert found.tensors == (TensorSpec("w", (1 << 21,)),)
