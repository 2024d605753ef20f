"""One chain and one contract on it, as a node shows them: checked before anything is believed."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from secureflow.adapters.anchors.evm.answers import Block, block, data, quantity
from secureflow.adapters.anchors.evm.coding import TARGETS, built, decoded, function
from secureflow.adapters.anchors.evm.faults import NodeFault, refused, told, unavailable
from secureflow.adapters.anchors.evm.rpc import Question, Rpc
from secureflow.adapters.anchors.evm.settings import ADDRESS, EvmSettings
from secureflow.kit.text import Text

LATEST: Final = "latest"


class Node:
    """Asks a node about one contract.

    Args:
        rpc: to the node.
        settings: which chain and which contract.
    """

    def __init__(self, rpc: Rpc, settings: EvmSettings) -> None:
        self.rpc = rpc
        self.settings = settings
        self._opening = asyncio.Lock()
        self._founded: int | None = None

    async def opened(self) -> int:
        """Check once that the chain is the one, and the contract ours; return its first block.

        Raises:
            SecureFlowError: `anchor_refused`.
            InfrastructureError: `anchor_unavailable`.
        """
        async with self._opening:
            if self._founded is None:
                await self._check()
                (self._founded,) = await self.view("founded")
        return self._founded

    async def latest(self) -> Block:
        """Return the newest block."""
        return self.present(block((await self.rpc.known([self.head_question(LATEST)]))[0]))

    async def block(self, number: int) -> Block | None:
        """Return a block of the chain as it is now; None above the newest."""
        return block((await self.rpc.known([self.head_question(number)]))[0])

    async def view(self, name: str, *values: Any, at: int | str = LATEST) -> tuple[Any, ...]:
        """Return what a view of the contract gives.

        Raises:
            InfrastructureError: `anchor_unavailable`, also if it reverts.
        """
        try:
            answer = await self.rpc.ask(*self.view_question(name, *values, at=at))
        except NodeFault as fault:
            raise told(fault) from fault
        return self.viewed(name, answer)

    def view_question(self, name: str, *values: Any, at: int | str = LATEST) -> Any:
        """Return the question for a view."""
        call = {"to": self.settings.contract, "data": f"0x{function(name).call(*values).hex()}"}
        return ("eth_call", call, _tag(at))

    def viewed(self, name: str, answer: Any) -> tuple[Any, ...]:
        """Return what an answer to `view_question` says."""
        return decoded(function(name).gives, data(answer))

    @staticmethod
    def head_question(at: int | str) -> Question:
        """Return the question for a block's head, without its transactions."""
        return ("eth_getBlockByNumber", (_tag(at), False))

    @staticmethod
    def present(found: Block | None) -> Block:
        """Return a block that there must be."""
        if found is None:
            raise unavailable("it lacks a block")
        return found

    async def _check(self) -> None:
        contract = self.settings.contract
        if not ADDRESS.fullmatch(contract):
            raise refused("the contract's address is malformed")
        chain, code = await self.rpc.known(
            [("eth_chainId", ()), ("eth_getCode", (contract, LATEST))]
        )
        if quantity(chain) != self.settings.chain:
            raise refused(
                Text(
                    "the node's chain is {found}, not {wanted}",
                    found=quantity(chain),
                    wanted=self.settings.chain,
                )
            )
        if not any(built(target).is_at(data(code)) for target in TARGETS):
            raise refused("the code at the contract's address is not that of this version")


def _tag(at: int | str) -> str:
    return at if isinstance(at, str) else hex(at)
