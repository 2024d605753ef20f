"""Trusted execution environments: a SIMULATED platform here, verifiers of evidence in `verifiers`.

An enclave loads this package and is measured: what only agents need is imported where it stands.
"""

from secureflow.adapters.tee.simulated import SimulatedAttester, SimulatedPlatform

__all__ = ["SimulatedAttester", "SimulatedPlatform"]
