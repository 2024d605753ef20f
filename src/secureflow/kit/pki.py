"""Link certificates: they identify the ends of a link and vouch for nothing else.

The authority issues short-lived X.509 leaves that carry one SPIFFE URI (SPIFFE X.509-SVID):

    spiffe://<trust-domain>/org/<organisation>/agent/<name>
    spiffe://<trust-domain>/enclave/<name>
    spiffe://<trust-domain>/server

Only the public key of a CSR is used; names and extensions in it are ignored, the caller of `issue`
decides them. Everything that depends on time takes `now` (Unix seconds) as an argument.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from secureflow.kit.atomic import write_atomically, write_new
from secureflow.kit.canonical import sha256
from secureflow.kit.certchains import (
    MAX_ISSUERS,
    UNREADABLE,
    bounded,
    parse_certificate,
    parse_chain,
    pem_of,
)
from secureflow.kit.clock import MAX_SKEW
from secureflow.kit.enrolment import EnrolmentToken
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyfiles import CA, KeyFiles, plain_keys
from secureflow.kit.oserrors import reason_in
from secureflow.kit.spiffe import SpiffeId, spiffe_id
from secureflow.kit.text import Text

__all__ = [
    "Authority",
    "EnrolmentToken",
    "RevocationList",
    "SpiffeId",
    "ca_fingerprint",
    "check_csr",
    "check_leaf",
    "key_digest",
    "make_csr",
    "new_link_key",
    "parse_certificate",
    "pin_authority",
    "private_pem",
    "serial",
    "spiffe_id",
    "write_private",
]

PARTY_LIFE = timedelta(hours=24)
"""Longest lifetime of an agent's or enclave's leaf."""
SERVER_LIFE = timedelta(days=90)
"""Longest lifetime of a server's leaf."""
AUTHORITY_LIFE = timedelta(days=3650)
AUTHORITY_PAST = timedelta(days=366)
"""The authority is valid from this long before it is made. It is pinned, so its start proves
nothing; but with a clock set to before it every certificate would be refused, renewed ones too."""
CLOCK_SKEW = timedelta(seconds=MAX_SKEW)
"""Leaves start this much before `now`, so that a slightly slow clock accepts them."""

_Leaf = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


class Authority:
    """The link CA: an ECDSA P-256 key and its certificate in one directory.

    The certificate is self-signed, or that of an intermediate: then `above` are the certificates
    from its own issuer up to the root, which is what parties pin.
    """

    def __init__(
        self,
        key: ec.EllipticCurvePrivateKey,
        certificate: x509.Certificate,
        above: Sequence[x509.Certificate] = (),
    ) -> None:
        self.key = key
        self.certificate = certificate
        self.above = tuple(above)
        self.trust_domain = trust_domain_of(certificate)

    @classmethod
    def create(
        cls, directory: Path, trust_domain: str, now: int, files: KeyFiles | None = None
    ) -> Authority:
        """Create an authority and store it.

        Raises:
            SecureFlowError: `spiffe_malformed` for a bad trust domain, `ca_exists`.
        """
        SpiffeId(trust_domain, "server")  # refuses a malformed trust domain
        key = ec.generate_private_key(ec.SECP256R1())
        authority = cls(key, self_signed(key, trust_domain, now))
        authority.store(directory, files)
        return authority

    def become(self, other: Authority) -> None:
        """Issue as another authority of the same trust domain from now on.

        Raises:
            SecureFlowError: `ca_foreign` for another trust domain.
        """
        if other.trust_domain != self.trust_domain:
            raise SecureFlowError(
                "ca_foreign",
                Text(
                    "The certificate authority is of the trust domain {found}, not {wanted}.",
                    found=other.trust_domain,
                    wanted=self.trust_domain,
                ),
            )
        self.key, self.certificate, self.above = other.key, other.certificate, other.above

    def store(self, directory: Path, files: KeyFiles | None = None) -> None:
        """Write `ca.key` (0600, wrapped as configured) and `ca.pem`.

        Raises:
            SecureFlowError: `ca_exists`.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            keys = files or plain_keys()
            digest = key_digest(self.certificate)
            keys.write_new(directory / "ca.key", private_pem(self.key), CA, digest)
        except FileExistsError as error:
            raise SecureFlowError(
                "ca_exists",
                Text("{directory} already holds a certificate authority.", directory=directory),
                "Load it, or choose another directory: a new key would cut every party off.",
            ) from error
        write_atomically(directory / "ca.pem", self.chain.encode("ascii"), 0o666)

    @classmethod
    def load(cls, directory: Path, files: KeyFiles | None = None) -> Authority:
        """Read an authority written by `create`; `files` unwraps its key.

        Raises:
            KeyVaultError: its key is wrapped and cannot be unwrapped.
            SecureFlowError: `ca_unreadable`; `key_exposed` if others can read the key.
        """
        try:
            key_pem = (files or plain_keys()).read(directory / "ca.key", CA)
            pem = (directory / "ca.pem").read_bytes()
        except OSError as error:
            raise _unreadable(directory, reason_in(error)) from error
        try:
            key = serialization.load_pem_private_key(key_pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise _unreadable(directory, "ca.key holds no private key") from error
        try:
            certificate, *above = parse_chain(pem.decode("ascii"), MAX_ISSUERS)
        except (ValueError, SecureFlowError) as error:
            raise _unreadable(directory, "ca.pem holds no certificate") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or (
            key.public_key() != certificate.public_key()
        ):
            raise _unreadable(directory, "ca.key does not belong to ca.pem")
        return cls(key, certificate, above)

    @property
    def pem(self) -> str:
        """The root, which parties pin, as PEM."""
        return pem_of([(self.certificate, *self.above)[-1]])

    @property
    def chain(self) -> str:
        """The certificates from the one that issues up to the root, as PEM."""
        return pem_of((self.certificate, *self.above))

    def issue(
        self,
        csr_pem: str,
        uri: str,
        now: int,
        *,
        life: timedelta = PARTY_LIFE,
        dns: Sequence[str] = (),
        ips: Sequence[str] = (),
    ) -> str:
        """Return the PEM chain (leaf, CAs) of a leaf for the CSR's key under this SPIFFE URI.

        Agents are clients only and get no DNS or IP names; enclaves are both ends of a link.

        Raises:
            SecureFlowError: `csr_malformed`, `csr_forged`, `csr_key_refused`,
                `spiffe_malformed`, `spiffe_foreign`, `leaf_life_too_long`, `san_refused`.
        """
        public = check_csr(csr_pem)
        identity = SpiffeId.parse(uri)
        if identity.trust_domain != self.trust_domain:
            raise SecureFlowError(
                "spiffe_foreign",
                Text(
                    "{identity} is outside the trust domain {trust_domain}.",
                    identity=uri,
                    trust_domain=self.trust_domain,
                ),
            )
        longest = SERVER_LIFE if identity.role == "server" else PARTY_LIFE
        if not timedelta(0) < life <= longest:
            raise SecureFlowError(
                "leaf_life_too_long",
                Text(
                    "A certificate for {identity} may be valid for at most {longest}, not {life}.",
                    identity=uri,
                    longest=longest,
                    life=life,
                ),
                "Ask for a shorter validity; renewal is automatic.",
            )
        names = _names(identity, dns, ips)
        start = _instant(now) - CLOCK_SKEW
        ends = [one.not_valid_after_utc for one in (self.certificate, *self.above)]
        leaf = (
            x509.CertificateBuilder()
            .subject_name(_name(identity.common_name))
            .issuer_name(self.certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(min([start + life, *ends]))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_purposes(identity)), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(_authority_key(self.key), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return pem_of([leaf]) + self.chain


def new_link_key() -> ec.EllipticCurvePrivateKey:
    """Generate a P-256 key for one end of a link (every TLS stack in use accepts it)."""
    return ec.generate_private_key(ec.SECP256R1())


def make_csr(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    """Return a PEM CSR that proves possession of the key and asks for no name."""
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, algorithm)
    return csr.public_bytes(serialization.Encoding.PEM).decode("ascii")


def check_csr(pem: str) -> _Leaf:
    """Return the public key of a CSR whose size, self-signature and key type hold.

    Raises:
        SecureFlowError: `csr_malformed`, `csr_forged`, `csr_key_refused`.
    """
    try:
        csr = x509.load_pem_x509_csr(bounded(pem))
        public = csr.public_key()
        authentic = csr.is_signature_valid
    except (*UNREADABLE, InvalidSignature) as error:
        message = Text("The certificate signing request is malformed: {error}.", error=error)
        raise SecureFlowError("csr_malformed", message) from error
    if not authentic:
        raise SecureFlowError(
            "csr_forged",
            "The certificate signing request is not signed by the key that it names.",
            "Make the request on the machine that holds the key.",
        )
    p256 = isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1)
    if not p256 and not isinstance(public, ed25519.Ed25519PublicKey):
        raise SecureFlowError(
            "csr_key_refused", "A link key is ECDSA P-256 or Ed25519.", "Make a P-256 key."
        )
    return public  # type: ignore[return-value]  # the two tests above are exactly this type


def ca_fingerprint(pem: str) -> str:
    """Return the hex SHA-256 of a CA certificate's DER bytes (what an enrolment token carries)."""
    return sha256(parse_certificate(pem).public_bytes(serialization.Encoding.DER)).hex()


def pin_authority(pem: str, fingerprint: str) -> str:
    """Return the PEM of the CA if it matches the fingerprint.

    Raises:
        SecureFlowError: `ca_mismatch`, `certificate_malformed`.
    """
    found = ca_fingerprint(pem)
    if found != fingerprint:
        raise SecureFlowError(
            "ca_mismatch",
            Text(
                "The server shows CA {found}, the enrolment token names {fingerprint}.",
                found=found,
                fingerprint=fingerprint,
            ),
            "Do not continue: someone may be between you and the server. Ask for a new token.",
        )
    return parse_certificate(pem).public_bytes(serialization.Encoding.PEM).decode("ascii")


@dataclass(frozen=True)
class RevocationList:
    """Serial numbers (lowercase hex) of leaves that are no longer accepted."""

    serials: frozenset[str] = frozenset()

    def revoke(self, certificate: x509.Certificate) -> RevocationList:
        """Return the list with this certificate added."""
        return RevocationList(self.serials | {serial(certificate)})


def serial(certificate: x509.Certificate) -> str:
    """Return a certificate's serial number as lowercase hex."""
    return f"{certificate.serial_number:x}"


def key_digest(certificate: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """Return the hex SHA-256 of a certificate's public key (SubjectPublicKeyInfo)."""
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return sha256(certificate.public_key().public_bytes(*form)).hex()


def check_leaf(
    certificate: x509.Certificate, trust_domain: str, now: int, revoked: RevocationList
) -> SpiffeId:
    """Return the identity of a peer whose chain the TLS stack has already verified.

    Raises:
        SecureFlowError: `certificate_not_valid_now`, `certificate_revoked`, `spiffe_foreign`,
            `spiffe_malformed`.
    """
    identity = SpiffeId.parse(spiffe_id(certificate))
    if identity.trust_domain != trust_domain:
        raise SecureFlowError(
            "spiffe_foreign",
            Text(
                "{identity} is outside the trust domain {trust_domain}.",
                identity=identity,
                trust_domain=trust_domain,
            ),
        )
    if not certificate.not_valid_before_utc <= _instant(now) <= certificate.not_valid_after_utc:
        raise SecureFlowError(
            "certificate_not_valid_now",
            Text(
                "The certificate of {identity} is valid from {begin} to {end}; it is {now}.",
                identity=identity,
                begin=certificate.not_valid_before_utc,
                end=certificate.not_valid_after_utc,
                now=_instant(now),
            ),
            "Compare the clocks of both machines (NTP). An agent renews its certificate by "
            "itself: secureflow agent doctor shows what prevents it.",
        )
    if serial(certificate) in revoked.serials:
        raise SecureFlowError(
            "certificate_revoked",
            Text("The certificate of {identity} has been revoked.", identity=identity),
            "Enrol again with a new token from the operator.",
        )
    return identity


def private_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """Return a private key as unencrypted PKCS #8 PEM; write it only to a 0600 file."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def write_private(path: Path, data: bytes) -> None:
    """Write a new file with mode 0600: complete and on disk, or not at all.

    Raises:
        FileExistsError: an existing file is never overwritten.
    """
    write_new(path, data)


def self_signed(key: ec.EllipticCurvePrivateKey, trust_domain: str, now: int) -> x509.Certificate:
    """Return the certificate of a new root."""
    name = _name(f"SecureFlow link CA {trust_domain}"[:64])
    uri = x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_instant(now) - AUTHORITY_PAST)
        .not_valid_after(_instant(now) + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def trust_domain_of(certificate: x509.Certificate) -> str:
    """Return the SPIFFE trust domain that a root names; raises `ca_unreadable`."""
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1 or not uris[0].startswith("spiffe://"):
        raise SecureFlowError("ca_unreadable", "ca.pem names no single SPIFFE trust domain.")
    return SpiffeId(uris[0].removeprefix("spiffe://"), "server").trust_domain


def _names(identity: SpiffeId, dns: Sequence[str], ips: Sequence[str]) -> list[x509.GeneralName]:
    if identity.role == "agent" and (dns or ips):
        # A client leaf with a host name could impersonate the server.
        raise SecureFlowError(
            "san_refused", Text("{identity} is a client and gets no host names.", identity=identity)
        )
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(str(identity))]
    try:
        names += [x509.DNSName(name) for name in dns]
        names += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
    except ValueError as error:
        raise SecureFlowError(
            "san_refused", Text("Not a host name or address: {error}.", error=error)
        ) from error
    return names


def _purposes(identity: SpiffeId) -> list[x509.ObjectIdentifier]:
    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    return {"agent": [client], "enclave": [server, client], "server": [server]}[identity.role]


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _instant(now: int) -> datetime:
    return datetime.fromtimestamp(now, UTC)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _unreadable(directory: Path, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "ca_unreadable",
        Text(
            "The certificate authority in {directory} cannot be read: {reason}.",
            directory=directory,
            reason=reason,
        ),
        "Restore ca.key and ca.pem from a backup.",
    )
