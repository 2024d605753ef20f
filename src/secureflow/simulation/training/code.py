"""A bundle in the place of a framework: simulated parties call its class in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.frameworks import Prepare, Returned, RowsRunner, runner_of
from secureflow.domain.specs.bundle_family import BundleModel
from secureflow.domain.specs.training import ClassesLabel, Label, TrainingSpec
from secureflow.engines.bundles.host import Refused
from secureflow.engines.bundles.local import LocalModules
from secureflow.engines.bundles.speaking import Warned
from secureflow.engines.preparation import Columns
from secureflow.engines.training.capping import Cuts
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Joined, Text, without_stop
from secureflow.sdk.localcode import LocalCode

_T = TypeVar("_T")


class CodeRunner:
    """`adapters.frameworks.FrameworkRunner`, one object of the bundle's class for one party.

    Each party has modules of its own, as in the processes of owners: what one keeps in their
    globals no other one sees.

    Args:
        spec: the job's spec, of the family `bundle`.
        columns: the party's rows.
        secret: the party's.
        held: which of its rows their keys hold out, if the plan splits by key.
        rows: the file that the rows are handed over in.
        modules: the party's, of the bundle.
    """

    def __init__(
        self,
        spec: TrainingSpec,
        columns: Columns | None,
        secret: bytes,
        held: NDArray[np.bool_] | None,
        rows: Path,
        modules: LocalModules,
    ) -> None:
        if not isinstance(spec.model, BundleModel):
            raise AssertionError  # the caller looked
        self._spec, self._model, self._path = spec, spec.model, rows
        self._rows = RowsRunner(spec, columns, secret, held)
        layout = [(one.name, one.dtype, one.shape) for one in spec.tensors]
        self._modules, entry = modules, spec.model.bundle.entry
        with self._modules.used():
            self._bundle = modules.make(entry, spec.model.settings, spec.plan.seed, layout)
        self._prepared = False
        self._number = 0

    @property
    def rows(self) -> tuple[int, int]:
        """See `FrameworkRunner.rows`."""
        return self._rows.rows

    @property
    def cuts(self) -> Cuts:
        """See `FrameworkRunner.cuts`."""
        return self._rows.cuts

    def moments(self) -> NDArray[np.float64]:
        """See `FrameworkRunner.moments`."""
        return self._rows.moments()

    def train(
        self,
        model: Path,
        update: Path,
        moments: Sequence[float] | None,
        seed: bytes,
        state: tuple[Path | None, Path] | None = None,
    ) -> NDArray[np.float64]:
        """See `FrameworkRunner.train`."""
        del state
        with self._modules.used():
            returned = self._begun(model, moments)
            sums = self._reported(returned)
            self._number += 1
            trained = self._told(lambda: self._bundle.train(returned.tensors, self._number))
        self._write(returned, trained, update)
        return np.array(returned.sums(sums, self.rows, seed))

    def evaluate(
        self,
        model: Path,
        moments: Sequence[float] | None,
        seed: bytes,
        own: tuple[Path | None, Path] | None = None,
    ) -> NDArray[np.float64]:
        """See `FrameworkRunner.evaluate`; under differential privacy nothing is measured."""
        del own
        if self._spec.privacy is not None:
            return np.ones(1)
        with self._modules.used():
            returned = self._begun(model, moments)
            sums = self._reported(returned)
        return np.array(returned.sums(sums, self.rows, seed))

    def _write(self, returned: Returned, trained: Mapping[str, NDArray[Any]], update: Path) -> None:
        """Write the update; what cannot be held is named, which an agent keeps to itself."""
        try:
            returned.write(trained, update)
        except SecureFlowError as error:
            cause = error.__cause__
            why = cause.message if isinstance(cause, SecureFlowError) else error.message
            raise error.retold(
                Text("The bundle's {method} failed here: {reason}.", method="train",
                     reason=without_stop(why))
            ) from error  # fmt: skip

    def _begun(self, model: Path, moments: Sequence[float] | None) -> Returned:
        if not self._prepared:
            self._rows.write_rows(self._path, moments)
            self._told(lambda: self._bundle.prepare(self._path))
            self._prepared = True
        return Returned.to_model(self._spec, model, self.cuts)

    def _told(self, call: Callable[[], _T]) -> _T:
        """Call a method; one that raises is told of what it was given, which may not be meant."""
        try:
            return call()
        except SecureFlowError as error:
            if isinstance(error.__cause__, Refused):
                raise
            raise error.retold(error.message, self._given()) from error

    def _given(self) -> str:
        """Return what the rows hold, as a hint."""
        rows, settings = self._rows.described(), self._model.settings
        wide, classes = self._spec.features, 0
        inputs = wide.table_width if wide is not None else 0
        if wide is not None and isinstance(wide.label, Label | ClassesLabel):
            classes = len(wide.label.classes) if isinstance(wide.label, ClassesLabel) else 2
        if inputs and settings.get("features", inputs) != inputs:
            return Text(
                "The job's settings.features is {named}, but the rows have {inputs} inputs.",
                named=str(settings["features"])[:80],
                inputs=inputs,
            )
        named = settings.get("classes")
        if classes and isinstance(named, int) and named != classes:
            return Text(
                "The job's settings.classes is {named}, but the label has {classes} classes.",
                named=named,
                classes=classes,
            )
        told = Text(
            "Correct it; docs/bundles.md says what each method is given. The rows here: {rows}.",
            rows=rows,
        )
        if settings or not inputs or not classes:
            return told
        lacking = Text(
            "The job gives the code no settings; the templates need settings: "
            "{{features: {inputs}, classes: {classes}}}.",
            inputs=inputs,
            classes=classes,
        )
        return Joined(" ", [told, lacking])

    def _reported(self, returned: Returned) -> dict[str, float]:
        if self._spec.privacy is not None or not self._model.sums:
            return {}
        found = self._told(lambda: self._bundle.evaluate(returned.tensors))
        if set(found) != set(self._model.sums):
            raise SecureFlowError(
                "bundle_output_refused",
                Text(
                    "What the bundle returned is refused: evaluate gave {found}; the job declares "
                    "{sums}.",
                    found=", ".join(sorted(found))[:500],
                    sums=", ".join(self._model.sums),
                ),
                "Give the same names in model.sums and in what `evaluate` returns.",
            )
        for name, value in found.items():
            if not np.isfinite(value):
                raise SecureFlowError(
                    "bundle_output_refused",
                    Text(
                        "What the bundle returned is refused: evaluate gave {name} = {value}.",
                        name=name,
                        value="NaN" if np.isnan(value) else str(value),
                    ),
                    "A mean or logarithm of nothing does that: an owner may have no validation "
                    "rows.",
                )
        return found


@contextmanager
def code_runner(code: LocalCode | None, warned: Warned) -> Iterator[Prepare]:
    """Yield what prepares a party's rows: for the bundle, if there is one.

    Each warning of its code is kept once, for all parties and rounds.

    Args:
        code: the bundle.
        warned: keeps its warnings; they are notes of an error that ends the block.
    """
    if code is None:
        yield runner_of
        return
    made_here, folder = count(), code.folder.resolve()
    with TemporaryDirectory(prefix="secureflow-rows-") as place:

        def prepare(
            spec: TrainingSpec,
            columns: Columns | None,
            secret: bytes,
            held: NDArray[np.bool_] | None,
        ) -> CodeRunner:
            number = next(made_here)
            modules = LocalModules(folder, f"{spec.roster[number].party} | ", warned)
            return CodeRunner(spec, columns, secret, held, Path(place, str(number)), modules)

        try:
            yield prepare
        except SecureFlowError as error:
            for one in warned.told():
                error.add_note(one)
            raise
