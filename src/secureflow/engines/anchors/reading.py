"""What a reader makes of what a place keeps, without IO: nobody is believed who did not sign.

- A place is believed only if each of its members is in the reader's pinned charter, and the charter
  key signed which account is the member's (`entries.binding`). One stranger is enough to doubt it.
- An anchored head counts only if the log itself signed it (C2SP tlog-checkpoint). One that it did
  not sign is its sender's lie and says nothing about the log.
- Two heads of one log and size with different roots, both signed by the log, convict the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature

from secureflow.engines.anchors.entries import Admit, AnchorHead, binding, log_digest
from secureflow.engines.ledger.notes import Checkpoint, parse_note, signed_note
from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.crypto import public_key
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_HALF: Final = 32


def anchored_head(note: str, log_key: str) -> AnchorHead:
    """Return the entry that anchors a head.

    Args:
        note: the head as the log signed it.
        log_key: the log's base64 key.

    Raises:
        SecureFlowError: `malformed_note`; `ledger_bad_signature` if that key did not sign it.
    """
    parsed = parse_note(note)
    one, signature = parsed.checkpoint, parsed.log_signature(log_key)
    if len(signature) != 2 * _HALF:
        raise SecureFlowError(
            "ledger_bad_signature",
            Text(
                "The head of size {size} is not signed by the pinned key of {origin}.",
                size=one.size,
                origin=one.origin,
            ),
            "Do not continue: compare the charter's log key with the other members, out of band.",
        )
    halves = signature[:_HALF], signature[_HALF:]
    return AnchorHead(log_digest(one.origin), one.size, one.root, halves)


def note_of(head: AnchorHead, origins: Mapping[str, str]) -> str | None:
    """Return an anchored head as the log signed it; None if it is not of these logs.

    Args:
        head: as a place keeps it.
        origins: names of logs, each with the base64 key that signs under it.

    Raises:
        SecureFlowError: `anchor_head_forged` if the log did not sign it.
    """
    for origin, key in origins.items():
        if log_digest(origin) == head.log:
            checkpoint = Checkpoint(origin, head.size, head.root)
            if _signed(key, b"".join(head.signature), checkpoint.text.encode()):
                return signed_note(checkpoint, key, b"".join(head.signature))
            raise SecureFlowError(
                "anchor_head_forged",
                Text(
                    "A head of {origin} with {size} entries was anchored that the log never "
                    "signed.",
                    origin=origin,
                    size=head.size,
                ),
                "It says nothing about the log, but that its sender lies.",
            )
    return None


def check_members(place: str, members: Sequence[Admit], charter: Mapping[str, str]) -> None:
    """Refuse a place that has a member whom the charter does not know, or whose account is another.

    Args:
        place: which place (`Anchor.place`).
        members: as the place says.
        charter: organisation to base64 signing key.

    Raises:
        SecureFlowError: `anchor_untrusted`, naming the first such member.
    """
    known = {b64decode(key): name for name, key in charter.items()}
    for one in members:
        if one.member not in known:
            raise _untrusted(place, one.member.hex(), "the pinned charter has no such key")
        if not is_bound(place, one):
            reason = "its charter key did not sign that account"
            raise _untrusted(place, known[one.member], reason)
    if len({one.account for one in members}) != len(members):
        raise _untrusted(place, "?", "two members have one account")
    if not members:
        raise _untrusted(place, "?", "it has no members")


def is_bound(place: str, member: Admit) -> bool:
    """Tell whether a charter key signed that an account of a place is its member's."""
    message = binding(place, member.member, member.account)
    return _signed(b64encode(member.member), b"".join(member.signature), message)


def _signed(key: str, signature: bytes, message: bytes) -> bool:
    try:
        public_key(key).verify(signature, message)
    except (InvalidSignature, SecureFlowError):
        return False
    return True


def _untrusted(place: str, who: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "anchor_untrusted",
        Text(
            "The place {place} is not believed: of its member {who}, {reason}.",
            place=place,
            who=who,
            reason=reason,
        ),
        "Compare its members with your charter: secureflow agent anchor doctor. Nothing that it "
        "keeps counts until that is settled.",
    )
