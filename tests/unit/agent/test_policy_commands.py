"""Policies are tried on examples, explained, and drafted from what people decided."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from peers.agent_people import OWN, Team, waiting_item
from peers.agent_world import World

from benchmarks import policy
from secureflow.adapters.policy import CedarPolicies, completed
from secureflow.agent.edge.policyfiles import examined, explained
from secureflow.domain.policies import Policy
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.kit.errors import SecureFlowError

POLICY = """
@id("credit") @reason("credit scoring in a group")
permit(principal, action == Action::"training", resource == Dataset::"customers")
when { context.purpose == "credit scoring" && context.group_size >= 3 }
unless { context.sensitive.contains("health") || context.rounds > 20 };
@id("far") permit(principal == User::"usr_x", action == Action::"psi", resource)
when { context.purpose == "x" };
@id("never") forbid(principal, action, resource) when { context.purpose like "*marketing*" };
"""
REQUEST: dict[str, Any] = {
    "kind": "training",
    "submitter": "usr_a",
    "dataset": "customers",
    "purpose": "credit scoring",
    "columns": ["age", "job"],
    "sensitive": ["job"],
    "parties": ["a", "b", "c"],
    "group_size": 3,
    "min_contributors": 3,
    "rounds": 5,
    "epsilon": 1.2,
}


def cedar(*texts: str) -> CedarPolicies:
    return CedarPolicies([Policy(f"{n}.cedar", text, "") for n, text in enumerate(texts)])


def decided(policies: CedarPolicies, **changes: Any) -> str:
    return policies.decide(completed({**REQUEST, **changes})).effect


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({}, ()),
        ({"purpose": "else"}, ('context.purpose == "credit scoring"',)),
        ({"dataset": "others"}, ('resource == Dataset::"customers"',)),
        ({"rounds": 21}, ("!(context.rounds > 20)",)),
        (
            {"group_size": 2, "sensitive": ["health"]},
            ("context.group_size >= 3", '!(context.sensitive.contains("health"))'),
        ),
    ],
)
def test_the_parts_that_do_not_hold_are_named(
    changes: dict[str, Any], missing: tuple[str, ...]
) -> None:
    near = cedar(POLICY).explain(completed({**REQUEST, **changes}))
    assert near[0].title == "credit: credit scoring in a group"
    plain = [one.replace("(", "").replace(")", "") for one in near[0].missing]
    assert plain == [one.replace("(", "").replace(")", "") for one in missing]
    assert [one.title for one in near] == ["credit: credit scoring in a group", "far"]
    assert len(near[1].missing) == 3  # farther


def test_a_limit_of_an_absent_epsilon_does_not_hold() -> None:
    text = (
        "permit(principal, action, resource) when { context has epsilon && "
        'context.epsilon.lessThan(decimal("1.0")) };'
    )
    (near,) = cedar(text).explain(completed({**REQUEST, "epsilon": None}))
    assert len(near.missing) == 2


# --- drafts -----------------------------------------------------------------------------------


def test_a_draft_decides_what_was_decided_and_nothing_wider() -> None:
    draft = cedar().suggest(completed(REQUEST), allow=True, name="as-job_1", two="")
    policies = cedar(draft)
    assert decided(policies) == "allow"
    assert decided(policies, columns=["age"], sensitive=[], epsilon=1.0, group_size=4) == "allow"
    for changes in (
        {"submitter": "usr_b"},
        {"dataset": "others"},
        {"purpose": "credit scoring "},
        {"columns": ["age", "job", "more"]},
        {"sensitive": ["age", "job"]},
        {"parties": ["a", "b", "d"]},
        {"parties": ["a", "b", "c", "d"]},
        {"epsilon": 1.3},
        {"epsilon": None},
        {"rounds": 4},
        {"project": "prj_other"},
        {"min_contributors": 2},
        {"bundle_digest": "ab" * 32},
        {"starts_from": "ab" * 32},
    ):
        assert decided(policies, **changes) == "ask", changes


@pytest.mark.parametrize("kind", sorted(SPEC_KINDS))
def test_every_kind_can_be_drafted(kind: str) -> None:
    values = {"text": 'a"b\\', "texts": ["x", "y"], "number": 3, "decimal": 1.5}
    facts = {name: values[form] for name, form in SPEC_KINDS[kind].facts.items()}
    request = completed({**REQUEST, "rounds": 1, "kind": kind, **facts} if "rounds" in facts else
                        {**{k: v for k, v in REQUEST.items() if k != "rounds"},
                         "kind": kind, **facts})  # fmt: skip
    for allow, effect in ((True, "allow"), (False, "refuse")):
        draft = cedar().suggest(request, allow=allow, name="as-job", two="both")
        found = cedar(draft).decide(request)
        assert found.effect == effect
        assert found.two_people == (("both",) if allow else ())


@pytest.mark.parametrize(
    "text",
    [
        'x" || true) }; permit(principal, action, resource); //',
        "a\nb\r\u202e\u2028",
        "\\u{41}\\",
        '"; @id("y")',
        "\x00",
    ],
)
def test_a_text_of_the_request_stays_a_text(text: str) -> None:
    request = completed({**REQUEST, "purpose": text, "submitter": text, "columns": [text]})
    draft = cedar().suggest(request, allow=True, name=text, two=text)
    assert draft.isascii() or all(one.isprintable() or one == "\n" for one in draft)
    policies = cedar(draft)
    assert policies.decide(request).effect == "allow"
    assert decided(policies) == "ask"
    assert len(json.loads(json.dumps(policies.policies[0].text))) == len(draft)
    assert draft.count("permit (") == 1 + text.count("permit (")


# --- over the socket --------------------------------------------------------------------------


async def test_what_a_person_decided_becomes_a_rule(tmp_path: Path) -> None:
    world = World(tmp_path / "agent", policy="")
    team = Team(world)
    asking, item = await waiting_item(world)
    told = await team.give("policy.explain", user=OWN, item=item.id)
    assert (told["effect"], told["by"], told["nearly"]) == ("ask", ["no policy permits it"], [])
    assert await team.refusal("policy.suggest", user=OWN, item=item.id) == "invalid_request"
    await team.give("inbox.approve", user=OWN, item=item.id)
    await asking
    draft = (await team.give("policy.suggest", user=OWN, item=item.id))["policy"]
    world.assembly.consent.replace_policies(cedar(draft))
    decide = world.assembly.consent.decisions.decision
    assert decide(item.request).reasons == (f"as-{item.job}",)
    assert decide({**item.request, "purpose": "else"}).effect == "ask"
    assert await team.refusal("policy.explain", user=OWN, item="0" * 64) == "not_found"


async def test_two_people_s_decision_drafts_a_rule_for_two(tmp_path: Path) -> None:
    text = '@id("trainings") @two_people("all training") permit(principal, action, resource);'
    world = World(tmp_path / "agent", policy=text)
    team = await Team(world).gather("ada", "ben")
    asking, item = await waiting_item(world)
    told = await team.give("policy.explain", "ben", item=item.id)
    assert told["two_people"] == ["all training"]
    assert told["by"] == ["trainings", "two people must decide", "all training"]
    await asyncio.gather(*(team.give("inbox.approve", who, item=item.id) for who in ("ada", "ben")))
    await asking
    draft = (await team.give("policy.suggest", "ben", item=item.id))["policy"]
    assert cedar(draft).decide(item.request).two_people == ("all training",)


# --- files of examples ------------------------------------------------------------------------


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Path:
    (tmp_path / "own.cedar").write_text(POLICY)
    settings = {
        "organisation": "bank-a",
        "server": "https://centre.example",
        "link": "centre.example:1",
        "trust_domain": "example.org",
        "consent": {
            "policies": ["own.cedar"],
            "two_people": [{"epsilon_over": 1.0, "reason": "much ε"}],
        },
    }
    (tmp_path / "agent.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


def written(place: Path, *tests: dict[str, Any]) -> Path:
    file = place / "tests.yaml"
    file.write_text(json.dumps({"tests": list(tests)}))  # it spells half a character, too
    return file


def test_examples_are_decided_as_the_agent_would(place: Path) -> None:
    low = {**REQUEST, "epsilon": 0.5}
    file = written(
        place,
        {"name": "small", "request": low, "expect": "allow", "by": "credit"},
        {"name": "much", "request": REQUEST, "expect": "two_people"},
        {"name": "no", "request": {**low, "purpose": "marketing"}, "expect": "refuse"},
        {"name": "code", "request": {**low, "bundle_digest": "ab" * 32}, "expect": "ask"},
        {"name": "wrong", "request": low, "expect": "ask"},
        {"name": "by another", "request": low, "expect": "allow", "by": "never"},
    )
    found = examined(place / "agent.yaml", file, SPEC_KINDS)
    assert [one["ok"] for one in found] == [True, True, True, True, False, False]
    told = explained(place / "agent.yaml", file, SPEC_KINDS)
    assert told[1]["two_people"] == ["much ε"]


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({"kind": "trainin"}, "kind"),
        ({"kind": "training", "colums": ["a"]}, "colums"),
        ({"kind": "training", "columns": "age"}, "columns"),
        ({"kind": "training", "rounds": "5"}, "rounds"),
        ({"kind": "training", "rounds": True}, "rounds"),
        ({"kind": "training", "epsilon": "1"}, "epsilon"),
        ({"kind": "training", "purpose": "half a \ud83d"}, "purpose"),
        ({"kind": "training", "columns": ["a\udfff"]}, "columns"),
    ],
)
def test_a_misspelt_example_is_an_error_and_not_a_pass(
    place: Path, request_: dict[str, Any], named: str
) -> None:
    file = written(place, {"name": "x", "request": request_, "expect": "ask"})
    with pytest.raises(SecureFlowError) as error:
        examined(place / "agent.yaml", file, SPEC_KINDS)
    assert error.value.code == "invalid_file"
    assert named in error.value.message


@pytest.mark.parametrize(("bar", "code"), [(1e9, 0), (0.0, 1)])
def test_the_benchmark_prints_json_and_fails_beyond_its_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bar: float, code: int
) -> None:
    monkeypatch.setattr(policy, "BAR", bar)
    assert policy.main(["--policies", "2", "--count", "20"]) == code
    printed = json.loads(capsys.readouterr().out)
    assert printed["inside"] is (code == 0)
    assert {name: one["effect"] for name, one in printed["decisions"].items()} == {
        name: name for name in ("allow", "refuse", "ask", "two_people")
    }
