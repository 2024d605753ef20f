"""The networks of PyTorch's families: as modules, as what they compute, and as source to paste.

A module's state dict has the names of `domain.specs.torch_families`. `source` is the same network
in plain PyTorch, for whoever has the exported tensors and nothing of ours. PyTorch is an extra and
takes seconds to load, so it is imported where it is used; it computes on one thread.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from secureflow.domain.specs.inputs import TensorFeature, TextFeature
from secureflow.domain.specs.targets import outputs_of
from secureflow.domain.specs.torch_families import (
    TorchCnnModel,
    TorchLstmModel,
    TorchMlpModel,
    TorchTransformerModel,
)
from secureflow.domain.specs.training import FeatureSpec, TrainingSpec
from secureflow.engines.training.torch_transformer import (
    transformed,
    transformer_module,
    transformer_source,
)
from secureflow.kit.commandline import install_hint
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Calls = dict[str, list[tuple[str, tuple[Any, ...], dict[str, Any]]]]
"""Attribute to the layers in it: the name in `torch.nn`, and its arguments."""


def require_torch(family: str) -> None:
    """Refuse a family of PyTorch where that is not installed; it is not loaded.

    Raises:
        SecureFlowError: `missing_extra`.
    """
    if importlib.util.find_spec("torch") is None:
        raise SecureFlowError(
            "missing_extra",
            Text("The model family {family} needs PyTorch, which is not installed.", family=family),
            install_hint("torch"),
            {"family": family},
        )


def loaded_torch(family: str) -> Any:
    """Return the module `torch`, on one thread; raises as `require_torch`."""
    require_torch(family)
    import torch

    torch.set_num_threads(1)
    return torch


def layers_of(spec: TrainingSpec) -> Calls:
    """Return the layers of a spec's network."""
    features, model = _features(spec), spec.model
    outputs = outputs_of(features.label)
    if isinstance(model, TorchMlpModel):
        norm = "BatchNorm1d" if model.norm == "batch" else "LayerNorm"
        named: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
            (norm, (size,), {}) for size in (model.hidden if model.norm else ())
        ]
        made: Calls = {"layers": _dense((features.width, *model.hidden, outputs))}
        return {**made, "norms": named} if named else made
    if isinstance(model, TorchCnnModel):
        first = _shape(features.beside)[2]
        blocks = list(pairwise((first, *model.channels)))
        return {
            "convolutions": [("Conv2d", (into, out, 3), {"padding": 1}) for into, out in blocks],
            "norms": [("GroupNorm", (model.groups, out), {}) for _, out in blocks],
            "layers": _dense((model.flattened(features.beside), *model.hidden, outputs)),
        }
    if isinstance(model, TorchLstmModel):
        (seen,) = features.beside
        found: Calls = {}
        into = model.embedding
        if isinstance(seen, TextFeature):
            found["embedding"] = [("Embedding", (seen.vocabulary, into), {})]
        else:
            into = seen.shape[1]
        more = {"num_layers": model.layers, "batch_first": True}
        found["lstm"] = [("LSTM", (into, model.hidden), more)]
        return {**found, "layers": _dense((model.hidden, outputs))}
    raise AssertionError  # the caller asks for a family of PyTorch


def module_of(spec: TrainingSpec, torch: Any) -> Any:
    """Return the network, an `nn.ModuleDict`; `computed` is what it computes."""
    if isinstance(spec.model, TorchTransformerModel):
        return transformer_module(spec, torch)
    nn, found = torch.nn, {}
    for name, calls in layers_of(spec).items():
        # With PyTorch's own first weights, which the spec's replace.
        made = [getattr(nn, kind)(*given, **more) for kind, given, more in calls]
        found[name] = made[0] if name in _SINGLE else nn.ModuleList(made)
    return nn.ModuleDict(found)


def computed(spec: TrainingSpec, module: Any, inputs: Any, torch: Any) -> Any:
    """Return a module's outputs, (rows, outputs), for a tensor of flat inputs, (rows, width)."""
    model, functional = spec.model, torch.nn.functional
    if isinstance(model, TorchTransformerModel):
        return transformed(spec, module, inputs, torch)
    if isinstance(model, TorchCnnModel):
        height, width, channels = _shape(_features(spec).beside)
        seen = inputs.reshape(len(inputs), height, width, channels).permute(0, 3, 1, 2)
        for convolution, norm in zip(module["convolutions"], module["norms"], strict=True):
            seen = functional.max_pool2d(functional.relu(norm(convolution(seen))), 2)
        return _behind(module["layers"], seen.flatten(1), functional.relu)
    if isinstance(model, TorchLstmModel):
        return _sequence(spec, module, inputs, torch)
    tanh = isinstance(model, TorchMlpModel) and model.activation == "tanh"
    norms = module["norms"] if isinstance(model, TorchMlpModel) and model.norm else ()
    return _behind(module["layers"], inputs, torch.tanh if tanh else functional.relu, norms)


def source(spec: TrainingSpec) -> str:
    """Return the network as a class of plain PyTorch, and how to load an exported file into it."""
    if isinstance(spec.model, TorchTransformerModel):
        return transformer_source(spec)
    assignments = []
    for name, calls in layers_of(spec).items():
        made = [f"nn.{kind}({_arguments(given, more)})" for kind, given, more in calls]
        value = made[0] if name in _SINGLE else f"nn.ModuleList([{', '.join(made)}])"
        assignments.append(f"        self.{name} = {value}")
    model = spec.model
    if isinstance(model, TorchCnnModel):
        body = _CNN
    elif isinstance(model, TorchLstmModel):
        body = _TEXT if "embedding" in layers_of(spec) else _STEPS
    else:
        tanh = isinstance(model, TorchMlpModel) and model.activation == "tanh"
        body = _NORMED if isinstance(model, TorchMlpModel) and model.norm else _MLP
        body = body.replace("F.relu", "torch.tanh") if tanh else body
    return _SOURCE.format(layers="\n".join(assignments), body=body)


def _sequence(spec: TrainingSpec, module: Any, inputs: Any, torch: Any) -> Any:
    """Return the outputs of an LSTM: the mean over its steps, of a text over what is no padding."""
    (seen,) = _features(spec).beside
    if isinstance(seen, TextFeature):
        tokens = inputs.long()
        steps, _ = module["lstm"](module["embedding"](tokens))
        there = (tokens > 0).unsqueeze(2)
        mean = (steps * there).sum(1) / there.sum(1).clamp(min=1)
    else:
        steps, _ = module["lstm"](inputs.reshape(len(inputs), *seen.shape))
        mean = steps.mean(1)
    return _behind(module["layers"], mean, torch.relu)


def _behind(layers: Any, seen: Any, activation: Any, norms: Any = ()) -> Any:
    *hidden, last = layers
    for at, layer in enumerate(hidden):
        found = layer(seen)
        seen = activation(norms[at](found) if len(norms) else found)
    return last(seen)


def _dense(sizes: Sequence[int]) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    return [("Linear", one, {}) for one in pairwise(sizes)]


def _features(spec: TrainingSpec) -> FeatureSpec:
    if spec.features is None:
        raise AssertionError  # `model_rules` refuses such a spec
    return spec.features


def _shape(beside: Sequence[TensorFeature]) -> tuple[int, ...]:
    (one,) = beside
    if isinstance(one, TextFeature):
        raise AssertionError  # `torch_problem` refuses such a spec
    return one.shape


def _arguments(given: tuple[Any, ...], more: dict[str, Any]) -> str:
    return ", ".join([*map(repr, given), *(f"{name}={value!r}" for name, value in more.items())])


_SINGLE: Final = frozenset({"embedding", "lstm"})
"""Attributes that are one layer and not a list of them."""

_MLP: Final = """\
    def forward(self, x):  # (rows, inputs)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)"""
_NORMED: Final = """\
    def forward(self, x):  # (rows, inputs)
        for layer, norm in zip(self.layers, self.norms):
            x = F.relu(norm(layer(x)))
        return self.layers[-1](x)"""
_CNN: Final = """\
    def forward(self, x):  # (rows, channels, height, width)
        for convolution, norm in zip(self.convolutions, self.norms):
            x = F.max_pool2d(F.relu(norm(convolution(x))), 2)
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)"""
_TEXT: Final = """\
    def forward(self, x):  # (rows, tokens), 0 is padding
        steps, _ = self.lstm(self.embedding(x))
        there = (x > 0).unsqueeze(2)
        return self.layers[-1]((steps * there).sum(1) / there.sum(1).clamp(min=1))"""
_STEPS: Final = """\
    def forward(self, x):  # (rows, steps, numbers)
        steps, _ = self.lstm(x)
        return self.layers[-1](steps.mean(1))"""
_SOURCE: Final = """\
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()
{layers}

{body}


def load(path):
    model = Model()
    model.load_state_dict(load_file(path))
    return model.eval()
"""
