"""The domain's part of a kind of job: the classes of spec and request, and the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from secureflow.domain.specs.base import JobSpec, contradiction, parse
from secureflow.domain.specs.request import JobRequest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

FIRST = "training"
"""The kind of specs without one, as in the first version."""

Fact = Literal["text", "texts", "number", "decimal"]
"""Types of policy attributes: a text, a set of texts, a whole number, one with a fraction."""


@dataclass(frozen=True)
class SpecKind:
    """The domain's part of a kind of job.

    Args:
        name: the `kind` in its specs.
        spec: the class of its spec.
        request: the class of its requests; its `kind` has the name as its default.
        check: refuses contradictions between fields (`contradictory_spec`).
        facts: the attributes of `JobSpec.facts`: name → form.
        peers: whether its parties open channels to each other.
    """

    name: str
    spec: type[JobSpec]
    request: type[JobRequest]
    check: Callable[[Any], None]
    facts: Mapping[str, Fact]
    peers: bool = False


class SpecKinds(Mapping[str, SpecKind]):
    """A table of kinds: one parser and one check for all of them.

    Raises:
        ValueError: two kinds have the same name.
    """

    def __init__(self, *kinds: SpecKind) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        if len(self._kinds) < len(kinds):
            names = [kind.name for kind in kinds]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"two kinds have the name {twice!r}")

    def __getitem__(self, name: str) -> SpecKind:
        """Return a kind by its name."""
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._kinds)

    def __len__(self) -> int:
        """Return how many kinds there are."""
        return len(self._kinds)

    def __hash__(self) -> int:
        """Return a hash that is the same for equal tables."""
        return hash(tuple(self._kinds))

    def parse(self, value: Any, *, stored: bool = False) -> JobSpec:
        """Build a spec from foreign (or `stored`) JSON; `kind` selects the class.

        Raises:
            SecureFlowError: `invalid_spec`.
        """
        name = value.get("kind", FIRST) if isinstance(value, dict) else FIRST
        kind = self._kinds.get(name) if isinstance(name, str) else None
        if kind is None:
            raise SecureFlowError(
                "invalid_spec",
                Text(
                    "The spec is not valid: kind: {name!r} is not a kind of job.",
                    name=str(name)[:40],
                ),
                Text("The kinds are: {kinds}.", kinds=", ".join(self._kinds)),
                {"fields": [{"field": "kind", "problem": "unknown"}]},
            )
        return parse(kind.spec, value, stored=stored)

    def check(self, spec: JobSpec) -> None:
        """Refuse contradictions between fields.

        Raises:
            SecureFlowError: `contradictory_spec` naming the field and the reason.
        """
        if spec.rows is not None and (spec.part_of is None or spec.part_of.step is None):
            reason = "the rows that match in an intersection are there for steps of its pipeline"
            raise contradiction("rows", reason, "Submit both as steps of one pipeline.")
        self._kinds[spec.kind].check(spec)
