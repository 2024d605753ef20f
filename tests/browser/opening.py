"""Opens pages for tests: a person has a browser for each language, kept with its login."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

Opens = Callable[..., Any]
"""Opens a page in a browser of its own, logged in as somebody or as nobody."""


def note(said: list[str], message: Any) -> None:
    """Keep what a console complains of, and where."""
    if message.type == "error":
        said.append(f"{message.text} {message.location.get('url', '')}".strip())


@dataclass
class Opening:
    """Opens a page: `opening("ada", "zh", "dark")`; in a browser of its own for nobody, or `fresh`.

    Args:
        own: makes a browser for a language, with the cookies that are given to it.
        enter: logs a person in, from an empty page, in a language.
        patience: seconds that a page may take.
        states: person → cookies of a login, which is made once.
        kept: person and language → their browser.
        said: takes what the pages' consoles complain about.
        stack: closes what is not kept.
    """

    own: Callable[[str, Any], Any]
    enter: Callable[[Any, str, str], None]
    patience: float
    states: dict[str, Any]
    kept: dict[tuple[str, str], Any]
    said: list[str]
    stack: ExitStack = field(default_factory=ExitStack)

    def __call__(
        self, who: str = "", language: str = "en", theme: str = "light", *, fresh: bool = False
    ) -> Any:
        """Open a page."""
        made = None if fresh or not who else self.kept.get((who, language))
        if made is None:
            made = self.own(language, self.states.get(who))
            if fresh or not who:
                self.stack.callback(made.close)
            else:
                self.kept[who, language] = made
        page = made.new_page()
        self.stack.callback(page.close)
        page.emulate_media(color_scheme=theme)
        page.set_default_timeout(self.patience * 1000)
        page.on("console", lambda one: note(self.said, one))
        page.on("pageerror", lambda one: self.said.append(str(one)))
        if who and who not in self.states:
            self.enter(page, who, language)
            page.get_by_role("navigation").wait_for()
            self.states[who] = made.storage_state(indexed_db=False)
        return page
