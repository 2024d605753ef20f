"""Both ends of the links: the courier (server and parties), blobs, and the enclave's uplink."""

from secureflow.adapters.link.blobs import Chunked, Source
from secureflow.adapters.link.credentials import CredentialFiles, Credentials
from secureflow.adapters.link.identity import PeerIdentity
from secureflow.adapters.link.messages import Standing
from secureflow.adapters.link.party import Link
from secureflow.adapters.link.server import Callbacks, LinkServer
from secureflow.adapters.link.tls import ENCLAVE_NAME, SERVER_NAME
from secureflow.adapters.link.uplink import Uplink, UplinkHandler, UplinkServer

__all__ = [
    "ENCLAVE_NAME",
    "SERVER_NAME",
    "Callbacks",
    "Chunked",
    "CredentialFiles",
    "Credentials",
    "Link",
    "LinkServer",
    "PeerIdentity",
    "Source",
    "Standing",
    "Uplink",
    "UplinkHandler",
    "UplinkServer",
]
