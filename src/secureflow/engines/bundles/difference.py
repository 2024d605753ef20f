"""How two bundles differ, for a person who decides about the newer one.

Each file is shown as a unified diff whose lines are escaped (`characters.written`), with the counts
of lines that come and go. Nothing is cut here: whoever shows it takes as many lines as there is
room for, and says how many there are. A comparison has a bound of work (`lines`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from secureflow.engines.bundles.characters import LOOKED_AT, Remark, remarks, words, written
from secureflow.engines.bundles.format import Bundle
from secureflow.engines.bundles.lines import Step, Work, edit

State = Literal["added", "removed", "changed"]

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
        lines: the unified diff, without its two lines of names; escaped.
    """

    path: str
    state: State
    size: int
    added: int
    removed: int
    lines: tuple[str, ...]


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

    def written(self) -> Iterator[str]:
        """Yield the lines of the whole difference, each file under its names."""
        for one in self.changes:
            yield "--- " + ("/dev/null" if one.state == "added" else f"old/{one.path}")
            yield "+++ " + ("/dev/null" if one.state == "removed" else f"new/{one.path}")
            yield from one.lines


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
    work = Work(LOOKED_AT)
    for path, content in bundle.files.items():
        if old is None or old.files.get(path) != content:
            yield from remarks(path, bundle.text(path), known, work)


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
        tuple(_unified(old, new, steps)),
    )


def _lines(content: bytes | None) -> list[str]:
    r"""Return the lines of a file; the last one keeps its `\n` if it has one, as all do."""
    if not content:
        return []
    parts = content.decode("utf-8").split("\n")
    last = parts.pop()
    return [f"{one}\n" for one in parts] + ([last] if last else [])


def _unified(old: Sequence[str], new: Sequence[str], steps: Sequence[Step]) -> Iterator[str]:
    for first, end in _hunks(steps):
        hunk = steps[first:end]
        before = sum(tag != "+" for tag, _, _ in hunk)
        after = sum(tag != "-" for tag, _, _ in hunk)
        start, begin = hunk[0][1] + bool(before), hunk[0][2] + bool(after)
        yield f"@@ -{_span(start, before)} +{_span(begin, after)} @@"
        for tag, x, y in hunk:
            line = new[y] if tag == "+" else old[x]
            yield tag + written(line.removesuffix("\n"))
            if not line.endswith("\n"):
                yield "\\ No newline at end of file"


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
