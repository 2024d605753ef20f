"""A walk through pages that counts what it takes: clicks, fields, and seconds of each stage."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from peers.browsers import pick, ready, shoot


@dataclass
class Stage:
    """One stage: what was done in it, by whom."""

    name: str
    clicks: int = 0
    fields: int = 0
    seconds: float = 0.0


@dataclass
class Walk:
    """Counts; `shot` is where pictures of its stages go if somebody wants to look."""

    shot: str
    stages: list[Stage] = field(default_factory=list)
    _pictures: int = 0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Begin a stage."""
        self.stages.append(Stage(name))
        began = time.monotonic()
        yield
        self.stages[-1].seconds = round(time.monotonic() - began, 1)

    def click(self, target: Any) -> None:
        """Click."""
        target.click()
        self.stages[-1].clicks += 1

    def fill(self, target: Any, text: str) -> None:
        """Fill in a field."""
        target.fill(text)
        self.stages[-1].fields += 1

    def pick(self, page: Any, field: Any, *titles: str) -> None:
        """Open a choice and take of it what is called so."""
        self.click(field)
        for title in titles:
            pick(page, page.locator(".ant-select-dropdown:visible").get_by_title(title))
            self.stages[-1].clicks += 1
        if len(titles) > 1:
            page.keyboard.press("Escape")

    def choose(self, page: Any, text: str) -> None:
        """Take one of an open choice by writing what it is called."""
        page.keyboard.type(text)
        pick(page, page.locator(".ant-select-dropdown:visible").get_by_title(text, exact=True))
        self.stages[-1].clicks += 1

    def put(self, target: Any, file: Any) -> None:
        """Choose a file: a click on the field, and one on the file."""
        target.set_input_files(file)
        self.stages[-1].clicks += 2

    def look(self, page: Any, name: str) -> None:
        """Take a picture, as who walks sees it."""
        ready(page)
        self._pictures += 1
        shoot(page, f"{self.shot}/{self._pictures:02d}-{name}")

    def told(self) -> str:
        """Return what it took, as one line of JSON."""
        rows = [vars(one) for one in self.stages]
        counted = ("clicks", "fields", "seconds")
        whole = {name: round(sum(row[name] for row in rows), 1) for name in counted}
        return json.dumps({"walk": self.shot, "stages": rows, **whole}, ensure_ascii=False)
