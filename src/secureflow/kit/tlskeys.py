"""Private keys into TLS contexts of the standard library, which reads them from files only."""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from collections.abc import Iterator


def load_chain(context: ssl.SSLContext, pair: bytes) -> None:
    """Give a context its key and certificates (PEM), without a copy that stays on a disk.

    Raises:
        ssl.SSLError: they do not belong together.
    """
    with _as_file(pair) as path:
        context.load_cert_chain(path)


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """Give bytes a path while OpenSSL reads them: in memory, or of a 0600 file removed at once."""
    try:
        descriptor = os.memfd_create("chain", os.MFD_CLOEXEC)
        path = f"/proc/self/fd/{descriptor}"
    except (AttributeError, OSError):
        descriptor, path = tempfile.mkstemp()
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(data)
        yield path
    finally:
        os.close(descriptor)
        if not path.startswith("/proc/"):
            os.unlink(path)  # noqa: PTH108  as it was made
