"""The first screen."""

from __future__ import annotations

from typing import Any

from secureflow.agent.console.screens.overview import LAST_NAMES, overview


def waiting(item: str, at: int, *, overdue: bool = False) -> dict[str, Any]:
    return {"id": item, "job": f"job_{item}", "kind": "training", "at": at, "overdue": overdue}


def budget(domain: str, spent: float, **more: Any) -> dict[str, Any]:
    return {"domain": domain, "epsilon": 10.0, "spent": spent, **more}


def test_overdue_requests_stand_first_and_are_counted() -> None:
    view = overview({"inbox.list": [waiting("a", 1), waiting("b", 2, overdue=True)]})
    assert [one.id for one in view.waiting] == ["b", "a"]
    assert (view.waits, view.overdue) == (2, 1)
    assert view.waiting[0].name == "training"


def test_locked_budgets_and_those_with_little_left_stand_first() -> None:
    rows = [budget("full", 1.0), budget("low", 9.0), budget("shut", 0.0, locked=True)]
    view = overview({"data.budget": rows})
    assert [one.domain for one in view.budgets] == ["shut", "low", "full"]


def test_what_is_wrong_now_stands_before_notifications() -> None:
    status = {"link": "down", "alarm": {"code": "x", "message": "An alarm.", "hint": "Look."}}
    told = [{"id": 4, "severity": "warning", "at": 9, "message": "Low.", "read": None},
            {"id": 3, "severity": "info", "at": 8, "message": "Old.", "read": 10}]  # fmt: skip
    view = overview({"status": status, "notification.list": told})
    assert [(one.severity, one.message, one.id) for one in view.notices] == [
        ("critical", "An alarm.", 0), ("warning", "Low.", 4),
    ]  # fmt: skip
    assert view.link == "down"


def test_a_notice_leads_to_the_page_of_what_it_is_about() -> None:
    def notice(kind: str, **facts: Any) -> tuple[str, str]:
        told = {"id": 4, "severity": "warning", "message": "x", "kind": kind, "facts": facts}
        (found,) = overview({"notification.list": [told]}).notices
        return found.kind, found.path

    item = "ab" * 32
    assert notice("request_waiting", job="job_1", item=item) == (
        "request_waiting", f"/inbox/{item}",
    )  # fmt: skip
    assert notice("grant_expiring", grant="grt_1", days=3)[1] == "/grants/grt_1"
    assert notice("account_made", account="eve", by="ada")[1] == "/people"
    assert notice("request_waiting", job="job_1", item="?")[1] == ""
    assert notice("request_waiting", item="//evil.example")[1] == ""
    assert notice("budget_low", domain="d", percent=4)[1] == ""


def test_votes_and_rounds_are_not_among_the_last_things() -> None:
    assert "vote.cast" not in LAST_NAMES
    assert {"inbox.approved", "grant.revoked", "person.login_failed"} <= set(LAST_NAMES)


def test_nothing_at_all_is_a_screen_too() -> None:
    view = overview({})
    assert (view.waits, view.budgets, view.notices, view.usage.count) == (0, (), (), 0)
