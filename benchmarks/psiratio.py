"""An intersection through the centre's relay, by one over addresses that agents dial directly.

For `benchmarks.peers`: two platforms that differ in nothing but `peers:` of their agents. Jobs of
one and the same lists run on both in turn, so that what else the machine does meets both; `seconds`
are those of the reports, as in `benchmarks.through`.
"""

from __future__ import annotations

import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.psi import PARTIES, POLICY, asked, datasets_of, lists
from benchmarks.through import PURPOSE, Lending
from benchmarks.wire import carried
from secureflow.agent.owner.engines import OwnEngines
from secureflow.demo.platform import HOST, Owner, Platform, free_ports
from secureflow.demo.psi.engines import place
from secureflow.kit.errors import SecureFlowError

_LOOK: Final = 0.02
"""Seconds between two looks at what a port has carried."""
_RELAYED: Final = frozenset({0})
"""A port that carries nothing."""


class Reached(Lending):
    """A platform whose second agent listens where the first one dials it."""

    port: int = 0

    def _agent_settings(self, owner: Owner) -> dict[str, Any]:
        dialling, listening = PARTIES
        address = f"{HOST}:{self.port}"
        peers: dict[str, Any] = {"listen": address}
        if owner.party == dialling:
            peers = {"addresses": {listening: address}}
        return {**super()._agent_settings(owner), "peers": peers}


def spu_is_here() -> bool:
    """Tell whether SPU lies in the demo's place."""
    try:
        OwnEngines(place()).interpreter("spu").find()
    except SecureFlowError:
        return False
    return True


def psi_ratio(size: int, times: int) -> float:
    """Return the ratio of the medians.

    Args:
        size: identifiers of each party.
        times: jobs on each platform.
    """
    took: dict[str, list[float]] = {"relayed": [], "direct": []}
    with TemporaryDirectory(prefix="psiratio-") as made, ExitStack() as stack:
        folder, (port,) = Path(made), free_ports(1)
        _, csvs = lists(folder, size)
        given: dict[str, Any] = {
            "datasets": datasets_of(csvs), "policy": POLICY, "purpose": PURPOSE, "sealing": False,
        }  # fmt: skip
        owners = {party: party.title() for party in PARTIES}
        direct = Reached(folder / "direct", owners, **given)
        direct.port = port
        relayed = Lending(folder / "relayed", owners, **given)
        for one in (direct, relayed):
            stack.enter_context(one).build()
        for _ in range(times):
            took["relayed"].append(_seconds(relayed, size, _RELAYED))
            took["direct"].append(_seconds(direct, size, frozenset({port})))
    sys.stderr.write(f"{took}\n")
    return round(statistics.median(took["relayed"]) / statistics.median(took["direct"]), 3)


def _seconds(platform: Platform, size: int, ports: frozenset[int]) -> float:
    """Run a job; its bytes must have gone over these ports, where there is one."""
    ids = [owner.dataset_id for owner in platform.parties.values()]
    job = {"name": "ratio", "purpose": PURPOSE, "project": platform.project, "datasets": ids,
           **asked("rr22", size)}  # fmt: skip
    with platform.client(PARTIES[0]) as client, _watched(ports) as seen:
        ended = client.jobs.wait(client.jobs.submit(job).id)
        if ended.state != "succeeded":
            raise SystemExit(f"the intersection failed: {ended.error}")
        told = client.jobs.report(ended.id)["intersection"]
    sent = sum(one["bytes"] for one in told["channels"])
    if ports != _RELAYED and 2 * max(seen) < sent:  # the last look may come before the end
        raise SystemExit(f"{max(seen)} of {sent} bytes went directly")
    return float(told["seconds"])


@contextmanager
def _watched(ports: frozenset[int]) -> Iterator[list[int]]:
    """Look again and again at what open connections of ports have carried."""
    seen, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(_LOOK):
            seen.append(carried(ports))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()
