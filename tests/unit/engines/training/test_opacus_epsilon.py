"""A private network's charge beside Opacus': equal sampling, noise, steps and conversion."""

from __future__ import annotations

import importlib.util

import pytest
from unit.engines.training.beside_world import spec
from unit.engines.training.family_world import private

from secureflow.engines.privacy.accounting import epsilon
from secureflow.engines.training.private import charge

RECORDED = [
    (0.01, 1.1, 1000, 1e-5, 1.711770),
    (0.2, 0.7, 30, 1e-5, 17.218182),
    (0.05, 1.0, 400, 1e-6, 8.310939),
    (1.0, 4.0, 10, 1e-5, 3.617100),
    (0.004, 0.8, 5000, 1e-5, 2.925237),
]
"""q, σ, steps, δ, and ε of Opacus 1.6.0: `RDPAccountant` with its orders, run beside this code."""


@pytest.mark.parametrize(("sampling", "noise", "steps", "delta", "theirs"), RECORDED)
def test_epsilon_is_that_of_opacus(
    sampling: float, noise: float, steps: int, delta: float, theirs: float
) -> None:
    more = private("enclave", noise, sampling=sampling, delta=delta, metrics_noise=None, rows=3000)
    plan = {"rounds": steps, "validation": 0.0}
    job = spec("images", {"family": "torch_cnn", "channels": [4]}, plan=plan, **more)
    ours = epsilon(charge(job), delta, "rdp-cks20")
    assert ours == pytest.approx(theirs, rel=0.01)
    if importlib.util.find_spec("opacus") is not None:
        from opacus.accountants import RDPAccountant

        accountant = RDPAccountant()
        accountant.history = [(noise, sampling, steps)]
        assert accountant.get_epsilon(delta) == pytest.approx(theirs, rel=1e-4)
