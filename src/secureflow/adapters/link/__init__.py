"""Both ends of the links: the courier (server and parties), blobs, and the enclave's uplink.

The centre's end is imported from `server`: an enclave loads this package, and does not need it.

TLS 1.3 only. gRPC's Python API cannot set a minimum version. Its only option names the cipher
suites of TLS 1.2 and older; naming only pre-shared-key suites, for which no key exists, leaves only
TLS 1.3 (whose suites are fixed). `identity.Gate` checks the negotiated version once more at every
RPC.
"""

import os

# Here, because gRPC reads its environment once, when it is first imported.
os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-PSK-AES256-CBC-SHA"
# Its C core would log a line for every handshake that a stranger aborts.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

from secureflow.adapters.link.blobs import Chunked, Source
from secureflow.adapters.link.credentials import CredentialFiles, Credentials
from secureflow.adapters.link.identity import PeerIdentity
from secureflow.adapters.link.messages import LogProgress
from secureflow.adapters.link.party import Link
from secureflow.adapters.link.recovery import CertificateRecovery, RenewalMethod, expired
from secureflow.adapters.link.tls import ENCLAVE_NAME, SERVER_NAME, Bounds
from secureflow.adapters.link.uplink import Uplink, UplinkHandler, UplinkServer

__all__ = [
    "ENCLAVE_NAME",
    "SERVER_NAME",
    "Bounds",
    "CertificateRecovery",
    "Chunked",
    "CredentialFiles",
    "Credentials",
    "Link",
    "LogProgress",
    "PeerIdentity",
    "RenewalMethod",
    "Source",
    "Uplink",
    "UplinkHandler",
    "UplinkServer",
    "expired",
]
