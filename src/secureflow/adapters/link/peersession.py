"""One end of a channel without IO: connections in TLS in frames that survive cut links.

`peerlink` carries what `outgoing` returns over one link after the other, and feeds what comes to
`take`; `peerchannel` gives the connections to engines and verbs.
"""

from __future__ import annotations

from typing import Final

from secureflow.adapters.link.peertls import ChannelKey, PeerTls
from secureflow.engines.peers.faults import (
    CLOSING,
    HANDSHAKE,
    JOINING,
    RUNNING,
    ChannelFaultError,
)
from secureflow.engines.peers.multiplex import Multiplexer
from secureflow.engines.peers.resuming import ResumableStream, channel_tag

CHUNK: Final = 512 * 1024
"""Plaintext bytes of one frame, about; measured by `python -m benchmarks.peers`."""


class PeerSession:
    """Everything between a link and the connections of a channel.

    Args:
        own: this end's key and certificate.
        pinned: the peer's certificate (DER).
        client: whether this end is the TLS client.

    Raises:
        ChannelFaultError: the pinned certificate cannot be read.
    """

    def __init__(self, own: ChannelKey, pinned: bytes, *, client: bool) -> None:
        self.connections = Multiplexer(client=client)
        self._tls = PeerTls(own, pinned, client=client)
        self.heard = 0
        """How many pieces of TLS the peer itself has sent."""
        self.tag = channel_tag(own.certificate, pinned)
        self._stream = ResumableStream(self.tag)
        self._tls.shake()
        self._put()

    @property
    def phase(self) -> str:
        """How far the channel has come, for errors."""
        if not self._stream.ever_met:
            return JOINING
        if not self.ready:
            return HANDSHAKE
        return CLOSING if self.connections.closed_here else RUNNING

    @property
    def ready(self) -> bool:
        """Whether both ends have verified each other."""
        return self._tls.done and self.connections.ready

    @property
    def met(self) -> bool:
        """Whether the peer answers over the current link."""
        return self._stream.met

    @property
    def delivered(self) -> bool:
        """Whether the peer's end has everything that was sent."""
        return self._stream.delivered and not self.connections.has_output

    def begin(self) -> bytes:
        """Begin with a new link; return the first frame for it."""
        return self._stream.begin()

    def heartbeat(self) -> bytes:
        """Return a frame that shows that this end is there; another one is in `outgoing`."""
        if self._tls.usable:
            self.connections.ping()
        return self._stream.heartbeat()

    def take(self, data: bytes) -> None:
        """Take what a link brought.

        Raises:
            ChannelFaultError: the channel cannot go on.
        """
        try:
            for payload in self._stream.take(data):
                for plain in self._tls.feed(payload):
                    self.heard += 1
                    self.connections.feed(plain)
        except ChannelFaultError:
            self.connections.fail()  # so that the peer, if it is not to blame, learns of it
            raise
        finally:
            self._put()

    def outgoing(self) -> list[bytes]:
        """Return the frames to write now: what is missing at the peer, and what is new."""
        while self._tls.usable and self._stream.room:
            plain = self.connections.pull(CHUNK)
            if not plain:
                break
            self._tls.write(plain)
            self._put()
        return self._stream.outgoing(eager=self.connections.closed_there)

    def _put(self) -> None:
        if sealed := self._tls.pull():
            self._stream.put(sealed)
