"""A kind of job in the engines: its scripts, its rounds, its masked sums, its cost.

NumPy is loaded with the first job that needs it: a record's methods import what they use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from secureflow.domain.specs.kind import SpecKind, SpecKinds
from secureflow.domain.specs.protections import traits_of
from secureflow.engines.run.stages import MAX_STAGES, STAGE_NAME
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:
    from secureflow.domain.specs.base import JobSpec
    from secureflow.engines.privacy.accounting import Charge
    from secureflow.engines.run.run import JobContext
    from secureflow.engines.secagg import MaskingPlan

Rows = Sequence[Mapping[str, JSON]]


class EngineKind(Protocol):
    """One kind of job. A `spec` argument is always a checked spec of this kind."""

    @property
    def spec(self) -> SpecKind:
        """The kind's record in the domain."""

    @property
    def scripts(self) -> frozenset[str]:
        """The versions of the kind's script by which jobs run."""

    @property
    def retired(self) -> frozenset[str]:
        """Older versions: their jobs are read and explained; an unfinished one is ended."""

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages of a job in order; no other kind uses their names."""

    @property
    def contributing(self) -> str:
        """The stage that counts as a party's contribution; empty for none.

        Where there is a model, this stage alone updates it.
        """

    def script(self, version: str, context: JobContext[Any]) -> Script[dict[str, JSON]]:
        """Return a fresh script; the version is one of `scripts`."""

    def rounds_of(self, spec: Any, stage: str) -> range:
        """Return the numbers of the planned rounds of a stage."""

    def masked_stages(self, spec: Any) -> tuple[str, ...]:
        """Return the stages that open masked sums, in order."""

    def masked_plan(self, spec: Any, job: str, spec_digest: str, stage: str) -> MaskingPlan:
        """Return the plan of a stage's masked sums; the stage is one of `masked_stages`.

        Raises:
            SecureFlowError: `invalid_encoding`, `invalid_roster`, `ring_overflow`.
        """

    def session_round(self, stage: str, number: int) -> int:
        """Return a round's number within its stage's masked session, from 0."""

    def charge(self, spec: Any, read: Mapping[str, int] | None = None) -> Charge:
        """Return the cost of the rounds that read rows (default: the whole plan); () without DP.

        Args:
            spec: the job's spec.
            read: stage → how many of its rounds read rows; other stages read none.
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
    """A table of kinds by their names.

    A stage, and each version of a script, belongs to one kind alone: records and requests name them
    without the kind.

    Raises:
        ValueError: the kinds conflict; the message names what they share, and the kind.
    """

    def __init__(self, *kinds: EngineKind) -> None:
        self._kinds = {kind.spec.name: kind for kind in kinds}
        self.specs = SpecKinds(*(kind.spec for kind in kinds))
        self._places = _places(kinds)
        _check_scripts(kinds)

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

    def sent_vector(self, spec: JobSpec, spec_digest: str) -> int:
        """Return the bytes of the longest vector that a party sends to the centre; 0 for none.

        Raises:
            SecureFlowError: those of `EngineKind.masked_plan`.
        """
        traits, kind = traits_of(spec), self.of(spec)
        if not traits.masks or traits.enclave:
            return 0
        plans = (kind.masked_plan(spec, "", spec_digest, one) for one in kind.masked_stages(spec))
        return max((plan.vector_bytes for plan in plans), default=0)

    def place(self, stage: str) -> int:
        """Return a stage's position among those of its kind."""
        return self._places[stage]


def _check_scripts(kinds: Iterable[EngineKind]) -> None:
    owners: dict[str, str] = {}
    for kind in kinds:
        name = kind.spec.name
        for script in (*sorted(kind.scripts), *sorted(kind.retired)):
            if script in owners:
                raise ValueError(
                    f"script {script!r} is of two kinds: {owners[script]!r} and {name!r}"
                    if owners[script] != name
                    else f"script {script!r} of kind {name!r} both runs and is retired"
                )
            owners[script] = name


def _places(kinds: Iterable[EngineKind]) -> dict[str, int]:
    owners: dict[str, str] = {}
    for kind in kinds:
        name = kind.spec.name
        if len(kind.stages) > MAX_STAGES:
            raise ValueError(f"kind {name!r} has more than {MAX_STAGES} stages")
        if kind.contributing and kind.contributing not in kind.stages:
            raise ValueError(f"{kind.contributing!r} is no stage of kind {name!r}")
        for stage in kind.stages:
            if not re.fullmatch(STAGE_NAME, stage):
                raise ValueError(f"kind {name!r} has a stage {stage!r}; names match {STAGE_NAME}")
            if stage in owners:
                raise ValueError(f"stage {stage!r} is of two kinds: {owners[stage]!r} and {name!r}")
            owners[stage] = name
    return {stage: kind.stages.index(stage) for kind in kinds for stage in kind.stages}
