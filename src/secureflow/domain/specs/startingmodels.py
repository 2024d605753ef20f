"""What a training starts from, if it is not its family's first model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from secureflow.domain.specs.base import STRICT, Digest, Id


@dataclass(frozen=True)
class Resume:
    """The released model of another job's round that this job starts from."""

    __pydantic_config__ = STRICT
    job: Id
    round: Annotated[int, Field(ge=0, le=10_000)]
    model: Digest


@dataclass(frozen=True)
class Initial:
    """Uploaded weights to start from.

    Args:
        model: the digest of the flat float32 vector, a blob's address.
        layout: the digest of the tensors that were uploaded (`tensors.layout_digest`); a spec whose
            model has other tensors is refused.
    """

    __pydantic_config__ = STRICT
    model: Digest
    layout: Digest
