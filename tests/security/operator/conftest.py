"""One platform for a malicious operator's attacks on jobs without rows, file after file.

`test_the_seal.py` comes last: its last test ends the agents' trust in this log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
import pytest_asyncio
from peers.operator import Operator, operating

from secureflow.demo.platform import Platform
from tests.survival.world import ALLOW, platform

POLICY: Final = f"""{ALLOW}
permit(principal, action == Action::"training", resource) when {{ context.parties_per_round > 0 }};
"""
"""Of rounds that ask other parties each time a policy decides that looks at them."""


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("operator") / "p"
    with platform(directory, 4, data=False, mortal=False, policy=POLICY) as built:
        yield built


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def operator(place: Platform) -> AsyncIterator[Operator]:
    loop, threads = asyncio.get_running_loop(), ThreadPoolExecutor(thread_name_prefix="package")
    loop.set_default_executor(threads)
    async with operating(place) as centre:
        yield centre
    threads.shutdown()  # the loop itself lives until the session ends
    loop.set_default_executor(ThreadPoolExecutor())
