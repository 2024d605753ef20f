"""Requests to parties, and their parsed answers: the only place where a script meets JSON.

An answer was checked before it was journalled (`application.running.replies`). It is checked again
here, because a journal outlives versions: a malformed one is its party's failure, not the script's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from secureflow.engines.run.messages import VerbRequest, as_body, read_reply
from secureflow.engines.script import Ask, Script
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

R = TypeVar("R")


@dataclass(frozen=True)
class Answers(Generic[R]):
    """The answers by party; and party → error of those that failed."""

    replies: dict[str, R]
    failures: dict[str, JSON]


def ask(
    to: Iterable[str],
    request: VerbRequest[R],
    each: Mapping[str, Any] | None = None,
    *,
    need: int | None = None,
    patience: float | None,
) -> Script[Answers[R]]:
    """Ask parties, and wait until each has answered or stopped making progress.

    Args:
        to: party names.
        request: the part of the request that all receive.
        each: party → the part of the request that only this party receives.
        need: the minimum of answers (default: all).
        patience: seconds without progress after which a party counts as silent; None = no limit.

    Raises:
        SecureFlowError: see `script.Ask`.
    """
    own = {party: as_body(part) for party, part in (each or {}).items()}
    answered = yield Ask(
        tuple(to), request.verb, as_body(request), own, need=need, patience=patience
    )
    return _read(request, answered)


def ask_one(whom: str, request: VerbRequest[R], *, patience: float | None) -> Script[R]:
    """Ask one party that must answer.

    Raises:
        SecureFlowError: its failure.
    """
    answers = yield from ask((whom,), request, patience=patience)
    if whom not in answers.replies:
        raise SecureFlowError.from_json(answers.failures[whom])
    return answers.replies[whom]


def _read(request: VerbRequest[R], answered: Mapping[str, Any]) -> Answers[R]:
    replies: dict[str, R] = {}
    failures = dict(answered["failures"])
    for party, reply in answered["replies"].items():
        try:
            replies[party] = read_reply(request.reply, party, request.verb, reply, stored=True)
        except SecureFlowError as error:
            failures[party] = error.as_json()
    return Answers(replies, failures)
