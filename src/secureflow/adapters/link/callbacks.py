"""What the centre's end of the links asks the application, and tells it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from secureflow.adapters.link.data import MayRead, MayWrite
from secureflow.adapters.link.identity import Authorise, PeerIdentity
from secureflow.adapters.link.messages import LogProgress
from secureflow.adapters.link.relay import MayJoin, PeerPlace
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

CallHandler = Callable[[PeerIdentity, str, dict[str, JSON]], Awaitable[JSON]]
"""Answers a party's call: (peer, kind, body)."""
OnHello = Callable[[PeerIdentity, dict[str, JSON]], Awaitable[None]]
"""Called with every new stream; raises to refuse it."""
MakeLogProofs = Callable[[str, Mapping[str, JSON], LogProgress], Awaitable[JSON]]
"""Makes a request's log proofs on delivery: (party, body, the party's newest progress)."""


async def _nobody() -> Sequence[str]:
    return ()


async def _holds(_party: str) -> str:
    return ""


async def _no_channels(peer: PeerIdentity, _place: PeerPlace) -> None:
    raise SecureFlowError("forbidden", Text("{party} has no channels.", party=peer.party))


def _unnoticed(_party: str, _connected: bool) -> None:
    return


@dataclass(frozen=True)
class Callbacks:
    """The application's callbacks for the link."""

    authorise: Authorise
    on_hello: OnHello
    call: CallHandler
    log_proofs: MakeLogProofs
    may_read: MayRead
    may_write: MayWrite
    revoked: Callable[[], Awaitable[Sequence[str]]] = _nobody
    certificate_problem: Callable[[str], Awaitable[str]] = _holds
    """Says why a party's newest certificate is not valid by the centre's clock; else empty."""
    may_join: MayJoin = _no_channels
    """Raises unless an agent may open this channel to another one."""
    on_link: Callable[[str, bool], None] = _unnoticed
    """Called when a party's link opens (True) or is gone."""
