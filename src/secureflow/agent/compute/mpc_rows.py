"""In the worker: the rows of `joint-sums`, and the file of numbers that they make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from secureflow.agent.compute.summedrows import SummedRows
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.engines.mpc.tally import noised, party_sums
from secureflow.engines.preparation import Columns


class MpcRows(SummedRows):
    """The rows of a job of joint sums.

    Args:
        spec: checked.
        columns: every column that the spec names, and that of persons.
        person: its name, if the owner's budget is kept per person.

    Raises:
        SecureFlowError: those of `SummedRows`.
    """

    def __init__(self, spec: MpcSpec, columns: Columns, person: str | None) -> None:
        self._spec = spec
        self._columns = columns
        super().__init__(spec, len(next(iter(columns.values()))), columns, person)

    def write(self, path: Path, seed: bytes, key: bytes) -> NDArray[np.int64]:
        """Write the numbers as little-endian int64; return how many there are.

        Raises:
            SecureFlowError: without privacy those of rows that do not fit, and `ring_overflow`.
        """
        kept = self.counted(key)
        columns = {name: found[kept] for name, found in self._columns.items()}
        sums = noised(self._spec, party_sums(self._spec, columns), seed)
        with path.open("r+b") as file:  # its owner has made it: nothing else can be written here
            file.truncate()
            sums.astype("<i8", copy=False).tofile(file)
        return np.array([len(sums)], np.int64)
