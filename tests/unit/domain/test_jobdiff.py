"""What two jobs differ in."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.domain.jobdiff import Difference, differences
from secureflow.texts import told


def plain(first: dict[str, Any], second: dict[str, Any]) -> list[tuple[str, str, Any, Any]]:
    return [(one.field, one.change, one.before, one.after) for one in differences(first, second)]


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, [("a", "changed", 1, True)]),
        ({"plan": {"rounds": 2, "seed": 1}}, {"plan": {"rounds": 3}},
         [("plan.rounds", "changed", 2, 3), ("plan.seed", "removed", 1, None)]),
        ({}, {"privacy": {"epsilon": 1.0}}, [("privacy", "added", None, {"epsilon": 1.0})]),
        ({"c": ["x", "y"]}, {"c": ["y", "x"]}, [("c", "changed", ["x", "y"], ["y", "x"])]),
        ({"q": [{"name": "a", "m": 1}, {"name": "b", "m": 1}]},
         {"q": [{"name": "n", "m": 5}, {"name": "a", "m": 1}, {"name": "b", "m": 2}]},
         [("q.b.m", "changed", 1, 2), ("q.n", "added", None, {"name": "n", "m": 5})]),
        ({"q": [{"id": "a"}, {"id": "b"}]}, {"q": [{"id": "b"}, {"id": "a"}]},
         [("q", "changed", ["a", "b"], ["b", "a"])]),
        ({"s": [{"step": "clip", "low": 1}]}, {"s": [{"step": "clip", "low": 2}]},
         [("s.0.low", "changed", 1, 2)]),
        ({"q": [{"name": "a"}, {"name": "a"}]}, {"q": [{"name": "a"}]},
         [("q.1", "removed", {"name": "a"}, None)]),
        ({"c": [[1, True]]}, {"c": [[1, 1]]}, [("c", "changed", [[1, True]], [[1, 1]])]),
    ],
)  # fmt: skip
def test_every_field_that_differs_is_told_once(
    first: dict[str, Any], second: dict[str, Any], found: list[Any]
) -> None:
    assert plain(first, second) == found


def test_a_difference_in_words() -> None:
    one = Difference("plan.rounds", "changed", 20, [40, True])
    assert one.sentence == "plan.rounds was 20, and is 40, true"
    assert told(one.sentence, "zh") == "plan.rounds 原为 20，现为 40, true"
    assert Difference("a", "added", None, None).sentence == "a is new: null"
    long = Difference("a", "removed", "x" * 300).sentence
    assert long.startswith("a is gone: it was xxx")
    assert len(long) < 230
