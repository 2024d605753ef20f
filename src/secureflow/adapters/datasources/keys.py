"""Reading the column of keys beside the columns that a job names.

NumPy and what reads files are imported when a file is opened and not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from secureflow.adapters.datasources.formats import open_source
from secureflow.adapters.datasources.source import SourceLimits
from secureflow.domain.schemas import DatasetConfig, with_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WHOLE: Final = 2.0**53
"""From here on float64 does not tell all whole numbers apart."""


def read_with_keys(
    config: DatasetConfig, limits: SourceLimits, columns: Sequence[str], *, tolerant: bool
) -> tuple[dict[str, NDArray[Any]], NDArray[Any]]:
    """Return these columns and each row's key (None or NaN: it has none), from one read.

    Args:
        config: the owner's declaration.
        limits: of reading.
        columns: their names; the key may be among them.
        tolerant: for differential privacy: no cell is refused, that of the key included.

    Raises:
        SecureFlowError: `key_undeclared`; without `tolerant` `schema_mismatch` for a row without a
            key; those of `DataSource.read`.
    """
    key = config.required_key()
    source = open_source(with_key(config), limits, tolerant=tolerant)
    read = source.read(tuple(dict.fromkeys((*columns, key))))
    if not tolerant:
        check_keys(config.name, key, read[key])
    return {name: read[name] for name in columns}, read[key]


def check_keys(dataset: str, column: str, keys: NDArray[Any]) -> None:
    """Refuse rows without a key, and numbers so large that neighbours would be one key.

    Args:
        dataset: its name.
        column: the name of the column of keys.
        keys: float64, or text and None; (rows,).

    Raises:
        SecureFlowError: `schema_mismatch` naming the row.
    """
    # Lazy: pyarrow and NumPy load where a file is read.
    import numpy as np

    from secureflow.adapters.datasources.conform import mismatch

    if keys.dtype == np.float64:
        missing, large = np.isnan(keys), np.abs(keys) >= _WHOLE
    else:
        missing = np.fromiter((not (one and one.strip()) for one in keys), np.bool_, len(keys))
        large = np.zeros_like(missing)
    if missing.any():
        raise mismatch(dataset, column, int(missing.argmax()) + 1, "it is empty, and is the key")
    if large.any():
        reason = "as a number it cannot be told from its neighbours: declare the key as text"
        raise mismatch(dataset, column, int(large.argmax()) + 1, reason)
