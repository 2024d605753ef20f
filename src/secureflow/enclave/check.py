"""`enclave check`: verifies offline everything that an enclave stores; the enclave may be running.

There is little of it: credentials, the key that renews them, and the SIMULATED platform. The state
of jobs is only in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from secureflow.adapters.link import CredentialFiles, expired
from secureflow.adapters.tee import SimulatedPlatform
from secureflow.enclave.identity import (
    ENROL_AGAIN,
    IDENTITY,
    NEXT_STEP,
    certificate_recovery,
    key_places,
)
from secureflow.enclave.settings import EnclaveSettings, no_attester
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import system_clock
from secureflow.kit.enrolclient import checked_url
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.findings import Finding, refused, report
from secureflow.kit.folder import check_folder
from secureflow.kit.hostport import parse_address
from secureflow.kit.keywrapping import wrapping_report
from secureflow.kit.pki import RevocationList, check_leaf, parse_certificate, spiffe_id
from secureflow.kit.spiffe import SpiffeId
from secureflow.kit.text import Text


def check(config: Path, clock: Callable[[], int] = system_clock) -> Iterator[dict[str, JSON]]:
    """Yield `{check, ok, code, message, hint}` for each part, and for each problem in it.

    Raises:
        SecureFlowError: `invalid_settings`.
    """
    settings = EnclaveSettings.load(config)
    yield from report("settings", _settings(settings), "its addresses and folder can be read")
    credentials = CredentialFiles(settings.directory, settings.key_files)
    pair = list(refused("keys", credentials.check))
    keys = [*pair, *_keys(settings, credentials, clock)]
    yield from report("keys", keys, "they match their certificates, and nobody else can read them")
    yield wrapping_report(settings.key_files, key_places(settings), config)
    if not pair:
        found = refused("certificate", lambda: _certificate(settings, credentials, clock))
        yield from report("certificate", found, "it belongs to an enclave, and is valid now")
    yield from report("platform", _platform(settings), "its keys match the root that agents pin")


def _settings(settings: EnclaveSettings) -> Iterator[Finding]:
    yield from refused("settings", lambda: check_folder(settings.directory))
    if settings.uplink.public:
        yield from refused("settings", lambda: _public(settings.uplink.public))
    if settings.rest:
        yield from refused("settings", lambda: checked_url(settings.rest))


def _public(text: str) -> None:
    """A public address may leave out the port, which is then the uplink's."""
    try:
        parse_address(text, "uplink.public")
    except SecureFlowError:
        parse_address(f"{text}:1", "uplink.public")


def _keys(
    settings: EnclaveSettings, credentials: CredentialFiles, clock: Callable[[], int]
) -> Iterator[Finding]:
    yield from refused("keys", lambda: certificate_recovery(settings, credentials, clock))
    identity = settings.directory / IDENTITY
    if not identity.exists() or not settings.rest:
        what = (
            Text("{identity} is missing", identity=identity)
            if settings.rest
            else "`rest` is missing in enclave.yaml"
        )
        message = Text("{what}: an expired certificate is not renewed automatically.", what=what)
        yield Finding("keys", message, ENROL_AGAIN, "key_unreadable")


def _certificate(
    settings: EnclaveSettings, credentials: CredentialFiles, clock: Callable[[], int]
) -> None:
    leaf = parse_certificate(credentials().certificate.decode("ascii"))
    identity = SpiffeId.parse(spiffe_id(leaf))
    if identity.role != "enclave":
        raise SecureFlowError(
            "certificate_foreign",
            Text(
                "{directory} is for {identity}, which is not an enclave.",
                directory=settings.directory / "link.pem",
                identity=identity,
            ),
            ENROL_AGAIN,
        )
    try:
        check_leaf(leaf, identity.trust_domain, clock(), RevocationList())
    except SecureFlowError as error:
        if error.code != "certificate_not_valid_now":
            raise
        raise expired(credentials, clock(), NEXT_STEP) from error


def _platform(settings: EnclaveSettings) -> Iterator[Finding]:
    place = settings.simulated
    if place is None:
        yield from refused("platform", _no_attester)
        return
    yield from refused("platform", lambda: SimulatedPlatform.load(place).check())
    yield from refused("platform", lambda: _root(place))


def _root(place: Path) -> None:
    """Compare the root that agents are given with the platform's own."""
    shown = (place / "root.pem").read_bytes()
    try:
        same = shown.decode("ascii").strip() == SimulatedPlatform.load(place).root_pem.strip()
    except UnicodeDecodeError:
        same = False
    except SecureFlowError:  # reported as a finding of its own
        return
    if not same:
        raise SecureFlowError(
            "simulated_platform_unreadable",
            Text(
                "{place} does not match the platform in the same folder.",
                place=place / "root.pem",
            ),
            "Restore it from a backup.",
        )


def _no_attester() -> None:
    raise no_attester()
