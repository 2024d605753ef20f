"""A centre changes its CA over real links: two roots overlap, and no party enrols again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from secureflow.adapters.link import CredentialFiles, Link
from secureflow.application.access import Principal
from secureflow.application.ports.ledger import LogEntry
from secureflow.domain.users import Role
from secureflow.kit.canonical import b64encode
from secureflow.kit.caroots import (
    issuer_of,
    root_name,
    roots,
    successor_message,
    with_successor,
    without_left,
)
from secureflow.kit.clock import system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.enrolment import EnrolmentToken, proof_body
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import Authority, make_csr, new_link_key, parse_certificate
from secureflow.kit.version import __version__
from secureflow.server import authorities
from secureflow.server import centre as centre_module
from secureflow.server.authorities import (
    Authorities,
    left,
    read_authorities,
    retire,
    rotate,
    standing,
    switch,
)
from secureflow.server.cawatch import ROTATED
from secureflow.server.centre import Centre, open_centre
from secureflow.server.initialise import initialise
from secureflow.server.settings import ServerSettings
from tests.peers.links import until

DOMAIN = "test.example"
OPERATOR = Principal("admin", "admin", "", frozenset({Role.PLATFORM_ADMIN}), "")


@contextlib.asynccontextmanager
async def running(settings: ServerSettings) -> AsyncIterator[Centre]:
    async with contextlib.AsyncExitStack() as stack:
        yield await open_centre(settings, stack, lambda: False)


@dataclass
class Party:
    """An agent's credentials, and its link."""

    files: CredentialFiles
    directory: Path
    key: str

    @property
    def hello(self) -> dict[str, Any]:
        return {"key": self.key, "version": __version__, "log_size": 0, "unproved": []}

    @property
    def pinned(self) -> list[str]:
        return [root_name(one) for one in roots((self.directory / "ca.pem").read_text())]

    @property
    def issuer(self) -> str:
        return str(CredentialFiles(self.directory).told()["leaf"])

    @contextlib.asynccontextmanager
    async def linked(self, centre: Centre) -> AsyncIterator[Link]:
        async def nothing(verb: str, body: Any, proofs: Any) -> Any:
            raise AssertionError(verb)

        link = Link(centre.link, self.files, lambda: dict(self.hello), nothing, clock=system_clock)
        task = asyncio.create_task(link.run())
        try:
            yield link
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def enrolled(centre: Centre, directory: Path, kind: str = "agent") -> Party:
    organisations, key, link_key = (
        centre.services.organisations,
        SigningKey.generate(),
        new_link_key(),
    )
    _, text = await organisations.invite(OPERATOR, kind, "bank-a" if kind == "agent" else "")
    csr, token = make_csr(link_key), EnrolmentToken.parse(text)
    proof = key.sign("enrol", proof_body(token.id, csr, key.public))
    given = await organisations.enroll(text, csr, "main", key.public, proof)
    files = CredentialFiles.create(directory, organisations.ca, link_key, given.certificate)
    return Party(files, directory, key.public)


async def test_two_roots_overlap_and_no_party_enrols_again(tmp_path: Path) -> None:
    folder = tmp_path / "centre"
    wrapping = tmp_path / "wrapping.key"
    words = {"rest_port": 0, "link_port": 0, "wrapping_key": wrapping}
    await asyncio.to_thread(initialise, folder, trust_domain=DOMAIN, **words)
    settings = ServerSettings.load(folder / "server.yaml")
    old = root_name(roots(read_authorities(settings).issuing.pem)[0])
    async with running(settings) as centre:
        await centre.services.organisations.create(OPERATOR, "bank-a", "A")
        agent = await enrolled(centre, tmp_path / "agent")
        late = await enrolled(centre, tmp_path / "enclave", "enclave")
        async with agent.linked(centre) as link:
            await until(link.connected.is_set)
    with pytest.raises(SecureFlowError, match="no successor"):
        switch(settings, {})

    new = rotate(settings)
    with pytest.raises(SecureFlowError, match="under way"):
        rotate(settings)
    assert {"ca.key", "next.key"} <= {path.name for path in (folder / "ca").iterdir()}
    assert b"WRAPPED KEY" in (folder / "ca" / "next.key").read_bytes()
    async with running(settings) as centre:
        async with agent.linked(centre) as link:
            await until(lambda: agent.pinned == [old, new] and link.welcomes > 1)
        assert agent.issuer == old
    rows = {one["party"]: one for one in await standing(settings)}
    assert (rows["bank-a"]["pins"], rows["bank-a"]["leaf"]) == (True, False)
    refused = await left(settings, "pins")
    assert list(refused.values()) == ["enclave"]
    with pytest.raises(SecureFlowError, match="enclave/main would be cut off"):
        switch(settings, refused)
    async with running(settings) as centre, late.linked(centre) as link:
        await until(lambda: late.pinned == [old, new] and link.welcomes > 1)

    assert await left(settings, "pins") == {}
    assert switch(settings, {}) == new
    with pytest.raises(SecureFlowError, match="agent/main would be cut off"):
        retire(settings, await left(settings, "leaf"))
    async with running(settings) as centre:
        for party in (agent, late):
            async with party.linked(centre) as link:
                await until(lambda one=party: one.issuer == new)
                await until(lambda one=link: one.welcomes > 1)
        assert agent.pinned == [old, new]

    assert await left(settings, "leaf") == {}
    retire(settings, {})
    async with running(settings) as centre, agent.linked(centre) as link:
        await until(lambda: agent.pinned == [new])
        await until(lambda: link.welcomes > 1)
    assert not read_authorities(settings).moving
    assert (
        Authority.load(folder / "ca", settings.key_files).pem == read_authorities(settings).trusted
    )


async def nobody_left(settings: ServerSettings, wanted: str) -> None:
    async with asyncio.timeout(30):
        while await left(settings, wanted):  # noqa: ASYNC110  what another process would see
            await asyncio.sleep(0.1)


async def recorded(centre: Centre, many: int) -> list[LogEntry]:
    async with asyncio.timeout(30):
        while True:
            found = [one for one in await centre.services.ledger.entries() if one.kind == ROTATED]
            if len(found) >= many:
                return found
            await asyncio.sleep(0.05)


async def test_a_running_centre_follows_each_step_and_links_live_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(centre_module, "CA_SECONDS", 0.02)
    folder = tmp_path / "centre"
    await asyncio.to_thread(initialise, folder, trust_domain=DOMAIN, rest_port=0, link_port=0)
    settings = ServerSettings.load(folder / "server.yaml")
    old = root_name(roots(read_authorities(settings).issuing.pem)[0])

    def certificate_of(centre: Centre) -> str:
        return issuer_of(
            centre.certificate.credentials().leaf, roots(read_authorities(settings).trusted)
        )

    async with running(settings) as centre:
        await centre.services.organisations.create(OPERATOR, "bank-a", "A")
        agent = await enrolled(centre, tmp_path / "agent")
        async with agent.linked(centre) as link:
            await until(link.connected.is_set)
            new = await asyncio.to_thread(rotate, settings)
            await until(lambda: agent.pinned == [old, new])
            await nobody_left(settings, "pins")
            assert certificate_of(centre) == old
            await asyncio.to_thread(switch, settings, {})
            await until(lambda: certificate_of(centre) == new)
            await until(lambda: agent.issuer == new)
            late = await enrolled(centre, tmp_path / "late", "enclave")  # by the new root alone
            assert late.pinned == [new]
            async with late.linked(centre) as other:
                await until(other.connected.is_set)
                await nobody_left(settings, "leaf")
            welcomes = link.welcomes
            await asyncio.to_thread(retire, settings, {})
            await until(lambda: agent.pinned == [new])
            await until(lambda: link.welcomes > welcomes)
        entries = await recorded(centre, 3)
    facts = [(one.document["issuing"], one.document["trusted"], one.document["next"])
             for one in entries]  # fmt: skip
    assert facts == [(old, [old, new], new), (new, [old, new], ""), (new, [new], "")]
    shown = json.dumps([one.document for one in entries])
    assert "BEGIN" not in shown
    assert "bank-a" not in shown
    async with running(settings) as centre:  # nothing is recorded twice
        assert len(await recorded(centre, 3)) == 3


def names(pem: str) -> list[str]:
    return [root_name(one) for one in roots(pem)]


def test_only_a_pinned_root_vouches_for_a_successor(tmp_path: Path) -> None:
    def vouch(by: Authority, one: Authority) -> str:
        return b64encode(by.key.sign(successor_message(one.certificate), ec.ECDSA(hashes.SHA256())))

    now = system_clock()
    old, new, evil = (Authority.create(tmp_path / n, DOMAIN, now) for n in ("old", "new", "evil"))
    other = Authority.create(tmp_path / "other", "other.example", now)
    both = with_successor(old.pem, new.pem, vouch(old, new))
    assert names(both) == names(old.pem + new.pem)
    assert with_successor(both, new.pem, "") == both
    for one, proof in (
        (new, vouch(evil, new)), (new, vouch(old, evil)), (new, ""), (new, "%"),
        (other, vouch(old, other)),
    ):  # fmt: skip
        with pytest.raises(SecureFlowError) as refused:
            with_successor(old.pem, one.pem, proof)
        assert refused.value.code == "ca_mismatch"
    # Only what the own certificate has left behind is dropped.
    uri = f"spiffe://{DOMAIN}/org/bank-a/agent/main"
    by_old, by_new = (
        parse_certificate(one.issue(make_csr(new_link_key()), uri, now)) for one in (old, new)
    )
    assert names(without_left(both, names(old.pem), by_old)) == names(both)
    assert names(without_left(both, names(new.pem), by_old)) == names(both)
    assert names(without_left(both, names(new.pem), by_new)) == names(new.pem)
    assert names(without_left(both, names(old.pem), by_new)) == names(both)


async def test_an_interrupted_switch_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "centre"
    await asyncio.to_thread(initialise, folder, trust_domain=DOMAIN, rest_port=0, link_port=0)
    settings = ServerSettings.load(folder / "server.yaml")
    new = rotate(settings)
    writes = authorities.write_atomically

    def dying(path: Path, data: bytes, mode: int = 0o600) -> None:
        if path.name == "ca.pem":
            raise KeyboardInterrupt
        writes(path, data, mode)

    with monkeypatch.context() as patch:
        patch.setattr(authorities, "write_atomically", dying)
        with pytest.raises(KeyboardInterrupt):
            switch(settings, {})
    with pytest.raises(SecureFlowError, match="was interrupted"):
        read_authorities(settings)
    assert switch(settings, await left(settings, "pins")) == new
    found: Authorities = read_authorities(settings)
    assert found.moving
    assert names(found.trusted)[1] == new
