"""Make a place: a contract with its members. Whoever does it has no role in it afterwards.

A member's charter key signs over the place, and the place has the contract's address, which follows
from the maker's address and the number of its transaction: so it is known, and signed, beforehand
(`planned`), and made by just that transaction (`deploy`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from secureflow.adapters.anchors.evm.account import EvmAccount, address_of
from secureflow.adapters.anchors.evm.answers import block, number, receipt
from secureflow.adapters.anchors.evm.coding import built, constructor
from secureflow.adapters.anchors.evm.faults import NodeFault, refused, told, unavailable
from secureflow.adapters.anchors.evm.gas import DEPLOY, FOUNDER, dynamic_fees
from secureflow.adapters.anchors.evm.node import LATEST, Node
from secureflow.adapters.anchors.evm.rpc import Rpc
from secureflow.adapters.anchors.evm.settings import MOST_FEE, EvmSettings, place_of
from secureflow.engines.anchors.entries import Admit
from secureflow.engines.anchors.state import Member, bound
from secureflow.kit.text import Text

_LOOKS: Final = 600
_BYTE: Final = 0x80
_LIST: Final = 0xC0
"""Prefixes of RLP (Yellow Paper, appendix B) for short values."""
Pause = Callable[[float], Awaitable[None]]


def contract_at(maker: str, nonce: int) -> str:
    """Return the address that a maker's transaction of this number gives its contract."""
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8, "big")
    short = len(number) == 1 and number[0] < _BYTE
    spelled = number if short else bytes([_BYTE + len(number)]) + number
    items = bytes([_BYTE + 20]) + bytes.fromhex(maker.removeprefix("0x")) + spelled
    made = bytes([_LIST + len(items)]) + items
    return f"0x{keccak(made)[-20:].hex()}"


async def planned(rpc: Rpc, maker: str) -> str:
    """Return the place that the maker's next transaction would make.

    Raises:
        InfrastructureError: `anchor_unavailable`.
    """
    chain, nonce = await rpc.known(
        [("eth_chainId", ()), ("eth_getTransactionCount", (maker, LATEST))]
    )
    return place_of(number(chain), contract_at(maker, number(nonce)))


async def deploy(
    rpc: Rpc,
    maker: EvmAccount,
    members: Sequence[Admit],
    window: int,
    *,
    target: str = "paris",
    price: int = 0,
    pause: Pause = asyncio.sleep,
) -> str:
    """Make the place that was planned, with members who signed their accounts at it; return it.

    Args:
        rpc: to the node.
        maker: who sends it; the number of its next transaction is in the place.
        members: as `planned` and signed.
        window: seconds in which shares can be disputed.
        target: `istanbul` for GoQuorum, `paris` otherwise.
        price: wei for a unit of gas where the chain has no base fee.
        pause: between two looks.

    Raises:
        SecureFlowError: `anchor_refused`: a binding is not its member's, or the chain refuses it.
        InfrastructureError: `anchor_unavailable`.
    """
    chain, nonce, newest = await rpc.known(
        [
            ("eth_chainId", ()),
            ("eth_getTransactionCount", (maker.address, LATEST)),
            Node.head_question(LATEST),
        ]
    )
    contract = contract_at(maker.address, number(nonce))
    place = place_of(number(chain), contract)
    _check(place, members)
    founders = [(one.member, address_of(one.account), one.signature) for one in members]
    code = built(target).bytecode + encode(constructor(), (founders, window))
    head = Node.present(block(newest))
    fees = dynamic_fees(head.base, 0, MOST_FEE) if head.base else {"gasPrice": price}
    signed = maker.signed(
        {
            **fees,
            "chainId": number(chain),
            "nonce": number(nonce),
            "gas": DEPLOY + FOUNDER * len(members),
            "value": 0,
            "data": code,
        }
    )
    try:
        await rpc.ask("eth_sendRawTransaction", f"0x{signed.raw.hex()}")
    except NodeFault as fault:
        raise told(fault) from fault
    await _included(rpc, signed.id, contract, pause)
    await Node(rpc, EvmSettings("", number(chain), contract)).opened()
    return place


async def _included(rpc: Rpc, transaction: str, contract: str, pause: Pause) -> None:
    for _ in range(_LOOKS):
        found = receipt(
            (await rpc.known([("eth_getTransactionReceipt", (f"0x{transaction}",))]))[0]
        )
        if found is not None:
            if not found.ok or found.contract != contract:
                raise refused("the chain did not take the contract")
            return
        await pause(0.1)
    raise unavailable("the contract is in no block yet")


def _check(place: str, members: Sequence[Admit]) -> None:
    for one in members:
        member = Member(one.member, one.account, one.signature)
        if any(one.account[:12]) or not bound(place, member):
            raise refused(
                Text("member {member} did not sign its account there", member=one.member.hex())
            )
    if not members or len({one.account for one in members}) != len(members):
        raise refused("it has no members, or two with one account")
