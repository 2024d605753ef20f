"""The simulated enclave's measurement: a digest over the enclave's own source files.

Real hardware measures what it loads. The simulated one measures what is installed, so an agent
of the same release computes the same value from its own installation and pins that; it never
asks the server. It covers the packages that the enclave process may import (docs/architecture.md,
"Packages").
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

MEASURED: Final = (
    "adapters/link",
    "adapters/tee",
    "domain",
    "engines",
    "enclave",
    "kit",
    "wire",
)


def code_measurement(root: Path | None = None) -> str:
    """Return the hex SHA-256 over every measured source file's path, length and content.

    Args:
        root: directory of the `secureflow` package; default: the installed one.
    """
    base = root or Path(__file__).parents[2]
    files = sorted(
        (path.relative_to(base).as_posix(), path)
        for package in MEASURED
        for path in (base / package).rglob("*.py")
    )
    total = hashlib.sha256(b"secureflow/v1 simulated measurement\n")
    for name, path in files:
        content = path.read_bytes()
        total.update(f"{len(name)}:{name}{len(content)}:".encode())
        total.update(content)
    return total.hexdigest()
