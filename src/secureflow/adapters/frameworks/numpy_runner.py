"""The embedded framework: the model families of `engines.training` on NumPy arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.frameworks.kept import kept_by
from secureflow.domain.specs.strategies import kept_vectors
from secureflow.domain.specs.training import FeatureSpec, TrainingSpec
from secureflow.engines.contribution.sealedrows import as_matrix, chosen_rows
from secureflow.engines.preparation import (
    Columns,
    EncodedRows,
    Moments,
    chosen_by_content,
    declared_moments,
    design_matrix,
    encode_rows,
    labelled_rows,
    moment_sums,
    moments_from_sums,
    parts_by_key,
    private_labels,
    validation_parts,
    weight_vector,
)
from secureflow.engines.preparation.recipe import prepared_columns
from secureflow.engines.sealing.wiretypes import BYTES, WireType
from secureflow.engines.training.capping import (
    Cuts,
    as_sent,
    blocks_as_sent,
    capped_sums,
    clipped_blocks,
    clipped_delta,
)
from secureflow.engines.training.localpart import LocalPart
from secureflow.engines.training.models import (
    model_family,
    model_sizes,
    row_cells,
    token_numbers,
    with_kept,
)
from secureflow.engines.training.ownmodels import compared, tuning
from secureflow.engines.training.private import (
    METRIC_UNIT,
    noises_metrics,
    party_delta,
    private_delta,
    private_sums,
)
from secureflow.engines.training.sending import compressed
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_FLOAT32 = np.dtype("<f4")
_Rows = tuple[NDArray[np.float32] | EncodedRows, NDArray[np.float32]]
_Weights = NDArray[np.float32] | None
_PrivateRows = tuple[EncodedRows, NDArray[np.float32]]
_STEPS = 1 << 16
"""Values of a rehearsal's step that are written at once: its model may be longer than memory."""
_NO_VALUES = np.zeros(0, np.float32)
_NOTHING: _Rows = (np.zeros((0, 0), np.float32), np.zeros(0, np.float32))


class NumpyRunner:
    """A `FrameworkRunner` for one job.

    With differential privacy no content of a row can cause an error (`preparation.encoded`).

    Args:
        spec: the job's spec.
        columns: the rows of the party's dataset; None for a family that reads none.
        secret: the party's, from which its validation rows are drawn (`validation_parts`).
        held: which rows the keys hold out; given exactly where the plan splits by key.

    Raises:
        SecureFlowError: `missing_data`, and without differential privacy `empty_dataset` or the
            errors of `design_matrix` in a row, so that a job fails before its first round.
    """

    def __init__(
        self,
        spec: TrainingSpec,
        columns: Columns | None,
        secret: bytes = b"",
        held: NDArray[np.bool_] | None = None,
    ) -> None:
        if (held is not None) != (spec.splits_by_key and columns is not None):
            raise AssertionError  # the caller read the keys, or did not
        self._spec = spec
        self._family = model_family(spec)
        self._wire: WireType = spec.wire_type
        self._train_columns: Columns = {}
        self._valid_columns: Columns = {}
        self._prepared: tuple[Moments, _Rows, _Rows] | None = None
        self._weights: _Weights = None
        self._private_rows: tuple[_PrivateRows, _PrivateRows] | None = None
        self._rows = (1, 0)  # the weight of a party without rows
        self._cuts = Cuts()
        self._own, self._left = kept_by(spec, None)
        if self._family.needs_data:
            self._split(columns, secret, held)

    @property
    def rows(self) -> tuple[int, int]:
        """See `FrameworkRunner.rows`."""
        return self._rows

    @property
    def cuts(self) -> Cuts:
        """See `FrameworkRunner.cuts`."""
        return self._cuts

    def moments(self) -> NDArray[np.float64]:
        """See `FrameworkRunner.moments`."""
        if self._spec.features is None:
            return self._capped(np.ones(1))
        return self._capped(moment_sums(self._spec.features, self._train_columns))

    def train(
        self,
        model: Path,
        update: Path,
        moments: Sequence[float] | None,
        seed: bytes,
        state: tuple[Path | None, Path] | None = None,
    ) -> NDArray[np.float64]:
        """See `FrameworkRunner.train`; the delta is clipped to the spec's `clip_norm` (L2)."""
        if not self._family.needs_data:
            self._write_step(update)
            return self._sums(np.zeros(0))
        before = self._load(model)
        if self._private_rows is not None:
            self._write(update, self._private(before, self._private_rows[0], seed))
            return private_sums(self._spec, seed)
        training, validation = self._matrices(moments)
        own, left = (self._own, self._left) if state is None else kept_by(self._spec, state[0])
        part = LocalPart(self._spec, before, self._kept(model), own)
        learned = part.start, *training, seed, self._weights, part.pull
        trained = self._family.train(self._spec, *learned)
        change, beside, after = part.sent(trained, self._rows[0])
        if self._spec.compression is None:
            clipped = self._clipped(change)
            self._write(update, np.concatenate([clipped, beside]) if len(beside) else clipped)
        else:
            left = self._write_compressed(update, change, left)
        own = _NO_VALUES if after is None else after
        self._keep(own, left, None if state is None else state[1])
        return self._sums(self._metrics(part.start, *validation))

    def _write_compressed(
        self, path: Path, change: NDArray[np.float32], left: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Write a change and return what is left out of it."""
        sent, rest = compressed(self._spec, change, left, self._cuts)
        with path.open("wb") as file:
            for part in sent:
                file.write(part.data)
        return rest

    def _keep(self, own: NDArray[np.float32], left: NDArray[np.float32], path: Path | None) -> None:
        """Keep what is this party's until its next round: in the file, or in memory."""
        if path is None:
            self._own, self._left = own, left
        elif len(own) or len(left):
            path.write_bytes(np.concatenate([own, left]).astype(_FLOAT32).tobytes())

    def evaluate(
        self,
        model: Path,
        moments: Sequence[float] | None,
        seed: bytes,
        own: tuple[Path | None, Path] | None = None,
    ) -> NDArray[np.float64]:
        """See `FrameworkRunner.evaluate`; with differential privacy noised, or empty."""
        if self._spec.privacy is not None:
            return self._measured(model, seed)
        if not self._family.needs_data:
            return self._sums(np.zeros(0))
        training, validation = self._matrices(moments)
        before = self._load(model)
        shared = self._metrics(before, *validation)
        if not self._spec.own_models:
            return self._sums(shared)
        mine = self._own_model(before, training, seed)
        if own is not None:
            own[1].write_bytes(mine.astype(_FLOAT32, copy=False).tobytes())
        personal = self._metrics(mine, *validation)
        sums = self._sums(np.concatenate([shared, personal]))
        # A party counts once, whatever its rows: the cap on its weight is for the sums before.
        return np.concatenate([sums, compared(self._spec, shared, personal)])

    def _own_model(
        self, before: NDArray[np.float32], training: _Rows, seed: bytes
    ) -> NDArray[np.float32]:
        """Return the model that this party ends with for itself, float32 (model_parameters,)."""
        start = LocalPart(self._spec, before, _NO_VALUES, self._own).start
        plan = tuning(self._spec)
        if plan is None:
            return start
        learned = replace(self._spec, plan=plan)
        try:
            return self._family.train(learned, start, *training, seed, self._weights)
        except SecureFlowError as error:
            # The job has its model: one party's passes, which went astray, do not end it.
            if error.code != "training_diverged":
                raise
            return start

    def write_validation(self, path: Path, moments: Sequence[float] | None, seed: bytes) -> None:
        """Write the spec's `validation_rows` of the validation rows, as they are sealed.

        Raises:
            SecureFlowError: `validation_too_few`.
        """
        _, (inputs, labels) = self._matrices(moments)
        chosen = chosen_rows(self._spec.validation_rows, len(labels), seed)
        if isinstance(inputs, EncodedRows):
            raise AssertionError  # the spec was checked: its inputs are numbers
        path.write_bytes(as_matrix(inputs[chosen], labels[chosen]).astype(_FLOAT32).tobytes())

    def _metrics(
        self,
        parameters: NDArray[np.float32],
        inputs: NDArray[np.float32] | EncodedRows,
        labels: NDArray[np.float32],
    ) -> NDArray[np.float64]:
        """Return the metric sums; images, arrays and texts are made inputs block by block."""
        if not isinstance(inputs, EncodedRows):
            return self._family.metric_sums(self._spec, parameters, inputs, labels)
        sums = np.zeros(self._family.metric_count())
        for rows in inputs.blocks():
            some, known = inputs[rows], labels[rows]
            sums += self._family.metric_sums(self._spec, parameters, some, known)
        return sums

    def _private(
        self, before: NDArray[np.float32], training: _PrivateRows, seed: bytes
    ) -> NDArray[np.float32]:
        if self._spec.privacy is not None and self._spec.privacy.unit == "party":
            model = before[: self._spec.model_parameters]
            return party_delta(self._spec, before, self._trained(model, training, seed))
        weights = training[0].weights
        delta = private_delta(self._spec, before, training, seed, weights, self._family)
        local = self._spec.privacy is not None and self._spec.privacy.noise == "local"
        return self._clipped(delta) if local else delta

    def _trained(
        self, model: NDArray[np.float32], training: _PrivateRows, seed: bytes
    ) -> NDArray[np.float32]:
        """Train locally; a party whose training diverges contributes zeros.

        Its failure would be visible without noise, and a learning rate could be chosen so that it
        reveals rows.
        """
        try:
            return self._family.train(self._spec, model, *training, seed, training[0].weights)
        except SecureFlowError as error:
            if error.code != "training_diverged":
                raise
            return model

    def _measured(self, model: Path, seed: bytes) -> NDArray[np.float64]:
        if self._private_rows is None or not noises_metrics(self._spec):
            return np.ones(1)
        inputs, labels = self._private_rows[1]
        parameters, unit = self._load(model), METRIC_UNIT
        steps = np.zeros(self._family.private_metric_count(), np.int64)
        for rows in inputs.blocks():
            steps += self._family.metric_steps(parameters, inputs[rows], labels[rows], unit)
        return private_sums(self._spec, seed, steps)

    def _split(
        self, columns: Columns | None, secret: bytes, held: NDArray[np.bool_] | None
    ) -> None:
        features = self._spec.features
        if columns is None or features is None:
            raise SecureFlowError(
                "missing_data",
                Text(
                    "The model family {family!r} needs a dataset and features.",
                    family=self._spec.model.family,
                ),
                "Name a dataset for this party and features in the spec.",
            )
        if self._spec.privacy is not None:
            self._split_privately(features, columns, held)
            return
        columns = prepared_columns(features, columns)
        inputs, _ = self._made(features, declared_moments(features), columns)  # every row
        count = len(inputs)
        if count == 0:
            raise SecureFlowError(
                "empty_dataset",
                "The party's dataset has no rows.",
                "Use a dataset with rows, or leave the job.",
            )
        plan = self._spec.plan
        parts = parts_by_key(held) if held is not None else validation_parts(plan, count, secret)
        names = (*features.prepared_inputs, *features.beside_recipe)
        self._train_columns, self._valid_columns = (
            {name: columns[name][part] for name in names} for part in parts
        )
        self._weights = weight_vector(features, columns)
        if self._weights is not None:
            self._weights = self._weights[parts[0]]
        self._rows = (len(parts[0]), len(parts[1]))

    def _split_privately(
        self, features: FeatureSpec, columns: Columns, held: NDArray[np.bool_] | None
    ) -> None:
        """Part the rows; which part one is in depends on it alone, on its content or its key."""
        declared, numbers = declared_moments(features), token_numbers(self._spec)
        inputs, labels = encode_rows(features, declared, columns, numbers=numbers)
        inputs = replace(inputs, cells=row_cells(self._spec))
        if held is None:
            chosen = self._chosen(inputs, labels)
        elif features.label is None:
            chosen = held
        else:  # `encode_rows` leaves out rows without a label
            chosen = held[private_labels(features.label, columns)[0]]
        train, valid = np.flatnonzero(~chosen), np.flatnonzero(chosen)
        parts = ((inputs.only(part), labels[part]) for part in (train, valid))
        self._private_rows = next(parts), next(parts)
        self._rows = (len(train), len(valid))

    def _chosen(self, inputs: EncodedRows, labels: NDArray[np.float32]) -> NDArray[np.bool_]:
        seed, share = self._spec.plan.seed, self._spec.plan.validation
        chosen = np.zeros(len(labels), np.bool_)
        for rows in inputs.blocks():
            chosen[rows] = chosen_by_content(inputs[rows], labels[rows], seed, share)
        return chosen

    def _matrices(self, sums: Sequence[float] | None) -> tuple[_Rows, _Rows]:
        features = self._spec.features
        if features is None:
            return _NOTHING, _NOTHING
        if not features.federated:
            moments = declared_moments(features)
        elif sums is None:
            raise SecureFlowError(
                "missing_moments",
                "The spec standardises by federated moments, but none came with the request.",
                "Run the stage `moments` first.",
            )
        else:
            moments = moments_from_sums(features, np.asarray(sums, dtype=np.float64))
        if self._prepared is None or self._prepared[0] != moments:
            training = self._made(features, moments, self._train_columns)
            validation = self._made(features, moments, self._valid_columns)
            self._prepared = moments, training, validation
        return self._prepared[1:]

    def _made(self, features: FeatureSpec, moments: Moments, columns: Columns) -> _Rows:
        """Return inputs and targets; a table's at once, the rest block by block."""
        if not features.beside:
            return design_matrix(features, moments, columns)
        numbers = token_numbers(self._spec)
        rows, labels = labelled_rows(features, moments, columns, numbers=numbers)
        return replace(rows, cells=row_cells(self._spec)), labels

    def _load(self, path: Path) -> NDArray[np.float32]:
        spec, found = self._spec, path.stat().st_size
        if found not in model_sizes(spec):
            size = spec.parameters * _FLOAT32.itemsize
            raise _invalid_model(Text("it has {found} bytes, not {size}", found=found, size=size))
        model = np.memmap(path, dtype=_FLOAT32, mode="r")[: spec.model_and_bound]
        if not np.isfinite(model).all():
            raise _invalid_model("a parameter is not finite")
        return np.asarray(model)

    def _kept(self, path: Path) -> NDArray[np.float32]:
        """Return what the strategy keeps for all, behind the model; as it began of a first one."""
        spec = self._spec
        if not kept_vectors(spec.plan.strategy):
            return _NO_VALUES
        whole = with_kept(spec, np.asarray(np.memmap(path, dtype=_FLOAT32, mode="r")))
        return whole[spec.model_and_bound :]

    def _clipped(self, delta: NDArray[np.float32]) -> NDArray[np.float32]:
        return clipped_delta(self._spec, delta, self._cuts)

    def _sums(self, metrics: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._capped(np.concatenate([[float(self._rows[0])], metrics]))

    def _capped(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return capped_sums(self._spec, sums)

    def _write(self, path: Path, delta: NDArray[np.float32]) -> None:
        with path.open("wb") as file:
            file.write(as_sent(self._spec, delta).data)

    def _write_step(self, path: Path) -> None:
        """Write a rehearsal's update: its step, or a sparse file of zeros."""
        step, count = getattr(self._spec.model, "step", 0.0), self._spec.update_parameters
        block = np.full(min(count, _STEPS), step, np.float32)

        def steps() -> Iterator[NDArray[np.float32]]:
            return (block[: count - start] for start in range(0, count, _STEPS))

        with path.open("wb") as file:
            if not step:
                os.truncate(file.fileno(), count * BYTES[self._wire])
                return
            clipped = clipped_blocks(self._spec, steps, self._cuts)
            for sent in blocks_as_sent(self._spec, clipped)():
                file.write(sent.data)


def _invalid_model(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_model",
        Text("Training cannot start from the global model's file: {reason}.", reason=reason),
        "Fetch the model again and compare its digest with the release.",
    )
