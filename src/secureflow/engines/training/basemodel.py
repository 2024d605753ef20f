"""The base of an adapter: a safetensors file beside a model's, known by its digest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blake3 import blake3
from numpy.typing import NDArray

from secureflow.domain.specs.torch_families import TorchTransformerModel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.families import ModelFamily, model_family
from secureflow.engines.training.tensors import check_values, safetensors_parts
from secureflow.engines.training.torch_network import TorchNetwork
from secureflow.engines.training.torch_transformer import base_missing
from secureflow.kit.basefiles import base_file
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def read_base(spec: TrainingSpec, path: Path) -> Mapping[str, NDArray[Any]]:
    """Return the tensors of a spec's base, by name; others in the file, as of a head, are left.

    Raises:
        SecureFlowError: `base_model_missing` without the file; `base_model_wrong` if it is another
            one, or not of this model; `tensors_wrong` if it is no safetensors file.
    """
    if not isinstance(spec.model, TorchTransformerModel) or spec.features is None:
        raise AssertionError  # the caller looked
    if not path.is_file():
        raise base_missing(spec.base)
    data = path.read_bytes()
    if blake3(data).hexdigest() != spec.base:
        raise _wrong(spec, "its content is another one")
    _, arrays = safetensors_parts(data)
    found = {}
    for one in spec.model.base(spec.features.beside):
        if one.name not in arrays or arrays[one.name].shape != one.shape:
            shape = list(one.shape)
            raise _wrong(spec, Text("it has no tensor {name} {shape}", name=one.name, shape=shape))
        found[one.name] = check_values(one, arrays[one.name])
    return found


def family_beside(spec: TrainingSpec, model: Path) -> ModelFamily:
    """Return a spec's family, which stands on the base beside a model's file if it needs one.

    Raises:
        SecureFlowError: those of `read_base`.
    """
    return standing(spec, base_file(model.parent, spec.base))


def standing(spec: TrainingSpec, base: Path | None) -> ModelFamily:
    """Return a spec's family on a base in this file, if it needs one and there is one."""
    family = model_family(spec)
    if spec.base and base is not None and isinstance(family, TorchNetwork):
        family.stand_on(read_base(spec, base))
    return family


def _wrong(spec: TrainingSpec, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "base_model_wrong",
        Text("The file of the base model {digest} is wrong: {reason}.",
             digest=spec.base, reason=reason),
        "Every party needs the same file, with the tensors of this model.",
        {"base": spec.base},
    )  # fmt: skip
