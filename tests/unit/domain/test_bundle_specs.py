"""The part of a spec that names code, and what policies can decide on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.adapters.policy.cedar import CedarPolicies
from secureflow.domain.policies import Policy
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.bundles import BUNDLE_FACTS, CODE_FACTS, BundleRef, bundle_facts
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError

GOOD = {"digest": "ab" * 32, "entry": "package.model:Model", "environment": "cd" * 32}


def test_it_is_read_and_written() -> None:
    ref = parse(BundleRef, GOOD)
    assert dump(ref) == GOOD
    assert ref.module == "package.model"


@pytest.mark.parametrize(
    "wrong",
    [
        {"digest": "AB" * 32},
        {"digest": "ab" * 31},
        {"digest": "ab" * 32 + "\n"},
        {"entry": "model"},
        {"entry": "model:"},
        {"entry": "model:Model()"},
        {"entry": "../model:Model"},
        {"entry": ".model:Model"},
        {"entry": "m\u043edel:Model"},
        {"entry": "a." * 9 + "b:C"},
        {"entry": "model:Model\n"},
        {"environment": ""},
        {"extra": 1},
    ],
)
def test_anything_else_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError):
        parse(BundleRef, {**GOOD, **wrong})


def test_the_facts_of_a_bundle() -> None:
    ref = parse(BundleRef, GOOD)
    given = {"starts_from": "ef" * 32, "clip_norm": 2.5, "submitter": "ana"}
    assert bundle_facts(ref, "ana", {"rate": 0.5}, "ef" * 32, 2.5) == {
        **{"bundle_digest": ref.digest, "bundle_entry": ref.entry},
        **{"environment": ref.environment, "settings_digest": digest({"rate": 0.5}), **given},
    }
    without = {**dict.fromkeys(CODE_FACTS, ""), "settings_digest": ""}
    assert bundle_facts(None, "ana", {}, "ef" * 32, 2.5) == {**without, **given}


def test_a_policy_decides_on_them() -> None:
    training = SPEC_KINDS["training"]
    kinds = SpecKinds(replace(training, facts={**training.facts, **BUNDLE_FACTS}))
    text = f"""
    @id("known code")
    permit (principal, action == Action::"training", resource)
    when {{ context.bundle_digest == "{GOOD["digest"]}" && context.submitter == "ana"
            && context.environment == "{GOOD["environment"]}"
            && context.bundle_entry like "package.*"
            && context.settings_digest == "{digest({"rate": 0.5})}"
            && context.starts_from == ""
            && context.clip_norm.lessThanOrEqual(decimal("2.5")) }};
    """
    policies = CedarPolicies([Policy("p.cedar", text, "0")], kinds)
    shared: dict[str, Any] = {
        "kind": "training", "dataset": "d", "project": "p", "purpose": "x", "protection": "secagg",
        "columns": [], "sensitive": [], "parties": [], "group_size": 3, "min_contributors": 3,
    }  # fmt: skip
    forms = {"text": "", "texts": [], "number": 0, "decimal": 0.0}
    own = {name: forms[form] for name, form in training.facts.items()}
    ref = parse(BundleRef, GOOD)

    def decided(
        ref: BundleRef | None, submitter: str, rate: float = 0.5, start: str = "", norm: float = 2.5
    ) -> str:
        facts = bundle_facts(ref, submitter, {"rate": rate}, start, norm)
        return policies.decide({**shared, **own, **facts}).effect

    assert decided(ref, "ana") == "allow"
    assert decided(ref, "bob") == "ask"
    assert decided(replace(ref, digest="00" * 32), "ana") == "ask"
    assert decided(replace(ref, environment="00" * 32), "ana") == "ask"
    assert decided(None, "ana") == "ask"
    assert decided(ref, "ana", rate=0.6) == "ask"
    assert decided(ref, "ana", start="ef" * 32) == "ask"
    assert decided(ref, "ana", norm=2.5001) == "ask"
    assert decided(ref, "ana", norm=2.50000001) == "ask"  # rounded up
