"""One platform of three banks whose tables have two kinds more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from secureflow.demo.platform import Platform
from secureflow.sdk import Client
from tests.survival.world import platform

POLICY: Final = """
permit(principal, action == Action::"counting", resource) when { context.to <= 3 };
permit(principal, action == Action::"tallying", resource);"""
ENTRY: Final = dict.fromkeys(("server", "enclave", "agent"), ("-m", "tests.kinds.entry"))


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("kinds") / "p"
    with platform(directory, mortal=False, sealing=False, policy=POLICY, entry=ENTRY) as built:
        yield built


@pytest.fixture
def client(place: Platform) -> Iterator[Client]:
    with place.client("bank-a") as made:
        yield made
