"""A SIMULATED SGX platform: genuine-format evidence from a key in a file.

It proves nothing: anyone who can read the directory can make any evidence. It lets development,
tests and demos run the production verifier, policy and protocol; only the trust anchor differs. Its
root, its verdicts and every text about it say SIMULATED.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from secureflow.adapters.tee import _pck, _quote
from secureflow.engines.attestation import Evidence, report_data
from secureflow.kit.atomic import write_atomically
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.measurement import code_measurement
from secureflow.kit.pki import private_pem, write_private
from secureflow.kit.privatefiles import read_private
from secureflow.kit.text import Text

SIGNER: Final = hashlib.sha256(b"secureflow/v1 SIMULATED signer").digest()
_KEYS: Final = ("root", "platform", "pck", "tcb")
_CERTIFICATES: Final = ("root", "platform", "pck", "tcb")


@dataclass(frozen=True)
class SimulatedState:
    """The platform's state, set by tests: a TCB status, advisories, a revoked PCK."""

    status: str = "UpToDate"
    advisories: tuple[str, ...] = ()
    revoked: bool = False


class SimulatedPlatform:
    """The keys and certificates of a simulated machine; agents may pin `root_pem`."""

    def __init__(
        self,
        keys: Mapping[str, ec.EllipticCurvePrivateKey],
        certificates: Mapping[str, x509.Certificate],
        state: SimulatedState = SimulatedState(),
    ) -> None:
        self._keys = keys
        self._certificates = certificates
        self._state = state

    @classmethod
    def generate(cls, now: int) -> SimulatedPlatform:
        """Make a platform in memory."""
        keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in _KEYS}
        names = (_pck.ROOT_NAME, _pck.PLATFORM_NAME, _pck.PCK_NAME, _pck.TCB_NAME)
        issuers = ("root", "root", "platform", "root")
        issuer_names = (_pck.ROOT_NAME, _pck.ROOT_NAME, _pck.PLATFORM_NAME, _pck.ROOT_NAME)
        certificates = {
            key: _pck.certificate(
                name,
                keys[key].public_key(),
                issuer_name,
                keys[issuer],
                now,
                ca=key in {"root", "platform"},
                sgx=_pck.sgx_extension() if key == "pck" else None,
            )
            for key, name, issuer, issuer_name in zip(
                _KEYS, names, issuers, issuer_names, strict=True
            )
        }
        return cls(keys, certificates)

    @classmethod
    def create(cls, directory: Path, now: int) -> SimulatedPlatform:
        """Create and write a platform: `platform.json` (0600) and `root.pem` for agents.

        Raises:
            SecureFlowError: `simulated_platform_exists`.
        """
        platform = cls.generate(now)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        stored = {
            "notice": _pck.ROOT_NAME,
            "keys": {name: private_pem(key).decode() for name, key in platform._keys.items()},
            "certificates": {name: _pck.pem(one) for name, one in platform._certificates.items()},
        }
        try:
            write_private(directory / "platform.json", json.dumps(stored, indent=1).encode())
        except FileExistsError as error:
            raise SecureFlowError(
                "simulated_platform_exists",
                Text("{directory} already holds a simulated platform.", directory=directory),
                "Load it, or choose another directory.",
            ) from error
        write_atomically(directory / "root.pem", platform.root_pem.encode("ascii"), 0o666)
        return platform

    @classmethod
    def load(cls, directory: Path) -> SimulatedPlatform:
        """Read a platform written by `create`.

        Raises:
            SecureFlowError: `simulated_platform_unreadable`, `key_exposed`.
        """
        try:
            stored = json.loads(read_private(directory / "platform.json"))
            keys = {name: _private_key(stored["keys"][name]) for name in _KEYS}
            certificates = {
                name: x509.load_pem_x509_certificate(stored["certificates"][name].encode())
                for name in _CERTIFICATES
            }
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise SecureFlowError(
                "simulated_platform_unreadable",
                Text("The simulated platform in {directory} cannot be read.", directory=directory),
                "Create a new one; agents must then pin its new root.",
            ) from error
        return cls(keys, certificates)

    def check(self) -> None:
        """Check that keys and certificates match.

        Raises:
            SecureFlowError: `simulated_platform_unreadable`.
        """
        for name, key in self._keys.items():
            certificate = self._certificates.get(name)
            if certificate is not None and certificate.public_key() != key.public_key():
                raise SecureFlowError(
                    "simulated_platform_unreadable",
                    Text(
                        ("The simulated platform's key {name} does not match its certificate."),
                        name=name,
                    ),
                    "Create a new one; agents must then pin its new root.",
                )

    @property
    def root_pem(self) -> str:
        """The SIMULATED root certificate as PEM."""
        return _pck.pem(self._certificates["root"])

    def pretending(
        self,
        *,
        status: str = "UpToDate",
        advisories: tuple[str, ...] = (),
        revoked: bool = False,
    ) -> SimulatedPlatform:
        """Return the same machine in another state, for tests."""
        state = replace(self._state, status=status, advisories=advisories, revoked=revoked)
        return SimulatedPlatform(self._keys, self._certificates, state)

    def collateral(self, now: int) -> dict[str, str]:
        """Return signed collateral that is valid around now (QuoteCollateralV3 as JSON)."""
        keys, certificates, state = self._keys, self._certificates, self._state
        revoked = (certificates["pck"].serial_number,) if state.revoked else ()
        info = _pck.tcb_info(now, state.status, state.advisories)
        identity = _pck.qe_identity(now)
        signing_chain = _pck.pem(certificates["tcb"], certificates["root"])
        return {
            "pck_crl_issuer_chain": _pck.pem(certificates["platform"], certificates["root"]),
            "root_ca_crl": _pck.crl(_pck.ROOT_NAME, keys["root"], now).hex(),
            "pck_crl": _pck.crl(_pck.PLATFORM_NAME, keys["platform"], now, revoked).hex(),
            "tcb_info_issuer_chain": signing_chain,
            "tcb_info": info,
            "tcb_info_signature": _pck.raw_signature(keys["tcb"], info.encode()).hex(),
            "qe_identity_issuer_chain": signing_chain,
            "qe_identity": identity,
            "qe_identity_signature": _pck.raw_signature(keys["tcb"], identity.encode()).hex(),
        }

    def quote(self, body: bytes) -> bytes:
        """Return the quote of a report body."""
        order = ("pck", "platform", "root")
        chain = _pck.pem(*(self._certificates[name] for name in order)).encode()
        return _quote.quote(body, self._keys["pck"], chain)


class SimulatedAttester:
    """Makes evidence for one enclave on a simulated platform.

    Args:
        platform: the machine.
        measurement: hex MRENCLAVE; default: `code_measurement()` of the installed code.
        svn: security version.
        debug: pretend to be a debug enclave.
    """

    def __init__(
        self,
        platform: SimulatedPlatform,
        *,
        measurement: str | None = None,
        svn: int = 1,
        debug: bool = False,
    ) -> None:
        self._platform = platform
        self.measurement = measurement or code_measurement()
        self._svn = svn
        self._flags = _quote.INITTED | _quote.MODE64 | (_quote.DEBUG if debug else 0)

    def attest(self, runtime_data: Mapping[str, str], now: int) -> Evidence:
        """Return evidence whose report covers the runtime data; about 2 ms."""
        body = _quote.report_body(
            bytes.fromhex(self.measurement),
            SIGNER,
            report_data(runtime_data),
            svn=self._svn,
            flags=self._flags,
        )
        quote, collateral = self._platform.quote(body), self._platform.collateral(now)
        return Evidence("sgx", "dcap", quote, collateral, dict(runtime_data), now)


def _private_key(pem: Any) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(type(key))
    return key
