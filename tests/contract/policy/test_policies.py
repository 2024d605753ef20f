"""What every `Policies` adapter promises, and what is special to Cedar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from secureflow.adapters.policy import CedarPolicies
from secureflow.domain.policies import Policy
from secureflow.domain.specs.bundles import BUNDLE_FACTS
from secureflow.kit.errors import SecureFlowError

EXAMPLES = Path(__file__).parents[3] / "configs" / "policies"


def request(**changes: Any) -> dict[str, Any]:
    asked = {
        "kind": "training",
        "submitter": "usr_alice",
        "dataset": "customers",
        "project": "prj_0000000000",
        "purpose": "credit scoring",
        "family": "logistic_regression",
        "columns": ("age", "income", "default"),
        "sensitive": (),
        "parties": ("bank-a", "bank-b", "bank-c"),
        "group_size": 3,
        "min_contributors": 3,
        "rounds": 20,
        "protection": "sealed",
        "release": "agents",
        "bundle_digest": "",
        "bundle_entry": "",
        "environment": "",
        "settings_digest": "",
        "starts_from": "",
        "clip_norm": 1000.0,
        "validation_rows": 0,
        "own_trees": 0,
        "self_report": "",
        "parties_per_round": 0,
        "small_leaves": 0,
        "epsilon": None,
    }
    return {**asked, **changes}


def question(**changes: Any) -> dict[str, Any]:
    """A statistics job's request."""
    training_only = {"family", "rounds", "release", *BUNDLE_FACTS} - {"submitter"}
    asked = {k: v for k, v in request().items() if k not in training_only} | {
        "kind": "statistics",
        "columns": ("age",),
        "measures": ("count", "mean"),
        "queries": 2,
        "contributions": 1,
        "unit": "record",
        "noise": "shared",
        "protection": "secagg",
        "epsilon": 0.25,
    }
    return {**asked, **changes}


def policies(text: str) -> CedarPolicies:
    return CedarPolicies([Policy("test.cedar", text, "")])


def test_without_policies_a_person_is_asked() -> None:
    decision = CedarPolicies().decide(request())
    assert (decision.effect, decision.reasons) == ("ask", ("no policy permits it",))


def test_examples_allow_refuse_and_ask() -> None:
    shipped = CedarPolicies.load(sorted(EXAMPLES.glob("*.cedar")))
    allowed = shipped.decide(request(protection="secagg"))
    assert allowed.effect == "allow"
    assert allowed.reasons[0].startswith("credit-scoring: credit scoring in a group")
    refused = shipped.decide(request(purpose="direct marketing"))
    assert refused.effect == "refuse"
    assert refused.reasons == ("no-marketing: our customers' data is never used for marketing",)
    assert shipped.decide(request(protection="secagg", purpose="churn")).effect == "ask"
    assert shipped.decide(request(protection="secagg", group_size=2)).effect == "ask"
    assert shipped.decide(request(protection="sealed")).effect == "ask"  # a TEE is simulated


def test_forbid_beats_permit() -> None:
    both = policies(
        'permit(principal, action, resource); @id("no") forbid(principal, action, resource) '
        'when { context.protection == "secagg" };'
    )
    assert both.decide(request()).effect == "allow"
    refused = both.decide(request(protection="secagg"))
    assert (refused.effect, refused.reasons) == ("refuse", ("no",))


@pytest.mark.parametrize(
    ("condition", "yes", "no"),
    [
        ("context.columns.contains(\"age\")", {}, {"columns": ("income",)}),
        ("context.sensitive.isEmpty()", {}, {"sensitive": ("age",)}),
        ("context.parties.contains(\"bank-b\")", {}, {"parties": ("bank-a",)}),
        ("context.rounds <= 20", {}, {"rounds": 21}),
        ("principal == User::\"usr_alice\"", {}, {"submitter": "usr_eve"}),
        ("resource == Dataset::\"customers\"", {}, {"dataset": "others"}),
        ("context.family == \"rehearsal\"", {"family": "rehearsal"}, {}),
        ("context.release == \"agents\"", {}, {"release": "operator"}),
        ("context.validation_rows == 0", {}, {"validation_rows": 50}),
        ("context.own_trees == 0", {}, {"own_trees": 20}),
        ("context.small_leaves == 0", {}, {"small_leaves": 5}),
        ("context.parties_per_round == 0", {}, {"parties_per_round": 3}),
        ("context.project == \"prj_0000000000\"", {}, {"project": "prj_1111111111"}),
        ("context.epsilon.lessThan(decimal(\"2.0\"))", {"epsilon": 1.5}, {"epsilon": 2.0}),
    ],
)  # fmt: skip
def test_every_attribute_can_decide(
    condition: str, yes: dict[str, Any], no: dict[str, Any]
) -> None:
    condition = condition.replace("context.epsilon.", "context has epsilon && context.epsilon.")
    one = policies(
        f'permit(principal, action == Action::"training", resource) when {{ {condition} }};'
    )
    assert one.decide(request(**yes)).effect == "allow"
    assert one.decide(request(**no)).effect == "ask"
    assert one.decide(question()).effect == "ask"


@pytest.mark.parametrize(
    ("condition", "no"),
    [
        ("context.measures.contains(\"mean\")", {"measures": ("count",)}),
        ("context.queries <= 2", {"queries": 3}),
        ("context.contributions == 1", {"contributions": 2}),
        ("context.unit == \"record\"", {"unit": "person"}),
        ("context.noise == \"shared\"", {"noise": "local"}),
        ("context.columns.contains(\"age\")", {"columns": ()}),
        ("context has epsilon && context.epsilon.lessThan(decimal(\"0.3\"))", {"epsilon": 0.3}),
    ],
)  # fmt: skip
def test_every_attribute_of_statistics_can_decide(condition: str, no: dict[str, Any]) -> None:
    one = policies(
        f'permit(principal, action == Action::"statistics", resource) when {{ {condition} }};'
    )
    assert one.decide(question()).effect == "allow"
    assert one.decide(question(**no)).effect == "ask"
    assert one.decide(request()).effect == "ask"


def test_the_shipped_policies_answer_small_statistics() -> None:
    shipped = CedarPolicies.load(sorted(EXAMPLES.glob("*.cedar")))
    assert shipped.decide(question()).reasons[0].startswith("small-statistics")
    assert shipped.decide(question(epsilon=0.6)).effect == "ask"
    assert shipped.decide(question(sensitive=("age",))).effect == "ask"
    assert shipped.decide(question(noise="local")).effect == "refuse"
    assert shipped.decide(question(purpose="direct marketing")).effect == "refuse"


def test_a_policy_on_every_kind_may_not_ask_what_only_one_has() -> None:
    with pytest.raises(SecureFlowError, match="rounds") as error:
        policies("permit(principal, action, resource) when { context.rounds < 9 };")
    assert error.value.code == "policy_invalid"


def test_a_forbid_that_cannot_be_evaluated_never_opens_the_door() -> None:
    # Long overflow is the one error that the schema cannot exclude beforehand.
    broken = policies(
        "permit(principal, action, resource); forbid(principal, action, resource) "
        "when { context.group_size * 9223372036854775807 > 0 };"
    )
    assert broken.decide(request(group_size=2)).effect == "ask"


def test_an_unknown_kind_of_job_is_asked() -> None:
    assert (
        policies("permit(principal, action, resource);").decide(request(kind="pie")).effect == "ask"
    )


@pytest.mark.parametrize(
    "text",
    [
        "permit(",
        'permit(principal, action, resource) when { context.purpos == "x" };',
        "permit(principal, action, resource) when { context.epsilon.lessThan(decimal(\"1.0\")) };",
        'permit(principal, action == Action::"trainng", resource);',
    ],
)  # fmt: skip
def test_a_wrong_policy_is_refused_when_it_is_read(text: str) -> None:
    with pytest.raises(SecureFlowError) as error:
        policies(text)
    assert error.value.code == "policy_invalid"
    assert "test.cedar" in error.value.message


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary.cedar").write_bytes(b"\xff\xfe")
    for name in ("missing.cedar", "binary.cedar"):
        with pytest.raises(SecureFlowError, match=name) as error:
            CedarPolicies.load([tmp_path / name])
        assert error.value.code == "policy_unreadable"


@pytest.mark.parametrize(
    ("epsilon", "limit", "allowed"),
    [
        (1.0, "1.0", True),
        (0.1, "0.1", True),  # what is written the same is the same
        (1.00001, "1.0", False),
        (1.00004, "1.0", False),  # four digits, rounded to the nearest, would be 1.0000
        (0.29999, "0.3", True),
        (5e-324, "0.0", False),
        (1e300, "922337203685477.0", False),
        (float("inf"), "1.0", False),
        (float("nan"), "1.0", False),
    ],
)
def test_an_epsilon_is_rounded_up_never_down(epsilon: float, limit: str, allowed: bool) -> None:
    most = f'context has epsilon && context.epsilon.lessThanOrEqual(decimal("{limit}"))'
    decision = policies(f"permit(principal, action, resource) when {{ {most} }};").decide(
        request(epsilon=epsilon)
    )
    assert decision.effect == ("allow" if allowed else "ask")


def test_a_decision_names_the_policy_or_its_place_in_which_file() -> None:
    """The agent's log keeps these words: whoever reads it finds the line that decided."""
    named = Policy("named.cedar", '@id("mine") @reason("as agreed")\nforbid(principal, action, '
                   'resource) when { context.purpose == "ads" };', "")  # fmt: skip
    plain = Policy("plain.cedar", 'permit(principal, action, resource) when { context.dp };\n'
                   "permit(principal, action, resource) when { !context.dp };", "")  # fmt: skip
    both = CedarPolicies([named, plain])
    assert both.decide(request()).reasons == ("plain.cedar, policy 2",)
    assert both.decide(request(epsilon=1.0)).reasons == ("plain.cedar, policy 1",)
    assert both.decide(request(purpose="ads")).reasons == ("mine: as agreed",)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('// one; two\npermit (principal, action, resource)\nwhen { context.purpos == "x" };', 2),
        (('@id("a; b")\nforbid (principal, action, resource);\n\n\n'
         '// why\npermit (principal, action, resource)\nwhen { context.purpose = "x" };'), 6),
        (('permit (principal, action, resource);\npermit (principal, action == Action::"x", '
         "resource);"), 2),
        ("forbid (principal, action, resource);\n\npermit (principal, action, resource)", 3),
        ("permit (principal, action, resource)\npermit (principal, action, resource);", 1),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_the_line_of_its_policy(text: str, line: int) -> None:
    with pytest.raises(SecureFlowError) as refusal:
        policies(text)
    assert refusal.value.code == "policy_invalid"
    assert f"The policy that begins at line {line}:" in refusal.value.message
    assert refusal.value.details["line"] == line
    assert "policy1" not in refusal.value.message
