"""`secureflow audit`: what the ledger says, and whether it is true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from secureflow.cli.console import Form, Output, group, say, show
from secureflow.cli.files import read_json, write_text
from secureflow.cli.session import client
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

app = group("Read the ledger, and verify a job's story offline.")

Job = Annotated[str, typer.Option("--job", help=t("Only of this job."))]


@app.command("head", help=t("Show the newest signed head."))
def head(output: Output = Form.TABLE) -> None:
    """Show the log's head."""
    with client() as connection:
        show(connection.audit.head(), output, ("origin", "key", "size"))


@app.command("entries", help=t("List entries of the log."))
def entries(
    job: Job = "",
    start: Annotated[int, typer.Option(min=0, help=t("First index."))] = 0,
    limit: Annotated[int, typer.Option(min=1, help=t("At most so many."))] = 100,
    output: Output = Form.TABLE,
) -> None:
    """List log entries."""
    found: list[dict[str, Any]] = []
    with client() as connection:
        for entry in connection.audit.entries(job, start):
            found.append(entry)
            if len(found) == limit:
                break
    show(found, output, ("index", "kind", "author", "job", "at", "hash"))


@app.command("export", help=t("Write a job's audit bundle."))
def export(
    job: Annotated[str, typer.Argument(help=t("Id of the job."))],
    file: Annotated[Path, typer.Argument(help=t("File to write."))],
) -> None:
    """Write a job's audit bundle."""
    with client() as connection:
        bundle = connection.audit.bundle(job)
    write_text(file, json.dumps(bundle, ensure_ascii=False) + "\n")
    say(t("Written to {path}.", path=file))


@app.command("verify", help=t("Verify a bundle offline; exit code 7 unless it is authentic."))
def verify(
    bundle: Annotated[Path, typer.Argument(help=t("Audit bundle (JSON)."))],
    charter: Annotated[
        Path | None, typer.Option(help=t("The charter that you pinned (JSON file)."))
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Verify an audit bundle without any server.

    Without a charter the bundle can only be consistent with itself, which a forger manages too:
    then the exit code is 7 as well.
    """
    from secureflow.domain.charter import SignedCharter
    from secureflow.engines.ledger.bundle import verify_bundle

    pinned = None if charter is None else SignedCharter.from_json(read_json(charter)).charter
    verdict = verify_bundle(read_json(bundle), pinned)
    columns = ("status", "entries", "size", "cosigners", "quorum")
    show(verdict, output, columns)
    if verdict.ok:
        say(t("Verified: every entry is signed, chained, included and cosigned."))
        return
    for failure in verdict.failures:
        say(f"  - {failure}")
    hint = "" if charter else t("Give the charter that you pinned: --charter FILE.")
    raise SecureFlowError(
        "audit_failed", t("The bundle is not verified: {status}.", status=verdict.status), hint
    )
