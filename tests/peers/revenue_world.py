"""Four banks' own agents around a centre that keeps a project's revenue: all of it genuine.

The centre's use cases run over a database in memory; what an agent is shown goes through `Hands`,
where a hostile centre, or a hostile member, sits. The jobs' records are stories that verify.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from secureflow.adapters.link import PeerIdentity
from secureflow.agent.anchorsettings import AnyPlace, FilePlace
from secureflow.agent.edge.revenuecommands import RevenueCommands
from secureflow.agent.owner.agreements import OwnAgreements
from secureflow.agent.owner.settlements import OwnSettlements
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.charter import PinnedCharter
from secureflow.agent.witness.owndeeds import OwnDeeds
from secureflow.application.access import Principal
from secureflow.application.agreements import Agreements
from secureflow.application.jobevidence import JobRecords
from secureflow.application.membership import CURRENT
from secureflow.application.settlements import Settlements
from secureflow.application.transactions import Transactions
from secureflow.domain.charter import SignedCharter
from secureflow.domain.projects import Membership, Project
from secureflow.domain.scoredocument import scores_digest
from secureflow.domain.users import Role
from secureflow.engines.anchors.entries import Entry
from secureflow.kit.canonical import digest
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import SpiffeId
from secureflow.server.revenueverbs import REVENUE_VERBS
from tests.doubles import MemoryDatabase, MemoryLedger
from tests.unit.engines.ledger.test_bundle import BANKS, CHARTER, JOB, LOG, ORIGIN, Story
from tests.unit.engines.ledger.test_scores import (
    PLAN,
    SCORED_SPEC,
    document,
    scored_actions,
    signed,
)

NOW = 1_800_000_000
DAY = 86_400
PROJECT = "prj_0123456789abcdefghjk"
NAMES = tuple(BANKS)
SPEC: dict[str, Any] = {**SCORED_SPEC, "project": PROJECT, "kind": "training"}
TERMS: dict[str, Any] = {
    "weights": {"scores": 3, "rows": 0, "participation": 1}, "floor": 500, "rounding": "bank-a",
    "currency": "EUR", "window_days": 30, "payer": "bank-a", "per_job": 100_000,
    "entered": True, "unscored": "left_out", "kinds": [],
}  # fmt: skip
SIGNED_CHARTER = SignedCharter(CHARTER)
for _name, _key in BANKS.items():
    SIGNED_CHARTER = SIGNED_CHARTER.sign(_name, _key)
assert PLAN
PLACE = FilePlace(
    name="keeper", make="file", url="http://keeper.example", keeper=BANKS["bank-b"].public
)
"""Where every bank sends what it signed; nobody is dialled."""


def scored_bundle(**changes: Any) -> dict[str, Any]:
    """Return the record of the scored job; `changes` are in the document that was signed."""
    told = signed(document(spec=digest(SPEC), **changes))
    return Story(scored_actions(told, scores_digest(told)), SPEC).bundle()


BUNDLE = scored_bundle()


class Ledger:
    """The audit of a centre: the records of its jobs."""

    def __init__(self) -> None:
        self.bundles: dict[str, dict[str, Any]] = {JOB: copy.deepcopy(BUNDLE)}

    async def bundle(self, principal: Principal, key: str) -> dict[str, Any]:
        del principal
        if key not in self.bundles:
            raise SecureFlowError("not_found", "There is no such job.")
        return self.bundles[key]


class Hands:
    """An agent's link; `twist` alters what the centre answers, or what it is asked.

    `refuse` is called with each kind of call before the centre has it.
    """

    def __init__(self, services: Any, party: str) -> None:
        self._services = services
        self._peer = PeerIdentity(party, SpiffeId("test.example", "agent", party, "a"), "1")
        self.twist: Callable[[str, Any, Any], Any] = lambda kind, body, answer: answer
        self.refuse: Callable[[str], None] = lambda kind: None
        self.calls: list[str] = []
        self.down = False

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        self.calls.append(kind)
        if self.down:
            from secureflow.kit.errors import InfrastructureError

            raise InfrastructureError("unavailable", "The centre cannot be reached.")
        self.refuse(kind)
        answer = await REVENUE_VERBS[kind](self._services, self._peer, body)
        return self.twist(kind, body, copy.deepcopy(answer))


class Bank:
    """One member: its agent's record, commands, and what it sent to the places."""

    def __init__(
        self,
        name: str,
        services: Any,
        clock: Callable[[], int],
        folder: Path,
        key: SigningKey | None = None,
        signed: SignedCharter = SIGNED_CHARTER,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name, self.key, self.folder = name, key or BANKS[name], folder
        self.store = RecordStore(folder / "record.db")
        charter = PinnedCharter(self.store, name, self.key, clock)
        if self.store.fact("charter") is None:
            charter.pin(signed, signed.charter.digest)
        self.hands = Hands(services, name)
        agreements = OwnAgreements(self.store, name, self.key, charter, clock)
        self.places: list[AnyPlace] = [PLACE]
        """As the owner names them."""
        self.deeds = OwnDeeds(self.store, lambda: self.places, charter.pinned, clock, frozenset())
        self.own = OwnSettlements(
            self.store,
            name,
            self.key,
            agreements,
            lambda: [LOG.public],
            clock,
            lambda deeds: self.deeds.settled(deeds),  # noqa: PLW0108  tests put faults there
        )
        context = SimpleNamespace(
            store=self.store, charter=charter, party=name, clock=clock, key=self.key,
            settings=SimpleNamespace(evidence=folder / "evidence"),
        )  # fmt: skip
        assembly = SimpleNamespace(context=context, agreements=agreements, settlements=self.own)
        self.commands = RevenueCommands(cast("Any", assembly), self.hands)

    async def sign(self) -> None:
        shown = cast("Any", await self.commands.agreement(PROJECT))
        waits = shown["candidate"]
        if waits is not None:
            await self.commands.sign(PROJECT, waits["digest"])

    async def approve(self, key: str) -> Any:
        shown = cast("Any", await self.commands.show(key))
        return await self.commands.approve(key, shown["digest"])

    async def state(self, key: str) -> str:
        shown = cast("Any", await self.commands.show(key))
        return str(shown["state"])

    @property
    def sent(self) -> list[Entry]:
        """What waits in the outbox, in its order."""
        return [one.entry for one in self.store.queued_anchor_entries(PLACE.place, 1000)]

    def evidence(self) -> list[Path]:
        return sorted((self.folder / "evidence").glob("accusation-*.json"))


class RevenueWorld:
    """The centre, and four banks."""

    def __init__(self, folder: Path) -> None:
        self.now = [NOW]
        self.database = MemoryDatabase()
        self.ledger = MemoryLedger(self.database, LOG, ORIGIN)
        self.audit = Ledger()
        begin, clock = self.database.begin, self.clock
        transactions = Transactions(begin, self.ledger, LOG, clock)
        records = JobRecords(cast("Any", self.audit))
        self.agreements = Agreements(begin, transactions, self.ledger, clock)
        self.settlements = Settlements(begin, transactions, records, LOG, clock)
        self.services = SimpleNamespace(
            agreements=self.agreements, settlements=self.settlements, job_records=records
        )
        self.banks = {name: Bank(name, self.services, clock, folder / name) for name in NAMES}
        roles = frozenset({Role.ORGANISATION_ADMIN})
        self.admin = Principal("usr_1", "ana", "bank-a", roles, "")

    def clock(self) -> int:
        return self.now[0]

    async def start(self, *, sign: bool = True, **terms: Any) -> RevenueWorld:
        members = tuple(Membership(name, "active", NOW) for name in NAMES)
        async with self.database.begin() as work:
            await work.projects.add(Project(PROJECT, "p", "q", "bank-a", members, NOW))
            await work.set_setting(CURRENT, SIGNED_CHARTER.json())
            await work.commit()
        await self.agreements.draft(self.admin, PROJECT, {**TERMS, **terms}, {})
        for bank in self.banks.values() if sign else ():
            await bank.sign()
        for bank in self.banks.values():
            await bank.commands.agreement(PROJECT)
        return self

    def again(self, name: str) -> Bank:
        """Start a bank's agent again, with what is on its disk."""
        old = self.banks[name]
        old.store.close()
        self.banks[name] = Bank(name, self.services, self.clock, old.folder)
        return self.banks[name]

    async def open(self, **wish: Any) -> str:
        shown = await self.settlements.open(self.admin, PROJECT, [JOB], **wish)
        return shown.stored.settlement.id

    async def approved(self, names: tuple[str, ...] = NAMES, **wish: Any) -> str:
        key = await self.open(**wish)
        for name in names:
            await self.banks[name].approve(key)
        return key

    async def closed(self) -> str:
        key = await self.approved()
        self.later(31 * DAY)
        await self.settlements.close(self.admin, key)
        return key

    def later(self, seconds: int) -> None:
        self.now[0] += seconds

    def twist_all(self, twist: Callable[[str, Any, Any], Any]) -> None:
        for bank in self.banks.values():
            bank.hands.twist = twist

    def kinds(self) -> list[str]:
        return [one.kind for one in self.ledger.log]

    def deeds(self, key: str) -> Mapping[str, int]:
        rows = self.database.tables.rows["revenue"].values()
        found: dict[str, int] = {}
        for one in rows:
            if one.kind == "deed" and one.settlement == key:
                act = one.body["statement"]["act"]
                found[act] = found.get(act, 0) + 1
        return found

    def close(self) -> None:
        for bank in self.banks.values():
            bank.store.close()
