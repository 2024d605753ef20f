"""How a code bundle is shown to a person: alone, or as what changed since another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from secureflow.cli.texts import listed, said, t

if TYPE_CHECKING:
    from secureflow.engines.bundles import Bundle, Difference, Inspection, Remark

PAGE: Final = 200
"""Lines of a difference on one page."""
NAME: Final = 64
"""Characters of a module's name that are told."""
TOLD: Final = 50
"""Most remarks that are told before a difference, and most problems: more hide the rest."""


@dataclass(frozen=True)
class View:
    """A bundle, what it is compared with, and what was found.

    Args:
        bundle: what somebody decides about.
        before: the one that it is compared with, if there is one.
        difference: of the two; from None everything is new.
        inspection: of the bundle.
    """

    bundle: Bundle
    before: Bundle | None
    difference: Difference
    inspection: Inspection

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        before: Bundle | None = None,
        entry: str = "",
        python: str = "",
        more: tuple[str, ...] = (),
    ) -> View:
        """Compare and inspect a bundle, whose class is called for `more` methods than others."""
        from secureflow.engines.bundles import diff, inspect
        from secureflow.engines.bundles.inspection import METHODS

        of = {"python": version(python)} if python else {}
        found = inspect(bundle, entry, **of, methods=(*METHODS, *more))
        return cls(bundle, before, diff(before, bundle), found)

    def plain(self) -> dict[str, Any]:
        """Return everything for programs; the difference as lines."""
        files = [
            {"path": path, "size": len(content), "lines": _lines(content)}
            for path, content in self.bundle.files.items()
        ]
        changes = [
            {
                **{"path": one.path, "state": one.state, "size": one.size},
                **{"added": one.added, "removed": one.removed},
            }
            for one in self.difference.changes
        ]
        return {
            **self.summary(),
            "files": files,
            "imports": {path: list(names) for path, names in self.inspection.imports.items()},
            "python": ".".join(map(str, self.inspection.python)),
            "problems": [_remark(one) for one in self.inspection.problems],
            "remarks": [_remark(one) for one in self.difference.remarks],
            "unread": list(self.inspection.unread),
            "since": "" if self.before is None else self.before.digest,
            "changes": changes,
            "difference": list(self.difference.written()),
        }

    def summary(self) -> dict[str, Any]:
        """Return digest and sizes."""
        sizes = {"size": self.bundle.size, "lines": self.bundle.lines}
        return {"digest": self.bundle.digest, **sizes, "files": len(self.bundle.files)}

    def told(self, since: str = "", known: str = "") -> Iterator[str]:
        """Yield what a person should know before reading the difference, a line each.

        `since` is said of the older bundle in place of its digest, `known` of a bundle that is not
        compared, as it is not new. What it says grows with nothing that a submitter chooses, and
        problems come last: nobody scrolls them away.
        """
        facts = {**self.summary(), "added": self.difference.added}
        facts["removed"] = self.difference.removed
        yield t("{files} {files:file|files}, {lines} {lines:line|lines}, {size} bytes", **facts)
        if self.before is None:
            yield known or t("everything in it is new")
        else:
            count = len(self.difference.changes)
            yield t(
                "since {old}: {count} {count:file differs|files differ}, {added} "
                "{added:line|lines} added, {removed} removed",
                old=since or self.before.digest,
                count=count,
                **facts,
            )
        modules = self.inspection.modules
        names = listed([one[:NAME] for one in modules[:TOLD]]) or "-"
        if len(modules) > TOLD:
            names += t(" and {count} more", count=len(modules) - TOLD)
        yield t("imports, as far as they are written out (no guarantee): {names}", names=names)
        looks = [(_place(one), said(one.text)) for one in self.difference.remarks]
        looks += [(path, t("too long to be parsed")) for path in self.inspection.unread]
        yield from (t("LOOK {place}: {text}", place=at, text=text) for at, text in looks[:TOLD])
        if len(looks) > TOLD:
            yield t(
                "LOOK: {count} more {count:place|places}: -o json lists them",
                count=len(looks) - TOLD,
            )
        problems = self.inspection.problems
        for one in problems[:TOLD]:
            yield t("PROBLEM {place}: {text}", place=_place(one), text=said(one.text))
        if len(problems) > TOLD:
            yield t("PROBLEM: {count} more: -o json lists them", count=len(problems) - TOLD)

    def page(self, number: int) -> tuple[list[str], int]:
        """Return the lines of a page of the difference, from 1, and how many pages there are."""
        pages = self.pages
        first = (min(max(number, 1), pages) - 1) * PAGE
        return list(self.difference.written(first, first + PAGE)), pages

    @property
    def pages(self) -> int:
        """How many pages the difference has."""
        return max(1, -(-self.difference.height // PAGE))


def version(text: str) -> tuple[int, int]:
    """Return a Python version such as 3.12.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    from secureflow.kit.errors import SecureFlowError

    major, _, minor = text.partition(".")
    if major != "3" or not minor.isdecimal() or len(minor) > 2:
        raise SecureFlowError(
            "invalid_request",
            t("{text!r} is not a version of Python.", text=text[:20]),
            t("Give it as 3.12."),
        )
    return 3, int(minor)


def _remark(one: Remark) -> dict[str, Any]:
    return {"file": one.file, "line": one.line, "text": one.text}


def _place(one: Remark) -> str:
    return f"{one.file}:{one.line}" if one.line else one.file


def _lines(content: bytes) -> int:
    from secureflow.engines.bundles.format import count_lines

    return count_lines(content)
