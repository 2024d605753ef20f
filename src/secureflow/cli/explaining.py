"""`job explain` for people: who could see what, what is stopped, costs, fits and dropouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.cli.console import Form, show, write
from secureflow.cli.fits import FITTED, fitted_rows
from secureflow.cli.texts import part_of, said, t
from secureflow.kit.reading import members, objects
from secureflow.texts import chosen_name

_HEAD: Final = ("protection", "tee", "rounds")
_COST: Final = (
    *("unit", "contributions", "mechanism", "noise", "noise_multiplier", "clipping_norm"),
    *("sampling", "metrics_noise", "library", "delta", "epsilon", "epsilon_pld"),
)
_DROPPED: Final = ("party", "round", "stage", "reason")


def show_explanation(explanation: Mapping[str, Any]) -> None:
    """Print an explanation as tables; the JSON and YAML forms have more."""
    head = {name: _spoken(explanation.get(name)) for name in _HEAD if explanation.get(name)}
    if head.get("rounds") == 1:  # one step, which nobody calls a round
        del head["rounds"]
    show(head, Form.TABLE)
    _section(t("Who could see what"), explanation.get("disclosure"), ("who", "sees", "why"))
    _section(t("What is stopped"), explanation.get("attacks"), ("attack", "stopped", "why"))
    _section(t("What the protocol gives"), explanation.get("label"), ("what", "why"))
    if privacy := members(explanation.get("privacy")):
        write(f"\n{t('What it cost')}")
        facts = {n: _spoken(privacy[n]) for n in _COST if privacy.get(n) is not None}
        show(facts, Form.TABLE)
        _section(t("What is released"), privacy.get("released"), ("number", "mechanism"))
    if fitted := list(fitted_rows(explanation.get("fitted"))):
        write(f"\n{t('What was fitted')}")
        show(fitted, Form.TABLE, FITTED)
    if points := objects(explanation.get("points")):
        from secureflow.cli.points import point_columns, point_row

        rows = [point_row(one) for one in points]
        write(f"\n{t('Points')}")
        show(rows, Form.TABLE, point_columns(rows))
        if choosing := part_of(explanation, "choosing"):
            write(said(choosing))
    _section(t("Who dropped out"), explanation.get("dropouts"), _DROPPED)


def _section(title: str, rows: Any, columns: Sequence[str]) -> None:
    told = [{name: _part(row, name) for name in columns} for row in objects(rows)]
    if not told:
        return
    write(f"\n{title}")
    show(told, Form.TABLE, columns)


def _part(row: Mapping[str, Any], name: str) -> Any:
    value = row.get(name)
    if name == "number" and chosen_name(row):
        return value
    return said(part_of(row, name)) if isinstance(value, str) else value


def _spoken(value: Any) -> Any:
    return said(value) if isinstance(value, str) else value
