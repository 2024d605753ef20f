"""`python -m tests.survival.intersecting agent start --config FILE`: an agent that dies midway.

It has the engine of `plain_psi`. Its points are the phases of an attempt, in their order:

    offer      the keys are listed, and the entry is not committed yet
    entered    it is, and not sent
    admitted   the channels are open; the peers' lists are reserved, and not counted yet
    begun      they are; no engine has started
    compute    the engines have each other's lists
    ended      this party's engine has
    telling    the receiver of three knows what all have, and has told nobody
    filed      the result's file is in its place, and nothing commits to it
    done       before the commit of what came of it
    committed  after it, and not sent
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.survival.entry import DIRECTORY, supervise
from tests.survival.points import Points


def mortal(points: Points) -> Callable[[Path], int]:
    """Kill at the phases of an attempt."""
    from secureflow.agent.kinds import psi
    from secureflow.agent.kinds.psi_handover import Handover
    from secureflow.agent.owner.probing import Probing
    from secureflow.agent.verbs.peers import PeerAttempts
    from tests.peers import plain_psi

    def around(owner: Any, name: str, before: str, after: str) -> None:
        inner = getattr(owner, name)

        def outer(*given: Any, **named: Any) -> Any:
            if before:
                points.reach(before)
            found = inner(*given, **named)
            if after:
                points.reach(after)
            return found

        setattr(owner, name, outer)

    around(PeerAttempts, "_commit_entry", "offer", "entered")
    around(Probing, "begin", "admitted", "begun")
    around(Handover, "_taken", "telling", "")
    around(psi, "keep_file", "", "filed")
    around(PeerAttempts, "_commit_run", "done", "committed")
    plain_psi.reached = points.reach
    return plain_psi.run


def main(arguments: list[str]) -> int:
    """Run what `secureflow agent start --config FILE` runs."""
    path = Path(arguments[3])
    points = Points(Path(os.environ[DIRECTORY]), path.parent.name)
    return supervise(mortal(points), path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
