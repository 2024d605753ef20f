"""How contributions are protected: one object per protection, which begins jobs and runs rounds."""

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
    """One way to protect contributions. A course's spec always names this protection."""

    @property
    def name(self) -> str:
        """The value of `protection` in a spec."""

    @property
    def adder(self) -> str:
        """Who adds up the contributions: the enclave, the aggregator, or nobody (empty)."""

    @property
    def hides(self) -> str:
        """Why the operator cannot read a single contribution; shown in the explanation."""

    @property
    def wire(self) -> str:
        """Why nobody on the network can read a contribution."""

    @property
    def verbs(self) -> frozenset[str]:
        """The verbs that a party answers under it, in addition to those of every protection."""

    def enclave_sees(self, *, noised: bool) -> tuple[str, str]:
        """Return what the enclave sees, and why; for a protection with an enclave.

        Args:
            noised: whether each party noises its own contribution.
        """

    def begin(self, course: Course[Any], plans: Plans) -> Script[None]:
        """Bring an approved job to the point where its first round can run.

        Args:
            course: the job, approved.
            plans: makes the plans of its masked sessions; called only if there are any.

        Raises:
            SecureFlowError: those of admission; `too_few_answers`.
        """

    def run_round(self, course: Course[Any], step: Step, initial: str) -> Script[Released]:
        """Run one round to its release.

        Args:
            course: the running job.
            step: the round.
            initial: hex digest of what the job starts from, for rounds before any release.
        """
