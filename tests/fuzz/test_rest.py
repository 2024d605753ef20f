"""Mutated requests over every operation of the API's description, from everybody, in process.

Promised: no status of 500 or more; an error is a problem (RFC 9457) with a catalogued code, whose
texts hide no characters; whoever shows no genuine credential opens nothing; a refusal adds no row;
no answer holds what only the database does. The cases are drawn from seeds: 2,500 with every run,
and as many as one likes in the soak.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from secureflow.domain.errors import CATALOGUE
from secureflow.kit.plain import hidden
from secureflow.server.rest.problems import MEDIA_TYPE, status_of
from tests.fuzz.asgi import Answered, Asked, send
from tests.fuzz.callers import build, rows_of
from tests.fuzz.oracle import Secrets, as_json, tell
from tests.fuzz.requests import Requests
from tests.security.test_authorisation import OPEN, RULES
from tests.seeded import portions

REPEAT = "python -m pytest tests/fuzz/test_rest.py -k test_seeds --seeds {}:{}"
ENDS_WHAT_HAS_ENDED: Final = {"logout", "close_session"}
"""What has ended is no error for them (RFC 7009, 2.2), whoever asks."""
COUNTED: Final = {"preferences"}
"""A wrong code of an address is counted there, in the one row of its user."""
MAY_ADD: Final = {"devices", "pending_logins"}
"""Tables that strangers fill, within bounds of their own (`Devices.MOST`, the rate of `start`)."""


class Judge:
    """Says what is wrong with an answer."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def faults(self, operation: str, asked: Asked, answer: Answered, may: bool) -> list[str]:
        if answer.crash:
            return [answer.crash]
        found = self._secrets.told(answer.body, asked.whole())
        found += self._secrets.told(repr(answer.headers).encode())
        if answer.status >= 500:
            found.append(f"{answer.status}: {answer.body[:300]!r}")
        elif answer.status >= 400:
            found += self._of_problem(asked, answer)
        elif not may and RULES[operation].action != OPEN and operation not in ENDS_WHAT_HAS_ENDED:
            found.append(f"{answer.status} for a stranger: {answer.body[:200]!r}")
        return found + self._of_headers(answer)

    def _of_headers(self, answer: Answered) -> list[str]:
        found = [] if answer.headers.get("x-frame-options") == "DENY" else ["it may be framed"]
        to = answer.headers.get("location", "")
        leads = urlsplit(to).netloc in {"", "sso.example"} and not to.startswith("//")
        return found if leads else [*found, f"it leads elsewhere: {to}"]

    def _of_problem(self, asked: Asked, answer: Answered) -> list[str]:
        kind = answer.headers.get("content-type", "")
        if asked.method == "HEAD" or kind.startswith("text/html"):
            return []
        told = as_json(answer.body)
        if kind != MEDIA_TYPE or not isinstance(told, dict):
            return [f"{answer.status} is no problem: {kind} {answer.body[:200]!r}"]
        found = [] if told["code"] in CATALOGUE else [f"unknown code {told['code']}"]
        if not found and status_of(told["code"]) != answer.status:
            found.append(f"{told['code']} is not {answer.status}")
        texts = [told["title"], told["detail"], told["hint"], told["instance"]]
        texts += _texts_in(told["details"])
        return found + [f"hides characters: {one!r:.200}" for one in texts if hidden(one)]


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(one)


async def one_case(seed: int, requests: Requests, judge: Judge) -> tuple[str, list[str]]:
    """Send one request; return its operation, and what is wrong with what came of it."""
    random, world = Random(seed), requests.world
    world.reset()
    stage = world.stage
    stage.ticks[0] += 100_000.0  # whoever was too fast may ask again
    operation, asked, may = requests.draw(random)
    answer = await send(world.api.app, asked)
    wrong = judge.faults(operation, asked, answer, may)
    if stage.database.tables is not world.tables:
        before, after = rows_of(world.tables), rows_of(stage.database.tables)
        more = {name for name in after if after[name] > before[name]}
        if more - COUNTED and answer.status >= 400:
            wrong.append(f"{answer.status} added {more}")
        elif not may and more - MAY_ADD and RULES[operation].action != OPEN:
            wrong.append(f"a stranger added {more}")
    shown = f"{operation} {asked.method} {asked.path}?{asked.query} {asked.headers} "
    return operation, [f"{shown}{asked.body[:400]!r} -> {answer.status}: {one}" for one in wrong]


def check(seeds: range, directory: Path) -> None:
    """Play each seed in one world; with many of them every operation has its turn."""
    callers = build(directory)
    requests, judge = Requests(callers), Judge(callers.secrets())

    async def played() -> list[tuple[str, list[str]]]:
        return [await one_case(seed, requests, judge) for seed in seeds]

    found = asyncio.run(played())
    tell(((seed, wrong) for seed, (_, wrong) in zip(seeds, found, strict=True)), REPEAT)
    if len(seeds) >= 2000:
        assert {operation for operation, _ in found} == set(RULES)


@portions(0, 1000, 1000)
def test_seeds(seeds: range, tmp_path: Path) -> None:
    check(seeds, tmp_path)


@pytest.mark.full
@portions(1000, 3500, 2500)
def test_more_seeds(seeds: range, tmp_path: Path) -> None:
    check(seeds, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@portions(0, 300_000, 5000)
def test_many_seeds(seeds: range, tmp_path: Path) -> None:
    check(seeds, tmp_path)
