"""What the steps of a preparation learned, in words: of a recipe, and of an explanation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from secureflow.cli.escaping import plain
from secureflow.cli.texts import listed, t

FITTED: Final = ("step", "name", "column", "learned")
"""The columns of such a table."""
_MOST_SHOWN: Final = 8
"""Numbers of a list that a table shows; `-o json` shows all."""


def fitted_rows(fitted: Any) -> Iterator[dict[str, Any]]:
    """Yield a row for each fit of an explanation: step (from 1), its name, the column, its fit."""
    for one in fitted if isinstance(fitted, list) else ():
        if isinstance(one, Mapping) and isinstance(one.get("fit"), Mapping):
            row = {name: plain(str(one.get(name, ""))) for name in FITTED[:3]}
            yield {**row, "learned": told(one["fit"])}


def told(fit: Mapping[str, Any]) -> str:
    """Return what was learned of a column, or what a selection keeps and what it chose by."""
    if isinstance(fit.get("kept"), list | tuple) and isinstance(fit.get("values"), Mapping):
        kept = listed(plain(str(one)) for one in fit["kept"])
        chosen_by = ", ".join(_chosen(name, value) for name, value in fit["values"].items())
        return t("keeps {columns} ({values})", columns=kept, values=chosen_by)
    return ", ".join(f"{plain(name)} {_short(value)}" for name, value in fit.items())


def _chosen(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        near = " ".join(f"~ {plain(other)} {_short(one)}" for other, one in value.items())
        return f"{plain(name)} {near}".rstrip()
    return f"{plain(name)} {_short(value)}"


def _short(value: Any) -> str:
    if isinstance(value, list):
        shown = ", ".join(map(_short, value[:_MOST_SHOWN]))
        return f"[{shown}, … {len(value)}]" if len(value) > _MOST_SHOWN else f"[{shown}]"
    return f"{value:.6g}" if isinstance(value, float) else plain(str(value))
