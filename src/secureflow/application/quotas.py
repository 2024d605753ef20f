"""Limits on what one member may have of objects that burden everyone's lists, locks and queries.

A quota is counted under a lock of its owner's name: two concurrent requests cannot both take the
last place. Nothing existing is removed when a quota is lowered; only new objects are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from secureflow.application.listing import list_readable
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.jobs import JobState
from secureflow.domain.projects import Project
from secureflow.domain.specs.base import STRICT
from secureflow.kit.disk import size as in_units
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Limit = Annotated[int, Field(ge=1, le=1_000_000)]


@dataclass(frozen=True)
class Quotas:
    """The most that one organisation may have at a time; `tokens` is per user.

    Args:
        projects: that it founded and that are not archived.
        members: of one project, invited ones included.
        invitations: that it sent and that are not answered.
        datasets: that it publishes.
        grants: in force.
        jobs: unfinished.
        users: accounts, disabled ones included.
        enrolments: unused and not expired.
        agents: that were ever enrolled: revoked ones stay known, so that no name is reused.
        bundles: that it uploaded and that are kept, in all projects.
        uploads: weights that it uploaded and that are kept, in all projects.
        upload_bytes: of these weights together.
        tokens: of one user; a further login removes the oldest.
    """

    __pydantic_config__ = STRICT
    projects: Limit = 200
    members: Limit = 256
    invitations: Limit = 500
    datasets: Limit = 500
    grants: Limit = 2000
    jobs: Limit = 100
    users: Limit = 2000
    enrolments: Limit = 50
    agents: Limit = 200
    bundles: Limit = 500
    uploads: Limit = 100
    upload_bytes: Annotated[int, Field(ge=4, le=1 << 50)] = 16 << 30
    tokens: Limit = 50

    async def another_project(self, work: UnitOfWork, organisation: str) -> None:
        """Refuse one more project (`quota_exceeded`)."""
        await work.lock(f"quota/{organisation}")
        founded = await list_readable(work.projects, organisation=organisation)
        kept = sum(one.closed is None for one in founded)
        self._keep(organisation, "projects", kept, self.projects)

    async def another_invitation(self, work: UnitOfWork, project: Project) -> None:
        """Refuse one more member of the project, or one more open invitation by its founder."""
        founder = project.organisation
        await work.lock(f"quota/{founder}")
        present = sum(member.state != "left" for member in project.members)
        self._keep(project.id, "members", present, self.members)
        founded = await list_readable(work.projects, organisation=founder)
        waiting = sum(member.state == "invited" for one in founded for member in one.members)
        self._keep(founder, "open invitations", waiting, self.invitations)

    async def another_dataset(self, work: UnitOfWork, organisation: str) -> None:
        """Refuse one more published dataset."""
        await work.lock(f"quota/{organisation}")
        published = await work.datasets.count(organisation=organisation, state="published")
        self._keep(organisation, "datasets", published, self.datasets)

    async def another_grant(self, work: UnitOfWork, organisation: str, now: int) -> None:
        """Refuse one more grant in force."""
        await work.lock(f"quota/{organisation}")
        held = await work.grants.count(organisation=organisation, state="granted", unexpired=now)
        self._keep(organisation, "grants in force", held, self.grants)

    async def another_job(self, work: UnitOfWork, organisation: str) -> None:
        """Refuse one more unfinished job (`too_many_jobs`)."""
        await work.lock(f"quota/{organisation}")
        states = [state.value for state in JobState if not state.final]
        living = await work.jobs.count(organisation=organisation, state=states)
        if living >= self.jobs:
            raise SecureFlowError(
                "too_many_jobs",
                Text(
                    "{organisation} already has {living} unfinished jobs.",
                    organisation=organisation,
                    living=living,
                ),
                "Wait for some to end, or cancel them.",
            )

    async def another_bundle(self, work: UnitOfWork, organisation: str) -> None:
        """Refuse one more code bundle."""
        await work.lock(f"quota/{organisation}")
        held = await work.bundles.count(organisation=organisation)
        self._keep(organisation, "code bundles", held, self.bundles)

    async def another_upload(self, work: UnitOfWork, organisation: str, size: int) -> None:
        """Refuse one more upload, or so many more bytes."""
        await work.lock(f"quota/{organisation}")
        held = await list_readable(work.uploads, organisation=organisation)
        self._keep(organisation, "uploads of weights", len(held), self.uploads)
        taken = sum(one.size for one in held)
        if taken + size > self.upload_bytes:
            raise SecureFlowError(
                "quota_exceeded",
                Text(
                    "{owner} has {held} of uploaded weights and sends {more}; the quota is {most}.",
                    owner=organisation,
                    held=in_units(taken),
                    more=in_units(size),
                    most=in_units(self.upload_bytes),
                ),
                "Remove some that no job needs (secureflow weights list), or ask the operator to "
                "raise the quota.",
                {"quota": self.upload_bytes},
            )

    async def another_user(self, work: UnitOfWork, organisation: str) -> None:
        """Refuse one more account of an organisation; the operator's own are not counted."""
        if organisation:
            await work.lock(f"quota/{organisation}")
            accounts = await work.users.count(organisation=organisation)
            self._keep(organisation, "accounts", accounts, self.users)

    async def another_enrolment(self, work: UnitOfWork, organisation: str, now: int) -> None:
        """Refuse one more enrolment token that could still be used."""
        await work.lock(f"quota/{organisation}")
        listed = await list_readable(work.enrolments, organisation=organisation, unexpired=now)
        unused = sum(one.used is None for one in listed)
        self._keep(organisation or "the operator", "unused enrolments", unused, self.enrolments)

    async def another_agent(self, work: UnitOfWork, organisation: str) -> None:
        """Refuse one more name of an agent; an organisation's enrolments are locked already."""
        known = await work.agents.count(organisation=organisation)
        self._keep(organisation, "enrolled or revoked agents", known, self.agents)

    def _keep(self, owner: str, noun: str, held: int, most: int) -> None:
        if held >= most:
            raise SecureFlowError(
                "quota_exceeded",
                Text(
                    "{owner} already has {held} {noun}; the quota is {most}.",
                    owner=owner,
                    held=held,
                    noun=noun,
                    most=most,
                ),
                "End some that are not needed, or ask the operator to raise the quota.",
                {"quota": most},
            )
