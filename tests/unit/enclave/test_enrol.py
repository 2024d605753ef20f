"""Enrolment: the token's fingerprint decides whom the newcomer believes."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from peers.links import Pki, now

from secureflow import __version__
from secureflow.adapters.link import CredentialFiles
from secureflow.adapters.tee import SimulatedPlatform
from secureflow.enclave.enrol import enrol
from secureflow.enclave.identity import IDENTITY, key_places, locked_folder, running
from secureflow.enclave.settings import EnclaveSettings
from secureflow.kit.crypto import SigningKey, verify
from secureflow.kit.enrolment import EnrolmentToken, proof_body
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folder import check_folder
from secureflow.kit.keyfiles import not_wrapped
from secureflow.kit.pki import ca_fingerprint, make_csr, new_link_key


class Api:
    """The two routes of the centre that a newcomer uses, over HTTPS of its own authority."""

    def __init__(self, pki: Pki, shown: str | None = None) -> None:
        self.pki = pki
        self.shown = shown or pki.authority.pem
        self.asked: list[dict[str, Any]] = []
        self.refusal: dict[str, Any] | None = None
        self.changes: dict[str, Any] = {}
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(200 if self.path == "/api/v1/ca" else 404, api.shown.encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                api.asked.append(body)
                status, answer = api.enroll(body)
                self._answer(status, json.dumps(answer).encode())

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate())
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def enroll(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Do what the centre does."""
        if self.refusal is not None:
            return 400, self.refusal
        token = EnrolmentToken.parse(body["token"])
        proof = proof_body(token.id, body["csr"], body["key"])
        assert verify(body["key"], "enrol", proof, body["signature"])
        spiffe = f"spiffe://{self.pki.authority.trust_domain}/enclave/{body['name']}"
        certificate = self.pki.authority.issue(body["csr"], spiffe, now())
        answer = {"certificate": certificate, "spiffe": spiffe, "link": "centre:8444"}
        return 201, answer | self.changes

    def _certificate(self) -> Path:
        key = new_link_key()
        uri = f"spiffe://{self.pki.authority.trust_domain}/server"
        chain = self.pki.authority.issue(
            make_csr(key), uri, now(), ips=["127.0.0.1"], life=timedelta(hours=1)
        )
        place = self.pki.directory / "rest"
        CredentialFiles.create(place, self.pki.authority.pem, key, chain)
        return place / "link.pem"


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


@pytest.fixture
def api(pki: Pki) -> Iterator[Api]:
    running = Api(pki)
    yield running
    running.server.shutdown()
    running.server.server_close()


def _token(pki: Pki, kind: Any = "enclave", organisation: str = "") -> str:
    fingerprint = ca_fingerprint(pki.authority.pem)
    return EnrolmentToken.create("enr_1", kind, organisation, fingerprint).encode()


def _refused(*arguments: Any, **options: Any) -> str:
    with pytest.raises(SecureFlowError) as caught:
        enrol(*arguments, **{"simulated": True, **options})
    return caught.value.code


def test_an_enclave_enrols_and_can_start(api: Api, tmp_path: Path) -> None:
    home = tmp_path / "enclave"
    enrolled = enrol(home, _token(api.pki), api.url, simulated=True)
    assert enrolled.spiffe == "spiffe://consortium.example/enclave/main"
    settings = EnclaveSettings.load(enrolled.config)
    assert settings.server == "centre:8444"
    assert settings.directory == home
    assert settings.simulated == home / "simulated"
    assert SimulatedPlatform.load(settings.simulated).root_pem
    assert settings.rest == api.url
    identity = home / IDENTITY
    assert identity.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(identity).public == api.asked[0]["key"]
    assert check_folder(home) == __version__
    credentials = CredentialFiles(settings.directory)()
    assert credentials.ca.decode() == api.pki.authority.pem
    assert _refused(home, _token(api.pki), api.url) == "already_enrolled"


def test_an_enclave_wraps_its_keys_from_the_start(api: Api, tmp_path: Path) -> None:
    home, wrapping = tmp_path / "enclave", tmp_path / "w" / "enclave.key"
    assert _refused(home, _token(api.pki), api.url, wrapping_key=home / "k") == (
        "wrapping_key_inside"
    )
    assert not api.asked
    enrolled = enrol(home, _token(api.pki), api.url, simulated=True, wrapping_key=wrapping)
    settings = EnclaveSettings.load(enrolled.config)
    assert not not_wrapped(key_places(settings))
    CredentialFiles(home, settings.key_files).check()
    key = SigningKey.load(home / IDENTITY, settings.key_files, "identity")
    assert key.public == api.asked[0]["key"]
    with running(home), pytest.raises(SecureFlowError, match="runs from"), locked_folder(home):
        pass


def test_a_folder_with_an_identity_or_of_a_newer_version_costs_no_token(
    api: Api, tmp_path: Path
) -> None:
    (tmp_path / IDENTITY).write_text("")
    assert _refused(tmp_path, _token(api.pki), api.url) == "already_enrolled"
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "version.json").write_text('{"version": "99.0.0"}')
    assert _refused(tmp_path / "newer", _token(api.pki), api.url) == "data_newer"
    assert not api.asked


def test_without_simulation_nothing_is_begun(api: Api, tmp_path: Path) -> None:
    """There is no attester for hardware: the token is not used up to find that out."""
    home = tmp_path / "enclave"
    assert _refused(home, _token(api.pki), api.url, simulated=False) == "no_tee"
    assert not api.asked
    assert not home.exists()


def test_another_authority_hears_no_token(api: Api, tmp_path: Path) -> None:
    """Someone sits between: it shows its own CA, or the right one with a certificate of its own."""
    other = Pki(tmp_path / "other")
    assert _refused(tmp_path / "e", _token(other), api.url) == "ca_mismatch"
    api.shown = other.authority.pem
    assert _refused(tmp_path / "e", _token(other), api.url) == "server_unreachable"
    assert not api.asked
    assert not (tmp_path / "e").exists()


def test_no_token_over_a_clear_line(pki: Pki, tmp_path: Path) -> None:
    for url in ("http://centre.example", "ftp://127.0.0.1", "centre.example", "https://"):
        assert _refused(tmp_path / "e", _token(pki), url) == "insecure_url"


def test_the_wrong_kind_of_token(pki: Pki, tmp_path: Path) -> None:
    token = _token(pki, "agent", "bank-a")
    assert _refused(tmp_path / "e", token, "https://127.0.0.1:1") == "token_other_kind"
    assert _refused(tmp_path / "e", "sfe_x", "https://127.0.0.1:1") == "token_malformed"


def test_a_centre_that_is_not_there(pki: Pki, tmp_path: Path) -> None:
    assert _refused(tmp_path / "e", _token(pki), "https://127.0.0.1:1") == "server_unreachable"


def test_the_centres_refusal_is_passed_on(api: Api, tmp_path: Path) -> None:
    api.refusal = {"code": "token_refused", "detail": "It was used.", "hint": "Ask for another."}
    assert _refused(tmp_path / "e", _token(api.pki), api.url) == "token_refused"
    assert not (tmp_path / "e" / "link.pem").exists()


@pytest.mark.parametrize(
    "link",
    ["centre:8444\nsimulated: /tmp/other", "centre:1\nuplink: {public: evil:1}", "unix:/x", "", 7],
)
def test_a_hostile_answer_writes_nothing(api: Api, tmp_path: Path, link: Any) -> None:
    home = tmp_path / "enclave"
    api.changes = {"link": link}
    expected = "invalid_address" if isinstance(link, str) else "invalid_answer"
    assert _refused(home, _token(api.pki), api.url) == expected
    assert not home.exists()


def test_the_identity_is_the_certificates(api: Api, tmp_path: Path) -> None:
    """Not what the centre says beside it; and a certificate for another name is not kept."""
    api.changes = {"spiffe": "spiffe://x.example/server\x1b[2J"}
    enrolled = enrol(tmp_path / "a", _token(api.pki), api.url, simulated=True)
    assert enrolled.spiffe == "spiffe://consortium.example/enclave/main"
    agent = api.pki.agent("bank-a")().certificate.decode()
    api.changes = {"certificate": agent}
    assert _refused(tmp_path / "b", _token(api.pki), api.url) == "certificate_foreign"
    assert not (tmp_path / "b").exists()


def test_the_example_file_holds_known_settings_only() -> None:
    example = Path(__file__).parents[3] / "configs" / "enclave.example.yaml"
    assert EnclaveSettings.load(example).uplink.port == 8445
