"""The pinned charter: who the other organisations are, as compared by this organisation itself.

The first charter is pinned only by a person who enters what was compared out of band: its
fingerprint (words or digits) or the digest of the file; and only once every member has signed it. A
later version is accepted if more than two thirds of the *pinned* members signed it. Signing also
requires a person to enter what was compared. The server's charter is a candidate, never trusted.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping

from secureflow.agent.record.ownkeys import HOW_TO_PIN
from secureflow.agent.record.store import RecordStore
from secureflow.domain.charter import Charter, SignedCharter, accept_change, accept_first, compare
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Call = Callable[[str, Mapping[str, JSON]], Awaitable[JSON]]
_FACT = "charter"
_EARLIER = "charters"
"""Earlier pinned versions, oldest first: bundles were made under them."""


class PinnedCharter:
    """Shows, pins, changes and signs charters for one organisation.

    Args:
        store: the agent's record.
        party: organisation slug.
        key: its signing key.
        clock: unix seconds.
    """

    def __init__(self, store: RecordStore, party: str, key: SigningKey, clock: Clock) -> None:
        self._store = store
        self._party = party
        self._key = key
        self._clock = clock
        self._kept: SignedCharter | None = None

    def pinned(self) -> Charter:
        """Return the pinned charter.

        Raises:
            SecureFlowError: `charter_not_pinned`.
        """
        signed = self._signed()
        if signed is None:
            raise SecureFlowError(
                "charter_not_pinned",
                Text(
                    "{party} has not pinned a charter yet, so it knows no other member.",
                    party=self._party,
                ),
                HOW_TO_PIN,
            )
        return signed.charter

    def holds(self, candidate: SignedCharter) -> bool:
        """Return whether this very charter is the pinned one."""
        signed = self._signed()
        return signed is not None and signed.charter == candidate.charter

    def named(self) -> dict[str, JSON]:
        """Return which charter is pinned, in the form sent to the centre; empty for none."""
        signed = self._signed()
        if signed is None:
            return {}
        return {"version": signed.charter.version, "digest": signed.charter.digest}

    def versions_after(self, version: int) -> list[SignedCharter]:
        """Return the consecutive versions after this one, up to the pinned one."""
        kept = [SignedCharter.from_json(one) for one in self._store.fact(_EARLIER) or ()]
        pinned = self._signed()
        known = [*kept, *([pinned] if pinned else [])]
        return [one for one in known if one.charter.version > version]

    def describe(self, candidate: SignedCharter | None) -> dict[str, JSON]:
        """Return both signed charters, the fingerprints to compare, and the differences."""
        pinned = self._signed()
        shown = {"pinned": pinned, "candidate": candidate}
        both = pinned is not None and candidate is not None
        return {
            **{name: one and one.json() for name, one in shown.items()},
            "fingerprints": {name: _fingerprint(one) for name, one in shown.items() if one},
            "signed_by": sorted(candidate.signers(candidate.charter.keys)) if candidate else [],
            "differences": compare(pinned.charter, candidate.charter)
            if both and pinned and candidate
            else [],
            "history": self._store.fact(_EARLIER) or [],
        }

    def pin(self, candidate: SignedCharter, confirmation: str = "") -> Charter:
        """Pin a charter; durable when this returns.

        Args:
            candidate: the charter to pin.
            confirmation: for the first one, its fingerprint as words or digits, or its hex
                digest, typed by a person, in addition to every member's signature. A change needs
                only signatures.

        Raises:
            SecureFlowError: `charter_not_confirmed`, `charter_mismatch` (this organisation's own
                key is not in it, or it does not follow), `charter_not_signed`.
        """
        charter = candidate.charter
        self._check_own_key(charter)
        pinned = self._signed()
        if pinned is None:
            _check_confirmation(charter, confirmation)
            accept_first(candidate)
        else:
            accept_change(pinned.charter, candidate)
        with self._store.transaction():
            if pinned is not None and pinned.charter != charter:
                earlier = self._store.fact(_EARLIER) or []
                self._store.set_fact(_EARLIER, [*earlier, pinned.json()])
            self._store.set_fact(_FACT, candidate.json())
            facts = {"version": charter.version, "digest": charter.digest}
            self._store.note(self._clock(), "charter.pinned", "", **facts)
        self._kept = candidate
        return charter

    def sign(self, candidate: SignedCharter, confirmation: str) -> dict[str, JSON]:
        """Sign a candidate as a member; return the digest and signature that the server collects.

        Args:
            candidate: the charter that waits for signatures.
            confirmation: what a person compared, or the digest of what the person was shown.

        Raises:
            SecureFlowError: `charter_not_confirmed`; `charter_mismatch` if the own key is not in
                it, or if it does not follow the pinned version.
        """
        charter = candidate.charter
        self._check_own_key(charter)
        _check_confirmation(charter, confirmation)
        signed = self._signed()
        if signed is not None:
            pinned = signed.charter
            follows = (charter.version, charter.previous) == (pinned.version + 1, pinned.digest)
            if charter != pinned and not follows:
                raise SecureFlowError(
                    "charter_mismatch",
                    Text(
                        "Charter version {version} does not follow the pinned version "
                        "{pinned_version}.",
                        version=charter.version,
                        pinned_version=pinned.version,
                    ),
                    "Pin the versions in between first.",
                    {"differences": compare(pinned, charter)},
                )
        signature = candidate.sign(self._party, self._key).signatures[self._party]
        with self._store.transaction():
            self._store.note(self._clock(), "charter.signed", digest=charter.digest)
        return {"digest": charter.digest, "signature": signature}

    def _signed(self) -> SignedCharter | None:
        if self._kept is None:
            kept = self._store.fact(_FACT)
            self._kept = None if kept is None else SignedCharter.from_json(kept)
        return self._kept

    def _check_own_key(self, charter: Charter) -> None:
        listed = charter.keys.get(self._party)
        if listed != self._key.public:
            what = "another signing key for" if listed else "no member"
            raise SecureFlowError(
                "charter_mismatch",
                Text(
                    "The charter of digest {digest} names {what} {party}.",
                    digest=charter.digest,
                    what=what,
                    party=self._party,
                ),
                "Do not pin it. Ask the operator for a charter with the key that "
                "`secureflow agent status` shows.",
                {"own": self._key.public, "listed": listed},
            )


def _fingerprint(signed: SignedCharter) -> dict[str, JSON]:
    charter = signed.charter
    return {
        "version": charter.version,
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
            "The typed fingerprint does not match the charter that the server shows."
            if typed
            else "Type the charter's fingerprint, compared out of band.",
            "Read the words to every other member by telephone; do not copy them from this screen.",
        )
