"""Revenue agreements at their member's own agent: read here, signed here, pinned here.

A version is signed only by a person who enters its whole digest after reading it here, and only
with the members' keys as the pinned charter has them. A version that enough members signed is
pinned, one after the other; another one of a pinned number is an alteration, whoever shows it.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any, Final

from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.charter import PinnedCharter
from secureflow.engines.revenue.agreement import (
    Agreement,
    SignedAgreement,
    accepted,
    check_charter_keys,
    check_follows,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_EARLIER: Final = 1000
"""Versions of before this member joined; a hostile centre could make them without end."""
PROJECTS: Final = "revenue"
"""The fact that lists the projects with an agreement here."""


class OwnAgreements:
    """The agreements that this organisation takes part in.

    Args:
        store: the record.
        party: organisation slug.
        key: its charter key.
        charter: as this organisation pinned it.
        clock: unix seconds.
    """

    def __init__(
        self,
        store: RecordStore,
        party: str,
        key: SigningKey,
        charter: PinnedCharter,
        clock: Clock,
    ) -> None:
        self._store = store
        self._party = party
        self._key = key
        self._charter = charter
        self._clock = clock
        self._earlier: dict[str, list[SignedAgreement]] = {}
        """Versions of before this member joined, by project; nothing is judged by them."""

    def projects(self) -> list[str]:
        """Return the projects with an agreement that is pinned or was signed here."""
        return list(self._store.fact(PROJECTS) or [])

    def pinned(self, project: str) -> list[SignedAgreement]:
        """Return the pinned versions, oldest first."""
        kept = self._store.fact(_fact(project)) or []
        return [SignedAgreement.from_json(one) for one in kept]

    def current(self, project: str) -> Agreement | None:
        """Return the newest pinned version."""
        versions = self.pinned(project)
        return versions[-1].agreement if versions else None

    def by_digest(self, project: str) -> dict[str, Agreement]:
        """Return the pinned versions by digest."""
        return {one.agreement.digest: one.agreement for one in self.pinned(project)}

    def take(self, project: str, shown: SignedAgreement) -> bool:
        """Pin a version that is shown, if enough members signed it; tell whether the next may come.

        Who pinned a later charter first does not know that under which older versions were signed.
        Those are pinned with the first one whose keys it knows: that one's members signed the
        digest of what was before, under keys of a charter that is pinned here.

        Raises:
            SecureFlowError: `agreement_altered`, with nothing pinned; `agreement_mismatch`.
        """
        self._check_project(project, shown.agreement)
        versions = self.pinned(project)
        number = shown.agreement.version
        if number <= len(versions):
            if versions[number - 1].agreement.digest != shown.agreement.digest:
                raise self._altered(number)
            return True
        earlier = [] if versions else self._earlier.get(project, [])[: max(number - 1, 0)]
        known = [*versions, *earlier]
        before = known[-1].agreement if known else None
        check_follows(before, shown.agreement)
        try:
            self._check_keys(shown.agreement)
        except SecureFlowError:
            if versions or self._knows_all_charters() or number > MAX_EARLIER:
                raise
            self._earlier[project] = [*earlier, shown]
            return accepted(before, shown)
        if not accepted(before, shown):
            return False
        with self._store.transaction():
            self._store.set_fact(_fact(project), [*(one.json() for one in known), shown.json()])
            self._store.set_fact(PROJECTS, sorted({*self.projects(), project}))
            facts = {"project": project, "version": number, "digest": shown.agreement.digest}
            self._store.note(self._clock(), "revenue.pinned", "", **facts)
        self._earlier.pop(project, None)
        return True

    def sign(self, project: str, candidate: SignedAgreement, confirm: str) -> dict[str, JSON]:
        """Sign a version that a person read here; return what the centre collects.

        Args:
            project: whose agreement it is.
            candidate: the version.
            confirm: its whole digest, as a person enters it.

        Raises:
            SecureFlowError: `agreement_not_confirmed`, `agreement_altered`, `agreement_mismatch`.
        """
        agreement = candidate.agreement
        self._check_project(project, agreement)
        check_charter_keys(agreement, self._charter.pinned().keys)
        if agreement.keys.get(self._party) != self._key.public:
            raise SecureFlowError(
                "agreement_mismatch",
                Text("The agreement does not name {party} with its key.", party=self._party),
                "Ask whoever drafted it for another one.",
            )
        if not hmac.compare_digest(confirm.strip().lower().encode(), agreement.digest.encode()):
            raise SecureFlowError(
                "agreement_not_confirmed",
                "What was entered is not the digest of this version of the agreement.",
                "Read it and enter its digest, all 64 characters: secureflow agent revenue show.",
            )
        earlier = self._earlier.get(project, [])
        current = self.current(project) or (earlier[-1].agreement if earlier else None)
        if current != agreement:
            check_follows(current, agreement)
        signature = candidate.sign(self._party, self._key).signatures[self._party]
        with self._store.transaction():
            facts = {"project": project, "version": agreement.version, "digest": agreement.digest}
            # From now on it is asked whether enough others signed it, too.
            self._store.set_fact(PROJECTS, sorted({*self.projects(), project}))
            self._store.note(self._clock(), "revenue.signed", "", **facts)
        return {"project": project, "digest": agreement.digest, "signature": signature}

    def _check_project(self, project: str, agreement: Agreement) -> None:
        if (agreement.project, agreement.origin) != (project, self._charter.pinned().origin):
            raise SecureFlowError(
                "agreement_altered",
                Text("What is shown as the agreement of {project} is another one's.",
                     project=project),
                "Do not sign it. Ask the operator.",
            )  # fmt: skip

    def _check_keys(self, agreement: Agreement) -> None:
        """Refuse keys that no charter had that was pinned here, now or earlier."""
        charters: Sequence[Any] = self._charter.versions_after(0)
        for one in charters:
            keys = one.charter.keys
            if all(keys.get(name) == key for name, key in agreement.keys.items()):
                return
        check_charter_keys(agreement, self._charter.pinned().keys)

    def _knows_all_charters(self) -> bool:
        charters = self._charter.versions_after(0)
        return bool(charters) and charters[0].charter.version == 1

    def _altered(self, version: int) -> SecureFlowError:
        return SecureFlowError(
            "agreement_altered",
            Text(
                "What is shown as version {version} of the revenue agreement is not the one that "
                "its members signed.",
                version=version,
            ),
            "Nothing is approved by it. Compare with the other members.",
        )


def _fact(project: str) -> str:
    return f"revenue/{project}"
