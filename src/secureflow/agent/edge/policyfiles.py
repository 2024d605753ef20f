"""Example requests in a file: what the policies of `agent.yaml` decide about them.

No agent runs for it: the settings and policy files are read as an agent would at its next start.
"""

from __future__ import annotations

from pathlib import Path

from secureflow.adapters.policy import CedarPolicies, completed
from secureflow.agent.owner.decisions import Decisions
from secureflow.agent.settings import AgentSettings
from secureflow.domain.policies import PolicyTest, PolicyTests
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.kind import SpecKinds
from secureflow.kit.canonical import JSON
from secureflow.kit.inputfiles import read_mapping


def examined(config: Path, file: Path, kinds: SpecKinds) -> list[dict[str, JSON]]:
    """Return for each example of a file its `name`, what was `expected`, the `effect`, and `ok`.

    Raises:
        SecureFlowError: `invalid_file`, `policy_…`, `invalid_settings`.
    """
    decisions = _decisions(config, kinds)
    examples = parse(PolicyTests, read_mapping(file), "file").tests
    return [result_of_example(decisions, one, kinds) for one in examples]


def explained(config: Path, file: Path, kinds: SpecKinds) -> list[dict[str, JSON]]:
    """Return for each example of a file what decides, and what nearly did.

    Raises:
        SecureFlowError: as `examined`.
    """
    decisions = _decisions(config, kinds)
    examples = parse(PolicyTests, read_mapping(file), "file").tests
    return [
        {"name": one.name, **decisions.explained(completed(one.request, kinds))} for one in examples
    ]


def result_of_example(
    decisions: Decisions, example: PolicyTest, kinds: SpecKinds
) -> dict[str, JSON]:
    """Return an example's `name`, what was `expected`, the `effect`, `by` what, and `ok`."""
    found = decisions.decision(completed(example.request, kinds))
    effect = "two_people" if found.effect == "ask" and found.two_people else found.effect
    named = not example.by or any(example.by in reason for reason in found.reasons)
    return {
        "name": example.name,
        "expected": example.expect,
        "effect": effect,
        "by": list(found.reasons),
        "ok": effect == example.expect and named,
    }


def _decisions(config: Path, kinds: SpecKinds) -> Decisions:
    settings = AgentSettings.load(config)
    policies = CedarPolicies.load(settings.consent.policies, kinds)
    return Decisions(policies, lambda: settings.consent.two_people)
