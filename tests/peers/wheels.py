"""Tiny wheels, made on the spot: a wheel is a zip with a list of its files."""

from __future__ import annotations

import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path


def wheel(
    folder: Path,
    name: str,
    version: str,
    needs: tuple[str, ...] = (),
    more: Mapping[str, str] | None = None,
) -> str:
    """Write a wheel with one module, and files of any name; return the SHA-256 of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{name}-{version}.dist-info"
    required = "".join(f"Requires-Dist: {one}\n" for one in needs)
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        **(more or {}),
    }
    record = "".join(f"{path},{_hash(text)},{len(text)}\n" for path, text in files.items())
    files[f"{about}/RECORD"] = f"{record}{about}/RECORD,,\n"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in files.items():
            archive.writestr(zipfile.ZipInfo(member, (2020, 1, 1, 0, 0, 0)), text)
    return sha256(path.read_bytes()).hexdigest()


def _hash(text: str) -> str:
    digest = sha256(text.encode()).digest()
    return "sha256=" + urlsafe_b64encode(digest).rstrip(b"=").decode()
