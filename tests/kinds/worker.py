"""`python -m tests.kinds.worker`: the worker process of a platform that tallies too."""

from __future__ import annotations

from secureflow.agent.compute import worker
from tests.kinds.tables import WORKERS


def main() -> None:
    """Serve steps of every kind of the table."""
    worker.main(WORKERS)


if __name__ == "__main__":
    main()
