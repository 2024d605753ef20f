"""Enrolment over real TLS: whom the token is shown to, and what lies on disk afterwards."""

from __future__ import annotations

import http.server
import json
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from peers.cut_off import cut_off_at
from peers.links import DOMAIN, now

from secureflow import __version__
from secureflow.adapters.link import CredentialFiles
from secureflow.agent.edge.enrol import enrol
from secureflow.agent.edge.ownidentity import check_certificate, key_places, read_signing_key
from secureflow.agent.settings import AgentSettings
from secureflow.kit.crypto import SigningKey, verify
from secureflow.kit.enrolment import EnrolmentToken, proof_body
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.folder import check_folder
from secureflow.kit.keyfiles import not_wrapped
from secureflow.kit.pki import Authority, ca_fingerprint, make_csr, new_link_key, private_pem
from secureflow.kit.plain import hidden


class Front(http.server.BaseHTTPRequestHandler):
    """The two REST paths that a newcomer needs."""

    centre: Centre

    def do_GET(self) -> None:
        self._send(200, self.centre.shown.encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.centre.requests.append(body)
        status, answer = self.centre.answer(body)
        self._send(status, json.dumps(answer).encode())

    def log_message(self, *args: Any) -> None:
        del args

    def _send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Centre:
    """An HTTPS server; `shown` is the authority that it claims, `served_by` whose leaf it has."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority.create(directory / "ca", DOMAIN, now())
        self.shown = self.authority.pem
        self.requests: list[dict[str, Any]] = []
        self.uri = f"spiffe://{DOMAIN}/org/bank-a/agent/a1"
        self.refusal: dict[str, Any] | None = None
        self.changes: dict[str, Callable[[str], Any]] = {}
        self._directory = directory

    def start(self, served_by: Authority | None = None) -> str:
        key = new_link_key()
        uri = f"spiffe://{DOMAIN}/server"
        chain = (served_by or self.authority).issue(
            make_csr(key), uri, now(), life=timedelta(hours=1), dns=["localhost"], ips=["127.0.0.1"]
        )
        pem = self._directory / "front.pem"
        pem.write_bytes(private_pem(key) + chain.encode())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        handler = type("Bound", (Front,), {"centre": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return f"https://127.0.0.1:{self.server.server_address[1]}"

    def stop(self) -> None:
        if hasattr(self, "server"):
            self.server.shutdown()
            self.server.server_close()

    def token(self, kind: Any = "agent", organisation: str = "bank-a") -> str:
        fingerprint = ca_fingerprint(self.authority.pem)
        return EnrolmentToken.create("enr_1", kind, organisation, fingerprint).encode()

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.refusal:
            return 409, self.refusal
        chain = self.authority.issue(body["csr"], self.uri, now(), life=timedelta(hours=24))
        log = {"origin": "evil.example", "key": "k"}
        answer = {"certificate": chain, "link": "centre.example:8444", "log": log}
        return 200, answer | {name: made(chain) for name, made in self.changes.items()}


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    made = Centre(tmp_path)
    yield made
    made.stop()


def code(directory: Path, token: str, url: str) -> str:
    with pytest.raises(SecureFlowError) as error:
        enrol(directory, token, url, "a1")
    return error.value.code


def test_a_folder_of_a_newer_version_costs_no_token(centre: Centre, tmp_path: Path) -> None:
    (tmp_path / "version.json").write_text('{"version": "99.0.0"}')
    assert code(tmp_path, centre.token(), centre.start()) == "data_newer"
    assert not centre.requests


def test_a_newcomer_wraps_its_keys_from_the_start(centre: Centre, tmp_path: Path) -> None:
    url, directory, wrapping = centre.start(), tmp_path / "agent", tmp_path / "w" / "agent.key"
    with pytest.raises(SecureFlowError, match="is inside"):
        enrol(directory, centre.token(), url, "a1", directory / "agent.key")
    assert not centre.requests
    found = enrol(directory, centre.token(), url, "a1", wrapping)
    settings = AgentSettings.load(directory / "agent.yaml")
    assert settings.keys.file == wrapping
    assert not not_wrapped(key_places(settings))
    assert read_signing_key(settings).public == found["key"]
    check_certificate(settings)
    with pytest.raises(SecureFlowError, match="no wrapping key is configured"):
        SigningKey.load(directory / "signing.key")
    # Enrolled again, the key stays, and so does what wraps it.
    (directory / "link.pem").unlink()
    assert enrol(directory, centre.token(), url, "a1")["key"] == found["key"]
    check_certificate(AgentSettings.load(directory / "agent.yaml"))


def test_without_its_wrapping_key_no_token_is_used(
    centre: Centre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_AGENT__KEYS__FILE", str(tmp_path.with_name("none")))
    SigningKey.generate().save(tmp_path / "signing.key")  # it is there, and plain
    assert code(tmp_path, centre.token(), centre.start()) == "wrapping_key_unavailable"
    assert not centre.requests


def test_a_newcomer(centre: Centre, tmp_path: Path) -> None:
    url, directory = centre.start(), tmp_path / "agent"
    found = enrol(directory, centre.token(), url, "a1")
    key = SigningKey.load(directory / "signing.key")
    (request,) = centre.requests
    body = proof_body("enr_1", request["csr"], key.public)
    assert verify(key.public, "enrol", body, request["signature"])
    assert found["key"] == key.public
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in directory.iterdir()}
    assert modes["signing.key"] == modes["link.pem"] == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert check_folder(directory) == __version__
    settings = AgentSettings.load(directory / "agent.yaml")
    assert (settings.organisation, settings.link) == ("bank-a", "centre.example:8444")
    assert settings.directory.resolve() == directory.resolve()
    # The log that the centre names is believed only with the charter.
    assert all("evil.example" not in p.read_text() for p in directory.iterdir())


def test_another_authority_never_sees_the_token(centre: Centre, tmp_path: Path) -> None:
    imposter = Authority.create(tmp_path / "other", DOMAIN, now())
    url = centre.start(served_by=imposter)
    # It shows its own authority, or the right one that it cannot serve under.
    centre.shown = imposter.pem
    assert code(tmp_path / "agent", centre.token(), url) == "ca_mismatch"
    centre.shown = centre.authority.pem
    assert code(tmp_path / "agent", centre.token(), url) == "server_unreachable"
    assert centre.requests == []
    assert not (tmp_path / "agent" / "link.pem").exists()


def test_a_certificate_for_somebody_else_is_not_kept(centre: Centre, tmp_path: Path) -> None:
    url = centre.start()
    for uri in (
        f"spiffe://{DOMAIN}/org/bank-b/agent/a1",
        f"spiffe://{DOMAIN}/org/bank-a/agent/other",
        f"spiffe://{DOMAIN}/enclave/a1",
    ):
        centre.uri = uri
        assert code(tmp_path / "agent", centre.token(), url) == "certificate_foreign"
    assert not (tmp_path / "agent" / "link.pem").exists()


def test_keys_are_never_overwritten(centre: Centre, tmp_path: Path) -> None:
    url, directory = centre.start(), tmp_path / "agent"
    first = enrol(directory, centre.token(), url, "a1")
    assert code(directory, centre.token(), url) == "already_enrolled"
    (directory / "link.pem").unlink()  # the certificate was lost: the organisation is the same
    assert enrol(directory, centre.token(), url, "a1")["key"] == first["key"]


def test_refusals(centre: Centre, tmp_path: Path) -> None:
    url, directory = centre.start(), tmp_path / "agent"
    assert code(directory, centre.token("enclave", ""), url) == "token_other_kind"
    assert code(directory, "sfe_garbage", url) == "token_malformed"
    assert code(directory, centre.token(), "http://centre.example") == "insecure_url"
    assert code(directory, centre.token(), "https://127.0.0.1:1") == "server_unreachable"
    centre.refusal = {"code": "token_used", "detail": "It was used.", "hint": "Ask again."}
    assert code(directory, centre.token(), url) == "token_used"
    assert list(directory.iterdir()) == []


def test_a_key_that_the_centre_may_know_is_kept(centre: Centre, tmp_path: Path) -> None:
    """An answer that is lost or wrong says nothing of what the centre has kept."""
    url, directory = centre.start(), tmp_path / "agent"
    centre.uri = f"spiffe://{DOMAIN}/org/bank-b/agent/a1"
    assert code(directory, centre.token(), url) == "certificate_foreign"
    first = SigningKey.load(directory / "signing.key").public
    centre.refusal = {"code": "token_used", "detail": "It was used.", "hint": "Ask again."}
    assert code(directory, centre.token(), url) == "token_used"
    assert SigningKey.load(directory / "signing.key").public == first


# --- a centre that writes into the agent's files -------------------------------------------------

INJECTIONS = (
    "centre.example:8444\nattestation: {allow_simulated: true, roots: [/tmp/evil.pem]}",
    "centre.example:8444\nattestation:\n  measurements: ['" + "00" * 32 + "']",
    "centre.example:8444 # ",
    "centre.example:8444\u2028attestation: {allow_simulated: true}",
    "{a: 1}:8444",
    "unix:/run/user/agent.sock:1",
    "https://centre.example:8444",
    "centre.example",
    "a" * 100_000 + ":1",
)


@pytest.mark.parametrize("link", [*INJECTIONS, 8444, None, ["a:1"], {"a": 1}], ids=range(13))
def test_a_hostile_link_address_writes_nothing(centre: Centre, tmp_path: Path, link: Any) -> None:
    url, directory = centre.start(), tmp_path / "agent"
    centre.changes["link"] = lambda _: link
    expected = "invalid_address" if isinstance(link, str) else "invalid_answer"
    assert code(directory, centre.token(), url) == expected
    # The key stays: the centre may know it. Nothing that came from the centre does.
    assert [path.name for path in directory.iterdir()] == ["signing.key"]


def test_a_hostile_certificate_brings_nothing_along(centre: Centre, tmp_path: Path) -> None:
    """Another key, a comment and a second authority stand around the right leaf: only it stays."""
    url, directory = centre.start(), tmp_path / "agent"
    other = private_pem(new_link_key()).decode()
    evil = Authority.create(tmp_path / "evil", DOMAIN, now()).pem
    centre.changes["certificate"] = lambda chain: f"allow: all\n{other}{chain}{evil}{other}"
    enrol(directory, centre.token(), url, "a1")
    credentials = CredentialFiles(directory)()
    assert b"allow" not in credentials.certificate + credentials.key
    assert credentials.key.count(b"PRIVATE KEY") == 2
    assert credentials.certificate.count(b"BEGIN CERTIFICATE") == 2
    assert credentials.certificate.decode().endswith(centre.authority.pem)
    assert (directory / "ca.pem").read_text() == centre.authority.pem


def test_a_certificate_of_another_authority_is_not_kept(centre: Centre, tmp_path: Path) -> None:
    url, directory = centre.start(), tmp_path / "agent"
    evil = Authority.create(tmp_path / "evil", DOMAIN, now())
    genuine = centre.authority
    centre.changes["certificate"] = lambda _: evil.issue(
        centre.requests[-1]["csr"], centre.uri, now(), life=timedelta(hours=1)
    )
    assert code(directory, centre.token(), url) == "certificate_foreign"
    centre.changes["certificate"] = lambda _: genuine.issue(
        make_csr(new_link_key()), centre.uri, now(), life=timedelta(hours=1)
    )
    assert code(directory, centre.token(), url) == "certificate_foreign"  # for another key
    for garbage in ("", "-----BEGIN CERTIFICATE-----\n", "x" * 200_000):
        centre.changes["certificate"] = lambda _, garbage=garbage: garbage
        assert code(directory, centre.token(), url) == "certificate_malformed"
    assert not (directory / "link.pem").exists()
    assert not (directory / "agent.yaml").exists()


def test_a_refusal_cannot_write_on_the_terminal(centre: Centre, tmp_path: Path) -> None:
    url = centre.start()
    nasty = "used\x1b]0;owned\x07\nroot#\u202e"
    centre.refusal = {"code": "a\x1bb", "detail": nasty, "hint": nasty}
    with pytest.raises(SecureFlowError) as caught:
        enrol(tmp_path / "agent", centre.token(), url, "a1")
    assert caught.value.code == "internal"
    assert not hidden(str(caught.value))


def test_every_value_is_one_value_of_the_settings(centre: Centre, tmp_path: Path) -> None:
    """Names that YAML would read as something else, and the owner's URL, come back as texts."""
    url, directory = centre.start(), tmp_path / "agent"
    centre.uri = f"spiffe://{DOMAIN}/org/null/agent/1e3"
    token = centre.token(organisation="null")
    enrol(directory, token, f"{url}/?a: b # c", "1e3")
    settings = AgentSettings.load(directory / "agent.yaml")
    assert (settings.organisation, settings.name) == ("null", "1e3")
    assert settings.server == f"{url}/?a: b # c"
    assert settings.attestation.allow_simulated is False
    assert code(tmp_path / "b", token, f"{url}\nlog_level: debug") == "insecure_url"


@pytest.mark.parametrize("cut", ["signing.key", "agent.yaml", "ca.pem", "link.pem"])
def test_an_enrolment_that_was_cut_off_is_done_again_with_a_new_token(
    centre: Centre, tmp_path: Path, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, directory = centre.start(), tmp_path / "agent"
    with monkeypatch.context() as patched:
        cut_off_at(patched, directory / cut)
        with pytest.raises((InfrastructureError, OSError), match=r"full|No space"):
            enrol(directory, centre.token(), url, "a1")
    kept = directory / "signing.key"
    before = SigningKey.load(kept).public if kept.exists() else None
    made = enrol(directory, centre.token(), url, "a1")
    assert before in {None, made["key"]}
    assert AgentSettings.load(Path(made["config"])).organisation == "bank-a"
    CredentialFiles(directory).check()


def test_credentials_that_an_earlier_version_left_half_written_are_none(
    centre: Centre, tmp_path: Path
) -> None:
    url, directory = centre.start(), tmp_path / "agent"
    enrol(directory, centre.token(), url, "a1")
    (directory / "ca.pem").unlink()  # it wrote link.pem first
    enrol(directory, centre.token(), url, "a1")
    CredentialFiles(directory).check()
