"""`python -m tests.security.measured_entry enclave start --config FILE`: it says what it loads.

The enclave's own command, with one option of Python's more: each module that is loaded, and when,
is a line of the log.
"""

from __future__ import annotations

import os
import sys

from secureflow.enclave.__main__ import command, environment

if __name__ == "__main__":
    program, *words = command(sys.argv[-1])
    os.execve(program, [program, "-X", "importtime", *words], environment())
