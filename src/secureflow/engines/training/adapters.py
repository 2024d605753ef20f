"""An adapter as the library PEFT names it: its tensors, and its configuration.

PEFT 0.x, "LoRA checkpoint format": `base_model.model.LAYER.lora_A.weight`, and the head, trained
whole, among `modules_to_save`.
"""

from __future__ import annotations

import json
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.torch_families import TorchTransformerModel
from secureflow.domain.specs.torch_transformer import HEAD
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.tensors import named
from secureflow.kit.errors import SecureFlowError

TENSORS: Final = "adapter_model.safetensors"
CONFIGURATION: Final = "adapter_config.json"
_PREFIX: Final = "base_model.model."


def adapter_files(spec: TrainingSpec, parameters: NDArray[np.float32]) -> dict[str, bytes]:
    """Return the files of an adapter, by name.

    Args:
        spec: of a model with an adapter.
        parameters: float32 (d,).

    Raises:
        SecureFlowError: `invalid_model` for a model without one.
    """
    adapter = spec.model.adapter if isinstance(spec.model, TorchTransformerModel) else None
    if adapter is None:
        raise SecureFlowError(
            "invalid_model", "The model has no adapter.", "Call save_tensors for its tensors."
        )
    # Lazy: only an export needs the library.
    from safetensors.numpy import save

    tensors = {
        f"{_PREFIX}{name}": np.asarray(one, np.float32)
        for name, one in named(spec.tensors, parameters).items()
    }
    told = {
        "peft_type": "LORA",
        "base_model_name_or_path": adapter.base,
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(adapter.targets),
        "modules_to_save": [f"{HEAD}.0"],
        "inference_mode": True,
        "task_type": None,
    }
    text = json.dumps(told, indent=1, sort_keys=True) + "\n"
    return {TENSORS: bytes(save(tensors)), CONFIGURATION: text.encode()}
