"""Try a training job in one process before anybody is asked: no server, no agent, no consent.

The spec, the preparation, the trainers, the sums in fixed point and the accounting are those of the
platform, so the same job on the same shares gives the same model (docs/simulation.md says where
not). Nothing is protected here: all rows are in this process.
"""

from __future__ import annotations

from secureflow.simulation.training.api import Simulation, simulate
from secureflow.simulation.training.outcome import Outcome

__all__ = ["Outcome", "Simulation", "simulate"]
