"""A stage for tests of the server: the platform on in-memory ports, with two worlds on it.

`bank-a`, `bank-b` and `bank-c` share a project with granted datasets, a charter, a job and a
model. `outsider` has its own project, dataset, grant, job and model. Nobody of one world may see
anything of the other.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from peers.accounting import InlineAccountant

from secureflow.application.access import Principal
from secureflow.application.jobs.kind import Wanted
from secureflow.application.peoplerules import PeopleRules
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import PendingLeaf
from secureflow.application.quotas import Quotas
from secureflow.domain.deliveries import Delivery
from secureflow.domain.ids import new_id
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.models import Model
from secureflow.domain.organisations import Agent
from secureflow.domain.users import Role, Token, User
from secureflow.kit.crypto import SigningKey
from secureflow.kit.enrolment import EnrolmentToken, proof_body
from secureflow.kit.pki import Authority, make_csr, new_link_key
from secureflow.server.bounds import Bounds
from secureflow.server.services import Services
from secureflow.server.wiring import Notify, Ports, make_services
from tests.doubles import (
    MemoryArtifacts,
    MemoryBus,
    MemoryDatabase,
    MemoryLedger,
    NotingDriver,
    NotingNotifier,
    SilentCourier,
)

NOW = 1_800_000_000
ORIGIN = "test.example/log"
YEAR = 366 * 86_400
PASSWORD = "correct horse battery"
ACCOUNTANT = InlineAccountant()
"""One for all stages: what it was asked once it knows."""
BANKS = ("bank-a", "bank-b", "bank-c")
COLUMNS: list[dict[str, Any]] = [
    {"name": "age", "type": "number", "bounds": [0, 120]},
    {"name": "job", "type": "category", "categories": ["clerk", "farmer"]},
    {"name": "income", "type": "category", "categories": ["low", "high"], "sensitive": True},
]
FEATURES: dict[str, Any] = {
    "label": {"column": "income", "positive": "high"},
    "numeric": [{"column": "age", "bounds": [0, 120]}],
    "categorical": [{"column": "job", "categories": ["clerk", "farmer"]}],
}


@dataclass
class Stage:
    services: Services
    database: MemoryDatabase
    ledger: MemoryLedger
    driver: NotingDriver
    bus: MemoryBus
    artifacts: MemoryArtifacts
    uploads: MemoryArtifacts
    now: list[int]
    ticks: list[float]
    expelled: list[Agent]
    told_disabled: list[Sequence[str]]
    stopping: list[bool] = field(default_factory=lambda: [False])
    delivered: list[Delivery] = field(default_factory=list)
    keys: dict[str, SigningKey] = field(default_factory=dict)
    people: dict[tuple[str, Role], Principal] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def operator(self) -> Principal:
        return self.people["", Role.PLATFORM_ADMIN]

    def person(self, organisation: str, role: Role) -> Principal:
        return self.people[organisation, role]

    def people_of(self, organisation: str) -> list[Role]:
        """Return the roles of which the organisation has a person."""
        return [role for of, role in self.people if of == organisation]

    def admin(self, organisation: str) -> Principal:
        return self.people[organisation, Role.ORGANISATION_ADMIN]

    def scientist(self, organisation: str) -> Principal:
        return self.people[organisation, Role.DATA_SCIENTIST]

    def owner(self, organisation: str) -> Principal:
        return self.people[organisation, Role.DATA_OWNER]

    async def add_person(self, organisation: str, role: Role) -> Principal:
        """Put a user straight into the database: no password hashing, to keep tests quick."""
        name = f"{organisation or 'operator'}.{role}"
        user = User(new_id("usr"), name, name, organisation, (role,), "no hash", self.now[0])
        async with self.database.begin() as work:
            await work.users.add(user)
            await work.commit()
        principal = Principal(user.id, name, organisation, frozenset({role}), "")
        self.people[organisation, role] = principal
        return principal

    async def bearer(self, principal: Principal) -> str:
        """Put a token straight into the database: the log holds what the test does."""
        secret = secrets.token_urlsafe(32)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        now = self.now[0]
        token = Token(
            new_id("tok"), principal.user, digest, now, now + 3600, "test",
            scopes=tuple(principal.scopes), proven=now,
        )  # fmt: skip
        async with self.database.begin() as work:
            await work.tokens.add(token)
            await work.commit()
        return f"sft_{token.id.removeprefix('tok_')}_{secret}"

    async def enrol(self, organisation: str, name: str = "agent-1") -> str:
        _, text = await self.services.organisations.invite(self.operator, "agent", organisation)
        key = self.keys.setdefault(organisation, known_key(organisation))
        csr = make_csr(new_link_key())
        token = EnrolmentToken.parse(text)
        signature = key.sign("enrol", proof_body(token.id, csr, key.public))
        enrolled = await self.services.organisations.enroll(text, csr, name, key.public, signature)
        return enrolled.spiffe

    async def adopt_charter(self) -> dict[str, Any]:
        shown = await self.services.charters.propose(self.operator)
        return await self.sign_charter(shown, list(shown["charter"]["members"]))

    async def sign_charter(
        self, shown: dict[str, Any], members: list[dict[str, str]]
    ) -> dict[str, Any]:
        for member in members:
            organisation = member["organisation"]
            signature = self.keys[organisation].sign("charter", shown["charter"])
            shown = await self.services.charters.sign(
                self.admin(organisation), organisation, shown["digest"], signature
            )
        return shown

    async def publish(self, organisation: str, name: str = "customers") -> str:
        body = {
            "name": name,
            "title": "Customers",
            "columns": COLUMNS,
            "rows": "10k-50k",
            "commitment": "ab" * 32,
        }
        return (await self.services.datasets.publish(organisation, body)).id

    async def grant(self, organisation: str, dataset: str, project: str) -> str:
        grant = await self.services.datasets.grant(
            self.owner(organisation),
            dataset,
            project=project,
            columns=["age", "job", "income"],
            purposes=["credit-scoring"],
            expires=self.now[0] + YEAR,
        )
        return grant.id

    def wanted(self, **changes: Any) -> Wanted:
        datasets = tuple(self.ids[f"{bank}.dataset"] for bank in BANKS)
        wanted = Wanted(
            self.ids["project"], "income model", "credit-scoring", datasets,
            {"features": FEATURES},
        )  # fmt: skip
        return replace(wanted, **changes)

    async def finish(self, job: Job, **changes: Any) -> Job:
        async with self.database.begin() as work:
            finished = replace(await work.jobs.get(job.id), **changes)
            await work.jobs.save(finished)
            await work.commit()
        return finished

    async def add_model(self, job: Job, data: bytes = b"\0\0\x80?" * 4, **changes: Any) -> str:
        digest = self.artifacts.keep(data)
        model = Model(
            new_id("mdl"), job.project, job.id, job.name, 1, digest, digest,
            "logistic_regression", {"auc": 0.9}, self.now[0], card={"moments": [1.0] * 69},
        )  # fmt: skip
        async with self.database.begin() as work:
            await work.models.add(replace(model, **changes))
            await work.commit()
        return model.id

    async def submit_leaves(self, leaves: list[PendingLeaf]) -> None:
        await self.ledger.append(leaves)


def known_key(owner: str) -> SigningKey:
    """Return the same key on every stage: its charter's fingerprint is dear, and known then."""
    return SigningKey.from_seed(hashlib.sha256(owner.encode()).digest())


def empty_stage(
    directory: Path,
    key: SigningKey | None = None,
    database: Any = None,
    ledger: Any = None,
    quotas: Quotas | None = None,
    server: str = "",
    others: Collection[str] = (),
    uploads: Artifacts | None = None,
    rules: PeopleRules | None = None,
) -> Stage:
    """Return a platform without anybody on it, in memory or over the given database and log."""
    key = key or known_key("log")
    database = database or MemoryDatabase()
    ledger = ledger or MemoryLedger(database, key, ORIGIN)
    now, ticks = [NOW], [0.0]
    driver, bus, artifacts = NotingDriver(), MemoryBus(), MemoryArtifacts()
    store = MemoryArtifacts()
    expelled: list[Agent] = []
    told_disabled: list[Sequence[str]] = []
    stopping, delivered = [False], []
    ports = Ports(
        begin=database.begin,
        ledger=ledger,
        log_key=key,
        authority=Authority.create(directory / "ca", "test.example", NOW),
        courier=SilentCourier(),
        driver=driver,
        bus=bus,
        artifacts=artifacts,
        uploads=uploads or store,
        clock=lambda: now[0],
        accountant=ACCOUNTANT,
        notify=Notify(notifiers={"webhook": NotingNotifier(delivered)}),
    )
    services = make_services(
        ports,
        "127.0.0.1:8444",
        expel=expelled.append,
        notify_disabled=told_disabled.append,
        ticks=lambda: ticks[0],
        bounds=Bounds(quotas or Quotas(), rules=rules or PeopleRules()),
        server=server,
        others=lambda: others,
        stopping=lambda: stopping[0],
    )
    database.on_change = services.feed.changed
    return Stage(
        services, database, ledger, driver, bus, artifacts, store, now, ticks, expelled,
        told_disabled, stopping, delivered,
    )  # fmt: skip


async def two_worlds(directory: Path, quotas: Quotas | None = None) -> Stage:
    """Return the stage in memory with both worlds on it."""
    return await populated(empty_stage(directory, quotas=quotas))


async def populated(stage: Stage) -> Stage:
    """Put both worlds on an empty stage."""
    await stage.add_person("", Role.PLATFORM_ADMIN)
    for organisation in (*BANKS, "outsider"):
        await stage.services.organisations.create(
            stage.operator, organisation, organisation.title()
        )
        for role in Role:
            if role is not Role.PLATFORM_ADMIN:
                await stage.add_person(organisation, role)
        stage.ids[f"{organisation}.agent"] = await stage.enrol(organisation)
    await stage.adopt_charter()
    stage.ids["project"] = await _project(stage, "bank-a", BANKS)
    stage.ids["outsider.project"] = await _project(stage, "outsider", ("outsider",))
    for organisation in (*BANKS, "outsider"):
        project = stage.ids["outsider.project" if organisation == "outsider" else "project"]
        dataset = await stage.publish(organisation)
        stage.ids[f"{organisation}.dataset"] = dataset
        stage.ids[f"{organisation}.grant"] = await stage.grant(organisation, dataset, project)
    job = await stage.services.jobs.submit(stage.scientist("bank-a"), stage.wanted())
    stage.ids |= {"job": job.id, "model": await stage.add_model(job)}
    foreign = replace(
        job, id=new_id("job"), project=stage.ids["outsider.project"], organisation="outsider"
    )
    async with stage.database.begin() as work:
        await work.jobs.add(replace(foreign, state=JobState.RUNNING))
        await work.commit()
    stage.ids |= {"outsider.job": foreign.id, "outsider.model": await stage.add_model(foreign)}
    return stage


async def _project(stage: Stage, founder: str, members: tuple[str, ...]) -> str:
    projects = stage.services.projects
    project = await projects.create(
        stage.scientist(founder), name="Credit risk", purpose="credit-scoring"
    )
    for member in members:
        if member != founder:
            await projects.invite(stage.admin(founder), project.id, member)
            await projects.accept(stage.admin(member), project.id)
    return project.id
