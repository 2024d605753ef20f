"""A whole consortium in one process: the real server, enclave and agents, each a life on one loop.

Everything that decides is the product's own: the runner, the script, the ledger, the links, the
enclave, the agents' records and rules. In place of the machine there are the network in memory, the
virtual clock, and a training worker that computes in the loop's own thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import hashlib
import io
import json
import random
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import yaml

from secureflow.adapters.accounting import ProcessAccountant
from secureflow.adapters.accounting.process import answer as account
from secureflow.adapters.database import connections
from secureflow.adapters.datasources import SourceLimits, dataset_commitment
from secureflow.adapters.link import CredentialFiles
from secureflow.adapters.policy import cedar
from secureflow.adapters.tee import SimulatedPlatform, simulated
from secureflow.agent.compute import workers
from secureflow.agent.compute.worker import Worker
from secureflow.agent.edge import main as agent_main
from secureflow.agent.owner.publications import declaration, keep_lineage
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.agent.verbs import approvals
from secureflow.agent.witness.charter import PinnedCharter
from secureflow.application.access import Principal
from secureflow.application.running.claims import poll_forever
from secureflow.domain.charter import SignedCharter
from secureflow.domain.schemas import row_bucket
from secureflow.domain.users import Role, User
from secureflow.enclave import main as enclave_main
from secureflow.enclave.settings import EnclaveSettings
from secureflow.kit import settings as kit_settings
from secureflow.kit.canonical import parse_json
from secureflow.kit.crypto import SigningKey
from secureflow.kit.enrolment import EnrolmentToken, proof_body
from secureflow.kit.folder import claim_folder
from secureflow.kit.measurement import code_measurement
from secureflow.kit.pki import make_csr, new_link_key
from secureflow.server import centre as server_centre
from secureflow.server.initialise import initialise
from secureflow.server.settings import ServerSettings
from tests.chaos.network import Network
from tests.chaos.virtual import EPOCH, LIFE, START, Life, VirtualLoop, virtual

PARTIES = ("bank-a", "bank-b", "bank-c", "bank-d")
SERVER, ENCLAVE = "server", "enclave"
MACHINES = (SERVER, ENCLAVE, *PARTIES)
DOMAIN = "chaos.example"
LINK = 8444
PURPOSE = "credit scoring"
YEAR = 366 * 86_400
ALONE = 120.0
"""Seconds between two looks for other servers, of which there are none."""
ROWS = 12
BUDGET = 40.0
COLUMNS: list[dict[str, Any]] = [
    {"name": "age", "type": "number", "bounds": [0, 100]},
    {"name": "job", "type": "category", "categories": ["clerk", "farmer"]},
    {"name": "income", "type": "category", "categories": ["low", "high"]},
]
PRIVACY = {"domain": "customers", "epsilon": BUDGET, "delta": 1e-5, "required": False}
ALLOW = """permit(principal, action, resource);
permit(principal, action == Action::"evaluation", resource) when { context.per_party == 1 };
permit(principal, action == Action::"prediction", resource) when { context.deliver == "bank-b" };
"""

measured = cache(code_measurement)
"""One code runs in every world."""

_parsed = cache(kit_settings.parsed_yaml)
valid = cache(cedar._check)
"""Every process that starts reads its settings and its policies, the same in every world."""


def parsed(text: str, *, exponents: bool) -> Any:
    """Return what a settings file says."""
    return copy.deepcopy(_parsed(text, exponents=exponents))


_answers: dict[bytes, dict[str, Any]] = {}


class InlineAccountant(ProcessAccountant):
    """The accountant without its process; what it was asked once it knows for every world."""

    async def _run(self, line: bytes) -> dict[str, Any]:
        if line not in _answers:
            _answers[line] = account(line)
        await asyncio.sleep(0.3)
        return json.loads(json.dumps(_answers[line]))  # type: ignore[no-any-return]


class InlineWorker:
    """Stands in for `WorkerProcess`: the worker itself, in this thread."""

    pid = 0

    def __init__(self) -> None:
        self._worker: Worker | None = Worker(SourceLimits())

    @classmethod
    async def start(
        cls, config: object, seen: object = None, kernels: object = None
    ) -> InlineWorker:
        del config, seen, kernels
        await asyncio.sleep(0.1)
        return cls()

    async def request(self, verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        loop: Any = asyncio.get_running_loop()
        try:
            await asyncio.sleep(0.1 + loop.dice.random())
            worker = self._worker
            if worker is None:
                raise workers.WorkerDied
            line = json.dumps({"id": 1, "verb": verb, "arguments": dict(arguments)}).encode()
            reply: Any = parse_json(worker.answer(line), 1 << 24)
        except BaseException:
            await self.kill()
            raise
        if "error" in reply:
            raise workers.WorkerFailed(reply["error"])
        return dict(reply["answer"])

    async def kill(self) -> None:
        self._worker = None


def _known_secret(length: int) -> bytes:
    """Give each party one secret for all jobs, so that one spec makes one model."""
    life = LIFE.get()
    return hashlib.sha256(f"secret of {life and life.name}".encode()).digest()[:length]


@contextmanager
def in_process(loop: VirtualLoop, network: Network) -> Iterator[None]:
    """Have every part of the product run on the loop and the network."""
    with ExitStack() as stack:
        stack.enter_context(virtual(loop))
        stack.enter_context(network.instead())
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        for target, name, replacement in (
            (workers, "WorkerProcess", InlineWorker),
            (agent_main, "ProcessAccountant", InlineAccountant),
            (server_centre, "ProcessAccountant", InlineAccountant),
            (server_centre, "poll_forever", partial(poll_forever, interval=ALONE)),
            (approvals, "secrets", SimpleNamespace(token_bytes=_known_secret)),
            (connections, "BUSY_SECONDS", 0.0),
            (simulated, "code_measurement", measured),
            (agent_main, "code_measurement", measured),
            (kit_settings, "parsed_yaml", parsed),
            (cedar, "_check", valid),
        ):
            stack.enter_context(mock.patch.object(target, name, replacement))
        yield


async def be_server(directory: Path, up: asyncio.Future[Any]) -> None:
    """The server's process without REST."""
    settings = ServerSettings.load(directory / "server.yaml")
    claim_folder(settings.directory)
    async with AsyncExitStack() as stack:
        centre = await server_centre.open_centre(settings, stack, lambda: False)
        if not up.done():
            up.set_result(centre)
        await asyncio.Event().wait()


async def be_agent(directory: Path) -> None:
    """An agent's process."""
    settings = AgentSettings.load(directory / "agent.yaml")
    await agent_main.serve(settings, await workers.Workers.start())


async def be_enclave(directory: Path) -> None:
    """The enclave's process."""
    await enclave_main.serve(EnclaveSettings.load(directory / "enclave.yaml"))


class Platform:
    """The machines of one world.

    Args:
        directory: what `make_template` made, or a copy of it.
        loop: whose time it is.
        network: between the machines.
    """

    def __init__(self, directory: Path, loop: VirtualLoop, network: Network) -> None:
        self.directory = directory
        self.loop = loop
        self.network = network
        self.lives: dict[str, Life] = {}
        self.mains: dict[str, asyncio.Task[Any]] = {}
        self.shifts = dict.fromkeys(MACHINES, 0)
        self.centre: Any = None
        self._up: asyncio.Future[Any] | None = None

    def start(self, name: str) -> None:
        """Start a machine's process (again) from its directory."""
        life = self.lives[name] = Life(name, self.loop, self.shifts[name])
        life.ends.append(lambda: self.network.sever(life))
        if name == SERVER:
            self.centre, self._up = None, self.loop.create_future()
            work = be_server(self.directory / name, self._up)
            self._up.add_done_callback(self._take)
        else:
            work = (be_enclave if name == ENCLAVE else be_agent)(self.directory / name)
        self.mains[name] = life.start(work)

    def _take(self, up: asyncio.Future[Any]) -> None:
        if not up.cancelled():
            self.centre = up.result()

    async def kill(self, name: str) -> None:
        """End a process as SIGKILL does."""
        if name == SERVER:
            self.centre = None
        await self.lives[name].kill()

    async def services(self) -> Any:
        """Return the use cases of the running server, once it runs."""
        while self.centre is None:
            self._look_for_failures(SERVER)
            await asyncio.sleep(0.05)
        return self.centre.services

    async def end(self) -> None:
        """Kill everything."""
        for name in list(self.lives):
            if not self.lives[name].dead:
                await self.kill(name)

    async def connected(self) -> None:
        """Wait until everybody has a link."""
        services = await self.services()
        while services.courier.connected < len(MACHINES) - 1:
            self._look_for_failures(*self.mains)
            await asyncio.sleep(0.05)

    def _look_for_failures(self, *names: str) -> None:
        """Raise what ended a process, which would be waited for until the end of (virtual) time."""
        for name in names:
            main = self.mains[name]
            if main.done() and not main.cancelled() and (failure := main.exception()) is not None:
                raise failure


def person(organisation: str, role: Role) -> Principal:
    """Return somebody of an organisation (`make_template` made the accounts)."""
    name = f"{organisation or 'operator'}.{role}"
    return Principal(f"usr_{_crockford(name)}", name, organisation, frozenset({role}), "")


def _crockford(text: str) -> str:
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    return "".join(alphabet[byte % 32] for byte in hashlib.sha256(text.encode()).digest()[:20])


OPERATOR = person("", Role.PLATFORM_ADMIN)
SCIENTIST = person("bank-a", Role.DATA_SCIENTIST)


@dataclass(frozen=True)
class Template:
    """A platform at rest, to be copied.

    Args:
        directory: where it lies.
        project: its project.
        datasets: one of each party.
        charter: the adopted one.
        model: a released model; "" before there is one.
        now: what the loop's clock says.
    """

    directory: Path
    project: str
    datasets: tuple[str, ...]
    charter: SignedCharter
    model: str = ""
    now: float = START

    def copy(self, to: Path) -> Path:
        """Copy it to a new directory."""
        shutil.copytree(self.directory, to)
        return to


def make_template(directory: Path) -> Template:
    """Make a platform whose next step is a job; nothing of it runs afterwards."""
    directory.mkdir(parents=True)
    with mock.patch.object(time, "time", return_value=float(EPOCH)):
        initialise(directory / SERVER, trust_domain=DOMAIN, rest_port=8443, link_port=LINK)
        SimulatedPlatform.create(directory / ENCLAVE / "simulated", EPOCH)
    (directory / SERVER / "server.yaml").chmod(0o600)
    loop = VirtualLoop("template")
    network = Network(loop, "template")
    try:
        with in_process(loop, network):
            return loop.run_until_complete(_made(Platform(directory, loop, network)))
    finally:
        loop.close()


async def _made(platform: Platform) -> Template:
    platform.start(SERVER)
    services = await platform.services()
    await _people(services)
    await _enclave(services, platform.directory)
    for party in PARTIES:
        await _agent(services, platform.directory, party)
    charter = await _charter(services, platform.directory)
    project = await _project(services)
    datasets = [await _data(services, platform.directory, party, project) for party in PARTIES]
    await platform.end()
    return Template(platform.directory, project, tuple(datasets), charter)


async def _people(services: Any) -> None:
    everybody = [OPERATOR, *(person(p, role) for p in PARTIES for role in Role if role != OPERATOR)]
    async with services.begin() as work:
        for one in everybody:
            if Role.PLATFORM_ADMIN in one.roles and one is not OPERATOR:
                continue
            roles = tuple(one.roles)
            await work.users.add(
                User(one.user, one.name, one.name, one.organisation, roles, "no hash", EPOCH)
            )
        await work.commit()
    for party in PARTIES:
        await services.organisations.create(OPERATOR, party, party.title())


async def _enrolled(
    services: Any, directory: Path, kind: str, organisation: str, name: str, key: SigningKey
) -> None:
    _, text = await services.organisations.invite(OPERATOR, kind, organisation)
    link_key = new_link_key()
    csr, token = make_csr(link_key), EnrolmentToken.parse(text)
    proof = key.sign("enrol", proof_body(token.id, csr, key.public))
    given = await services.organisations.enroll(text, csr, name, key.public, proof)
    CredentialFiles.create(directory, services.organisations.ca, link_key, given.certificate)


async def _enclave(services: Any, directory: Path) -> None:
    home = directory / ENCLAVE
    await _enrolled(services, home, "enclave", "", "main", SigningKey.generate())
    settings = {
        "directory": ".",
        "server": f"127.0.0.1:{LINK}",
        "simulated": "simulated",
        "uplink": {"bind": "127.0.0.1", "port": 0},
    }
    (home / "enclave.yaml").write_text(yaml.safe_dump(settings))


async def _agent(services: Any, directory: Path, party: str) -> None:
    home = directory / party
    home.mkdir(mode=0o700)
    key = SigningKey.from_seed(party.ljust(32).encode())
    key.save(home / "signing.key")
    await _enrolled(services, home, "agent", party, party, key)
    (home / "consent.cedar").write_text(ALLOW)
    write_rows(home / "customers.csv", party)
    dataset = {
        "name": "customers",
        "path": "customers.csv",
        "format": "csv",
        "columns": COLUMNS,
        "privacy": PRIVACY,
    }
    settings = {
        "directory": ".",
        "organisation": party,
        "name": party,
        "server": "https://127.0.0.1:8443",
        "link": f"127.0.0.1:{LINK}",
        "trust_domain": DOMAIN,
        "datasets": [dataset],
        "consent": {"policies": ["consent.cedar"]},
        "attestation": {
            "allow_simulated": True,
            "roots": [f"../{ENCLAVE}/simulated/root.pem"],
        },
    }
    (home / "agent.yaml").write_text(yaml.safe_dump(settings))


def write_rows(path: Path, party: str) -> None:
    """Write a party's few rows."""
    dice = random.Random(party)
    lines = ["age,job,income"]
    for _ in range(ROWS):
        age, job = dice.randrange(18, 90), dice.choice(("clerk", "farmer"))
        income = "high" if age + (20 if job == "farmer" else 0) > 60 else "low"
        lines.append(f"{age},{job},{income}")
    path.write_text("\n".join(lines) + "\n")


async def _charter(services: Any, directory: Path) -> SignedCharter:
    shown = await services.charters.propose(OPERATOR)
    for party in PARTIES:
        key = SigningKey.load(directory / party / "signing.key")
        signature = key.sign("charter", shown["charter"])
        shown = await services.charters.sign(
            person(party, Role.ORGANISATION_ADMIN), party, shown["digest"], signature
        )
    signed: SignedCharter = await services.charters.current()
    for party in PARTIES:
        store = RecordStore(directory / party / "agent.db")
        key = SigningKey.load(directory / party / "signing.key")
        PinnedCharter(store, party, key, lambda: EPOCH).pin(signed, signed.charter.digest)
        store.close()
    return signed


async def _project(services: Any) -> str:
    projects = services.projects
    project = await projects.create(SCIENTIST, name="chaos", purpose=PURPOSE)
    for party in PARTIES[1:]:
        admin = person(party, Role.ORGANISATION_ADMIN)
        await projects.invite(person("bank-a", Role.ORGANISATION_ADMIN), project.id, party)
        await projects.accept(admin, project.id)
    return str(project.id)


async def _data(services: Any, directory: Path, party: str, project: str) -> str:
    """Publish and grant a party's rows, as its agent and its owner would."""
    home = directory / party
    settings = AgentSettings.load(home / "agent.yaml")
    (dataset,) = settings.datasets
    salt = hashlib.sha256(party.encode()).digest()
    commitment = dataset_commitment(home / "customers.csv", salt)
    told = await services.datasets.publish(
        party,
        {
            "name": "customers",
            "title": "Customers",
            "columns": dataset.public_schema(),
            "rows": row_bucket(ROWS),
            "commitment": commitment,
            "privacy": dataset.public_privacy(),
        },
    )
    store = RecordStore(settings.record)
    fact = {"id": told.dataset.id, "salt": salt.hex(), "commitment": commitment}
    with store.transaction():
        store.set_fact("dataset/customers", {**fact, **declaration(dataset)})
        keep_lineage(store, dataset)
    store.close()
    await services.datasets.grant(
        person(party, Role.DATA_OWNER),
        told.dataset.id,
        project=project,
        columns=["age", "job", "income"],
        purposes=[PURPOSE],
        expires=EPOCH + YEAR,
    )
    return str(told.dataset.id)
