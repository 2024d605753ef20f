"""Trusted execution environments: a SIMULATED platform here, verifiers of evidence in `verifiers`.

An enclave loads this package and is measured: import what only agents need from its module.
"""

from secureflow.adapters.tee.simulated import SimulatedAttester, SimulatedPlatform

__all__ = ["SimulatedAttester", "SimulatedPlatform"]
