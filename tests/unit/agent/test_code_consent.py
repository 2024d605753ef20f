"""A policy that was written about data allows no code."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.adapters.policy.cedar import CedarPolicies
from secureflow.agent.owner.decisions import Decisions
from secureflow.domain.policies import Policy

DIGEST, ENVIRONMENT = "ab" * 32, "cd" * 32
REQUEST: dict[str, Any] = {
    "kind": "training", "submitter": "ana", "dataset": "customers", "project": "prj_1",
    "purpose": "research", "columns": ("x",), "sensitive": (), "parties": ("a", "b", "c"),
    "group_size": 3, "min_contributors": 3, "protection": "sealed", "family": "bundle",
    "rounds": 3, "release": "operator", "bundle_digest": DIGEST, "bundle_entry": "model:Model",
    "environment": ENVIRONMENT, "settings_digest": "ef" * 32, "starts_from": "12" * 32,
    "clip_norm": 2.0, "validation_rows": 0, "own_trees": 0, "self_report": "",
    "parties_per_round": 0, "small_leaves": 0, "epsilon": None,
}  # fmt: skip
DATA = 'permit (principal, action, resource) when { context.purpose == "research" };'
CODE = f"""permit (principal, action == Action::"training", resource)
when {{ context.bundle_digest == "{DIGEST}" }};"""
ANY = """permit (principal == User::"ana", action == Action::"training", resource)
when { context.bundle_digest != "" };"""
NEVER = """forbid (principal, action == Action::"training", resource)
when { context.bundle_digest != "" };"""


def effect(text: str, **changes: Any) -> str:
    policies = CedarPolicies([Policy("test.cedar", text, "")])
    return Decisions(policies).decision({**REQUEST, **changes}).effect


def test_a_policy_about_data_allows_no_code() -> None:
    nothing = {"bundle_digest": "", "bundle_entry": "", "environment": ""}
    assert effect(DATA, **nothing) == "allow"
    assert effect(DATA) == "ask"
    assert effect(DATA, family="mlp") == "ask"  # whatever the request calls itself


@pytest.mark.parametrize(
    ("text", "expected"),
    [(CODE, "allow"), (DATA + CODE, "allow"), (ANY, "allow"), (NEVER + DATA, "refuse")],
)
def test_a_policy_about_code_decides(text: str, expected: str) -> None:
    assert effect(text) == expected


@pytest.mark.parametrize(
    "given",
    [
        f'context.settings_digest == "{"ef" * 32}"',
        f'context.starts_from == "{"12" * 32}"',
        'context.clip_norm.lessThanOrEqual(decimal("2.0"))',
    ],
)
def test_what_the_code_is_given_is_no_decision_about_it(given: str) -> None:
    rule = f'permit (principal, action == Action::"training", resource) when {{ {given} }};'
    assert effect(rule) == "ask"
    both = rule.replace("when {", f'when {{ context.bundle_digest == "{DIGEST}" &&')
    assert effect(both) == "allow"
    other = {"settings_digest": "00" * 32, "starts_from": "00" * 32, "clip_norm": 2.1}
    assert effect(both, **other) == "ask"


def test_it_is_about_this_code() -> None:
    assert effect(CODE, bundle_digest="ff" * 32) == "ask"


def test_a_policy_about_data_allows_no_rounds_of_other_parties() -> None:
    """Their sums can be solved for single contributions (`domain.specs.roundparties`)."""
    nothing = {"bundle_digest": "", "bundle_entry": "", "environment": ""}
    looks = """permit (principal, action == Action::"training", resource)
when { context.purpose == "research" && context.parties_per_round <= 3 };"""
    assert effect(DATA, **nothing, parties_per_round=3) == "ask"
    assert effect(looks, **nothing, parties_per_round=3) == "ask"  # it looks at 0 alike
    exactly = looks.replace("<= 3", "== 3")
    assert effect(exactly, **nothing, parties_per_round=3) == "allow"
