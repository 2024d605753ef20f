"""What an operation of the API is: an address, what it takes, what it answers, who may give it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from starlette.responses import Response

from secureflow.agent.console.visits import Visit

Need = Literal["open", "own", "viewer", "decider", "owner-admin"]
"""Who may give an operation: anybody, a person about the own account, or who has the role."""

FORM: Final = "X-SecureFlow-Form"
"""The header in which whoever writes shows that the page is of this session (`Session.form`)."""

UNATTENDED: Final = "X-SecureFlow-Unattended"
"""The header by which a page says (`1`) that it reads by itself, and nobody touched it lately."""


@dataclass(frozen=True)
class Call:
    """One call of an operation.

    Args:
        visit: the request of the browser, with its person.
        body: what was sent, as `Operation.body`; None without one.
        query: what the address asks for, as `Operation.query`; None without one.
    """

    visit: Visit
    body: Any = None
    query: Any = None

    def named(self, name: str) -> str:
        """Return a part of the path."""
        return str(self.visit.request.path_params[name])


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True)
class Answered:
    """An answer with what goes beside its body.

    Args:
        value: as `Operation.answer`.
        complete: adds cookies and headers.
    """

    value: Any
    complete: Callable[[Response], None]


@dataclass(frozen=True)
class Operation:
    """An operation.

    Args:
        id: by which clients call it (`operationId`).
        method: of HTTP.
        path: a Starlette path after `/api`.
        handler: carries it out.
        answer: what it answers; None: nothing (204).
        body: what it takes; None: nothing.
        query: what its address may ask for; None: nothing.
        need: who may give it; the agent decides in any case.
        about: what it does, for the description.
        patterns: name of a part of the path → the form that it must have.
        streams: whether its answer is a stream of events.
        fresh: whether the agent is asked anew whose session it is: nothing else asks it.
    """

    id: str
    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    handler: Handler
    answer: Any = None
    body: type[Any] | None = None
    query: type[Any] | None = None
    need: Need = "viewer"
    about: str = ""
    patterns: Mapping[str, str] = field(default_factory=dict)
    streams: bool = False
    fresh: bool = False

    @property
    def writes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"
