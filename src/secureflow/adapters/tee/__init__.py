"""Trusted execution environments: verifiers of their evidence, and a SIMULATED platform."""

from secureflow.adapters.tee.dcap import DcapVerifier
from secureflow.adapters.tee.measurement import code_measurement
from secureflow.adapters.tee.simulated import SimulatedAttester, SimulatedPlatform
from secureflow.adapters.tee.snp import SnpVerifier
from secureflow.adapters.tee.verifiers import TeeVerifier

__all__ = [
    "DcapVerifier",
    "SimulatedAttester",
    "SimulatedPlatform",
    "SnpVerifier",
    "TeeVerifier",
    "code_measurement",
]
