"""Models of this organisation alone: what it ended with in trainings whose strategy says so.

A file is `ownmodels/JOB.safetensors` in the agent's folder: the model and its card, as a download
of a released model, so that the same programs predict with it. It is written before the party tells
how it measured the model, nothing of it is sent, and it outlives its job until the owner removes
it. A job that does not succeed leaves none.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from secureflow.agent.owner.keptfiles import unfinished
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.domain.fieldfaults import ID_PATTERN
from secureflow.kit.atomic import flush_directory
from secureflow.kit.canonical import JSON, canonical_bytes
from secureflow.kit.clock import Clock
from secureflow.kit.disk import Place, remove, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import handle_digest
from secureflow.kit.reading import members
from secureflow.kit.tensorfile import card_in, safetensors_header
from secureflow.kit.text import Text

ENDING: Final = ".safetensors"
PLACE: Final = "own_model"
"""The member of a card that says whose model it is, and how the shared one did on its rows."""
SUCCEEDED: Final = "succeeded"
_BLOCK: Final = 1 << 20


def own_model_file(settings: AgentSettings, job: str) -> Path:
    """Return where the own model of a job is kept.

    Raises:
        SecureFlowError: `not_found` for what is no id of a job.
    """
    if not re.fullmatch(ID_PATTERN, job):
        raise _unknown(job)
    return settings.own_models / f"{job}{ENDING}"


def keep_own_model(
    settings: AgentSettings, job: str, written: Path, card: Mapping[str, JSON]
) -> None:
    """Keep a model durably; an earlier one of the job is replaced.

    Args:
        settings: of the agent.
        job: job id.
        written: raw float32, a file that no worker can change.
        card: the model's.

    Raises:
        InfrastructureError: `disk_full`, `disk_failed`.
    """
    path = own_model_file(settings, job)
    size, fresh = written.stat().st_size, unfinished(path)
    header = safetensors_header(size // 4, {"card": canonical_bytes(dict(card)).decode()})
    place = Place(path.parent, "own files", settings.organisation)
    place.demand(size)
    with writing(place, size):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with written.open("rb") as source, fresh.open("wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(header)
            shutil.copyfileobj(source, file, _BLOCK)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        flush_directory(path.parent)


def forget_own_model(settings: AgentSettings, store: RecordStore, job: str) -> None:
    """Remove the own model of a job that has ended without success, and half of one."""
    known = store.job(job)
    if known is None or not known.outcome or not re.fullmatch(ID_PATTERN, job):
        return
    path = own_model_file(settings, job)
    remove(unfinished(path))
    if known.outcome != SUCCEEDED:
        remove(path)


def sweep_own_models(settings: AgentSettings, store: RecordStore) -> None:
    """Remove what a process left that was killed between a job's end and its removal."""
    halves = settings.own_models.glob(unfinished(Path(f"*{ENDING}")).name)
    for path in (*_files(settings), *halves):
        forget_own_model(settings, store, path.name.partition(ENDING)[0])


@dataclass(frozen=True)
class KeptModels:
    """The models that this agent keeps for its organisation.

    Args:
        settings: of the agent.
        store: its record.
        clock: unix seconds.
    """

    settings: AgentSettings
    store: RecordStore
    clock: Clock

    def every(self) -> list[dict[str, JSON]]:
        """Return the models of jobs that are over, the newest first."""
        kept = [self._told(path) for path in _files(self.settings) if self._over(path.stem)]
        return sorted(kept, key=lambda one: int(one["at"]), reverse=True)

    def one(self, job: str) -> dict[str, JSON]:
        """Return the model of a job, with its figures and those of the shared one.

        Its file is read to the end: what a damaged disk made of the weights is told.

        Raises:
            SecureFlowError: `not_found`.
        """
        return self._told(self._found(job), whole=True)

    def remove(self, job: str) -> dict[str, JSON]:
        """Remove the model of a job.

        Raises:
            SecureFlowError: `not_found`; `disk_…` if it cannot be removed.
        """
        path = self._found(job)
        with writing(Place(path.parent, "own files", self.settings.organisation)):
            path.unlink(missing_ok=True)
        with self.store.transaction():
            self.store.note(self.clock(), "result.removed", job)
        return {"job": job, "path": str(path)}

    def _found(self, job: str) -> Path:
        """Return the file of a job that is over."""
        path = own_model_file(self.settings, job)
        if not path.is_file() or not self._over(job):
            raise _unknown(job)
        return path

    def _over(self, job: str) -> bool:
        """Tell whether a job is over; one that a restored record does not know is."""
        known = self.store.job(job)
        return known is None or known.outcome == SUCCEEDED

    @staticmethod
    def _told(path: Path, *, whole: bool = False) -> dict[str, JSON]:
        """Return what a file's card says; it is this agent's own, and may have been altered."""
        with path.open("rb") as file:
            card: dict[str, Any] = card_in(file)
            sound = not whole or _weights(file) == card.get("digest")
        beside = members(card.get(PLACE))
        return {
            "job": path.stem,
            "name": str(card.get("name", "")),
            "purpose": str(card.get("purpose", "")),
            "family": str(card.get("family", "")),
            "digest": str(card.get("digest", "")),
            "metrics": dict(members(card.get("metrics"))),
            "shared_metrics": dict(members(beside.get("shared_metrics"))),
            "shared_model": str(beside.get("shared_model", "")),
            "gained": beside.get("gained"),
            "at": int(card["created"]) if isinstance(card.get("created"), int) else 0,
            "bytes": path.stat().st_size,
            "state": "kept" if card and sound else "altered",
            "path": str(path),
        }


def _files(settings: AgentSettings) -> Iterator[Path]:
    """Yield the files of own models."""
    for path in sorted(settings.own_models.glob(f"*{ENDING}")):
        if re.fullmatch(ID_PATTERN, path.stem) and path.is_file():
            yield path


def _weights(file: BinaryIO) -> str:
    """Return the digest of what follows a card that has just been read."""
    os.lseek(file.fileno(), file.tell(), os.SEEK_SET)
    return handle_digest(file.fileno()).hex()


def _unknown(job: str) -> SecureFlowError:
    return SecureFlowError(
        "not_found",
        Text("This agent keeps no model of its own of a job {job}.", job=job[:80]),
        "secureflow agent model list shows those that it keeps, with the ids of their jobs.",
    )
