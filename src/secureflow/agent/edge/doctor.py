"""`agent doctor`: checks this agent and its connection to the centre, and names the next step.

It works whether or not the agent runs: it reads the same files, dials the same address with the
same certificate, and asks the centre one question (`status`). A check that needs an earlier one is
skipped when that failed; charter and attestation are checked in any case. A check that breaks, by
whatever is damaged here, is a finding like any other: it hides none of the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from secureflow.adapters.link import SERVER_NAME, CredentialFiles, Link, expired
from secureflow.adapters.policy import CedarPolicies
from secureflow.agent.edge.check import check_record, stored_fact
from secureflow.agent.edge.control import call
from secureflow.agent.edge.main import read_signing_key, verifier
from secureflow.agent.edge.recovery import NEXT_STEP
from secureflow.agent.owner.publications import Publication, differs
from secureflow.agent.record.folder import check_present
from secureflow.agent.record.ownkeys import HOW_TO_PIN
from secureflow.agent.record.room import room_left
from secureflow.agent.settings import AgentSettings
from secureflow.agent.verbs.attestation import appraisal_policy
from secureflow.agent.witness.continuing import ACCUSED
from secureflow.agent.witness.headwatch import describe_log
from secureflow.domain.charter import SignedCharter
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import MAX_SKEW, system_clock
from secureflow.kit.enrolclient import check_health
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.hostport import parse_address
from secureflow.kit.measurement import code_measurement
from secureflow.kit.pki import RevocationList, check_leaf
from secureflow.kit.plain import shown
from secureflow.kit.private import read_private
from secureflow.kit.renewal import server_time
from secureflow.kit.version import __version__

OUT_OF_TIME = frozenset({9, 10})
"""OpenSSL's words for a certificate that does not hold yet, and for one that has run out."""
PATIENCE = 10.0
"""Seconds that one check may take."""


@dataclass
class Diagnosis:
    """What earlier checks found, for later ones."""

    config: Path
    clock: Callable[[], int] = system_clock
    settings: AgentSettings | None = None
    host: str = ""
    port: int = 0
    status: dict[str, JSON] = field(default_factory=dict)
    time: int | None = None
    """What time it is at the server's REST address: known even where the link lets nobody in."""

    @property
    def known(self) -> AgentSettings:
        """The settings; only checks after `settings` ask."""
        if self.settings is None:
            raise SecureFlowError("invalid_settings", "There are no settings.")
        return self.settings

    def answered(self) -> dict[str, JSON]:
        """The centre's answer; only checks after `authorisation` ask."""
        return self.status


def examine(config: Path, clock: Callable[[], int] = system_clock) -> Iterator[dict[str, JSON]]:
    """Yield `{check, ok, message, hint, code}` for each check that could be made."""
    so_far = Diagnosis(config, clock)
    failed: set[str] = set()
    for name, needs, look in _CHECKS:
        if failed & needs:
            failed.add(name)  # unknown: whoever needs it is unknown as well
            continue
        try:
            message = look(so_far)
        except SecureFlowError as error:
            failed |= {name, error.code}
            plain = error.as_json()
            plain.pop("details")
            yield {"check": name, "ok": False, **plain}
        except Exception as error:  # the edge of a check: the others must be told all the same
            if os.environ.get("SECUREFLOW_DEBUG"):
                raise
            failed.add(name)
            message = shown(f"{type(error).__name__}: {error}")
            hint = "secureflow agent check names what is damaged; SECUREFLOW_DEBUG=1 shows where."
            told = {"code": "internal", "message": message, "hint": hint}
            yield {"check": name, "ok": False, **told}
        else:
            yield {"check": name, "ok": True, "code": "", "message": message, "hint": ""}


def _settings(so_far: Diagnosis) -> str:
    so_far.settings = AgentSettings.load(so_far.config)
    CedarPolicies.load(so_far.settings.consent.policies)
    for dataset in so_far.settings.datasets:
        if not Path(dataset.path).is_file():
            raise SecureFlowError(
                "missing_data",
                f"The file of dataset {dataset.name} does not exist: {dataset.path}.",
                "Correct its path in agent.yaml.",
            )
    place = parse_address(so_far.settings.link, "link")
    so_far.host, so_far.port = place.host, place.port
    return f"{so_far.config}: {len(so_far.settings.datasets)} datasets"


def _keys(so_far: Diagnosis) -> str:
    key = read_signing_key(so_far.known)
    with contextlib.suppress(FileNotFoundError):  # the check `certificate` says so
        read_private(so_far.known.link_certificate)
    return f"signing key {key.public}"


def _name(so_far: Diagnosis) -> str:
    try:
        found = socket.getaddrinfo(so_far.host, so_far.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SecureFlowError(
            "unavailable",
            f"{so_far.host} has no address: {error.strerror or error}.",
            "Check `link` in agent.yaml, the DNS server and the VPN.",
        ) from error
    return f"{so_far.host} → {found[0][4][0]}"


def _connection(so_far: Diagnosis) -> str:
    began = time.monotonic()
    try:
        with socket.create_connection((so_far.host, so_far.port), PATIENCE):
            took = time.monotonic() - began
    except OSError as error:
        raise SecureFlowError(
            "unavailable",
            f"Port {so_far.port} of {so_far.host} does not answer: {error.strerror or error}.",
            "Ask whether the server runs, and whether a firewall lets this machine dial out.",
        ) from error
    return f"port {so_far.port} answers in {round(took * 1000)} ms"


def _tls(so_far: Diagnosis) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(so_far.known.authority)
        context.load_cert_chain(so_far.known.link_certificate)
        with (
            socket.create_connection((so_far.host, so_far.port), PATIENCE) as raw,
            context.wrap_socket(raw, server_hostname=SERVER_NAME) as wrapped,
        ):
            until = (wrapped.getpeercert() or {}).get("notAfter", "?")
            return f"{wrapped.version()}, the server's certificate holds until {until}"
    except FileNotFoundError as error:
        raise _not_enrolled(so_far) from error
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in OUT_OF_TIME:
            raise SecureFlowError(
                "certificate_not_valid_now",
                "By this machine's clock the server's certificate is not valid: "
                f"{error.verify_message}.",
                "One of the two clocks is wrong (see the check `clock`): set it (NTP). If they "
                "agree, the operator restarts the server, which renews its certificate.",
            ) from error
        raise SecureFlowError(
            "server_untrusted",
            f"The server's certificate is refused: {error.verify_message}.",
            "It was not issued by the authority that the enrolment token names. A proxy that "
            "inspects TLS must let this address through; otherwise tell the operator.",
        ) from error
    except OSError as error:
        raise SecureFlowError(
            "unavailable",
            f"TLS fails: {error}.",
            "Is it the link's port (gRPC), and is there no proxy in between?",
        ) from error


def _certificate(so_far: Diagnosis) -> str:
    try:
        credentials = CredentialFiles(so_far.known.directory)()
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
        raise expired(CredentialFiles(so_far.known.directory), so_far.clock(), NEXT_STEP) from error
    if identity.organisation != so_far.known.organisation:
        raise SecureFlowError(
            "certificate_foreign",
            f"The link certificate is for {identity.organisation}, agent.yaml says "
            f"{so_far.known.organisation}.",
            "Correct `organisation`, or enrol with a token for it.",
        )
    return f"{identity} until {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"


def _server(so_far: Diagnosis) -> str:
    """Ask the REST address for its health; people and a new enrolment need it."""
    authority = CredentialFiles(so_far.known.directory).authority()
    so_far.time = server_time(so_far.known.server, authority)
    check_health(so_far.known.server, authority)
    return f"{so_far.known.server} is healthy"


def _authorisation(so_far: Diagnosis) -> str:
    """Ask the centre who it takes this agent for; a revoked agent learns it here."""
    try:
        so_far.status = asyncio.run(_ask(so_far.known, "status"))
    except SecureFlowError as error:
        start, end = CredentialFiles(so_far.known.directory)().span
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
            f"The centre identifies this agent as {party}.",
            "Ask the operator which organisation the agent was enrolled for.",
        )
    return f"the centre knows this agent as {party}"


async def _ask(settings: AgentSettings, kind: str) -> dict[str, JSON]:
    link = Link(
        settings.link, CredentialFiles(settings.directory), dict, _no_request, clock=system_clock
    )
    try:
        answer = await asyncio.wait_for(link.call(kind, {}), PATIENCE)
    except TimeoutError as error:
        hint = "Look at the server's log."
        raise SecureFlowError("unavailable", "The centre does not answer.", hint) from error
    finally:
        await link.close()
    return answer if isinstance(answer, dict) else {}


async def _no_request(verb: str, body: JSON, log_proofs: JSON) -> JSON:
    del body, log_proofs
    raise SecureFlowError("unknown_verb", f"The doctor does not answer {verb}.")


def _renewals(so_far: Diagnosis) -> str:
    """Look whether the centre renewed this agent's certificate for a key that is not from here."""
    try:
        renewals = asyncio.run(_ask(so_far.known, "certificate.list")).get("renewed", [])
    except SecureFlowError as error:
        if error.code == "unknown_kind":
            return "the centre does not report them"
        raise
    listed = renewals if isinstance(renewals, list) else []
    renewed = [one for one in listed if isinstance(one, dict)]
    foreign = CredentialFiles(so_far.known.directory).foreign(renewed)
    if foreign:
        last = ", ".join(f"{one.get('serial')} ({_day(one.get('at'))})" for one in foreign[-5:])
        raise SecureFlowError(
            "renewal_foreign",
            f"The centre renewed this agent's certificate {len(foreign)} times for keys that were "
            f"not made here: {last}.",
            "Did this folder come from a backup, or does a copy of it run elsewhere? If not, "
            "somebody else holds signing.key or link.pem: have the agent revoked (secureflow party "
            "revoke) and enrol a new one with a fresh key.",
            {"serials": [str(one.get("serial")) for one in foreign]},
        )
    return f"{len(renewed)} renewals on record, all requested here"


def _day(at: JSON) -> str:
    known = type(at) is int and 0 <= at < 1 << 36  # a year that there is
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC" if known else "?"


def _clock(so_far: Diagnosis) -> str:
    centre_time = so_far.status.get("time", so_far.time)
    if type(centre_time) is not int:
        return "not compared: the centre gives no time"
    skew = centre_time - so_far.clock()
    if abs(skew) > MAX_SKEW:
        raise SecureFlowError(
            "clock_skew",
            f"This clock and the centre's differ by {skew} s.",
            "Set the clock (NTP): certificates, verdicts and approvals depend on it.",
        )
    return f"differs by {skew} s"


def _version(so_far: Diagnosis) -> str:
    theirs = str(so_far.answered().get("version", ""))
    if theirs.split(".", maxsplit=1)[0] != __version__.split(".")[0]:
        raise SecureFlowError(
            "version_mismatch",
            f"The centre is {theirs or 'unknown'}, this agent is {__version__}.",
            "Install the centre's major version.",
        )
    return f"{theirs} / {__version__}"


def _charter(so_far: Diagnosis) -> str:
    kept = stored_fact(so_far.known.record, "charter")
    if kept is None:
        raise SecureFlowError(
            "charter_not_pinned",
            "No charter is pinned: this agent knows no other member.",
            HOW_TO_PIN,
        )
    charter = SignedCharter.from_json(kept).charter
    ours = [one.key for one in charter.members if one.organisation == so_far.known.organisation]
    if ours != [read_signing_key(so_far.known).public]:
        raise SecureFlowError(
            "charter_mismatch",
            "The pinned charter does not name this agent's signing key for "
            f"{so_far.known.organisation}: nobody would accept its signatures.",
            "Restore the key from its backup, or agree on a new charter with the current key.",
        )
    theirs = so_far.status.get("charter")
    if theirs and theirs != charter.digest:
        raise SecureFlowError(
            "charter_mismatch",
            f"The centre uses charter {str(theirs)[:64]}; the pinned one is {charter.digest}.",
            "See the differences: secureflow agent charter show. Pin the newer version if enough "
            "members signed it.",
        )
    log = so_far.status.get("log") or {}
    if log and (log.get("origin"), log.get("key")) != (charter.origin, charter.log_key):
        raise SecureFlowError(
            "ledger_wrong_log",
            "The centre keeps a different log from the one that the charter names.",
            "Do not continue: compare the charter's log key with the other members.",
        )
    return f"version {charter.version} with {len(charter.members)} members, {charter.digest}"


def _log(so_far: Diagnosis) -> str:
    kept = stored_fact(so_far.known.record, "head") or {}
    return describe_log(so_far.answered().get("log") or {}, kept)


def _attestation(so_far: Diagnosis) -> str:
    policy = appraisal_policy(so_far.known.attestation, code_measurement)
    verifier(so_far.known)
    references = (f"a reference of {one.tee}" for one in policy.references)
    listed = ", ".join((*policy.measurements, *references))
    if not listed:
        raise SecureFlowError(
            "invalid_settings",
            "attestation names neither measurements nor references: every enclave is refused.",
            "List the reviewed code's measurement, or `installed`, or a reference of its hardware.",
        )
    if policy.allow_simulated:
        return f"SIMULATED enclaves are accepted: they protect nothing. Code {listed}"
    return f"hardware only, code {listed}"


def _enclave(so_far: Diagnosis) -> str:
    """Compare what the centre's enclave says of itself with what this agent would accept."""
    enclave = so_far.answered().get("enclave") or {}
    if not enclave.get("connected"):
        return "none is connected: jobs with sealed updates must wait"
    policy = appraisal_policy(so_far.known.attestation, code_measurement)
    simulated, code = enclave.get("tee") == "SIMULATED", str(enclave.get("measurement", ""))
    if simulated and not policy.allow_simulated:
        raise SecureFlowError(
            "evidence_not_acceptable",
            "The centre's enclave is SIMULATED, and this agent accepts none that is.",
            "Ask the operator for real hardware. For a rehearsal only: attestation.allow_simulated "
            "and its root in agent.yaml.",
        )
    if code not in policy.measurements:
        raise SecureFlowError(
            "evidence_not_acceptable",
            f"The centre's enclave runs code {code}, which attestation.measurements does not list.",
            "Install the release that the enclave runs, or list its measurement once reviewed.",
        )
    if simulated:
        return f"it says that it runs accepted code {code} in a SIMULATED TEE: no protection"
    return f"it says that it runs accepted code {code}"


def _running(so_far: Diagnosis) -> str:
    """Ask the running agent whether it goes by this file."""
    status = call(so_far.known.socket, "status", {}, PATIENCE)
    if status.get("record") is not None:  # an agent of an older version says nothing of it
        raise SecureFlowError.from_json(status["record"])
    settings = status["settings"]
    if settings["problem"] is not None:
        raise SecureFlowError.from_json(settings["problem"])
    edited = ", ".join([*settings["changed"], *settings["restart"]])
    if settings["state"] != "same":
        raise SecureFlowError(
            "settings_edited",
            f"The running agent does not use {so_far.config} as it is now: {edited}.",
            "Apply it: secureflow agent reload. It names what needs a restart.",
        )
    return "the running agent uses this file"


def _data(so_far: Diagnosis) -> str:
    """Compare declarations and files with what was published."""
    known = 0
    for dataset in so_far.known.datasets:
        kept = stored_fact(so_far.known.record, f"dataset/{dataset.name}")
        if kept is None:
            continue
        known += 1
        if differs(kept, dataset):
            raise SecureFlowError(
                "declaration_changed",
                f"The declaration of {dataset.name} differs from the published one: jobs are "
                "refused.",
                f"Publish it again: secureflow agent data publish {dataset.name}.",
            )
        Publication(dataset, kept["salt"], kept["commitment"]).check_file()
    return f"{known} of {len(so_far.known.datasets)} datasets are published, and unchanged since"


def _record(so_far: Diagnosis) -> str:
    """Read the whole record, as `secureflow agent check` does."""
    check_present(so_far.known)
    if not so_far.known.record.exists():
        return "there is none yet"
    for one in check_record(so_far.known):
        if not one["ok"]:
            raise SecureFlowError(one["code"], one["message"], one["hint"])
    return "everything that is stored can be read"


def _alarm(so_far: Diagnosis) -> str:
    alarm = stored_fact(so_far.known.record, "alarm")
    if alarm is not None:
        raise SecureFlowError.from_json(alarm)
    accused = stored_fact(so_far.known.record, ACCUSED) or ()
    if accused:
        return f"none now; {len(accused)} against the log are kept as evidence"
    return "none"


_Check = tuple[str, frozenset[str], Callable[[Diagnosis], str]]
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
    ("record", frozenset({"settings"}), _record),
    ("charter", frozenset({"settings", "keys", "record_missing"}), _charter),
    ("log", frozenset({"authorisation", "record_missing"}), _log),
    ("attestation", frozenset({"settings"}), _attestation),
    ("enclave", frozenset({"authorisation", "attestation"}), _enclave),
    ("running", frozenset({"settings"}), _running),
    ("data", frozenset({"settings", "record_missing"}), _data),
    ("disk", frozenset({"settings"}), lambda so_far: room_left(so_far.known)),
    ("alarm", frozenset({"settings", "record_missing"}), _alarm),
)
"""A check's name, the checks (or error codes) that must not have failed, and what it does."""


def _not_enrolled(so_far: Diagnosis) -> SecureFlowError:
    return SecureFlowError(
        "not_enrolled",
        f"{so_far.known.directory} holds no link certificate.",
        "Enrol first: secureflow agent enroll DIR --token-file FILE --server URL.",
    )
