"""`python -m tests.survival.clocked server|enclave|agent start --config FILE`: a hurried process.

The real process, with what it looks at now and then looked at every moment, so that a test need not
wait. An enclave stops itself (SIGSTOP) once, in the middle of an upload, where a file `stop` says
so.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from secureflow.adapters.link import backoff, missedends, recovery, streams
from secureflow.enclave import main as enclave
from secureflow.enclave import uploads
from secureflow.engines.sealing import Opener
from secureflow.server import certificate

STALL = 3.0


def main() -> None:
    """Hurry, and be the process."""
    from secureflow.cli.main import main as command

    streams.PING = 0.3  # type: ignore[misc]
    recovery.AGAIN = backoff.LAST = 1.0  # type: ignore[misc]
    missedends.INTERVAL = 0.5  # type: ignore[misc]
    certificate.CHECK_SECONDS = 0.5
    uploads.STALL = STALL  # type: ignore[misc]
    order = Path(sys.argv[-1]).parent / "stop"
    write = Opener.write

    def stopping(self: Opener, chunk: bytes) -> None:
        write(self, chunk)
        if order.exists():
            order.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)

    Opener.write = stopping  # type: ignore[method-assign]
    if sys.argv[1] == "enclave":  # the command would become the entry point, with nothing of this
        sys.exit(enclave.run(Path(sys.argv[-1])))
    command()


if __name__ == "__main__":
    main()
