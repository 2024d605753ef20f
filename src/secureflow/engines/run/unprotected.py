"""No protection (`none`), for kinds of job whose parties contribute nothing that could be read.

What they compute, if anything, stays with each of them (`kept`), or goes to one of them sealed to
its key (`handing`).
"""

from __future__ import annotations

from typing import Any, Final

from secureflow.engines.run.messages import Released
from secureflow.engines.run.protection import Plans
from secureflow.engines.run.rounds import Step
from secureflow.engines.run.run import Course
from secureflow.engines.script import Script


class Unprotected:
    """`protection.Protection`."""

    name: Final = "none"
    adder: Final = ""
    hides: Final = "nothing is contributed"
    wire: Final = "TLS 1.3"
    verbs: Final = frozenset({"keep", "receive", "seal", "hand_over", "collect"})

    def enclave_sees(self, *, noised: bool) -> tuple[str, str]:
        """Return nothing: there is no enclave."""
        raise AssertionError(noised)

    def begin(self, course: Course[Any], plans: Plans) -> Script[None]:
        """Do nothing: there are no keys, and nobody to admit."""
        del course, plans
        yield from ()

    def run_round(self, course: Course[Any], step: Step, initial: str) -> Script[Released]:
        """Refuse: nothing may be summed."""
        raise AssertionError(course.context.job, step, initial)
