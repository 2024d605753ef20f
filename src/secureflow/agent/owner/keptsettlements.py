"""What an agent keeps of settlements: each one, its own deeds, and the centre's receipts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from secureflow.agent.record.store import RecordStore
from secureflow.engines.revenue.deeds import Deed, parse_deed
from secureflow.engines.revenue.settlement import Computed, Settlement
from secureflow.kit.canonical import JSON

_LIST: Final = "settlements"
MAX_WAITED: Final = 1000
"""Settlements of a project of which it is kept when they were seen without their quorum."""


@dataclass(frozen=True)
class Kept:
    """One settlement.

    Args:
        settlement: what it is.
        computed: what this agent computed; None before it did.
        deeds: its own, in the order in which they were signed.
        receipts: digest of an own deed → the centre's receipt; without one it was not told yet.
        refused: digest of an own deed → why the centre did not take it: it does not count.
        texts: digest of an own deed → `{salt, text}` behind its commitment.
    """

    settlement: Settlement
    computed: Computed | None = None
    deeds: tuple[Deed, ...] = ()
    receipts: Mapping[str, Any] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, JSON]:
        """Return the JSON form."""
        return {
            "settlement": self.settlement.json(),
            "computed": self.computed and self.computed.json(),
            "deeds": [one.json() for one in self.deeds],
            "receipts": dict(self.receipts),
            "refused": dict(self.refused),
            "texts": dict(self.texts),
        }

    def with_deed(self, deed: Deed, **text: str) -> Kept:
        """Return it with one more own deed, and the text behind its commitment, if there is one."""
        texts = {**self.texts, **({deed.digest: text} if text else {})}
        return replace(self, deeds=(*self.deeds, deed), texts=texts)

    @property
    def told(self) -> list[Deed]:
        """Own deeds that the centre has received."""
        return [one for one in self.deeds if one.digest in self.receipts]

    @property
    def unheard(self) -> list[Deed]:
        """Own deeds that the centre has not received: on their way, or refused by it."""
        return [one for one in self.deeds if one.digest not in self.receipts]

    @property
    def untold(self) -> list[Deed]:
        """Own deeds that the centre has not received, nor refused."""
        answered = self.receipts.keys() | self.refused.keys()
        return [one for one in self.deeds if one.digest not in answered]

    @property
    def approved(self) -> bool:
        """Whether this organisation approved it."""
        return any(one.act == "approve" and one.digest not in self.refused for one in self.deeds)


class SettlementShelf:
    """Reads and keeps them in the agent's record; writers need an open transaction.

    Args:
        store: the record.
    """

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    def ids(self) -> list[str]:
        """Return the ids of what is kept."""
        return list(self._store.fact(_LIST) or [])

    def get(self, key: str) -> Kept | None:
        """Return what is kept of a settlement."""
        value = self._store.fact(_fact(key))
        if value is None:
            return None
        computed = value["computed"]
        return Kept(
            settlement=Settlement.from_json(value["settlement"]),
            computed=None if computed is None else Computed.from_json(computed),
            deeds=tuple(parse_deed(one) for one in value["deeds"]),
            receipts=value["receipts"],
            refused=value["refused"],
            texts=value["texts"],
        )

    def of_project(self, project: str) -> dict[str, Kept]:
        """Return what is kept of a project's settlements, by id."""
        found = {key: self.get(key) for key in self.ids()}
        return {
            key: one
            for key, one in found.items()
            if one is not None and one.settlement.project == project
        }

    def waited(self, project: str) -> dict[str, int]:
        """Return when settlements were seen without their quorum last: id → unix seconds."""
        return dict(self._store.fact(_waited_fact(project)) or {})

    def note_waited(self, project: str, waited: Mapping[str, int]) -> None:
        """Store it; of too many the newest."""
        newest = sorted(waited.items(), key=lambda one: (-one[1], one[0]))[:MAX_WAITED]
        self._store.set_fact(_waited_fact(project), dict(newest))

    def keep(self, kept: Kept) -> None:
        """Store it."""
        key = kept.settlement.id
        self._store.set_fact(_fact(key), kept.json())
        if key not in (known := self.ids()):
            self._store.set_fact(_LIST, sorted([*known, key]))


def _fact(key: str) -> str:
    return f"settlement/{key}"


def _waited_fact(project: str) -> str:
    return f"settlements-waited/{project}"
