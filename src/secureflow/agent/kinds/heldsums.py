"""The sums of a job's newest contribution, kept so that a repetition sends what was recorded.

What computed them is the same bit by bit on the same host only: another NumPy, or another processor
where its code is not fixed (`kit.kernels`), may differ in a last bit, and two different sums of one
round would show what they differ by. The file is not flushed: after a power cut, and only then, the
sums are computed again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from secureflow.agent.compute.jobfiles import held_folder
from secureflow.engines.sealing import tensor_digest
from secureflow.kit.disk import Place, writing

_FILE: Final = "sums"


class HeldSums:
    """The files `<models>/<job>.held/sums`, which no worker sees.

    Args:
        models: the agent's folder of model files.
        party: this organisation.
    """

    def __init__(self, models: Path, party: str) -> None:
        self._models = models
        self._place = Place(models, "model files", party)

    def keep(self, job: str, sums: memoryview) -> None:
        """Write them, before the record names their digest.

        Raises:
            InfrastructureError: `disk_full`, `disk_failed`.
        """
        path = held_folder(self._models, job) / _FILE
        with writing(self._place, len(sums)):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.unlink(missing_ok=True)
            path.touch(0o600)
            path.write_bytes(sums)

    def kept(self, job: str, content: str) -> memoryview | None:
        """Return the sums of this digest; None if there are others, or none.

        Raises:
            InfrastructureError: `disk_failed`.
        """
        path = held_folder(self._models, job) / _FILE
        with writing(self._place):
            if not path.exists():
                return None
            found = memoryview(path.read_bytes())
        return found if tensor_digest(found) == content else None
