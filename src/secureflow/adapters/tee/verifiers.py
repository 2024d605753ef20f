"""One verifier for all evidence formats, so that callers need not choose by the prover's claim."""

from __future__ import annotations

from collections.abc import Mapping

from secureflow.adapters.tee._snp_report import Tcb
from secureflow.adapters.tee.dcap import DcapVerifier
from secureflow.adapters.tee.snp import SnpVerifier
from secureflow.engines.attestation import Claims, Evidence, EvidenceVerifier, not_authentic
from secureflow.kit.text import Text


class TeeVerifier:
    """Dispatches by format; each verifier accepts its own and refuses the rest.

    Args:
        simulated_root: PEM of a SIMULATED SGX root, from the agent's own file.
        minimum_tcb: minimum SEV-SNP TCB by product (see `SnpVerifier`).
        without_crl: accept SEV-SNP evidence without AMD's revocation list.

    Raises:
        SecureFlowError: `simulated_root_refused`.
    """

    def __init__(
        self,
        simulated_root: str | None = None,
        minimum_tcb: Mapping[str, Tcb] | None = None,
        *,
        without_crl: bool = False,
    ) -> None:
        self._by_format: dict[str, EvidenceVerifier] = {
            "dcap": DcapVerifier(simulated_root),
            "snp-report": SnpVerifier(minimum_tcb, without_crl=without_crl),
        }

    def verify(self, evidence: Evidence, now: int) -> Claims:
        """Return the claims that the evidence proves at this time (Unix seconds).

        Raises:
            SecureFlowError: `evidence_not_authentic`.
        """
        verifier = self._by_format.get(evidence.format)
        if verifier is None:
            raise not_authentic(
                "format", Text("Evidence of format {format} is not known.", format=evidence.format)
            )
        return verifier.verify(evidence, now)
