"""Projects and their members."""

from __future__ import annotations

from collections.abc import Sequence

from secureflow.domain.projectrecord import ActivityPage, ReceivedPage
from secureflow.domain.projects import NamedPerson
from secureflow.domain.projecttemplates import ProjectTemplate
from secureflow.kit.canonical import JSON
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
    def create(
        self,
        name: str,
        purpose: str,
        description: str = "",
        *,
        ends: int | None = None,
        restricted: bool = False,
        template: str = "",
    ) -> Call[Project]:
        """Create a project; the caller's organisation is its first member.

        Args:
            name: for people.
            purpose: what data may be used for in it; it never changes.
            description: for people.
            ends: its end date in unix seconds.
            restricted: only people with a role in the project see its work and take part in it.
            template: name of the template whose rules it keeps.
        """
        body: dict[str, JSON] = {"name": name, "purpose": purpose, "description": description}
        body |= {"ends": ends, "restricted": restricted}
        body |= {"template": template} if template else {}
        return verbs.post("/projects", body, answers.value(Project))

    @operation
    def change(
        self,
        project: str,
        *,
        name: str | None = None,
        description: str | None = None,
        ends: int | None = None,
        restricted: bool | None = None,
    ) -> Call[Project]:
        """Change a project; what is None stays. `ends` 0 removes the end date."""
        given: dict[str, JSON] = {"name": name, "description": description, "ends": ends}
        given["restricted"] = restricted
        body: JSON = {member: value for member, value in given.items() if value is not None}
        return verbs.patch(f"/projects/{project}", body, Project)

    @operation
    def freeze(self, project: str, reason: str = "") -> Call[Project]:
        """Let no job run in a project until it is thawed; its unfinished jobs are cancelled."""
        body = {"reason": reason}
        return verbs.post(f"/projects/{project}/freeze", body, answers.value(Project))

    @operation
    def thaw(self, project: str) -> Call[Project]:
        """Let jobs run in a project again."""
        return verbs.post(f"/projects/{project}/thaw", {}, answers.value(Project))

    @operation
    def archive(self, project: str) -> Call[Project]:
        """Close a project for good: it stays readable; its grants and unfinished jobs end."""
        return verbs.post(f"/projects/{project}/archive", {}, answers.value(Project))

    @operation
    def activity(
        self,
        project: str,
        *,
        kind: str = "",
        organisation: str = "",
        user: str = "",
        before: int = 0,
        limit: int = 50,
    ) -> Call[ActivityPage]:
        """Return who did what in a project, newest first; go on with `before` = `next`."""
        return verbs.get(
            f"/projects/{project}/activity",
            ActivityPage,
            kind=kind,
            organisation=organisation,
            user=user,
            before=before,
            limit=limit,
        )

    @operation
    def received(self, project: str, party: str = "", cursor: str = "") -> Call[ReceivedPage]:
        """Return what each party received in a project's jobs; go on with `cursor` = `next`."""
        path = f"/projects/{project}/received"
        return verbs.get(path, ReceivedPage, party=party, cursor=cursor)

    @operation
    def templates(self) -> Call[tuple[ProjectTemplate, ...]]:
        """Return the templates that `create` takes."""
        return verbs.read("/project-templates", answers.several(ProjectTemplate))

    @operation
    def template(self, name: str) -> Call[ProjectTemplate]:
        """Return a template and its rules."""
        return verbs.get(f"/project-templates/{name}", ProjectTemplate)

    @operation
    def people(self, project: str) -> Call[tuple[NamedPerson, ...]]:
        """Return who has which roles in a project."""
        return verbs.read(f"/projects/{project}/people", answers.several(NamedPerson))

    @operation
    def set_person(self, project: str, user: str, roles: Sequence[str]) -> Call[Project]:
        """Give a person of the caller's organisation exactly these roles in a project."""
        body: JSON = {"user": user, "roles": list(roles)}
        return verbs.post(f"/projects/{project}/people", body, answers.value(Project))

    @operation
    def remove_person(self, project: str, user: str) -> Call[None]:
        """Take a person of the caller's organisation all roles in a project."""
        return verbs.delete(f"/projects/{project}/people/{user}")

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
        """Leave a project (or decline an invitation); its grants and jobs there end."""
        return verbs.post(f"/projects/{project}/leave", {}, answers.value(Project))

    @listing
    def list(self) -> Call[Page[Project]]:
        """Iterate over the caller's projects."""
        return verbs.pages("/projects", Project)
