"""What the specs of all kinds have in common: names, the roster, limits, their JSON and its parser.

A spec is plain JSON with a strict schema; its digest (SHA-256 over JCS) is what approvals, seals,
votes and ledger leaves bind. Everything that decides a result stands in it. Unknown keys are
refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from secureflow.domain.texts import ONE_LINE, STORED
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError

STRICT = ConfigDict(extra="forbid", strict=False, allow_inf_nan=False)

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Column = Annotated[str, Field(min_length=1, max_length=128), ONE_LINE]
Category = Annotated[str, Field(max_length=256), ONE_LINE]
Title = Annotated[str, Field(min_length=1, max_length=200), ONE_LINE]
UserId = Annotated[str, Field(max_length=128), ONE_LINE]
Id = Annotated[str, Field(pattern=r"^[a-z]{2,4}_[0-9a-z]{8,40}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Key = Annotated[str, Field(min_length=44, max_length=44), ONE_LINE]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]

Protection = Literal["sealed", "secagg", "sealed+secagg"]
Problem = tuple[str, str, str]
"""What contradicts itself in a spec: field, reason, hint."""

_T = TypeVar("_T")

_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


@dataclass(frozen=True)
class Contributor:
    """One roster line: the organisation, its signing key, and the dataset that it brings."""

    __pydantic_config__ = STRICT
    party: Slug
    key: Key
    dataset: Annotated[str, Field(max_length=64), ONE_LINE] = ""


@dataclass(frozen=True)
class Limits:
    """What one update may weigh: caps that the enclave enforces before it folds."""

    __pydantic_config__ = STRICT
    max_weight: Annotated[int, Field(ge=1, le=1 << 31)] = 1_000_000
    clip_norm: Annotated[float, Field(gt=0.0, le=1e6)] = 1000.0
    patience_seconds: Annotated[float, Field(gt=0.0, le=86_400.0)] = 60.0


@dataclass(frozen=True)
class Quantisation:
    """How values become ring elements where updates are masked (`secagg`, `sealed+secagg`).

    Every coordinate of an update is clamped to ±`clip`, which is 2^`bits` steps. Sums are exact in
    Z_2^32 where roster · 2^bits · limits.max_weight stays below 2^31, else in Z_2^64.
    """

    __pydantic_config__ = STRICT
    clip: Annotated[float, Field(ge=1e-6, le=1e6)] = 8.0
    bits: Annotated[int, Field(ge=8, le=40)] = 20


def adapter(of: type[Any]) -> TypeAdapter[Any]:
    """Return what builds a class from JSON, made once: that costs more than a small value does."""
    if of not in _ADAPTERS:
        _ADAPTERS[of] = TypeAdapter(of)
    return _ADAPTERS[of]


def parse(of: type[_T], value: Any, what: str = "spec", *, stored: bool = False) -> _T:
    """Build a domain dataclass from foreign JSON, naming the first wrong field.

    What was `stored` may hold texts that are refused today; it is read, and shown escaped.

    Raises:
        SecureFlowError: `invalid_<what>` with `details.fields` listing every wrong field.
    """
    try:
        context = STORED if stored else None
        return adapter(of).validate_python(value, context=context)  # type: ignore[no-any-return]
    except ValidationError as error:
        fields = [
            {"field": ".".join(map(str, e["loc"])) or what, "problem": e["msg"]}
            for e in error.errors(include_url=False, include_input=False)[:20]
        ]
        first = fields[0]
        raise SecureFlowError(
            f"invalid_{what}",
            f"The {what} is not valid: {first['field']}: {first['problem']}.",
            "Correct the named field; `details.fields` lists every one.",
            {"fields": fields},
        ) from error


def closes(script: str) -> bool:
    """Tell whether a script ends with what each author signed last; the first versions did not."""
    return not script.endswith("/1")


def dump(value: Any) -> dict[str, Any]:
    """Return the JSON form of a domain dataclass (tuples become lists, defaults written out)."""
    result: dict[str, Any] = adapter(type(value)).dump_python(value, mode="json")
    return result


def spec_digest(spec: Any) -> str:
    """Return the hex SHA-256 over the JCS form of a spec with every default written out."""
    return digest(dump(spec))
