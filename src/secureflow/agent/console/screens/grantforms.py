"""The form of a grant: from fields that a person filled in to terms, and from terms to fields.

The agent checks the terms (`domain.grants.read_terms`); here they are only read. A form that was
refused is shown again as it was filled in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from secureflow.agent.console.screens.datasets import DatasetView
from secureflow.agent.console.screens.figures import DAY
from secureflow.domain.specs.protections import ProtectionName
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

PROTECTIONS: Final[tuple[str, ...]] = get_args(ProtectionName)
KINDS: Final = (
    *("training", "statistics", "evaluation", "prediction", "preparation", "psi", "mpc", "sweep"),
    *("timetable", "pipeline"),
)
"""The kinds of job that are offered; a test compares them with `SPEC_KINDS`."""
DAYS: Final = 90
_SEVERAL: Final = {"column.": "columns", "kind.": "kinds", "protection.": "protections"}
"""How the names of boxes begin, each of which is a value: a form may have a field only once."""
BOXES: Final = 40
"""With more columns they are named in a text, one on a line: a form has so many fields only."""
_NUMBERS: Final = ("epsilon", "epsilon_per_job", "min_group", "uses")
_WHOLE: Final = frozenset({"min_group", "uses", "days"})
_NUMBER: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
LONGEST: Final = 4096
"""Most entries of a field."""


@dataclass(frozen=True)
class GrantForm:
    """A form as it stands.

    Args:
        fields: of one value: name → what is in it.
        chosen: of several values: name → those.
    """

    fields: Mapping[str, str]
    chosen: Mapping[str, tuple[str, ...]]

    def value(self, name: str) -> str:
        """Return what is in a field."""
        return self.fields.get(name, "")

    def has(self, name: str, value: str) -> bool:
        """Tell whether a value is chosen."""
        return value in self.chosen.get(name, ())


def blank(dataset: DatasetView, project: str = "") -> GrantForm:
    """Return the form with its defaults: no sensitive column, no code, 90 days, people decide."""
    columns = tuple(one.name for one in dataset.columns if not one.sensitive)
    fields = {"dataset": dataset.name, "project": project, "days": str(DAYS), "bundles": "none"}
    return GrantForm(fields, {"columns": columns})


def filled_in(sent: Mapping[str, str]) -> GrantForm:
    """Read what a browser sent: boxes that are ticked, and texts."""
    fields: dict[str, str] = {}
    chosen: dict[str, list[str]] = {"columns": list(_lines(sent.get("columns", "")))}
    for name, value in sent.items():
        begins = next((one for one in _SEVERAL if name.startswith(one)), "")
        if begins:
            chosen.setdefault(_SEVERAL[begins], []).append(name.removeprefix(begins))
        elif name != "columns":
            fields[name] = value
    return GrantForm(fields, {name: tuple(each) for name, each in chosen.items()})


def terms_in(form: GrantForm, now: int) -> dict[str, Any]:
    """Return the terms that a form asks for; fields that are empty leave open what they are about.

    Args:
        form: as it was filled in.
        now: unix seconds; the grant ends so many days later.

    Raises:
        SecureFlowError: `invalid_grant` for what is no number, or names no code.
    """
    terms: dict[str, Any] = {
        "dataset": form.value("dataset").strip(),
        "project": form.value("project").strip(),
        "columns": list(form.chosen.get("columns", ())),
        "expires": now + int(_number(form, "days", DAYS) or 0) * DAY,
        "bundles": _code(form),
        "automatic": form.value("automatic") == "yes",
    }
    for name in ("purposes", "parties"):
        terms[name] = list(_lines(form.value(name)))
    for name in ("kinds", "protections"):
        terms[name] = list(form.chosen.get(name, ()))
    for name in _NUMBERS:
        terms[name] = _number(form, name)
    return {name: one for name, one in terms.items() if one not in (None, [], False)}


def _code(form: GrantForm) -> str | list[str]:
    if form.value("bundles") == "person":
        return "person"
    if form.value("bundles") != "digests":
        return "none"
    named = list(_lines(form.value("digests")))
    if named:
        return named
    raise SecureFlowError(
        "invalid_grant",
        "The grant is to allow certain code, and names none.",
        "Give the digests of the code, one on a line, or choose that no code may be brought.",
    )


def _lines(text: str) -> Iterator[str]:
    for one in text.splitlines()[:LONGEST]:
        if name := one.strip():
            yield name


def _number(form: GrantForm, name: str, otherwise: float | None = None) -> float | None:
    written = form.value(name).strip()
    if not written:
        return otherwise
    whole = name in _WHOLE
    if not _NUMBER.fullmatch(written) or (whole and "." in written):
        raise SecureFlowError(
            "invalid_grant",
            Text("{written!r} is no number ({field}).", written=written[:40], field=name),
            "Leave the field empty to set no limit.",
        )
    return int(written) if whole else float(written)
