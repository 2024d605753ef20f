"""The seed of an enclave's noise: from all contributors together, bound to one release.

Each contribution brings a seed. The noise is unknown as long as one contributor keeps its own
secret, and it is the same however often a release is requested.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from secureflow.kit.canonical import canonical_bytes, digest

_BOUND: Final = b"secureflow noise seed\n"


def joint_seed(seeds: Mapping[str, bytes], **facts: Any) -> bytes:
    """Return the seed of a release's noise: from all contributors, bound to the release."""
    body = {"v": 1, "use": "noise", **facts, "seeds": {p: s.hex() for p, s in seeds.items()}}
    return hashlib.sha256(canonical_bytes(body)).digest()


def seed_binding(seeds: Mapping[str, bytes]) -> str:
    """Return a closing certificate's binding of the seeds, without revealing them; "" for none.

    Otherwise a contributor that seals another seed to each restarted enclave gets the same sum
    released under new noise, as often as the operator likes.
    """
    if not seeds:
        return ""
    return digest({p: hashlib.sha256(_BOUND + s).hexdigest() for p, s in seeds.items()})
