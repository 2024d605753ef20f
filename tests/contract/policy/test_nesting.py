"""A policy that goes deeper than Cedar's parser, or what reads its JSON, is refused as such.

Without the bound, a thousand brackets end the process: a reload of such a file ended an agent.
"""

from __future__ import annotations

import pytest

from secureflow.adapters.policy import CedarPolicies, completed
from secureflow.adapters.policy.nesting import DEEPEST, LONGEST, too_deep
from secureflow.domain.policies import Policy
from secureflow.kit.errors import SecureFlowError

ASKED = completed({"kind": "training", "purpose": "credit scoring", "rounds": 3})


def text(condition: str) -> str:
    return f'permit(principal, action == Action::"training", resource) when {{ {condition} }};'


def policies(condition: str) -> CedarPolicies:
    return CedarPolicies([Policy("deep.cedar", text(condition), "")])


@pytest.mark.parametrize(
    "condition",
    [
        "(" * 200 + "true" + ")" * 200,
        "[" * 200 + "1" + "]" * 200 + " == [1]",
        "true && " * 400 + "true",
        "true || " * 1200 + "true",
        "context.rounds + " * 400 + "1 > 0",
        "if true then " * 400 + "true" + " else false" * 400,
        "if true then true else " * 63 + "true",
        "!(" * 63 + "true" + ")" * 63,
        "true // ends at a carriage return\r && " + "(" * 900 + "true" + ")" * 900,
        "(" * 100_000 + "true" + ")" * 100_000,
    ],
    ids=lambda condition: condition[:20],
)
def test_what_goes_too_deep_is_refused(condition: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        policies(condition)
    assert caught.value.code == "policy_invalid"
    assert "nested too deeply" in caught.value.message
    assert caught.value.details == {"file": "deep.cedar"}


@pytest.mark.parametrize(
    "condition",
    [
        "(" * 40 + "true" + ")" * 40,
        "context.rounds <= 20 && " * 120 + "true",
        "!(" * 56 + "true" + ")" * 56,
        "if false then false else " * 37 + "true",
        f'context.purpose != "{"(" * 500}" // {"(" * 500}\n',
        'context.purpose like "credit*" && !(context.purpose == "\\"")',
        "[" + ", ".join(f'"purpose {n}"' for n in range(500)) + '].contains("purpose 3")',
    ],
    ids=lambda condition: condition[:20],
)
def test_what_people_write_is_not(condition: str) -> None:
    made = policies(condition)
    assert made.decide(ASKED).effect == "allow"
    assert made.explain(ASKED)[0].missing == ()


def test_many_policies_are_many() -> None:
    one = text('context.rounds <= 20 && context.purpose like "credit*"') + "\n"
    assert not too_deep(one * LONGEST)
    assert too_deep(text("(" * DEEPEST + "true" + ")" * DEEPEST))


def test_a_template_is_refused_as_such() -> None:
    template = "permit(principal == ?principal, action, resource);"
    for one in (template, template + text("true"), text("true") + template):
        with pytest.raises(SecureFlowError) as caught:
            CedarPolicies([Policy("deep.cedar", one, "")])
        assert caught.value.code == "policy_invalid"
        assert "template" in caught.value.message
