"""structlog without rich, which it loads for tracebacks that we never print: import it from here.

rich accounts for half of structlog's start-up cost, and its tracebacks show every local variable of
each frame, secrets and rows too.
"""

from __future__ import annotations

import sys

_HIDDEN = "rich" not in sys.modules
if _HIDDEN:
    sys.modules["rich"] = None  # type: ignore[assignment]  # found: there is none
try:
    import structlog
    from structlog.typing import FilteringBoundLogger, Processor
finally:
    if _HIDDEN:
        del sys.modules["rich"]

__all__ = ["FilteringBoundLogger", "Processor", "structlog"]
