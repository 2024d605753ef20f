"""The ports of each kind of job: what a step of a pipeline takes from other steps, and gives them.

A port has a type; an edge leads from an output to an input of the same type. What flows over it
stays where it is: a *model* and a *recipe* are artefacts that a job's owners know by their digests,
a *table* is a file at each agent, *matched rows* are what each agent keeps of an intersection, and
*metrics* are signed by every party, and decide which steps run (`WHEN`). `PORTS` is the one table
of them: the rules of pipelines, their drafts and whoever draws them read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

PortType = Literal["model", "recipe", "metrics", "table", "matched_rows"]
"""What flows over an edge."""


@dataclass(frozen=True)
class Port:
    """An input or an output of a step.

    Args:
        name: among the ports of its side; of an input, what an edge names (`input`).
        type: what flows.
        field: of an input, the member of the kind's request that it stands for; "" for an output.
        many: of an input, whether several edges may lead to it, in order.
        needed: of an input, whether a step has something there, from an edge or by itself.
        goes_on: of an output, whether another step can take it; otherwise it is for people.
    """

    name: str
    type: PortType
    field: str = ""
    many: bool = False
    needed: bool = False
    goes_on: bool = False


@dataclass(frozen=True)
class Ports:
    """The ports of a kind of job."""

    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()

    def input(self, name: str) -> Port | None:
        """Return an input by its name; None if there is none."""
        return next((one for one in self.inputs if one.name == name), None)

    def output(self, name: str) -> Port | None:
        """Return an output by its name; None if there is none."""
        return next((one for one in self.outputs if one.name == name), None)


_MATCHED: Final = Port("matched", "matched_rows", field="rows")
"""Where rows of an intersection come in: of each owner these alone are read."""

WHEN: Final = Port("when", "metrics", field="when")
"""Where figures come in by which any step runs or not (`conditions`); it is no input of its job."""

PORTS: Final[Mapping[str, Ports]] = {
    "training": Ports(
        inputs=(
            Port("recipe", "recipe", field="features.recipe"),
            Port("start", "model", field="resume"),
            _MATCHED,
        ),
        outputs=(
            Port("model", "model", goes_on=True),
            Port("metrics", "metrics"),
        ),
    ),
    "statistics": Ports(inputs=(_MATCHED,), outputs=(Port("answers", "metrics"),)),
    "preparation": Ports(inputs=(_MATCHED,), outputs=(Port("recipe", "recipe", goes_on=True),)),
    "evaluation": Ports(
        inputs=(Port("models", "model", field="models", many=True, needed=True), _MATCHED),
        outputs=(Port("metrics", "metrics", goes_on=True),),
    ),
    "prediction": Ports(
        inputs=(Port("model", "model", field="model", needed=True),),
        outputs=(Port("predictions", "table"),),
    ),
    "psi": Ports(outputs=(Port("matches", "table"), Port("matched", "matched_rows", goes_on=True))),
    "mpc": Ports(inputs=(_MATCHED,), outputs=(Port("result", "table"),)),
}
"""Kind of job → its ports; a kind that is not here cannot be a step."""


def connects(giver: str, output: str, taker: str, name: str) -> bool:
    """Tell whether an edge may lead from an output of one kind to an input of another.

    Args:
        giver: the kind of the step that gives.
        output: the name of its output.
        taker: the kind of the step that takes.
        name: of its input.
    """
    given = PORTS[giver].output(output) if giver in PORTS else None
    taken = PORTS[taker].input(name) if taker in PORTS else None
    if given is None or taken is None:
        return False
    return given.goes_on and given.type == taken.type
