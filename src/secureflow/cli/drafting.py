"""A drafted declaration as YAML, for its owner to read, correct and keep."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from secureflow.cli.texts import listed, t

if TYPE_CHECKING:
    from secureflow.adapters.datasources.drafts import ColumnDraft, TableDraft


def block(
    draft: TableDraft, name: str, path: str, origin: dict[str, Any] | None = None
) -> list[str]:
    """Return the lines of one entry of `datasets:`, not indented.

    Args:
        draft: the draft of the file.
        name: the dataset's name.
        path: the file, as named in agent.yaml.
        origin: the job whose result it is, and the privacy domain of its rows.

    Raises:
        SecureFlowError: `dataset_unreadable` when no column can be used.
    """
    draft.dataset(name, Path(path))
    lines = [f"- name: {_yaml(name)}", f"  path: {_yaml(path)}", f"  format: {draft.format}"]
    if origin is not None:
        lines.append(f"  result: {_yaml(origin)}")
    if draft.index is not None:
        lines.append(f"  index: {_yaml(draft.index)}")
    if draft.missing != ("",):
        lines.append(f"  missing: {_yaml(list(draft.missing))}")
    lines.append("  columns:")
    if any(column.bounds for column in draft.columns):
        lines.append(
            f"    # {t('Bounds come from the rows: enter the range that the quantity can have.')}"
        )
    lines += [_column(column) for column in draft.columns if column.type is not None]
    left = [column for column in draft.columns if column.left_out is not None]
    if left:
        lines.append(f"  # {t('Left out; declare one by hand if jobs need it:')}")
    for one in left:
        lines.append(f"  #   {_word(one.name)}: {_reason(one.left_out)}")
    lines.append(
        f"  # {t('Without a budget, jobs with differential privacy are refused. Choose one:')}"
    )
    lines.append(f"  # privacy: {_yaml(_privacy(draft, origin['domain'] if origin else name))}")
    named = [one.name for one in left if one.left_out == "identifier"]
    if named:
        lines.append(f"  # {t('Jobs can hold out all rows of a person or none, by the column:')}")
        lines.append(f"  # key: {_yaml(named[0])}")
    return lines


def remarks(draft: TableDraft) -> Iterator[str]:
    """Yield notes for the owner to read before confirming the draft."""
    rows, columns = draft.rows, len(draft.columns)
    yield t(
        "{rows} {rows:row|rows}, {columns} {columns:column|columns}; nothing was sent anywhere.",
        rows=rows,
        columns=columns,
    )
    if any(column.bounds for column in draft.columns):
        yield t(
            "Bounds taken from the data are data: everyone who sees the description "
            "learns roughly what your smallest and largest rows are, and a row that "
            "comes later may not fit. Enter the range that the quantity can have (an "
            "age: 0 to 120), without looking at the data."
        )
    published = [column.name for column in draft.columns if column.categories]
    if published:
        yield t(
            ("Categories are published as they are: remove those that name a person ({names})."),
            names=listed(published),
        )
    resized = [column.name for column in draft.columns if column.fit]
    if resized:
        yield t(
            "The images of {names} have several sizes and are resized to the most frequent one: "
            "declare the size that the models are to see, the same at every owner.",
            names=listed(resized),
        )
    unbounded = [column.name for column in draft.columns if column.type == "array"]
    if unbounded:
        yield t(
            "Arrays have no bounds in the draft; jobs with differential privacy need them: add "
            "bounds to {names}.",
            names=listed(unbounded),
        )
    sensitive = [column.name for column in draft.columns if column.sensitive and column.type]
    if sensitive:
        yield t(
            "Marked sensitive by their names alone, so check the others too: {names}.",
            names=listed(sensitive),
        )


def slug(stem: str) -> str:
    """Return a dataset name from a file's name: lowercase letters, digits and dashes."""
    plain = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    return plain[:40].strip("-") or "data"


def _column(column: ColumnDraft) -> str:
    entry: dict[str, Any] = {"name": column.name, "type": column.type}
    if column.bounds is not None:
        entry["bounds"] = [_number(one) for one in column.bounds]
    if column.shape is not None:
        entry["shape"] = list(column.shape)
    if column.dtype is not None:
        entry["dtype"] = column.dtype
    if column.fit is not None:
        entry["fit"] = column.fit
    if column.categories:
        entry["categories"] = list(column.categories)
    if column.sensitive:
        entry["sensitive"] = True
    notes = []
    if column.bounds is not None:
        notes.append(t("to be confirmed"))
    if column.nullable:
        notes.append(t("has missing values"))
    if column.sensitive:
        notes.append(t("sensitive by its name"))
    note = f"  # {t('; ').join(notes)}" if notes else ""
    return f"    - {_yaml(entry)}{note}"


def _reason(left_out: str | None) -> str:
    reasons = {
        "identifier": t("it identifies rows or persons"),
        "text": t("free text, or too many different values for categories"),
        "mixed": t("most of its cells are numbers, some are not"),
        "date": t("dates or times: derive an age or a duration, or declare a text for date_parts"),
        "constant": t("the same value in every row"),
        "empty": t("no value in any row"),
        "infinite": t("it holds infinite numbers"),
        "name": t("its name is empty, duplicated, too long or not printable"),
    }
    return reasons.get(left_out or "", t("neither numbers nor categories"))


def _privacy(draft: TableDraft, name: str) -> dict[str, Any]:
    """Return an initial budget: δ well below one over the number of rows."""
    power = max(5, math.ceil(math.log10(draft.rows)) + 1)
    return {"domain": name, "unit": "record", "epsilon": 3.0, "delta": float(f"1e-{power}")}


def _number(value: float) -> float | int:
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _yaml(value: Any) -> str:
    """Return a value as YAML on one line, whatever characters it has."""
    text = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=math.inf
    )
    return text.removesuffix("...\n").strip()


def _word(name: str) -> str:
    return name if name.isprintable() and name.strip() else json.dumps(name)
