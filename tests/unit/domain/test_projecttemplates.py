"""Rules of a project's template: which jobs the centre refuses early."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from secureflow.domain.projecttemplates import TEMPLATES, ProjectRules, template_of
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.kit.errors import SecureFlowError


@dataclass(frozen=True)
class Privacy:
    epsilon: float | None = 1.0


@dataclass(frozen=True)
class Spec:
    kind: str = "training"
    protection: str = "secagg"
    parties: tuple[str, ...] = ("a", "b", "c")
    privacy: Privacy | None = None


@pytest.mark.parametrize(
    ("rules", "spec", "rule"),
    [
        (ProjectRules(kinds=("psi",)), Spec(), "kinds"),
        (ProjectRules(protections=("sealed",)), Spec(), "protections"),
        (ProjectRules(min_parties=4), Spec(), "min_parties"),
        (ProjectRules(epsilon=0.5), Spec(), "epsilon"),
        (ProjectRules(epsilon=0.5), Spec(privacy=Privacy(None)), "epsilon"),
        (ProjectRules(epsilon=0.5), Spec(privacy=Privacy(1.0)), "epsilon"),
    ],
)
def test_a_job_that_breaks_a_rule_is_refused(rules: ProjectRules, spec: Spec, rule: str) -> None:
    with pytest.raises(SecureFlowError) as refused:
        rules.check(spec)
    assert (refused.value.code, refused.value.details) == ("project_rule_broken", {"rule": rule})


@pytest.mark.parametrize(
    ("rules", "spec"),
    [
        (ProjectRules(), Spec()),
        (ProjectRules(("training",), ("secagg",), 3, 1.0), Spec(privacy=Privacy(1.0))),
        (ProjectRules(protections=("sealed",), epsilon=1.0), Spec("psi", "peers", ("a", "b"))),
    ],
)
def test_a_job_that_keeps_the_rules_is_let_through(rules: ProjectRules, spec: Spec) -> None:
    rules.check(spec)


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_templates_name_kinds_that_there_are(name: str) -> None:
    template = template_of(name)
    assert template.rules.kinds
    assert set(template.rules.kinds) <= set(SPEC_KINDS)
    assert template.purpose


def test_an_unknown_template_is_named() -> None:
    with pytest.raises(SecureFlowError, match="no project template 'x'"):
        template_of("x")
