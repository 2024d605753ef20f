"""The client side of enrolment: the newcomer's identity and its token, over pinned TLS.

The token carries the fingerprint of the link's authority. The first request may reach anyone: the
answer must show exactly that authority, and the token is sent only over a connection verified under
it. The answer is untrusted until `check_issued` has checked it; nothing of it is written to a file
before. Standard library only: everything that the enclave imports is measured.
"""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from secureflow.kit.canonical import JSON, canonical_bytes, parse_json
from secureflow.kit.certchains import issued_chain
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.hostport import parse_address
from secureflow.kit.oserrors import reason_below
from secureflow.kit.pki import SpiffeId, parse_certificate, pin_authority, spiffe_id
from secureflow.kit.plain import hidden
from secureflow.kit.text import Text

TIMEOUT: Final = 30.0
MAX_ANSWER: Final = 1 << 20
_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which the standard library does not name."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def fetch_authority(server: str, fingerprint: str) -> str:
    """Return the authority's PEM if it is the one that the token names.

    Raises:
        SecureFlowError: `insecure_url`, `server_unreachable`, `ca_mismatch`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the fingerprint decides, before anything is sent
    url = checked_url(server)
    status, data, _ = exchange(url, "GET", "/api/v1/ca", b"", context)
    if status != 200:
        raise _unreachable(url, Text("it shows no authority ({status})", status=status))
    return pin_authority(data.decode("ascii", "replace"), fingerprint)


def request_certificate(server: str, authority: str, request: dict[str, JSON]) -> dict[str, JSON]:
    """Send an enrolment to a server with a certificate of the pinned authority.

    Raises:
        SecureFlowError: `server_unreachable` (also for a certificate of another authority), or
            the centre's refusal (details: status).
    """
    return send(server, "/api/v1/enroll", request, pinned_context(authority))


def send(
    server: str,
    path: str,
    request: dict[str, JSON],
    context: ssl.SSLContext,
    timeout: float = TIMEOUT,
) -> dict[str, JSON]:
    """Post a request and return the answer.

    Raises:
        SecureFlowError: `insecure_url`, `server_unreachable`, or the centre's refusal (details:
            status).
    """
    url = checked_url(server)
    status, data, _ = exchange(url, "POST", path, canonical_bytes(request), context, timeout)
    answer = parse_json(data, MAX_ANSWER)
    if not isinstance(answer, dict):
        raise _unreachable(url, "it gives no enrolment")
    if status not in {200, 201}:
        raise SecureFlowError.foreign(
            answer.get("code", "enrolment_refused"),
            answer.get("detail", "The centre refused the enrolment."),
            answer.get("hint", "Ask the operator for a new token."),
            {"status": status},
            answer.get("texts"),
        )
    return answer


def check_health(server: str, authority: str) -> None:
    """Ask a server for its health, over TLS under the pinned authority alone.

    Raises:
        SecureFlowError: `insecure_url`, `server_unreachable`.
    """
    url = checked_url(server)
    status, _, _ = exchange(url, "GET", "/healthz", b"", pinned_context(authority))
    if status != 200:
        raise _unreachable(url, Text("/healthz answers {status}", status=status))


@dataclass(frozen=True)
class IssuedIdentity:
    """The centre's answer to a newcomer, every part checked.

    Args:
        identity: the certificate's, which is the one asked for.
        certificate: PEM of the leaf and the pinned authority, nothing else.
        link: `host:port` of the centre's link.
    """

    identity: SpiffeId
    certificate: str
    link: str


def check_issued(
    answer: dict[str, JSON], authority: str, wanted: tuple[str, str, str]
) -> IssuedIdentity:
    """Check the answer to an enrolment before any of it is stored.

    Args:
        answer: the centre's.
        authority: PEM of the pinned authority.
        wanted: (role, organisation, name) that the certificate must be for.

    Raises:
        SecureFlowError: `invalid_answer`, `invalid_address`, `certificate_malformed`,
            `certificate_foreign`, `spiffe_malformed`.
    """
    certificate, link = answer.get("certificate"), answer.get("link")
    if not isinstance(certificate, str) or not isinstance(link, str):
        raise SecureFlowError(
            "invalid_answer", "The centre's answer to the enrolment is incomplete."
        )
    place = parse_address(link, "The link address in the centre's answer")
    chain = issued_chain(certificate, authority)
    identity = SpiffeId.parse(spiffe_id(parse_certificate(chain)))
    if (identity.role, identity.organisation, identity.name) != wanted:
        role, organisation, name = wanted
        message = Text(
            "The centre's certificate is for {identity}, not for {role} {name}.",
            identity=identity,
            role=role,
            name=name,
        )
        if organisation:
            message = Text(
                "The centre's certificate is for {identity}, not for {role} {name} of"
                " {organisation}.",
                identity=identity,
                role=role,
                name=name,
                organisation=organisation,
            )
        raise SecureFlowError(
            "certificate_foreign",
            message,
            "Tell the operator; the token is used up.",
        )
    return IssuedIdentity(identity, chain, str(place))


def pinned_context(authority: str, *, whenever: bool = False) -> ssl.SSLContext:
    """Return a context that trusts this authority (PEM) alone.

    Args:
        authority: PEM.
        whenever: accept a certificate that is expired or not yet valid by this clock: only good for
            asking what time it is.
    """
    context = ssl.create_default_context(cadata=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if whenever:
        context.verify_flags |= _NO_CHECK_TIME
    return context


def checked_url(server: str) -> SplitResult:
    """Refuse a URL over which the token would be sent in the clear.

    Raises:
        SecureFlowError: `insecure_url`.
    """
    try:
        url = urlsplit("" if hidden(server) else server)
        url.port  # noqa: B018  reading it checks it
    except ValueError:
        url = urlsplit("")
    secure = url.scheme == "https" or (url.scheme == "http" and url.hostname in _LOOPBACK)
    if not secure or not url.hostname:
        raise SecureFlowError(
            "insecure_url",
            Text("{server} is not an https URL.", server=server),
            "The token is a secret: use https (http only on the same machine).",
        )
    return url


def exchange(
    url: SplitResult,
    method: str,
    path: str,
    body: bytes,
    context: ssl.SSLContext,
    timeout: float = TIMEOUT,
) -> tuple[int, bytes, str]:
    """Make one HTTP request; return status, body, and the server's `Date`.

    Raises:
        SecureFlowError: `server_unreachable`.
    """
    host, port = str(url.hostname), url.port
    connection = (
        http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        if url.scheme == "https"
        else http.client.HTTPConnection(host, port, timeout=timeout)
    )
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read(MAX_ANSWER), response.getheader("Date", "")
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, reason_below(error)) from error
    finally:
        connection.close()


def _unreachable(url: SplitResult, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "server_unreachable",
        Text("{host} cannot be reached: {reason}.", host=url.netloc, reason=reason),
        "Check the URL, and whether the server runs with a certificate of its own authority.",
    )
