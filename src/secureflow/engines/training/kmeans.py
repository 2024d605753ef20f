"""K-means: a round is one of Lloyd's iterations over all parties' rows.

Everybody reads the same centres from the model (`clusters`), assigns its own rows to the nearest
one (the first of equals), and contributes the means over its rows of 1 and of x, by cluster.
"""

from __future__ import annotations

import numpy as np

from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.privacy.clipping import product_rows
from secureflow.engines.training.clusters import centres_of
from secureflow.engines.training.summing import Float, Matrix, SummedFamily, Vector, by_group


class KMeans(SummedFamily):
    """`ModelFamily`: see above.

    Args:
        spec: the job's spec.
    """

    def total(self, parameters: Float, inputs: Float, labels: Float, counts: Float) -> Float:
        """Return zeros for the centres, Σ 1 and Σ x of each cluster, flat."""
        del labels
        centres = centres_of(self._spec, parameters)
        nearest = _distances(inputs, centres).argmin(axis=1)
        own = by_group(nearest, counts, len(centres))
        return np.concatenate(
            [np.zeros(centres.size), own.sum(axis=0), (own.T @ inputs).reshape(-1)]
        )

    def norms(self, inputs: Float) -> Float:
        """Return √(1 + Σ x²)."""
        return np.asarray(np.sqrt(1.0 + np.einsum("ij->i", inputs * inputs)))

    def model(self, spec: TrainingSpec, before: Float, means: Float) -> Float:
        """Return the means, behind the centres to which the rows were assigned."""
        centres = centres_of(spec, before)
        return np.concatenate([centres.reshape(-1), means[centres.size :]])

    def outputs(self, parameters: Vector, inputs: Matrix) -> Matrix:
        """Return the negative squared distances per input to the next centres, (rows, clusters)."""
        found = _distances(inputs.astype(np.float64), centres_of(self._spec, parameters))
        return np.asarray(-found / max(1, inputs.shape[1]), np.float32)


def _distances(inputs: Float, centres: Float) -> Float:
    """Return the squared distances (rows, clusters), each row's from it alone."""
    crossed = product_rows(inputs, centres)
    own = np.einsum("ij->i", inputs * inputs)[:, None]
    found = own - 2.0 * crossed + np.einsum("ij->i", centres * centres)
    return np.asarray(np.maximum(found, 0.0))
