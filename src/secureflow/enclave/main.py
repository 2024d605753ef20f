"""The enclave's process: one uplink in, one link out, and nothing else.

Started by the entry point (`enclave/__main__.py`), it can import only what was measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

from secureflow.adapters.link import CredentialFiles, Link, UplinkServer
from secureflow.adapters.tee import SimulatedAttester, SimulatedPlatform
from secureflow.domain.exits import exit_code
from secureflow.enclave.identity import certificate_recovery, running
from secureflow.enclave.kind import EnclaveKinds
from secureflow.enclave.kinds import ENCLAVE_KINDS
from secureflow.enclave.missedends import forget_ended
from secureflow.enclave.settings import EnclaveSettings, no_attester
from secureflow.enclave.verbs import EnclaveVerbs
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import system_clock
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folder import claim_folder
from secureflow.kit.hostport import parse_address
from secureflow.kit.logging import announce_ready, get_logger, process_logging
from secureflow.kit.memory import limit_arenas
from secureflow.kit.pki import SpiffeId, spiffe_id
from secureflow.kit.plain import shown
from secureflow.kit.process import raise_descriptors, run_until_stopped
from secureflow.kit.version import __version__

_log = get_logger(__name__)


async def serve(
    settings: EnclaveSettings,
    kinds: EnclaveKinds = ENCLAVE_KINDS,
    measurement: str | None = None,
) -> None:
    """Serve jobs of these kinds until cancelled; the entry point passes the code's measurement.

    Raises:
        SecureFlowError: `not_enrolled`, `certificate_malformed`, `key_unreadable`, `no_tee`,
            `address_unavailable`, `simulated_platform_unreadable`, `data_newer`,
            `data_version_malformed`.
    """
    folder = Place(settings.directory, "own files", "the enclave")
    with writing(folder):
        claim_folder(settings.directory)
    credentials = CredentialFiles(settings.directory, settings.key_files)
    identity = SpiffeId.parse(spiffe_id(credentials().leaf))
    place = ""
    attester = _attester(settings, measurement)
    greeting = {
        **{"version": __version__, "log_size": 0, "unproved": []},
        **{"tee": "SIMULATED", "measurement": attester.measurement},
    }

    async def handle(verb: str, body: dict[str, JSON], log_proofs: JSON) -> JSON:
        return await verbs.handle(verb, body, log_proofs)  # verbs and link need each other

    link = Link(
        settings.server,
        credentials,
        lambda: {**greeting, "address": place},
        handle,
        clock=system_clock,
        whose="the enclave",
        recover=certificate_recovery(settings, credentials, system_clock),
    )
    verbs = EnclaveVerbs(attester, link, lambda: place, system_clock, kinds=kinds)
    uplink = UplinkServer(
        f"{settings.uplink.bind}:{settings.uplink.port}",
        lambda: credentials.at(system_clock()),
        identity.trust_domain,
        verbs.uploads,
        clock=system_clock,
        refusal_of=link.refusal_of,
    )
    port = await uplink.start()
    asking: asyncio.Task[None] | None = None
    try:
        place = _public(settings, port)
        facts = {"process": "enclave", "uplink": place, "tee": "SIMULATED"}
        with writing(folder):
            announce_ready(settings.directory, facts)
        asking = asyncio.create_task(forget_ended(link, verbs), name="ended jobs")
        await link.run()
    finally:
        if asking is not None:
            asking.cancel()
        await uplink.stop()


def run(config: Path, kinds: EnclaveKinds = ENCLAVE_KINDS, measurement: str | None = None) -> int:
    """Run the process until SIGTERM or SIGINT; return the exit code."""
    limit_arenas()
    try:
        settings = EnclaveSettings.load(config)
    except SecureFlowError as error:
        sys.stderr.write(f"{shown(str(error))}\n")
        return exit_code(error.code)
    with process_logging("enclave", form=settings.log.form, level=settings.log.level) as tell:
        try:
            raise_descriptors()
            with contextlib.ExitStack() as stack:
                if settings.directory.is_dir():  # otherwise `serve` says so
                    stack.enter_context(running(settings.directory))
                run_until_stopped(serve(settings, kinds, measurement))
        except SecureFlowError as error:
            tell(error)
            return exit_code(error.code)
    return 0


def _attester(settings: EnclaveSettings, measurement: str | None) -> SimulatedAttester:
    if settings.simulated is None:
        raise no_attester()
    _log.warning("tee_simulated", message="SIMULATED TEE: it protects nothing from the operator")
    return SimulatedAttester(SimulatedPlatform.load(settings.simulated), measurement=measurement)


def _public(settings: EnclaveSettings, port: int) -> str:
    """Return the address that is given to agents."""
    public, what = settings.uplink.public or settings.uplink.bind, "uplink.public"
    try:
        return str(parse_address(public, what))
    except SecureFlowError:
        return str(parse_address(f"{public}:{port}", what))
