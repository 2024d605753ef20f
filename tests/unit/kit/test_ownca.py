"""An authority that an organisation brings: accepted only if every party can accept it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from secureflow.kit.clock import system_clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.ownca import own_authority
from secureflow.kit.pki import Authority, ca_fingerprint, private_pem
from secureflow.server.initialise import initialise

NOW = system_clock()
DOMAIN = "bank.example"
BASIC = x509.BasicConstraints(ca=True, path_length=0)
NAME = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{DOMAIN}")])


def usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(not signs, False, False, False, False, signs, signs, False, False)


class Made:
    """A root as a company's PKI makes it; each test changes one thing."""

    def __init__(self, **changes: Any) -> None:
        self.key = changes.pop("key", None) or ec.generate_private_key(ec.SECP256R1())
        self.issuer: Made | None = changes.pop("issuer", None)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, changes.pop("cn", "Root"))])
        start = datetime.fromtimestamp(NOW, UTC)
        begin = start + changes.pop("begin", timedelta(days=-1))
        end = start + changes.pop("end", timedelta(days=3650))
        extensions = {
            "basic": (BASIC, True), "usage": (usage(signs=True), True), "name": (NAME, False),
        } | changes  # fmt: skip
        signer = self.issuer or self
        made = (
            x509.CertificateBuilder().subject_name(self.name).issuer_name(signer.name)
            .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(begin).not_valid_after(end)
        )  # fmt: skip
        for found in extensions.values():
            if found is not None:
                made = made.add_extension(found[0], critical=found[1])
        certificate = made.sign(signer.key, hashes.SHA256())
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()


def refusal(made: Made, key: bytes | None = None, pem: str | None = None) -> str:
    with pytest.raises(SecureFlowError) as refused:
        own_authority(pem or made.pem, key or private_pem(made.key), DOMAIN, NOW)
    assert refused.value.code == "ca_refused"
    return refused.value.message


def test_a_sound_root_issues_from_then_on(tmp_path: Path) -> None:
    made = Made()
    authority = own_authority(made.pem, private_pem(made.key), DOMAIN, NOW)
    told = initialise(
        tmp_path / "centre", trust_domain=DOMAIN, rest_port=0, link_port=0, authority=authority
    )
    assert told["ca_fingerprint"] == ca_fingerprint(made.pem)
    assert Authority.load(tmp_path / "centre" / "ca").pem == made.pem


def test_purposes_that_include_both_ends_are_fine() -> None:
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    made = Made(purposes=(x509.ExtendedKeyUsage(both), False))
    assert own_authority(made.pem, private_pem(made.key), DOMAIN, NOW)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"basic": None}, "it is no CA"),
        ({"basic": (x509.BasicConstraints(ca=False, path_length=None), True)}, "it is no CA"),
        ({"basic": (BASIC, False)}, "it is no CA"),
        ({"usage": None}, "may not sign"),
        ({"usage": (usage(signs=False), True)}, "may not sign"),
        ({"name": None}, "names no trust domain"),
        ({"begin": timedelta(days=1)}, "valid only from"),
        ({"end": timedelta(days=89)}, "90 days have to be left"),
        (
            {"purposes": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)},
            "excludes servers",
        ),
        (
            {"limits": (x509.NameConstraints([x509.DNSName("bank.example")], None), True)},
            "nameConstraints",
        ),
        ({"key": ec.generate_private_key(ec.SECP384R1())}, "not ECDSA P-256"),
        (
            {"name": (x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier("spiffe://other.example")]), False)},
            "of the trust domain other.example",
        ),
    ],
)  # fmt: skip
def test_what_no_party_could_accept_is_refused_before_anything_is_made(
    changes: dict[str, Any], told: str
) -> None:
    assert told in refusal(Made(**changes))


def test_an_intermediate_is_refused() -> None:
    assert "intermediate" in refusal(Made(issuer=Made(cn="Company root"), cn="Issuing"))


def test_a_foreign_or_encrypted_key_and_a_chain_are_refused() -> None:
    made, other = Made(), Made()
    assert "does not belong" in refusal(made, private_pem(other.key))
    sealed = made.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )  # fmt: skip
    assert "encrypted" in refusal(made, sealed)
    assert "cannot be read" in refusal(made, b"none")
    assert "more than one certificate" in refusal(made, pem=made.pem + other.pem)


def test_a_critical_extension_that_tls_does_not_know_fails_the_trial() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    assert "trial handshake" in refusal(Made(unknown=(unknown, True)))


@pytest.fixture
def begun(tmp_path: Path) -> Callable[[Authority], object]:
    return lambda one: initialise(
        tmp_path / "centre", trust_domain=DOMAIN, rest_port=0, link_port=0, authority=one
    )


def test_a_finished_attempt_keeps_the_authority_that_it_began_with(
    begun: Callable[[Authority], object], tmp_path: Path
) -> None:
    first, second = (own_authority(one.pem, private_pem(one.key), DOMAIN, NOW)
                     for one in (Made(), Made()))  # fmt: skip
    begun(first)
    (tmp_path / "centre" / "server.yaml").rename(tmp_path / "centre" / "init.yaml")  # killed there
    with pytest.raises(SecureFlowError) as refused:
        begun(second)
    assert refused.value.code == "already_initialised"
    begun(first)
