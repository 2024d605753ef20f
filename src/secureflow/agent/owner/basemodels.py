"""The base models that an organisation holds: files that its settings name, known by their digest.

A base is not fetched from anybody. A job whose base is not among the files, byte for byte, is
refused before anybody is asked (`agent.kinds.basemodels` gives it to the worker). Files are large,
and a centre chooses when they are asked for: each is hashed once for as long as it is unchanged
(size, time of its last change, inode), one at a time, off the event loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Final

from secureflow.domain.specs.base import JobSpec
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.kit.text import Text

_ONE_AT_A_TIME: Final = Lock()
"""However many jobs ask for a base at once, nobody hashes it twice."""


def check_bases(spec: JobSpec, files: Iterable[Path], party: str) -> None:
    """Refuse a job that stands on a base which is not here.

    Raises:
        SecureFlowError: `base_model_missing`.
    """
    for digest in spec.bases:
        held_base(digest, files, party)


def held_base(digest: str, files: Iterable[Path], party: str) -> Path:
    """Return the file of this digest.

    Args:
        digest: hex BLAKE3.
        files: those that the settings name.
        party: whose they are.

    Raises:
        SecureFlowError: `base_model_missing`.
    """
    for path in files:
        if _digest(path) == digest:
            return path
    raise SecureFlowError(
        "base_model_missing",
        Text("{party} does not hold the base model {digest}.", party=party, digest=digest),
        "Whoever runs this agent names the file in agent.yaml: `base_models`. A file's digest is "
        "what b3sum says of it.",
        {"party": party, "base": digest},
    )


def _digest(path: Path) -> str:
    try:
        told = path.stat()
    except OSError:
        return ""
    with _ONE_AT_A_TIME:
        return _hashed(path, told.st_size, told.st_mtime_ns, told.st_ino)


@lru_cache(maxsize=64)
def _hashed(path: Path, *told: int) -> str:
    """Return the digest of a file that is as it was told: large ones are hashed once."""
    del told
    return file_digest(path).hex()
