"""No request is handed to a thread and back for what takes microseconds."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from secureflow.server.rest.app import described_app


def calls(dependant: Dependant) -> Iterator[Any]:
    """Yield what a route calls before its handler, and its handler."""
    yield dependant.call
    for one in dependant.dependencies:
        yield from calls(one)


def in_thread(call: Any) -> bool:
    """Tell whether FastAPI runs this in a thread of its pool."""
    called = call if inspect.isroutine(call) else getattr(call, "__call__", call)  # noqa: B004
    return not (inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called))


def test_dependencies_and_handlers_are_coroutine_functions() -> None:
    """FastAPI runs a plain one in a thread: there were three in each request."""
    routes = [route for route in described_app().routes if isinstance(route, APIRoute)]
    assert len(routes) > 100
    assert {
        f"{call.__module__}.{call.__qualname__}"
        for route in routes
        for call in calls(route.dependant)
        if in_thread(call)
    } == set()
