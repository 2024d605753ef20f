"""Files of totals: the numbers that a computation among parties opened, too many for a report."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from secureflow.application.ports.artifacts import Artifacts
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class Totals:
    """Use cases around files of totals.

    Args:
        artifacts: where they are stored.
    """

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts

    async def of_report(
        self, job: str, report: Mapping[str, Any]
    ) -> tuple[str, int, AsyncIterator[bytes]]:
        """Return digest, size and bytes of the file that a finished job's report names, as .npy.

        The digest is that of the bytes after the header, little-endian int64.

        Raises:
            SecureFlowError: `no_totals` for a job without such a file.
        """
        named = report.get("totals")
        digest = named.get("artifact") if isinstance(named, dict) else None
        if not digest:
            raise SecureFlowError(
                "no_totals",
                Text("Job {job} has no file of totals: its report holds all that it opened.",
                     job=job),
                "Name a job of kind mpc with a query that is told by keys.",
            )  # fmt: skip
        stored = await self._artifacts.stat(str(digest))
        header = npy_header(stored.size // 8)
        content = await self._artifacts.open(stored.digest)

        async def stream() -> AsyncIterator[bytes]:
            yield header
            async for chunk in content:
                yield chunk

        return stored.digest, len(header) + stored.size, stream()


def npy_header(count: int) -> bytes:
    """Return what stands before `count` little-endian int64 in a file of NumPy's (format 1.0).

    It is written by hand so that a file of any size streams through without a copy.
    """
    text = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({count},), }}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
