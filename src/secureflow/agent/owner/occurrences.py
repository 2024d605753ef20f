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
    "job.approved": "request_approved",
    "job.refused": "request_refused",
    "job.finished": "job_ended",
    "accused": "accused",
    "alarm": "alarm",
    "alarm.cleared": "alarm_cleared",
    "budget.not_settled": "budget_not_settled",
    "settings.reloaded": "settings_reloaded",
    "agent.restored": "agent_restored",
}
"""The agent's action → what its owner is told."""


def notification_of(action: Mapping[str, Any]) -> Notification | None:
    """Return what one of the agent's actions tells its owner, if anything."""
    kind = AGENT_KINDS.get(_KINDS.get(str(action["action"]), ""))
    if kind is None:
        return None
    facts = action["facts"] if isinstance(action["facts"], Mapping) else {}
    known = kind.checked({**facts, "job": action["job"]})
    return Notification(0, "", kind.name, int(action["at"]), known)
