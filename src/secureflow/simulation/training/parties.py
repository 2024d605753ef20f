"""Simulated parties: the rows of each, its trainer, and where its randomness comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.adapters.frameworks import FrameworkRunner, Prepare, TorchRunner, runner_of
from secureflow.domain.specs.base import RosterEntry
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.preparation import held_by_key
from secureflow.engines.sealing import tensor_views
from secureflow.engines.sealing.wiretypes import DTYPES, widened
from secureflow.engines.training.order import shuffle_seed
from secureflow.engines.training.sending import change_bytes, read_change, update_form
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.simulation.attack import Attack
from secureflow.simulation.partition import Owners
from secureflow.simulation.training.adding import Sums, Vector
from secureflow.simulation.training.failing import at, in_file
from secureflow.simulation.training.table import Table


def roster(count: int) -> tuple[RosterEntry, ...]:
    """Return a roster of this many parties, whose keys are known to everybody."""
    names = (f"party-{number:03d}" for number in range(1, count + 1))
    return tuple(
        RosterEntry(name, SigningKey.from_seed(_bytes(b"key", name)).public, "simulated")
        for name in names
    )


@dataclass
class Party:
    """One party of a simulation.

    Args:
        spec: the job's.
        place: its place in the roster, from 0.
        runner: trains on its rows.
        secret: 32 bytes from which it draws its noise.
        attack: what it does in place of what it should.
    """

    spec: TrainingSpec
    place: int
    runner: FrameworkRunner
    secret: bytes = field(repr=False)
    attack: Attack | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.spec.roster[self.place].party

    def train(
        self,
        model: Path,
        digest: str,
        update: Path,
        moments: Sequence[float] | None,
        buffer: NDArray[Any],
    ) -> tuple[Vector, Sums]:
        """Return its update of a round, as the platform would get it.

        Args:
            model: the file of the model that it starts from.
            digest: the model's.
            update: where its trainer writes.
            moments: the released federated sums.
            buffer: what the update is read into: a fresh array for each would cost more than
                adding it up.
        """
        sums = self.runner.train(model, update, moments, self._seed("train", digest))
        parameters = _read(self.spec, update, buffer)
        if self.attack is not None and self.attack.strikes(self.place):
            parameters = self.attack.update(parameters, self.spec.limits.clip_norm)
        return parameters, sums

    def evaluate(self, model: Path, digest: str, moments: Sequence[float] | None) -> Sums:
        """Return its sums for the final model."""
        return self.runner.evaluate(model, moments, self._seed("evaluate", digest))

    def _seed(self, stage: str, digest: str) -> bytes:
        if self.spec.privacy is None:
            return shuffle_seed(self.spec, self.name, stage, digest)
        return _bytes(self.secret, self.name, stage, digest)


def parties(
    spec: TrainingSpec,
    table: Table | None,
    owners: Owners | None,
    secret: bytes,
    attack: Attack | None,
    prepare: Prepare = runner_of,
) -> list[Party]:
    """Return the parties with their rows.

    Args:
        spec: the job's.
        table: all rows, None for a family that reads none.
        owners: each row's party.
        secret: 32 bytes from which each party's are derived.
        attack: what some of them do.
        prepare: makes the trainer of a party's rows.

    Raises:
        SecureFlowError: those of `runner_of`, naming the party, or the row of the file.
    """
    made = []
    for place, line in enumerate(spec.roster):
        columns, held = None, None
        if table is not None and owners is not None:
            columns, held = table.part(owners == place), _held(spec, table, owners == place)
        try:
            runner = prepare(spec, columns, b"", held)
        except SecureFlowError as error:
            if (told := in_file(error, table, _places(owners, place))) is not None:
                raise told from error
            with at(line.party):
                raise
        made.append(Party(spec, place, runner, _bytes(secret, line.party), attack))
    return made


def on_base(prepare: Prepare, base: Path | None) -> Prepare:
    """Return what makes trainers that take the base of an adapter from this file."""

    def prepared(*given: Any) -> FrameworkRunner:
        runner = prepare(*given)
        if isinstance(runner, TorchRunner):
            runner.base = base
        return runner

    return prepare if base is None else prepared


def _held(spec: TrainingSpec, table: Table, chosen: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """Return which rows of a party their keys hold out, under a secret that everybody knows."""
    if not spec.splits_by_key or table.keys is None:
        return None
    return held_by_key(spec.plan, table.keys[chosen], b"")


def _places(owners: Owners | None, place: int) -> NDArray[np.int64]:
    return np.zeros(0, np.int64) if owners is None else np.flatnonzero(owners == place)


def update_buffer(spec: TrainingSpec) -> NDArray[Any]:
    """Return what `Party.train` reads an update into, whichever party's."""
    if spec.compression is not None:
        return np.empty(change_bytes(spec, "train"), np.uint8)
    return np.empty(spec.update_parameters, DTYPES[spec.wire_type])


def _read(spec: TrainingSpec, path: Path, buffer: NDArray[Any]) -> Vector:
    with path.open("rb", 0) as file:
        view = memoryview(buffer.data).cast("B")
        while count := file.readinto(view):
            view = view[count:]
    if spec.compression is not None:
        form = update_form(spec, "train")[:-1]
        return read_change(spec, "train", tensor_views(form, memoryview(buffer.data)))[:]
    wire = spec.wire_type
    return buffer if wire in {"float32", "int64"} else widened(wire, buffer)


def _bytes(key: bytes, *parts: str) -> bytes:
    return hashlib.blake2b("\n".join(parts).encode(), key=key, digest_size=32).digest()
