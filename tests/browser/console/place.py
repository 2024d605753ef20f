"""A centre whose console a real browser visits: its process, the agents and the people are real.

`ada` administers bank-a and submits jobs there, `ben` has a second factor, `vera` only reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from secureflow.demo.platform import Platform
from secureflow.domain.users import Role
from secureflow.sdk import Client
from secureflow.server.console.files import DIST
from tests.browser.opening import Authenticator
from tests.survival.world import platform

PASSWORD: Final = "four random words here"
LANGUAGES: Final = {"en": "en-GB", "zh": "zh-CN"}
WIDE: Final = {"width": 1280, "height": 800}
TABLET: Final = {"width": 820, "height": 1180}
LOGIN: Final = {
    "en": ("Name", "Password", "Log in"),
    "zh": ("用户名", "密码", "登录"),
}
"""Words of the login form: name, password, button."""
ROLES: Final = {
    "ada": [Role.ORGANISATION_ADMIN, Role.DATA_OWNER, Role.DATA_SCIENTIST],
    "ben": [Role.DATA_SCIENTIST],
    "vera": [Role.AUDITOR],
}


@dataclass
class Centre:
    """What is served.

    Args:
        platform: the consortium.
        factors: shows the codes of the second factors.
        states: person → cookies of a login, which is made once.
    """

    platform: Platform
    factors: Authenticator = field(default_factory=Authenticator)
    states: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The console's address, without its last slash."""
        return self.platform.url.rstrip("/")

    @property
    def operator(self) -> tuple[str, str]:
        """The name and the password of the operator's first person."""
        return self.platform._admin

    def client(self, name: str) -> Client:
        """Return a client of a person, for what a test prepares or looks up."""
        made = Client(self.url, ca=self.platform.ca)
        made.login(name, PASSWORD)
        return made


def demand_build() -> None:
    """Fail without a build: `make web` makes one, and so does `make test`."""
    if not (DIST / "index.html").exists():
        pytest.fail("the console is not built: run `make web`")


@contextmanager
def served(directory: Path, banks: int = 2, **options: Any) -> Iterator[Centre]:
    """Build the platform, with the options of `platform`, and give bank-a its people."""
    with platform(directory, banks, **{"mortal": False, "sealing": False, **options}) as made:
        centre = Centre(made)
        with made.client() as admin:
            for name, roles in ROLES.items():
                admin.users.create(name, PASSWORD, "bank-a", roles, name.title())
        yield centre


def log_in(page: Any, who: str, language: str = "en", given: str = PASSWORD) -> None:
    """Fill in the login form that a page shows, and send it."""
    name, password, enter = LOGIN[language]
    page.get_by_label(name, exact=True).fill(who)
    page.get_by_label(password, exact=True).fill(given)
    page.get_by_role("button", name=enter, exact=True).click()
