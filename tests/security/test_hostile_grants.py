"""A hostile centre and grants: it invents, replays, swaps, widens and hides; none of it works."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.agent_world import JOB, ME, NOW, World

from secureflow.agent.edge.grantcommands import GrantCommands
from secureflow.agent.edge.grantwatch import GRACE, MOST, GrantWatch
from secureflow.agent.settings import AgentSettings
from secureflow.domain.grants import KIND, REVOKED
from secureflow.kit.canonical import digest
from secureflow.kit.crypto import verify
from secureflow.kit.errors import SecureFlowError

PROJECT = "prj_0123456789"
ALL = ["age", "job", "income"]
NARROW = {"dataset": "customers", "project": PROJECT, "columns": ["age"], "expires": NOW + 1000}
WIDE = {**NARROW, "columns": ALL, "automatic": True}
PROPOSAL = "grt_0123456789"


class Centre:
    """What the agent has for a centre: it says what a test wants, and keeps what it is told."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.connected.set()
        self.told: list[tuple[str, Any]] = []
        self.answers: dict[str, Any] = {"grant.list": {"grants": [], "disabled": []}}

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        self.told.append((kind, json.loads(json.dumps(body))))
        return self.answers.get(kind, {})

    def shows(self, *grants: dict[str, Any], disabled: Any = ()) -> None:
        self.answers["grant.list"] = {"grants": list(grants), "disabled": list(disabled)}

    def of(self, kind: str) -> list[Any]:
        return [body for name, body in self.told if name == kind]


class Owner(World):
    """An agent that asks for grants, unless `mode` says otherwise, and its owner's commands."""

    mode: Any = "required"

    def open_agent(self) -> None:
        super().open_agent()
        self.centre = Centre()
        self.watch = GrantWatch(self.centre, self.assembly)
        self.commands = GrantCommands(self.assembly, self.watch)

    @property
    def settings(self) -> AgentSettings:
        settings = super().settings
        consent = settings.consent.model_copy(update={"grants": self.mode})
        return settings.model_copy(update={"consent": consent})

    async def refused(self, verb: str, body: dict[str, Any]) -> str:
        with pytest.raises(SecureFlowError) as caught:
            await self.ask(verb, body)
        return caught.value.code


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    return Owner(tmp_path / "agent")


def shown(terms: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": PROPOSAL, "terms": terms, "granted_by": "usr_eve", **more}


async def test_a_forged_grant_is_a_proposal_and_allows_nothing(owner: Owner) -> None:
    owner.centre.shows(shown(WIDE))
    await owner.watch.exchange()
    assert [one["state"] for one in await owner.commands.every()] == ["proposed"]
    assert await owner.refused("consent", owner.consent_body()) == "grant_missing"
    # Neither if it says that the agent made it, under whatever id.
    owner.centre.shows(shown(WIDE, local="ab" * 32))
    await owner.watch.exchange()
    assert await owner.commands.every() == []
    assert await owner.refused("consent", owner.consent_body()) == "grant_missing"


async def test_a_widened_grant_is_what_was_signed_here(owner: Owner) -> None:
    made = await owner.commands.create(NARROW)
    owner.centre.answers["grant.tell"] = {"id": PROPOSAL, "terms": WIDE}
    owner.centre.shows(shown(WIDE, local=made["id"]))
    await owner.watch.exchange()
    await owner.watch.exchange()
    (kept,) = await owner.commands.every()
    assert kept["terms"]["columns"] == ["age"]
    assert kept["proposal"] == PROPOSAL
    assert await owner.refused("consent", owner.consent_body()) == "grant_missing"


async def test_a_proposal_that_is_swapped_before_it_is_confirmed(owner: Owner) -> None:
    owner.centre.shows(shown(NARROW))
    await owner.watch.exchange()
    (seen,) = await owner.commands.every()
    owner.centre.shows(shown(WIDE))
    await owner.watch.exchange()
    made = await owner.commands.confirm(PROPOSAL, seen["terms"])
    assert made["terms"]["columns"] == ["age"], "what the person saw is what is signed"
    owner.centre.shows()
    await owner.watch.exchange()
    with pytest.raises(SecureFlowError):
        await owner.commands.confirm("grt_9999999999", WIDE)


async def test_an_old_grant_that_is_replayed_after_its_revocation(owner: Owner) -> None:
    owner.centre.shows(shown(WIDE))
    await owner.watch.exchange()
    made = await owner.commands.confirm(PROPOSAL, WIDE)
    await owner.watch.exchange()
    await owner.commands.revoke(made["id"], "over")
    for _ in range(2):
        owner.centre.shows(shown(WIDE), shown(WIDE, local=made["id"]))
        await owner.watch.exchange()
        assert owner.assembly.grants.get(made["id"]).state == "revoked"
        assert await owner.refused("consent", owner.consent_body()) == "grant_missing"
        with pytest.raises(SecureFlowError) as caught:
            await owner.commands.confirm(PROPOSAL, WIDE)
        assert caught.value.code in {"already_exists", "not_found"}
        owner.reopen()


async def test_a_hidden_revocation(owner: Owner) -> None:
    """The centre says that all is well, and goes on with the job by every verb that it has."""
    made = await owner.commands.create({**NARROW, "columns": ALL})
    await owner.admitted()
    train = owner.train_body()
    await owner.ask("train", train)
    close = owner.close_body(train)
    await owner.commands.revoke(made["id"], "over")
    owner.centre.shows(shown(WIDE, local=made["id"]))
    await owner.watch.exchange()
    owner.record()
    for _ in range(2):
        for verb, body in (
            ("close", close),
            ("train", train),
            ("train", owner.train_body(2)),
            ("challenge", owner.body(generation=2)),
            ("consent", owner.consent_body()),
            ("finish", owner.body(outcome="succeeded", model=None, head=owner.head())),
        ):
            assert await owner.refused(verb, body) == "grant_revoked", verb
        again = owner.consent_body(job="job_again00000")
        assert await owner.refused("consent", again) == "grant_missing"
        assert owner.store.vote(JOB, 1, "train") is None
        owner.reopen()


async def test_a_grant_outlives_no_end_that_the_centre_asks_for(owner: Owner) -> None:
    await owner.commands.create({**NARROW, "columns": ALL})
    body = owner.consent_body(expires=NOW + 10**6)
    reply = await owner.ask("consent", body)
    assert reply["approval"]["body"]["expires"] == NOW + 1000
    owner.now = NOW + 1000
    assert await owner.refused("challenge", owner.body(generation=1)) == "approval_expired"
    assert await owner.refused("consent", body) == "grant_missing"


async def test_the_centre_can_only_take_away(owner: Owner) -> None:
    owner.centre.shows(shown(WIDE))
    await owner.watch.exchange()
    made = await owner.commands.confirm(PROPOSAL, {**NARROW, "columns": ALL})
    await owner.admitted()
    owner.centre.shows(disabled=["usr_bob", 7, "\x1b[2J"])
    await owner.watch.exchange()
    assert await owner.commands.stops() == [], "only who submitted a job here"
    owner.centre.shows(shown(NARROW, revoked=True))
    await owner.watch.exchange()
    assert owner.assembly.grants.get(made["id"]).state == "revoked"
    job = owner.store.job(JOB)
    assert job is not None
    assert job.outcome == "grant_revoked"
    # It stays so, whatever the centre shows next, and blocks are lifted here alone.
    await owner.commands.block("usr_alice", "asked too much")
    owner.centre.shows(shown(NARROW))
    await owner.watch.exchange()
    assert owner.assembly.grants.get(made["id"]).state == "revoked"
    assert [one["name"] for one in await owner.commands.stops()] == ["usr_alice"]


async def test_a_user_whom_the_centre_disabled(owner: Owner) -> None:
    await owner.commands.create({**NARROW, "columns": ALL})
    await owner.admitted()
    owner.centre.shows(disabled=["usr_alice"])
    await owner.watch.exchange()
    job = owner.store.job(JOB)
    assert job is not None
    assert job.outcome == "requester_blocked"
    (stop,) = await owner.commands.stops()
    assert (stop["name"], stop["by"]) == ("usr_alice", "centre")
    assert owner.centre.of("grant.list")[-1] == {"submitters": ["usr_alice"]}


async def test_the_centre_is_told_signed_and_once(owner: Owner) -> None:
    made = await owner.commands.create({**NARROW, "columns": ALL})
    await owner.admitted()
    owner.centre.answers["grant.tell"] = {"id": PROPOSAL}
    await owner.watch.exchange()
    await owner.commands.revoke(made["id"])
    await owner.watch.exchange()
    assert owner.centre.of("job.withdraw") == [], "a job that asks ends by the refusal, in order"
    owner.now += GRACE
    await owner.watch.exchange()
    await owner.watch.exchange()
    ((told,), (ended,), (withdrawn,)) = (
        owner.centre.of(kind) for kind in ("grant.tell", "grant.end", "job.withdraw")
    )
    key = owner.keys[ME].public
    assert verify(key, KIND, told["body"], told["signature"])
    assert digest({**told["body"], "grant": ""}) == made["id"]
    assert verify(key, REVOKED, ended["body"], ended["signature"])
    assert ended["body"]["proposal"] == PROPOSAL
    assert withdrawn == {"jobs": [[JOB, "grant_revoked"]]}


NONSENSE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "terms", "grants", "disabled", "local"]), inner)
    ),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Owner:
    return Owner(tmp_path_factory.mktemp("owner") / "agent")


@settings(max_examples=60)
@given(answer=NONSENSE, listed=st.lists(NONSENSE, max_size=4))
async def test_nonsense_makes_no_grant(one: Owner, answer: Any, listed: list[Any]) -> None:
    for said in (answer, {"grants": listed, "disabled": listed}, {"grants": answer}):
        one.centre.answers["grant.list"] = said
        await one.watch.exchange()
        assert one.watch.proposals == {}
        assert one.store.grants() == []
        assert one.store.stops() == []


async def test_more_proposals_than_are_read(owner: Owner) -> None:
    grants = [{**shown(NARROW), "id": f"grt_{number:010d}"} for number in range(MOST + 50)]
    owner.centre.shows(*grants)
    await owner.watch.exchange()
    assert len(owner.watch.proposals) == MOST
    text = {**NARROW, "purposes": ["a\x1b[2Jb"]}
    owner.centre.shows(shown(text))
    await owner.watch.exchange()
    assert owner.watch.proposals == {}
