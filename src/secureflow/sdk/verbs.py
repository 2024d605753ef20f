"""Shorthands for calls by HTTP method."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeVar

import httpx

from secureflow.kit.canonical import JSON
from secureflow.sdk import answers
from secureflow.sdk.calls import Call, Page

T = TypeVar("T")


def get(path: str, of: type[T], **params: str | int) -> Call[T]:
    """GET one object."""
    return Call("GET", path, answers.value(of), params)


def read(path: str, how: Callable[[httpx.Response], T], **params: str | int) -> Call[T]:
    """GET with a custom reader."""
    return Call("GET", path, how, params)


def read_large(path: str, how: Callable[[httpx.Response], T], **params: str | int) -> Call[T]:
    """GET a large or slow answer, with a custom reader."""
    return Call("GET", path, how, params, slow=True)


def pages(path: str, of: type[T], **params: str | int) -> Call[Page[T]]:
    """GET a list, page by page."""
    return Call("GET", path, answers.page(of), params)


def post(path: str, body: JSON, how: Callable[[httpx.Response], T]) -> Call[T]:
    """POST with a fresh idempotency key: a call whose answer is lost is not done twice.

    If the answer holds a secret, a new one replaces the one that was lost.
    """
    return Call("POST", path, how, body=body, key=secrets.token_hex(16))


def post_once(path: str, body: JSON, how: Callable[[httpx.Response], T]) -> Call[T]:
    """POST that is never repeated: what it creates expires by itself."""
    return Call("POST", path, how, body=body)


def patch(path: str, body: JSON, of: type[T]) -> Call[T]:
    """PATCH one object, with a fresh idempotency key."""
    return Call("PATCH", path, answers.value(of), body=body, key=secrets.token_hex(16))


def delete(path: str, **params: str | int) -> Call[None]:
    """DELETE one object, with a fresh idempotency key."""
    return Call("DELETE", path, answers.nothing, params, key=secrets.token_hex(16))
