"""An organisation whose page a real browser visits: platform, agent, people and page are real.

`bank-b` has people: `ada` is owner-admin, `ben` decides with a second factor and `cleo` without,
`vera` reads. Two of them decide about every job.
"""

from __future__ import annotations

import re
import time
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
from tests.browser.opening import Authenticator
from tests.nursery import Born
from tests.survival.world import platform

PASSWORD: Final = "four random words here"
FIRST: Final = "handed over at the desk"
OWNER: Final = "bank-b"
BUDGET: Final = DatasetPrivacy("customers", epsilon=8.0, delta=1e-6, required=False)
_ADDRESS: Final = re.compile(r"http://127\.0\.0\.1:[0-9]+/")


@dataclass
class Place:
    """What is served.

    Args:
        platform: the consortium.
        url: the page's address, without its last slash.
        factors: shows the codes of the second factors.
    """

    platform: Platform
    url: str = ""
    factors: Authenticator = field(default_factory=Authenticator)

    @property
    def config(self) -> Path:
        return self.platform.parties[OWNER].config

    def ask(self, command: str, session: str = "", **arguments: Any) -> Any:
        """Send a command to the agent itself, beside the page."""
        return call(api.socket_of(self.config), command, arguments, PATIENCE, session)

    def waiting(self, job: str) -> str:
        """Wait until a job's request waits here; return its id."""
        return until(lambda: next(
            (one["id"] for one in self.ask("inbox.list") if one["job"] == job), ""
        ))  # fmt: skip


def until(look: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Look until something is found; fail after so many seconds."""
    began = time.monotonic()
    while not (found := look()):
        assert time.monotonic() - began < patience
        time.sleep(0.05)
    return found


@contextmanager
def served(directory: Path) -> Iterator[Place]:
    """Build the platform in a folder, give the owner people, and serve the page."""
    with platform(directory, mortal=False, sealing=False, budget=BUDGET) as made:
        place = Place(made)
        _two_decide(place)
        _people(place)
        made.processes["console"] = page = Born(
            "console",
            ["-m", "secureflow", "agent", "console", "--config", str(place.config),
             "--listen", "127.0.0.1:0"],
            directory, directory / "logs" / "console.log",
        )  # fmt: skip
        page.start({**made.environment, "SECUREFLOW_LANG": "en"})
        found = until(lambda: _address(page))
        place.url = found[0].rstrip("/")
        yield place


def _address(page: Born) -> re.Match[str] | None:
    """Return where the page is served, once it says so."""
    found = _ADDRESS.search(page.tail())
    assert found or page.alive, page.tail()
    return found


def _two_decide(place: Place) -> None:
    """Have two people decide about every job, and start the agent again with it."""
    settings: dict[str, Any] = yaml.safe_load(place.config.read_text())
    settings["consent"]["two_people"] = [{"any": True, "reason": "two people decide here"}]
    place.config.write_text(yaml.safe_dump(settings))
    agent = place.platform.processes[OWNER]
    agent.terminate()
    agent.join()
    place.platform.start(OWNER)
    until(lambda: any(one["state"] == "proposed" for one in place.ask("grant.list")))


def _people(place: Place) -> None:
    place.ask("people.add", name="ada", password=PASSWORD, roles=["owner-admin"])
    ada = _session(place, "ada", PASSWORD)
    for name, role in {"ben": "decider", "cleo": "decider", "vera": "viewer"}.items():
        place.ask("people.add", ada, name=name, password=FIRST, roles=[role])
        place.ask("people.password", _session(place, name, FIRST), old=FIRST, new=PASSWORD)
    ben = _session(place, "ben", PASSWORD)
    place.factors.secrets["ben"] = place.ask("people.totp.enrol", ben, password=PASSWORD)["secret"]
    place.ask("people.totp.confirm", ben, code=place.factors.code("ben"))


def _session(place: Place, name: str, password: str) -> str:
    opened: Mapping[str, Any] = place.ask("people.login", name=name, password=password)
    return str(opened["session"])
