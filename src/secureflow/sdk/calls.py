"""Client methods as flows of steps, run by a blocking or an asyncio driver.

Each method of a resource is written once, as a `Call` or as a generator that yields steps and is
sent their results (the same idea as the platform's script of effects). `operation`, `listing` and
`stream` bind it to the client's driver, so that `Client.users.get` returns a `User` and
`AsyncClient.users.get` an awaitable of one, both with their exact types.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

import httpx

from secureflow.kit.canonical import JSON
from secureflow.sdk.deadline import SLOW, WRITING
from secureflow.sdk.display import SHOWN
from secureflow.sdk.events import Event, Subscription
from secureflow.sdk.objects import listed_columns
from secureflow.sdk.streaming import Streamed
from secureflow.sdk.tables import Table, rows_of

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = ParamSpec("P")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One REST call and how to read its answer.

    A GET, and any other call with an idempotency `key`, may be repeated after a lost answer, and so
    may `content`, raw bytes (perhaps a stream) whose address is their digest. A `slow` call has a
    large question or answer, or takes the server long.
    """

    method: str
    path: str
    parse: Callable[[httpx.Response], T]
    params: Mapping[str, str | int] = field(default_factory=dict)
    body: JSON = field(default=None, repr=False)
    content: bytes | Streamed | None = field(default=None, repr=False)
    key: str = ""
    slow: bool = False

    def patience(self, reading: float) -> float:
        """Return the seconds that this call may take if a read may take `reading` seconds."""
        if self.slow:
            return reading * SLOW
        return reading if self.method == "GET" else reading * WRITING

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice has the effect of sending it once."""
        return self.method == "GET" or bool(self.key) or self.content is not None

    def at(self, cursor: str) -> Call[T]:
        """Return the same call for the list page that the cursor opens."""
        return replace(self, params={**self.params, "cursor": cursor})

    def __iter__(self) -> Generator[Any, Any, T]:
        """Let `yield from call` in a flow give the parsed answer, with its type."""
        answer: T = yield self
        return answer


@dataclass(frozen=True)
class Send:
    """Step: send the request; the result is an `httpx.Response`."""

    request: httpx.Request


@dataclass(frozen=True)
class Pause:
    """Step: wait for `seconds`."""

    seconds: float


@dataclass(frozen=True)
class Drain:
    """Step: follow a job's events until it has ended."""

    subscription: Subscription


class Flow(Protocol[T_co]):
    """A `Call`, or a generator of steps whose return value is the method's result."""

    def __iter__(self) -> Generator[Any, Any, T_co]:
        """Start the flow."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list and the cursor of the next one (empty at the end).

    `damaged` are the ids of items that exist but that the server cannot read.
    """

    items: tuple[T, ...]
    next: str = ""
    damaged: tuple[str, ...] = ()


class Listed(Iterator[T]):
    """The items of a list, fetched page by page as they are asked for.

    It is an iterator; what it shows in a notebook, and its tables, begin with the first item again.
    """

    def __init__(self, driver: Blocking, call: Call[Page[T]]) -> None:
        self._driver, self._call = driver, call
        self._items: Iterator[T] | None = None

    def __next__(self) -> T:
        """Return the next item."""
        if self._items is None:
            self._items = self._driver.pages(self._call)
        return next(self._items)

    def __repr__(self) -> str:
        """Return what it is a list of; nothing is fetched."""
        return _listing_of(self._call)

    def table(self) -> Table:
        """Return all items as a table of their fields."""
        return _tabled(list(self._driver.pages(self._call)))

    def to_pandas(self) -> Any:
        """Return all items as a pandas frame; raises `missing_extra` without pandas."""
        return self.table().to_pandas()

    def to_arrow(self) -> Any:
        """Return all items as a `pyarrow.Table`."""
        return self.table().to_arrow()

    def _repr_html_(self) -> str:
        """Return the first items as a table, and whether there are more."""
        some = list(islice(self._driver.pages(self._call), SHOWN + 1))
        note = "There are more; to_pandas() has all of them." if len(some) > SHOWN else ""
        return _tabled(some[:SHOWN], note, short=True)._repr_html_()


class AwaitedListing(AsyncIterator[T]):
    """As `Listed`, for asyncio; its tables are awaited."""

    def __init__(self, driver: Awaiting, call: Call[Page[T]]) -> None:
        self._driver, self._call = driver, call
        self._items: AsyncIterator[T] | None = None

    async def __anext__(self) -> T:
        """Return the next item."""
        if self._items is None:
            self._items = self._driver.pages(self._call)
        return await anext(self._items)

    def __repr__(self) -> str:
        """Return what it is a list of; nothing is fetched."""
        return _listing_of(self._call)

    async def table(self) -> Table:
        """Return all items as a table of their fields."""
        return _tabled([one async for one in self._driver.pages(self._call)])

    async def to_pandas(self) -> Any:
        """Return all items as a pandas frame; raises `missing_extra` without pandas."""
        return (await self.table()).to_pandas()

    async def to_arrow(self) -> Any:
        """Return all items as a `pyarrow.Table`."""
        return (await self.table()).to_arrow()


def _listing_of(call: Call[Any]) -> str:
    asked = " ".join(f"{name}={one}" for name, one in call.params.items() if one != "")
    return f"<List of {call.path}{' ' if asked else ''}{asked}>"


def _tabled(items: list[Any], note: str = "", *, short: bool = False) -> Table:
    if not items:
        return Table((), (), note="Nothing to show.")
    of = type(items[0])
    names = listed_columns(of) if short else tuple(field.name for field in fields(of))
    return Table(rows_of(items), names, note=note)


class Blocking(Protocol):
    """The driver behind `Client`."""

    def run(self, flow: Flow[T]) -> T:
        """Perform a flow's steps and return its result."""

    def pages(self, call: Call[Page[T]]) -> Iterator[T]:
        """Yield a list's items page by page."""

    def listing(self, call: Call[Page[T]]) -> Listed[T]:
        """Return a list's items, to be iterated over or shown as a table."""

    def follow(self, subscription: Subscription) -> Iterator[Event]:
        """Yield events until the job has ended."""


class Awaiting(Protocol):
    """The driver behind `AsyncClient`."""

    async def run(self, flow: Flow[T]) -> T:
        """Perform a flow's steps and return its result."""

    def pages(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """Yield a list's items page by page."""

    def listing(self, call: Call[Page[T]]) -> AwaitedListing[T]:
        """Return a list's items, to be iterated over or shown as a table."""

    def follow(self, subscription: Subscription) -> AsyncIterator[Event]:
        """Yield events until the job has ended."""


D_co = TypeVar("D_co", covariant=True)


class Resource(Generic[D_co]):
    """A noun of the API; its methods run on the client's driver."""

    def __init__(self, driver: D_co) -> None:
        self._driver = driver


class Operation(Generic[P, T]):
    """A method that answers once."""

    def __init__(self, function: Callable[Concatenate[Any, P], Flow[T]]) -> None:
        self._function = function
        functools.update_wrapper(self, function)  # type: ignore[arg-type]

    @overload
    def __get__(self, one: Resource[Blocking], _: Any = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, one: Resource[Awaiting], _: Any = None) -> Callable[P, Awaitable[T]]: ...
    @overload
    def __get__(self, one: None, _: Any = None) -> Operation[P, T]: ...
    def __get__(self, one: Any, _: Any = None) -> Any:
        """Bind to the resource's driver."""
        return self if one is None else _bound(self._function, one, "run")


class Listing(Generic[P, T]):
    """A method that yields items, fetching page after page."""

    def __init__(self, function: Callable[Concatenate[Any, P], Call[Page[T]]]) -> None:
        self._function = function
        functools.update_wrapper(self, function)  # type: ignore[arg-type]

    @overload
    def __get__(self, one: Resource[Blocking], _: Any = None) -> Callable[P, Listed[T]]: ...
    @overload
    def __get__(self, one: Resource[Awaiting], _: Any = None) -> Callable[P, AwaitedListing[T]]: ...
    @overload
    def __get__(self, one: None, _: Any = None) -> Listing[P, T]: ...
    def __get__(self, one: Any, _: Any = None) -> Any:
        """Bind to the resource's driver."""
        return self if one is None else _bound(self._function, one, "listing")


class EventStream(Generic[P]):
    """A method that yields events as they happen."""

    def __init__(self, function: Callable[Concatenate[Any, P], Subscription]) -> None:
        self._function = function
        functools.update_wrapper(self, function)  # type: ignore[arg-type]

    @overload
    def __get__(self, one: Resource[Blocking], _: Any = None) -> Callable[P, Iterator[Event]]: ...
    @overload
    def __get__(
        self, one: Resource[Awaiting], _: Any = None
    ) -> Callable[P, AsyncIterator[Event]]: ...
    @overload
    def __get__(self, one: None, _: Any = None) -> EventStream[P]: ...
    def __get__(self, one: Any, _: Any = None) -> Any:
        """Bind to the resource's driver."""
        return self if one is None else _bound(self._function, one, "follow")


def operation(function: Callable[Concatenate[Any, P], Flow[T]]) -> Operation[P, T]:
    """Make a method of a function that returns a `Call` or is a generator of steps."""
    return Operation(function)


def listing(function: Callable[Concatenate[Any, P], Call[Page[T]]]) -> Listing[P, T]:
    """Make a method that iterates over all pages of a list."""
    return Listing(function)


def stream(function: Callable[Concatenate[Any, P], Subscription]) -> EventStream[P]:
    """Make a method that iterates over a job's events."""
    return EventStream(function)


def _bound(function: Callable[..., Any], resource: Any, how: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def method(*args: Any, **kwargs: Any) -> Any:
        return getattr(resource._driver, how)(function(resource, *args, **kwargs))

    return method
