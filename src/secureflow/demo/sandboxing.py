"""Where the demo's agents compute: in the sandbox where it runs, without one where it cannot.

An agent of its own owner does not start beside a sandbox that is installed and fails (`auto`): he
has to know. The demo's owners play on one machine with public data, and must not be stopped by how
the machine's kernel is set; it says what it does.
"""

from __future__ import annotations

import asyncio
from typing import Any

from secureflow.adapters.sandbox import choose_sandbox
from secureflow.kit.errors import SecureFlowError


def sandbox_settings() -> tuple[dict[str, Any], str]:
    """Return what the demo's agents have for `worker`, and why; nothing where the sandbox runs."""
    try:
        asyncio.run(choose_sandbox("auto"))
    except SecureFlowError as error:
        return {"worker": {"sandbox": "off"}}, str(error.message)
    return {}, ""
