"""A data scientist's request for a private set intersection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, Column, Slug
from secureflow.domain.specs.keyrules import MOST_PARTS, KeyPart, KeyRule
from secureflow.domain.specs.psi import (
    MAX_ATTEMPTS,
    MAX_GRANTED,
    MAX_ROWS,
    Join,
    PsiLimits,
    PsiProtocol,
)
from secureflow.domain.specs.request import REQUEST, RequestBase

RequestedPart = Annotated[KeyRule | KeyPart, Field(examples=["phone"])]


@dataclass(frozen=True)
class RequestedSide:
    """The columns of one party.

    `key` has one column for each rule; `granted` are columns that go into the results beside it.
    """

    __pydantic_config__ = STRICT
    key: Annotated[tuple[Column, ...], Field(min_length=1, max_length=MOST_PARTS)]
    granted: Annotated[tuple[Column, ...], Field(max_length=MAX_GRANTED)] = ()
    most_rows: Annotated[int | None, Field(ge=1, le=MAX_ROWS)] = None


@dataclass(frozen=True)
class PsiRequest(RequestBase):
    """Whose rows have equal keys, and who learns it.

    `key` are the rules by which the columns of the key are normalised: `none`, `trim`, `case`,
    `phone` (with a country), `id_card`, `email`. `columns` are those of each party by its name.
    `learns` is the party that learns which keys match, `all`, or `size`: then `receiver` learns how
    many match; with `all` of more than two it runs the protocol with each of the others, and learns
    what it shares with each. `most_rows` is of every party that does not say so itself.
    """

    __pydantic_config__ = REQUEST
    key: Annotated[tuple[RequestedPart, ...], Field(min_length=1, max_length=MOST_PARTS)]
    columns: Annotated[dict[Slug, RequestedSide], Field(min_length=1, max_length=256)]
    learns: Annotated[Slug, Field(examples=["bank-a"])]
    receiver: Slug | None = None
    join: Join | None = None
    protocol: PsiProtocol | None = None
    minimum: Annotated[int, Field(ge=0, le=MAX_ROWS)] | None = None
    size_first: bool | None = None
    tells_size: bool | None = None
    most_rows: Annotated[int, Field(ge=1, le=MAX_ROWS)] | None = None
    attempts: Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)] | None = None
    limits: PsiLimits | None = None
    kind: Literal["psi"] = field(default="psi", kw_only=True)


def part_of(asked: Any) -> Any:
    """Return how a column of the key is normalised, as a spec has it: `phone` is a rule alone."""
    return {"rule": asked} if isinstance(asked, str) else asked
