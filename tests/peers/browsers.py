"""A real Chromium, driven by Playwright, and axe-core for what everybody must be able to use.

Where one is missing that is said; with SECUREFLOW_DEMAND_BROWSER=1 (`.ci/run`) it is a failure.
SECUREFLOW_BROWSER_SHOTS names a folder that takes a picture of every page that is looked at.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import shutil
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

DEMANDED: Final = "SECUREFLOW_DEMAND_BROWSER"
SHOTS: Final = "SECUREFLOW_BROWSER_SHOTS"
PATIENCE: Final = 240.0
"""Seconds that a page may take for whatever it is asked: far more than a busy machine needs."""
_MODULES: Final = ("playwright", "axe_playwright_python")
_FLAGS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
"""Tests run as root in a container: the page has no part in `--no-sandbox`."""
_TRUSTS: Final = "--ignore-certificate-errors-spki-list="
_LOOKS: Final = """async () => {
    // What holds would be told node for node; no page plays anything, so nothing is fetched again.
    const options = {resultTypes: ["violations"], preload: false};
    return (await axe.run(document, options)).violations;
}"""
_AT_REST: Final = """async () => {
    const ends = one => Number.isFinite(Number(one.effect?.getComputedTiming().endTime));
    const moving = () => document.getAnimations().filter(
        one => one.playState === "running" && ends(one));
    for (let round = 0; round < 20 && moving().length; round++)
        await Promise.allSettled(moving().map(one => one.finished));
}"""
"""A colour on its way from that of a dead button to that of a live one has too little contrast."""


_READY: Final = """asked => {
    const awaits = document.querySelector("[aria-busy=true], .ant-skeleton");
    const before = window.at_rest?.asked === asked ? window.at_rest.frames : 0;
    window.at_rest = {asked, frames: awaits || !document.querySelector("h1") ? 0 : before + 1};
    return window.at_rest.frames > 5;
}"""
"""What a page awaits is drawn a moment after its heading; each asking counts frames of its own."""
_FITS: Final = """async () => {
    const page = document.scrollingElement;
    for (let frame = 0; frame < 60 && page.scrollWidth > page.clientWidth; frame++)
        await new Promise(requestAnimationFrame);
    return page.scrollWidth <= page.clientWidth;
}"""
"""What is as wide as its surroundings learns a moment later that these have become narrower."""


def program() -> str | None:
    """Return Chromium's path; Playwright's own download is never used."""
    return shutil.which("chromium")


def missing() -> str:
    """Say what is missing; nothing if a browser can be tested."""
    absent = [one for one in _MODULES if importlib.util.find_spec(one) is None]
    if absent:
        return f"the dev extra's {', '.join(absent)} not installed"
    return "" if program() else "no chromium in PATH"


def told() -> str:
    """Return the line that says whether a browser is tested."""
    if lacking := missing():
        return f"BROWSER NOT TESTED: {lacking} ({DEMANDED}=1 makes this a failure)"
    return f"Browser: {program()}"


def demand_browser() -> None:
    """Skip, or fail where it is demanded, without a browser."""
    if not (lacking := missing()):
        return
    if os.environ.get(DEMANDED):
        pytest.fail(f"BROWSER NOT TESTED: {lacking}, and {DEMANDED} is set")
    pytest.skip(told())


@contextmanager
def chromium(served: str = "") -> Iterator[Any]:
    """Start Chromium, and end it.

    Args:
        served: address of a service whose certificate holds, as an organisation's own authority
            makes it hold. Under one that does not hold a browser keeps none of the program's files.
    """
    from playwright.sync_api import sync_playwright

    flags = [*_FLAGS, *([_TRUSTS + _key_of(served)] if served else [])]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program(), args=flags)
        try:
            yield browser
        finally:
            browser.close()


def _key_of(served: str) -> str:
    """Return the digest of a service's public key, as Chromium wants it: base64 of SHA-256."""
    place = urlsplit(served)
    shown = ssl.get_server_certificate((str(place.hostname), int(place.port or 443)))
    key = x509.load_pem_x509_certificate(shown.encode()).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return base64.b64encode(digest.digest()).decode()


@cache
def _promises() -> Any:
    from playwright.sync_api import expect as promises

    promises.set_options(timeout=PATIENCE * 1000)
    return promises


def expect(shown: Any, told: str | None = None) -> Any:
    """Return Playwright's `expect` of what is shown, which waits for what a page is to show.

    Args:
        shown: a page, a part of it, or an answer.
        told: said where it does not come true.
    """
    return _promises()(shown, told)


def ready(page: Any) -> None:
    """Wait until a page has its heading and has awaited nothing for some frames."""
    page.wait_for_function(_READY, arg=time.monotonic_ns(), polling="raf")


def pick(page: Any, option: Any) -> None:
    """Click one of the choices of a list that is opening.

    The list, and the dialog that it belongs to, move while they open: a click that begins on a
    choice and ends where it no longer is takes nothing. People click again.
    """
    option.wait_for()
    page.evaluate(_AT_REST)
    option.click()


def violations(page: Any) -> list[str]:
    """Return what axe-core finds wrong with a page at rest: rule, how bad, and where."""
    from axe_playwright_python.sync_playwright import Axe

    ready(page)
    page.evaluate(_AT_REST)
    if not page.evaluate("Boolean(window.axe)"):  # half a megabyte of rules: once a document
        page.evaluate(Axe().axe_script)
    found = page.evaluate(_LOOKS)
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:200]}"
        f" {node.get('failureSummary', '')[:300]}"
        for one in found
        for node in one["nodes"]
    ]


def fits(page: Any) -> bool:
    """Tell whether nothing of a page lies to the right of what is seen, once it is drawn anew."""
    return bool(page.evaluate(_FITS))


def shoot(page: Any, name: str) -> None:
    """Take a picture of a whole page at rest, if somebody wants to look."""
    if folder := os.environ.get(SHOTS):
        ready(page)
        path = Path(folder) / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(path), full_page=True)


def tab_to(page: Any, name: str, most: int = 200) -> None:
    """Press Tab until what has the focus is called so: by its text, its label or its value."""
    script = """() => {
        const one = document.activeElement;
        const labels = one.labels ? [...one.labels].map(l => l.textContent) : [];
        return [one.textContent, ...labels, one.getAttribute('aria-label') || ''].join(' ');
    }"""
    for _ in range(most):
        page.keyboard.press("Tab")
        if name in " ".join(page.evaluate(script).split()) and _focus_is_seen(page):
            return
    raise AssertionError(f"the keyboard does not reach {name!r}")


def _focus_is_seen(page: Any) -> bool:
    script = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
    return bool(page.evaluate(script)) and page.evaluate("document.activeElement.tagName") != "BODY"
