"""The weights that a simulated job starts from: those that its file names, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.base import STRICT, dump, parse
from secureflow.domain.specs.tensors import TensorSpec, by_name, layout_digest
from secureflow.domain.specs.training import Initial, Resume, TrainingSpec
from secureflow.engines.sealing import tensor_digest
from secureflow.engines.training.export import uploaded_weights
from secureflow.engines.training.tensors import flat
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.inputfiles import read_bytes
from secureflow.kit.text import Text
from secureflow.sdk.localcode import LocalCode

MOST_WEIGHTS: Final = 5 << 30
MOST_LISTED: Final = 8
"""Tensors that an error lists."""


@dataclass(frozen=True)
class Beginning:
    """What a simulated job starts from.

    Args:
        state: float32, or None for the family's own first state.
        member: the job's `initial` if its file names no start, or None.
        file: the name of the file with these weights, empty without one.
        tensors: those of the file.
    """

    state: NDArray[np.float32] | None = field(default=None, repr=False)
    member: Mapping[str, Any] | None = None
    file: str = ""
    tensors: Sequence[TensorSpec] = ()

    def check(self, spec: TrainingSpec) -> None:
        """Refuse weights of other tensors, or of another size, than the model's.

        Raises:
            SecureFlowError: `invalid_request`.
        """
        if self.file and layout_digest(self.tensors) != layout_digest(spec.tensors):
            raise SecureFlowError(
                "invalid_request",
                Text(
                    "{file} holds other tensors than the job's model: {found}; the model has "
                    "{wanted}.",
                    file=self.file,
                    found=listed(self.tensors, spec.tensors),
                    wanted=listed(spec.tensors, self.tensors),
                ),
                "Name a file with the model's tensors: `secureflow simulate --save` and "
                "`secureflow model download` write one.",
            )
        if self.state is not None and self.state.size != spec.start_parameters:
            raise SecureFlowError(
                "invalid_request",
                Text(
                    "The weights to start from are {found} numbers; the model has {wanted}.",
                    found=self.state.size,
                    wanted=spec.start_parameters,
                ),
                "Name the file with its weights: --initial FILE.",
            )


@dataclass(frozen=True)
class _Named:
    """The members of a job that name a start, and its errors them."""

    __pydantic_config__ = STRICT
    initial: Initial | None = None
    resume: Resume | None = None


def _short(member: str) -> SecureFlowError:
    """Return the error of a start that only the centre can complete."""
    return SecureFlowError(
        "invalid_spec",
        Text(
            "The spec is not valid: {member}: a simulation asks no centre, which would complete "
            "it.",
            member=member,
        ),
        "Write all of its fields: secureflow job dry-run tells them for the same file.",
        {"fields": [{"field": member, "problem": "incomplete"}]},
    )


def beginning(job: Mapping[str, Any], code: LocalCode | None, file: Path | None) -> Beginning:
    """Return what a job starts from.

    What its file names must be what is here, else the platform would start from something else.

    Args:
        job: the content of its file; `initial` and `resume` are read.
        code: its bundle, whose own first tensors count if they are those that are named.
        file: weights as for `client.models.upload`.

    Raises:
        SecureFlowError: `invalid_spec`; `missing_data` if the named weights are not here;
            `invalid_request` if the file holds others; those of `uploaded_weights`.
    """
    members = {name: job[name] for name in ("initial", "resume") if job.get(name) is not None}
    for name, given in members.items():
        if not isinstance(given, Mapping):
            raise _short(name)
    named = parse(_Named, members, "spec")
    asked = named.resume or named.initial
    member = "resume" if named.resume else "initial"
    if file is not None:
        tensors, state = uploaded_weights(read_bytes(file, MOST_WEIGHTS))
    elif code is not None:
        tensors = by_name(code.model.weights)
        state = flat(tensors, code.initial)
    elif asked is None:
        return Beginning()
    else:
        raise _not_here(member)
    digest = tensor_digest(state)
    if asked is None:
        begun, name = Initial(digest, layout_digest(tensors)), "" if file is None else file.name
        return Beginning(state, dump(begun), name, tensors)
    if digest == asked.model:
        return Beginning(state)
    if file is None:
        raise _not_here(member)
    raise SecureFlowError(
        "invalid_request",
        Text(
            "The job file's `{member}` names the weights {named}, and {file} holds {found}.",
            member=member,
            named=asked.model,
            file=file.name,
            found=digest,
        ),
        Text(
            "Name the file with the weights that the job names, or remove `{member}` from the "
            "job file.",
            member=member,
        ),
    )


def listed(tensors: Sequence[TensorSpec], others: Sequence[TensorSpec]) -> str:
    """Return tensors with shapes and dtypes; of many those that the others do not have."""
    found = list(by_name(tensors))
    if len(found) > MOST_LISTED:
        known = {(one.name, one.shape, one.dtype) for one in others}
        found = [one for one in found if (one.name, one.shape, one.dtype) not in known]
    told = [f"{one.name} {list(one.shape)} {one.dtype}" for one in found[:MOST_LISTED]]
    return ", ".join(told) + ", …" * (len(told) < len(tensors))


def _not_here(member: str) -> SecureFlowError:
    return SecureFlowError(
        "missing_data",
        "The job starts from a model that is not here.",
        Text(
            "Name the file with its weights: --initial FILE; or remove `{member}` from the job "
            "file, which then starts anew.",
            member=member,
        ),
    )
