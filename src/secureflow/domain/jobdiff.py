"""What two jobs differ in, field by field: two job files, two specs, a draft and its template.

Members of lists are compared by their `id`, `name`, `party` or `column` where all of them have one,
so that a step that was put in between does not change all that follow; others by their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text

_NAMES: Final = ("id", "name", "party", "column")
MOST: Final = 10_000
"""Most differences that are told."""
_LONGEST: Final = 200
"""Most characters of a value in a sentence."""


@dataclass(frozen=True)
class Difference:
    """One field that differs.

    Args:
        field: its place, members joined by dots.
        change: `changed`, `added` (only in the second) or `removed` (only in the first).
        before: what the first has; None if nothing.
        after: what the second has.
    """

    field: str
    change: str
    before: JSON = None
    after: JSON = None

    @property
    def sentence(self) -> str:
        """The difference in words."""
        if self.change == "added":
            return Text("{field} is new: {after}", field=self.field, after=_told(self.after))
        if self.change == "removed":
            return Text("{field} is gone: it was {before}", field=self.field,
                        before=_told(self.before))  # fmt: skip
        return Text("{field} was {before}, and is {after}", field=self.field,
                    before=_told(self.before), after=_told(self.after))  # fmt: skip


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return what two jobs differ in, in the order of the first, then what only the second has."""
    found = _of(first, second, ())
    return tuple(one for _, one in zip(range(MOST), found, strict=False))


def _of(first: Any, second: Any, path: tuple[str, ...]) -> Iterator[Difference]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        yield from _members(first, second, path)
    elif isinstance(first, list | tuple) and isinstance(second, list | tuple):
        yield from _lists(list(first), list(second), path)
    elif not _same(first, second):
        yield Difference(".".join(path), "changed", first, second)


def _members(
    first: Mapping[str, Any], second: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[Difference]:
    for name in dict.fromkeys([*first, *second]):
        place = (*path, str(name))
        if name not in second:
            yield Difference(".".join(place), "removed", first[name])
        elif name not in first:
            yield Difference(".".join(place), "added", None, second[name])
        else:
            yield from _of(first[name], second[name], place)


def _lists(first: list[Any], second: list[Any], path: tuple[str, ...]) -> Iterator[Difference]:
    by = next((name for name in _NAMES if _each_once([*first], name) and _each_once(second, name)),
              "")  # fmt: skip
    if by and (first or second):
        yield from _members(
            {str(one[by]): one for one in first}, {str(one[by]): one for one in second}, path
        )
        named = [one[by] for one in second if one[by] in {other[by] for other in first}]
        if named != [one[by] for one in first if one[by] in named]:
            yield Difference(".".join(path), "changed", [one[by] for one in first],
                             [one[by] for one in second])  # fmt: skip
    elif all(isinstance(one, Mapping) for one in (*first, *second)):
        yield from _members(_numbered(first), _numbered(second), path)
    elif not _same(first, second):
        yield Difference(".".join(path), "changed", first, second)


def _numbered(items: list[Any]) -> dict[str, Any]:
    return {str(at): one for at, one in enumerate(items)}


def _each_once(items: list[Any], name: str) -> bool:
    """Tell whether all items have a member of this name, no two of them the same."""
    if not all(isinstance(one, Mapping) and isinstance(one.get(name), str) for one in items):
        return False
    return len({one[name] for one in items}) == len(items)


def _same(first: Any, second: Any) -> bool:
    """Tell whether two values are the same in JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(first, bool) != isinstance(second, bool):
        return False
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        pairs = zip(first, second, strict=False)
        return len(first) == len(second) and all(_same(*pair) for pair in pairs)
    return bool(first == second)


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return _cut(", ".join(f"{name}: {_told(one)}" for name, one in value.items()))
    if isinstance(value, list | tuple):
        return _cut(", ".join(map(_told, value)))
    if isinstance(value, bool):
        return "true" if value else "false"
    return _cut("null" if value is None else str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
