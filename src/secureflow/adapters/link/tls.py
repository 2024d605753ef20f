"""Common settings of every gRPC link: certificates at both ends, small buffers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio

from secureflow.adapters.link.credentials import Credentials
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.hostport import parse_address
from secureflow.kit.text import Text
from secureflow.wire import MAX_ENVELOPE

SERVER_NAME: Final = "secureflow-server"
ENCLAVE_NAME: Final = "secureflow-enclave"
"""DNS names in the certificates of the two listening roles: whatever the address, a client accepts
only a certificate of its own CA with the name of the role that it dials. Agents get no name."""

CHUNK: Final = 1 << 18
"""Bytes of one message of a blob: the centre buffers one or two per party at the same time."""
MAX_CHUNK: Final = 1 << 20
"""Maximum plaintext bytes per message of any raw byte stream, such as sealed updates."""
STREAMS: Final = 32
"""Concurrent RPCs per connection: a party has its stream, a call or two, and a blob each way."""
MAX_MESSAGE: Final = max(MAX_CHUNK, MAX_ENVELOPE) + 64 * 1024

KEEPALIVE: Final = 20.0
"""Seconds before a keepalive on a silent uplink, and for its answer. An enclave without a free
buffer reads nothing for a while, but it answers keepalives."""

_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    # An orphaned process sharing the port would receive some of the connections.
    ("grpc.so_reuseport", 0),
    # Memory is the window times the streams; on these links a larger one is not faster.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 256 * 1024),
    ("grpc.http2.max_frame_size", 64 * 1024),
    ("grpc.enable_retries", 0),
)


@dataclass(frozen=True)
class Bounds:
    """Limits of a listening port for strangers.

    Args:
        connections: open at the same time; further ones are closed unread.
        handshake_seconds: until a connection has shown its certificate and its HTTP/2 settings.
        idle_seconds: how long a connection may be open without an RPC.
    """

    connections: int = 1024
    handshake_seconds: float = 10.0
    idle_seconds: float = 600.0


DEFAULT: Final = Bounds()


def new_server(bounds: Bounds) -> grpc.aio.Server:
    """Return a server with the common options of links."""
    return grpc.aio.server(
        options=(
            *_OPTIONS,
            ("grpc.max_allowed_incoming_connections", bounds.connections),
            ("grpc.server_handshake_timeout_ms", int(1000 * bounds.handshake_seconds)),
            ("grpc.max_connection_idle_ms", int(1000 * bounds.idle_seconds)),
            ("grpc.max_concurrent_streams", STREAMS),
            ("grpc.http2.min_ping_interval_without_data_ms", int(500 * KEEPALIVE)),
        )
    )


def listen(server: grpc.aio.Server, bind: str, current: Callable[[], Credentials]) -> int:
    """Add a mutually authenticated port; a renewed certificate is used from the next handshake on.

    Args:
        server: not yet started.
        bind: `host:port`; port 0 picks a free one.
        current: returns the newest credentials.

    Returns:
        The port.

    Raises:
        SecureFlowError: `address_unavailable`.
    """
    first = current()
    served = [first]

    def renewed() -> Any:  # None keeps the certificate, which the type stubs do not know
        newest = current()
        if newest == served[0]:
            return None
        served[0] = newest
        return _certificates(newest)

    credentials = grpc.dynamic_ssl_server_credentials(
        _certificates(first), renewed, require_client_authentication=True
    )
    try:
        return int(server.add_secure_port(bind, credentials))
    except RuntimeError as error:
        raise SecureFlowError(
            "address_unavailable",
            Text("The process cannot listen on {bind}.", bind=bind),
            "Another process may be using it: stop that one, or choose another port (0 = any).",
        ) from error


def open_channel(
    address: str, credentials: Credentials, name: str, *, keepalive: float | None = None
) -> grpc.aio.Channel:
    """Open a mutually authenticated channel to a role (`SERVER_NAME` or `ENCLAVE_NAME`).

    Args:
        address: `host:port`.
        credentials: of this end.
        name: the role's.
        keepalive: see `KEEPALIVE`; None for a channel whose stream has its own heartbeat.

    Raises:
        SecureFlowError: `invalid_address` for anything but host:port.
    """
    return grpc.aio.secure_channel(
        parse_address(address).target,
        grpc.ssl_channel_credentials(credentials.ca, credentials.key, credentials.certificate),
        options=(
            *_OPTIONS,
            ("grpc.ssl_target_name_override", name),
            ("grpc.use_local_subchannel_pool", 1),
            # The link's own loop decides when to redial, with its own back-off.
            ("grpc.initial_reconnect_backoff_ms", 50),
            # Total time of one attempt, for TCP, TLS and the settings; the same as at the other
            # end.
            ("grpc.min_reconnect_backoff_ms", int(1000 * DEFAULT.handshake_seconds)),
            ("grpc.max_reconnect_backoff_ms", 2000),
            *(_heartbeat(keepalive) if keepalive else ()),
        ),
    )


def _heartbeat(seconds: float) -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.keepalive_time_ms", int(1000 * seconds)),
        ("grpc.keepalive_timeout_ms", int(1000 * seconds)),
        ("grpc.http2.ping_timeout_ms", int(1000 * seconds)),
        ("grpc.http2.max_pings_without_data", 0),
    )


def identity(data: bytes) -> bytes:
    """Serialise raw bytes: unchanged."""
    return data


def _certificates(credentials: Credentials) -> grpc.ServerCertificateConfiguration:
    pair = (credentials.key, credentials.certificate)
    return grpc.ssl_server_certificate_configuration([pair], credentials.ca)
