"""`secureflow charter`: show, compare and verify it. Pinning and signing are up to the agents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureflow.cli.console import Form, Output, group, say, show, write
from secureflow.cli.files import read_json, write_text
from secureflow.cli.session import client
from secureflow.cli.texts import said, t
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown

if TYPE_CHECKING:
    from secureflow.domain.charter import Charter, SignedCharter
    from secureflow.sdk.views import PublishedCharter

app = group("The charter: who the organisations are, compared out of band.")

File = Annotated[Path, typer.Argument(help=t("Charter file (JSON)."))]
Candidate = Annotated[bool, typer.Option(help=t("The version that waits for signatures."))]


@app.command("show", help=t("Show the server's charter and the words to compare."))
def show_charter(
    candidate: Candidate = False,
    save: Annotated[Path | None, typer.Option(help=t("Also write it to this file."))] = None,
    output: Output = Form.TABLE,
) -> None:
    """Show the server's charter; fingerprints are computed here, not taken from the server."""
    with client() as connection:
        resource = connection.charter
        published = resource.candidate() if candidate else resource.get()
    signed = _received(published)
    _show(signed, output)
    if save is not None:
        write_text(save, json.dumps(signed.json(), ensure_ascii=False, indent=2) + "\n")
        say(t("Written to {path}.", path=save))


@app.command("draft", help=t("Propose the next version of the charter."))
def draft(
    member: Annotated[
        list[str] | None,
        typer.Option(
            help=t("Slug of a member; may be repeated. Default: every enrolled organisation.")
        ),
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Propose the next version."""
    with client() as connection:
        published = connection.charter.draft(member)
    _show(_received(published), output)
    say(t("Each member now compares the words and signs: secureflow agent charter sign."))


@app.command("continue", help=t("Continue a log that was rolled back, if its members agree."))
def draft_continuation(output: Output = Form.TABLE) -> None:
    """Draft the charter that continues a log whose newest database is lost."""
    with client() as connection:
        published = connection.charter.draft_continuation()
    _show(_received(published), output)
    say(
        t(
            "More than two thirds of the members compare the words and sign: "
            "secureflow agent charter sign. Until then nothing is signed."
        )
    )


@app.command("log-key", help=t("Propose another signing key for the log, or give it up."))
def change_log_key(
    reason: Annotated[
        str, typer.Option(help=t("Why, in one line; the members read it when they sign."))
    ] = "",
    give_up: Annotated[
        bool, typer.Option("--give-up", help=t("Drop the proposed key: the present one goes on."))
    ] = False,
    output: Output = Form.TABLE,
) -> None:
    """Draft the charter that names the log's next key."""
    if give_up == bool(reason):
        raise SecureFlowError(
            "invalid_request",
            t("Name a reason, or give the change up."),
            'secureflow charter log-key --reason "planned change"',
        )
    with client() as connection:
        if give_up:
            connection.charter.give_up_log_key()
            say(t("The log goes on under its present key."))
            return
        published = connection.charter.change_log_key(reason)
    _show(_received(published), output)
    say(
        t(
            "More than two thirds of the members compare the words and sign: "
            "secureflow agent charter sign. Until then nothing is signed."
        )
    )


@app.command("compare", help=t("Show how two charter files differ; exit code 7 if they do."))
def compare_files(first: File, second: File) -> None:
    """Compare two charter files."""
    from secureflow.domain.charter import compare

    differences = compare(_signed(read_json(first)).charter, _signed(read_json(second)).charter)
    for line in differences:
        write(shown(said(line)))
    if differences:
        raise SecureFlowError("charter_refused", t("The charters differ."))
    say(t("Both are the same charter."))


@app.command(
    "verify", help=t("Check a charter file's signatures; exit code 7 if some are missing.")
)
def verify(
    file: File,
    pinned: Annotated[
        Path | None, typer.Option(help=t("The charter known before; the file must follow it."))
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Check a charter file."""
    from secureflow.domain.charter import accept_change, accept_first

    signed = _signed(read_json(file))
    _show(signed, output)
    if pinned is not None:
        known = _signed(read_json(pinned)).charter
        try:
            accept_change(known, signed)
        except SecureFlowError as error:
            raise SecureFlowError("charter_refused", error.message, error.hint) from error
        say(t("It follows the pinned charter."))
        return
    try:
        accept_first(signed)
    except SecureFlowError as error:
        raise SecureFlowError("charter_refused", error.message, error.hint) from error
    say(t("Enough members signed it. Compare the words with every member before pinning it."))


def _received(published: PublishedCharter) -> SignedCharter:
    return _signed({"charter": published.charter, "signatures": published.signatures})


def _signed(value: Any) -> SignedCharter:
    from secureflow.domain.charter import SignedCharter

    if isinstance(value, dict) and "history" in value:  # earlier versions, for bundles
        value = {name: one for name, one in value.items() if name != "history"}
    return SignedCharter.from_json(value)


def show_both(charters: Mapping[str, Any]) -> None:
    """Print an agent's charters: the pinned one, the candidate, and their differences."""
    pinned, waiting = charters.get("pinned"), charters.get("candidate")
    if pinned:
        write(t("This agent uses:"))
        _show(_signed(pinned), Form.TABLE)
    else:
        say(t("No charter is pinned yet."))
    if waiting and (not pinned or waiting["charter"] != pinned["charter"]):
        write(("\n" if pinned else "") + t("Waiting to be signed:"))
        _show(_signed(waiting), Form.TABLE)
    for line in charters.get("differences") or ():
        write(t("differs from the pinned one: {what}", what=said(line)))


def print_continuations(charter: Charter) -> None:
    """Describe what the log lost or which key ended, and how it continues."""
    names = [one.origin for one in charter.continuations[1:]] + [charter.origin]
    for one, name in zip(charter.continuations, names, strict=False):
        if one.changes_key:
            say(
                t(
                    "The key {key} of the log {origin} ends with its head of {size} entries "
                    "({reason}). It continues as {name} under the key {new}.",
                    key=one.log_key,
                    origin=one.origin,
                    size=one.size,
                    reason=one.reason,
                    name=name,
                    new=charter.log_keys[name],
                )
            )
            continue
        say(
            t(
                "The log {origin} was rolled back from {size} entries to {start}: "
                "{lost} entries, from {first} to {last}, are lost at the centre. It "
                "continues as {name}.",
                origin=one.origin,
                size=one.size,
                start=one.start,
                lost=one.lost,
                first=one.start if one.lost else "–",
                last=one.size - 1 if one.lost else "–",
                name=name,
            )
        )


def _show(signed: SignedCharter, output: Form) -> None:
    charter = signed.charter
    facts = {
        **signed.json(),
        "digest": charter.digest,
        "words": charter.fingerprint_words("en"),
        "digits": charter.fingerprint_words("zh"),
    }
    if output is not Form.TABLE:
        show(facts, output)
        return
    valid = signed.signers(charter.keys)
    head = {**charter.json(), **facts}
    show(head, output, ("version", "trust_domain", "origin", "log_key", "digest"))
    rows = [{**vars(one), "signed": t("yes") if one.organisation in valid else t("no")}
            for one in charter.members]  # fmt: skip
    show(rows, output, ("organisation", "name", "key", "signed"))
    print_continuations(charter)
    say(t("Compare with the other members, not through this server:"))
    write(f"  {facts['words']}\n  {facts['digits']}")
