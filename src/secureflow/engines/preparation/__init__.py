"""From agreed columns to model inputs: federated moments, design matrix, validation split.

Everything here is a pure function of the signed feature spec, the federated moments and the
rows, so agent, evaluation and SDK prepare bit-identical numbers.
"""

from __future__ import annotations

from secureflow.engines.preparation.columns import Columns, column
from secureflow.engines.preparation.design import design_matrix, feature_matrix
from secureflow.engines.preparation.encoded import (
    EncodedRows,
    encode_rows,
    labelled_rows,
    prepared_rows,
)
from secureflow.engines.preparation.keysplit import held_out
from secureflow.engines.preparation.moments import (
    Moments,
    declared_moments,
    moment_sums,
    moments_from_sums,
    moments_length,
)
from secureflow.engines.preparation.split import (
    LEAST_VALIDATION,
    chosen_by_content,
    held_by_key,
    parts_by_key,
    split_by_content,
    split_validation,
    validation_parts,
)
from secureflow.engines.preparation.target import (
    label_vector,
    private_labels,
    unscaled,
    weight_vector,
)
from secureflow.engines.preparation.tensorcolumns import Place, places, tensor_columns
from secureflow.engines.preparation.units import kept_rows

__all__ = [
    "LEAST_VALIDATION",
    "Columns",
    "EncodedRows",
    "Moments",
    "Place",
    "chosen_by_content",
    "column",
    "declared_moments",
    "design_matrix",
    "encode_rows",
    "feature_matrix",
    "held_by_key",
    "held_out",
    "kept_rows",
    "label_vector",
    "labelled_rows",
    "moment_sums",
    "moments_from_sums",
    "moments_length",
    "parts_by_key",
    "places",
    "prepared_rows",
    "private_labels",
    "split_by_content",
    "split_validation",
    "tensor_columns",
    "unscaled",
    "validation_parts",
    "weight_vector",
]
