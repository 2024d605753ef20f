"""Seeded schedules of an outbox through all that goes wrong (`tests.peers.anchor_schedules`).

Fifty in `make test`; a thousand in `make soak` (`--seeds A:B` takes a part) and in
`python -m benchmarks.anchors`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.anchor_schedules import SAYS, play
from tests.seeded import portions, pytest_generate_tests

__all__ = ["pytest_generate_tests"]


def check(seeds: range, folder: Path) -> None:
    """Play each seed; tell of all in which something is lost, doubled, or told wrongly."""
    played = {seed: play(seed, folder) for seed in seeds}
    assert sum(one["entries"] for one in played.values())
    wrong = {seed: one for seed, one in played.items() if any(one[name] for name in SAYS)}
    assert not wrong, (
        f"python -m tests.peers.anchor_schedules --seeds {min(wrong)}:{min(wrong) + 1}"
    )


@portions(0, 50, 10)
def test_seeds(seeds: range, tmp_path: Path) -> None:
    check(seeds, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@portions(0, 1000, 50)
def test_many_seeds(seeds: range, tmp_path: Path) -> None:
    check(seeds, tmp_path)


def test_schedules_kill_the_sender(tmp_path: Path) -> None:
    assert play(0, tmp_path)["kills"] > 10
