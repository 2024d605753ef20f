"""`secureflow doctor`: check the connection to the server, up to the first failed check."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from secureflow.cli.anchorline import anchors_line
from secureflow.cli.console import Form, Output, moment, show, write
from secureflow.cli.session import profile
from secureflow.cli.texts import explained, language, listed, part_of, said, t, untranslated
from secureflow.domain.clocks import wrong_clocks
from secureflow.domain.replacedlinks import often_replaced
from secureflow.kit.clock import MAX_SKEW
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import reason_below, reason_of
from secureflow.kit.plain import shown
from secureflow.kit.version import __version__

if TYPE_CHECKING:
    import httpx

    from secureflow.sdk import Profile

_NAME_WIDTH = 14
"""Width of the names of checks."""
_THINGS: Final = {"rows": "row", "leaves": "leaf"}
"""Checks whose names are also column titles, where the Chinese means numbers."""
OUT_OF_TIME = frozenset({9, 10})
"""OpenSSL's messages for a certificate that is not valid yet, and for an expired one."""
PATIENCE = 10.0
"""Time limit of one check, in seconds."""


@dataclass
class Diagnosis:
    """Results of earlier checks, for later ones."""

    known: Profile
    host: str = ""
    port: int = 0
    address: tuple[Any, ...] = ()
    family: int = 0
    health: httpx.Response | None = None


def doctor(output: Output = Form.TABLE) -> None:
    """Make every check; the exit code is that of the first failure."""
    known = profile()
    if output is Form.TABLE:
        report(examine(known), output)
        return
    with untranslated(programs=True):
        found = list(examine(known))
    report(found, output)


def report(findings: Iterable[dict[str, Any]], output: Form) -> None:
    """Print findings `{check, ok, message, hint, code?}`: for people each as it comes.

    Raises:
        SecureFlowError: the first failed check's.
    """
    from rich.cells import cell_len

    found = []
    for one in findings:
        found.append(one)
        if output is Form.TABLE:
            mark = "✓" if one["ok"] else "✗"
            name = _named(one["check"])
            space = " " * (_NAME_WIDTH - cell_len(name))
            write(f"{mark} {name}{space} {said(part_of(one, 'message'))}")
    if output is not Form.TABLE:
        show(found, output)
    bad = next((one for one in found if not one["ok"]), None)
    if bad is not None:
        code = str(bad.get("code") or "unavailable")
        told = explained(code, part_of(bad, "message"))
        message = t("{check}: {told}", check=_named(bad["check"]), told=told)
        raise SecureFlowError(code, message, said(part_of(bad, "hint")))


def _named(check: str) -> str:
    return t(_THINGS.get(check, check)) if language() == "zh" else check


def examine(known: Profile) -> Iterator[dict[str, Any]]:
    """Yield one finding per check; the first failure is the last finding."""
    so_far = Diagnosis(known)
    checks: tuple[tuple[str, Callable[[Diagnosis], str]], ...] = (
        ("profile", _profile),
        ("name", _name),
        ("connection", _connection),
        ("TLS", _tls),
        ("server", _server),
        ("clock", _clock),
        ("version", _version),
        ("login", _login),
        ("readiness", _readiness),
        ("restore", _restored),
        ("parties", _parties),
        ("anchors", anchors_line),
    )
    for name, look in checks:
        try:
            message = look(so_far)
        except SecureFlowError as error:
            yield {"check": name, "ok": False, **error.as_json()}
            return
        yield {"check": name, "ok": True, "code": "", "message": message, "hint": ""}


def _profile(so_far: Diagnosis) -> str:
    parts = urlsplit(so_far.known.url)
    if not parts.hostname:
        raise SecureFlowError("invalid_profile", t("No server is named."), "secureflow login URL")
    so_far.host, so_far.port = (
        parts.hostname,
        parts.port or (443 if parts.scheme == "https" else 80),
    )
    return so_far.known.url


def _name(so_far: Diagnosis) -> str:
    try:
        found = socket.getaddrinfo(so_far.host, so_far.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SecureFlowError(
            "unavailable",
            t(
                "{host} has no address: {reason}.",
                host=so_far.host,
                reason=said(reason_of(error)),
            ),
            t("Check the name, the DNS server and the VPN."),
        ) from error
    so_far.family, *_, so_far.address = found[0]
    return f"{so_far.host} → {so_far.address[0]}"


def _connection(so_far: Diagnosis) -> str:
    try:
        began = time.monotonic()
        with socket.create_connection(so_far.address[:2], PATIENCE):
            took = time.monotonic() - began
    except OSError as error:
        reason = said(reason_of(error))
        raise SecureFlowError(
            "unavailable",
            t("Port {port} does not answer: {reason}.", port=so_far.port, reason=reason),
            t("Ask whether the server runs and whether a firewall is in between."),
        ) from error
    return t("port {port} answers in {ms} ms", port=so_far.port, ms=round(took * 1000))


def _tls(so_far: Diagnosis) -> str:
    if so_far.known.url.startswith("http://"):
        return t("none: plain http on the loopback interface")
    from secureflow.sdk.connection import trust

    context = trust(so_far.known.ca or None)
    if isinstance(context, bool):
        context = ssl.create_default_context()
    try:
        with (
            socket.create_connection(so_far.address[:2], PATIENCE) as raw,
            context.wrap_socket(raw, server_hostname=so_far.host) as wrapped,
        ):
            ends = str((wrapped.getpeercert() or {}).get("notAfter", ""))
            until = moment(ssl.cert_time_to_seconds(ends)) if ends else "?"
            return t("{version}, until {until}", version=wrapped.version(), until=until)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in OUT_OF_TIME:
            raise SecureFlowError(
                "certificate_not_valid_now",
                t(
                    "By this machine's clock the server's certificate is not valid: {reason}.",
                    reason=error.verify_message,
                ),
                t("Set this machine's clock (NTP); if it is right, tell the operator."),
            ) from error
        raise SecureFlowError(
            "server_untrusted",
            t("The certificate is refused: {reason}.", reason=error.verify_message),
            t("Give the CA file of this server: secureflow login URL --ca FILE."),
        ) from error
    except OSError as error:
        raise SecureFlowError(
            "unavailable",
            t("TLS fails: {reason}.", reason=said(reason_of(error))),
            t("Is it an https port, and is there no proxy that inspects TLS?"),
        ) from error


def _server(so_far: Diagnosis) -> str:
    import httpx

    from secureflow.sdk.connection import trust

    try:
        verify = trust(so_far.known.ca or None)
        so_far.health = httpx.get(so_far.known.url + "/healthz", verify=verify, timeout=PATIENCE)
    except httpx.TransportError as error:
        raise SecureFlowError(
            "unavailable", reason_below(error), t("Is it a SecureFlow server?")
        ) from error
    if not so_far.health.is_success:
        raise SecureFlowError(
            "unavailable",
            t("/healthz answers {status}.", status=so_far.health.status_code),
            t("Is it a SecureFlow server?"),
        )
    return t("healthy")


def _clock(so_far: Diagnosis) -> str:
    stamp = so_far.health.headers.get("Date", "") if so_far.health else ""
    try:
        skew = parsedate_to_datetime(stamp).timestamp() - time.time()
    except ValueError:
        return t("the server gives no time")
    if abs(skew) > MAX_SKEW:
        raise SecureFlowError(
            "clock_skew",
            t("This clock and the server's differ by {seconds} s.", seconds=round(skew)),
            t("Set the clock (NTP); certificates and approvals depend on it."),
        )
    return t("differs by {seconds} s", seconds=round(skew))


def _version(so_far: Diagnosis) -> str:
    try:
        theirs = str(so_far.health.json().get("version", "")) if so_far.health else ""
    except (ValueError, AttributeError):
        theirs = ""
    if theirs and theirs.split(".")[0] != __version__.split(".")[0]:
        raise SecureFlowError(
            "version_mismatch",
            t("The server is {theirs}, this is {ours}.", theirs=theirs, ours=__version__),
            t("Install the server's version."),
        )
    return f"{theirs or '?'} / {__version__}"


def _login(so_far: Diagnosis) -> str:
    from secureflow.sdk import Client

    if not so_far.known.token:
        raise SecureFlowError(
            "unauthenticated", t("You are not logged in."), "secureflow login URL"
        )
    with Client.from_profile(so_far.known) as connection:
        me = connection.me()
    return f"{me.name} {me.organisation} ({listed(map(t, me.roles))})"


def _readiness(so_far: Diagnosis) -> str:
    """Check which parts of the server work, and whether its log or record was replaced."""
    import httpx

    from secureflow.sdk.connection import trust

    try:
        verify = trust(so_far.known.ca or None)
        answer = httpx.get(so_far.known.url + "/readyz", verify=verify, timeout=PATIENCE)
        parts = answer.json()
    except (httpx.TransportError, ValueError) as error:
        raise SecureFlowError("unavailable", reason_below(error), t("Try again.")) from error
    named = parts.values() if isinstance(parts, dict) else ()
    body = next((part for part in named if isinstance(part, dict)), None)
    if body is not None:
        raise SecureFlowError.foreign(
            *(body.get(name) for name in ("code", "message", "hint", "details", "texts"))
        )
    if answer.is_success:
        return t("the server is ready")
    if not isinstance(parts, dict) or answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
        return t("the server does not say")
    bad = listed(shown(str(name)) for name, works in parts.items() if works is False)
    raise SecureFlowError(
        "unavailable",
        t("Parts of the server do not work: {parts}.", parts=bad or "?"),
        t("The operator finds the reason in the server's log."),
    )


def _restored(so_far: Diagnosis) -> str:
    """Report what a restored centre has forgotten, to those who can repeat it."""
    from secureflow.sdk import Client

    with Client.from_profile(so_far.known) as connection:
        times = connection.audit.head().get("restored")
    if not isinstance(times, dict):
        return t("never")
    return t(
        "on {at}, from a backup of {taken}: what was revoked, disabled or withdrawn "
        "in between is valid again until someone repeats it",
        at=moment(times.get("restored_at")),
        taken=moment(times.get("taken_at")),
    )


def _parties(so_far: Diagnosis) -> str:
    """Compare the connected parties' clocks with the server's, and look for unsteady links."""
    from secureflow.sdk import Client

    with Client.from_profile(so_far.known) as connection:
        every = list(connection.agents.links())
    links = [link for link in every if link.connected]
    wrong = wrong_clocks({link.party: link.clock_ahead for link in links})
    if wrong is not None:
        raise wrong
    twins = often_replaced({link.party: link.replaced for link in every})
    if twins is not None:
        raise twins
    if elsewhere := {link.party: link.server for link in every if link.server}:
        raise SecureFlowError(
            "links_elsewhere",
            t(
                "These have no link to this server, but to another one of the same database: "
                "{parties}.",
                parties=listed(f"{shown(one)} ({shown(at)})" for one, at in elsewhere.items()),
            ),
            t("A job waits for them here: submit it at the server that they are connected to."),
        )
    return t(
        "{count} {count:process is|processes are} connected, and "
        "{count:its clock agrees|their clocks agree} with the centre's",
        count=len(links),
    )
