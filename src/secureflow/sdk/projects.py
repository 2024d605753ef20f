"""Projects and their members."""

from __future__ import annotations

from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Page, Resource, listing, operation
from secureflow.sdk.objects import Project


class Projects(Resource[D_co]):
    """Collaborations that the caller's organisation takes part in."""

    @operation
    def get(self, project: str) -> Call[Project]:
        """Return a project by id."""
        return verbs.get(f"/projects/{project}", Project)

    @operation
    def create(self, name: str, purpose: str, description: str = "") -> Call[Project]:
        """Create a project; the caller's organisation is its first member."""
        body = {"name": name, "purpose": purpose, "description": description}
        return verbs.post("/projects", body, answers.value(Project))

    @operation
    def invite(self, project: str, organisation: str) -> Call[Project]:
        """Invite an organisation; it is a member once it accepts."""
        body = {"organisation": organisation}
        return verbs.post(f"/projects/{project}/members", body, answers.value(Project))

    @operation
    def accept(self, project: str) -> Call[Project]:
        """Accept an invitation for the caller's organisation."""
        return verbs.post(f"/projects/{project}/accept", {}, answers.value(Project))

    @operation
    def leave(self, project: str) -> Call[Project]:
        """Leave a project (or decline an invitation)."""
        return verbs.post(f"/projects/{project}/leave", {}, answers.value(Project))

    @listing
    def list(self) -> Call[Page[Project]]:
        """Iterate over the caller's projects."""
        return verbs.pages("/projects", Project)
