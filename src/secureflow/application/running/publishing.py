"""`Publish`: registers a released model as the next version of its job's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from secureflow.application.listing import list_readable
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.ids import new_id
from secureflow.domain.models import Model
from secureflow.kit.canonical import JSON


async def publish(unit: UnitOfWork, job: str, model: Mapping[str, Any], now: int) -> JSON:
    """Store a job's model; return its id and version.

    Args:
        unit: the job's transaction.
        job: job id.
        model: the effect's.
        now: unix seconds.
    """
    entity = await unit.jobs.get(job)
    await unit.lock(f"models/{entity.project}")  # two jobs ending at once need two versions
    same = {"project": entity.project, "name": entity.name}
    earlier = [model.version for model in await list_readable(unit.models, **same)]
    # An unreadable one has a version, too.
    version = 1 + max([*earlier, await unit.models.count(**same)])
    fresh = Model(
        id=new_id("mdl"),
        project=entity.project,
        job=job,
        name=entity.name,
        version=version,
        created=now,
        **{**model, "parents": tuple(model.get("parents", ()))},  # JSON has only lists
    )
    await unit.models.add(fresh)
    return {"model": fresh.id, "version": version}
