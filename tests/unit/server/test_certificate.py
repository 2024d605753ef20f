from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from peers.cut_off import cut_off_at

from secureflow.kit.errors import InfrastructureError
from secureflow.kit.pki import Authority, RevocationList, check_leaf, parse_certificate, serial
from secureflow.server import certificate as module
from secureflow.server.certificate import ServerCertificate
from tests.stage import NOW

DAY = 86_400


def test_the_servers_certificate_is_its_own_and_renewed_in_time(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca", "test.example", NOW)
    now = [NOW]
    certificate = ServerCertificate(tmp_path / "tls", authority, "centre.example", lambda: now[0])
    assert certificate.context.minimum_version == ssl.TLSVersion.TLSv1_3

    def leaf() -> str:
        pem = certificate.credentials().certificate.decode()
        parsed = parse_certificate(pem)
        assert check_leaf(parsed, "test.example", now[0], RevocationList()).role == "server"
        return serial(parsed)

    first = leaf()
    again = ServerCertificate(tmp_path / "tls", authority, "centre.example", lambda: now[0])
    assert again.credentials() == certificate.credentials()
    now[0] += 59 * DAY
    assert not certificate.renew_if_due()
    now[0] += 2 * DAY
    assert certificate.renew_if_due()
    assert leaf() != first
    assert not certificate.renew_if_due()
    # After a long stop the old one has expired: the next start does not serve it.
    now[0] += 200 * DAY
    second = ServerCertificate(tmp_path / "tls", authority, "centre.example", lambda: now[0])
    assert second.credentials().span[1] > now[0]
    assert (tmp_path / "tls" / "link.pem").stat().st_mode & 0o777 == 0o600


def test_a_certificate_that_was_made_while_the_clock_was_ahead_is_replaced_once_it_is_right(
    tmp_path: Path,
) -> None:
    authority, now = Authority.create(tmp_path / "ca", "test.example", NOW), [NOW + 400 * DAY]
    certificate = ServerCertificate(tmp_path / "tls", authority, "centre.example", lambda: now[0])
    now[0] = NOW
    assert certificate.renew_if_due()
    start, end = certificate.credentials().span
    assert start <= NOW < end
    assert not certificate.renew_if_due()


def test_a_clock_that_is_set_back_on_a_young_platform_is_within_the_authoritys_life(
    tmp_path: Path,
) -> None:
    pem = Authority.create(tmp_path / "ca", "test.example", NOW).pem
    assert parse_certificate(pem).not_valid_before_utc.timestamp() < NOW - 300 * DAY


async def test_a_renewal_that_fails_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority.create(tmp_path / "ca", "test.example", NOW)
    certificate = ServerCertificate(tmp_path / "tls", authority, "centre.example", lambda: NOW)
    again, faults = asyncio.Event(), [OSError("no space left on device")]

    def renew() -> bool:
        if faults:
            raise faults.pop()
        again.set()
        return False

    monkeypatch.setattr(module, "CHECK_SECONDS", 0.001)
    monkeypatch.setattr(certificate, "renew_if_due", renew)
    renewing = asyncio.create_task(certificate.keep_fresh())
    try:
        await asyncio.wait_for(again.wait(), 60)
    finally:
        renewing.cancel()


@pytest.mark.parametrize("failing", [False, True])
async def test_a_renewed_certificate_is_served_whoever_renewed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: bool
) -> None:
    """Another server of the folder did, or this one could not open it right after."""
    authority = Authority.create(tmp_path / "ca", "test.example", NOW)
    now = [NOW]
    certificate = ServerCertificate(tmp_path / "tls", authority, "centre.example", lambda: now[0])
    first = served(certificate)
    now[0] += 61 * DAY
    if failing:
        assert certificate.renew_if_due()
    else:
        ServerCertificate(tmp_path / "tls", authority, "centre.example", lambda: now[0])
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.001)
    renewing = asyncio.create_task(certificate.keep_fresh())
    try:
        async with asyncio.timeout(120):
            while served(certificate) == first:  # noqa: ASYNC110  a context tells nobody
                await asyncio.sleep(0.01)
    finally:
        renewing.cancel()
    now_there = parse_certificate(certificate.credentials().certificate.decode())
    assert served(certificate) == serial(now_there) != first


def served(certificate: ServerCertificate) -> str:
    """Return the number of the certificate that a client is shown."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    ins, outs = (ssl.MemoryBIO(), ssl.MemoryBIO()), (ssl.MemoryBIO(), ssl.MemoryBIO())
    client = trusting.wrap_bio(ins[0], outs[0])
    sides = client, certificate.context.wrap_bio(ins[1], outs[1], server_side=True)
    for _ in range(4):
        for one, other in ((0, 1), (1, 0)):
            with suppress(ssl.SSLWantReadError):
                sides[one].do_handshake()
            ins[other].write(outs[one].read())
    shown = client.getpeercert(binary_form=True)
    assert shown is not None
    return serial(parse_certificate(ssl.DER_cert_to_PEM_cert(shown)))


@pytest.mark.parametrize("cut", ["ca.pem", "link.pem"])
def test_a_first_start_that_was_cut_off_is_finished_by_the_next(
    tmp_path: Path, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, tls = Authority.create(tmp_path / "ca", "test.example", NOW), tmp_path / "tls"
    with monkeypatch.context() as patched:
        cut_off_at(patched, tls / cut)
        with pytest.raises(InfrastructureError, match="full"):
            ServerCertificate(tls, authority, "centre.example", lambda: NOW)
    assert not (tls / "link.pem").exists()
    made = ServerCertificate(tls, authority, "centre.example", lambda: NOW)
    made.credentials.check()


@pytest.mark.parametrize("left", [{"link.pem": b""}, {"link.pem": b"a key"}])
def test_what_an_earlier_version_left_of_a_first_start_is_replaced(
    tmp_path: Path, left: dict[str, bytes]
) -> None:
    authority, tls = Authority.create(tmp_path / "ca", "test.example", NOW), tmp_path / "tls"
    tls.mkdir()
    for name, data in left.items():
        (tls / name).write_bytes(data)
    ServerCertificate(tls, authority, "centre.example", lambda: NOW).credentials.check()
