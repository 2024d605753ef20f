"""Which channels between agents the centre relays: those of running jobs that have any."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from secureflow.adapters.link.relay import PeerPlace
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.domain.jobs import Job, JobState
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.reading import objects
from secureflow.kit.text import Text

PEERS: Final = "peers"
"""The protection of a job whose parties compute with one another."""


async def check_join(
    begin: UnitOfWorkFactory, kinds: Collection[str], party: str, place: PeerPlace
) -> None:
    """Refuse a channel unless both organisations are in a running job that has channels.

    Args:
        begin: starts units of work.
        kinds: the kinds of job whose parties open channels.
        party: who asks.
        place: for which channel.

    Raises:
        SecureFlowError: `forbidden`; it does not tell which jobs there are.
    """
    async with begin() as work:
        job: Job | None = await work.jobs.find(place.job)
    running = job is not None and job.state is JobState.RUNNING and _has_channels(job, kinds)
    roster = {one.get("party") for one in objects(job.spec.get("roster"))} if job else set()
    if not running or not {party, place.peer} <= roster:
        raise SecureFlowError(
            "forbidden",
            Text(
                "{party} has no channel to {peer} in job {job} now.",
                party=party,
                peer=shown(place.peer[:64]),
                job=shown(place.job[:64]),
            ),
            "A channel exists between parties of one roster, while their job runs.",
        )


def _has_channels(job: Job, kinds: Collection[str]) -> bool:
    """Tell whether a job is of a kind with channels, and not one of it that does without."""
    return job.kind in kinds and job.spec.get("protection") == PEERS
