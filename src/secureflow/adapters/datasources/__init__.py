"""Where an organisation's rows come from, checked against the schema that it declared.

pyarrow is imported when a file is opened and not before: an agent's main process, which only
reads configurations, stays small.
"""

from __future__ import annotations

from secureflow.adapters.datasources.commitment import (
    changed,
    check_unchanged,
    commit,
    dataset_commitment,
    found_commitment,
    still_written,
)
from secureflow.adapters.datasources.formats import check_library, open_source
from secureflow.adapters.datasources.keys import check_keys, read_with_keys
from secureflow.adapters.datasources.source import DataSource, SourceDescription, SourceLimits

__all__ = [
    "DataSource",
    "SourceDescription",
    "SourceLimits",
    "changed",
    "check_keys",
    "check_library",
    "check_unchanged",
    "commit",
    "dataset_commitment",
    "found_commitment",
    "open_source",
    "read_with_keys",
    "still_written",
]
