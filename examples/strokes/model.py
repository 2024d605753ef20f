"""Grey images by the strokes in them: a few fixed filters, and a softmax that is learned."""

from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
PARTS = 4  # an image is divided into PARTS × PARTS fields


class Model:
    """Called by SecureFlow at every owner of data; docs/bundles.md describes each method."""

    def __init__(self, settings: dict[str, Any], seed: int) -> None:
        self.column, self.rate = settings["column"], settings.get("learning_rate", 0.5)
        self.filters = np.random.default_rng(seed).normal(size=(settings.get("filters", 8), 3, 3))
        self.shape = (len(self.filters) * PARTS * PARTS, settings["classes"])

    def initial(self) -> Arrays:
        """Return the tensors that everybody begins with."""
        return {"weight": np.zeros(self.shape), "bias": np.zeros(self.shape[1])}

    def prepare(self, training: Arrays, validation: Arrays) -> None:
        """Take this owner's rows: an image's column is (rows, height, width, channels)."""
        self.training = self.strokes(training[self.column]), training["labels"]
        self.validation = self.strokes(validation[self.column]), validation["labels"]

    def strokes(self, images: np.ndarray) -> np.ndarray:
        """Return how strongly each field of each image answers each filter."""
        windows = np.lib.stride_tricks.sliding_window_view(images[..., 0], (3, 3), axis=(1, 2))
        answers = np.abs(np.einsum("nhwij,fij->nhwf", windows, self.filters))
        rows = [part.mean(axis=1) for part in np.array_split(answers, PARTS, axis=1)]
        fields = [part.mean(axis=1) for row in rows for part in np.array_split(row, PARTS, axis=1)]
        return np.concatenate(fields, axis=1)

    def train(self, weights: Arrays, number: int) -> Arrays:
        """Return new tensors of the same names and shapes; later rounds take smaller steps."""
        rate = self.rate / number**0.5
        (found, labels), weight, bias = self.training, weights["weight"], weights["bias"]
        for _ in range(20):
            error = chances(found, weight, bias) - np.eye(self.shape[1])[labels]
            weight = weight - rate * found.T @ error / len(labels)
            bias = bias - rate * error.mean(axis=0)
        return {"weight": weight, "bias": bias}

    def evaluate(self, weights: Arrays) -> dict[str, float]:
        """Return sums over the validation rows."""
        found, labels = self.validation
        likely = chances(found, weights["weight"], weights["bias"])
        loss = -np.log(np.maximum(likely[np.arange(len(labels)), labels], 1e-12)).sum()
        right = (likely.argmax(axis=1) == labels).sum()
        return {"rows": len(labels), "loss": loss, "accuracy": right}

    def predict(self, weights: Arrays, rows: Arrays) -> np.ndarray:
        """Return the chances of rows without labels: of two classes that of the second."""
        found = chances(self.strokes(rows[self.column]), weights["weight"], weights["bias"])
        return found[:, 1] if found.shape[1] == 2 else found


def chances(found: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return the softmax."""
    scores = found @ weight + bias
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
