from __future__ import annotations

import base64
import json
import stat
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.kit.enrolment import EnrolmentToken
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import (
    Authority,
    RevocationList,
    ca_fingerprint,
    check_csr,
    check_leaf,
    make_csr,
    new_link_key,
    parse_certificate,
    pin_authority,
)
from secureflow.kit.spiffe import SpiffeId, spiffe_id

AT = datetime.now(UTC).replace(microsecond=0)
NOW = int(AT.timestamp())
AGENT = "spiffe://demo.test/org/bank-a/agent/one"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca", "demo.test", NOW)


def code_of(error: pytest.ExceptionInfo[SecureFlowError]) -> str:
    return error.value.code


def issue(authority: Authority, uri: str = AGENT, **options: object) -> x509.Certificate:
    return parse_certificate(
        authority.issue(make_csr(new_link_key()), uri, NOW, **options)  # type: ignore[arg-type]
    )


def test_authority_survives_a_restart_and_its_key_is_private(tmp_path: Path) -> None:
    made = Authority.create(tmp_path, "demo.test", NOW)
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600
    loaded = Authority.load(tmp_path)
    assert (loaded.pem, loaded.trust_domain) == (made.pem, "demo.test")
    with pytest.raises(SecureFlowError) as error:
        Authority.create(tmp_path, "demo.test", NOW)
    assert code_of(error) == "ca_exists"
    assert Authority.load(tmp_path).pem == made.pem


def test_a_key_of_another_authority_is_refused(tmp_path: Path) -> None:
    Authority.create(tmp_path / "a", "demo.test", NOW)
    Authority.create(tmp_path / "b", "demo.test", NOW)
    (tmp_path / "a" / "ca.pem").write_text((tmp_path / "b" / "ca.pem").read_text())
    with pytest.raises(SecureFlowError) as error:
        Authority.load(tmp_path / "a")
    assert code_of(error) == "ca_unreadable"


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\n", b"\xff" * 100])
def test_a_broken_authority_says_so(tmp_path: Path, content: bytes) -> None:
    Authority.create(tmp_path, "demo.test", NOW)
    (tmp_path / "ca.key").write_bytes(content)
    with pytest.raises(SecureFlowError) as error:
        Authority.load(tmp_path)
    assert code_of(error) == "ca_unreadable"


def test_issued_leaf_chains_and_names_its_party(authority: Authority) -> None:
    leaf = issue(authority)
    ca = parse_certificate(authority.pem)
    leaf.verify_directly_issued_by(ca)
    assert spiffe_id(leaf) == AGENT
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(hours=24)
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_leaf_verifies_as_a_web_certificate_of_the_server(authority: Authority) -> None:
    leaf = issue(
        authority,
        "spiffe://demo.test/server",
        life=timedelta(days=30),
        dns=["localhost"],
        ips=["127.0.0.1"],
    )
    verifier = (
        x509.verification.PolicyBuilder()
        .store(x509.verification.Store([parse_certificate(authority.pem)]))
        .time(AT)
        .build_server_verifier(x509.DNSName("localhost"))
    )
    assert verifier.verify(leaf, [])[0] == leaf


@pytest.mark.parametrize(
    ("uri", "options", "code"),
    [
        (AGENT, {"life": timedelta(hours=25)}, "leaf_life_too_long"),
        (AGENT, {"life": timedelta(0)}, "leaf_life_too_long"),
        ("spiffe://demo.test/enclave/e", {"life": timedelta(hours=25)}, "leaf_life_too_long"),
        ("spiffe://demo.test/server", {"life": timedelta(days=91)}, "leaf_life_too_long"),
        (AGENT, {"dns": ["localhost"]}, "san_refused"),
        (AGENT, {"ips": ["127.0.0.1"]}, "san_refused"),
        ("spiffe://demo.test/server", {"ips": ["300.0.0.1"]}, "san_refused"),
        ("spiffe://demo.test/server", {"dns": ["bücher.example"]}, "san_refused"),
        ("spiffe://other.test/server", {}, "spiffe_foreign"),
        ("spiffe://demo.test/root", {}, "spiffe_malformed"),
    ],
)
def test_what_the_authority_does_not_issue(
    authority: Authority, uri: str, options: dict[str, object], code: str
) -> None:
    with pytest.raises(SecureFlowError) as error:
        issue(authority, uri, **options)
    assert code_of(error) == code


def test_names_asked_for_in_a_csr_are_ignored(authority: Authority) -> None:
    key = new_link_key()
    san = x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier("spiffe://demo.test/server"), x509.DNSName("localhost")]
    )
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")]))
        .add_extension(san, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain = authority.issue(csr.public_bytes(serialization.Encoding.PEM).decode(), AGENT, NOW)
    leaf = parse_certificate(chain)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == [AGENT]
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert "server" not in leaf.subject.rfc4514_string()


def test_csr_with_ed25519_is_accepted() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    assert check_csr(make_csr(key)) == key.public_key()


def test_csr_with_other_keys_is_refused() -> None:
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        pem = csr.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
        with pytest.raises(SecureFlowError) as error:
            check_csr(pem)
        assert code_of(error) == "csr_key_refused"


def test_csr_without_possession_of_the_key_is_refused() -> None:
    mine, victim = new_link_key(), new_link_key()
    der_encoding = serialization.Encoding.DER
    der = x509.load_pem_x509_csr(make_csr(mine).encode()).public_bytes(der_encoding)
    point = (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    forged = der.replace(
        mine.public_key().public_bytes(*point), victim.public_key().public_bytes(*point)
    )
    assert forged != der
    pem = x509.load_der_x509_csr(forged).public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(SecureFlowError) as error:
        check_csr(pem)
    assert code_of(error) == "csr_forged"


@pytest.mark.parametrize("pem", ["", "x" * 20_000, "-----BEGIN CERTIFICATE REQUEST-----", "\udcff"])
def test_malformed_csr(pem: str) -> None:
    with pytest.raises(SecureFlowError) as error:
        check_csr(pem)
    assert code_of(error) == "csr_malformed"


def test_oversized_csr_is_not_parsed() -> None:
    with pytest.raises(SecureFlowError) as error:
        check_csr(make_csr(new_link_key()) + " " * 20_000)
    assert code_of(error) == "csr_malformed"


def leaf_with(names: list[x509.GeneralName] | None, *, ca: bool = False) -> x509.Certificate:
    key = new_link_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(AT)
        .not_valid_after(AT + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256())


CSR = x509.load_pem_x509_csr(make_csr(new_link_key()).encode()).public_bytes(
    serialization.Encoding.DER
)
LEAF = leaf_with([x509.UniformResourceIdentifier(AGENT)]).public_bytes(serialization.Encoding.DER)


def mutated_pem(der: bytes, label: str, seed: int) -> str:
    rng = Random(seed)
    data = bytearray(der)
    for _ in range(rng.randint(1, 3)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    body = base64.encodebytes(data).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n"


def fuzz_csr(seed: int) -> None:
    try:
        public = check_csr(mutated_pem(CSR, "CERTIFICATE REQUEST", seed))
    except SecureFlowError as error:
        if error.code not in {"csr_malformed", "csr_forged", "csr_key_refused"}:
            raise
        return
    assert public == x509.load_der_x509_csr(CSR).public_key()


def fuzz_leaf(seed: int) -> None:
    try:
        leaf = parse_certificate(mutated_pem(LEAF, "CERTIFICATE", seed))
        SpiffeId.parse(spiffe_id(leaf))
    except SecureFlowError as error:
        if error.code not in {"certificate_malformed", "spiffe_malformed"}:
            raise


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Parsed a")
@given(st.integers(0, 2**64))
@settings(max_examples=500, deadline=None)
def test_fuzzed_x509_never_escapes_its_errors(seed: int) -> None:
    fuzz_csr(seed)
    fuzz_leaf(seed)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:Parsed a")
@given(st.integers(0, 2**64))
@settings(max_examples=1_000_000, deadline=None)
def test_soak_fuzzed_x509(seed: int) -> None:
    fuzz_csr(seed)
    fuzz_leaf(seed)


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://demo.test/org/bank-a/agent/one/",
        "spiffe://demo.test/org/bank-a/agent/..",
        "spiffe://demo.test/org//agent/one",
        "spiffe://demo.test/org/bank-a/agent/one?x",
        "spiffe://demo.test/org/bank%2da/agent/one",
        "spiffe://Demo.test/server",
        "SPIFFE://demo.test/server",
        "https://demo.test/server",
        "spiffe://demo.test/server\n",
        "spiffe://demo.test/enclave/",
        "spiffe://demo.test/enclave/" + "x" * 64,
        "spiffe://user@demo.test/server",
        "spiffe://demo.test:443/server",
        "",
    ],
)
def test_strict_spiffe_parser(uri: str) -> None:
    with pytest.raises(SecureFlowError) as error:
        SpiffeId.parse(uri)
    assert code_of(error) == "spiffe_malformed"


@pytest.mark.parametrize(
    "uri", [AGENT, "spiffe://demo.test/enclave/e-1", "spiffe://demo.test/server"]
)
def test_spiffe_round_trip(uri: str) -> None:
    assert str(SpiffeId.parse(uri)) == uri


@pytest.mark.parametrize(
    "parts",
    [
        ("d", "agent", "", "n"),
        ("d", "enclave", "o", "n"),
        ("d", "server", "", "n"),
        ("d", "root", "", ""),
        ("d", "agent", "o/../x", "n"),
        ("D", "server", "", ""),
        ("a b", "server", "", ""),
    ],
)
def test_spiffe_parts_fit_their_role(parts: tuple[str, ...]) -> None:
    with pytest.raises(SecureFlowError):
        SpiffeId(*parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "ca"),
    [
        (None, False),
        ([x509.DNSName("demo.test")], False),
        ([x509.UniformResourceIdentifier(AGENT)] * 2, False),
        (
            [
                x509.UniformResourceIdentifier(AGENT),
                x509.UniformResourceIdentifier("https://x.test"),
            ],
            False,
        ),
        ([x509.UniformResourceIdentifier("https://x.test")], False),
        ([x509.UniformResourceIdentifier(AGENT)], True),
    ],
)
def test_certificates_without_exactly_one_identity(
    names: list[x509.GeneralName] | None, ca: bool
) -> None:
    with pytest.raises(SecureFlowError) as error:
        spiffe_id(leaf_with(names, ca=ca))
    assert code_of(error) == "spiffe_malformed"


def test_check_leaf(authority: Authority) -> None:
    leaf = issue(authority)
    none = RevocationList()
    assert str(check_leaf(leaf, "demo.test", NOW, none)) == AGENT
    for now in (NOW - 3600, NOW + 24 * 3600):
        with pytest.raises(SecureFlowError) as error:
            check_leaf(leaf, "demo.test", now, none)
        assert code_of(error) == "certificate_not_valid_now"
    with pytest.raises(SecureFlowError) as error:
        check_leaf(leaf, "other.test", NOW, none)
    assert code_of(error) == "spiffe_foreign"
    with pytest.raises(SecureFlowError) as error:
        check_leaf(leaf, "demo.test", NOW, none.revoke(leaf))
    assert code_of(error) == "certificate_revoked"
    check_leaf(issue(authority), "demo.test", NOW, none.revoke(leaf))


def test_pinned_authority(authority: Authority, tmp_path: Path) -> None:
    fingerprint = ca_fingerprint(authority.pem)
    assert pin_authority(authority.pem, fingerprint) == authority.pem
    # Only the pinned certificate comes back, whatever a server appends.
    other = Authority.create(tmp_path / "other", "demo.test", NOW)
    assert pin_authority(authority.pem + other.pem, fingerprint) == authority.pem
    with pytest.raises(SecureFlowError) as error:
        pin_authority(other.pem + authority.pem, fingerprint)
    assert code_of(error) == "ca_mismatch"


def test_enrolment_token_round_trip_hides_its_secret() -> None:
    token = EnrolmentToken.create("t1", "agent", "bank-a", "0" * 64)
    text = token.encode()
    assert text.startswith("sfe_")
    parsed = EnrolmentToken.parse(f"  {text}\n")
    assert parsed == token
    assert parsed.matches(token.secret_digest)
    assert not EnrolmentToken.create("t1", "agent", "bank-a", "0" * 64).matches(token.secret_digest)
    assert token.secret not in repr(token)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "server"},
        {"kind": "enclave"},
        {"organisation": ""},
        {"organisation": "a/b"},
        {"secret": "short"},
        {"ca_fingerprint": "0" * 63},
        {"id": 3},
        {"extra": "x"},
    ],
)
def test_malformed_token_is_refused_without_repeating_it(fields: dict[str, object]) -> None:
    good = EnrolmentToken.create("t1", "agent", "bank-a", "0" * 64)
    data = json.dumps({**asdict(good), **fields}).encode()
    text = "sfe_" + base64.urlsafe_b64encode(data).decode().rstrip("=")
    with pytest.raises(SecureFlowError) as error:
        EnrolmentToken.parse(text)
    assert code_of(error) == "token_malformed"
    assert good.secret not in str(error.value)
    assert text[4:20] not in str(error.value)


def test_token_needs_its_prefix() -> None:
    text = EnrolmentToken.create("t1", "agent", "bank-a", "0" * 64).encode()
    for wrong in (text.removeprefix("sfe_"), "SFE_" + text[4:], "sfe_W10", "sfe_" + "A" * 5000):
        with pytest.raises(SecureFlowError) as error:
            EnrolmentToken.parse(wrong)
        assert code_of(error) == "token_malformed"


def test_a_token_has_one_spelling() -> None:
    token = EnrolmentToken.create("t1", "agent", "bank-a", "0" * 64)
    text = token.encode()
    other = base64.urlsafe_b64encode(json.dumps(asdict(token)).encode()).decode().rstrip("=")
    for spelled in (f"{text}=", f"{text}==", f"sfe_{other}"):
        with pytest.raises(SecureFlowError) as error:
            EnrolmentToken.parse(spelled)
        assert code_of(error) == "token_malformed"


def test_a_ca_names_exactly_one_trust_domain() -> None:
    for uris in (["spiffe://a.test", "spiffe://b.test"], ["https://a.test"], ["spiffe://a/b"]):
        names = [x509.UniformResourceIdentifier(uri) for uri in uris]
        with pytest.raises(SecureFlowError):
            Authority(new_link_key(), leaf_with(names, ca=True))


@given(st.text(max_size=80))
@settings(max_examples=500, deadline=None)
def test_fuzzed_token_never_escapes_its_error(text: str) -> None:
    for candidate in (text, "sfe_" + text):
        with pytest.raises(SecureFlowError) as error:
            EnrolmentToken.parse(candidate)
        assert error.value.code == "token_malformed"
