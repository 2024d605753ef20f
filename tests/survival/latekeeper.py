"""`python -m tests.survival.latekeeper agent start --config FILE`: a keeper ahead of time.

The real process. Anchors that it keeps are taken as many seconds later as a file `later` beside its
settings says, so that a test need not wait for the end of a window.
"""

from __future__ import annotations

import sys
from pathlib import Path

from secureflow.agent.keeper.anchors import Anchors

LATER = "later"


def main() -> None:
    """Be the process."""
    from secureflow.cli.main import main as command

    path, now = Path(sys.argv[-1]).parent / LATER, Anchors._now

    def later(self: Anchors) -> int:
        ahead = int(path.read_text()) if path.exists() else 0
        return max(now(self), self._clock() + ahead)

    Anchors._now = later  # type: ignore[method-assign]
    command()


if __name__ == "__main__":
    main()
