"""The projects that an agent has met, for the form of a grant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from secureflow.agent.console.screens.figures import plain, second, text_of
from secureflow.agent.console.screens.grants import groups
from secureflow.agent.console.screens.stops import stops
from secureflow.domain.fieldfaults import ID_PATTERN
from secureflow.kit.reading import objects

_ID: Final = re.compile(ID_PATTERN)
_NAME: Final = 200
"""Most characters of a name that the centre tells."""


@dataclass(frozen=True)
class KnownProject:
    """A project that this agent has met: in a grant, a proposal, a stop, or a request.

    Args:
        id: whole: it is what is signed.
        job: the newest request's name, as the centre says; empty where none is known.
        submitter: whose request it is, as the centre says.
    """

    id: str
    job: str = ""
    submitter: str = ""


def known_projects(grants: Any, requests: Any, stopped: Any) -> tuple[KnownProject, ...]:
    """Return the projects that this agent has met, by their ids.

    Args:
        grants: `grant.list`, with those that are proposed.
        requests: `inbox.list`; one whose project is no id is left out.
        stopped: `stop.list`, projects among it.
    """
    ids = {row.project for group in groups(grants) for row in group.rows}
    ids |= {one.name for one in stops(stopped) if one.kind == "project"}
    found = {one: KnownProject(one) for one in ids}
    for one in sorted(objects(requests), key=lambda row: second(row.get("at"))):
        project = text_of(one, "project")
        if _ID.fullmatch(project):
            name, submitter = plain(one.get("name")), plain(one.get("submitter"))
            found[project] = KnownProject(project, name[:_NAME], submitter[:_NAME])
    return tuple(found[one] for one in sorted(found))
