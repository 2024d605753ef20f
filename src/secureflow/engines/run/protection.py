"""How what parties contribute is protected: one object each, which begins jobs and runs rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from secureflow.engines.run.messages import Released
from secureflow.engines.run.rounds import Step
from secureflow.engines.run.run import Course
from secureflow.engines.script import Script

if TYPE_CHECKING:
    from secureflow.engines.secagg import MaskingPlan

Plans = Callable[[], Mapping[str, "MaskingPlan"]]
"""Makes the plans of a job's masked sessions, by stage."""


class Protection(Protocol):
    """One way to protect contributions. A course's spec is always one that names it."""

    @property
    def name(self) -> str:
        """What a spec says in `protection`."""

    @property
    def adder(self) -> str:
        """Who adds contributions up: the enclave, the aggregator, nobody (empty)."""

    @property
    def hides(self) -> str:
        """Why the operator reads no single contribution, in an explanation's words."""

    @property
    def wire(self) -> str:
        """Why nobody on the network reads one."""

    @property
    def verbs(self) -> frozenset[str]:
        """What a party answers under it, beside what it answers under all."""

    def enclave_sees(self, *, noised: bool) -> tuple[str, str]:
        """Return what the enclave sees, and why; of a protection with one.

        Args:
            noised: whether each party noises its own contribution.
        """

    def begin(self, course: Course[Any], plans: Plans) -> Script[None]:
        """Bring an approved job to where its first round may run.

        Args:
            course: the job, approved.
            plans: makes those of its masked sessions; asked where there are some.

        Raises:
            SecureFlowError: those of admission; `too_few_answers`.
        """

    def run_round(self, course: Course[Any], step: Step, initial: str) -> Script[Released]:
        """Run one round to its release.

        Args:
            course: the running job.
            step: which round.
            initial: hex digest of what the job starts from, for rounds before any release.
        """
