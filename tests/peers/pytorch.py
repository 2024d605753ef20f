"""Whether PyTorch is installed here: an extra that the locked requirements leave out.

Where it is missing that is said; with SECUREFLOW_DEMAND_TORCH=1 (`.ci/run`) it is a failure.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Final

import pytest

DEMANDED: Final = "SECUREFLOW_DEMAND_TORCH"


def has_torch() -> bool:
    """Tell whether it is installed, without loading it."""
    return importlib.util.find_spec("torch") is not None


def demand_torch() -> None:
    """Skip, or fail where it is demanded, without PyTorch."""
    if has_torch():
        return
    if os.environ.get(DEMANDED):
        pytest.fail(f"PYTORCH NOT TESTED: it is not installed, and {DEMANDED} is set")
    pytest.skip(f"PYTORCH NOT TESTED: pip install 'torch>=2.6'; {DEMANDED}=1 makes this a failure")
