"""Trusted execution environments: verifiers of their evidence, and a SIMULATED platform."""

from secureflow.adapters.tee.dcap import DcapVerifier
from secureflow.adapters.tee.measurement import code_measurement
from secureflow.adapters.tee.simulated import SimulatedAttester, SimulatedPlatform

__all__ = ["DcapVerifier", "SimulatedAttester", "SimulatedPlatform", "code_measurement"]
