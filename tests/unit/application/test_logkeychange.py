"""The centre's side of another log key: the operator proposes it, only the members decide on it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.continuing import Continuing
from secureflow.application.logkeychange import GIVEN_UP, LogKeyChange
from secureflow.application.membership import CANDIDATE, CURRENT
from secureflow.application.running.recording import server_leaf
from secureflow.application.running.windups import KEY_CHANGED, SET_BACK, overtaken
from secureflow.application.secretsroot import carry_secrets, secrets_root
from secureflow.application.setback import LogGuard
from secureflow.application.transactions import Transactions
from secureflow.domain.charter import Charter, SignedCharter
from secureflow.domain.jobs import JobState
from secureflow.domain.users import Role
from secureflow.engines.ledger.notes import Checkpoint, parse_note, sign_checkpoint
from secureflow.engines.ledger.setback import Hold
from secureflow.kit.crypto import SigningKey
from secureflow.kit.replaceablekey import ReplaceableKey
from tests.contract.database.test_stores import JOB
from tests.doubles import MemoryDatabase, MemoryLedger, NotingDriver
from tests.unit.application.test_continuing import (
    BANKS,
    CHARTER,
    LOG,
    NAME,
    NOW,
    OPERATOR,
    ORIGIN,
    refused,
)

NEW = SigningKey.from_seed(b"\x0b" * 32)
ENTRIES = 5


class Keys:
    """The port in memory."""

    def __init__(self, following: SigningKey | None = NEW) -> None:
        self.signing = ReplaceableKey.of(LOG)
        self.following = following

    def successor(self) -> SigningKey | None:
        return self.following

    def find(self, public: str) -> SigningKey | None:
        known = [SigningKey(self.signing.private), *filter(None, [self.following])]
        return next((one for one in known if one.public == public), None)

    def adopt(self, public: str) -> None:
        if self.following is not None and self.following.public == public:
            self.signing.become(self.following)
            self.following = None


class Centre:
    def __init__(self, following: SigningKey | None = NEW) -> None:
        self.database, self.keys = MemoryDatabase(), Keys(following)
        self.settings[CURRENT] = json.loads(json.dumps(SignedCharter(CHARTER).json()))
        self.ledger = MemoryLedger(self.database, LOG, ORIGIN, self.keys)
        parts = self.ledger, self.keys.signing, lambda: NOW
        self.transactions = Transactions(self.database.begin, *parts)
        self.continuing = Continuing(
            self.database.begin, self.ledger, LOG, NotingDriver(), lambda: NOW, keys=self.keys
        )
        self.change = LogKeyChange(
            self.database.begin, self.transactions, self.ledger, self.keys, lambda: NOW
        )

    @property
    def settings(self) -> dict[str, Any]:
        return self.database.tables.settings

    async def filled(self) -> None:
        made = (server_leaf("noted", {"n": n}, ORIGIN, LOG, n) for n in range(ENTRIES))
        await self.ledger.append([replace(leaf, position=n) for n, leaf in enumerate(made)])

    async def proposed(self) -> Charter:
        await self.filled()
        told = await self.change.propose(OPERATOR, "suspected theft")
        parts = {part: told[part] for part in ("charter", "signatures")}
        return SignedCharter.from_json(parts).charter

    async def sign(self, draft: Charter, *names: str) -> None:
        for name in names:
            (signature,) = SignedCharter(draft).sign(name, BANKS[name]).signatures.values()
            await self.continuing.add_signature(name, draft.digest, signature)


async def test_the_members_change_the_key_and_the_ledger_shows_it() -> None:
    centre = Centre()
    draft = await centre.proposed()
    (end,) = draft.continuations
    assert (draft.origin, draft.log_key, end.log_key) == (NAME, NEW.public, LOG.public)
    assert (end.size, end.start, end.reason) == (ENTRIES, ENTRIES, "suspected theft")
    assert end.root == (await centre.ledger.root(ENTRIES)).hex()
    async with centre.database.begin() as work:
        await work.jobs.add(replace(JOB, state=JobState.RUNNING, progress={}))
        await work.commit()
    await centre.sign(draft, "bank-a", "bank-b")  # two of three are not more than two thirds
    assert (centre.ledger.public, centre.ledger.origin) == (LOG.public, ORIGIN)
    assert centre.ledger.gone_on == []
    await centre.sign(draft, "bank-c")
    assert (centre.ledger.public, centre.ledger.origin) == (NEW.public, NAME)
    ((origin, start, leaf),) = centre.ledger.gone_on
    assert (origin, start) == (NAME, ENTRIES)
    told = leaf.document["continuation"]
    assert (told["log_key"], told["reason"]) == (LOG.public, "suspected theft")
    assert SignedCharter.from_json(centre.settings[CURRENT]).charter == draft
    assert parse_note(await centre.ledger.head()).verify_log(NEW.public)
    async with centre.database.begin() as work:
        job = await work.jobs.get(JOB.id)
    assert job.progress[SET_BACK] == KEY_CHANGED
    assert "another signing key" in overtaken(job).message  # type: ignore[union-attr]
    assert centre.transactions._key.public == NEW.public  # whoever holds the key signs by it


async def test_the_operator_alone_changes_nothing() -> None:
    centre = Centre()
    draft = await centre.proposed()
    forged = SignedCharter(draft).sign("bank-a", NEW)
    for name in BANKS:
        (signature,) = forged.signatures.values()
        call = centre.continuing.add_signature(name, draft.digest, signature)
        assert await refused(call) == "signature_refused"
    await centre.continuing.finish()
    assert (centre.ledger.public, centre.ledger.gone_on) == (LOG.public, [])
    member = replace(OPERATOR, organisation="bank-a", roles=frozenset({Role.DATA_OWNER}))
    assert await refused(centre.change.propose(member, "x")) == "forbidden"
    assert await refused(centre.change.give_up(member)) == "forbidden"


async def test_the_log_is_held_until_it_is_decided_and_goes_on_when_it_is_given_up() -> None:
    centre = Centre()
    draft = await centre.proposed()
    assert centre.ledger.hold is not None
    assert centre.ledger.hold.cause == "key"

    async def noted() -> None:
        async with centre.transactions() as transaction:
            transaction.record("noted", {})

    assert await refused(noted()) == "log_set_back"
    assert await refused(centre.continuing.propose(OPERATOR)) == "log_not_set_back"
    again = await centre.change.propose(OPERATOR, "another reason")
    assert again["charter"]["continuations"][0]["size"] == ENTRIES
    await centre.change.give_up(OPERATOR)
    assert (centre.ledger.hold, centre.settings.get(CANDIDATE)) == (None, None)
    assert centre.ledger.kinds[-1] == GIVEN_UP  # it grew: the head of the proposal is no more
    assert await refused(centre.change.give_up(OPERATOR)) == "log_not_set_back"
    (signature,) = SignedCharter(draft).sign("bank-a", BANKS["bank-a"]).signatures.values()
    assert await centre.continuing.add_signature("bank-a", draft.digest, signature) is None
    await noted()


async def test_a_head_beyond_the_named_one_stops_the_change() -> None:
    """Somebody holds more under the old key than the operator names: a fork at the change."""
    centre = Centre()
    draft = await centre.proposed()
    guard = LogGuard(centre.database.begin, centre.ledger, centre.continuing, lambda: NOW)
    more = sign_checkpoint(Checkpoint(ORIGIN, ENTRIES + 2, b"\x05" * 32), LOG)
    hold = await guard.shown("bank-c", [more])
    assert hold is not None
    assert hold.cause == "shown"
    await centre.sign(draft, *BANKS)
    assert (centre.ledger.public, centre.ledger.gone_on) == (LOG.public, [])


@pytest.mark.parametrize("case", ["no key", "no charter", "held", "bad reason"])
async def test_a_proposal_that_cannot_be_made_leaves_no_hold(case: str) -> None:
    centre = Centre(None if case == "no key" else NEW)
    await centre.filled()
    if case == "no charter":
        del centre.settings[CURRENT]
    held = Hold("restored", NOW, ENTRIES) if case == "held" else None
    centre.ledger.hold = held
    code = await refused(centre.change.propose(OPERATOR, "" if case == "bad reason" else "x"))
    wanted = {"no key": "log_key_missing", "no charter": "charter_missing",
              "held": "log_set_back", "bad reason": "malformed_charter"}  # fmt: skip
    assert (code, centre.ledger.hold) == (wanted[case], held)
    assert CANDIDATE not in centre.settings


@pytest.mark.parametrize("step", ["before the log", "after the log"])
async def test_a_kill_at_any_step_is_made_good_at_the_next_start(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre = Centre()
    draft = await centre.proposed()
    await centre.sign(draft, "bank-a", "bank-b")

    async def dying(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if step == "before the log":
            patch.setattr(centre.ledger, "continue_as", dying)
        else:
            patch.setattr(centre.continuing, "_adopt", dying)
        with pytest.raises(KeyboardInterrupt):
            await centre.sign(draft, "bank-c")
    changed = step == "after the log"
    assert centre.ledger.public == (NEW.public if changed else LOG.public)
    assert SignedCharter.from_json(centre.settings[CURRENT]).charter == CHARTER
    await centre.continuing.finish()
    assert SignedCharter.from_json(centre.settings[CURRENT]).charter == draft
    assert (centre.ledger.public, len(centre.ledger.gone_on)) == (NEW.public, 1)


async def test_a_key_that_is_on_another_server_waits_for_it() -> None:
    centre = Centre()
    draft = await centre.proposed()
    centre.keys.following = None
    await centre.sign(draft, *BANKS)
    assert centre.ledger.gone_on == []
    centre.keys.following = NEW
    await centre.continuing.finish()
    assert centre.ledger.public == NEW.public


async def test_secrets_in_the_database_stay_readable_under_every_later_key() -> None:
    database, third = MemoryDatabase(), SigningKey.generate()
    await carry_secrets(database.begin, LOG, NEW)
    await carry_secrets(database.begin, NEW, third)
    await carry_secrets(database.begin, third, third)
    for key in (LOG, NEW, third):
        assert (await secrets_root(database.begin, key)).public == LOG.public
    thief = SigningKey.generate()
    assert (await secrets_root(database.begin, thief)).public == thief.public  # nothing is his
