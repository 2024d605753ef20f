"""Where code runs that must not reach more than it is given: see `application.ports.sandbox`."""

from __future__ import annotations

from secureflow.adapters.sandbox.bubblewrap import BubblewrapSandbox
from secureflow.adapters.sandbox.choice import Choice, choose_sandbox
from secureflow.adapters.sandbox.failures import PACKAGE
from secureflow.adapters.sandbox.plain import PlainSandbox

__all__ = ["PACKAGE", "BubblewrapSandbox", "Choice", "PlainSandbox", "choose_sandbox"]
