"""Approvals that expire while a job waits or runs are requested again: renewed, never waived.

A job may wait for weeks for one owner, or be paused; meanwhile the approvals of the others expire.
An agent, and an enclave, then refuse (`approval_expired`). The owner is asked again for exactly
the same spec, decides again, and signs a new approval; only then is the refused request repeated,
to all parties: one that answered it before answers from its record. A refusal ends the job.

Every request of a job passes through here, so no phase needs to handle this. As long as no
approval expires, a script's effects are unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from secureflow.engines.run.admission import consent_request, take_approvals
from secureflow.engines.run.asking import ask
from secureflow.engines.run.run import Course, seconds_now
from secureflow.engines.script import Ask, Effect, Script, Tell
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

T = TypeVar("T")
RENEWED_SECONDS: Final = 7 * 86_400
"""Validity that a renewed approval asks for; its owner may grant less."""
MAX_RENEWALS: Final = 16
"""How often one party is asked in a job: one whose approvals do not last is a dropout."""
EXPIRED: Final = "approval_expired"
_WITHOUT: Final = frozenset({"consent", "finish", "cosign"})
"""Verbs that need no approval, or ask for one."""


def renewing(course: Course[Any], script: Script[T]) -> Script[T]:
    """Run a script; expired approvals are renewed before the script sees the failure."""
    renewals: dict[str, int] = {}
    try:
        effect = next(script)
        while True:
            try:
                answer = yield from _performed(course, effect, renewals)
            except SecureFlowError as error:
                effect = script.throw(error)
            else:
                effect = script.send(answer)
    except StopIteration as stop:
        ended: T = stop.value
        return ended


def _performed(course: Course[Any], effect: Effect, renewals: dict[str, int]) -> Script[JSON]:
    """Perform an effect, and again after each renewal that it needs."""
    if not isinstance(effect, Ask) or effect.verb in _WITHOUT:
        return (yield effect)
    while True:
        failure: SecureFlowError | None = None
        answers: Mapping[str, Any] = {}
        try:
            answers = yield effect
        except SecureFlowError as error:
            failure = error
        failures = answers.get("failures") if failure is None else _failures(effect, failure)
        lapsed = [party for party in _expired_parties(failures) if party in course.spec.keys]
        due = tuple(party for party in lapsed if renewals.get(party, 0) < MAX_RENEWALS)
        if not due:
            if failure is not None:
                raise failure
            return answers
        for party in due:
            renewals[party] = renewals.get(party, 0) + 1
        yield from _renew(course, due)
        if "approvals" in effect.body:
            effect = replace(
                effect, body={**effect.body, "approvals": dict(course.admission.approvals)}
            )


def _failures(ask: Ask, error: SecureFlowError) -> JSON:
    """Return the failures by party: of several parties, or of the one that had to answer.

    An enclave names the party whose approval it found expired.
    """
    if error.code == EXPIRED:
        return {str(error.details.get("party", ask.to[0])): error.as_json()}
    return error.details.get("failures")


def _expired_parties(failures: JSON) -> list[str]:
    """Return the parties whose approvals have expired; the failures may come from anyone."""
    if not isinstance(failures, Mapping):
        return []
    expired = (p for p, one in failures.items() if isinstance(one, Mapping) and _expired(one))
    return sorted(map(str, expired))


def _expired(error: Mapping[str, JSON]) -> bool:
    return bool(error.get("code") == EXPIRED)


def _renew(course: Course[Any], parties: tuple[str, ...]) -> Script[None]:
    """Ask owners again for the same spec; their leaves are added to the next ledger entry.

    A party that is away does not refuse: the repeated request finds it silent.

    Raises:
        SecureFlowError: `consent_refused`, `approval_forged`, `leaf_forged`.
    """
    expires = int((yield from seconds_now())) + RENEWED_SECONDS
    for party in parties:
        yield Tell("party", {"party": party, "state": "renewing"})
    request = consent_request(course, expires)
    try:
        answers = yield from ask(parties, request, patience=course.patience)
    except SecureFlowError as error:
        if error.code != "too_few_answers":
            raise
        return
    take_approvals(course, answers.replies)
    for party in parties:
        yield Tell("party", {"party": party, "state": "approved"})
