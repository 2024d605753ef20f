"""Computing with each other (`peers`): for kinds whose parties run a protocol among themselves.

Its bytes go from agent to agent (`engines.peers`); the centre relays them and cannot read them.
What the protocol lets out is the kind's to say.
"""

from __future__ import annotations

from typing import Any, Final

from secureflow.engines.run.messages import Released
from secureflow.engines.run.protection import Plans
from secureflow.engines.run.rounds import Step
from secureflow.engines.run.run import Course
from secureflow.engines.script import Script


class Peers:
    """`protection.Protection`."""

    name: Final = "peers"
    adder: Final = ""
    hides: Final = "what parties send each other is encrypted for the other's agent"
    wire: Final = "TLS 1.3 from agent to agent, pinned to keys that the organisations sign"
    verbs: Final = frozenset({"peer_offer", "peer_run"})

    def enclave_sees(self, *, noised: bool) -> tuple[str, str]:
        """Return nothing: there is no enclave."""
        raise AssertionError(noised)

    def begin(self, course: Course[Any], plans: Plans) -> Script[None]:
        """Do nothing: keys are made for each attempt, and there is nobody to admit."""
        del course, plans
        yield from ()

    def run_round(self, course: Course[Any], step: Step, initial: str) -> Script[Released]:
        """Refuse: nothing is summed."""
        raise AssertionError(course.context.job, step, initial)
