"""The exchange with the log's witnesses.

Checkpoint, proofs and cosignature travel with the messages of the job: at delivery a request that
names a head gets the consistency proof from what this party saw last, and the inclusion proofs of
its own leaves; the party answers with a cosignature.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from secureflow.application.ports.ledger import Ledger
from secureflow.engines.ledger.notes import Note, attach, noted_size, parse_note
from secureflow.engines.ledger.setback import set_back
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

_log = get_logger(__name__)

MAX_PROOFS = 64

MemberKeys = Callable[[], Awaitable[Mapping[str, str]]]


class Witnessing:
    """Makes log proofs for parties and stores their cosignatures.

    Args:
        ledger: the log.
        keys: returns the adopted charter's organisation → signing key.
    """

    def __init__(self, ledger: Ledger, keys: MemberKeys) -> None:
        self._ledger = ledger
        self._keys = keys

    async def log_proofs(
        self, body: Mapping[str, Any], log_size: int, unproved: Sequence[str]
    ) -> dict[str, Any]:
        """Return the proofs for a request that names a head; empty if it names none.

        Args:
            body: the request's body; `head` is a signed checkpoint note.
            log_size: the size of the head that this party saw last (0: none).
            unproved: hex leaf hashes that the party waits for.

        Raises:
            InfrastructureError: `log_set_back` while the log is held: no head is shown then.
        """
        head = body.get("head") or body.get("cosigned")
        if not isinstance(head, str):
            return {}
        if (hold := self._ledger.hold) is not None:
            raise set_back(hold, self._ledger.origin)
        size = noted_size(head)  # this server's own note, with hundreds of cosignatures
        old, new = sorted((log_size, size))
        proof = await self._ledger.consistency(old, new) if 0 < old < new else []
        return {
            "consistency": {"from": old, "to": new, "proof": [h.hex() for h in proof]},
            "inclusion": [p for h in unproved[:MAX_PROOFS] for p in await self._proved(h, size)],
        }

    async def _proved(self, leaf: str, size: int) -> list[dict[str, Any]]:
        index = await self._ledger.find(bytes.fromhex(leaf))
        if index is None or index >= size:
            return []
        proof = await self._ledger.inclusion(index, size)
        return [{"hash": leaf, "index": index, "size": size, "proof": [h.hex() for h in proof]}]

    async def cosigned(self, head: str, lines: Mapping[str, str]) -> None:
        """Store parties' cosignatures of a head, each if it is valid under the party's own key.

        Args:
            head: the signed note.
            lines: party to its line; the charter has the parties' keys.
        """
        keys = await self._keys()
        valid: list[str] = []
        size = 0
        for party, line in lines.items():
            note = _cosigned(head, party, keys.get(party), line)
            if note is None:
                _log.warning("a cosignature is not valid", party=party)
            else:
                valid.append(line)
                size = note.checkpoint.size
        if valid:
            await self._ledger.cosign(size, valid)


def _cosigned(head: str, party: str, key: str | None, line: str) -> Note | None:
    """Return the head's note with a party's line, if that is valid under its key."""
    try:
        note = parse_note(attach(head, [line]))
        valid = key is not None and party in note.cosigners({party: key})
    except SecureFlowError:
        return None
    return note if valid else None
