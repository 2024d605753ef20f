"""`secureflow ledger`: heads and proofs, each verified here before it is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureflow.cli.console import Form, Output, group, say, show, write
from secureflow.cli.files import read_json
from secureflow.cli.session import client
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.domain.charter import Charter
    from secureflow.engines.ledger.notes import Note

app = group("Heads and proofs of the transparency log (RFC 9162, C2SP checkpoints).")

CharterFile = Annotated[
    Path | None, typer.Option("--charter", help=t("The charter that you pinned (JSON file)."))
]


@app.command(
    "head", help=t("Write the newest head as a signed checkpoint, to keep and compare later.")
)
def head(charter: CharterFile = None) -> None:
    """Print the checkpoint note; with a charter its signature is verified."""
    with client() as connection:
        text = connection.audit.head()["note"]
    _checked(text, _pinned(charter))
    write(text.rstrip("\n"))


@app.command("proof", help=t("Prove that an entry is in the log."))
def proof(
    index: Annotated[int, typer.Argument(min=0, help=t("Index of the entry."))],
    charter: CharterFile = None,
    output: Output = Form.TABLE,
) -> None:
    """Fetch and check an inclusion proof."""
    from secureflow.engines.ledger.merkle import verify_inclusion

    with client() as connection:
        note = _checked(connection.audit.head()["note"], _pinned(charter))
        checkpoint = note.checkpoint
        entry = next(iter(connection.audit.entries(start=index)), {})
        path = connection.audit.inclusion(index, checkpoint.size)["proof"]
    if entry.get("index") != index:
        raise SecureFlowError("not_found", t("The log has no entry {index}.", index=index))
    leaf = _hash(entry["hash"])
    hashes = [_hash(one) for one in path]
    if not verify_inclusion(leaf, index, checkpoint.size, hashes, checkpoint.root):
        raise SecureFlowError("proof_refused", t("The inclusion proof is not valid."))
    answer = {"index": index, "hash": leaf.hex(), "size": checkpoint.size, "proof": path}
    show({**answer, "root": checkpoint.root.hex()}, output)
    say(t("The proof is valid."))


@app.command("consistency", help=t("Prove that the log only grew between two sizes."))
def consistency(
    old: Annotated[Path, typer.Argument(help=t("File with a checkpoint that you kept earlier."))],
    charter: CharterFile = None,
    output: Output = Form.TABLE,
) -> None:
    """Fetch the newest head and check that it extends a checkpoint kept from before."""
    from secureflow.engines.ledger.merkle import verify_consistency
    from secureflow.kit.inputfiles import read_bytes

    pinned = _pinned(charter)
    before = _checked(read_bytes(old, 1 << 16).decode("utf-8", "replace"), pinned).checkpoint
    with client() as connection:
        now = _checked(connection.audit.head()["note"], pinned).checkpoint
        sizes = (before.size, now.size)
        path = connection.audit.consistency(*sizes)["proof"] if before.size <= now.size else []
    hashes = [_hash(one) for one in path]
    if not verify_consistency(*sizes, before.root, now.root, hashes):
        raise SecureFlowError(
            "ledger_inconsistent",
            t("The log was rewritten: its head does not extend the one that you kept."),
            t("Keep both heads: two conflicting signed heads are proof of fraud."),
        )
    show({"from": before.size, "to": now.size, "proof": path}, output)
    say(t("The proof is valid."))


def _pinned(path: Path | None) -> Charter | None:
    from secureflow.domain.charter import SignedCharter

    if path is None:
        say(t("Without --charter the log's own key is not checked."))
        return None
    return SignedCharter.from_json(read_json(path)).charter


def _checked(text: str, charter: Charter | None) -> Note:
    from secureflow.engines.ledger.notes import parse_note

    note = parse_note(text)
    if charter is None:
        return note
    if note.checkpoint.origin != charter.origin or not note.verify_log(charter.log_key):
        raise SecureFlowError(
            "head_refused",
            t("The head is not signed by the log of your charter."),
            t("Ask the operator; do not trust this server until it is explained."),
        )
    return note


def _hash(value: Any) -> bytes:
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError) as error:
        raise SecureFlowError("invalid_answer", t("The server sent no hash.")) from error
