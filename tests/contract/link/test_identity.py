"""Who may speak on a link: checked by TLS at the handshake, and by the gate at every RPC."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from peers.links import Centre, Cutter, Party, Pki, echo, now, party, until

from secureflow.adapters.link import CredentialFiles, Credentials
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import make_csr, new_link_key, parse_certificate, serial


async def _trouble(centre: Centre, credentials: CredentialFiles) -> SecureFlowError:
    """Return why a link with these credentials does not stand; no hello may have passed."""
    before = len(centre.hellos)
    peer = Party(centre.address, credentials, echo).start()
    await until(lambda: peer.link.trouble)
    assert not peer.link.connected.is_set()
    assert len(centre.hellos) == before
    with pytest.raises(SecureFlowError) as caught:
        await peer.link.call("status", {})
    assert not centre.calls
    await peer.stop()
    assert peer.link.trouble is not None
    assert peer.link.trouble.code == caught.value.code
    return peer.link.trouble


def _serial(credentials: CredentialFiles) -> str:
    return serial(parse_certificate(credentials().certificate.decode()))


async def test_a_revoked_certificate_is_refused(centre: Centre) -> None:
    credentials = centre.pki.agent("bank-a")
    centre.revoked.add(_serial(credentials))
    assert (await _trouble(centre, credentials)).code == "certificate_revoked"


async def test_revocation_cuts_what_is_open_and_every_next_rpc(
    centre: Centre, tmp_path: Path
) -> None:
    credentials = centre.pki.agent("bank-a")
    peer = Party(centre.address, credentials, echo).start()
    await peer.link.connected.wait()
    await peer.link.call("status", {})
    centre.revoked.add(_serial(credentials))
    for refused in (
        peer.link.call("status", {}),
        peer.link.fetch("ab" * 32, tmp_path / "x", 1),
        peer.link.store(memoryview(b"x"), "ab" * 32),
    ):
        with pytest.raises(SecureFlowError) as caught:
            await refused
        assert caught.value.code == "certificate_revoked"
    reason = SecureFlowError("certificate_revoked", "bank-a's agent was shut out.")
    centre.server.disconnect("bank-a", reason)
    await until(lambda: peer.link.trouble)
    assert peer.link.trouble is not None
    assert peer.link.trouble.code == "certificate_revoked"
    await peer.stop()


async def test_a_foreign_authority_is_refused(centre: Centre, tmp_path: Path) -> None:
    """Same trust domain, same names, another CA: the client side would even trust the centre."""
    foreign = Pki(tmp_path / "foreign").agent("bank-a")
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "link.pem").write_bytes(foreign().key + foreign().certificate)
    (mixed / "ca.pem").write_bytes(centre.pki.agent("bank-a")().ca)
    assert (await _trouble(centre, CredentialFiles(mixed))).code == "link_broken"


async def test_a_centre_of_a_foreign_authority_is_refused(tmp_path: Path) -> None:
    impostor = await Centre(Pki(tmp_path / "impostor"), tmp_path).start()
    credentials = Pki(tmp_path / "real").agent("bank-a")
    assert (await _trouble(impostor, credentials)).code == "link_broken"
    await impostor.server.stop(0)


async def test_an_agents_certificate_makes_no_centre(pki: Pki, tmp_path: Path) -> None:
    """An agent of the same authority that listens is not taken for the centre."""
    impostor = Centre(pki, tmp_path)
    impostor.credentials = pki.agent("bank-b")
    impostor.server = impostor._make(0)
    await impostor.start()
    assert (await _trouble(impostor, pki.agent("bank-a"))).code == "link_broken"
    await impostor.server.stop(0)


async def test_the_enclaves_certificate_makes_no_centre(pki: Pki, tmp_path: Path) -> None:
    impostor = Centre(pki, tmp_path)
    impostor.credentials = pki.enclave()
    impostor.server = impostor._make(0)
    await impostor.start()
    assert (await _trouble(impostor, pki.agent("bank-a"))).code == "link_broken"
    await impostor.server.stop(0)


async def test_another_trust_domain_is_refused(centre: Centre, tmp_path: Path) -> None:
    """The authority itself signed it, but for another domain."""
    authority = centre.pki.authority
    ours = authority.trust_domain
    authority.trust_domain = "other.example"  # what a faulty authority would sign
    credentials = centre.pki.agent("bank-a")
    authority.trust_domain = ours
    assert (await _trouble(centre, credentials)).code == "spiffe_foreign"


async def test_a_servers_certificate_makes_no_party(centre: Centre) -> None:
    assert (await _trouble(centre, centre.pki.server())).code in {"forbidden", "link_broken"}


async def test_an_expired_certificate_is_refused(centre: Centre) -> None:
    credentials = centre.pki.agent("bank-a", at=now() - 7200)
    error = await _trouble(centre, credentials)
    assert error.code in {"link_broken", "certificate_not_valid_now"}


async def test_a_link_ends_with_its_certificate(centre: Centre) -> None:
    """TLS checks validity once; the stream must not outlive it."""
    five_minutes = timedelta(minutes=5)  # certificates begin that much before they are issued
    credentials = centre.pki.agent("bank-a", life=five_minutes + timedelta(seconds=2))
    centre.answer_call = _no_renewal
    peer = Party(centre.address, credentials, echo).start()
    await peer.link.connected.wait()
    await until(lambda: peer.link.trouble)
    assert peer.link.trouble is not None
    assert peer.link.trouble.code == "certificate_not_valid_now"
    await peer.stop()


def _no_renewal(*_: object) -> object:
    raise SecureFlowError("rate_limited", "Not now.")


async def test_a_certificate_is_renewed_in_place(centre: Centre) -> None:
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
    await until(lambda: len(centre.hellos) == 2)
    new = credentials()
    assert new.key != old.key
    assert not new.due(now())
    centre.revoked.add(serial(parse_certificate(old.certificate.decode())))
    await peer.link.connected.wait()
    assert (await centre.ask("bank-a", "x"))["verb"] == "x"
    assert peer.link.trouble is None
    await peer.stop()


async def test_a_certificate_for_another_key_is_not_installed(centre: Centre) -> None:
    uri = "spiffe://consortium.example/org/bank-a/agent/a1"
    other = centre.pki.authority.issue(make_csr(new_link_key()), uri, now())
    credentials = centre.pki.agent("bank-a")
    before = credentials()
    credentials.request()
    for wrong, code in ((other, "certificate_foreign"), ("None", "certificate_malformed")):
        with pytest.raises(SecureFlowError) as caught:
            credentials.install(wrong)
        assert caught.value.code == code
        assert credentials() == before


async def test_renewed_credentials_serve_the_next_handshake(centre: Centre) -> None:
    """The listening side reads its files again: no restart for a renewed certificate."""
    old = centre.credentials()
    uri = f"spiffe://{centre.pki.authority.trust_domain}/server"
    chain = centre.pki.authority.issue(
        centre.credentials.request(), uri, now(), dns=["secureflow-server"]
    )
    centre.credentials.install(chain)
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
        desk = peer.link._desk
        assert desk._stream is not None
        desk._stream.send_encoded(b"\xff\xff")
        await until(lambda: peer.link.trouble)
        assert peer.link.trouble is not None
        assert peer.link.trouble.code == "malformed_envelope"
        await peer.link.connected.wait()
        assert (await centre.ask("bank-a", "x"))["verb"] == "x"


def test_credentials_need_a_directory_that_holds_them(tmp_path: Path) -> None:
    with pytest.raises(SecureFlowError) as caught:
        CredentialFiles(tmp_path)()
    assert caught.value.code == "not_enrolled"


def test_keys_are_for_their_owner_only(pki: Pki) -> None:
    credentials = pki.agent("bank-a")
    credentials.request()
    for path in credentials._directory.glob("link.*"):
        assert path.stat().st_mode & 0o077 == 0
