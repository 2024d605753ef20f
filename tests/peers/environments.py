"""An environment with NumPy for agents of tests: a wheel of what is installed here.

It is installed once and copied: what is in it is compared by names, sizes and digests.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from hashlib import sha256
from importlib.metadata import distribution
from pathlib import Path

from secureflow.agent.owner.environments import Environment, Environments
from secureflow.agent.owner.venvs import Source


def installed_wheel(folder: Path, name: str) -> str:
    """Write a wheel of an installed distribution, and return its line of a lock."""
    found = distribution(name)
    tag = next(
        line.split(": ", 1)[1]
        for line in (found.read_text("WHEEL") or "").splitlines()
        if line.startswith("Tag: ")
    )
    path = folder / f"{name}-{found.version}-{tag}.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for one in found.files or ():
            if not str(one).startswith("..") and "__pycache__" not in one.parts:
                archive.write(str(one.locate()), str(one))
    digest = sha256(path.read_bytes()).hexdigest()
    return f"{name}=={found.version} --hash=sha256:{digest}\n"


def with_numpy(first: Path, *others: Path) -> Environment:
    """Give agents' folders an environment with NumPy, and return its description."""
    wheels = first / "wheels"
    lock = installed_wheel(wheels, "numpy").encode()
    Environments(first).add("numpy", Path(sys.executable), lock, Source(folder=wheels))
    shutil.rmtree(wheels)
    for one in others:
        shutil.copytree(first / "environments", one / "environments", symlinks=True)
    return Environments(first).get("numpy")
