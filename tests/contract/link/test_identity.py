"""Who may speak on a link: checked by TLS at the handshake, and by the gate at every RPC."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc.aio._call
import pytest
from peers.links import Centre, Cutter, Party, Pki, echo, now, party, until

from secureflow.adapters.link import (
    ENCLAVE_NAME,
    CredentialFiles,
    Credentials,
    PeerIdentity,
    Uplink,
    UplinkServer,
)
from secureflow.adapters.link.refusals import refusal
from secureflow.adapters.link.tls import SERVER_NAME, identity, open_channel
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import make_csr, new_link_key, parse_certificate, serial


async def _trouble(centre: Centre, credentials: CredentialFiles) -> SecureFlowError:
    """Return why a link with these credentials does not stand; no hello may have passed."""
    before = len(centre.hellos)
    peer = Party(centre.address, credentials, echo).start()
    try:
        await until(lambda: peer.link.trouble)
        assert not peer.link.connected.is_set()
        assert len(centre.hellos) == before
    finally:
        await peer.stop()  # its next try would hang up in the middle of the call
    try:
        with pytest.raises(SecureFlowError) as caught:
            await peer.link.call("status", {})
    finally:
        await peer.link._hang_up()
    assert not centre.calls
    assert peer.link.trouble is not None
    assert peer.link.trouble.code == caught.value.code
    return peer.link.trouble


def _serial(credentials: CredentialFiles) -> str:
    return serial(parse_certificate(credentials().certificate.decode()))


async def test_a_revoked_certificate_is_refused(centre: Centre) -> None:
    credentials = centre.pki.agent("bank-a")
    centre.revoked.add(_serial(credentials))
    error = await _trouble(centre, credentials)
    assert error.code == "certificate_revoked", (error.message, error.details)


async def _before(call: Any) -> None:
    """Fail before the refusal is known."""


async def _after(call: Any) -> None:
    """Fail once the refusal has come."""
    await call.code()


@pytest.fixture(params=[_before, _after])
def failing_writes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let writes fail because the call ends, as gRPC does it, from when the list is filled."""
    on: list[str] = []
    usual = grpc.aio._call.StreamStreamCall.write

    async def write(call: Any, message: bytes) -> None:
        if not on:
            return await usual(call, message)
        await call.wait_for_connection()
        await request.param(call)
        call._cython_call.set_internal_error(on[0])
        await call._raise_for_status()
        raise AssertionError

    monkeypatch.setattr(grpc.aio._call.StreamStreamCall, "write", write)
    return on


async def test_a_refusal_is_told_though_the_hello_fails_with_it(
    centre: Centre, failing_writes: list[str]
) -> None:
    """A call that has ended fails the write under way, and gRPC tells only of that."""
    credentials = centre.pki.agent("bank-a")
    centre.revoked.add(_serial(credentials))
    failing_writes.append("Failed send_message")
    error = await _trouble(centre, credentials)
    assert error.code == "certificate_revoked", (error.message, error.details)


async def test_a_refusal_is_told_though_an_answer_fails_with_it(
    centre: Centre, failing_writes: list[str], ending: AsyncExitStack
) -> None:
    peer = Party(centre.address, centre.pki.agent("bank-a"), echo).start()
    ending.push_async_callback(peer.stop)
    await peer.link.connected.wait()
    failing_writes.append("Failed send_message")
    asking = asyncio.create_task(centre.ask("bank-a", "x"))
    ending.callback(asking.cancel)
    await until(lambda: peer.handled)
    centre.server.disconnect("bank-a", SecureFlowError("certificate_revoked", "Shut out."))
    await until(lambda: peer.link.trouble)
    assert peer.link.trouble is not None
    assert peer.link.trouble.code == "certificate_revoked"


async def test_revocation_cuts_what_is_open_and_every_next_rpc(
    centre: Centre, tmp_path: Path, ending: AsyncExitStack
) -> None:
    credentials = centre.pki.agent("bank-a")
    peer = Party(centre.address, credentials, echo).start()
    ending.push_async_callback(peer.stop)
    await peer.link.connected.wait()
    await peer.link.call("status", {})
    centre.revoked.add(_serial(credentials))
    for refused in (
        lambda: peer.link.call("status", {}),
        lambda: peer.link.fetch("ab" * 32, tmp_path / "x", 1),
        lambda: peer.link.store(memoryview(b"x"), "ab" * 32),
    ):
        with pytest.raises(SecureFlowError) as caught:
            await refused()
        assert caught.value.code == "certificate_revoked"
    reason = SecureFlowError("certificate_revoked", "bank-a's agent was shut out.")
    centre.server.disconnect("bank-a", reason)
    await until(lambda: peer.link.trouble)
    assert peer.link.trouble is not None
    assert peer.link.trouble.code == "certificate_revoked"


async def test_a_foreign_authority_is_refused(centre: Centre, tmp_path: Path) -> None:
    """Same trust domain, same names, another CA: the client side would even trust the centre."""
    foreign = Pki(tmp_path / "foreign").agent("bank-a")
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "link.pem").touch(0o600)
    (mixed / "link.pem").write_bytes(foreign().key + foreign().certificate)
    (mixed / "ca.pem").write_bytes(centre.pki.agent("bank-a")().ca)
    assert (await _trouble(centre, CredentialFiles(mixed))).code == "link_broken"


async def test_a_centre_of_a_foreign_authority_is_refused(
    tmp_path: Path, ending: AsyncExitStack
) -> None:
    impostor = await Centre(Pki(tmp_path / "impostor"), tmp_path).start()
    ending.push_async_callback(impostor.server.stop, 0)
    credentials = Pki(tmp_path / "real").agent("bank-a")
    assert (await _trouble(impostor, credentials)).code == "link_broken"


async def test_an_agents_certificate_makes_no_centre(
    pki: Pki, tmp_path: Path, ending: AsyncExitStack
) -> None:
    """An agent of the same authority that listens is not taken for the centre."""
    impostor = Centre(pki, tmp_path)
    impostor.credentials = pki.agent("bank-b")
    impostor.server = impostor._make(0)
    await impostor.start()
    ending.push_async_callback(impostor.server.stop, 0)
    assert (await _trouble(impostor, pki.agent("bank-a"))).code == "link_broken"


async def test_the_enclaves_certificate_makes_no_centre(
    pki: Pki, tmp_path: Path, ending: AsyncExitStack
) -> None:
    impostor = Centre(pki, tmp_path)
    impostor.credentials = pki.enclave()
    impostor.server = impostor._make(0)
    await impostor.start()
    ending.push_async_callback(impostor.server.stop, 0)
    assert (await _trouble(impostor, pki.agent("bank-a"))).code == "link_broken"


async def test_another_trust_domain_is_refused(centre: Centre, tmp_path: Path) -> None:
    """The authority itself signed it, but for another domain."""
    authority = centre.pki.authority
    ours = authority.trust_domain
    authority.trust_domain = "other.example"  # what a faulty authority would sign
    credentials = centre.pki.agent("bank-a")
    authority.trust_domain = ours
    assert (await _trouble(centre, credentials)).code == "spiffe_foreign"


async def test_without_a_certificate_nobody_gets_past_tls(centre: Centre) -> None:
    """With one the centre answers that there is no such method; without, nothing at all."""
    ours = centre.pki.agent("bank-a")()
    bare = grpc.ssl_channel_credentials(ours.ca)
    whole = grpc.ssl_channel_credentials(ours.ca, ours.key, ours.certificate)
    options = (("grpc.ssl_target_name_override", SERVER_NAME),)
    told = []
    for credentials in (whole, bare):
        async with grpc.aio.secure_channel(centre.address, credentials, options) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary("/secureflow/none")(b"", timeout=60)
            told.append(caught.value.code())
    assert told == [grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE]


async def test_a_servers_certificate_makes_no_party(centre: Centre) -> None:
    assert (await _trouble(centre, centre.pki.server())).code in {"forbidden", "link_broken"}


async def test_an_expired_certificate_is_refused(centre: Centre) -> None:
    credentials = centre.pki.agent("bank-a", at=now() - 7200)
    error = await _trouble(centre, credentials)
    assert error.code in {"link_broken", "certificate_not_valid_now"}


async def test_a_link_ends_with_its_certificate(centre: Centre, ending: AsyncExitStack) -> None:
    """TLS checks validity once; the stream must not outlive it."""
    credentials = centre.pki.agent("bank-a")
    ends = parse_certificate(credentials().certificate.decode()).not_valid_after_utc
    centre.server._gate._clock = lambda: int(ends.timestamp())  # its last second
    peer = Party(centre.address, credentials, echo).start()
    ending.push_async_callback(peer.stop)
    await peer.link.connected.wait()
    await until(lambda: peer.link.trouble)
    assert peer.link.trouble is not None
    assert peer.link.trouble.code == "certificate_not_valid_now"


async def test_a_certificate_is_renewed_in_place(centre: Centre, ending: AsyncExitStack) -> None:
    """Less than a third of its life is left: a new key, a new certificate, a new handshake."""
    uri = "spiffe://consortium.example/org/bank-a/agent/a1"
    centre.answer_call = lambda _, kind, body: (
        {"certificate": centre.pki.authority.issue(body["csr"], uri, now())}
        if kind == "certificate.renew"
        else body
    )
    credentials = centre.pki.agent("bank-a", at=now() - 3000)
    old = credentials()
    assert old.due(now())
    peer = Party(centre.address, credentials, echo).start()
    ending.push_async_callback(peer.stop)
    await until(lambda: len(centre.hellos) == 2)
    new = credentials()
    assert new.key != old.key
    assert not new.due(now())
    centre.revoked.add(serial(parse_certificate(old.certificate.decode())))
    await peer.link.connected.wait()
    assert (await centre.ask("bank-a", "x"))["verb"] == "x"
    assert peer.link.trouble is None


async def test_a_certificate_for_another_key_is_not_installed(centre: Centre) -> None:
    uri = "spiffe://consortium.example/org/bank-a/agent/a1"
    other = centre.pki.authority.issue(make_csr(new_link_key()), uri, now())
    credentials = centre.pki.agent("bank-a")
    before = credentials()
    credentials.request()
    for wrong, code in ((other, "certificate_foreign"), ("None", "certificate_malformed")):
        with pytest.raises(SecureFlowError) as caught:
            credentials.install(wrong, now())
        assert caught.value.code == code
        assert credentials() == before


async def test_a_certificate_of_the_future_leaves_other_parties_the_one_of_before(
    centre: Centre,
) -> None:
    """A centre whose clock is a day ahead issues it: enclaves and agents go by clocks of theirs."""
    uri, day = "spiffe://consortium.example/org/bank-a/agent/a1", 25 * 3600
    credentials = centre.pki.agent("bank-a")

    def renewed(ahead: int) -> Credentials:
        at = now() + ahead
        credentials.install(centre.pki.authority.issue(credentials.request(), uri, at), now())
        return credentials()

    first = credentials()
    for _ in range(2):
        ahead = renewed(day)
        assert credentials.at(now()) == first != ahead
        assert credentials.at(now() + day) == ahead
    right = renewed(0)
    assert credentials.at(now()) == credentials.at(now() + 10 * day) == right
    renewed(day)
    assert credentials.at(now()) == right
    kept = credentials._directory / "link.before"
    intact = kept.read_bytes()
    for damaged in (b"", b"\0" * 99, intact[: len(intact) // 2], intact * 20_000):
        kept.write_bytes(damaged)
        assert credentials.at(now()) == credentials() != right
    kept.write_bytes(intact)
    assert credentials.at(now()) == right
    credentials.remove_previous()
    assert credentials.at(now()) == credentials() != right
    renewed(day)  # nothing holds here any more: there is nothing to keep
    assert credentials.at(now()) == credentials()


async def test_renewed_credentials_serve_the_next_handshake(centre: Centre) -> None:
    """The listening side reads its files again: no restart for a renewed certificate."""
    old = centre.credentials()
    uri = f"spiffe://{centre.pki.authority.trust_domain}/server"
    chain = centre.pki.authority.issue(
        centre.credentials.request(), uri, now(), dns=["secureflow-server"]
    )
    centre.credentials.install(chain, now())
    assert await _served(centre) != old.certificate
    assert await _served(centre) == _leaf(centre.credentials().certificate)
    async with party(centre):
        assert (await centre.ask("bank-a", "x"))["verb"] == "x"


def _leaf(chain: bytes) -> bytes:
    leaf = chain.decode().split("-----END")[0] + "-----END CERTIFICATE-----"
    return ssl.PEM_cert_to_DER_cert(leaf)


async def _served(centre: Centre) -> bytes | None:
    _, writer = await _handshake(centre, centre.pki.agent("bank-z")(), ssl.TLSVersion.TLSv1_3)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return shown if isinstance(shown, bytes) else None


async def _handshake(
    centre: Centre, credentials: Credentials | None, version: ssl.TLSVersion
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cadata=centre.pki.authority.pem)
    context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    if credentials is not None:
        path = centre.pki.directory / "both.pem"
        path.write_bytes(credentials.key + credentials.certificate)
        context.load_cert_chain(path)
    return await asyncio.open_connection(
        "127.0.0.1", centre.port, ssl=context, server_hostname="secureflow-server"
    )


async def test_tls_1_2_is_refused(centre: Centre) -> None:
    credentials = centre.pki.agent("bank-a")()
    _, writer = await _handshake(centre, credentials, ssl.TLSVersion.TLSv1_3)
    writer.close()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await _handshake(centre, credentials, ssl.TLSVersion.TLSv1_2)


async def test_without_a_client_certificate_nothing_is_answered(centre: Centre) -> None:
    """TLS 1.3 clients finish first: the refusal comes with the first read."""
    reader, writer = await _handshake(centre, None, ssl.TLSVersion.TLSv1_3)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        await reader.readexactly(9)
    writer.close()


async def test_plain_text_is_refused(centre: Centre) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", centre.port)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    await writer.drain()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await reader.readexactly(9)
    writer.close()


async def test_the_port_is_not_shared(centre: Centre) -> None:
    """With SO_REUSEPORT an orphan would take a part of the connections."""
    second = Centre(centre.pki, centre.pki.directory, centre.port)
    with pytest.raises(SecureFlowError) as caught:
        await second.start()
    assert caught.value.code == "address_unavailable"


async def test_garbage_on_the_stream_closes_it_with_a_reason(
    centre: Centre, cutter: Cutter
) -> None:
    async with party(centre, address=cutter.address) as peer:
        desk = peer.link._tasks
        assert desk._stream is not None
        desk._stream.send_encoded(b"\xff\xff")
        await until(lambda: peer.link.trouble)
        assert peer.link.trouble is not None
        assert peer.link.trouble.code == "malformed_envelope"
        await peer.link.connected.wait()
        assert (await centre.ask("bank-a", "x"))["verb"] == "x"


def test_an_enrolment_keeps_no_certificate_of_another_identity(pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "link.before").write_bytes(b"of an agent that was here before")
    key, uri = new_link_key(), f"spiffe://{pki.authority.trust_domain}/org/bank-a/agent/a1"
    chain = pki.authority.issue(make_csr(key), uri, now(), life=timedelta(hours=1))
    CredentialFiles.create(tmp_path, pki.authority.pem, key, chain)
    assert not (tmp_path / "link.before").exists()


def test_credentials_need_a_directory_that_holds_them(tmp_path: Path) -> None:
    with pytest.raises(SecureFlowError) as caught:
        CredentialFiles(tmp_path)()
    assert caught.value.code == "not_enrolled"


@pytest.mark.parametrize(
    ("name", "at", "byte"),
    [
        ("link.pem", 60, b"!"),
        ("link.pem", -1200, b"\xc3"),
        ("link.pem", -80, b"!"),
        ("ca.pem", 60, b"!"),
        ("ca.pem", 60, b"\xc3"),
    ],
)
async def test_a_damaged_file_is_named_and_no_link_ends_of_it(
    centre: Centre, name: str, at: int, byte: bytes, ending: AsyncExitStack
) -> None:
    """In the key, the own certificate, the authority: the link waits until it is put back."""
    credentials = centre.pki.agent("bank-a")
    path = credentials._directory / name
    sound = path.read_bytes()
    path.write_bytes(sound[:at] + byte + sound[at + 1 :])
    credentials = CredentialFiles(credentials._directory)
    with pytest.raises(SecureFlowError, match=f"{name} cannot be read"):
        credentials.check()
    peer = Party(centre.address, credentials, echo).start()
    ending.push_async_callback(peer.stop)
    await until(lambda: peer.link.trouble)
    assert peer.link.trouble is not None
    assert peer.link.trouble.code == "certificate_malformed"
    assert str(path) in peer.link.trouble.message
    path.write_bytes(sound)
    await asyncio.wait_for(peer.link.connected.wait(), 60)


def test_keys_are_for_their_owner_only(pki: Pki) -> None:
    credentials = pki.agent("bank-a")
    credentials.request()
    for path in credentials._directory.glob("link.*"):
        assert path.stat().st_mode & 0o077 == 0


def test_a_renewal_changes_neither_name_nor_authority(pki: Pki, tmp_path: Path) -> None:
    """And nothing but the leaf and the authority of the answer is written."""
    credentials = pki.agent("bank-a")
    before, uri = credentials(), f"spiffe://{pki.authority.trust_domain}/org/bank-a/agent/a1"
    csr = credentials.request()
    others = {
        uri: Pki(tmp_path / "other").authority,
        uri.replace("bank-a", "bank-b"): pki.authority,
    }
    for name, authority in others.items():
        with pytest.raises(SecureFlowError) as caught:
            credentials.install(authority.issue(csr, name, now()), now())
        assert caught.value.code == "certificate_foreign"
        assert credentials() == before
    credentials.install("allow: all\n" + pki.authority.issue(csr, uri, now()), now())
    assert credentials() != before
    assert b"allow" not in credentials().key + credentials().certificate


# --- the uplink: the enclave's own door ----------------------------------------------------------


class Door:
    """An uplink server that a test enclave listens with, and who came through."""

    def __init__(self, enclave: Party, credentials: CredentialFiles, domain: str) -> None:
        self.came: list[str] = []
        self.begun = asyncio.Event()
        self.server = UplinkServer(
            "127.0.0.1:0",
            credentials,
            domain,
            self,
            clock=now,
            refusal_of=enclave.link.refusal_of,
        )

    async def offer(self, peer: PeerIdentity, offer: dict[str, object]) -> dict[str, object]:
        del offer
        self.came.append(peer.party)
        return {"state": "accepted", "receipt": {}}

    async def receive(
        self, peer: PeerIdentity, start: int, header: bytes, messages: AsyncIterator[bytes]
    ) -> dict[str, object]:
        del start, header
        self.begun.set()
        async for _ in messages:
            pass
        self.came.append(peer.party)
        return {}


async def _knock(address: str, credentials: CredentialFiles) -> str:
    """Offer nothing in particular; return the refusal's code, or nothing."""
    channel = open_channel(address, credentials(), ENCLAVE_NAME)
    try:
        await channel.unary_unary("/secureflow.wire.v1.Uplink/Offer", identity, identity)(b"{}")
    except grpc.aio.AioRpcError as failure:
        return refusal(failure, "the enclave").code
    finally:
        await channel.close()
    return ""


async def test_the_enclave_refuses_whom_the_centre_has_revoked(
    centre: Centre, ending: AsyncExitStack
) -> None:
    """A certificate lives 24 hours; the enclave hears of a revocation over its own link."""
    a, b = centre.pki.agent("bank-a"), centre.pki.agent("bank-b")
    domain = centre.pki.authority.trust_domain
    spiffe = {name: f"spiffe://{domain}/org/{name}/agent/a1" for name in ("bank-a", "bank-b")}
    centre.revoked_lately.append(spiffe["bank-b"])  # before the enclave dialled in
    credentials = centre.pki.enclave()
    enclave = Party(centre.address, credentials, echo).start()
    ending.push_async_callback(enclave.stop)
    await enclave.link.connected.wait()
    door = Door(enclave, credentials, domain)
    ending.push_async_callback(door.server.stop, 0)
    address = f"127.0.0.1:{await door.server.start()}"
    assert await _knock(address, b) == "certificate_revoked"
    assert await _knock(address, a) == ""
    reason = SecureFlowError("certificate_revoked", "bank-a's agent was shut out.")
    centre.server.expel("bank-a", spiffe["bank-a"], reason)
    await until(lambda: spiffe["bank-a"] in enclave.link.revoked)
    assert await _knock(address, a) == "certificate_revoked"
    assert door.came == ["bank-a"]


async def test_an_organisation_that_is_disabled_is_refused_at_both_doors_until_it_is_enabled(
    centre: Centre, ending: AsyncExitStack
) -> None:
    a = centre.pki.agent("bank-a")
    peer = Party(centre.address, a, idle).start()
    ending.push_async_callback(peer.stop)
    credentials = centre.pki.enclave()
    enclave = Party(centre.address, credentials, echo).start()
    ending.push_async_callback(enclave.stop)
    await asyncio.gather(peer.link.connected.wait(), enclave.link.connected.wait())
    door = Door(enclave, credentials, centre.pki.authority.trust_domain)
    ending.push_async_callback(door.server.stop, 0)
    address = f"127.0.0.1:{await door.server.start()}"
    asked = asyncio.create_task(centre.ask("bank-a", "train"))
    shut = asyncio.Event()
    sending = asyncio.create_task(_send(address, a, shut))
    await asyncio.gather(until(lambda: peer.handled), door.begun.wait())
    centre.refuse_party = "bank-a"
    centre.refuse_hello = SecureFlowError("organisation_disabled", "bank-a is disabled.")
    centre.server.shut_out(["bank-a"])
    for ends in (lambda: asked, lambda: centre.ask("bank-a", "train", seq=2)):
        with pytest.raises(SecureFlowError) as caught:
            await ends()
        assert caught.value.code == "organisation_disabled"
    await until(lambda: enclave.link.disabled)
    shut.set()
    assert await sending == "organisation_disabled"  # what was under way is not folded either
    assert await _knock(address, a) == "organisation_disabled"
    assert await _knock(address, centre.pki.agent("bank-b")) == ""
    assert door.came == ["bank-b"]
    await enclave.stop()
    again = Party(centre.address, credentials, echo).start()
    ending.push_async_callback(again.stop)
    await again.link.connected.wait()
    assert again.link.disabled == {"bank-a"}  # it is told at its welcome as well
    await again.stop()
    enclave.start()
    centre.refuse_hello = None
    await peer.link.connected.wait()  # by itself: the record lets it in again
    await until(lambda: enclave.link.connected.is_set() and not enclave.link.disabled)
    assert await _knock(address, a) == ""
    centre.server.shut_out(["bank-a"])
    await until(lambda: enclave.link.disabled)
    centre.server.shut_out([])  # or it is told so
    await until(lambda: not enclave.link.disabled)
    assert await _knock(address, a) == ""


@pytest.mark.parametrize("code", ["organisation_disabled", "certificate_revoked"])
async def test_who_is_shut_out_while_it_is_welcomed_is_not_let_in(
    centre: Centre, ending: AsyncExitStack, code: str
) -> None:
    """The record let it in, and takes long over what else there is to a greeting."""
    hello, met = centre._on_hello, []

    async def shut_out_meanwhile(peer: PeerIdentity, body: Any) -> None:
        await hello(peer, body)
        if not met and code == "organisation_disabled":
            centre.server.shut_out(["bank-a"])
        elif not met:
            centre.server.expel("bank-a", str(peer.spiffe), SecureFlowError(code, "Revoked."))
        met.append(peer.party)

    centre._on_hello = shut_out_meanwhile  # type: ignore[method-assign]
    await centre.server.stop(0)
    centre.server = centre._make(centre.port)
    await centre.server.start()
    peer = Party(centre.address, centre.pki.agent("bank-a"), echo).start()
    ending.push_async_callback(peer.stop)
    await until(lambda: peer.link.trouble or peer.link.welcomes)
    assert peer.link.trouble is not None
    assert peer.link.trouble.code == code


async def test_an_enclave_is_welcomed_before_it_is_told_anything(
    centre: Centre, ending: AsyncExitStack
) -> None:
    """Whoever is shut out while it dials in is in its welcome; the link is not broken over it."""
    asked, go, told = asyncio.Event(), asyncio.Event(), []

    async def revoked() -> list[str]:
        known = list(told)
        asked.set()
        await go.wait()
        return known

    centre.server._callbacks = replace(centre.server._callbacks, revoked=revoked)
    enclave = Party(centre.address, centre.pki.enclave(), echo).start()
    ending.push_async_callback(enclave.stop)
    await asked.wait()
    told.append("spiffe://consortium.example/org/bank-b/agent/a1")
    centre.server.shut_out(["bank-a"])
    centre.server.expel("bank-b", told[0], SecureFlowError("certificate_revoked", ""))
    go.set()
    await enclave.link.connected.wait()
    assert (enclave.link.disabled, enclave.link.revoked) == ({"bank-a"}, {told[0]})
    assert (await centre.ask("enclave", "x"))["verb"] == "x"
    assert len(centre.hellos) == 1


async def idle(*_: object) -> object:
    return await asyncio.get_running_loop().create_future()


async def _send(address: str, credentials: CredentialFiles, shut: asyncio.Event) -> str:
    """Begin an upload, go on with it when told to; return the refusal's code, or nothing."""

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(4) + b"header"
        await shut.wait()
        yield b"chunk"

    channel = open_channel(address, credentials(), ENCLAVE_NAME)
    try:
        send = channel.stream_unary("/secureflow.wire.v1.Uplink/Send", identity, identity)
        await send(chunks())
    except grpc.aio.AioRpcError as failure:
        return refusal(failure, "the enclave").code
    finally:
        await channel.close()
    return ""


async def test_only_enclaves_are_told_who_is_revoked(
    centre: Centre, ending: AsyncExitStack
) -> None:
    centre.revoked_lately.append("spiffe://consortium.example/org/bank-b/agent/a1")
    peer = Party(centre.address, centre.pki.agent("bank-a"), echo).start()
    ending.push_async_callback(peer.stop)
    await peer.link.connected.wait()
    centre.server.expel("bank-c", "spiffe://x.example/server", SecureFlowError("forbidden", ""))
    assert await peer.link.call("status", {}) == {}
    centre.server.shut_out(["bank-b"])
    assert await peer.link.call("status", {}) == {}
    assert peer.link.revoked == peer.link.disabled == frozenset()


# --- addresses that the centre names --------------------------------------------------------------


async def test_nothing_but_a_host_and_a_port_is_dialled(
    pki: Pki, tmp_path: Path, ending: AsyncExitStack
) -> None:
    """`unix:` and the other schemes of gRPC would reach what listens on this machine only."""
    knocks: list[object] = []
    path = tmp_path / "local.sock"
    local = await asyncio.start_unix_server(lambda _, writer: knocks.append(writer), path)
    ending.callback(local.close)
    uplink = Uplink(pki.agent("bank-a"))
    ending.push_async_callback(uplink.close)
    update: Any = SimpleNamespace(header_bytes=b"", header=SimpleNamespace(binding=_Binding))
    for address in (f"unix:{path}", f"unix://{path}", "dns:///localhost:1", "localhost", "x\n:1"):
        with pytest.raises(SecureFlowError) as caught:
            await uplink.send(address, update, "")
        assert caught.value.code == "invalid_address"
        assert str(path) not in str(caught.value)
        with pytest.raises(SecureFlowError):
            open_channel(address, pki.agent("bank-a")(), ENCLAVE_NAME)
    assert knocks == []


class _Binding:
    job, round, stage, party = "job_1", 1, "train", "bank-a"


async def test_the_centre_hears_no_word_of_the_transport(
    pki: Pki, tmp_path: Path, ending: AsyncExitStack
) -> None:
    """A closed port, a port without TLS, a foreign TLS and a name without address: one answer."""

    async def shout(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        writer.close()

    plain = await asyncio.start_server(shout, "127.0.0.1", 0)
    ending.callback(plain.close)
    foreign = await Centre(Pki(tmp_path / "foreign"), tmp_path).start()
    ending.push_async_callback(foreign.server.stop, 0)
    ports = (1, plain.sockets[0].getsockname()[1], foreign.port)
    uplink = Uplink(pki.agent("bank-a"))
    ending.push_async_callback(uplink.close)
    update: Any = SimpleNamespace(header_bytes=b"", header=SimpleNamespace(binding=_Binding))
    told = []
    for address in (*(f"127.0.0.1:{port}" for port in ports), "no-such-host.invalid:1"):
        with pytest.raises(SecureFlowError) as caught:
            await uplink.send(address, update, "")
        told.append(caught.value.as_json())
    assert told[1:] == told[:-1]
    assert told[0]["code"] == "link_broken"
    assert told[0]["details"] == {}
    assert "127.0.0.1" not in str(told)


async def test_a_party_names_only_an_address(centre: Centre, ending: AsyncExitStack) -> None:
    """What an enclave says of itself is dialled by every agent."""
    for address in ("unix:/run/x", "a\x1b:1", 7, {"a": 1}):
        credentials = centre.pki.enclave()
        peer = Party(centre.address, credentials, echo)
        peer.standing = {**peer.standing, "address": address}
        ending.push_async_callback(peer.start().stop)
        await until(lambda peer=peer: peer.link.trouble)
        assert peer.link.trouble is not None
        assert peer.link.trouble.code == "invalid_address"
        await peer.stop()
    assert centre.hellos == []
