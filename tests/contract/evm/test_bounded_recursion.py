"""What signs for a chain leaves Python's bound on recursion: deep foreign JSON is refused."""

from __future__ import annotations

import subprocess
import sys

from peers.chains import demand_anvil

PROGRAM = """
import sys
before = sys.getrecursionlimit()
import secureflow.adapters.anchors.evm.account
assert sys.getrecursionlimit() == before, sys.getrecursionlimit()
from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError
try:
    parse_json(b"[" * 500_000)
except SecureFlowError as error:
    print(error.code)
"""


def test_an_agent_with_a_chain_refuses_deep_json() -> None:
    demand_anvil()  # what it takes to speak to chains is there
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "malformed_json"), done.stderr
