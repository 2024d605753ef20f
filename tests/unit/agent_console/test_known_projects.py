"""The projects that the form of a grant offers: whole ids, and what the centre says of them."""

from __future__ import annotations

from typing import Any

from secureflow.agent.console.screens.projects import KnownProject, known_projects

STOPPED = [{"kind": "project", "name": "prj_00000003"}, {"kind": "requester", "name": "ann"}]


def asked(project: str, at: int, **more: Any) -> dict[str, Any]:
    return {"project": project, "at": at, "name": "risk", "submitter": "ann@bank-a", **more}


def test_projects_of_requests_and_stops_are_offered_with_the_newest_request() -> None:
    requests = [asked("prj_00000002", 9, name="newest"), asked("prj_00000002", 3)]
    assert known_projects([], requests, STOPPED) == (
        KnownProject("prj_00000002", "newest", "ann@bank-a"),
        KnownProject("prj_00000003"),
    )


def test_what_is_no_id_is_not_offered_and_names_are_made_plain() -> None:
    evil = [asked("prj_\u202e1", 1), asked("x" * 10_000, 1), asked("", 1), {"at": "?"}]
    assert known_projects([], evil, []) == ()
    (one,) = known_projects([], [asked("prj_00000002", 1, name="a\x1b[2J\u202e" * 999)], [])
    assert not {"\x1b", "\u202e"} & set(one.job)
    assert len(one.job) <= 200
