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

from secureflow.kit.caroots import issuer_of, root_name, roots
from secureflow.kit.certchains import issued_chain, issuing_path, parse_chain
from secureflow.kit.clock import system_clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.ownca import own_authority
from secureflow.kit.pki import Authority, ca_fingerprint, make_csr, new_link_key, private_pem
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


class Company:
    """A company's root, a policy CA under it, and the intermediate that it gives for a centre."""

    def __init__(self, **changes: dict[str, Any]) -> None:
        def made(cn: str, below: int, issuer: Made | None, **own: Any) -> Made:
            basic = (x509.BasicConstraints(ca=True, path_length=below), True)
            return Made(**{"cn": cn, "issuer": issuer, "basic": basic, "name": None, **own,
                           **changes.get(cn, {})})  # fmt: skip

        self.root = made("root", 2, None)
        self.policy = made("policy", 1, self.root)
        self.issuing = made("issuing", 0, self.policy, name=(NAME, False))

    def chain(self) -> str:
        return self.issuing.pem + self.policy.pem + self.root.pem

    def refusal(self, *chain: str) -> str:
        return refusal(self.issuing, pem="".join(chain) or self.chain())


def test_a_chain_of_a_companys_ca_issues_and_its_root_is_pinned(tmp_path: Path) -> None:
    company = Company()
    authority = own_authority(company.chain(), private_pem(company.issuing.key), DOMAIN, NOW)
    told = initialise(
        tmp_path / "centre", trust_domain=DOMAIN, rest_port=0, link_port=0, authority=authority
    )
    assert told["ca_fingerprint"] == ca_fingerprint(company.root.pem)
    loaded = Authority.load(tmp_path / "centre" / "ca")
    assert (loaded.pem, loaded.chain) == (company.root.pem, company.chain())
    uri = f"spiffe://{DOMAIN}/org/bank-a/agent/main"
    chain = loaded.issue(make_csr(new_link_key()), uri, NOW)
    assert chain.endswith(company.chain())
    assert issued_chain(chain, company.root.pem) == chain
    leaf, *between = parse_chain(chain, 5)
    (root,) = roots(company.root.pem)
    assert issuer_of(leaf, [root], between) == root_name(root)
    assert issuer_of(leaf, [root]) == ""  # without what stands between, nobody vouches


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"policy": {"basic": (x509.BasicConstraints(ca=False, path_length=None), True)}}, "no CA"),
        ({"policy": {"usage": (usage(signs=False), True)}}, "may not sign"),
        ({"policy": {"end": timedelta(days=-1), "begin": timedelta(days=-9)}}, "90 days"),
        ({"issuing": {"end": timedelta(days=30)}}, "90 days"),
        ({"policy": {"begin": timedelta(days=1)}}, "valid only from"),
        ({"policy": {"basic": (BASIC, True)}}, "allows 0 CAs below it, and there are 1"),
        ({"root": {"basic": (BASIC, True)}}, "allows 0 CAs below it, and there are 2"),
        (
            {"policy": {"purposes": (
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)}},
            "excludes servers",
        ),
        (
            {"policy": {"limits": (
                x509.NameConstraints([x509.DNSName("bank.example")], None), True)}},
            "nameConstraints",
        ),
        ({"issuing": {"name": None}}, "names no trust domain"),
    ],
)  # fmt: skip
def test_a_chain_with_one_unsound_link_is_refused(changes: dict[str, Any], told: str) -> None:
    assert told in Company(**changes).refusal()


def test_a_chain_that_is_none_is_refused() -> None:
    company, other = Company(), Company()
    issuing, policy, root = company.issuing.pem, company.policy.pem, company.root.pem
    assert "not in order" in company.refusal(issuing, root)
    assert "not in order" in company.refusal(issuing, other.policy.pem, other.root.pem)
    assert "first certificate" in company.refusal(policy, issuing, root)
    assert "no self-signed root" in company.refusal(issuing, policy)
    assert "no self-signed root" in company.refusal(issuing)
    assert "twice" in company.refusal(issuing, policy, root, root)
    assert "longer than 4" in company.refusal(issuing, policy, root, root, root)
    assert "not in order" in company.refusal(issuing, policy, policy, root)


def test_a_loop_of_cas_leads_nowhere() -> None:
    """A and B issued each other; a path through them is never found, and the search ends."""
    first, second = Made(cn="A"), Made(cn="B")
    by_second = Made(cn="A", key=first.key, issuer=second)
    by_first = Made(cn="B", key=second.key, issuer=by_second)
    loop = parse_chain(by_second.pem + by_first.pem + by_second.pem, 5)
    assert issuing_path(loop[0], loop[1:], roots(Made(cn="Root").pem)) == []


def test_a_party_takes_no_chain_through_a_leaf_or_of_another_root() -> None:
    company, other = Company(), Company()
    authority = own_authority(company.chain(), private_pem(company.issuing.key), DOMAIN, NOW)
    uri, key = f"spiffe://{DOMAIN}/org/bank-a/agent/main", ec.generate_private_key(ec.SECP256R1())
    chain = authority.issue(make_csr(key), uri, NOW)
    with pytest.raises(SecureFlowError) as refused:
        issued_chain(chain, other.root.pem)
    assert refused.value.code == "certificate_foreign"
    end = {"basic": (x509.BasicConstraints(ca=False, path_length=None), True),
           "usage": (usage(signs=False), True)}  # fmt: skip
    holder = Made(cn="bank-a", issuer=company.issuing, **end)
    forged = Made(cn="bank-b", issuer=holder, **end)
    with pytest.raises(SecureFlowError) as refused:
        issued_chain(forged.pem + holder.pem + company.chain(), company.root.pem)
    assert refused.value.code == "certificate_foreign"
    with pytest.raises(SecureFlowError) as refused:
        issued_chain(chain + company.chain(), company.root.pem)  # more than a chain can have
    assert refused.value.code == "certificate_malformed"


def test_a_foreign_or_encrypted_key_and_a_chain_are_refused() -> None:
    made, other = Made(), Made()
    assert "does not belong" in refusal(made, private_pem(other.key))
    sealed = made.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )  # fmt: skip
    assert "encrypted" in refusal(made, sealed)
    assert "cannot be read" in refusal(made, b"none")
    assert "not in order" in refusal(made, pem=made.pem + other.pem)


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
