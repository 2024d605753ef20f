"""A job's explanation as a page like that of its report: self-contained, in both languages."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jinja2 import Template

from secureflow.application.reports.page import contents, environment
from secureflow.engines.recipes.sections import sections
from secureflow.kit.reading import members, objects


@dataclass(frozen=True)
class Label:
    """What a protocol gives, and of which step of a pipeline; `step` is empty for a job itself."""

    step: str
    lines: Sequence[Mapping[str, Any]]


def render(explanation: Mapping[str, Any], lang: Literal["en", "zh"] = "en") -> str:
    """Return the HTML page of an explanation (`Jobs.explain`).

    Args:
        explanation: of a job of any kind, running or ended.
        lang: the language shown first; the page can switch.
    """
    fitted = sections(objects(explanation.get("fitted")))
    made = contents({**explanation, "sections": fitted}, lang)
    told: Mapping[str, Any] = made["report"]
    per_round = objects(told.get("epsilon_per_round"))
    return _template().render(**made, labels=list(_labels(told)), per_round=per_round)


def _labels(told: Mapping[str, Any]) -> Iterator[Label]:
    """Yield the labels of a job, or of the steps of a pipeline."""
    for step, one in (("", told), *members(told.get("step_explanations")).items()):
        if lines := objects(members(one).get("label")):
            yield Label(str(step), lines)


@functools.cache
def _template() -> Template:
    return environment().get_template("explanation.html.jinja")
