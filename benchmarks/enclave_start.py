"""How long an enclave takes to measure itself and to load: one JSON line.

Usage: `python -m benchmarks.enclave_start [--times N]`. The process is started with settings that
are not there, which is the first thing that it says once everything is checked and loaded. Seconds
of processor time are the least of N starts: other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable

from secureflow.enclave.__main__ import command, environment
from secureflow.kit.measurement import measure

NONE = "/nonexistent/enclave.yaml"


def started() -> float:
    """Return the processor seconds of one start."""
    before = os.times()
    subprocess.run(command(NONE), check=False, stderr=subprocess.DEVNULL, env=environment())
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def took(what: Callable[[], object]) -> float:
    """Return the processor seconds of something in this process."""
    before = time.process_time()
    what()
    return time.process_time() - before


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3)
    times = parser.parse_args().times
    measured = measure()
    figures = {
        "start_cpu_s": min(started() for _ in range(times)),
        "measure_cpu_s": min(took(measure) for _ in range(times)),
        "check_cpu_s": min(took(measured.check) for _ in range(times)),
    }
    kinds = [line.split()[0] for line in measured.lines]
    told = {kind: kinds.count(kind) for kind in ("code", "distribution")}
    print(json.dumps({**{name: round(value, 3) for name, value in figures.items()}, **told}))


if __name__ == "__main__":
    main()
