"""A gateway process whose signatures have s in the upper half; it runs in Fabric's environment."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

START = Path(sys.argv[0]).resolve().parents[3] / (
    "src/secureflow/adapters/anchors/fabric/gateway/start.py"
)


def main() -> None:
    found = importlib.util.spec_from_file_location("start", START)
    assert found is not None
    assert found.loader is not None
    start = importlib.util.module_from_spec(found)
    found.loader.exec_module(start)
    start.package()
    identity = importlib.import_module(f"{start.PACKAGE}.identity")
    lowered = identity.Identity.sign

    def sign(self: object, message: bytes) -> bytes:
        r, s = identity.utils.decode_dss_signature(lowered(self, message))
        return bytes(identity.utils.encode_dss_signature(r, identity.ORDER - s))

    identity.Identity.sign = sign
    importlib.import_module(f"{start.PACKAGE}.serving").main()


main()
