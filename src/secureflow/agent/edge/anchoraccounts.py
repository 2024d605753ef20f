"""An agent's accounts at places, and a new place on a chain: from the agent's own files.

The charter key signs which account is its member's (`engines.anchors.entries.binding`). Members
hand these documents to whoever makes the place, or vote on who joins; everybody checks them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from secureflow.agent.anchorsettings import AnyPlace, FabricPlace
from secureflow.agent.edge.anchorplaces import chain_key
from secureflow.agent.edge.check import stored_fact
from secureflow.agent.edge.ownidentity import read_signing_key
from secureflow.agent.settings import AgentSettings
from secureflow.domain.charter import SignedCharter
from secureflow.engines.anchors.entries import Admit, binding
from secureflow.engines.anchors.reading import check_members
from secureflow.kit.canonical import JSON, b64decode
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:
    from secureflow.adapters.anchors.evm.account import EvmAccount
    from secureflow.adapters.anchors.evm.rpc import Rpc

MOST_MEMBERS: Final = 1000
_EVM: Final = re.compile(r"evm:([1-9][0-9]{0,15}):0x[0-9a-f]{40}")
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_FIELDS: Final = frozenset({"place", "organisation", "member", "account", "signature"})


def account_document(config: Path, place: str) -> dict[str, JSON]:
    """Return this member's account at a place, with the signature that binds it.

    Args:
        config: the agent's file.
        place: its name in the settings, or which one it is (`Anchor.place`); of a chain, the
            account is made if there is none.

    Raises:
        SecureFlowError: `anchor_unknown`, `invalid_settings`, `missing_extra`, `key_…`.
    """
    settings = AgentSettings.load(config)
    key = read_signing_key(settings)
    named = next((one for one in settings.anchors if place in {one.name, one.place}), None)
    which = named.place if named is not None else place
    raw = b64decode(key.public)
    account = _account(settings, named, which, raw)
    signature = key.private.sign(binding(which, raw, account))
    return {
        "place": which,
        "organisation": settings.organisation,
        "member": raw.hex(),
        "account": account.hex(),
        "signature": [signature[:32].hex(), signature[32:].hex()],
    }


def read_account(value: JSON) -> tuple[str, Admit]:
    """Return place and member of a document that `account_document` made; it is not checked.

    Raises:
        SecureFlowError: `malformed_anchor`.
    """
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise _malformed("it needs place, organisation, member, account and signature")
    signature, place = value["signature"], value["place"]
    halves = signature if isinstance(signature, list) and len(signature) == 2 else [None]
    words = [value["member"], value["account"], *halves]
    if not all(isinstance(one, str) and _HEX.fullmatch(one) for one in words):
        raise _malformed("member, account and both halves of the signature have 64 hex digits")
    if not isinstance(place, str) or len(place) > 300:
        raise _malformed("place must be a text")
    member, account, *both = (bytes.fromhex(str(one)) for one in words)
    return place, Admit(member, account, tuple(both))


def planned_place(config: Path, url: str) -> dict[str, JSON]:
    """Return the place that this agent's next deployment on a node's chain makes.

    Raises:
        SecureFlowError: `missing_extra`, `anchor_unavailable`, `key_…`.
    """
    from secureflow.adapters.anchors.evm.deploying import planned

    async def plan(rpc: Rpc, maker: EvmAccount) -> dict[str, JSON]:
        return {"place": await planned(rpc, maker.address), "maker": maker.address}

    return _at_node(AgentSettings.load(config), url, plan)


def deploy_place(
    config: Path, url: str, accounts: Sequence[JSON], window: int, target: str
) -> dict[str, JSON]:
    """Make a place on a chain with these members; each of them signed its account at it before.

    Args:
        config: the agent's file.
        url: of the owner's own node.
        accounts: documents of `account_document`, of every member.
        window: seconds in which shares can be disputed.
        target: `paris`, or `istanbul` for GoQuorum.

    Raises:
        SecureFlowError: `malformed_anchor`, `anchor_untrusted` for who is not in the pinned
            charter, `anchor_refused`, `anchor_unavailable`, `missing_extra`, `key_…`.
    """
    from secureflow.adapters.anchors.evm.deploying import deploy

    settings = AgentSettings.load(config)
    known = [read_account(one) for one in accounts[:MOST_MEMBERS]]
    places = {place for place, _ in known}
    if len(places) != 1:
        raise _malformed("the accounts are not all of one place")
    kept = stored_fact(settings.record, "charter")
    if kept is None:
        raise SecureFlowError("charter_missing", "This agent has pinned no charter yet.")
    members = [member for _, member in known]
    check_members(places.pop(), members, SignedCharter.from_json(kept).charter.keys)

    async def make(rpc: Rpc, maker: EvmAccount) -> dict[str, JSON]:
        made = await deploy(rpc, maker, members, window, target=target)
        _, chain, contract = made.split(":")
        return {"place": made, "chain": int(chain), "contract": contract}

    return _at_node(settings, url, make)


def _at_node(
    settings: AgentSettings,
    url: str,
    work: Callable[[Rpc, EvmAccount], Awaitable[dict[str, JSON]]],
) -> dict[str, JSON]:
    from secureflow.adapters.anchors.evm.opening import check_extra, open_account

    check_extra()
    from secureflow.adapters.anchors.evm.answers import number
    from secureflow.adapters.anchors.evm.owning import sole_owner
    from secureflow.adapters.anchors.evm.rpc import Rpc

    async def run() -> dict[str, JSON]:
        rpc = Rpc(url)
        try:
            (chain,) = await rpc.known([("eth_chainId", ())])
            path = chain_key(settings, number(chain))
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            maker = await asyncio.to_thread(open_account, path, settings.key_files)
            with sole_owner(path):
                return await work(rpc, maker)
        finally:
            await rpc.close()

    return asyncio.run(run())


def _account(settings: AgentSettings, named: AnyPlace | None, place: str, raw: bytes) -> bytes:
    make = place.partition(":")[0]
    if make == "file":
        return raw
    if found := _EVM.fullmatch(place):
        from secureflow.adapters.anchors.evm.opening import open_account

        path = chain_key(settings, int(found.group(1)))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open_account(path, settings.key_files).word
    if isinstance(named, FabricPlace):
        from secureflow.adapters.anchors.fabric.account import account_of

        return account_of(named.msp, named.certificate.read_bytes())
    raise SecureFlowError(
        "anchor_unknown",
        Text("agent.yaml names no place {place} under anchors.", place=place),
        "Give its name there, or what a planned place is called: evm:CHAIN:0x…",
    )


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_anchor",
        Text("The account of a member at a place is malformed: {reason}.", reason=reason),
        "Have the member make it again: secureflow agent anchor account.",
    )
