"""A model of a bundle in this process: its code says of rows what it says of them at an owner.

There is no sandbox here: the code runs with all that this process may do, as in a simulation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.bundle_family import BundleModel
from secureflow.domain.specs.tensors import by_name
from secureflow.domain.specs.training import FeatureSpec
from secureflow.engines.bundles.local import LocalModules
from secureflow.engines.preparation import EncodedRows
from secureflow.engines.preparation.coderows import code_arrays
from secureflow.engines.training.foreign_outputs import (
    outputs_from,
    returned_problem,
    returned_shape,
)
from secureflow.engines.training.tensors import NamedTensors
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.sdk.bundlefiles import read_bundle


class OwnCode:
    """The code of a model, in a folder on this machine.

    Args:
        model: of the family `bundle`.
        features: what it reads of a row.
        seed: that the class was made with.
        folder: that the bundle is in.

    Raises:
        SecureFlowError: `invalid_file`, `bundle_refused`; `digest_mismatch` for other code than
            that which trained the model; `invalid_model` for one that has no label.
    """

    def __init__(
        self, model: BundleModel, features: FeatureSpec, seed: int, folder: str | Path
    ) -> None:
        self._model, self._features, self._seed = model, features, seed
        self._tensors = by_name(model.weights)
        place = Path(folder)
        found = read_bundle(place)
        if not place.is_dir():
            raise SecureFlowError(
                "invalid_file",
                Text("{place} is a file: its code cannot be called there.", place=place),
                "Name the folder that the code is in.",
            )
        if found.digest != model.bundle.digest:
            raise SecureFlowError(
                "digest_mismatch",
                Text(
                    "The folder {folder} holds the bundle {found}; the model is of {wanted}.",
                    folder=place,
                    found=found.digest,
                    wanted=model.bundle.digest,
                ),
                Text(
                    "Fetch it as it was: secureflow bundle pull {digest} FOLDER.",
                    digest=model.bundle.digest,
                ),
            )
        if self._features.label is None:
            raise SecureFlowError(
                "invalid_model",
                "Code that learned from no label predicts nothing that is known here.",
                "Load its tensors into the bundle's own class.",
            )
        self._modules = LocalModules(place.resolve())

    def outputs(self, parameters: NDArray[np.float32], rows: EncodedRows) -> NDArray[np.float32]:
        """Return what the model computes before any link, by an object of its own for these rows.

        Raises:
            SecureFlowError: `bundle_unusable`, `bundle_failed`; `bundle_output_refused` for what
                an owner's agent would refuse.
        """
        label, model = self._features.label, self._model
        if not len(rows):  # an owner's agent does not ask either
            return outputs_from(label, np.zeros(returned_shape(label, 0), np.float32))
        arrays = code_arrays(rows, self._features.beside)
        tensors = NamedTensors(self._tensors, parameters)
        layout = [(one.name, one.dtype, one.shape) for one in self._tensors]
        with self._modules.used():
            made = self._modules.make(
                model.bundle.entry, model.settings, self._seed, layout, predicts=True
            )
            said = made.predict(tensors, arrays, returned_shape(label, len(rows)))
        if problem := returned_problem(label, said):
            raise SecureFlowError(
                "bundle_output_refused",
                Text("What the bundle returned is refused: {reason}.", reason=problem),
                "Correct it; docs/bundles.md says what each method is given and returns.",
            )
        return outputs_from(label, said)
