"""SecureFlow's kinds of job in which an enclave takes part."""

from __future__ import annotations

from typing import Final

from secureflow.enclave.kind import EnclaveKinds
from secureflow.enclave.training import TRAINING_ENCLAVE

ENCLAVE_KINDS: Final = EnclaveKinds(TRAINING_ENCLAVE)
