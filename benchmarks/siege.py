"""A stranger who holds on: idle TLS connections and handshakes that stop half-way.

`python -m benchmarks.siege HOST:PORT --idle 2000 --half 200 --address 127.0.0.66` opens them,
prints `{"event": "held", …}` and holds them until its standard input ends. With `--again` it dials
again whatever the other end closes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import selectors
import socket
import ssl
import sys
import time

HALF_HELLO = bytes.fromhex("160301020001")
"""The beginning of a TLS record that announces more than ever comes."""
PATIENCE = 60.0  # seconds


class Siege:
    """Holds connections to one port.

    Args:
        target: host and port.
        address: the loopback address that it comes from.
    """

    def __init__(self, target: tuple[str, int], address: str) -> None:
        self._target = target
        self._address = address
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._held = selectors.DefaultSelector()

    def __len__(self) -> int:
        return len(self._held.get_map())

    def idle(self) -> None:
        """Open one connection with TLS, and say nothing."""
        with contextlib.suppress(OSError):  # turned away
            self._keep(self._context.wrap_socket(self._dial(), server_hostname=None), "idle")

    def half(self) -> None:
        """Open one connection and stop in the middle of the hello."""
        with contextlib.suppress(OSError):
            one = self._dial()
            one.send(HALF_HELLO)
            self._keep(one, "half")

    def closed(self, seconds: float) -> list[str]:
        """Let go of what the other end closed meanwhile; return the kinds."""
        kinds = []
        for key, _ in self._held.select(seconds):
            one = key.fileobj
            assert isinstance(one, socket.socket)
            try:
                ended = one.recv(4096) == b""
            except ssl.SSLWantReadError:
                ended = False
            except OSError:
                ended = True
            if ended:
                self._held.unregister(one)
                one.close()
                kinds.append(key.data)
        return kinds

    def _dial(self) -> socket.socket:
        return socket.create_connection(self._target, 10, source_address=(self._address, 0))

    def _keep(self, one: socket.socket, kind: str) -> None:
        one.setblocking(False)
        self._held.register(one, selectors.EVENT_READ, kind)


def main() -> None:
    """Hold until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--half", type=int, default=200)
    parser.add_argument("--address", default="127.0.0.66")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--most", type=int, help="wait until the other end has closed down to it")
    asked = parser.parse_args()
    host, _, port = asked.target.rpartition(":")
    siege = Siege((host, int(port)), asked.address)
    began = time.monotonic()
    for _ in range(asked.idle):
        siege.idle()
    for _ in range(asked.half):
        siege.half()
    closed = len(siege.closed(0.1))
    while asked.most and len(siege) > asked.most and time.monotonic() - began < PATIENCE:
        closed += len(siege.closed(0.1))
    seconds = round(time.monotonic() - began, 2)
    print(json.dumps({"event": "held", "open": len(siege), "closed": closed, "seconds": seconds}))
    sys.stdout.flush()
    ends = selectors.DefaultSelector()
    ends.register(sys.stdin, selectors.EVENT_READ)
    while not ends.select(0):
        for kind in siege.closed(0.2):
            if asked.again:
                siege.idle() if kind == "idle" else siege.half()


if __name__ == "__main__":
    main()
