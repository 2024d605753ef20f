"""What an optimiser of PyTorch carries from round to round, as a file of plain tensors.

The file is safetensors: `rounds`, one whole number, and `KEY.PARAMETER` for each tensor that the
optimiser keeps (`momentum_buffer`; `step`, `exp_avg`, `exp_avg_sq`). No pickle is written or read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.engines.training.tensors import safetensors_parts
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_ROUNDS: Final = "rounds"
_KEYS: Final = ("momentum_buffer", "step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class OptimiserState:
    """An optimiser's state after some rounds.

    Args:
        rounds: in how many the party has trained, for the schedule.
        values: `KEY.PARAMETER` to a tensor; empty if nothing is carried.
    """

    rounds: int = 0
    values: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the file."""
        # Lazy: only a trainer writes one.
        from safetensors.numpy import save

        return bytes(save({_ROUNDS: np.array([self.rounds], np.int64), **self.values}))

    @classmethod
    def from_bytes(cls, data: bytes) -> OptimiserState:
        """Read a file that `to_bytes` wrote.

        Raises:
            SecureFlowError: `state_unreadable`.
        """
        try:
            _, arrays = safetensors_parts(data)
            rounds = arrays.pop(_ROUNDS)
        except (SecureFlowError, KeyError):
            raise _unreadable("it is not a file of its tensors") from None
        if rounds.shape != (1,) or rounds[0] < 0:
            raise _unreadable("its number of rounds is none")
        values = {name: np.asarray(one, np.float32) for name, one in arrays.items()}
        return cls(int(rounds[0]), values)


def taken(module: Any, optimiser: Any) -> dict[str, NDArray[np.float32]]:
    """Return what an optimiser keeps of each parameter of a module."""
    found = {}
    for name, parameter in module.named_parameters():
        for key in _KEYS:
            kept = optimiser.state.get(parameter, {}).get(key)
            if kept is not None:
                found[f"{key}.{name}"] = kept.detach().cpu().numpy().astype(np.float32)
    return found


def restored(
    torch: Any, module: Any, optimiser: Any, values: Mapping[str, NDArray[np.float32]]
) -> None:
    """Give a new optimiser what an earlier one kept.

    Raises:
        SecureFlowError: `state_unreadable` if a tensor has another shape than the parameter.
    """
    own = dict(module.named_parameters())
    for place, value in values.items():
        key, _, name = place.partition(".")
        shape = () if key == "step" else tuple(own[name].shape) if name in own else None
        if key not in _KEYS or name not in own or value.shape != shape:
            raise _unreadable(Text("{place} is not of this model", place=place[:80]))
        kept = torch.from_numpy(np.array(value, np.float32))
        # PyTorch keeps the number of steps on the processor.
        optimiser.state[own[name]][key] = kept if key == "step" else kept.to(own[name].device)


def _unreadable(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "state_unreadable",
        Text("The optimiser's state cannot be taken up: {reason}.", reason=reason),
        "Leave this job: from another state the trainer would make another update.",
    )
