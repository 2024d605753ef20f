"""A data scientist's request: the part of a kind's spec that a person chooses.

The centre completes it to the spec that parties sign, with roster, keys, versions and the owners'
declarations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Final, Protocol

from pydantic import ConfigDict, Field

from secureflow.domain.priorities import USUAL, Priority
from secureflow.domain.specs.base import STRICT, NotBefore, Title, dump
from secureflow.domain.texts import ONE_LINE

Reference = Annotated[str, Field(max_length=128), ONE_LINE]


def _name_kind(schema: dict[str, Any]) -> None:
    """Describe `kind` as required: it discriminates the requests in JSON."""
    schema["required"] = [*schema.get("required", ()), "kind"]


REQUEST: Final = ConfigDict(**STRICT, json_schema_extra=_name_kind)


class JobRequest(Protocol):
    """The common part of every kind's request."""

    @property
    def kind(self) -> str:
        """The kind of job."""

    @property
    def project(self) -> str:
        """Project id."""

    @property
    def name(self) -> str:
        """The job's name."""

    @property
    def purpose(self) -> str:
        """What the data is used for, as granted."""

    @property
    def datasets(self) -> tuple[str, ...]:
        """Dataset ids, one of each contributing organisation."""

    @property
    def not_before(self) -> int | None:
        """Unix seconds before which it does not start."""

    @property
    def priority(self) -> int:
        """Which of the waiting jobs goes first."""


@dataclass(frozen=True)
class RequestBase:
    """The fields that every kind's request begins with; its class ends with the `kind`.

    `datasets` are dataset ids, one of each contributing organisation. `not_before` becomes a part
    of the spec that owners approve; `priority` is the centre's own.
    """

    __pydantic_config__ = REQUEST
    project: Annotated[Reference, Field(examples=["prj_01jf2k"])]
    name: Annotated[Title, Field(examples=["income model"])]
    purpose: Annotated[Title, Field(examples=["credit-scoring"])]
    datasets: Annotated[
        tuple[Reference, ...],
        Field(
            max_length=256,
            description="One dataset of each contributor",
            examples=[["dst_01jf2k"]],
        ),
    ]
    not_before: Annotated[
        NotBefore, Field(description="Unix seconds before which it does not start; owners see it")
    ] = field(default=None, kw_only=True)
    priority: Annotated[
        Priority, Field(description="Which of the waiting jobs goes first: the highest, of 0 to 9")
    ] = field(default=USUAL, kw_only=True)


_SHARED: Final = frozenset({"kind", *(one.name for one in fields(RequestBase))})


def parts_of(request: JobRequest) -> Mapping[str, Any]:
    """Return the kind-specific part of a request as JSON, without what it leaves open."""
    values = dump(request).items()
    return {name: part for name, part in values if name not in _SHARED and part is not None}
