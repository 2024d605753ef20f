"""The pinned charter: who the other organisations are, by this organisation's own comparison.

The first charter is pinned only by a person who names what was compared out of band: its
fingerprint (words or digits) or the digest of the file. A later version counts when more than two
thirds of the *pinned* members signed it. What the server says is a candidate, never a truth.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from secureflow.agent.store import Store
from secureflow.domain.charter import Charter, SignedCharter, accept_change, compare
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

JSON = Any
Call = Callable[[str, Mapping[str, JSON]], Awaitable[JSON]]
_FACT = "charter"


class CharterDesk:
    """Shows, pins, changes and signs charters for one organisation.

    Args:
        store: the agent's record.
        party: organisation slug.
        key: its signing key.
        clock: unix seconds.
    """

    def __init__(self, store: Store, party: str, key: SigningKey, clock: Clock) -> None:
        self._store = store
        self._party = party
        self._key = key
        self._clock = clock
        self._pinned: Charter | None = None

    def pinned(self) -> Charter:
        """Return the pinned charter.

        Raises:
            SecureFlowError: `charter_not_pinned`.
        """
        if self._pinned is None:
            kept = self._store.fact(_FACT)
            if kept is None:
                raise SecureFlowError(
                    "charter_not_pinned",
                    f"{self._party} has not pinned a charter yet, so it knows no other member.",
                    "Compare the fingerprint with the other organisations by telephone, then run "
                    "`secureflow charter pin`.",
                )
            self._pinned = Charter.from_json(kept)
        return self._pinned

    def describe(self, candidate: SignedCharter | None) -> dict[str, JSON]:
        """Return the pinned charter, the candidate, and how they differ."""
        kept = self._store.fact(_FACT)
        pinned = None if kept is None else Charter.from_json(kept)
        shown = None if candidate is None else candidate.charter
        differences = compare(pinned, shown) if pinned and shown else []
        return {
            "pinned": pinned and _described(pinned),
            "candidate": shown
            and {
                **_described(shown),
                "signed_by": sorted(candidate.signers(shown.keys)) if candidate else [],
            },
            "differences": differences,
        }

    def pin(self, candidate: SignedCharter, confirmation: str = "") -> Charter:
        """Pin a charter; durable when this returns.

        Args:
            candidate: the charter to pin.
            confirmation: for the first one, its fingerprint as words or digits, or its hex
                digest, typed by a person. A change needs signatures instead.

        Raises:
            SecureFlowError: `charter_not_confirmed`, `charter_mismatch` (this organisation's own
                key is not in it, or it does not follow), `charter_not_signed`.
        """
        charter = candidate.charter
        self._check_own_key(charter)
        if self._store.fact(_FACT) is None:
            _check_confirmation(charter, confirmation)
        else:
            charter = accept_change(self.pinned(), candidate)
        with self._store.transaction():
            self._store.set_fact(_FACT, charter.json())
            facts = {"version": charter.version, "digest": charter.digest}
            self._store.note(self._clock(), "charter.pinned", "", **facts)
        self._pinned = charter
        return charter

    def sign(self, candidate: SignedCharter) -> dict[str, JSON]:
        """Sign a candidate as a member; return what the server collects: digest and signature.

        Raises:
            SecureFlowError: `charter_mismatch` when the own key is not in it, or when it does not
                follow the pinned version.
        """
        charter = candidate.charter
        self._check_own_key(charter)
        if self._store.fact(_FACT) is not None:
            pinned = self.pinned()
            follows = (charter.version, charter.previous) == (pinned.version + 1, pinned.digest)
            if charter != pinned and not follows:
                raise SecureFlowError(
                    "charter_mismatch",
                    f"Charter version {charter.version} does not follow the pinned version "
                    f"{pinned.version}.",
                    "Pin the versions in between first.",
                    {"differences": compare(pinned, charter)},
                )
        signature = candidate.sign(self._party, self._key).signatures[self._party]
        with self._store.transaction():
            self._store.note(self._clock(), "charter.signed", digest=charter.digest)
        return {"digest": charter.digest, "signature": signature}

    def _check_own_key(self, charter: Charter) -> None:
        listed = charter.keys.get(self._party)
        if listed != self._key.public:
            what = "another signing key for" if listed else "no member"
            raise SecureFlowError(
                "charter_mismatch",
                f"The charter of digest {charter.digest[:16]}… names {what} {self._party}.",
                "Do not pin it. Ask the operator for a charter with the key that "
                "`secureflow agent status` shows.",
                {"own": self._key.public, "listed": listed},
            )


def _described(charter: Charter) -> dict[str, JSON]:
    return {
        **charter.json(),
        "digest": charter.digest,
        "words": charter.fingerprint_words("en"),
        "digits": charter.fingerprint_words("zh"),
    }


def _check_confirmation(charter: Charter, confirmation: str) -> None:
    typed = " ".join(confirmation.lower().split()).encode()
    right = (charter.fingerprint_words("en"), charter.fingerprint_words("zh"), charter.digest)
    if not any(hmac.compare_digest(typed, one.encode()) for one in right):
        raise SecureFlowError(
            "charter_not_confirmed",
            "The typed fingerprint is not that of the charter that the server shows."
            if typed
            else "The first charter is pinned only with its fingerprint, compared out of band.",
            "Read the words to another member by telephone; do not copy them from this screen.",
        )
