"""A policy that does not look at it allows no figures of this party alone."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.adapters.policy.cedar import CedarPolicies
from secureflow.agent.owner.decisions import Decisions
from secureflow.domain.policies import Policy
from secureflow.domain.specs.bundles import bundle_facts

REQUEST: dict[str, Any] = {
    "kind": "evaluation", "submitter": "ana", "dataset": "customers", "project": "prj_1",
    "purpose": "research", "columns": ("x",), "sensitive": (), "parties": ("a", "b", "c"),
    "group_size": 3, "min_contributors": 3, "protection": "secagg", "models": ("ab" * 32,),
    "families": ("mlp",), "per_party": 1, "contributions": 1, "epsilon": None,
    **bundle_facts(None, "ana", {}, "", 0.0),
}  # fmt: skip
DATA = 'permit (principal, action, resource) when { context.purpose == "research" };'
KIND = 'permit (principal, action == Action::"evaluation", resource);'
OWN = """permit (principal, action == Action::"evaluation", resource)
when { context.per_party == 1 };"""
NEVER = """forbid (principal, action == Action::"evaluation", resource)
when { context.per_party == 1 };"""


@pytest.mark.parametrize(
    ("text", "together", "apart"),
    [
        (DATA, "allow", "ask"),
        (KIND, "allow", "ask"),
        (KIND + OWN, "allow", "allow"),
        (OWN, "ask", "allow"),
        (KIND + NEVER, "allow", "refuse"),
    ],
)
def test_a_policy_decides_about_own_figures_only_if_it_looks_at_them(
    text: str, together: str, apart: str
) -> None:
    consent = Decisions(CedarPolicies([Policy("test.cedar", text, "")]))
    assert consent.decision({**REQUEST, "per_party": 0}).effect == together
    assert consent.decision(REQUEST).effect == apart
