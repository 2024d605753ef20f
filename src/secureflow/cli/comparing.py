"""Signing a charter at a terminal: the words are shown, and exactly the shown charter is signed."""

from __future__ import annotations

import sys
from pathlib import Path

from secureflow.cli.console import confirmed, say
from secureflow.cli.texts import said, t
from secureflow.kit.errors import SecureFlowError


def compared(config: Path) -> str:
    """Show the charter to be signed, and return its digest after confirmation.

    Raises:
        SecureFlowError: `charter_missing`; `not_confirmed`, also without a terminal.
    """
    from secureflow.agent import api
    from secureflow.cli.charter import print_continuations
    from secureflow.domain.charter import SignedCharter

    charters = api.charter_show(config)
    if not charters.get("candidate"):
        raise SecureFlowError(
            "charter_missing",
            t("No charter waits for a signature."),
            "secureflow agent charter show",
        )
    charter = SignedCharter.from_json(charters["candidate"]).charter
    say(t("Charter version {version} of {domain}, digest {digest}",
          version=charter.version, domain=charter.trust_domain, digest=charter.digest))  # fmt: skip
    for member in charter.members:
        say(f"  {member.organisation}  {member.name}  {member.key}")
    for line in charters.get("differences") or ():
        say(t("differs from the pinned one: {what}", what=said(line)))
    print_continuations(charter)
    say(t("Compare with the other members, not through this server:"))
    say(f"  {charter.fingerprint_words('en')}\n  {charter.fingerprint_words('zh')}")
    if not sys.stdin.isatty():
        raise SecureFlowError(
            "not_confirmed",
            t("Compare the words with the other members first."),
            'secureflow agent charter sign --confirm "WORDS"',
        )
    confirmed(
        t("Did every other member read out these words, by telephone or in person?"), yes=False
    )
    return charter.digest
