"""Guesses at the owner's page, and what its process consists of.

All of the page come to the agent from one Unix user: who guesses slows down itself, nobody else.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from peers.owner_page import OwnerPage, owner_page

from secureflow.agent.console.attempts import STRANGERS, Attempts
from secureflow.agent.console.guards import BURST
from secureflow.agent.edge.control import call
from secureflow.kit.errors import SecureFlowError


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[OwnerPage]:
    async with owner_page(tmp_path, people=("ada", "ben")) as served:
        yield served


async def test_an_attacker_at_the_page_locks_nobody_else_out(page: OwnerPage) -> None:
    """All of the page come from one Unix user: guesses are slowed down by address and by device."""
    known = await page.of("ada")
    attacker = page.browser("198.51.100.7")
    codes = [
        (await attacker.log_in("ada", f"guess number {n} of it")).status_code for n in range(12)
    ]
    assert codes[:5] == [401] * 5
    assert set(codes[5:]) == {429}
    for name in ("ben", "root", "eve", "mallory"):  # nor by going through names
        for number in range(8):
            await attacker.log_in(name, f"guess number {number} of it")
    assert (await attacker.log_in("ben")).status_code == 429
    assert (await page.browser("198.51.100.8").log_in("ada")).status_code == 200
    assert (await known.log_in("ada")).status_code == 200


async def test_a_known_browser_gets_in_from_the_attackers_own_address(page: OwnerPage) -> None:
    """On one machine, and behind one proxy, all have the same address."""
    known = await page.of("ben")
    attacker = page.browser()
    for number in range(20):
        last = await attacker.log_in("ben", f"guess number {number} of it")
    assert last.status_code == 429
    assert (await page.browser().log_in("ben")).status_code == 429  # a stranger of that address
    assert (await known.log_in("ben")).status_code == 200


def test_a_device_is_known_for_the_name_that_logged_in_there_and_no_other() -> None:
    attempts = Attempts(lambda: 0.0)
    device = attempts.succeeded(attempts.begin("192.0.2.1", "eve", ""), "eve")
    assert attempts.begin("192.0.2.2", "eve", device).startswith("device ")
    nonce = device.partition(".")[0]
    for name, shown in (
        ("ada", device), ("eve", nonce), ("eve", f"{nonce}."), ("eve", f"{nonce}.{'0' * 64}"),
        ("eve", f"{device}."), ("eve", Attempts(lambda: 0.0).succeeded("", "eve")), ("eve", ""),
    ):  # fmt: skip
        assert attempts.begin("192.0.2.2", name, shown) == "192.0.2.2", (name, shown)


async def test_many_addresses_slow_strangers_down_and_no_known_browser(page: OwnerPage) -> None:
    known = await page.of("ada")
    for number in range(60):
        attacker = page.browser(f"203.0.113.{number}")
        last = await attacker.log_in(f"name-{number}", "guess of some words")
    assert last.status_code == 429
    assert (await known.log_in("ada")).status_code == 200


async def test_many_addresses_at_one_name_for_long_lock_its_known_browser_out_never(
    page: OwnerPage,
) -> None:
    known = await page.of("ada")
    for number in range(130):
        page.team.ticks += 5
        await page.browser(f"203.0.113.{number}").log_in("ada", "guess of some words")
    assert (await known.log_in("ada")).status_code == 200


def test_who_logs_in_again_and_again_makes_no_room_for_strangers() -> None:
    attempts = Attempts(lambda: 0.0)
    device = attempts.succeeded(attempts.begin("192.0.2.1", "eve", ""), "eve")
    for number in range(STRANGERS):
        attempts.begin(f"203.0.113.{number}", f"name-{number}", "")
        attempts.succeeded(attempts.begin("192.0.2.1", "eve", device), "eve")
    with pytest.raises(SecureFlowError) as error:
        attempts.begin("203.0.113.200", "name", "")
    assert error.value.code == "rate_limited"


async def test_a_flood_from_one_address_takes_the_page_from_nobody_else(page: OwnerPage) -> None:
    flood = page.browser("198.51.100.9")
    codes = {(await flood.open("/app/assets/main-1a.js")).status_code for _ in range(BURST + 1)}
    assert codes == {200, 429}
    assert (await page.browser().open("/app/login")).status_code == 200
    page.team.ticks += 1
    assert (await flood.open("/app/login")).status_code == 200


async def test_a_page_that_makes_sources_up_is_slowed_down_by_the_agent(page: OwnerPage) -> None:
    """Who took the page's process over names another source for each guess."""
    socket = page.team.world.settings.socket
    found = []
    for number in range(80):
        told = {"name": "ada", "password": "guess of words", "source": f"made up {number}"}
        try:
            await asyncio.to_thread(call, socket, "people.login", told, 60)
        except SecureFlowError as error:
            found.append(error.code)
    assert found.count("bad_credentials") == 40
    assert found[-1] == "rate_limited"


async def test_the_process_loads_neither_the_agents_parts_nor_anything_heavy(
    tmp_path: Path,
) -> None:
    program = (
        "import json, sys; import secureflow.agent.console.serving, secureflow.cli.ownpage;"
        "print(json.dumps(sorted(sys.modules)))"
    )
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), stdout=asyncio.subprocess.PIPE, cwd=tmp_path
    )
    written, _ = await running.communicate()
    loaded = set(json.loads(written))
    heavy = {"numpy", "grpc", "sqlalchemy", "dp_accounting", "scipy", "pyarrow", "fastapi", "httpx"}
    inner = {f"secureflow.agent.{one}" for one in ("edge.main", "record.store", "owner.people")}
    assert "secureflow.agent.console.app" in loaded
    assert not loaded & (heavy | inner)
