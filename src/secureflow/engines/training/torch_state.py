"""Optimisers on tensors of PyTorch, and what they carry from round to round as a file.

The steps are those of `torch.optim` (SGD with momentum; Adam and AdamW with β = 0.9, 0.999 and
ε = 1e-8), which is not used: its first call loads a compiler for ten seconds, and it keeps what it
carries in a form of its own. The file is safetensors: `rounds` and `steps`, a whole number each,
and `KEY.PARAMETER` for each tensor that is kept (`momentum`; `exp_avg`, `exp_avg_sq`). No pickle is
written or read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.torch_families import TorchModel
from secureflow.engines.training.tensors import safetensors_parts
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_COUNTS: Final = ("rounds", "steps")
_FIRST: Final = 0.9
_SECOND: Final = 0.999
_SMALL: Final = 1e-8


@dataclass(frozen=True)
class OptimiserState:
    """An optimiser's state after some rounds.

    Args:
        rounds: in how many the party has trained, for the schedule.
        steps: how many steps the carried tensors have seen.
        values: `KEY.PARAMETER` to a tensor; empty if nothing is carried.
    """

    rounds: int = 0
    steps: int = 0
    values: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the file."""
        # Lazy: only a trainer writes one.
        from safetensors.numpy import save

        counts = {name: np.array([getattr(self, name)], np.int64) for name in _COUNTS}
        return bytes(save({**counts, **self.values}))

    @classmethod
    def from_bytes(cls, data: bytes) -> OptimiserState:
        """Read a file that `to_bytes` wrote.

        Raises:
            SecureFlowError: `state_unreadable`.
        """
        try:
            _, arrays = safetensors_parts(data)
            counts = [arrays.pop(name) for name in _COUNTS]
        except (SecureFlowError, KeyError):
            raise _unreadable("it is not a file of its tensors") from None
        if any(one.shape != (1,) or one.dtype.kind != "i" or one[0] < 0 for one in counts):
            raise _unreadable("its number of rounds is none")
        values = {name: np.asarray(one, np.float32) for name, one in arrays.items()}
        return cls(int(counts[0][0]), int(counts[1][0]), values)


class Optimiser:
    """Moves the parameters of a module along their gradients.

    Args:
        torch: PyTorch.
        model: says which optimiser, and its numbers.
        parameters: (name, parameter) of the module.
        rate: the learning rate.
        state: what earlier rounds left; its tensors are taken up if the model carries them.

    Raises:
        SecureFlowError: `state_unreadable` if a tensor is not of this model.
    """

    def __init__(
        self,
        torch: Any,
        model: TorchModel,
        parameters: Sequence[tuple[str, Any]],
        rate: float,
        state: OptimiserState,
    ) -> None:
        self._torch, self._model, self._rate = torch, model, rate
        self._parameters = parameters
        carried = model.optimiser.state == "carried"
        self.steps = state.steps if carried else 0
        self._kept: dict[str, Any] = {}
        wanted = {f"{key}.{name}": one for key in self._keys() for name, one in parameters}
        for place, value in (state.values if carried else {}).items():
            if place not in wanted or value.shape != tuple(wanted[place].shape):
                raise _unreadable(Text("{place} is not of this model", place=place[:80]))
            kept = torch.from_numpy(np.array(value, np.float32))
            self._kept[place] = kept.to(wanted[place].device)

    def clear(self) -> None:
        """Forget the gradients."""
        for _, one in self._parameters:
            one.grad = None

    def step(self) -> None:
        """Move once."""
        self.steps += 1
        asked = self._model.optimiser
        with self._torch.no_grad():
            for name, one in self._parameters:
                # Weights of layers shrink, not what is added to them, nor those of a norm.
                decay = self._model.weight_decay if one.ndim > 1 else 0.0
                if asked.name == "adamw":
                    one.mul_(1.0 - self._rate * decay)
                    decay = 0.0
                slope = one.grad.add(one, alpha=decay) if decay else one.grad
                if asked.name == "sgd":
                    one.add_(self._momentum(name, slope), alpha=-self._rate)
                else:
                    self._adapt(name, one, slope)

    def values(self) -> dict[str, NDArray[np.float32]]:
        """Return what is kept, as arrays."""
        return {place: one.cpu().numpy() for place, one in self._kept.items()}

    def _keys(self) -> tuple[str, ...]:
        return ("momentum",) if self._model.optimiser.name == "sgd" else ("exp_avg", "exp_avg_sq")

    def _momentum(self, name: str, slope: Any) -> Any:
        momentum = self._model.optimiser.momentum
        if not momentum:
            return slope
        kept = self._kept.get(f"momentum.{name}")
        moved = slope.clone() if kept is None else kept.mul_(momentum).add_(slope)
        self._kept[f"momentum.{name}"] = moved
        return moved

    def _adapt(self, name: str, one: Any, slope: Any) -> None:
        for key in self._keys():
            if f"{key}.{name}" not in self._kept:
                self._kept[f"{key}.{name}"] = self._torch.zeros_like(one)
        first, second = (self._kept[f"{key}.{name}"] for key in self._keys())
        first.lerp_(slope, 1.0 - _FIRST)
        second.mul_(_SECOND).addcmul_(slope, slope, value=1.0 - _SECOND)
        root = second.sqrt().div_(math.sqrt(1.0 - _SECOND**self.steps)).add_(_SMALL)
        one.addcdiv_(first, root, value=-self._rate / (1.0 - _FIRST**self.steps))


def _unreadable(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "state_unreadable",
        Text("The optimiser's state cannot be taken up: {reason}.", reason=reason),
        "Leave this job: from another state the trainer would make another update.",
    )
