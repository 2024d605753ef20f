"""The logs whose heads this agent can check, when a member anchors them: their keys, and own heads.

Of the platform's log those are the heads that its witness accepted, of its names before
continuations too; of listed logs the last head that was cosigned here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from secureflow.agent.keeper.checkpoints import last_cosigned
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witnesssettings import WitnessedLog
from secureflow.domain.charter import Charter
from secureflow.engines.anchors.entries import AnchorHead, log_digest
from secureflow.engines.ledger.notes import Checkpoint, parse_note, signed_note
from secureflow.kit.errors import SecureFlowError


class KnownLogs:
    """Checks anchored heads.

    Args:
        store: the agent's record.
        charter: returns the pinned charter (raises `charter_not_pinned`).
        logs: others that the owner lists.
    """

    def __init__(
        self, store: RecordStore, charter: Callable[[], Charter], logs: Sequence[WitnessedLog]
    ) -> None:
        self._store = store
        self._charter = charter
        self._logs = {one.origin: one.key for one in logs}

    def unsigned(self, entry: AnchorHead) -> bool:
        """Tell whether the log is known, and did not sign this head."""
        known = self._known(entry)
        if known is None:
            return False
        note = _note(*known, entry)
        return not note or not parse_note(note).verify_log(known[1])

    def contradicted(self, entry: AnchorHead) -> bool:
        """Tell whether this agent saw another root of this size itself."""
        known = self._known(entry)
        if known is None:
            return False
        seen = last_cosigned(self._store, known[0])
        noted = self._store.heads(known[0], entry.size) or ([seen] if seen else [])
        heads = [parse_note(note).checkpoint for note in noted]
        return any(head.size == entry.size and head.root != entry.root for head in heads)

    def note_of(self, entry: AnchorHead) -> list[str]:
        """Return the head as the log signed it, where the log is known."""
        known = self._known(entry)
        note = _note(*known, entry) if known else ""
        return [note] if note else []

    def _known(self, entry: AnchorHead) -> tuple[str, str] | None:
        try:
            own: Mapping[str, str] = self._charter().log_keys
        except SecureFlowError:
            own = {}
        listed = {**self._logs, **own}
        return next((one for one in listed.items() if log_digest(one[0]) == entry.log), None)


def _note(origin: str, key: str, entry: AnchorHead) -> str:
    try:
        head = Checkpoint(origin, entry.size, entry.root)
        return signed_note(head, key, b"".join(entry.signature))
    except SecureFlowError:
        return ""  # a size or root that no log has
