"""What a job's spec refers to: models, uploads and earlier jobs, by their digests and ids.

They are in the words that a search of jobs looks at, so which jobs used a model is found by an
index. A spec may be from another version: what has an unexpected shape is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

MOST: Final = 24
"""References of one job; a row of an index is bounded, and an evaluation has 16 models at most."""
_DEEPEST: Final = 8
_NAMED: Final = frozenset({"job", "model", "digest"})
_REFERENCE: Final = re.compile(r"[0-9a-f]{64}|job_[0-9a-z]{1,40}")


def references_of(spec: Mapping[str, Any]) -> list[str]:
    """Return what a spec refers to, each once, sorted, at most `MOST`."""
    return sorted(set(_found(spec, 0)))[:MOST]


def _found(value: Any, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for name, one in value.items():
            if name in _NAMED and isinstance(one, str) and _REFERENCE.fullmatch(one):
                yield one
            else:
                yield from _found(one, depth + 1)
    elif isinstance(value, list | tuple):
        for one in value[:1000]:
            if isinstance(one, Mapping | list):
                yield from _found(one, depth + 1)
