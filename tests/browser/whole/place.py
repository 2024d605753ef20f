"""A consortium that people walk through: the console, and two owners who decide at their pages.

`bank-b` founded the project and `bank-a` takes part, as does `bank-c`, whose rule approves. Where
something is granted is said by the tests. `ada` administers bank-a at the console; `olga` decides
at bank-a's own page and `omar` at bank-b's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from peers.browsers import PATIENCE

from secureflow.agent import api
from secureflow.agent.edge.control import call
from secureflow.demo.platform import Platform
from secureflow.domain.schemas import DatasetPrivacy
from secureflow.domain.users import Role
from secureflow.sdk import Client
from tests.browser.place import until
from tests.nursery import Born
from tests.survival.world import ALLOW, PLAN, platform, training

PASSWORD: Final = "four random words here"
FIRST: Final = "handed over at the desk"
LANGUAGES: Final = {"en": "en-GB", "zh": "zh-CN"}
WIDE: Final = {"width": 1280, "height": 800}
TABLET: Final = {"width": 820, "height": 1180}
OWNERS: Final = {"bank-a": "olga", "bank-b": "omar"}
PROJECT: Final = "credit risk"
BUDGET: Final = DatasetPrivacy("customers", epsilon=50.0, delta=1e-5, required=False)
LOGIN: Final = {"en": ("Name", "Password", "Log in"), "zh": ("用户名", "密码", "登录")}
"""Words of the login form: name, password, button."""
_ADDRESS: Final = re.compile(r"http://127\.0\.0\.1:[0-9]+/")


@dataclass
class Consortium:
    """What is served.

    Args:
        platform: its processes.
        pages: party → address of its owner's page, without the last slash.
        states: (place, person) → cookies of a login, which is made once.
    """

    platform: Platform
    pages: dict[str, str] = field(default_factory=dict)
    states: dict[tuple[str, str], Any] = field(default_factory=dict)

    def url(self, where: str = "") -> str:
        """Return the address of a party's own page, or of the console."""
        return self.pages[where] + "/app" if where else self.platform.url.rstrip("/")

    def client(self, name: str, password: str = PASSWORD) -> Client:
        """Return a client of a person, for what a test prepares or looks up."""
        made = Client(self.platform.url, ca=self.platform.ca)
        made.login(name, password)
        return made

    def ask(self, party: str, command: str, session: str = "", **arguments: Any) -> Any:
        """Send a command to an agent itself, beside its page."""
        config = self.platform.parties[party].config
        return call(api.socket_of(config), command, arguments, PATIENCE, session)

    def dataset(self, party: str) -> str:
        """Return the id of what a party has published."""
        return self.platform.parties[party].dataset_id

    def grant(self, *parties: str) -> None:
        """Let the project use what parties have published, at the centre and at their agents."""
        for party in parties:
            with self.platform.client(party) as client:
                client.datasets.grant(self.dataset(party), self.platform.project)


class Unfinished(Platform):
    """A consortium whose data is published and not granted."""

    def _make_project(self, client: Callable[[str], Client]) -> None:
        self.project = client("bank-b").projects.create(PROJECT, self.purpose).id
        others = [party for party in self.parties if party != "bank-b"]
        for party in others:
            client("bank-b").projects.invite(self.project, party)
        for party in others:
            client(party).projects.accept(self.project)
        for owner in self.parties.values():
            if owner.dataset is not None:
                published = api.data_publish(owner.config, owner.dataset.name, owner.name)
                owner.dataset_id = published["id"]


@contextmanager
def served(directory: Path, *granted: str, banks: int = 3, **options: Any) -> Iterator[Consortium]:
    """Build the consortium, let people in, and serve the owners' pages.

    Args:
        directory: of everything.
        granted: parties that have granted what they published.
        banks: how many there are.
        options: of `tests.survival.world.platform`.
    """
    plain = {"mortal": False, "sealing": False, "budget": BUDGET, "policy": ""}
    with platform(directory, banks, kind=Unfinished, **{**plain, **options}) as made:
        whole = Consortium(made)
        roles = [Role.ORGANISATION_ADMIN, Role.DATA_OWNER, Role.DATA_SCIENTIST]
        with made.client() as admin:
            admin.users.create("ada", PASSWORD, "bank-a", roles, "Ada")
        for party in made.parties:
            if party not in OWNERS:
                _rule(made, party)
        whole.grant(*granted)
        for party, person in OWNERS.items():
            whole.ask(party, "people.add", name=person, password=PASSWORD, roles=["owner-admin"])
            whole.pages[party] = _page(made, party)
        yield whole


def _rule(made: Platform, party: str) -> None:
    """Have a party's rule approve everything, and start its agent again with it."""
    owner = made.parties[party]
    path = owner.directory / "consent.cedar"
    path.write_text(ALLOW)
    settings: dict[str, Any] = yaml.safe_load(owner.config.read_text())
    settings["consent"] = {**settings.get("consent", {}), "policies": [str(path)]}
    owner.config.write_text(yaml.safe_dump(settings))
    agent = made.processes[party]
    agent.terminate()
    agent.join()
    made.start(party)


def _page(made: Platform, party: str) -> str:
    """Serve the owner's page of a party, and return its address."""
    name = f"page of {party}"
    command = ["-m", "secureflow", "agent", "console", "--config",
               str(made.parties[party].config), "--listen", "127.0.0.1:0"]  # fmt: skip
    log = made.directory / "logs" / f"console-{party}.log"
    made.processes[name] = page = Born(name, command, made.directory, log)
    page.start({**made.environment, "SECUREFLOW_LANG": "en"})

    def address() -> re.Match[str] | None:
        found = _ADDRESS.search(page.tail())
        assert found or page.alive, page.tail()
        return found

    found = until(address, PATIENCE)
    assert found
    return found[0].rstrip("/")


def session(whole: Consortium, party: str) -> str:
    """Log in at an agent as its owner, and return the session."""
    who = OWNERS[party]
    opened: Mapping[str, Any] = whole.ask(party, "people.login", name=who, password=PASSWORD)
    return str(opened["session"])


def submit(whole: Consortium, name: str, request: Any = None) -> str:
    """Submit a job of the whole consortium as `ada`: a small training, if nothing is given."""
    with whole.client("ada") as client:
        wanted = request or training(whole.platform, PLAN, protection="secagg", name=name)
        return str(client.jobs.submit(wanted).id)


def approve(whole: Consortium, job: str) -> None:
    """Both owners approve, beside their pages."""
    for party in OWNERS:

        def waits(party: str = party) -> str:
            listed = whole.ask(party, "inbox.list")
            return next((one["id"] for one in listed if one["job"] == job), "")

        whole.ask(
            party, "inbox.approve", session(whole, party), item=until(waits, PATIENCE), reason=""
        )
