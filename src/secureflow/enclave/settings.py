"""The enclave's settings: `enclave.yaml`, overridden by `SECUREFLOW_ENCLAVE__…` variables."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from secureflow.adapters.keyvault import LocalKeySettings, key_files
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.hostport import HostPort
from secureflow.kit.keyfiles import KeyFiles
from secureflow.kit.logging import Form, Level
from secureflow.kit.settings import ProcessSettings, Section

ENVIRONMENT = "SECUREFLOW_ENCLAVE__"
OWNER = "enclave"
"""Whose its wrapped keys are: the certificate tells which enclave."""
Port = Annotated[int, Field(ge=0, le=65_535)]


class UplinkSettings(Section):
    """Where agents send sealed updates. Port 0 picks a free one; agents are given `public`."""

    bind: str = "127.0.0.1"
    port: Port = 8445
    public: str = ""


class LogSettings(Section):
    """Logging of the process."""

    form: Form = "json"
    level: Level = "info"


class EnclaveSettings(ProcessSettings):
    """Everything that `secureflow enclave start` reads.

    Args:
        directory: link credentials, identity key (made by `enclave init`) and `ready.json`.
        server: `host:port` of the centre's link.
        rest: URL of the centre, where the identity key renews an expired certificate.
        simulated: directory of a SIMULATED platform; it protects nothing from the operator.
        uplink: the enclave's own port.
        keys: what wraps its private keys on disk (docs/keys.md).
    """

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT)

    directory: Path = Path()
    server: HostPort = "127.0.0.1:8444"
    rest: str = ""
    simulated: Path | None = None
    uplink: UplinkSettings = UplinkSettings()
    log: LogSettings = LogSettings()
    keys: LocalKeySettings = LocalKeySettings()

    @cached_property
    def key_files(self) -> KeyFiles:
        """Its private keys on disk, wrapped as `keys` says."""
        return key_files(self.keys, OWNER, self.key_folders)

    @property
    def key_folders(self) -> tuple[Path, ...]:
        """The folders that hold private keys: the wrapping key is in none of them."""
        return (self.directory,)


def no_attester() -> SecureFlowError:
    """Return the refusal of all but a SIMULATED platform: there is no attester for hardware.

    Agents can appraise SGX, TDX and SEV-SNP evidence; the enclave's side of it is missing.
    """
    return SecureFlowError(
        "no_tee",
        "This version has no attester for hardware (SGX, TDX, SEV-SNP): an enclave can show "
        "evidence of a SIMULATED platform only.",
        "For development and demos: `secureflow enclave init --simulated`. Against an operator use "
        "protection secagg, which needs no enclave.",
    )
