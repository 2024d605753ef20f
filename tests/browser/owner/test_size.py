"""What a first visit of the owner's page loads: no more than a first visit of the console."""

from __future__ import annotations

import json
from typing import Final

import pytest

from secureflow.agent.console.web import DIST
from tests.browser.console.test_size import MOST, loaded

ENTRY: Final = "owner.html"
LOGIN: Final = "src/owner/login/Login.tsx"
TEXTS: Final = ("common", "words", "login", "owner")


def test_the_login_is_light_and_without_charts() -> None:
    if not (DIST / "index.html").exists():
        pytest.fail("the owner's page is not built: run `make web`")
    manifest = json.loads((DIST / "manifest.json").read_text())
    for language in ("en", "zh"):
        texts = [f"src/shared/texts/{language}/{one}.json" for one in TEXTS]
        files = loaded(manifest, [ENTRY, LOGIN, *texts])
        size = sum((DIST / f"{one}.gz").stat().st_size for one in files)
        assert 100_000 < size <= MOST, f"{language}: {size:,} bytes in {sorted(files)}"
        for one in files | loaded(manifest, ["src/owner/shell/Shell.tsx"]):
            assert "echarts" not in (DIST / one).read_text(errors="ignore"), one
