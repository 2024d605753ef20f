"""Reports and explanations as the console draws them, in Chinese: no English sentence in any."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from secureflow.application.components.kinds import sample
from secureflow.application.reports.page import render
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.engines.kinds import ENGINE_KINDS
from secureflow.engines.pipeline.telling import sections
from secureflow.kit.text import Text, with_texts
from secureflow.server.rest.languages import spoken

ENGLISH = re.compile(r"[A-Za-z]{2,} [a-z]{2,}")
"""Two words one after the other: names and units stand alone."""
TOLD = ("who", "sees", "why", "attack", "stopped", "title", "label", "value", "number", "mechanism")


def texts(value: Any) -> Iterator[str]:
    """Yield what a page shows of a report."""
    if isinstance(value, dict):
        for name, one in value.items():
            if name in TOLD and isinstance(one, str):
                yield one
            elif name != "texts":
                yield from texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from texts(one)


def report_of(kind: str) -> dict[str, Any]:
    """Return what a report of a kind's sample tells people, as it is kept."""
    spec: Any = sample(SPEC_KINDS, kind)
    told = ENGINE_KINDS.of(spec).explanation(
        spec, tee="SIMULATED SGX", accounting=None, rounds=[], dropouts=[]
    )
    interval = Text("{value} (95 % interval {low} to {high})", value="0.2", low="0.1", high="0.3")
    line = {"label": "predicted_rate", "value": interval}
    section = {"title": Text("Evaluation of {model}", model="m@1"), "rows": [with_texts(line)]}
    own = sections(spec, ()) if kind == "pipeline" else []
    return {**told, "kind": kind, "sections": [*own, with_texts(section)]}


@pytest.mark.parametrize("kind", sorted(SPEC_KINDS))
def test_a_report_has_no_english_sentence_in_chinese(kind: str) -> None:
    kept = report_of(kind)
    shown = list(texts(spoken(kept, "zh")))
    assert len(shown) > 5
    assert [one for one in shown if ENGLISH.search(one)] == []
    assert spoken(kept, "en") == kept
    page = re.sub(r'<span class="en">.*?</span>', "", render(kept, "zh"), flags=re.DOTALL)
    main = re.sub(r"<[^>]+>", "\n", page[page.index("<main>") :])
    lines = [one for one in main.splitlines() if "secureflow" not in one]
    assert [one for one in lines if ENGLISH.search(one)] == []


def test_a_released_number_that_somebody_named_keeps_its_name() -> None:
    row = {"number": "rows", "mechanism": "gaussian", "charge": [1]}
    assert spoken({"released": [row]}, "zh")["released"][0]["number"] == "rows"
