"""Where the demo's owners anchor: a file that one of them keeps, a chain here, or nowhere.

A file needs nothing: the first owner's agent opens an address on this machine and keeps it. A chain
is Foundry's anvil, which npm brings when it is asked for; its members are the charter's, so the
contract is made once the charter is pinned.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from secureflow.agent import api
from secureflow.demo.platform import HOST, Owner, Platform, edit, free_ports
from secureflow.kit.crypto import SigningKey

AnchorName = Literal["file", "evm", "none"]
NAME: Final = "demo"
POLL: Final = 1.0
"""Seconds between two looks at the place: everything is on this machine."""
SETTLE_SECONDS: Final = 15.0
"""Seconds in which the last deeds reach the place; the model is compared meanwhile."""
WINDOW: Final = 7 * 86_400


class DemoAnchors:
    """Gives the platform's agents a place, and tells what is at it.

    Args:
        make: of the place.
        stack: ends the chain.
        npm: the folder for what npm brings.
        say: called with each step, for people.
    """

    def __init__(
        self,
        make: AnchorName,
        stack: contextlib.ExitStack,
        npm: Path,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.make = make
        self._stack = stack
        self._npm = npm
        self._step = say

    def before_start(self, platform: Platform) -> None:
        """Write the place of a file into the settings of agents that were not started yet."""
        if self.make != "file":
            return
        keeper, (port,) = next(iter(platform.parties.values())), free_ports(1)
        key = SigningKey.load(keeper.directory / "signing.key").public
        edit(keeper.config, {"witness": {"listen": f"{HOST}:{port}", "keeper": {}}})
        place = {"make": "file", "url": f"http://{HOST}:{port}", "keeper": key}
        for owner in platform.parties.values():
            edit(owner.config, {"anchors": [_common(place)]})

    def after_charter(self, platform: Platform) -> None:
        """Bring a chain, make its contract with the charter's members, and restart the agents.

        Raises:
            SecureFlowError: `chain_unavailable`, `missing_extra`.
        """
        if self.make != "evm":
            return
        from secureflow.adapters.anchors.evm.development import anvil
        from secureflow.adapters.anchors.evm.opening import check_extra

        check_extra()
        self._step("chain")
        found = anvil.program(self._npm) or anvil.install(self._npm)
        url = self._stack.enter_context(anvil.running(found, *anvil.FREE))
        owners = list(platform.parties.values())
        planned = str(api.anchor_plan(owners[0].config, url)["place"])
        accounts = [api.anchor_account(one.config, planned) for one in owners]
        made = api.anchor_deploy(owners[0].config, url, accounts, WINDOW, "paris")
        place = {
            "make": "evm", "url": url, "confirmations": 0,
            "chain": made["chain"], "contract": made["contract"],
        }  # fmt: skip
        for owner in owners:
            edit(owner.config, {"anchors": [_common(place)]})
        platform.restart(one.party for one in owners)

    def outcome(self, platform: Platform) -> dict[str, Any]:
        """Wait until every owner's deeds are at the place; return what was found there.

        `verified` is what every owner's own agent says of it: members, heads and receipts.
        """
        if self.make == "none":
            return {"make": "none"}
        owners = list(platform.parties.values())
        waiting = _settled(owners)
        states = [api.anchor_list(one.config, limit=1000) for one in owners]
        checked = [one for owner in owners for one in api.anchor_verify(owner.config)]
        heads = api.anchor_heads(owners[0].config, limit=1000)
        agreeing = [one for one in heads if one["verdict"] == "agrees"]
        return {
            "make": self.make,
            "place": states[0]["places"][0]["place"],
            "heads": len(agreeing),
            "entries": sum(_final(one) for one in states),
            "waiting": waiting,
            "verified": not any(one["problems"] for one in checked) and not waiting,
        }


def _settled(owners: list[Owner]) -> int:
    """Wait until nothing is on its way any more; return how many entries still are."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        waiting = 0
        for owner in owners:
            waiting += sum(one["waiting"] for one in api.anchor_list(owner.config)["places"])
        if not waiting or time.monotonic() > deadline:
            return waiting
        time.sleep(0.2)


def _final(state: Mapping[str, Any]) -> int:
    return sum(one["state"] == "final" for one in state["entries"])


def _common(place: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": NAME, **place, "poll": POLL}
