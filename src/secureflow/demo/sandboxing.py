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


def sandbox_settings(*, engines: bool = False) -> tuple[dict[str, Any], str]:
    """Return what the demo's agents have in their settings, and why; nothing with a sandbox.

    Args:
        engines: whether engines run as well, which refuse to without one unless an owner says so.
    """
    try:
        chosen = asyncio.run(choose_sandbox("auto"))
    except SecureFlowError as error:
        reason, settings = str(error.message), {"worker": {"sandbox": "off"}}
    else:
        if chosen.sandbox.confines or not engines:
            return {}, ""
        reason, settings = str(chosen.reason), {}
    return settings | ({"engines": {"unconfined": True}} if engines else {}), reason
