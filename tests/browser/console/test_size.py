"""What a first visit loads: everything that the login page needs, compressed, in both languages."""

from __future__ import annotations

import json
from typing import Any, Final

from secureflow.server.console.files import DIST
from tests.browser.console.place import demand_build

MOST: Final = 330_000
"""Bytes: 1.5 s on a cold cache over 10 Mbit/s (the console's design), with room for the answers."""
ENTRY: Final = "console.html"
LOGIN: Final = "src/console/login/Login.tsx"
TEXTS: Final = ("common", "words", "login")


def test_the_login_is_light() -> None:
    demand_build()
    manifest = json.loads((DIST / "manifest.json").read_text())
    for language in ("en", "zh"):
        texts = [f"src/shared/texts/{language}/{one}.json" for one in TEXTS]
        files = loaded(manifest, [ENTRY, LOGIN, *texts])
        size = sum((DIST / f"{one}.gz").stat().st_size for one in files)
        assert size <= MOST, f"{language}: {size:,} bytes in {sorted(files)}"
        assert size > 100_000, "it is the program that is measured"


def test_charts_and_the_canvas_are_not_in_it() -> None:
    demand_build()
    manifest = json.loads((DIST / "manifest.json").read_text())
    for one in loaded(manifest, [ENTRY, LOGIN, "src/console/shell/Shell.tsx"]):
        text = (DIST / one).read_text(errors="ignore")
        assert "react-flow__" not in text
        assert "echarts" not in text


def loaded(manifest: dict[str, Any], names: list[str]) -> set[str]:
    """Return the files that these modules load at once, with what they import."""
    files: set[str] = set()
    seen: set[str] = set()
    open_ones = list(names)
    while open_ones:
        name = open_ones.pop()
        if name not in seen:
            seen.add(name)
            files |= {manifest[name]["file"], *manifest[name].get("css", ())}
            open_ones += manifest[name].get("imports", ())
    return files
