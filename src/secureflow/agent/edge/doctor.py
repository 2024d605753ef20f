"""`agent doctor`: checks this agent and its connection to the centre, and names the next step.

It works whether or not the agent runs: it reads the same files, dials the same address with the
same certificate, and sends the centre one request (`status`). A check that depends on a failed one
is skipped; charter and attestation are checked in any case. A check that fails unexpectedly, for
example because of damage, is a finding like any other and does not hide the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from secureflow.adapters.datasources import check_library
from secureflow.adapters.link import SERVER_NAME, CredentialFiles, Link, expired
from secureflow.adapters.policy import CedarPolicies
from secureflow.agent.edge.anchorcheck import check_anchors
from secureflow.agent.edge.computing import describe_kernels
from secureflow.agent.edge.diagnosis import PATIENCE, Diagnosis
from secureflow.agent.edge.ownchecks import (
    barred,
    check_alarm,
    check_attestation,
    check_budgets,
    check_charter,
    check_data,
    check_enclave,
    check_engines,
    check_environments,
    check_log,
    check_record,
    check_running,
    check_sandbox,
)
from secureflow.agent.edge.ownidentity import key_places, read_signing_key
from secureflow.agent.edge.peoplecheck import check_people
from secureflow.agent.edge.providercheck import check_providers
from secureflow.agent.edge.recovery import NEXT_STEP
from secureflow.agent.edge.witnesscheck import check_witness
from secureflow.agent.record.room import describe_room
from secureflow.agent.settings import AgentSettings
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import MAX_SKEW, system_clock
from secureflow.kit.enrolclient import check_health
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.hostport import parse_address
from secureflow.kit.keyfiles import not_wrapped
from secureflow.kit.oserrors import failed_at, reason_of
from secureflow.kit.pki import RevocationList, check_leaf
from secureflow.kit.plain import shown
from secureflow.kit.privatefiles import DENIED, read_private
from secureflow.kit.renewal import server_time
from secureflow.kit.text import Text
from secureflow.kit.tlskeys import load_chain
from secureflow.kit.version import __version__

OUT_OF_TIME = frozenset({9, 10})
"""OpenSSL's messages for a certificate that is not yet valid, and for an expired one."""


def examine(
    config: Path, clock: Callable[[], int] = system_clock, kinds: SpecKinds = SPEC_KINDS
) -> Iterator[dict[str, JSON]]:
    """Yield `{check, ok, message, hint, code}` for each check that could be made.

    Args:
        config: the agent's file.
        clock: returns the time.
        kinds: the kinds of job that policies may refer to.
    """
    so_far = Diagnosis(config, clock, kinds)
    failed: set[str] = set()
    for name, needs, look in _CHECKS:
        if failed & needs:
            failed.add(name)  # unknown: checks that depend on it are unknown as well
            continue
        try:
            message = look(so_far)
        except SecureFlowError as error:
            failed |= {name, error.code}
            plain = error.as_json()
            plain.pop("details")
            yield {"check": name, "ok": False, **plain}
        except Exception as error:  # the edge of a check: the others must run all the same
            if os.environ.get("SECUREFLOW_DEBUG"):
                raise
            failed.add(name)
            yield {"check": name, "ok": False, **_unforeseen(error)}
        else:
            yield {"check": name, "ok": True, "code": "", "message": message, "hint": ""}


def _unforeseen(error: Exception) -> dict[str, JSON]:
    """Return what is told of an exception: a file that it names, or where its trace is."""
    if isinstance(error, OSError) and error.filename:
        hint = DENIED if isinstance(error, PermissionError) else "Check the path."
        return {"code": "invalid_file", "message": failed_at(error.filename, error), "hint": hint}
    message = shown(f"{type(error).__name__}: {error}")
    hint = "secureflow agent check names what is damaged; SECUREFLOW_DEBUG=1 shows where."
    return {"code": "internal", "message": message, "hint": hint}


def _settings(so_far: Diagnosis) -> str:
    so_far.settings = AgentSettings.load(so_far.config)
    CedarPolicies.load(so_far.settings.consent.policies, so_far.kinds)
    for dataset in so_far.settings.datasets:
        check_library(dataset)
        path = Path(dataset.path)
        if not (path.is_dir() if dataset.is_folder else path.is_file()):
            raise _missing_data(dataset)
    place = parse_address(so_far.settings.link, "link")
    so_far.host, so_far.port = place.host, place.port
    return Text(
        "{config}: {count} {count:dataset|datasets}",
        config=so_far.config,
        count=len(so_far.settings.datasets),
    )


def _missing_data(dataset: DatasetConfig) -> SecureFlowError:
    missing = (
        Text(
            "The folder of dataset {name} does not exist: {path}.",
            name=dataset.name,
            path=dataset.path,
        )
        if dataset.is_folder
        else Text(
            "The file of dataset {name} does not exist: {path}.",
            name=dataset.name,
            path=dataset.path,
        )
    )
    return SecureFlowError("missing_data", missing, "Correct its path in agent.yaml.")


def _keys(so_far: Diagnosis) -> str:
    key = read_signing_key(so_far.known)
    with contextlib.suppress(OSError):  # the check `certificate` reports it
        read_private(so_far.known.link_certificate)
    if not_wrapped(key_places(so_far.known)):
        return Text(
            "signing key {public}; not wrapped: whoever copies the folder has it. Wrap the keys: "
            "secureflow keys wrap --config {config} --wrapping-key FILE",
            public=key.public,
            config=so_far.config,
        )
    return Text("signing key {public}, wrapped", public=key.public)


def _name(so_far: Diagnosis) -> str:
    try:
        found = socket.getaddrinfo(so_far.host, so_far.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SecureFlowError(
            "unavailable",
            Text(
                "{host} has no address: {strerror}.",
                host=so_far.host,
                strerror=reason_of(error),
            ),
            "Check `link` in agent.yaml, the DNS server and the VPN.",
        ) from error
    return f"{so_far.host} → {found[0][4][0]}"


def _connection(so_far: Diagnosis) -> str:
    began = time.monotonic()
    try:
        with socket.create_connection((so_far.host, so_far.port), PATIENCE):
            took = time.monotonic() - began
            so_far.turn = max(so_far.turn, took)
    except OSError as error:
        raise SecureFlowError(
            "unavailable",
            Text(
                "Port {port} of {host} does not answer: {strerror}.",
                port=so_far.port,
                host=so_far.host,
                strerror=reason_of(error),
            ),
            "Ask whether the server runs, and whether a firewall lets this machine dial out.",
        ) from error
    return Text(
        "port {port} answers in {milliseconds} ms",
        port=so_far.port,
        milliseconds=round(took * 1000),
    )


def _show_own(so_far: Diagnosis, context: ssl.SSLContext) -> None:
    """Give the context the agent's link credentials, wrapped or not."""
    try:
        own = _credentials(so_far)()
    except SecureFlowError as error:
        raise _not_enrolled(so_far) if error.code == "not_enrolled" else error from error
    load_chain(context, own.key + own.certificate)


def _tls(so_far: Diagnosis) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(so_far.known.authority)
        _show_own(so_far, context)
        began = time.monotonic()
        with (
            socket.create_connection((so_far.host, so_far.port), PATIENCE) as raw,
            context.wrap_socket(raw, server_hostname=SERVER_NAME) as wrapped,
        ):
            so_far.turn = max(so_far.turn, (time.monotonic() - began) / 2)  # TCP's turn, TLS's
            until = (wrapped.getpeercert() or {}).get("notAfter", "?")
            return Text(
                "{version}, the server's certificate is valid until {until}",
                version=wrapped.version(),
                until=until,
            )
    except FileNotFoundError as error:
        raise _not_enrolled(so_far) from error
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in OUT_OF_TIME:
            raise SecureFlowError(
                "certificate_not_valid_now",
                Text(
                    "By this machine's clock the server's certificate is not valid: {reason}.",
                    reason=error.verify_message,
                ),
                "One of the two clocks is wrong (see the check `clock`): set it (NTP). If they "
                "agree, the operator restarts the server, which renews its certificate.",
            ) from error
        raise SecureFlowError(
            "server_untrusted",
            Text(
                "The server's certificate is refused: {reason}.",
                reason=error.verify_message,
            ),
            "It was not issued by the authority that the enrolment token names. A proxy that "
            "inspects TLS must let this address through; otherwise tell the operator.",
        ) from error
    except OSError as error:
        raise SecureFlowError(
            "unavailable",
            Text("TLS fails: {error}.", error=reason_of(error)),
            "Is it the link's port (gRPC), and is there no proxy in between?",
        ) from error


def _credentials(so_far: Diagnosis) -> CredentialFiles:
    return CredentialFiles(so_far.known.directory, so_far.known.key_files)


def _certificate(so_far: Diagnosis) -> str:
    try:
        credentials = _credentials(so_far)()
    except SecureFlowError as error:
        if error.code == "not_enrolled":
            raise _not_enrolled(so_far) from error
        raise
    leaf = credentials.leaf
    try:
        identity = check_leaf(leaf, so_far.known.trust_domain, so_far.clock(), RevocationList())
    except SecureFlowError as error:
        if error.code != "certificate_not_valid_now":
            raise
        raise _out_of_time(so_far) from error
    if identity.organisation != so_far.known.organisation:
        raise SecureFlowError(
            "certificate_foreign",
            Text(
                "The link certificate is for {organisation}, but agent.yaml names "
                "{known_organisation}.",
                organisation=identity.organisation,
                known_organisation=so_far.known.organisation,
            ),
            "Correct `organisation`, or enrol with a token for it.",
        )
    until = f"{leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    return Text("{identity} until {until}", identity=identity, until=until)


def _out_of_time(so_far: Diagnosis) -> SecureFlowError:
    """Return why the own certificate is not valid now: often a clock, which no renewal mends."""
    files = _credentials(so_far)
    if (refusal := barred(so_far)) is not None:
        return refusal
    start, end = files().span
    centre_time = server_time(so_far.known.server, files.authority())
    step: str = NEXT_STEP
    if centre_time is not None and start <= centre_time <= end:
        step = Text(
            "By the centre's clock it is valid, and the two differ by {skew} s: set the one that "
            "is wrong (NTP). Nothing needs to be renewed or restarted.",
            skew=centre_time - so_far.clock(),
        )
    return expired(files, so_far.clock(), step)


def _server(so_far: Diagnosis) -> str:
    """Request the health of the REST address; people and a new enrolment need it."""
    authority = _credentials(so_far).authority()
    so_far.time = server_time(so_far.known.server, authority)
    check_health(so_far.known.server, authority)
    return Text("{server} is healthy", server=so_far.known.server)


def _authorisation(so_far: Diagnosis) -> str:
    """Ask the centre to identify this agent; a revoked agent learns it here."""
    try:
        so_far.status = asyncio.run(_ask(so_far, "status"))
    except SecureFlowError as error:
        start, end = _credentials(so_far)().span
        if error.code == "link_broken" and so_far.time and not start <= so_far.time <= end:
            raise SecureFlowError(
                "certificate_not_valid_now",
                "By the centre's clock this agent's link certificate is not valid, so its link "
                "is refused.",
                "A running agent (secureflow agent start) renews it by itself within a minute; "
                "set the clock that is wrong (see the check `clock`).",
            ) from error
        raise
    party = so_far.status.get("party")
    if party != so_far.known.organisation:
        raise SecureFlowError(
            "forbidden",
            Text("The centre identifies this agent as {party}.", party=party),
            "Ask the operator which organisation the agent was enrolled for.",
        )
    return Text("the centre knows this agent as {party}", party=party)


async def _ask(so_far: Diagnosis, kind: str) -> dict[str, JSON]:
    settings = so_far.known
    files = CredentialFiles(settings.directory, settings.key_files)
    link = Link(settings.link, files, dict, _no_request, clock=system_clock)
    try:
        async with asyncio.timeout(so_far.patience):
            answer = await link.call(kind, {})
    except TimeoutError as error:
        hint = "Check the server's log."
        raise SecureFlowError("unavailable", "The centre does not answer.", hint) from error
    finally:
        await link.close()
    return answer if isinstance(answer, dict) else {}


async def _no_request(verb: str, body: JSON, log_proofs: JSON) -> JSON:
    del body, log_proofs
    raise SecureFlowError("unknown_verb", Text("The doctor does not answer {verb}.", verb=verb))


def _renewals(so_far: Diagnosis) -> str:
    """Check whether the centre renewed this agent's certificate for a key not made here."""
    try:
        renewals = asyncio.run(_ask(so_far, "certificate.list")).get("renewed", [])
    except SecureFlowError as error:
        if error.code == "unknown_kind":
            return "the centre does not report them"
        raise
    listed = renewals if isinstance(renewals, list) else []
    renewed = [one for one in listed if isinstance(one, dict)]
    foreign = _credentials(so_far).foreign(renewed)
    if foreign:
        last = ", ".join(f"{one.get('serial')} ({_day(one.get('at'))})" for one in foreign[-5:])
        raise SecureFlowError(
            "renewal_foreign",
            Text(
                "The centre renewed this agent's certificate {count} times for keys that "
                "were not made here: {last}.",
                count=len(foreign),
                last=last,
            ),
            "Did this folder come from a backup, or does a copy of it run elsewhere? If not, "
            "somebody else holds signing.key or link.pem: have the agent revoked (secureflow party "
            "revoke) and enrol a new one with a fresh key.",
            {"serials": [str(one.get("serial")) for one in foreign]},
        )
    return Text("{count} renewals on record, all requested here", count=len(renewed))


def _day(at: JSON) -> str:
    known = type(at) is int and 0 <= at < 1 << 36  # a year that exists
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC" if known else "?"


def _clock(so_far: Diagnosis) -> str:
    centre_time = so_far.status.get("time", so_far.time)
    if type(centre_time) is not int:
        return "not compared: the centre reports no time"
    skew = centre_time - so_far.clock()
    if abs(skew) > MAX_SKEW:
        raise SecureFlowError(
            "clock_skew",
            Text("This clock and the centre's differ by {skew} s.", skew=skew),
            "Set the clock (NTP): certificates, verdicts and approvals depend on it.",
        )
    return Text("differs by {skew} s", skew=skew)


def _version(so_far: Diagnosis) -> str:
    theirs = str(so_far.answered().get("version", ""))
    if theirs.split(".", maxsplit=1)[0] != __version__.split(".")[0]:
        raise SecureFlowError(
            "version_mismatch",
            Text(
                "The centre is {theirs}, this agent is {version}.",
                theirs=theirs or "unknown",
                version=__version__,
            ),
            "Install the centre's major version.",
        )
    return f"{theirs} / {__version__}"


_Check = tuple[str, frozenset[str], Callable[[Diagnosis], str]]
_UNREAD = ("record_missing", "record_damaged", "store_unreadable")
_CHECKS: tuple[_Check, ...] = (
    ("settings", frozenset(), _settings),
    ("keys", frozenset({"settings"}), _keys),
    ("name", frozenset({"settings"}), _name),
    ("connection", frozenset({"name"}), _connection),
    ("certificate", frozenset({"settings", "keys"}), _certificate),
    ("TLS", frozenset({"connection", "keys", "certificate_malformed"}), _tls),
    ("server", frozenset({"settings", "keys"}), _server),
    ("authorisation", frozenset({"TLS", "certificate"}), _authorisation),
    ("renewals", frozenset({"authorisation"}), _renewals),
    ("clock", frozenset({"settings"}), _clock),
    ("version", frozenset({"authorisation"}), _version),
    ("record", frozenset({"settings"}), check_record),
    ("charter", frozenset({"settings", "keys", "record_missing"}), check_charter),
    ("log", frozenset({"authorisation", "record_missing"}), check_log),
    ("attestation", frozenset({"settings"}), check_attestation),
    ("enclave", frozenset({"authorisation", "attestation"}), check_enclave),
    ("running", frozenset({"settings"}), check_running),
    ("data", frozenset({"settings", "record_missing"}), check_data),
    (
        "budgets",
        frozenset({"settings", "record_missing", "record_damaged", "store_unreadable"}),
        check_budgets,
    ),
    ("environments", frozenset({"settings"}), check_environments),
    ("engines", frozenset({"settings"}), check_engines),
    ("disk", frozenset({"settings"}), lambda so_far: describe_room(so_far.known)),
    ("sandbox", frozenset({"settings"}), check_sandbox),
    ("kernels", frozenset({"settings"}), lambda so_far: describe_kernels(so_far.known)),
    ("alarm", frozenset({"settings", "record_missing"}), check_alarm),
    ("people", frozenset({"settings", "record", "record_missing"}), check_people),
    ("providers", frozenset({"settings"}), check_providers),
    ("anchors", frozenset({"settings"}), check_anchors),
    ("witness", frozenset({"settings"}), check_witness),
)
"""A check's name, the checks (or error codes) that must not have failed, and the function."""


def _not_enrolled(so_far: Diagnosis) -> SecureFlowError:
    return SecureFlowError(
        "not_enrolled",
        Text("{directory} holds no link certificate.", directory=so_far.known.directory),
        "Enrol first: secureflow agent enroll DIR --token-file FILE --server URL.",
    )
