"""What owners of a platform do in a test: edit their settings, wait for a request, say yes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from secureflow.agent import api
from secureflow.demo.platform import Platform
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import dump
from secureflow.kit.errors import SecureFlowError

JSON = Any
PATIENCE = 240.0
"""Seconds; far more than a busy machine needs."""


@contextmanager
def agreeable_owners(place: Platform) -> Iterator[None]:
    """Approve whatever waits in any inbox, as long as the block runs."""
    done = threading.Event()

    def approve() -> None:
        while not done.wait(0.05):
            for owner in place.parties.values():
                with suppress(SecureFlowError):  # decided meanwhile, or withdrawn
                    for item in api.inbox_list(owner.config, waiting=True):
                        api.inbox_approve(owner.config, item["id"], "yes")

    thread = threading.Thread(target=approve)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def waiting_item(place: Platform, party: str, job: str) -> JSON:
    """Wait until the job's request lies in an inbox."""
    config, until = place.parties[party].config, time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for item in api.inbox_list(config, waiting=True):
            if item["job"] == job:
                return item
        time.sleep(0.05)
    raise AssertionError(f"{party} was not asked about {job}")


@contextmanager
def declared(config: Path, dataset: DatasetConfig) -> Iterator[list[str]]:
    """Have a dataset in an agent's settings as long as the block runs; yield what has changed."""
    before = config.read_text()
    settings = yaml.safe_load(before)
    settings["datasets"].append(dump(dataset))
    config.write_text(yaml.safe_dump(settings))
    try:
        yield api.reload(config)["changed"]
    finally:
        config.write_text(before)
        api.reload(config)
