"""Training frameworks behind one interface; NumPy is the embedded default."""

from __future__ import annotations

from secureflow.adapters.frameworks.numpy_runner import NumpyRunner
from secureflow.adapters.frameworks.runner import FrameworkRunner

__all__ = ["FrameworkRunner", "NumpyRunner"]
