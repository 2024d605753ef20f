"""How two bundles differ, for a person who decides about the newer one.

Each file is shown as a unified diff whose lines are escaped (`characters.written`), with the counts
of lines that come and go. Nothing is cut here: whoever shows it takes as many lines as there is
room for, and says how many there are. A comparison has a bound of work (`lines`), a bundle one of
lines (`format`), and lines are written only when they are shown.

A line of a file never looks like one that names a file: the second character of such a line is
written as an escape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Final, Literal

from secureflow.engines.bundles.characters import LOOKED_AT, Remark, remarks, words, written
from secureflow.engines.bundles.format import Bundle
from secureflow.engines.bundles.identifiers import foreign_names
from secureflow.engines.bundles.inspection import MAX_PARSED_IN_ALL
from secureflow.engines.bundles.lines import Step, Work, edit

State = Literal["added", "removed", "changed"]
_Line = tuple[str, str]
"""A tag, or "", and the text behind it, not escaped."""

CONTEXT: Final = 3
"""Unchanged lines around a change."""
WORK: Final = 1_000_000
"""Comparisons of lines in one difference of bundles: some seconds at most."""


@dataclass(frozen=True)
class FileChange:
    """A file that is in one bundle alone, or has other content in the other.

    Args:
        path: of the file.
        state: what happened to it.
        size: bytes of the newer content; of the older one if it was removed.
        added: lines that come.
        removed: lines that go.
        old: its lines before.
        new: its lines now.
        steps: from the one to the other.
    """

    path: str
    state: State
    size: int
    added: int
    removed: int
    old: Sequence[str] = field(repr=False)
    new: Sequence[str] = field(repr=False)
    steps: Sequence[Step] = field(repr=False)

    @property
    def lines(self) -> tuple[str, ...]:
        """The unified diff, without its two lines of names; escaped."""
        return tuple(map(_escaped, _unified(self.old, self.new, self.steps)))


@dataclass(frozen=True)
class Difference:
    """Every file that differs, sorted by path, and remarks on the newer bundle's changed files."""

    changes: tuple[FileChange, ...]
    remarks: tuple[Remark, ...]

    @property
    def added(self) -> int:
        """Lines that come, over all files."""
        return sum(one.added for one in self.changes)

    @property
    def removed(self) -> int:
        """Lines that go, over all files."""
        return sum(one.removed for one in self.changes)

    def written(self, first: int = 0, end: int | None = None) -> Iterator[str]:
        """Yield the lines of the whole difference, each file under its names.

        Args:
            first: how many lines are left out at the beginning.
            end: the line before which it stops; by default the last one is yielded too.
        """
        return map(_escaped, islice(self._lines(), first, end))

    @cached_property
    def height(self) -> int:
        """How many lines the whole difference has."""
        return sum(1 for _ in self._lines())

    def _lines(self) -> Iterator[_Line]:
        for one in self.changes:
            yield "", "--- " + ("/dev/null" if one.state == "added" else f"old/{one.path}")
            yield "", "+++ " + ("/dev/null" if one.state == "removed" else f"new/{one.path}")
            yield from _unified(one.old, one.new, one.steps)


def diff(old: Bundle | None, new: Bundle) -> Difference:
    """Return how a bundle differs from an older one; from None everything is new."""
    before = {} if old is None else old.files
    work = Work(WORK)
    changes = []
    for path in sorted({*before, *new.files}):
        was, becomes = before.get(path), new.files.get(path)
        if was != becomes:
            changes.append(_change(path, was, becomes, work))
    return Difference(tuple(changes), tuple(pointed_out(new, old)))


def pointed_out(bundle: Bundle, old: Bundle | None = None) -> Iterator[Remark]:
    """Yield remarks on the files of a bundle that an older one does not have as they are."""
    known: set[str] = set()
    for path in bundle.files:
        known |= words(bundle.text(path))
    work, room = Work(LOOKED_AT), Work(MAX_PARSED_IN_ALL)
    names: frozenset[str] | None
    for path, content in bundle.files.items():
        if old is None or old.files.get(path) != content:
            text, names = bundle.text(path), frozenset()
            if path.endswith(".py") and not text.isascii():
                read = room.take(len(content))
                names = foreign_names(text) if read else None
            yield from remarks(path, text, known, work, names)


def _change(path: str, was: bytes | None, becomes: bytes | None, work: Work) -> FileChange:
    old, new = _lines(was), _lines(becomes)
    steps = edit(old, new, work)
    content = becomes if becomes is not None else was
    state: State = "changed"
    if was is None:
        state = "added"
    elif becomes is None:
        state = "removed"
    return FileChange(
        path,
        state,
        len(content or b""),
        sum(tag == "+" for tag, _, _ in steps),
        sum(tag == "-" for tag, _, _ in steps),
        old,
        new,
        steps,
    )


def _lines(content: bytes | None) -> list[str]:
    r"""Return the lines of a file; the last one keeps its `\n` if it has one, as all do."""
    if not content:
        return []
    parts = content.decode("utf-8").split("\n")
    last = parts.pop()
    return [f"{one}\n" for one in parts] + ([last] if last else [])


def _escaped(line: _Line) -> str:
    tag, text = line
    whole = tag + written(text.removesuffix("\n")) if tag else text
    forged = tag and whole.startswith(("+++ ", "--- "))
    return f"{tag}\\x{ord(tag):02x}{whole[2:]}" if forged else whole


def _unified(old: Sequence[str], new: Sequence[str], steps: Sequence[Step]) -> Iterator[_Line]:
    """Yield the lines of a unified diff with their tags; those without one are not of the file."""
    for first, end in _hunks(steps):
        hunk = steps[first:end]
        before = sum(tag != "+" for tag, _, _ in hunk)
        after = sum(tag != "-" for tag, _, _ in hunk)
        start, begin = hunk[0][1] + bool(before), hunk[0][2] + bool(after)
        yield "", f"@@ -{_span(start, before)} +{_span(begin, after)} @@"
        for tag, x, y in hunk:
            line = new[y] if tag == "+" else old[x]
            yield tag, line
            if not line.endswith("\n"):
                yield "", "\\ No newline at end of file"


def _hunks(steps: Sequence[Step]) -> Iterator[tuple[int, int]]:
    """Yield the first step and the end of each group of changes with the lines around it."""
    first = end = -1
    for at, (tag, _, _) in enumerate(steps):
        if tag == " ":
            continue
        if first >= 0 and at - CONTEXT > end:
            yield first, end
            first = -1
        if first < 0:
            first = max(0, at - CONTEXT)
        end = min(len(steps), at + 1 + CONTEXT)
    if first >= 0:
        yield first, end


def _span(start: int, count: int) -> str:
    return str(start) if count == 1 else f"{start},{count}"
