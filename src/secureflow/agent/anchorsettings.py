"""The places at which an agent anchors heads of the log and own deeds (docs/anchors-agents.md).

A place is dialled only if its owner names it here: nothing that the centre or another member says
is ever an address.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import Field, model_validator

from secureflow.domain.specs.base import Key
from secureflow.kit.canonical import b64decode
from secureflow.kit.hostport import HostPort
from secureflow.kit.settings import Section
from secureflow.kit.text import Text

Deed = Literal["heads", "jobs", "approvals", "datasets", "rounds", "spends", "settlements"]
DEEDS: Final[tuple[Deed, ...]] = get_args(Deed)
PlaceName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
NodeUrl = Annotated[str, Field(max_length=1000, pattern=r"^https?://[!-~]+$")]
_LINE = r"^[A-Za-z0-9._-]{1,200}$"


class PlaceSettings(Section):
    """What every place has.

    Args:
        name: the owner's name for it.
        every: seconds after which a newer head is anchored, if there is one; 0: only after jobs.
        after_jobs: whether the first head that holds a job's end is anchored at once.
        events: which of the own deeds are anchored there, beside heads.
        poll: seconds between two looks at what others anchored.
    """

    name: PlaceName
    every: Annotated[int, Field(ge=0, le=30 * 86_400)] = 600
    after_jobs: bool = True
    events: Annotated[tuple[Deed, ...], Field(max_length=len(DEEDS))] = DEEDS
    poll: Annotated[float, Field(ge=0.2, le=86_400)] = 15.0

    @model_validator(mode="after")
    def _spends_of_datasets(self) -> Self:
        if "spends" in self.events and "datasets" not in self.events:
            raise ValueError(Text("a place takes spends only of datasets: add datasets to events"))
        return self


class EvmPlace(PlaceSettings):
    """A contract on an EVM chain, read and written through the owner's own node.

    `contract` is its address, `chain` the chain's id; a head counts once `confirmations` blocks
    stand on it (0: as soon as it is included, for IBFT, QBFT and Raft). `fees` are those of
    `legacy` or `dynamic` transactions, `auto` finds out; `price` is in wei for a unit of gas, and
    `most_fee` what is paid for one at the most where blocks have a base fee; `ca` is a PEM file of
    the CAs to trust for a node with a private PKI.
    """

    make: Literal["evm"]
    url: NodeUrl
    chain: Annotated[int, Field(ge=1, le=2**53 - 1)]
    contract: Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
    confirmations: Annotated[int, Field(ge=0, le=10_000)] = 12
    fees: Literal["auto", "legacy", "dynamic"] = "auto"
    price: Annotated[int, Field(ge=0, le=2**53 - 1)] = 0
    most_fee: Annotated[int, Field(ge=1, le=2**53 - 1)] = 500_000_000_000
    ca: Path | None = None

    @property
    def place(self) -> str:
        """Which one it is, the same for everyone (`Anchor.place`)."""
        return f"evm:{self.chain}:{self.contract.lower()}"


class FabricPlace(PlaceSettings):
    """A chaincode on a Fabric channel, through the gateway of the owner's own peer.

    `certificate` and `key` are the identity that the owner's CA issued, `ca` the CAs of the peer's
    TLS, and `host` the name in the peer's certificate where it is another one. The gateway runs in
    an environment of its own: `secureflow engine install fabric`.
    """

    make: Literal["fabric"]
    gateway: HostPort
    channel: Annotated[str, Field(pattern=_LINE)]
    chaincode: Annotated[str, Field(pattern=_LINE)]
    msp: Annotated[str, Field(pattern=_LINE)]
    certificate: Path
    key: Path
    ca: Path
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{0,253}$")] = ""

    @property
    def place(self) -> str:
        """Which one it is, the same for everyone (`Anchor.place`)."""
        return f"fabric:{self.channel}:{self.chaincode}"


class FilePlace(PlaceSettings):
    """A file that another party's agent keeps.

    `url` is where that agent listens, `keeper` its charter key, and `ca` a PEM file of the CAs to
    trust for an https address with a private PKI.
    """

    make: Literal["file"]
    url: NodeUrl
    keeper: Key
    ca: Path | None = None

    @property
    def place(self) -> str:
        """Which one it is, the same for everyone (`Anchor.place`)."""
        return f"file:{b64decode(self.keeper).hex()}"


AnyPlace = Annotated[EvmPlace | FabricPlace | FilePlace, Field(discriminator="make")]
MAX_PLACES: Final = 8


def check_places(places: tuple[AnyPlace, ...]) -> tuple[AnyPlace, ...]:
    """Refuse two places of one name, and one that is named twice."""
    for known in ([one.name for one in places], [one.place for one in places]):
        if len(set(known)) != len(known):
            raise ValueError(Text("two places have the same name or are the same"))
    chains = [one.chain for one in places if isinstance(one, EvmPlace)]
    if len(set(chains)) != len(chains):
        raise ValueError(Text("an agent has one account on a chain, and so one place on it"))
    return places
