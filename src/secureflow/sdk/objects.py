"""What answers are made of, as it shows itself: a short line as text, a small table in a notebook.

Beside that they are the domain's own classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from secureflow.domain import datasets, jobs, models, projects
from secureflow.kit.plain import shown
from secureflow.kit.text import Text, foreign
from secureflow.sdk import display
from secureflow.texts import explained, preferred


@dataclass(frozen=True, repr=False)
class Job(jobs.Job):
    """One computation."""

    def __repr__(self) -> str:
        """Return id, name, kind and state."""
        return shown(f"<Job {self.id} {self.name!r}: {self.kind}, {self.state}>")

    def _repr_html_(self) -> str:
        figures = {name: one for name, one in self.progress.items() if name in jobs.FIGURES}
        told = {
            **_members(self, _JOB),
            "protection": self.spec.get("protection"),
            "progress": figures,
            "error": _why(self.error),
        }
        return display.facts(self.name, told)


@dataclass(frozen=True, repr=False)
class JobSummary(jobs.JobSummary):
    """What lists show of a job."""

    def __repr__(self) -> str:
        """Return id, name, kind and state."""
        return shown(f"<Job {self.id} {self.name!r}: {self.kind}, {self.state}>")

    def _repr_html_(self) -> str:
        told = {**_members(self, _JOB), "progress": self.progress, "error": _why(self.error)}
        return display.facts(self.name, told)


@dataclass(frozen=True, repr=False)
class Model(models.Model):
    """A released model."""

    def __repr__(self) -> str:
        """Return id, name, version and family."""
        return shown(f"<Model {self.id} {self.name!r} v{self.version}: {self.family}>")

    def _repr_html_(self) -> str:
        return display.facts(f"{self.name} v{self.version}", _members(self, _MODEL))


@dataclass(frozen=True, repr=False)
class Dataset(datasets.Dataset):
    """An organisation's description of data that stays at its agent."""

    def __repr__(self) -> str:
        """Return id, owner, name, rows and the number of columns."""
        size = f"{self.rows} rows, {len(self.columns)} columns"
        return shown(f"<Dataset {self.id} {self.organisation}/{self.name}: {size}>")

    def _repr_html_(self) -> str:
        columns = [
            {
                "column": one.name,
                "type": one.type,
                "bounds": None if one.bounds is None else [*one.bounds],
                "categories": list(one.categories),
                "shape": None if one.shape is None else [*one.shape],
                "sensitive": one.sensitive or None,
            }
            for one in self.columns
        ]
        names = [name for name in _COLUMN if any(row[name] for row in columns)]
        privacy = None
        if self.privacy is not None:
            unit, most = display.word(self.privacy.unit), self.privacy.rows_per_person
            privacy = Text("per {unit}, at most {rows} rows of each count", unit=unit, rows=most)
        told = {**_members(self, _DATASET), "privacy": privacy}
        listed = display.table(names, columns) if columns else ""
        return display.facts(self.title, told) + listed


@dataclass(frozen=True, repr=False)
class Project(projects.Project):
    """A collaboration."""

    def __repr__(self) -> str:
        """Return id, name and the number of members."""
        return shown(f"<Project {self.id} {self.name!r}: {len(self.members)} members>")

    def _repr_html_(self) -> str:
        members = [f"{one.organisation} ({display.word(one.state)})" for one in self.members]
        told = {**_members(self, _PROJECT), "members": "\n".join(members)}
        return display.facts(self.name, told)


_JOB: Final = ("id", "kind", "state", "project", "organisation", "submitter", "digest",
               "created", "updated")  # fmt: skip
_MODEL: Final = ("id", "family", "project", "job", "digest", "artifact", "metrics", "parents",
                 "created")  # fmt: skip
_COLUMN: Final = ("column", "type", "bounds", "categories", "shape", "sensitive")
_DATASET: Final = ("id", "organisation", "name", "rows", "commitment", "created", "removed")
_PROJECT: Final = ("id", "purpose", "description", "organisation", "created", "closed")
_LISTED: Final[Mapping[type[Any], tuple[str, ...]]] = {
    JobSummary: ("id", "name", "kind", "state", "project", "organisation", "submitter", "created"),
    Model: ("id", "name", "version", "family", "job", "metrics", "created"),
    Dataset: ("id", "organisation", "name", "title", "rows", "created"),
    Project: ("id", "name", "purpose", "organisation", "created"),
}


def listed_columns(of: type[Any]) -> tuple[str, ...]:
    """Return what a list shows of each item of a class; of others all that they have."""
    return _LISTED.get(of) or tuple(field.name for field in fields(of))


def _members(one: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(one, name) for name in names}


def _why(error: Mapping[str, Any] | None) -> str | None:
    """Return why a job ended, with the next step."""
    if not error:
        return None
    made_of = error.get("texts")
    texts = made_of if isinstance(made_of, Mapping) else {}
    code = str(error.get("code") or "")
    message = foreign(error.get("message") or "", texts.get("message"))
    hint = foreign(error.get("hint") or "", texts.get("hint"))
    told = f"{code}: {explained(code, message, preferred())}"
    return told + (f" → {display.word(hint)}" if hint else "")
