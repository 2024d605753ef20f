"""The transformer's encoder as a module of PyTorch, its low-rank additions, and its source.

`domain.specs.torch_transformer` says what it is. A base's parameters take no gradient; an addition
is computed beside its layer, so that the layer's own weights are never copied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.inputs import ImageFeature, TensorFeature, TextFeature
from secureflow.domain.specs.targets import outputs_of
from secureflow.domain.specs.torch_transformer import (
    HEAD,
    TARGETS,
    TorchTransformerModel,
    steps_of,
)
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def transformer_module(spec: TrainingSpec, torch: Any) -> Any:
    """Return the network, an `nn.ModuleDict`; of an adapter with its additions beside layers."""
    nn, model, seen = torch.nn, _model(spec), _seen(spec)
    found: dict[str, Any] = {}
    if isinstance(seen, TextFeature):
        found["embedding"] = nn.Embedding(seen.vocabulary, model.width)
    else:
        found["inputs"] = nn.Linear(seen.shape[1], model.width)
    found["positions"] = nn.Embedding(steps_of(seen), model.width)
    found["blocks"] = nn.ModuleList([_block(nn, model) for _ in range(model.layers)])
    found["norm"] = nn.LayerNorm(model.width)
    module = nn.ModuleDict(found)
    if model.adapter is not None:
        module.requires_grad_(False)
        for block in module["blocks"]:
            for target in model.adapter.targets:
                outputs, inputs = model.layer(target)
                additions = {
                    "lora_A": nn.Linear(inputs, model.adapter.rank, bias=False),
                    "lora_B": nn.Linear(model.adapter.rank, outputs, bias=False),
                }
                for name, one in additions.items():
                    block[target].add_module(name, one)
    outputs = outputs_of(spec.features.label if spec.features else None)
    module[HEAD] = nn.ModuleList([nn.Linear(model.width, outputs)])
    return module


def put_base(
    spec: TrainingSpec, module: Any, base: Mapping[str, NDArray[Any]] | None, torch: Any
) -> None:
    """Put the base's numbers into a module that stands on one.

    Raises:
        SecureFlowError: `base_model_missing` without one.
    """
    if not spec.base:
        return
    if base is None:
        raise base_missing(spec.base)
    own = dict(module.named_parameters())
    with torch.no_grad():
        for one in _model(spec).base([_seen(spec)]):
            own[one.name].copy_(torch.from_numpy(np.ascontiguousarray(base[one.name], np.float32)))


def base_missing(digest: str) -> SecureFlowError:
    """Return the error of a model whose base is not here."""
    return SecureFlowError(
        "base_model_missing",
        Text("The base model {digest}, on which an adapter stands, is not here.", digest=digest),
        "Name its safetensors file: `base_models` in agent.yaml, or --base-model of a command.",
        {"base": digest},
    )


def transformed(spec: TrainingSpec, module: Any, inputs: Any, torch: Any) -> Any:
    """Return a module's outputs, (rows, outputs), for flat inputs, (rows, width)."""
    model, seen = _model(spec), _seen(spec)
    scale = 0.0 if model.adapter is None else model.adapter.scale
    if isinstance(seen, TextFeature):
        tokens = inputs.long()
        there = tokens > 0
        steps = module["embedding"](tokens)
    else:
        steps = module["inputs"](inputs.reshape(len(inputs), *seen.shape))
        there = torch.ones(steps.shape[:2], dtype=torch.bool, device=steps.device)
    steps = steps + module["positions"].weight
    hidden = _hidden(there, torch)
    for block in module["blocks"]:
        steps = steps + _attended(block, block["before"](steps), hidden, model.heads, scale, torch)
        inner = torch.nn.functional.gelu(_dense(block["up"], block["between"](steps), scale))
        steps = steps + _dense(block["down"], inner, scale)
    counted = there.unsqueeze(2)
    mean = (module["norm"](steps) * counted).sum(1) / counted.sum(1).clamp(min=1)
    return module[HEAD][0](mean)


def transformer_source(spec: TrainingSpec) -> str:
    """Return the network in plain PyTorch, to be pasted, and how to load what was exported."""
    model, seen = _model(spec), _seen(spec)
    text = isinstance(seen, TextFeature)
    first = (
        f"self.embedding = nn.Embedding({seen.vocabulary}, {model.width})"
        if isinstance(seen, TextFeature)
        else f"self.inputs = nn.Linear({_shape(seen)[1]}, {model.width})"
    )
    adapter = model.adapter
    return _SOURCE.format(
        first=first, steps=steps_of(seen), width=model.width, layers=model.layers,
        hidden=model.hidden, heads=model.heads,
        outputs=outputs_of(spec.features.label if spec.features else None),
        begin=_TOKENS if text else _NUMBERS,
        load=_LOAD if adapter is None else _ADAPTED.format(scale=adapter.scale),
    )  # fmt: skip


def _block(nn: Any, model: TorchTransformerModel) -> Any:
    made: dict[str, Any] = {target: nn.Linear(*model.layer(target)[::-1]) for target in TARGETS}
    norms = {name: nn.LayerNorm(model.width) for name in ("before", "between")}
    return nn.ModuleDict({**made, **norms})


def _hidden(there: Any, torch: Any) -> Any:
    """Return what is added to the attention's scores: padding is not attended to."""
    padding = torch.zeros(there.shape, device=there.device).masked_fill(~there, -1e9)
    return padding[:, None, None, :]


def _attended(block: Any, seen: Any, hidden: Any, heads: int, scale: float, torch: Any) -> Any:
    rows, steps, width = seen.shape
    parts = (_dense(block[name], seen, scale) for name in ("query", "key", "value"))
    query, key, value = (
        one.reshape(rows, steps, heads, width // heads).transpose(1, 2) for one in parts
    )
    scores = query @ key.transpose(2, 3) / math.sqrt(width // heads) + hidden
    found = (torch.softmax(scores, -1) @ value).transpose(1, 2).reshape(rows, steps, width)
    return _dense(block["output"], found, scale)


def _dense(layer: Any, seen: Any, scale: float) -> Any:
    found = layer(seen)
    if hasattr(layer, "lora_A"):
        found = found + scale * layer.lora_B(layer.lora_A(seen))
    return found


def _model(spec: TrainingSpec) -> TorchTransformerModel:
    if not isinstance(spec.model, TorchTransformerModel):
        raise AssertionError  # the caller looked
    return spec.model


def _seen(spec: TrainingSpec) -> TensorFeature:
    if spec.features is None:
        raise AssertionError  # `model_rules` refuses such a spec
    (seen,) = spec.features.beside
    return seen


def _shape(seen: TensorFeature) -> tuple[int, ...]:
    if isinstance(seen, TextFeature | ImageFeature):
        raise AssertionError  # `torch_problem` refuses such a spec
    return seen.shape


_TOKENS: Final = """\
        there = x > 0
        x = self.embedding(x) + self.positions.weight  # (rows, tokens), 0 is padding"""
_NUMBERS: Final = """\
        there = torch.ones(x.shape[:2], dtype=torch.bool)
        x = self.inputs(x) + self.positions.weight  # (rows, steps, numbers)"""
_LOAD: Final = """\
def load(path):
    model = Model()
    model.load_state_dict(load_file(path))
    return model.eval()
"""
_ADAPTED: Final = """\
def load(path, base):
    state, adapter = load_file(base), load_file(path)
    for name, first in adapter.items():
        if name.endswith(".lora_A.weight"):
            layer = name.removesuffix(".lora_A.weight")
            added = {scale} * adapter[f"{{layer}}.lora_B.weight"] @ first
            state[f"{{layer}}.weight"] = state[f"{{layer}}.weight"].float() + added
        elif ".lora_" not in name:
            state[name] = first
    model = Model()
    model.load_state_dict(state)
    return model.eval()
"""
_SOURCE: Final = """\
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        for name in ("query", "key", "value", "output"):
            setattr(self, name, nn.Linear({width}, {width}))
        self.up, self.down = nn.Linear({width}, {hidden}), nn.Linear({hidden}, {width})
        self.before, self.between = nn.LayerNorm({width}), nn.LayerNorm({width})

    def forward(self, x, there):
        seen = self.before(x)
        shape = *seen.shape[:2], {heads}, {width} // {heads}
        made = (one(seen) for one in (self.query, self.key, self.value))
        q, k, v = (one.reshape(shape).transpose(1, 2) for one in made)
        scores = q @ k.transpose(2, 3) / ({width} // {heads}) ** 0.5
        scores = scores.masked_fill(~there[:, None, None, :], -1e9)
        x = x + self.output((scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape))
        return x + self.down(F.gelu(self.up(self.between(x))))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        {first}
        self.positions = nn.Embedding({steps}, {width})
        self.blocks = nn.ModuleList([Block() for _ in range({layers})])
        self.norm = nn.LayerNorm({width})
        self.layers = nn.ModuleList([nn.Linear({width}, {outputs})])

    def forward(self, x):
{begin}
        for block in self.blocks:
            x = block(x, there)
        counted = there.unsqueeze(2)
        return self.layers[0]((self.norm(x) * counted).sum(1) / counted.sum(1).clamp(min=1))


{load}"""
