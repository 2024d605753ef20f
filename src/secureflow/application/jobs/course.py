"""What a job has told of its course so far: its rounds, and who dropped out."""

from __future__ import annotations

from typing import Any, Final

from secureflow.application.ports.storage import UnitOfWork

_PAGE: Final = 500
_RELEASING: Final = frozenset({"round", "point", "run"})
"""Events of something that released figures or a model."""


async def told_so_far(
    work: UnitOfWork, job: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what released figures or a model, and who dropped out, in order."""
    rounds: list[dict[str, Any]] = []
    dropouts: list[dict[str, Any]] = []
    after = 0
    while events := await work.events.after(job, after, _PAGE):
        rounds += [event.data for event in events if event.kind in _RELEASING]
        dropouts += [
            one for event in events if event.kind == "dropouts" for one in event.data["dropouts"]
        ]
        after = events[-1].id
    return rounds, dropouts
