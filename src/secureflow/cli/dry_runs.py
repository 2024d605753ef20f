"""A dry run for people: the spec to sign, its cost, the width of answers, and notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from secureflow.cli.console import Form, say, show, write
from secureflow.cli.texts import listed, said, t
from secureflow.kit.reading import members, objects
from secureflow.kit.text import foreign

if TYPE_CHECKING:
    from secureflow.sdk.views import DryRun

_EXPECTED: Final = ("name", "measure", "rows", "standard_error")
_NAMES: Final = {"numbers": "released_numbers"}
_LABEL: Final = {
    **{"threshold": "privacy_threshold", "collusion": "collusion"},
    **{"trusted": "trusted", "leakage": "leakage"},
}
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
    if points := objects(answer.details.get("points")):
        from secureflow.cli.points import show_planned

        show_planned(points)
    if expected := answer.details.get("expected"):
        say(t("Standard errors that noise alone would give, with this many rows in each group:"))
        show(expected, Form.TABLE, _EXPECTED)
    for line in _learnt(answer.details):
        write(line)
    made_of = answer.texts.get("notes")
    known = made_of if isinstance(made_of, list) else []
    for note, one in zip_longest(answer.notes, known[: len(answer.notes)]):
        write(f"- {said(foreign(note, one))}")


def _program(program: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what is computed, who learns what, and what the protocol lets out."""
    yield "program", f"{program.get('name')}/{program.get('version')}"
    yield "program_digest", program.get("digest")
    for name in ("protocol", "engine"):
        yield name, t(str(program.get(name)))
    code = members(program.get("code"))
    for name in ("entry", "arguments", "input"):
        if code.get(name):
            yield name, code[name]
    label = members(program.get("label"))
    for name, title in _LABEL.items():
        if told := [t(str(one)) for one in _several(label.get(name))]:
            yield title, listed(told)


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def _learnt(details: Mapping[str, Any]) -> Iterator[str]:
    for one in objects(members(details.get("program")).get("learns")):
        yield t("learns: {who}: {what}", who=t(str(one.get("who"))), what=t(str(one.get("what"))))


def _facts(details: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in details.items():
        if name == "program" and isinstance(value, Mapping):
            yield from _program(value)
        elif name == "estimate" and isinstance(value, Mapping):
            yield from ((f"estimated_{one}", figure) for one, figure in value.items())
        elif name not in {"expected", "privacy", "points", "label"}:
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
