"""A whole platform on this machine, over real links: server, enclave and agents as processes.

The code plays the operator and every owner in turn, through the same interfaces that people use:
`init` and `enroll`, the agents' control sockets, and the REST client. The demo, the benchmarks, the
scenario and the survival tests are all built on it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from secureflow.agent import api
from secureflow.demo.processes import Process, stop_all
from secureflow.domain.charter import SignedCharter
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import dump
from secureflow.domain.users import Role
from secureflow.enclave.enrol import enrol as enrol_enclave
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.sdk import Client
from secureflow.server.initialise import initialise as initialise_server

HOST = "127.0.0.1"
TRUST_DOMAIN = "demo.secureflow.example"
MODULE = ("-m", "secureflow")
PORTS = range(20_000, 32_768)
"""Below the ephemeral range: otherwise a server that restarts could find its port taken."""


@dataclass
class Owner:
    """One organisation in the demo platform."""

    party: str
    name: str
    password: str = field(repr=False)
    directory: Path
    dataset: DatasetConfig | None = None
    dataset_id: str = ""

    @property
    def config(self) -> Path:
        """The agent's YAML file."""
        return self.directory / "agent.yaml"


@dataclass
class Platform:
    """A consortium on one machine.

    Args:
        directory: everything lives below it; it must be new.
        owners: party → display name.
        datasets: party → the dataset that its agent declares (none for rehearsals).
        database: URL of an empty PostgreSQL database for it; default: SQLite.
        policy: Cedar text of every owner's consent policy; default: a person is asked.
        purpose: what the project is for.
        stays: whether the processes outlive this one.
        say: called with each step, for people.
        entry: process kind → command instead of `-m secureflow` (tests inject kill points).
        environment: environment variables of every process.
        own: process → its additional variables (tests set a clock).
        child: how a process is started (tests fork it).
        sealing: whether there is an enclave; jobs that seal nothing need none.
        enrolled: called once all agents have their settings, before they start.
        chartered: called once every agent has pinned the charter.
    """

    directory: Path
    owners: Mapping[str, str]
    datasets: Mapping[str, DatasetConfig] = field(default_factory=dict)
    policy: str = ""
    purpose: str = "credit scoring"
    stays: bool = False
    say: Callable[[str], None] = lambda _: None
    settings: Mapping[str, Any] = field(default_factory=dict)
    entry: dict[str, Sequence[str]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    own: dict[str, dict[str, str]] = field(default_factory=dict)
    database: str = ""
    child: type[Process] = Process
    sealing: bool = True
    enrolled: Callable[[Platform], None] = lambda _: None
    chartered: Callable[[Platform], None] = lambda _: None

    def __post_init__(self) -> None:
        self.directory = self.directory.resolve()
        self.server = self.directory / "server"
        self.enclave = self.directory / "enclave"
        self.parties = {
            party: Owner(
                party,
                name,
                secrets.token_urlsafe(12),
                self.directory / party,
                self.datasets.get(party),
            )
            for party, name in self.owners.items()
        }
        self.processes: dict[str, Process] = {}
        self.project = ""
        self.url = ""
        self._admin: tuple[str, str] = ("", "")

    # The steps that people take, in order.

    def build(self) -> None:
        """Set everything up until data is granted; the next step is a job."""
        self.say("server")
        self._make_server()
        if self.sealing:
            self.say("enclave")
            self._make_enclave()
        with contextlib.ExitStack() as clients:
            # Each of them logs in once: passwords are dear to check, and meant to be.
            client = functools.cache(lambda party: clients.enter_context(self.client(party)))
            self.say("agents")
            self._make_agents(client(""))
            for process in self.processes.values():
                process.ready()
            self.say("charter")
            self._make_charter(client(""))
            self.chartered(self)
            self.say("project")
            self._make_project(client)

    def confirm_grants(self, patience: float = 60.0) -> None:
        """Have each owner confirm at its own agent what was granted at the centre.

        An agent hears of it when it next exchanges grants with the centre, within half a minute.
        One that hears nothing for so many seconds has nothing to confirm; its owner can later.
        """
        deadline = time.monotonic() + patience
        waiting = [owner for owner in self.parties.values() if owner.dataset is not None]
        while waiting and time.monotonic() < deadline:
            waiting = [owner for owner in waiting if not _confirmed(owner)]
            if waiting:
                time.sleep(0.2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End every process."""
        stop_all(list(self.processes.values()))

    def start(self, name: str, *, wait: bool = True) -> None:
        """Start a process (again) from its directory."""
        kind = name if name in {"server", "enclave"} else "agent"
        directory = self.directory / name
        command = [
            *self.entry.get(name, self.entry.get(kind, MODULE)),
            kind,
            "start",
            "--config",
            str(directory / f"{kind}.yaml"),
        ]
        log = self.directory / "logs" / f"{name}.log"
        self.processes[name] = self.child(name, command, directory, log, stays=self.stays)
        self.processes[name].start({**self.environment, **self.own.get(name, {})})
        if wait:
            facts = self.processes[name].ready()
            if kind == "server":
                self.url = facts["rest"]

    def restart(self, names: Iterable[str]) -> None:
        """End these processes and start them again, all at once."""
        again = list(names)
        stop_all([self.processes[one] for one in again])
        for one in again:
            self.start(one, wait=False)
        for one in again:
            self.processes[one].ready()

    @property
    def ca(self) -> Path:
        """The link CA's certificate."""
        return self.server / "ca" / "ca.pem"

    def client(self, party: str = "") -> Client:
        """Return a logged-in client of an owner's user, or of the operator's admin."""
        name, password = self._admin
        if party:
            name, password = party, self.parties[party].password
        client = Client(self.url, ca=self.ca)
        client.login(name, password)
        return client

    def charter_file(self) -> Path:
        """Write the adopted charter to a file, as an auditor would keep it, and return the path."""
        path = self.directory / "charter.json"
        if not path.exists():
            shown = api.charter_show(next(iter(self.parties.values())).config)
            pinned = SignedCharter.from_json(shown["pinned"])
            path.write_text(json.dumps(pinned.json(), indent=2))
        return path

    # The steps.

    def _make_server(self) -> None:
        # Fixed ports, not 0: a server that is killed and started again must be found again.
        rest, link = free_ports(2)
        made = initialise_server(
            self.server,
            trust_domain=TRUST_DOMAIN,
            host=HOST,
            rest_port=rest,
            link_port=link,
            database=self.database,
        )
        self._admin = (made["admin"], Path(made["admin_password_file"]).read_text().strip())
        edit(self.server / "server.yaml", self.settings.get("server", {}))
        self.start("server")

    def _make_enclave(self) -> None:
        token = (self.server / "enclave.token").read_text().strip()
        enrol_enclave(self.enclave, token, self.url, simulated=True)
        edit(self.enclave / "enclave.yaml", self.settings.get("enclave", {}))
        self.start("enclave", wait=False)

    def _make_agents(self, admin: Client) -> None:
        for owner in self.parties.values():
            self._enrol(admin, owner)
        self.enrolled(self)
        self._start_agents()

    def _start_agents(self) -> None:
        for party in self.parties:
            self.start(party, wait=False)

    def _enrol(self, admin: Client, owner: Owner) -> None:
        admin.organisations.create(owner.party, owner.name)
        roles = [Role.ORGANISATION_ADMIN, Role.DATA_OWNER, Role.DATA_SCIENTIST]
        admin.users.create(owner.party, owner.password, owner.party, roles, owner.name)
        token = admin.enrolments.create(owner.party).token
        file = self.directory / f"{owner.party}.token"
        file.touch(0o600)
        file.write_text(token)
        api.enroll(owner.directory, token_file=file, server=self.url, name=owner.party)
        edit(owner.config, self._agent_settings(owner))

    def _agent_settings(self, owner: Owner) -> dict[str, Any]:
        datasets = [dump(owner.dataset)] if owner.dataset else []
        settings: dict[str, Any] = {"datasets": datasets}
        if self.sealing:
            root = self.enclave / "simulated" / "root.pem"
            settings["attestation"] = {"allow_simulated": True, "roots": [str(root)]}
        if self.policy:
            path = owner.directory / "consent.cedar"
            path.write_text(self.policy)
            settings["consent"] = {"policies": [str(path)]}
        return {**settings, **self.settings.get("agent", {})}

    def _make_charter(self, admin: Client) -> None:
        words = admin.charter.draft().words
        for owner in self.parties.values():
            api.charter_sign(owner.config, words)
        for owner in self.parties.values():
            api.charter_pin(owner.config, None, words)

    def _make_project(self, client: Callable[[str], Client]) -> None:
        first, *others = self.parties.values()
        projects = client(first.party).projects
        self.project = projects.create("demo", self.purpose).id
        for owner in others:
            projects.invite(self.project, owner.party)
        for owner in others:
            client(owner.party).projects.accept(self.project)
        for owner in self.parties.values():
            if owner.dataset is not None:
                published = api.data_publish(owner.config, owner.dataset.name, owner.name)
                owner.dataset_id = published["id"]
                client(owner.party).datasets.grant(owner.dataset_id, self.project)


def _confirmed(owner: Owner) -> bool:
    """Confirm what an owner's agent is shown; tell whether there is a grant in force now."""
    grants = api.grant_list(owner.config)
    proposed = [one for one in grants if one["state"] == "proposed"]
    for one in proposed:
        api.grant_confirm(owner.config, one["id"], one["terms"])
    return bool(proposed) or any(one["state"] == "granted" for one in grants)


def free_ports(count: int) -> list[int]:
    """Return free ports of the loopback address."""
    free: list[int] = []
    for port in secrets.SystemRandom().sample(PORTS, len(PORTS)):
        if len(free) == count:
            break
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            free.append(port)
    return free


def edit(path: Path, changes: Mapping[str, Any]) -> None:
    """Set top-level keys of a YAML file, as an owner would in an editor."""
    if not path.exists():
        raise SecureFlowError("process_failed", Text("{path} was not made.", path=path))
    settings = yaml.safe_load(path.read_text()) or {}
    for key, value in changes.items():
        nested = isinstance(value, Mapping) and isinstance(settings.get(key), Mapping)
        settings[key] = {**settings[key], **value} if nested else value
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
