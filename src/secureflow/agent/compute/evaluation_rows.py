"""In the worker: the rows of an evaluation, and what a model computes for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.frameworks.rowsfile import write_unlabelled
from secureflow.agent.compute.predicted_outputs import OutputsFile
from secureflow.agent.compute.summedrows import SummedRows
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.domain.specs.scored import ScoredModel
from secureflow.domain.specs.summed import LEAST_ROWS
from secureflow.engines.evaluation.plan import noised, party_sums
from secureflow.engines.preparation import (
    Columns,
    EncodedRows,
    encode_rows,
    labelled_rows,
)
from secureflow.engines.preparation.recipe import prepared_columns
from secureflow.engines.training.basemodel import family_beside
from secureflow.engines.training.foreign_outputs import outputs_from, returned_shape
from secureflow.engines.training.models import row_cells, token_numbers
from secureflow.engines.training.scoring import (
    model_outputs,
    scored_moments,
    scored_parameters,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Rows = tuple[EncodedRows, NDArray[np.float32]]


class EvaluationRows(SummedRows):
    """The rows of an evaluation.

    Args:
        spec: checked.
        columns: every column that the spec names, and that of persons.
        person: its name, if the owner's budget is kept per person.

    Raises:
        SecureFlowError: those of `SummedRows`, `too_few_rows`; without privacy those of rows that
            do not fit the models, which are prepared once to find them.
    """

    def __init__(self, spec: EvaluationSpec, columns: Columns, person: str | None) -> None:
        self._spec = spec
        self._columns = columns
        super().__init__(spec, len(next(iter(columns.values()))), columns, person)
        if spec.privacy is None:
            self._check()

    def sums(
        self, model: Path, number: int, party: str, seed: bytes, key: bytes
    ) -> NDArray[np.int64]:
        """Return the sums of a round, int64; see `agent.compute.evaluation.sums_arguments`.

        Raises:
            SecureFlowError: `model_length_wrong`; without privacy those of rows that do not fit.
        """
        scored = self._spec.models[number - 1]
        parameters = scored_parameters(scored, model.read_bytes())
        kept = self.counted(key)
        columns = {name: found[kept] for name, found in self._columns.items()}
        inputs, labels = self._prepared(scored, columns)
        family, label = family_beside(scored.trained, model), scored.features.label
        outputs = model_outputs(family, parameters, inputs, label)
        sums = party_sums(self._spec, number, party, outputs, labels)
        return noised(self._spec, number, sums, seed)

    def write_rows(self, path: Path) -> NDArray[np.int64]:
        """Write the rows for the code that computes the model; return how many there are."""
        (scored,) = self._spec.models
        inputs, _ = self._prepared(scored, self._columns)
        write_unlabelled(path, inputs, scored.features.beside)
        return np.array([self.count], np.int64)

    def count_up(self, outputs: Path, number: int, party: str) -> NDArray[np.int64]:
        """Return the sums of what code says of the rows, int64.

        Args:
            outputs: a file of `predicted_outputs`.
            number: the round's, from 1.
            party: whose rows they are.

        Raises:
            ValueError: the file is of another number of rows.
        """
        scored = self._spec.models[number - 1]
        _, labels = self._prepared(scored, self._columns)
        label = scored.features.label
        said = OutputsFile(outputs, returned_shape(label, self.count)).read()
        found = outputs_from(label, said)
        return party_sums(self._spec, number, party, found, labels)

    def _prepared(self, model: ScoredModel, columns: Columns) -> Rows:
        """Return the inputs of a model, and the targets of the same rows."""
        strict, features, trained = self._spec.privacy is None, model.features, model.trained
        moments = scored_moments(model)
        unweighted, numbers = replace(features, weight=None), token_numbers(trained)
        if strict:
            made = prepared_columns(features, columns)
            rows, labels = labelled_rows(unweighted, moments, made, numbers=numbers)
        else:
            rows, labels = encode_rows(unweighted, moments, columns, numbers=numbers)
        return replace(rows, cells=row_cells(trained)), labels

    def _check(self) -> None:
        for one in self._spec.models:
            self._prepared(one, self._columns)
        if self._spec.per_party and self.count < LEAST_ROWS:
            raise too_few_rows(self.count)


def too_few_rows(count: int) -> SecureFlowError:
    """Return the error of a party of which no figures of its own may be told."""
    return SecureFlowError(
        "too_few_rows",
        Text(
            "Figures of a party are told of at least {least} of its rows; there are {count}.",
            least=LEAST_ROWS,
            count=count,
        ),
        "Leave this party out, or ask for no figures of each party.",
    )
