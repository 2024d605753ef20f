"""A report says what took the place of the plain mean, and nothing where nothing did."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.reports.page import render
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.compression import Compression
from secureflow.engines.training.sections import sections
from tests.unit.domain.test_plan_rules import SPEC, planned
from tests.unit.engines.training.masked_world import MaskedWorld
from tests.unit.engines.training.test_contributions import drive


@pytest.mark.parametrize(
    ("plan", "label", "value"),
    [
        ({"strategy": "fedprox"}, "strategy", ["fedprox", "mu: 0.01"]),
        ({"aggregation": {"rule": "median"}}, "robust rule", ["median"]),
        ({"parties_per_round": 3}, "parties in each round", 3),
    ],
)
def test_a_plan_that_is_not_the_plain_mean_is_told(
    plan: dict[str, Any], label: str, value: Any
) -> None:
    (section,) = sections(planned(**plan), [1.0])
    assert section["rows"] == [{"label": label, "value": value}]


def test_compression_is_told_and_the_plain_mean_is_not() -> None:
    top = parse(Compression, {"method": "top_k", "share": 0.05}, "compression")
    (section,) = sections(replace(SPEC, compression=top), [1.0])
    assert section["rows"] == [
        {"label": "compression of updates", "value": ["top_k", "share: 0.05"]}
    ]
    assert sections(SPEC, [1.0]) == []


def test_the_page_says_it_in_both_languages() -> None:
    told = sections(planned(strategy="fedavgm"), [1.0])
    page = render(drive(MaskedWorld(count=4, rounds=2), []) | {"sections": told})
    assert "训练策略" in page
    assert "How it was trained" in page
    assert "momentum: 0.9" in page
