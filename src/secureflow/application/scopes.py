"""What the scope of a token covers: one table, from the noun of an action to the scope.

A scope narrows: a token does what its user's roles allow (`application.access`) *and* its scope
covers. An action that nobody put here is covered by `admin` only, so that a new one is not open to
narrow tokens by accident. What changes an account itself needs a login.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.users import Scope, User
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

EVERYTHING: Final = frozenset({Scope.ALL})
"""The scope of a login, and of tokens that are older than scopes."""
REQUESTABLE: Final = tuple(scope for scope in Scope if scope is not Scope.SECOND_FACTOR)
"""What a person may ask for."""

Allowed = Callable[[UnitOfWork, User, frozenset[Scope]], Awaitable[frozenset[Scope]]]
"""Returns what is left of a caller's scopes, by what is demanded of the account."""

_NOUNS: Final = {
    "job": Scope.JOBS,
    "timetable": Scope.JOBS,
    "model": Scope.JOBS,
    "upload": Scope.JOBS,
    "bundle": Scope.JOBS,
    "dataset": Scope.DATA,
    "grant": Scope.DATA,
    "user": Scope.PEOPLE,
    "token": Scope.PEOPLE,
    "session": Scope.PEOPLE,
    "second_factor": Scope.SECOND_FACTOR,
    "proof": Scope.SECOND_FACTOR,
    "account": None,
    "device": None,
}
"""The scope that covers the actions on a noun; None where only a login is good enough."""


def covers(scopes: frozenset[Scope], action: str) -> bool:
    """Tell whether a token of these scopes may be used for an action, e.g. `job.submit`."""
    if Scope.ALL in scopes:
        return True
    noun, _, verb = action.partition(".")
    if verb == "read" and Scope.READ in scopes:
        return True
    return _NOUNS.get(noun, Scope.ADMIN) in scopes


async def unrestricted(_: UnitOfWork, __: User, scopes: frozenset[Scope]) -> frozenset[Scope]:
    """Return the scopes as they are."""
    return scopes


def require_scope(name: str, scopes: frozenset[Scope], action: str) -> None:
    """Refuse a token whose scope does not cover the action.

    Raises:
        SecureFlowError: `scope_too_narrow`, `second_factor_missing`.
    """
    if scopes == {Scope.SECOND_FACTOR} and not covers(scopes, action):
        raise SecureFlowError(
            "second_factor_missing",
            Text("{name} needs a second factor before anything else.", name=name),
            "Enrol one: secureflow totp enrol.",
            {"action": action},
        )
    if not covers(scopes, action):
        raise SecureFlowError(
            "scope_too_narrow",
            Text(
                "This token of {name} is not good for this ({action}); its scopes: {scopes}.",
                name=name,
                action=action,
                scopes=", ".join(sorted(scopes)),
            ),
            "Use a token with a wider scope, or log in: secureflow login URL --ca FILE.",
            {"action": action},
        )


def narrowed(own: frozenset[Scope], wanted: Iterable[Scope]) -> tuple[Scope, ...]:
    """Return the scopes of a new token that another one with the scopes `own` asks for.

    Raises:
        SecureFlowError: `scope_too_narrow` if it asks for more than it has, or for none.
    """
    chosen = tuple(scope for scope in Scope if scope in set(wanted))
    more = [scope for scope in chosen if scope not in own]
    if Scope.SECOND_FACTOR in chosen or not chosen or (more and Scope.ALL not in own):
        raise SecureFlowError(
            "scope_too_narrow",
            Text(
                "A token with the scopes {own} makes none with: {wanted}.",
                own=", ".join(sorted(own)),
                wanted=", ".join(chosen) or "-",
            ),
            Text("Choose among: {scopes}.", scopes=", ".join(REQUESTABLE)),
        )
    return chosen
