"""The witness's rule, without IO: how an agent watches a log that it does not trust.

Each agent keeps the last head it accepted. A new head counts only when the log's pinned key
signed it and it is *proven* to extend that last head; then the agent cosigns it. Two heads that
the log signed for one size with different roots are proof of fraud for anyone who holds the
charter, because an honest log cannot make them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from secureflow.engines.ledger.merkle import EMPTY_ROOT, verify_consistency
from secureflow.engines.ledger.notes import Checkpoint, parse_note
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


@dataclass(frozen=True)
class WitnessView:
    """The last head that a witness accepted, under the pinned origin and base64 log key.

    `note` is that head as the log signed it, kept because it is half of a proof of fraud.
    """

    origin: str
    log_key: str
    size: int = 0
    root: bytes = EMPTY_ROOT
    note: str = ""


def observe(view: WitnessView, note_text: str, consistency_proof: Sequence[bytes]) -> WitnessView:
    """Judge a head and return the view after it.

    The proof leads from the smaller of the two sizes to the larger; it is empty for a head of
    equal size and counts for nothing before the first head. An older head that is proven to be a
    prefix is fine (messages overtake each other) and leaves the view as it is.

    Raises:
        SecureFlowError: `malformed_note`; `ledger_wrong_log`; `ledger_bad_signature`;
            `ledger_rollback` for a smaller head without proof; `ledger_inconsistent` otherwise.
            The last two carry both notes in `details`, the last one the proof that did not hold.
    """
    note = parse_note(note_text)
    head = note.checkpoint
    if head.origin != view.origin:
        raise SecureFlowError(
            "ledger_wrong_log",
            Text(
                "A head of the log {origin} was shown where {view_origin} is pinned.",
                origin=head.origin,
                view_origin=view.origin,
            ),
            "Check that this agent is connected to the centre that its charter names.",
        )
    if not note.verify_log(view.log_key):
        raise SecureFlowError(
            "ledger_bad_signature",
            Text(
                "The head of size {size} is not signed by the pinned key of {origin}.",
                size=head.size,
                origin=view.origin,
            ),
            "Do not continue: compare the charter's log key with the other members, out of band.",
        )
    if view.size == 0:
        return replace(view, size=head.size, root=head.root, note=note_text if head.size else "")
    if head.size < view.size:
        _check_prefix(view, head, note_text, consistency_proof)
        return view
    if not verify_consistency(view.size, head.size, view.root, head.root, consistency_proof):
        raise inconsistent(view, head, note_text, proof=consistency_proof)
    if head.size == view.size:
        return view
    return replace(view, size=head.size, root=head.root, note=note_text)


def fraud_proof(note_a: str, note_b: str, log_key: str) -> bool:
    """Tell whether two notes convict the log: one origin and size, two roots, both signed.

    Total: malformed notes prove nothing.
    """
    try:
        a, b = parse_note(note_a), parse_note(note_b)
        signed = a.verify_log(log_key) and b.verify_log(log_key)
    except SecureFlowError:
        return False
    one, two = a.checkpoint, b.checkpoint
    return signed and (one.origin, one.size) == (two.origin, two.size) and one.root != two.root


def _check_prefix(view: WitnessView, head: Checkpoint, note: str, proof: Sequence[bytes]) -> None:
    if verify_consistency(head.size, view.size, head.root, view.root, proof):
        return
    if proof:
        raise inconsistent(view, head, note, proof=proof)
    raise SecureFlowError(
        "ledger_rollback",
        Text(
            "The log {origin} shows size {size}; this agent has already seen {view_size}.",
            origin=view.origin,
            size=head.size,
            view_size=view.size,
        ),
        "The centre may run on a restored backup: stop, keep both notes, tell the other members.",
        {"known": view.note, "shown": note},
    )


def inconsistent(
    view: WitnessView,
    head: Checkpoint,
    note: str,
    known: str = "",
    proof: Sequence[bytes] = (),
) -> SecureFlowError:
    """Return the error for two heads of different histories.

    Args:
        view: of the witness.
        head: the one that is shown.
        note: that head as the log signed it.
        known: the accepted one that it contradicts; by default the last one.
        proof: what was given as the proof between both, and does not hold.
    """
    return SecureFlowError(
        "ledger_inconsistent",
        Text(
            "The log {origin} at size {size} does not extend what this agent saw at size "
            "{view_size}: history was changed, or two histories are being shown.",
            origin=view.origin,
            size=head.size,
            view_size=parse_note(known).checkpoint.size if known else view.size,
        ),
        "Stop trusting this centre and give both notes to the other members.",
        {"known": known or view.note, "shown": note, "proof": [node.hex() for node in proof]},
    )
