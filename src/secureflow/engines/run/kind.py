"""What the engines know of a kind of job: its scripts, its rounds, its masked sums, what it costs.

NumPy loads with the first job that needs it: a record's methods import what they use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from secureflow.domain.specs.kind import SpecKind, SpecKinds
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:
    from secureflow.domain.specs.base import JobSpec
    from secureflow.engines.privacy.accounting import Charge
    from secureflow.engines.run.run import JobContext
    from secureflow.engines.secagg import MaskingPlan

Rows = Sequence[Mapping[str, JSON]]


class EngineKind(Protocol):
    """One kind of job. A `spec` argument is always one of this kind, checked."""

    @property
    def spec(self) -> SpecKind:
        """What the domain knows of it."""

    @property
    def scripts(self) -> frozenset[str]:
        """The versions of its script that jobs run by."""

    @property
    def retired(self) -> frozenset[str]:
        """Older versions: their jobs are read and explained; one that is unfinished is ended."""

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages of a job in their order."""

    @property
    def contributing(self) -> str:
        """The stage that counts as a party's contribution, and for which budgets are charged."""

    def script(self, version: str, context: JobContext[Any]) -> Script[dict[str, JSON]]:
        """Return a fresh script, of a version that is one of `scripts`."""

    def rounds_of(self, spec: Any, stage: str) -> range:
        """Return the numbers of the rounds that the plan has of a stage."""

    def masked_stages(self, spec: Any) -> tuple[str, ...]:
        """Return the stages that open masked sums, in their order."""

    def masked_plan(self, spec: Any, job: str, spec_digest: str, stage: str) -> MaskingPlan:
        """Return the plan of a stage's masked sums; the stage is one of `masked_stages`.

        Raises:
            SecureFlowError: `invalid_encoding`, `invalid_roster`, `ring_overflow`.
        """

    def session_round(self, stage: str, number: int) -> int:
        """Return a round's number within its stage's masked session, from 0."""

    def charge(self, spec: Any, made: int | None = None, *, evaluated: bool = False) -> Charge:
        """Return what so many rounds cost (default: the whole plan); () without DP.

        Args:
            spec: the job's.
            made: rounds of the contributing stage that read rows.
            evaluated: whether the evaluation came, where no such round did.
        """

    def disclosure(self, spec: Any, tee: str) -> Rows:
        """Return who sees what: rows of `who`, `sees`; `tee` is the verdict's title."""

    def explanation(
        self,
        spec: Any,
        *,
        tee: str,
        accounting: Mapping[str, JSON] | None,
        rounds: Rows,
        dropouts: Rows,
    ) -> dict[str, JSON]:
        """Return who could see what, what it cost, which attacks are stopped, who dropped out.

        Args:
            spec: the job's.
            tee: the verdict as the agents saw it; empty while there is none.
            accounting: the accountant's answer for the whole plan, under differential privacy.
            rounds: the journal's events of rounds that released something, in order.
            dropouts: the journal's events of who dropped out of which round, and why.
        """


class EngineKinds(Mapping[str, EngineKind]):
    """A table of kinds by their names."""

    def __init__(self, *kinds: EngineKind) -> None:
        self._kinds = {kind.spec.name: kind for kind in kinds}
        self.specs = SpecKinds(*(kind.spec for kind in kinds))

    def __getitem__(self, name: str) -> EngineKind:
        """Return a kind by its name."""
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._kinds)

    def __len__(self) -> int:
        """Return how many kinds there are."""
        return len(self._kinds)

    def of(self, spec: JobSpec) -> EngineKind:
        """Return a spec's kind."""
        return self._kinds[spec.kind]

    def place(self, stage: str) -> int:
        """Return where a stage stands among those of its kind."""
        return next(
            kind.stages.index(stage) for kind in self._kinds.values() if stage in kind.stages
        )
