"""Disk space of this agent: checked before any part of a job begins.

What has begun can continue with the reserve (`kit.diskreserve`): votes, the opening of a sum,
cosignatures, the end. So nothing new begins while the reserve is not full, or while the job's files
do not fit in addition to it.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from secureflow.agent.compute.jobfiles import held_folder
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.domain.room import agent_bytes, record_bytes
from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.kit.disk import Place, demand_folder, size
from secureflow.kit.diskreserve import DiskReserve
from secureflow.kit.text import Text

LEAST: Final = 16 << 20
"""Bytes besides the reserve below which the doctor warns: settings, link, a small job."""
BEGINNING: Final = frozenset(
    {
        *("admit", "train", "setup", "advance", "mask"),
        *("keep", "seal", "collect", "peer_offer", "peer_run"),
    }
)
"""Verbs of an approved job that begin something; the others end what was begun."""


class Room:
    """Compares what a job needs with the free space.

    Args:
        settings: with the paths of the files.
        store: the record, and its reserve.
        specs: the kinds of job.
    """

    def __init__(
        self, settings: AgentSettings, store: RecordStore, specs: SpecKinds = SPEC_KINDS
    ) -> None:
        self._specs = specs
        self._models, self._party = settings.models, settings.organisation
        self._place = Place(settings.models, "model files", settings.organisation)
        self._store = store
        with contextlib.suppress(OSError):  # `demand_folder` says so
            settings.models.mkdir(mode=0o700, parents=True, exist_ok=True)

    def demand_folder(self) -> None:
        """Refuse to work while the folder of model files is gone, or cannot be written in.

        Raises:
            InfrastructureError: `disk_failed`: what needs it waits.
        """
        demand_folder(self._place)

    def for_job(self, spec: JobSpec) -> None:
        """Refuse to take part in a job that does not fit.

        Raises:
            InfrastructureError: `disk_full`.
        """
        self._demand(agent_bytes(spec, self._party) + record_bytes(spec))

    def for_step(self, job: str) -> None:
        """Refuse to begin a step of an approved job that does not fit.

        Raises:
            InfrastructureError: `disk_full`; `disk_failed` while the folder of its files is gone.
        """
        self.demand_folder()
        known = self._store.job(job)
        if known is not None and not known.outcome:
            spec = self._specs.parse(known.spec, stored=True)
            taken = _taken(self._models / job) + _taken(held_folder(self._models, job))
            self._demand(max(0, agent_bytes(spec, self._party) - taken))

    def _demand(self, needed: int) -> None:
        reserve = self._store.reserve
        reserve.keep()
        self._place.demand(needed + reserve.missing)


def reserve_of(settings: AgentSettings) -> DiskReserve:
    """Return the reserve that an agent's settings name."""
    return DiskReserve(settings.reserve, settings.storage.reserve_mb << 20)


def describe_room(settings: AgentSettings) -> str:
    """Return a description of the free space, for the doctor.

    Raises:
        InfrastructureError: `disk_full` if the next job would probably have to wait for space,
            `disk_failed` if it would for the folder of model files.
    """
    if settings.models.exists() or settings.socket.exists():  # a start makes both
        demand_folder(Place(settings.models, "model files", settings.organisation))
    place = Place(settings.directory, "own files", settings.organisation)
    held = reserve_of(settings)
    place.demand(held.missing + LEAST)
    return Text(
        "{free} are free, {kept} are kept for the record",
        free=size(place.free()),
        kept=size(held.size),
    )


def _taken(folder: Path) -> int:
    """Return the bytes that the files of a folder take; some may be removed meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        return sum(map(_length, folder.iterdir()))
    return 0


def _length(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
