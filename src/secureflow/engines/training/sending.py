"""How a party's change of the model is written for its journey, and read where it is added up.

Without compression it is the clipped change in the spec's `wire` dtype (`capping`). With one, what
the last compression left out is added to the change first, the whole is clipped, and what is left
out of *that* is kept for the next round: error feedback. It is a vector of the party's own, so an
update is a function of the model and of that vector, and is not made twice (`models.repeats`).

Under masks a value is a whole number of steps of `quantisation.clip`/128, the same for everybody;
rounding is towards zero there, so that no norm grows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.compression import INT8_BITS, TopK, kept_values
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.sealing import Manifest, manifest_length, update_manifest
from secureflow.engines.sealing.codes import (
    CodedBlocks,
    SparseBlocks,
    int8_coded,
    int8_manifest,
    largest,
    sparse_manifest,
)
from secureflow.engines.sealing.fold import Parameters
from secureflow.engines.sealing.wiretypes import WidenedBlocks
from secureflow.engines.training.capping import Cuts, clipped_delta, norm_of
from secureflow.engines.training.models import Stage, update_layout

Vector = NDArray[np.float32]


def update_form(spec: TrainingSpec, stage: Stage) -> Manifest:
    """Return how an update of a stage is laid out, in bytes that follow from the spec alone."""
    layout = update_layout(spec, stage)
    if _coded(spec) and layout.parameters:
        if isinstance(spec.compression, TopK):
            kept = kept_values(spec.compression, layout.parameters)
            return sparse_manifest(kept, layout.sums)
        return int8_manifest(layout.parameters, layout.sums)
    return update_manifest(layout.parameters, layout.sums, spec.wire_type)


def change_bytes(spec: TrainingSpec, stage: Stage) -> int:
    """Return the bytes of an update before its sums."""
    return manifest_length(update_form(spec, stage)[:-1])


def read_change(
    spec: TrainingSpec, stage: Stage, tensors: Mapping[str, NDArray[Any]]
) -> Parameters:
    """Return a received change, to be read as float32 block by block.

    Args:
        spec: the job's.
        stage: of the update.
        tensors: by the names of `update_form`; a whole float32 vector, of a simulation or without
            compression, is `parameters`.

    Raises:
        SecureFlowError: `update_places_wrong`.
    """
    if "codes" in tensors:
        return CodedBlocks(tensors["scales"], tensors["codes"])
    if "places" in tensors:
        length = update_layout(spec, stage).parameters
        return SparseBlocks(length, tensors["places"], tensors["values"])
    found = tensors["parameters"]
    return found if found.dtype == np.float32 else WidenedBlocks(spec.wire_type, found)


def compressed(
    spec: TrainingSpec, change: Vector, left: Vector, cuts: Cuts | None = None
) -> tuple[Sequence[NDArray[Any]], Vector]:
    """Return what is sent of a change, in the order of `update_form`, and what is left out of it.

    Args:
        spec: of a job with compression.
        change: new − global, float32 (update_parameters,).
        left: what the party left out of its last change, zeros before the first.
        cuts: counts what the norm cap changes.
    """
    whole = clipped_delta(spec, change + left, cuts)
    if traits_of(spec).masks:
        step = spec.quantisation.clip / 2.0**INT8_BITS
        most = 2.0**INT8_BITS
        sent = (np.clip(np.trunc(whole / step), -most, most) * step).astype("<f4")
        return (sent,), whole - sent
    if isinstance(spec.compression, TopK):
        places, values = largest(whole, kept_values(spec.compression, len(whole)))
        rest = whole.copy()
        rest[places] = 0.0
        return (places, values), rest
    scales, codes = int8_coded(whole)
    decoded = CodedBlocks(scales, codes)[:]
    norm = norm_of(lambda: iter((decoded,)))
    if norm > spec.limits.clip_norm:  # rounding may make it longer
        scales = scales * np.float32(spec.limits.clip_norm / norm * (1 - 1e-6))
        decoded = CodedBlocks(scales, codes)[:]
    return (scales.astype("<f4"), codes), whole - decoded


def _coded(spec: TrainingSpec) -> bool:
    """Tell whether changes travel in a form of their own; under masks they are ring elements."""
    return spec.compression is not None and not traits_of(spec).masks
