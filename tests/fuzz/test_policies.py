"""Mutated Cedar policies, test files and requests at the agent.

Promised: a policy's text is refused with a typed error or becomes rules; a request gets a decision
or a typed error. It fails closed: beside a policy that cannot be evaluated nothing is allowed, and
one more `forbid`, whatever became of it, allows nothing that the others did not.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final

import cedarpy
import pytest

from secureflow.adapters.policy import CedarPolicies, completed
from secureflow.adapters.policy.cedar import _cedar_request
from secureflow.agent.edge.policyfiles import examined
from secureflow.agent.owner.decisions import Decisions
from secureflow.agent.settings import TwoPeopleRule
from secureflow.domain.errors import CATALOGUE
from secureflow.domain.policies import Decision, Policy
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.kit.errors import SecureFlowError
from tests.fuzz.mutations import (
    NUMBERS,
    changed_bytes,
    changed_text,
    changed_value,
    hostile_text,
    hostile_value,
)
from tests.fuzz.oracle import tell
from tests.seeded import portions

REPEAT = "python -m pytest tests/fuzz/test_policies.py -k test_seeds --seeds {}:{}"
SHIPPED: Final = sorted((Path(__file__).parents[2] / "configs" / "policies").glob("*.cedar"))
CONDITIONS: Final = (
    "context.rounds <= 20", 'context.purpose == "credit scoring"', "context.dp == true",
    "context has epsilon", 'context.columns.contains("age")', "context.sensitive.isEmpty()",
    "context.group_size >= 3", 'context.purpose like "credit*"', "principal == principal",
    'resource == Dataset::"customers"', 'context.protection == "secagg"',
    'context.parties.containsAll(["bank-b", "bank-c"])',
)  # fmt: skip
BREAKS: Final = (
    "context.rounds * 9223372036854775807 * 2 > 0",
    "context.group_size - 9223372036854775807 - 9 < 0",
    'decimal("1." ).lessThan(decimal("2.0"))',
    "context.rounds + 9223372036854775800 + 100 > context.group_size",
)
"""Conditions that cannot be evaluated, whatever is asked; or whose policy is no policy."""
ASKED: Final = {
    **{"kind": "training", "submitter": "usr_a", "dataset": "customers", "project": "prj_a"},
    **{"purpose": "credit scoring", "columns": ["age"], "parties": ["bank-a", "bank-b", "bank-c"]},
    **{"group_size": 3, "min_contributors": 3, "rounds": 20, "protection": "secagg"},
}
EFFECTS: Final = {"allow", "refuse", "ask"}
RULES: Final = (TwoPeopleRule(kinds=("psi",), epsilon_over=1.0),)


class Rules:
    """The shipped policies, alone and beside one more; and an agent's settings for its files."""

    def __init__(self, directory: Path) -> None:
        self.texts = [Policy(one.name, one.read_text(), "") for one in SHIPPED]
        self.whole = Policy("shipped", "\n".join(one.text for one in self.texts), "")
        self.base = self.of(self.whole)
        self.tests = directory / "policy-tests.yaml"
        self.config = directory / "agent.yaml"
        settings = {
            "directory": str(directory), "organisation": "bank-a", "server": "https://c.example",
            "link": "c.example:1", "trust_domain": "example.org",
            "consent": {"policies": [str(one) for one in SHIPPED]},
        }  # fmt: skip
        self.config.write_text(json.dumps(settings))

    def of(self, *texts: Policy) -> Decisions:
        return Decisions(CedarPolicies(texts), lambda: RULES)

    def policy(self, random: Random, effect: str) -> str:
        """Return a policy of a few conditions, of which one may not be evaluable."""
        parts = random.sample(CONDITIONS, random.choice((1, 2, 3)))
        word = random.choice(("when", "unless"))
        return (
            f'@id("more") {effect}(principal, action == Action::"training", resource) '
            f"{word} {{ {random.choice((' && ', ' || ')).join(parts)} }};"
        )

    def request(self, random: Random) -> dict[str, Any]:
        """Return a request as a job or an owner's file might ask it."""
        asked: dict[str, Any] = dict(ASKED)
        for _ in range(random.choice((0, 1, 1, 2, 3))):
            name = random.choice(
                (*asked, "epsilon", "bundle_digest", "per_party", hostile_text(random))
            )
            old = asked.get(name)
            if random.random() < 0.4 or old is None:
                asked[name] = hostile_value(random)
            elif isinstance(old, str):
                asked[name] = changed_text(random, old)
            elif isinstance(old, int):
                asked[name] = random.choice(NUMBERS)
            elif isinstance(old, list):
                asked[name] = [*old, hostile_text(random)]
        return asked

    def narrower(self, random: Random) -> list[str]:
        """Put a mutated `forbid` beside the shipped policies: nothing more is allowed."""
        text = self.policy(random, "forbid")
        head, mark, condition = text.partition(" { ")
        text = stored(head + mark + changed_text(random, condition))
        if "permit" in text:
            return []
        more = self.of(self.whole, Policy("more", text, ""))
        asked = completed(self.request(random))
        before, after = self.base.decision(asked), more.decision(asked)
        return _shape(after) + (
            [f"allowed beside {text!r}"]
            if after.effect == "allow" and before.effect != "allow"
            else []
        )

    def broken(self, random: Random) -> list[str]:
        """Put a policy that cannot be evaluated beside one that allows everything."""
        effect = random.choice(("permit", "forbid"))
        text = f'{effect}(principal, action == Action::"training", resource) when {{ '
        text += f"{random.choice(BREAKS)} }};"
        everything = Policy("all", "permit(principal, action, resource);", "")
        policies = self.of(everything, Policy("more", text, ""))
        asked = completed(self.request(random))
        # Cedar itself says whether it can be evaluated, not what is tested here.
        alone = cedarpy.is_authorized(_cedar_request(asked, SPEC_KINDS), text, [])
        if not alone.diagnostics.errors:
            return []
        found = policies.by_policies(asked)
        return _shape(found) + ([] if found.effect == "ask" and found.broken else [repr(found)])

    def any_text(self, random: Random) -> list[str]:
        """Change a shipped policy anywhere: it is refused, or decides."""
        whole = random.choice(self.texts)
        text = whole.text
        for _ in range(random.choice((1, 2, 4))):
            text = changed_text(random, text, tuple(one.text for one in self.texts))
        policies = self.of(replace(whole, text=stored(text[: 1 << 16])))
        return _shape(policies.decision(completed(self.request(random))))

    def any_request(self, random: Random) -> list[str]:
        """Ask the shipped policies about anything, and have it explained and drafted."""
        asked = completed(self.request(random))
        found = self.base.decision(asked)
        told = self.base.explained(asked)
        drafted = self.base.suggestion(asked, allow=True, name=hostile_text(random), two="")
        wrong = _shape(found)
        if told["effect"] not in EFFECTS:
            wrong.append(f"explained: {told}")
        if drafted is not None:
            alone = CedarPolicies([Policy("drafted", drafted, "")]).decide(asked)
            if alone.effect != "allow":
                wrong.append(f"a draft does not decide its own request: {drafted!r} {alone}")
        return wrong

    def test_file(self, random: Random) -> list[str]:
        """Read a mutated file of example requests."""
        example = {"name": "one", "request": dict(ASKED), "expect": "allow", "by": "credit"}
        value: Any = {"tests": [example, {**example, "name": "two", "expect": "ask"}]}
        for _ in range(random.choice((1, 1, 2, 3))):
            value = changed_value(random, value) if isinstance(value, dict) and value else value
        data = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
        self.tests.write_bytes(data if random.random() < 0.7 else changed_bytes(random, data))
        found = examined(self.config, self.tests, SPEC_KINDS)
        return [f"{one}" for one in found if one["effect"] not in {*EFFECTS, "two_people"}]


def stored(text: str) -> str:
    """Return a text as a file can hold it."""
    return text.encode(errors="replace").decode()


def _shape(found: Decision) -> list[str]:
    ours = found.effect in EFFECTS and all(isinstance(one, str) for one in found.reasons)
    return [] if ours else [f"no decision: {found}"]


ATTEMPTS: Final = (
    *(Rules.narrower, Rules.narrower, Rules.broken, Rules.any_text, Rules.any_request),
    *(Rules.any_request, Rules.test_file),
)


def one_case(seed: int, rules: Rules) -> list[str]:
    """Make one attempt; return what is wrong with what came of it."""
    random = Random(seed)
    attempt = random.choice(ATTEMPTS)
    try:
        wrong = attempt(rules, random)
    except SecureFlowError as error:
        wrong = [] if error.code in CATALOGUE else [f"unknown code {error.code}"]
    except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
        wrong = [repr(error)]
    return [f"{attempt.__name__}: {one:.600}" for one in wrong]


def check(seeds: range, directory: Path) -> None:
    rules = Rules(directory)
    tell([(seed, one_case(seed, rules)) for seed in seeds], REPEAT)


@portions(0, 200, 200)
def test_seeds(seeds: range, tmp_path: Path) -> None:
    check(seeds, tmp_path)


@pytest.mark.full
@portions(200, 500, 300)
def test_more_seeds(seeds: range, tmp_path: Path) -> None:
    check(seeds, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@portions(0, 30_000, 2000)
def test_many_seeds(seeds: range, tmp_path: Path) -> None:
    check(seeds, tmp_path)


def test_a_condition_that_breaks_is_broken() -> None:
    """Else `broken` would try nothing."""
    asked = completed(ASKED)
    for one in (BREAKS[0], BREAKS[1], BREAKS[3]):
        text = f'permit(principal, action == Action::"training", resource) when {{ {one} }};'
        assert CedarPolicies([Policy("more", text, "")]).decide(asked).broken, one
