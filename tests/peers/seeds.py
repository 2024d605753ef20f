"""Seeds of fuzz tests: many in one test, and the one that failed named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def named_seed(seed: int) -> Iterator[None]:
    """Name the seed in what fails."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise
