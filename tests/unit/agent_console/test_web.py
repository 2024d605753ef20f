"""The page for browsers: as it was built, and where it was not."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from peers.owner_page import BUILT, OWN

from secureflow.agent.console.app import build_app
from secureflow.agent.console.guards import POLICY
from secureflow.agent.consolesettings import ConsoleSettings
from secureflow.kit.builtfiles import BuiltPage, takes_gzip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "dist"
    (made / "assets").mkdir(parents=True)
    (made / "index.html").write_text(BUILT)
    (made / "assets" / "main-1a.js").write_text("plain")
    (made / "assets" / "main-1a.js.gz").write_bytes(b"squeezed")
    (tmp_path / "secret.js").write_text("no")
    return made


def browser(folder: Path, tmp_path: Path) -> httpx.AsyncClient:
    app = build_app(ConsoleSettings(), tmp_path / "no.sock", 8765, built=BuiltPage(folder))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    return httpx.AsyncClient(transport=transport, base_url=OWN)


async def test_the_built_page_is_where_it_was_built(folder: Path, tmp_path: Path) -> None:
    client = browser(folder, tmp_path)
    assert (await client.get("/")).headers["location"] == "/app/"
    pages = [await client.get(path) for path in ("/app", "/app/", "/app/inbox/x?y=1")]
    nonces = set()
    for one in pages:
        assert one.status_code == 200
        assert one.headers["cache-control"] == "no-store"
        policy = one.headers["content-security-policy"]
        nonce = re.search(r"'nonce-([\w-]{20,})'", policy)
        assert nonce is not None
        nonces.add(nonce[1])
        assert f'nonce="{nonce[1]}"' in one.text
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "script-src 'self';" in policy
        assert one.headers["x-frame-options"] == "DENY"
        assert 'content="/app"' in one.text
        assert 'src="/app/assets/main-1a.js"' in one.text
    assert len(nonces) == len(pages)


async def test_where_none_was_built_the_page_says_how_in_the_readers_language(
    folder: Path, tmp_path: Path
) -> None:
    client = browser(tmp_path / "nothing", tmp_path)
    assert (await client.get("/")).headers["location"] == "/app/"
    for path in ("/app", "/app/", "/app/r/x"):
        answer = await client.get(path)
        assert answer.status_code == 503
        assert answer.headers["content-security-policy"] == POLICY
        assert (answer.headers["content-language"], 'lang="en"' in answer.text) == ("en", True)
        for told in ("console_not_built", "make web"):
            assert told in answer.text
        assert "<a" not in answer.text
    chinese = await client.get("/app/", headers={"Accept-Language": "zh"})
    assert chinese.headers["content-language"] == "zh"
    assert "make web" in chinese.text
    assert "未" in chinese.text or "没有" in chinese.text
    assert (await client.get("/api/session")).status_code == 503  # no agent answers here
    assert (await client.get("/app/assets/main-1a.js")).status_code == 404


async def test_links_and_bookmarks_lead_to_the_same_thing(folder: Path, tmp_path: Path) -> None:
    client, item = browser(folder, tmp_path), "ab" * 32
    for path, there in {
        f"/r/{item}": f"/app/r/{item}", f"/r/{item}?page=2": f"/app/r/{item}?page=2",
        "/overview": "/app/", "/inbox?all=1": "/app/inbox?all=1", "/absence": "/app/account",
        "/activity": "/app/record", "/grants/new": "/app/grants/new",
        "/login?back=%2Fr%2Fx": "/app/login?back=%2Fr%2Fx", "/?a=b": "/app/?a=b",
    }.items():  # fmt: skip
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, there), path
        assert "set-cookie" not in answer.headers
        own = {"Origin": OWN, "Sec-Fetch-Site": "same-origin"}
        assert (await client.post(path, data={"name": "ada"}, headers=own)).status_code == 405
    for path in ("/nowhere", "/static/page.css", "/activity.json", "/language"):
        assert (await client.get(path)).status_code == 404, path


async def test_a_part_is_kept_for_good_and_one_that_is_missing_is_no_page(
    folder: Path, tmp_path: Path
) -> None:
    client = browser(folder, tmp_path)
    part = await client.get("/app/assets/main-1a.js", headers={"Accept-Encoding": "identity"})
    assert (part.text, part.headers["content-type"]) == ("plain", "text/javascript; charset=utf-8")
    assert "immutable" in part.headers["cache-control"]
    assert part.headers["x-content-type-options"] == "nosniff"
    for name in ("main-2b.js", "main-1a.js.gz", "..%2f..%2fsecret.js", "%2e%2e%2fx", "", "a/b.js"):
        answer = await client.get(f"/app/assets/{name}")
        assert answer.content != b"no"
        assert answer.status_code == 404 or 'content="/app"' in answer.text, name
        assert answer.headers["cache-control"] == "no-store"
    async with client.stream("GET", "/app/assets/main-1a.js") as squeezed:
        assert squeezed.headers["content-encoding"] == "gzip"
        assert b"".join([one async for one in squeezed.aiter_raw()]) == b"squeezed"


async def test_a_newer_build_is_served_at_once(folder: Path, tmp_path: Path) -> None:
    client = browser(folder, tmp_path)
    await client.get("/app/")
    (folder / "index.html").unlink()
    assert (await client.get("/app/")).status_code == 503
    (folder / "index.html").write_text("newer")
    assert (await client.get("/app/")).text == "newer"


async def test_other_names_get_no_page_either(folder: Path, tmp_path: Path) -> None:
    client = browser(folder, tmp_path)
    for path in ("/", "/app/", "/app/assets/main-1a.js"):
        answer = await client.get(path, headers={"Host": "evil.example"})
        assert answer.status_code == 403, path


@pytest.mark.parametrize(
    ("encodings", "takes"),
    [("gzip, br", True), ("br;q=1, gzip;q=0.5", True), ("*", True), ("gzip;q=0", False),
     ("gzip; q=0.0", False), ("br", False), ("", False)],
)  # fmt: skip
def test_gzip_is_for_those_who_take_it(encodings: str, takes: bool) -> None:
    assert takes_gzip(encodings) is takes
