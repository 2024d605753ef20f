"""The key with which an enclave proves on the link that it is the one that enrolled.

It renews an expired certificate (after the enclave was off for a day, or a clock jumped) and does
nothing else: it attests nothing, and it is never shown to an agent.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from secureflow.adapters.link import CertificateRecovery, CredentialFiles, RenewalMethod
from secureflow.enclave.settings import EnclaveSettings
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folderlock import folder_lock
from secureflow.kit.keyfiles import IDENTITY as PURPOSE
from secureflow.kit.keyfiles import KeyPlace, link_places
from secureflow.kit.keyvault import KeyVaultError
from secureflow.kit.renewal import DOMAIN
from secureflow.kit.text import Text

IDENTITY: Final = "identity.key"

NEXT_STEP: Final = (
    "A running enclave (secureflow enclave start) renews it by itself with identity.key, over "
    "`rest` in enclave.yaml: check that URL and both machines' clocks."
)
ENROL_AGAIN: Final = (
    "This enclave was enrolled before enclaves had an identity key, or its settings lack `rest`: "
    "create a new one. The operator: secureflow enrolment create --kind enclave --save TOKEN; "
    "here: secureflow enclave init NEWDIR --token-file TOKEN --server URL --simulated."
)


def key_places(settings: EnclaveSettings) -> list[KeyPlace]:
    """Return where the enclave's private keys lie, existing or not."""
    identity = KeyPlace(settings.directory / IDENTITY, PURPOSE)
    return [identity, *link_places(settings.directory)]


def running(directory: Path) -> AbstractContextManager[None]:
    """Lock an enclave's folder (shared) while an enclave runs from it.

    Raises:
        SecureFlowError: `enclave_running` while its keys are being wrapped.
    """
    return folder_lock(directory, _occupied(directory), shared=True)


def locked_folder(directory: Path) -> AbstractContextManager[None]:
    """Lock an enclave's folder exclusively: no enclave may run from it meanwhile.

    Raises:
        SecureFlowError: `enclave_running`.
    """
    return folder_lock(directory, _occupied(directory))


def _occupied(directory: Path) -> SecureFlowError:
    return SecureFlowError(
        "enclave_running",
        Text(
            "An enclave runs from {directory}, or its keys are being wrapped.", directory=directory
        ),
        "Stop it first.",
    )


def certificate_recovery(
    settings: EnclaveSettings, credentials: CredentialFiles, clock: Clock
) -> CertificateRecovery:
    """Return a diagnosis of the enclave's failed link that can renew its certificate.

    Raises:
        SecureFlowError: `key_unreadable` if the file is not a key, `key_exposed` if others
            can read it; KeyVaultError if it cannot be unwrapped.
    """
    path = settings.directory / IDENTITY
    if not path.exists() or not settings.rest:
        return CertificateRecovery(
            RenewalMethod(settings.rest, None, ENROL_AGAIN), credentials, clock
        )
    try:
        key = SigningKey.load(path, settings.key_files, PURPOSE)
    except (OSError, SecureFlowError) as error:
        if isinstance(error, KeyVaultError) or getattr(error, "code", "") == "key_exposed":
            raise
        raise SecureFlowError(
            "key_unreadable",
            Text("The enclave's identity key {path} cannot be read.", path=path),
            "Restore it from a backup, or create the enclave again: secureflow enclave init.",
        ) from error
    method = RenewalMethod(settings.rest, lambda body: key.sign(DOMAIN, body), NEXT_STEP)
    return CertificateRecovery(method, credentials, clock)
