"""`secureflow audit fraud`: read a file that convicts a log, without any server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureflow.cli.console import Form, Output, group, say, show
from secureflow.cli.files import read_json
from secureflow.cli.texts import said, t
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.engines.ledger.fraud import FraudVerdict

app = group("Read a file that convicts a log of two histories, offline.")

File = Annotated[Path, typer.Argument(help=t("Proof of fraud (JSON), as an agent wrote it."))]


@app.command("show", help=t("Show what a proof of fraud says; nobody's key is taken for granted."))
def show_fraud(file: File, output: Output = Form.TABLE) -> None:
    """Show a proof."""
    from secureflow.engines.ledger.fraud import verify_fraud

    _show(verify_fraud(read_json(file)), output)


@app.command(
    "verify", help=t("Verify a proof of fraud; exit code 7 unless it convicts the log you know.")
)
def verify(
    file: File,
    charter: Annotated[
        Path | None, typer.Option(help=t("The charter that you pinned (JSON file)."))
    ] = None,
    log_key: Annotated[
        str, typer.Option("--log-key", help=t("Or the log's key in base64, if you know it."))
    ] = "",
    output: Output = Form.TABLE,
) -> None:
    """Verify a proof against what the reader knows of the log."""
    from secureflow.domain.charter import SignedCharter
    from secureflow.engines.ledger.fraud import verify_fraud

    given: Any = None if charter is None else read_json(charter)
    if isinstance(given, dict):
        given.pop("history", None)
    pinned = None if charter is None else SignedCharter.from_json(given).charter
    verdict = verify_fraud(read_json(file), pinned, log_key)
    _show(verdict, output)
    if verdict.ok:
        say(t("Proved: the log signed two histories. Show the file to every member."))
        return
    if verdict.status == "not proved":
        raise SecureFlowError(
            "fraud_not_proved",
            t("The file does not convict the log."),
            t("It accuses nobody. Ask its sender for the file that the agent wrote."),
        )
    raise SecureFlowError(
        "audit_unauthenticated",
        t("The file convicts whoever holds the key in it."),
        t("Give the charter that you pinned: --charter FILE, or the log's key: --log-key KEY."),
    )


def _show(verdict: FraudVerdict, output: Form) -> None:
    if output is not Form.TABLE:
        show(verdict, output)
        return
    cases = {
        "two_roots": t("two roots of one size"),
        "other_prefix": t("the larger tree begins otherwise than the smaller one"),
        "": "–",
    }
    words = {
        "proved": t("proved"),
        "proved, unauthenticated": t("proved, unauthenticated"),
        "not proved": t("not proved"),
    }
    facts = {
        "status": words[verdict.status],
        "case": cases[verdict.case],
        "origin": verdict.origin,
        "key": verdict.log_key,
        "sizes": list(verdict.sizes),
        "roots": list(verdict.roots),
        "charter": verdict.charter or "–",
    }
    show(facts, Form.TABLE)
    for reason in verdict.failures:
        say(f"  - {said(reason)}")
