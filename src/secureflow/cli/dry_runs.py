"""A dry run for people: the spec to sign, its cost, the width of answers, and notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from secureflow.cli.console import Form, say, show, write
from secureflow.cli.estimates import told
from secureflow.cli.texts import listed, part_of, said, t
from secureflow.kit.reading import members, objects
from secureflow.kit.text import foreign

if TYPE_CHECKING:
    from secureflow.sdk.views import DryRun

_EXPECTED: Final = ("name", "measure", "rows", "standard_error")
_NAMES: Final = {"numbers": "released_numbers"}
_CODE: Final = ("entry", "arguments", "input")
"""Of a program that others wrote, which owners approve by its digest."""
_LABEL: Final = ("adversary", "threshold", "collusion", "trusted", "leakage")
_COST: Final = (
    *("unit", "contributions", "mechanism", "noise", "noise_multiplier", "sampling"),
    *("metrics_noise", "releases", "delta"),
)


def show_dry_run(answer: DryRun, output: Form) -> None:
    """Print a dry run; its JSON and YAML forms have everything."""
    if output is not Form.TABLE:
        show(answer, output)
        return
    show({"digest": answer.digest, **dict(_facts(answer.details))}, Form.TABLE)
    _show_program(members(answer.details.get("program")))
    if points := objects(answer.details.get("points")):
        from secureflow.cli.points import show_planned

        show_planned(points)
    if steps := objects(answer.details.get("pipeline")):
        from secureflow.cli.pipelines import show_planned_steps

        show_planned_steps(steps)
    if expected := answer.details.get("expected"):
        say(t("Standard errors that noise alone would give, with this many rows in each group:"))
        show(expected, Form.TABLE, _EXPECTED)
    made_of = answer.texts.get("notes")
    known = made_of if isinstance(made_of, list) else []
    for note, one in zip_longest(answer.notes, known[: len(answer.notes)]):
        write(f"- {said(foreign(note, one))}")


def _show_program(program: Mapping[str, Any]) -> None:
    """Print who learns what of a program among parties, and what its protocol gives."""
    for row in objects(program.get("learns")):
        who, what = (said(part_of(row, name)) for name in ("who", "what"))
        write(t("learns: {who}: {what}", who=who, what=what))
    label = members(program.get("label"))
    given = {name: _listed(label[name]) for name in _LABEL if label.get(name)}
    if given:
        show(given, Form.TABLE)


def _listed(value: Any) -> str:
    return listed(said(str(one)) for one in (value if isinstance(value, list) else [value]))


def _program(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "program", f"{facts.get('name')}/{facts.get('version')}"
    for name in ("protocol", "engine"):
        yield name, said(str(facts.get(name, "")))
    yield "exactness", said(part_of(facts, "numeric"))
    if code := members(facts.get("code")):
        yield "bundle", code.get("digest")
        yield from ((name, code[name]) for name in _CODE if code.get(name))


def _facts(details: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in details.items():
        if name == "estimate" and isinstance(value, Mapping):
            yield from told(value, "estimated_")
        elif name == "timetable" and isinstance(value, Mapping):
            from secureflow.cli.timespans import runs_in_words

            yield name, runs_in_words(value)
        elif name == "program" and isinstance(value, Mapping):
            yield from _program(value)
        elif name not in {"expected", "privacy", "points", "label", "pipeline"}:
            yield _NAMES.get(name, name), value
    privacy = details.get("privacy")
    if not isinstance(privacy, Mapping):
        return
    for name in _COST:
        if privacy.get(name) is not None:
            yield name, said(privacy[name]) if isinstance(privacy[name], str) else privacy[name]
    prices = privacy.get("epsilon")
    if isinstance(prices, Mapping):
        yield "epsilon", prices.get("rdp-cks20")
        yield "epsilon_charged", prices.get(privacy.get("budget_conversion"))
        yield "epsilon_pld", prices.get("pld")
