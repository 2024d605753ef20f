"""Errors of a worker, said again by the agent: of a worker's words nothing leaves.

A worker parses what others wrote, or runs it: what it says may be meant for the centre, which sees
errors, or for this agent, which signs accusations and waits for disks. So an error counts for no
more than its place in a table (`worker_texts`), and each fact in it is compared with what the agent
knows: the declaration and the spec that it sent itself. Numbers of rows, lengths and names of files
are told where a job has no differential privacy, and to the owner; everything else is constant.

What the table does not know is told as `worker_failed`, and its words are in this agent's own log.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import Any, Final

from secureflow.adapters.datasources import SourceLimits
from secureflow.agent.compute.worker_texts import (
    ARROW,
    DTYPES,
    ERRORS,
    EXCEPTIONS,
    FAILED,
    REASONS,
    SEE_LOG,
    UNSAID,
    WHERE,
    Facts,
    Told,
)
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.summed import LEAST_ROWS, MOST_ROWS
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.foldertree import MAX_ENTRIES
from secureflow.kit.logging import get_logger
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

_log = get_logger(__name__)

_LOGGED: Final = 2000
"""Characters of a worker's words in the log."""
_SHAPE: Final = re.compile(r"\[\d{1,9}(, \d{1,9}){0,7}\]")
_MOST: Final = 1 << 53
_LIMITS: Final = SourceLimits()
_TYPES: Final = frozenset({"number", "category", "text", "image", "array"})


class WorkerError(SecureFlowError):
    """What a worker's failure is told as; it proves nothing against anybody.

    A class of its own, so that it never makes this organisation accuse somebody.
    """


class _Unknown(Exception):  # noqa: N818 - never leaves this module
    """A fact or a template is not what it must be."""


@dataclass(frozen=True)
class Asked:
    """What the agent itself knows of the request that failed.

    Args:
        job: its id; empty for a dataset that is described.
        spec: the job's.
        dataset: the declaration that was sent.
        owner: whether the dataset's owner alone reads the answer.
    """

    job: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)
    dataset: DatasetConfig | None = None
    owner: bool = False

    @property
    def tells_rows(self) -> bool:
        """Whether an error may depend on single rows."""
        return self.owner or self.spec.get("privacy") is None

    @cached_property
    def columns(self) -> frozenset[str]:
        """The columns that the declaration and the spec name."""
        declared = () if self.dataset is None else self.dataset.columns
        person = self.dataset.privacy.person if self.dataset and self.dataset.privacy else None
        key = self.dataset.key if self.dataset else None
        undeclared = {one for one in (person, key) if one}
        named = _values(self.spec, "column")
        return frozenset({*(one.name for one in declared), *named, *undeclared})

    @cached_property
    def bounds(self) -> frozenset[str]:
        """Their bounds, as texts tell them."""
        declared = () if self.dataset is None else self.dataset.columns
        return frozenset(f"{end:g}" for one in declared for end in one.bounds or ())

    @cached_property
    def lengths(self) -> frozenset[int]:
        """The most characters that columns may have."""
        declared = () if self.dataset is None else self.dataset.columns
        return frozenset(one.length for one in declared if one.length is not None)


def worker_error(raw: Mapping[str, Any], asked: Asked) -> WorkerError:
    """Return what a worker's error is told as.

    Args:
        raw: the `error` of its answer, whatever it is.
        asked: what is known of the request.
    """
    code = raw.get("code")
    template, facts = _parts(raw, "message")
    hinted = _parts(raw, "hint")[1]
    for told in ERRORS.get(code, ()) if isinstance(code, str) else ():
        if told.message == template:
            try:
                return _said(str(code), told, {**hinted, **facts}, raw.get("details"), asked)
            except _Unknown:
                break
    words = f"{raw.get('code')}: {raw.get('message')}"
    _log.warning("worker_error", job=asked.job, message=shown(words[:_LOGGED]))
    return failed(UNSAID)


def failed(reason: str, hint: str = SEE_LOG) -> WorkerError:
    """Return the error of a worker that failed for a reason that the agent found."""
    return WorkerError(FAILED, Text("The worker process failed: {reason}.", reason=reason), hint)


def _said(
    code: str, told: Told, facts: Mapping[str, Any], details: object, asked: Asked
) -> WorkerError:
    checked = _Checked(asked)
    known = {name: checked.fact(rule, facts.get(name)) for name, rule in told.facts.items()}
    more = details if isinstance(details, Mapping) else {}
    kept = {name: checked.detail(name, more.get(name)) for name in told.details if name in more}
    return WorkerError(code, _filled(told.message, known), _filled(told.hint, known), kept)


def _filled(template: str, known: Mapping[str, object]) -> str:
    """Return a text with the facts that it names."""
    names = {name for _, name, _, _ in Formatter().parse(template) if name}
    if isinstance(template, Text) or not names:
        return template
    return Text.of_table(template, {name: known[name] for name in names})


class _Checked:
    """Facts of a worker, compared: what is returned is told, `_Unknown` is raised for the rest."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def fact(self, rule: str, value: object) -> object:
        """Return the fact if it follows the rule."""
        found: object = getattr(self, f"_{rule}")(value)
        return found

    def detail(self, name: str, value: object) -> object:
        """Return what programs are told; a row may be missing, for a whole column."""
        return None if name == "row" and value is None else self.fact(name, value)

    def _same(self, value: object, known: object) -> object:
        if type(value) is not type(known) or value != known:
            raise _Unknown
        return known

    def _among(self, value: object, known: frozenset[Any]) -> object:
        if not isinstance(value, str | int) or isinstance(value, bool) or value not in known:
            raise _Unknown
        return value

    def _dataset(self, value: object) -> object:
        return self._same(value, "" if self._asked.dataset is None else self._asked.dataset.name)

    def _job(self, value: object) -> object:
        return self._same(value, self._asked.job)

    def _kind(self, value: object) -> object:
        return self._same(value, str(self._asked.spec.get("kind"))[:40])

    def _family(self, value: object) -> object:
        return self._among(value, frozenset(_values(self._asked.spec.get("model"), "family")))

    def _library(self, value: object) -> object:
        return self._among(value, frozenset(_values(self._asked.spec.get("privacy"), "library")))

    def _column(self, value: object) -> object:
        return self._among(value, self._asked.columns)

    def _party(self, value: object) -> object:
        return self._among(value, frozenset(_values(self._asked.spec.get("roster"), "party")))

    def _step(self, value: object) -> object:
        return self._among(value, frozenset(_values(self._asked.spec, "step")))

    def _type(self, value: object) -> object:
        return self._among(value, _TYPES)

    def _length(self, value: object) -> object:
        return self._among(value, self._asked.lengths)

    def _limit(self, value: object) -> object:
        images = {_LIMITS.max_image_bytes, _LIMITS.max_pixels, MAX_ENTRIES}
        return self._among(value, frozenset({*images, MOST_ROWS, LEAST_ROWS}))

    def _bound(self, value: object) -> object:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or (told := f"{value:g}") not in self._asked.bounds:
            raise _Unknown
        return float(told)  # not a digit more than is read

    def _row(self, value: object) -> object:
        return self._number(value, _LIMITS.max_rows + 1)

    def _count(self, value: object) -> object:
        return self._number(value, _MOST)

    def _number(self, value: object, most: int) -> object:
        """Return a number that depends on rows, where it may be told."""
        if not self._asked.tells_rows or type(value) is not int or not 0 <= value <= most:
            raise _Unknown
        return value

    def _exception(self, value: object) -> object:
        return self._told_with_rows(self._among(value, EXCEPTIONS))

    def _arrow(self, value: object) -> object:
        return self._told_with_rows(self._among(value, ARROW))

    def _dtype(self, value: object) -> object:
        return self._told_with_rows(self._among(value, DTYPES))

    def _shape(self, value: object) -> object:
        if not isinstance(value, str) or not _SHAPE.fullmatch(value):
            raise _Unknown
        return self._told_with_rows(value)

    def _told_with_rows(self, value: object) -> object:
        if not self._asked.tells_rows:
            raise _Unknown
        return value

    def _file(self, value: object) -> object:
        """Return the name of a file that is in the dataset's folder."""
        dataset = self._asked.dataset
        if dataset is None or not dataset.is_folder or not isinstance(value, str):
            raise _Unknown
        if value in {f"{one.name}.npy" for one in dataset.columns}:
            return value
        name = PurePosixPath(value)
        if not value or "\0" in value or name.is_absolute() or ".." in name.parts:
            raise _Unknown
        try:
            there = os.path.lexists(Path(dataset.path) / name)
        except (OSError, ValueError):
            there = False
        if not there:
            raise _Unknown
        return self._told_with_rows(value)

    def _where(self, value: object) -> object:
        """Return a place in the dataset; without its file if that is not one that is there."""
        template, facts = _nested(value)
        rules = WHERE.get(template)
        if rules is None:
            raise _Unknown
        try:
            return self._made(template, rules, facts)
        except _Unknown:
            shorter = template.replace("file {file}, ", "")
            return self._made(shorter, WHERE[shorter], facts)

    def _reason(self, value: object) -> object:
        """Return a reason that is known, or the one that stands for all others."""
        template, facts = _nested(value)
        try:
            return self._made(template, REASONS[template], facts)
        except (_Unknown, KeyError):
            _log.warning("worker_reason", job=self._asked.job, message=_logged(value))
            return UNSAID

    def _made(self, template: str, rules: Facts, facts: Mapping[str, Any]) -> str:
        if not rules:
            return template
        checked = {name: self.fact(rule, facts.get(name)) for name, rule in rules.items()}
        return Text.of_table(template, checked)


def _logged(value: object) -> str:
    said = value.get("english", "") if isinstance(value, Mapping) else value
    return shown(str(said)[:_LOGGED])


def _parts(raw: Mapping[str, Any], name: str) -> tuple[str, Mapping[str, Any]]:
    """Return template and facts of a member of an error; a text without facts is its template."""
    texts = raw.get("texts")
    return _nested(raw.get(name), texts.get(name) if isinstance(texts, Mapping) else None)


def _nested(value: object, made_of: object = None) -> tuple[str, Mapping[str, Any]]:
    made = value if made_of is None else made_of
    if isinstance(made, Mapping):
        template, facts = made.get("template"), made.get("facts")
        if isinstance(template, str) and isinstance(facts, Mapping):
            return template, facts
    return (value if isinstance(value, str) else ""), {}


def _values(value: object, member: str) -> Iterator[str]:
    """Yield every text that stands under this name in a JSON value."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            if name == member and isinstance(one, str):
                yield one
            else:
                yield from _values(one, member)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _values(one, member)
