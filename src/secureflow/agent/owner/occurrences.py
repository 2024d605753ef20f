"""From the agent's own log of actions to what its owner is told, in one table.

The centre can ask for things, and what the agent does with that is its own action; there is no way
for the centre, or anybody else on the network, to put words into the owner's inbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.domain.agentnotificationkinds import AGENT_KINDS
from secureflow.domain.notifications import Notification

_KINDS: Final[Mapping[str, str]] = {
    "inbox.waiting": "request_waiting",
    "inbox.answered": "question_answered",
    "job.approved": "request_approved",
    "job.refused": "request_refused",
    "job.finished": "job_ended",
    "accused": "accused",
    "alarm": "alarm",
    "alarm.cleared": "alarm_cleared",
    "budget.not_settled": "budget_not_settled",
    "settings.reloaded": "settings_reloaded",
    "agent.restored": "agent_restored",
    "grant.created": "grant_made",
    "grant.revoked": "grant_revoked",
    "grant.unlocked": "grant_unlocked",
    "stop.set": "stop_set",
    "stop.lifted": "stop_lifted",
    "job.unreadable": "job_unreadable",
    "person.added": "account_made",
    "person.disabled": "account_disabled",
    "person.enabled": "account_enabled",
    "person.roles": "account_roles",
    "person.reset": "account_reset",
    "person.recovered": "account_recovered",
    "person.bound": "account_bound",
    "person.unbound": "account_unbound",
    "anchor.forged": "anchor_forged",
    "anchor.forked": "anchor_forked",
    "anchor.untrusted": "anchor_untrusted",
    "anchor.unproved": "anchor_unproved",
}
"""The agent's action → what its owner is told."""


def notification_of(action: Mapping[str, Any]) -> Notification | None:
    """Return what one of the agent's actions tells its owner, if anything."""
    facts = action["facts"] if isinstance(action["facts"], Mapping) else {}
    name = _KINDS.get(str(action["action"]), "")
    if name == "account_reset" and facts.get("second_factor") is True:
        name = "second_factor_removed"
    kind = AGENT_KINDS.get(name)
    if kind is None:
        return None
    known = kind.checked({**facts, "job": action["job"], "account": facts.get("of"),
                          "by": _by(facts)})  # fmt: skip
    return Notification(0, "", kind.name, int(action["at"]), known)


def _by(facts: Mapping[str, Any]) -> str:
    """Return who did it: a person, the centre, a provider at a login, or a Unix user."""
    if "person" in facts:
        return str(facts["person"])
    if facts.get("by") == "centre":
        return "centre"
    if "provider" in facts:
        return f"oidc:{facts['provider']}"
    return f"uid:{facts['user']}" if "user" in facts else "agent"
