"""What a bundle says in this process while it runs: what it prints, and its warnings.

At an owner all of it goes to the log of the job. Here it goes to stderr, each line with the name of
whose code wrote it; a warning that comes again and again is kept once, with how often it came.
"""

from __future__ import annotations

import io
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Final, TextIO

from secureflow.kit.text import Text

_NUMBER: Final = re.compile(r"\d[\d.]*(?:e[-+]?\d+)?", re.IGNORECASE)
_LONGEST: Final = 600
_MOST: Final = 30
"""Warnings that are told one by one."""
_ALWAYS: Final = ("always", None, Warning, None, 0)
"""The filter that `warnings.simplefilter("always")` sets."""


class Marked(io.TextIOBase):
    """A text stream that begins each line with a mark.

    Args:
        under: where the lines go.
        mark: what stands before each.
    """

    def __init__(self, under: TextIO, mark: str) -> None:
        self._under, self._mark, self._begun = under, mark, False

    def write(self, text: str) -> int:
        """Write a text; a line may come in several pieces."""
        for line in text.splitlines(keepends=True):
            self._under.write(line if self._begun else f"{self._mark}{line}")
            self._begun = not line.endswith("\n")
        return len(text)

    def turn(self, mark: str) -> None:
        """Go on with another mark: what keeps this stream, a handler of logs, has it too."""
        self.end()
        self._mark = mark

    def end(self) -> None:
        """End a line that was begun: the next one is of somebody else."""
        if self._begun:
            self._under.write("\n")
        self._begun = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream below."""
        return self._under.encoding

    @property
    def buffer(self) -> Any:
        """The bytes below; what is written there has no mark."""
        return self._under.buffer

    def flush(self) -> None:
        """Flush what is below."""
        self._under.flush()

    def isatty(self) -> bool:
        """Tell that nobody looks: a bar of progress would write over its mark."""
        return False

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True

    def fileno(self) -> int:
        """Return the descriptor below, for what is written past this stream."""
        return self._under.fileno()


class Warned:
    """What the code of all parties says: its one stream, and its warnings.

    Each is kept once, with how often it came, whatever numbers are in it.
    """

    def __init__(self) -> None:
        self._times: dict[tuple[str, str, str, int], int] = {}
        self._first: dict[tuple[str, str, str, int], str] = {}
        self._further = 0
        self._stream: Marked | None = None

    def stream(self, mark: str) -> Marked:
        """Return the one stream of the code of all parties, with the mark of whose turn it is."""
        if self._stream is None:
            self._stream = Marked(sys.stderr, mark)
        self._stream.turn(mark)
        return self._stream

    def take(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Keep one, in the place of `warnings.showwarning`."""
        del file, line
        told = " ".join(str(message).split())[:_LONGEST]
        what = category.__name__, _NUMBER.sub("0", told), filename, lineno
        if what not in self._times and len(self._times) >= _MOST:
            self._further += 1
            return
        self._times[what] = self._times.get(what, 0) + 1
        self._first.setdefault(what, told)

    def told(self) -> list[str]:
        """Return a sentence for each, in the order in which they first came."""
        found: list[str] = [
            Text(
                "A warning of the code ({times} ×): {category}: {text} ({file}, line {line})",
                times=times,
                category=what[0],
                text=self._first[what],
                file=Path(what[2]).name,
                line=what[3],
            )
            for what, times in self._times.items()
        ]
        if self._further:
            found.append(Text("{count} further warnings of the code.", count=self._further))
        return found


@contextmanager
def heard(mark: str, warned: Warned | None) -> Iterator[None]:
    """Have what is printed in the block go to stderr, and its warnings be kept.

    The filters of warnings are those that are set; what they show by default is counted each time.

    Args:
        mark: stands before each line; empty for none.
        warned: keeps warnings; without it they are shown as everywhere.
    """
    stream: Any = sys.stderr
    if mark:
        stream = Marked(sys.stderr, mark) if warned is None else warned.stream(mark)
    showing, filters = warnings.showwarning, warnings.filters
    added = warned is not None and _ALWAYS not in filters
    if warned is not None:
        warnings.showwarning = warned.take
        warnings.simplefilter("always", append=True)
    try:
        with redirect_stdout(stream), redirect_stderr(stream):
            yield
    finally:
        if warned is not None:
            warnings.showwarning = showing
        if added and _ALWAYS in warnings.filters:
            warnings.filters = [one for one in warnings.filters if one != _ALWAYS]
        if mark:
            stream.end()
