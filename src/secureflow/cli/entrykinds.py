"""Kinds of entries of the ledger in words, as the console calls them; a search takes both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.cli.texts import t

KINDS: Final[Mapping[str, str]] = {
    "project.created": "founded the project",
    "project.changed": "changed the project",
    "project.frozen": "froze the project",
    "project.thawed": "let the project go on",
    "project.archived": "archived the project",
    "job.proposed": "submitted a job",
    "job.finished": "a job ended",
    "job.resumed": "resumed a job",
    "job.prioritised": "changed a job's priority",
    "approval": "approved a job",
    "results.delivered": "results were handed over",
    "grant.created": "granted data",
    "grant.revoked": "revoked a grant",
    "grant.confirmed": "confirmed a grant",
    "grant.reduced": "narrowed a grant",
    "bundle.uploaded": "uploaded code",
    "bundle.removed": "removed code",
    "question.asked": "asked a question",
    "question.answered": "answered a question",
    "member.invited": "invited a member",
    "member.joined": "accepted the invitation",
    "member.left": "left the project",
    "person.named": "gave a person roles",
    "person.removed": "took a person's roles",
    "dataset.published": "published data",
    "dataset.removed": "removed data",
    "login.accepted": "somebody logged in",
    "login.refused": "a login was refused",
    "user.created": "made an account",
    "user.updated": "changed an account",
    "organisation.created": "made an organisation",
    "organisation.disabled": "disabled an organisation",
    "charter.proposed": "proposed a charter",
    "charter.signed": "signed a charter",
    "charter.adopted": "a charter was adopted",
    "enrolment.created": "let an agent enrol",
    "enrolment.used": "an agent enrolled",
    "enrolment.ended": "ended an enrolment",
    "agent.revoked": "revoked an agent",
    "second_factor.enrolled": "added a second factor",
    "second_factor.removed": "removed a second factor",
    "webhook.created": "made a webhook",
    "webhook.removed": "removed a webhook",
    "weights.uploaded": "uploaded weights",
    "weights.removed": "removed weights",
    "device.approved": "approved a device",
    "update": "sent a contribution",
    "attested": "checked the enclave",
    "round.closed": "a round was closed",
    "finished": "signed its end of a job",
    "job.closed": "the record of a job was closed",
    "step": "signed what a step of a pipeline gave",
    "job.part": "a step of a pipeline began or ended",
    "user.erased": "erased an account",
    "access.ended": "ended logins and tokens",
    "revenue.drafted": "drafted a revenue agreement",
    "revenue.signed": "signed a revenue agreement",
    "revenue.agreed": "a revenue agreement came into force",
    "settlement.opened": "opened a settlement",
    "settlement.approve": "approved a settlement",
    "settlement.dispute": "disputed a settlement",
    "settlement.withdraw": "took a dispute back",
    "settlement.close": "a settlement was closed",
    "settlement.pay": "stated a payment",
    "settlement.confirm": "confirmed a payment",
    "settlement.accuse": "accused the centre over a settlement",
}
"""Kind of an entry → what happened."""


def deed(kind: str) -> str:
    """Return what was done, in words; a kind that is not known as it is."""
    return t(KINDS[kind]) if kind in KINDS else kind


def in_words(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry for a table: its kind in words, or as it is if none are known."""
    kind = str(entry.get("kind", ""))
    return {**entry, "action": deed(kind)}


def kind_of(said: str) -> str:
    """Return the kind that somebody asks for by its words, in either language, or by its name."""
    wanted = said.strip()
    words = {word: kind for kind, english in KINDS.items() for word in (english, t(english))}
    return words.get(wanted, wanted)
