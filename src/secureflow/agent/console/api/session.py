"""Who is at the browser: logging in and out, and the language of the answers."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import Field
from starlette.responses import Response

from secureflow.agent.console.addresses import HOME, own_path
from secureflow.agent.console.api.operations import Answered, Call, Operation
from secureflow.agent.console.asking import ENDED, HASHING
from secureflow.agent.console.providers import PROVIDER, begin, usable
from secureflow.agent.console.screens.people import PersonRow, person_row
from secureflow.agent.console.sessions import form_token
from secureflow.domain.specs.base import STRICT
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.reading import members, objects
from secureflow.texts import Language

_ROLES: Final = ("viewer", "decider", "owner-admin")


@dataclass(frozen=True)
class Provider:
    """An identity provider at which people log in: its name here, and what to call it."""

    name: str
    title: str


@dataclass(frozen=True)
class Account:
    """The account that is logged in.

    Args:
        row: as an administrator sees it.
        role: the highest that it has.
        method: how the password, if any, stands: `password` or `provider`.
        initial_password: whether somebody else chose the password: nothing can be decided yet.
    """

    row: PersonRow
    role: Literal["viewer", "decider", "owner-admin", ""]
    method: Literal["password", "provider"]
    initial_password: bool


@dataclass(frozen=True)
class Session:
    """Who is at the browser, and what the page needs before anything else.

    Args:
        organisation: whose agent this is.
        accounts: whether anybody has an account: without one nobody can log in.
        account: of the session; None: nobody is logged in.
        form: the token that every write brings in the header X-SecureFlow-Form; empty.
        providers: where people may log in; told only to who is not logged in.
        language: of the answers.
        now: unix seconds, of the page's machine.
    """

    organisation: str
    accounts: bool
    account: Account | None
    form: str
    providers: tuple[Provider, ...]
    language: Literal["en", "zh"]
    now: int


@dataclass(frozen=True)
class Login:
    """A login with a password; the code of a second factor, or a recovery code, where asked for."""

    __pydantic_config__ = STRICT
    name: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=1024)] = field(repr=False)
    code: Annotated[str, Field(max_length=64)] = ""


@dataclass(frozen=True)
class Chosen:
    """The language of the answers."""

    __pydantic_config__ = STRICT
    language: Literal["en", "zh"]


@dataclass(frozen=True)
class Start:
    """A login at a provider: where it leads afterwards, a path of this page."""

    __pydantic_config__ = STRICT
    back: Annotated[str, Field(max_length=512)] = HOME


@dataclass(frozen=True)
class Leave:
    """Where the browser goes: the identity provider, which sends it back to this page."""

    url: str


async def show(call: Call) -> Session:
    """Return who is logged in; nobody is no error."""
    visit = call.visit
    person: Any = {}
    if visit.session and visit.welcome.get("accounts"):
        try:
            person = await visit.site.visitors.person(visit.session, fresh=True)
        except SecureFlowError as error:
            if error.code not in ENDED:
                raise
    return await _session(call, person, visit.session if person else "")


async def log_in(call: Call) -> Answered:
    """Open a session: always a new one, and the one that the browser brought ends."""
    visit, sent = call.visit, call.body
    cookies, attempts = visit.site.cookies, visit.site.attempts
    name = sent.name.strip()
    source = attempts.begin(visit.address, name, cookies.device_of(visit.request.headers))
    told = {"name": name, "password": sent.password, "code": sent.code.strip(), "source": source}
    opened = members(await visit.site.agent.ask("people.login", "", HASHING, **told))
    if visit.session:
        with contextlib.suppress(SecureFlowError):
            await visit.ask("people.logout")
    session = str(opened["session"])
    device = attempts.succeeded(source, name)
    person = await visit.site.visitors.person(session)

    def complete(answer: Response) -> None:
        cookies.put_session(answer, session)
        cookies.put_device(answer, device)

    return Answered(await _session(call, person, session), complete)


async def log_out(call: Call) -> Answered:
    """End the session at the agent, and have the browser forget it."""
    await call.visit.ask("people.logout")
    return Answered(None, call.visit.site.cookies.clear_session)


async def start(call: Call) -> Answered:
    """Begin a login at a provider; a session that the browser had ends."""
    visit = call.visit
    url, complete = await begin(visit, call.named("provider"), own_path(call.body.back))
    return Answered(Leave(url), complete)


async def choose_language(call: Call) -> Answered:
    """Remember the language in this browser."""
    chosen: Language = call.body.language
    cookies = call.visit.site.cookies
    return Answered(None, lambda answer: cookies.put_language(answer, chosen))


async def _session(call: Call, person: Any, session: str) -> Session:
    visit = call.visit
    providers: tuple[Provider, ...] = ()
    if not session:
        told = objects(await visit.site.agent.ask("people.providers"))
        providers = tuple(Provider(str(o["name"]), shown(str(o["title"]))) for o in usable(told))
    return Session(
        organisation=str(visit.welcome.get("organisation", "")),
        accounts=bool(visit.welcome.get("accounts")),
        account=account_of(person) if person else None,
        form=form_token(session) if session else "",
        providers=providers,
        language=visit.language,
        now=visit.site.now(),
    )


def account_of(person: Any) -> Account:
    """Read `people.me`."""
    held = person.get("roles") or ()
    highest = next((one for one in reversed(_ROLES) if one in held), "")
    own: Any = "password" if person.get("has_password", True) else "provider"
    role: Any = highest
    return Account(person_row(person), role, own, bool(person.get("initial_password")))


OPERATIONS: Final = (
    Operation(
        "session", "GET", "/session", show, Session, need="open",
        about="Who is logged in, and the token that writes bring.",
    ),
    Operation(
        "logIn", "POST", "/session", log_in, Session, Login, need="open",
        about="Log in with a password. `second_factor_required`: ask for the code, send it again.",
    ),
    Operation("logOut", "DELETE", "/session", log_out, need="own", about="Log out."),
    Operation(
        "startProviderLogin", "POST", "/providers/{provider}/start", start, Leave, Start,
        need="open", about="Begin a login at an identity provider: go to `url`.",
        patterns={"provider": PROVIDER},
    ),
    Operation(
        "chooseLanguage", "PUT", "/language", choose_language, None, Chosen, need="open",
        about="Choose the language of this browser.",
    ),
)  # fmt: skip
