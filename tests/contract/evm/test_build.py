"""What is in the package is what the compiler makes of the sources, byte for byte."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from peers.chains import DEMANDED, node_and_npm, place

from secureflow.adapters.anchors.evm import development

ROOT = Path(__file__).parents[3]
SOURCES = ROOT / "contracts" / "solidity"
BUILT = ROOT / "src" / "secureflow" / "adapters" / "anchors" / "evm" / "contract"
LOCKS = (SOURCES, Path(str(files(development))))
LARGEST = 24_576


def compiler() -> tuple[str, Path]:
    """Return Node and a folder with the locked compiler, installed once for all tests."""
    lock = (SOURCES / "package-lock.json").read_bytes()
    folder = place().with_name(f"solc-{hashlib.sha256(lock).hexdigest()[:12]}")
    found = node_and_npm()
    if found is None:
        told = "SOLC NOT TESTED: there is no Node.js with npm"
        if os.environ.get(DEMANDED):
            pytest.fail(f"{told}, and {DEMANDED} is set")
        pytest.skip(f"{told}; {DEMANDED}=1 makes this a failure")
    program, npm = found
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(SOURCES / name, folder / name)
            command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            (folder / "done").touch()
    return program, folder / "node_modules"


@pytest.mark.parametrize("target", ["istanbul", pytest.param("paris", marks=pytest.mark.full)])
def test_the_compiler_makes_the_same_bytes(target: str, tmp_path: Path) -> None:
    program, modules = compiler()
    environment = {**os.environ, "NODE_PATH": str(modules)}
    shutil.copytree(SOURCES / "src", tmp_path / "src")
    shutil.copy(SOURCES / "build.js", tmp_path / "build.js")
    into = tmp_path / "into"
    command = [program, str(tmp_path / "build.js"), str(into), target]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    for name in ("abi.json", f"{target}.json"):
        assert (into / name).read_bytes() == (BUILT / name).read_bytes(), name
    assert {one.name for one in BUILT.iterdir()} == {"abi.json", "istanbul.json", "paris.json"}


def built(target: str) -> Any:
    return json.loads((BUILT / f"{target}.json").read_text())


@pytest.mark.parametrize("target", ["istanbul", "paris"])
def test_the_code_fits_an_account_and_has_no_new_instructions(target: str) -> None:
    found = built(target)
    code = bytes.fromhex(found["runtime"])
    assert len(code) < LARGEST
    assert found["compiler"].startswith("0.8.37+")
    at = 0
    while at < len(code):  # PUSH0 (shanghai) burns all gas on GoQuorum, MCOPY (cancun) too
        assert code[at] not in {0x5F, 0x5E, 0x5C, 0x5D, 0x48}, hex(at)
        at += code[at] - 0x5E if 0x60 <= code[at] <= 0x7F else 1


def test_the_locks_name_digests_and_no_registry() -> None:
    for folder in LOCKS:
        text = (folder / "package-lock.json").read_text()
        assert '"resolved"' not in text
        assert "omit-lockfile-registry-resolved=true" in (folder / ".npmrc").read_text()
        packages = json.loads(text)["packages"]
        assert all(one.get("integrity") for name, one in packages.items() if name)


def test_a_wheel_would_carry_it() -> None:
    """Hatch takes what lies in the package and is not ignored by git."""
    wanted = [*BUILT.iterdir(), *(LOCKS[1] / one for one in ("package.json", "package-lock.json"))]
    command = ["git", "check-ignore", *map(str, wanted)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.stdout


def test_what_signs_leaves_the_recursion_limit_as_it_was() -> None:
    """One of its parts raises the limit on import; nested JSON would then kill the process."""
    script = (
        "import sys\n"
        "before = sys.getrecursionlimit()\n"
        "import secureflow.adapters.anchors.evm.account\n"
        "import json\n"
        "assert sys.getrecursionlimit() == before, sys.getrecursionlimit()\n"
        "try:\n"
        "    json.loads('[' * 100_000)\n"
        "except RecursionError:\n"
        "    print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr
