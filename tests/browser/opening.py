"""Opens pages for tests: a person has a browser for each language, kept with its login."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from secureflow.kit.totp import STEP, code_at

_BETWEEN: Final = "/nothing-is-here"
_LEAVE: Final = """address => {
    for (const one of document.querySelectorAll("h1")) one.dataset.left = "";
    history.pushState(null, "", address);
    dispatchEvent(new PopStateEvent("popstate", {state: null}));
}"""
_ARRIVED: Final = """() => document.querySelector("h1")
    && !document.querySelector("h1[data-left]")"""


def turn(page: Any, path: str, within: str = "") -> None:
    """Go to a page as a link of the program does: no file is read, no session asked for again.

    It goes by way of an address where there is no page: what is seen then is the new page. To that
    page of nothing itself, or out of the frame around the pages, nobody gets this way.

    Args:
        page: shows the program.
        path: of the page, under `within`.
        within: path that the program is served under.
    """
    for address in (_BETWEEN, path):
        page.evaluate(_LEAVE, within + address)
        page.wait_for_function(_ARRIVED)


def held_back(page: Any, address: str) -> Callable[[], None]:
    """Hold back what a page asks of an address; return what lets that and all later ones go."""
    held: list[Any] | None = []

    def late(route: Any) -> None:
        if held is None:
            route.continue_()
        else:
            held.append(route)

    def let_go() -> None:
        nonlocal held
        for one in held or []:
            one.continue_()
        held = None

    page.route(address, late)
    return let_go


def note(said: list[str], message: Any) -> None:
    """Keep what a console complains of, and where."""
    if message.type == "error":
        said.append(f"{message.text} {message.location.get('url', '')}".strip())


@dataclass
class Authenticator:
    """The app that shows people the codes of their second factors.

    Args:
        secrets: person → secret, as it was shown.
    """

    secrets: dict[str, str] = field(default_factory=dict)
    _steps: dict[str, int] = field(default_factory=dict)

    def code(self, name: str) -> str:
        """Return a code that was not asked for before: each counts once.

        The code of the next 30 seconds counts already; for one of later it is waited.
        """
        step = max(int(time.time()) // STEP, self._steps.get(name, 0) + 1)
        while step > int(time.time()) // STEP + 1:
            time.sleep(0.1)
        self._steps[name] = step
        return code_at(base64.b32decode(self.secrets[name]), step * STEP)


@dataclass
class Opening:
    """Opens a page: `opening("ada", "zh", "dark")`; in a browser of its own for nobody, or `fresh`.

    Args:
        own: makes a browser for a language, with the cookies that are given to it.
        enter: logs a person in, in the browser of a page that need not show anything.
        patience: seconds that a page may take.
        states: person → cookies of a login, which is made once.
        kept: person and language → their browser.
        said: takes what the pages' consoles complain about.
        stack: closes what is not kept.
    """

    own: Callable[[str, Any], Any]
    enter: Callable[..., None]
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
        # What moves is seen by those who walk through everything (`whole`).
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.set_default_timeout(self.patience * 1000)
        page.on("console", lambda one: note(self.said, one))
        page.on("pageerror", lambda one: self.said.append(str(one)))
        if who and who not in self.states:
            self.enter(page, who)
            self.states[who] = made.storage_state(indexed_db=False)
        return page

    def forget(self, who: str) -> None:
        """Let a person's browsers go: their sessions were ended elsewhere."""
        self.states.pop(who, None)
        for one in [one for one in self.kept if one[0] == who]:
            self.kept.pop(one).close()


Opens = Opening
