"""The chaincode's own tests, by Node's test runner."""

from __future__ import annotations

import json
import subprocess

from tests.peers.fabric_world import CONTRACT, node


def test_the_chaincodes_own_tests_pass() -> None:
    command = [node(), "--test", "--test-reporter", "tap", "test/ledger.test.js"]
    done = subprocess.run(command, cwd=CONTRACT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "\n# fail 0" in done.stdout
    assert "a place begins once" in done.stdout


def test_its_packages_come_from_the_lock_and_no_host_is_spelled_out() -> None:
    lock = json.loads((CONTRACT / "package-lock.json").read_text())
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert packages["node_modules/fabric-shim"]["version"] == "2.5.8"
    assert all("integrity" in one and "resolved" not in one for one in packages.values())
