"""The own account: the password, the second factor, being away, who decides in one's place."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Annotated, Final

from pydantic import Field
from starlette.responses import Response

from secureflow.agent.console.api.operations import Answered, Call, Operation
from secureflow.agent.console.api.session import Account, account_of
from secureflow.agent.console.asking import HASHING
from secureflow.agent.console.screens.people import Delegation, given_by, people_rows, person_row
from secureflow.domain.specs.base import STRICT
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members
from secureflow.kit.text import Text

Secret = Annotated[str, Field(max_length=1024)]
Day = Annotated[str, Field(max_length=10, pattern=r"^(\d{4}-\d{2}-\d{2})?$")]
"""A date; empty for none."""


@dataclass(frozen=True)
class OwnAccount:
    """The own account.

    Args:
        account: as it is.
        given: who decides in one's place, until when.
        others: names of those who could.
    """

    account: Account
    given: tuple[Delegation, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class NewPassword:
    """Another password; every session of the account ends, this one too."""

    __pydantic_config__ = STRICT
    old: Secret = field(repr=False)
    new: Secret = field(repr=False)


@dataclass(frozen=True)
class OwnPassword:
    """The password, to prove who asks."""

    __pydantic_config__ = STRICT
    password: Secret = field(repr=False)


@dataclass(frozen=True)
class Code:
    """A code of the authenticator app."""

    __pydantic_config__ = STRICT
    code: Annotated[str, Field(max_length=64)]


@dataclass(frozen=True)
class Drawn:
    """A secret for an authenticator app: as text, and as the address that a QR code holds."""

    secret: str = field(repr=False)
    address: str


@dataclass(frozen=True)
class RecoveryCodes:
    """Codes for when the app is lost; each is good once, and they are shown once."""

    codes: tuple[str, ...]


@dataclass(frozen=True)
class Away:
    """The last day on which one is away; empty: one is back."""

    __pydantic_config__ = STRICT
    until: Day


@dataclass(frozen=True)
class Deputy:
    """Who decides in one's place, and the last day; empty: nobody any more."""

    __pydantic_config__ = STRICT
    to: Annotated[str, Field(max_length=64)]
    until: Day


async def show(call: Call) -> OwnAccount:
    """Return the account."""
    rows = people_rows(await call.visit.ask("people.list"))
    own = person_row(call.visit.person)
    others = (one.name for one in rows if one.id != own.id and one.state != "disabled")
    return OwnAccount(account_of(call.visit.person), given_by(own.name, rows), tuple(others))


async def choose_password(call: Call) -> Answered:
    """Choose another password."""
    sent, visit = call.body, call.visit
    await visit.ask("people.password", HASHING, old=sent.old, new=sent.new)

    def complete(answer: Response) -> None:
        visit.site.cookies.clear_session(answer)

    return Answered(None, complete)


async def draw(call: Call) -> Drawn:
    """Draw a secret for a second factor; it counts once it is confirmed."""
    asking = call.visit.ask("people.totp.enrol", HASHING, password=call.body.password)
    found = members(await asking)
    return Drawn(str(found.get("secret", "")), str(found.get("address", "")))


async def confirm(call: Call) -> RecoveryCodes:
    """Confirm it by a code."""
    found = members(await call.visit.ask("people.totp.confirm", code=call.body.code.strip()))
    return RecoveryCodes(tuple(map(str, found.get("recovery_codes") or ())))


async def be_away(call: Call) -> None:
    """Say until when one is away."""
    until = end_of(call.body.until) if call.body.until else 0
    await call.visit.ask("people.absent", until=until)


async def delegate(call: Call) -> None:
    """Let somebody decide in one's place."""
    until = end_of(call.body.until) if call.body.until else 0
    await call.visit.ask("people.delegate", to=call.body.to.strip(), until=until)


def end_of(written: str) -> int:
    """Return the end of a day (UTC) as unix seconds.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    try:
        found = datetime.combine(date.fromisoformat(written), datetime.max.time(), UTC)
        return int(found.timestamp())
    except (ValueError, OverflowError) as error:
        raise SecureFlowError(
            "invalid_request", Text("{until!r} is no date.", until=written[:40])
        ) from error


OPERATIONS: Final = (
    Operation(
        "account", "GET", "/account", show, OwnAccount, need="own", fresh=True,
        about="The own account.",
    ),
    Operation(
        "choosePassword", "POST", "/account/password", choose_password, None, NewPassword,
        need="own", about="Choose another password: every session ends.",
    ),
    Operation(
        "drawSecondFactor", "POST", "/account/second-factor", draw, Drawn, OwnPassword,
        need="own", about="Draw a secret for an authenticator app; it is answered once.",
    ),
    Operation(
        "confirmSecondFactor", "POST", "/account/second-factor/confirm", confirm, RecoveryCodes,
        Code, need="own", about="Confirm the second factor; the recovery codes are answered once.",
    ),
    Operation(
        "setAbsence", "PUT", "/account/absence", be_away, None, Away, need="own",
        about="Say until when one is away.",
    ),
    Operation(
        "setDeputy", "PUT", "/account/deputy", delegate, None, Deputy, need="decider",
        about="Let somebody decide in one's place.",
    ),
)  # fmt: skip
