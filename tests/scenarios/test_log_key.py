"""A real centre changes its log's key by its members' signatures, restarts, and goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from secureflow.application.organisations import Organisations
from secureflow.application.secretsroot import secrets_root
from secureflow.domain.charter import SignedCharter
from secureflow.engines.ledger.notes import parse_note
from secureflow.kit.crypto import SigningKey
from secureflow.kit.enrolment import EnrolmentToken, proof_body
from secureflow.kit.pki import make_csr, new_link_key
from secureflow.server.backup import back_up
from secureflow.server.centre import Centre
from secureflow.server.check import check
from secureflow.server.initialise import initialise
from secureflow.server.keyfiles import next_log_key, read_log_key
from secureflow.server.logkeys import make_next
from secureflow.server.restore import restore
from secureflow.server.settings import ServerSettings
from tests.scenarios.test_ca_rotation import DOMAIN, OPERATOR, running

BANKS = {name: SigningKey.from_seed(name.encode() * 4 + bytes(8))
         for name in ("bank-a", "bank-b", "bank-c")}  # fmt: skip


async def enrol(organisations: Organisations, name: str) -> None:
    await organisations.create(OPERATOR, name, name.title())
    _, text = await organisations.invite(OPERATOR, "agent", name)
    csr, token, key = make_csr(new_link_key()), EnrolmentToken.parse(text), BANKS[name]
    proof = key.sign("enrol", proof_body(token.id, csr, key.public))
    await organisations.enroll(text, csr, "main", key.public, proof)


async def sign(centre: Centre, shown: dict[str, Any]) -> None:
    draft = SignedCharter.from_json({one: shown[one] for one in ("charter", "signatures")})
    for name, key in BANKS.items():
        signature = draft.sign(name, key).signatures[name]
        await centre.services.charters.add_signature(name, draft.charter.digest, signature)


async def test_the_key_changes_and_the_centre_restarts_under_it(tmp_path: Path) -> None:
    folder, wrapping = tmp_path / "centre", tmp_path / "wrapping.key"
    words = {"rest_port": 0, "link_port": 0, "wrapping_key": wrapping}
    await asyncio.to_thread(initialise, folder, trust_domain=DOMAIN, **words)
    settings = ServerSettings.load(folder / "server.yaml")
    old, new = read_log_key(settings).public, make_next(settings).public
    async with running(settings) as centre:
        services = centre.services
        for name in BANKS:
            await enrol(services.organisations, name)
        await sign(centre, await services.charters.propose(OPERATOR))
        await sign(centre, await services.log_key_change.propose(OPERATOR, "suspected theft"))
        assert services.ledger.public == new
        await services.organisations.create(OPERATOR, "bank-d", "D")  # recorded by the new key
        entries = {one.kind: one for one in await services.ledger.entries()}
        assert entries["log.continued"].document["continuation"]["log_key"] == old
        assert parse_note(await services.ledger.head()).verify_log(new)
    assert (read_log_key(settings).public, next_log_key(settings).exists()) == (new, False)
    assert b"WRAPPED KEY" in settings.log_key.read_bytes()
    async with running(settings) as centre:
        assert centre.services.ledger.public == new
        await centre.services.organisations.create(OPERATOR, "bank-e", "E")
        # What is sealed in the database opens as before.
        assert (await secrets_root(centre.services.begin, read_log_key(settings))).public == old
    findings = await asyncio.to_thread(lambda: list(check(folder / "server.yaml")))
    assert [one for one in findings if not one["ok"]] == []
    await asyncio.to_thread(back_up, folder / "server.yaml", tmp_path / "b.tar", "four words of it")
    await asyncio.to_thread(
        lambda: restore(tmp_path / "b.tar", tmp_path / "again", passphrase="four words of it")
    )
    moved = ServerSettings.load(tmp_path / "again" / "server.yaml")
    assert read_log_key(moved).public == new
