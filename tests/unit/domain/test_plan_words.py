"""A rule or a method that there is none of is answered with those that there are."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.compression import METHODS, Compression, Int8, TopK
from secureflow.domain.specs.robust import Aggregation, Median
from secureflow.domain.specs.training import TrainingPlan
from secureflow.kit.errors import SecureFlowError


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"rule": "medain"}, "aggregation.rule: there is no rule 'medain': median may be"),
        ({"rule": "swarm"}, "there is no rule 'swarm'. The rules are median, trimmed_mean, krum"),
        ({"trim": 1}, "aggregation: it does not say which rule it is: rule: NAME"),
        ("median", "aggregation: it does not say which rule it is: rule: NAME"),
    ],
)
def test_a_rule_is_refused_in_words(given: Any, told: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        parse(TrainingPlan, {"aggregation": given}, "plan")
    assert told in str(caught.value)
    assert "_rule()" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"method": "topk"}, "there is no method 'topk'. The methods are int8, top_k"),
        ({"share": 0.1}, "it does not say which method it is: method: NAME"),
        ("int8", "it does not say which method it is: method: NAME"),
    ],
)
def test_a_method_is_refused_in_words(given: Any, told: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        parse(Compression, given, "compression")
    assert told in str(caught.value)


def test_what_there_is_is_taken() -> None:
    assert parse(TrainingPlan, {"aggregation": None}, "plan") == TrainingPlan()
    assert parse(Aggregation, {"rule": "median"}, "rule") == Median("median")
    made = [parse(Compression, {"method": one}, "compression") for one in METHODS]
    assert made == [Int8("int8"), TopK("top_k")]
