"""Templates of projects: their purpose in words, and the rules that their jobs keep.

A project keeps a copy of the rules with which it was created, which every invited organisation can
read before it accepts. The centre refuses a job that breaks them, before anybody is asked. That is
a service and no protection: each agent decides by its own grants and policies anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class _Privacy(Protocol):
    @property
    def epsilon(self) -> float | None: ...


class _Spec(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def protection(self) -> str: ...
    @property
    def parties(self) -> tuple[str, ...]: ...
    @property
    def privacy(self) -> _Privacy | None: ...


@dataclass(frozen=True)
class ProjectRules:
    """What the jobs of a project keep to.

    Args:
        kinds: allowed kinds of job; empty: all.
        protections: allowed protections of contributions; empty: all. Kinds without contributions
            (`none`, `peers`) are ruled by `kinds` alone.
        min_parties: the fewest organisations in a job.
        epsilon: the most differential privacy loss per job; a job without differential privacy is
            refused then.
        restricted: whether only people with a role in the project take part.
    """

    kinds: tuple[str, ...] = ()
    protections: tuple[str, ...] = ()
    min_parties: int = 2
    epsilon: float | None = None
    restricted: bool = False

    def check(self, spec: _Spec) -> None:
        """Refuse a spec that breaks a rule.

        Raises:
            SecureFlowError: `project_rule_broken` naming the rule.
        """
        if self.kinds and spec.kind not in self.kinds:
            raise _refusal(
                "kinds",
                Text(
                    "The project's rules allow jobs of these kinds: {allowed}; this is {kind}.",
                    allowed=", ".join(self.kinds),
                    kind=spec.kind,
                ),
            )
        contributing = spec.protection not in {"none", "peers"}
        if self.protections and contributing and spec.protection not in self.protections:
            raise _refusal(
                "protections",
                Text(
                    "The project's rules allow these protections: {allowed}; this job has "
                    "{protection}.",
                    allowed=", ".join(self.protections),
                    protection=spec.protection,
                ),
            )
        if len(spec.parties) < self.min_parties:
            raise _refusal(
                "min_parties",
                Text(
                    "The project's rules ask for at least {least} parties; this job has {count}.",
                    least=self.min_parties,
                    count=len(spec.parties),
                ),
            )
        if self.epsilon is not None and contributing:
            self._check_privacy(spec.privacy)

    def _check_privacy(self, privacy: _Privacy | None) -> None:
        asked = privacy.epsilon if privacy is not None else None
        if asked is None:
            raise _refusal(
                "epsilon", Text("The project's rules ask for differential privacy in every job.")
            )
        if self.epsilon is not None and asked > self.epsilon:
            raise _refusal(
                "epsilon",
                Text(
                    "The project's rules allow a privacy loss of {most:g} per job; this job has "
                    "{asked:g}.",
                    most=self.epsilon,
                    asked=asked,
                ),
            )


def _refusal(rule: str, message: Text) -> SecureFlowError:
    return SecureFlowError(
        "project_rule_broken",
        message,
        "The rules are those of the template that the project was made of: secureflow project "
        "show.",
        {"rule": rule},
    )


@dataclass(frozen=True)
class ProjectTemplate:
    """A template: what it is for, the purpose that it suggests, and its rules."""

    name: str
    title: str
    purpose: str
    description: str
    rules: ProjectRules


_SUMS: Final = ("secagg", "sealed+secagg")
TEMPLATES: Final[Mapping[str, ProjectTemplate]] = {
    one.name: one
    for one in (
        ProjectTemplate(
            "credit-risk",
            "Credit risk of several banks",
            "credit-scoring",
            "Models and figures over customers of at least three banks; no single contribution can "
            "be read.",
            ProjectRules(
                ("training", "evaluation", "statistics", "preparation"), _SUMS, min_parties=3
            ),
        ),
        ProjectTemplate(
            "clinical-research",
            "Clinical research of several hospitals",
            "medical-research",
            "Models and figures under differential privacy, by people who are named in the "
            "project only.",
            ProjectRules(
                ("training", "evaluation", "statistics", "preparation"),
                (*_SUMS, "sealed"),
                min_parties=3,
                epsilon=4.0,
                restricted=True,
            ),
        ),
        ProjectTemplate(
            "shared-customers",
            "Customers that two companies share",
            "customer-matching",
            "Intersections and joint computations over them; no models.",
            ProjectRules(("psi", "mpc")),
        ),
        ProjectTemplate(
            "joint-statistics",
            "Statistics of several organisations",
            "statistics",
            "Figures under differential privacy over at least three organisations.",
            ProjectRules(("statistics",), _SUMS, min_parties=3, epsilon=2.0),
        ),
    )
}


def template_of(name: str) -> ProjectTemplate:
    """Return a template by its name.

    Raises:
        SecureFlowError: `not_found`.
    """
    if name not in TEMPLATES:
        raise SecureFlowError(
            "not_found",
            Text("There is no project template {name!r:.100}.", name=name),
            "secureflow project template list",
        )
    return TEMPLATES[name]
