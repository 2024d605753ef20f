"""What the centre answers where the API has no route: headers, and what no request reaches."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from secureflow.kit.builtfiles import BuiltPage, takes_gzip
from secureflow.server.console.pages import Console
from secureflow.server.rest.unrouted import ANSWERS
from secureflow.server.settings import RestSettings
from tests.stage import Stage
from tests.unit.server.conftest import FAST, Api

HTML = {"accept": "text/html,application/xhtml+xml"}
PAGE = (
    '<meta name="secureflow-prefix" content="__PREFIX__" />'
    '<meta property="csp-nonce" nonce="__NONCE__">'
    '<script src="./assets/main-1.js" nonce="__NONCE__"></script>'
)


def serve(api: Api, console: Console) -> None:
    setattr(api.app.state, ANSWERS, console.answer)


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(PAGE)
    (folder / "assets" / "main-1.js").write_text("go()")
    (folder / "assets" / "main-1.js.gz").write_bytes(gzip.compress(b"go()"))
    (folder / "assets" / "plain-2.css").write_text("p{}")
    (tmp_path / "secret.txt").write_text("kept apart")
    return folder


@pytest.fixture
async def http(stage: Stage, dist: Path) -> AsyncIterator[httpx.AsyncClient]:
    api = Api(stage)
    serve(api, Console(FAST, BuiltPage(dist)))
    async with api.http:
        yield api.http


async def test_every_address_of_the_console_is_the_page(http: httpx.AsyncClient) -> None:
    for path in ("/", "/login", "/jobs/job_01jf2k", "/nowhere.at/all"):
        answer = await http.get(path, headers=HTML)
        assert answer.status_code == 200, path
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert '<script src="/assets/main-1.js"' in answer.text


async def test_the_page_is_never_kept_and_its_policy_is_strict(http: httpx.AsyncClient) -> None:
    answer = await http.get("/", headers=HTML)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"
    policy = answer.headers["content-security-policy"]
    rules = {one.split()[0]: one.split()[1:] for one in policy.split("; ")}
    assert "unsafe" not in policy
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == rules["connect-src"] == rules["form-action"] == ["'self'"]
    assert rules["base-uri"] == rules["frame-ancestors"] == ["'none'"]


async def test_each_answer_has_a_nonce_of_its_own(http: httpx.AsyncClient) -> None:
    seen = set()
    for _ in range(3):
        answer = await http.get("/", headers=HTML)
        (allowed,) = re.findall(r"'nonce-([^']+)'", answer.headers["content-security-policy"])
        assert answer.text.count(f'nonce="{allowed}"') == 2
        assert len(allowed) >= 22, "128 bits at least"
        seen.add(allowed)
    assert len(seen) == 3


async def test_parts_of_the_program_are_kept_for_good(http: httpx.AsyncClient) -> None:
    answer = await http.get("/assets/main-1.js", headers={"accept-encoding": "identity"})
    assert answer.text == "go()"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in answer.headers


async def test_who_takes_gzip_gets_what_was_compressed_before(http: httpx.AsyncClient) -> None:
    answer = await http.get("/assets/main-1.js", headers={"accept-encoding": "br, gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.text == "go()"
    plain = await http.get("/assets/plain-2.css", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    head = await http.head("/assets/main-1.js")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/assets/gone-3.js",
        "/assets/",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/%2e%2e/%2e%2e/secret.txt",
        "/assets//etc/passwd",
        "/assets/main-1.js.gz",
        "/assets/main-1.js%00.css",
        "/api/v1/nowhere",
        "/api",
        "/api/",
        "//api/v1/nowhere",
        "/healthz/nowhere",
        "/metrics/nowhere",
    ],
)
async def test_what_is_missing_is_never_the_page(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(f"https://test{path}", headers=HTML)
    assert answer.status_code in {400, 404}, path
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert "kept apart" not in answer.text


async def test_programs_and_writers_get_problems(http: httpx.AsyncClient) -> None:
    assert (await http.get("/jobs", headers={"accept": "application/json"})).status_code == 404
    assert (await http.get("/favicon.ico", headers={"accept": "image/*"})).status_code == 404
    for method in ("POST", "PUT", "DELETE"):
        answer = await http.request(method, "/login", headers=HTML)
        assert answer.status_code == 404, method
    wrong = await http.get("/api/v1/login", headers=HTML)
    assert wrong.status_code == 405, "the page hides no route's refusal"


async def test_under_a_prefix_everything_is_asked_for_there(stage: Stage, dist: Path) -> None:
    settings = RestSettings(prefix="/flow")
    api = Api(stage, settings)
    serve(api, Console(settings, BuiltPage(dist)))
    async with api.http:
        page = (await api.http.get("/jobs", headers=HTML)).text
    assert 'content="/flow"' in page
    assert 'src="/flow/assets/main-1.js"' in page


async def test_without_a_build_the_page_says_how_to_make_one(stage: Stage, tmp_path: Path) -> None:
    api = Api(stage)
    serve(api, Console(FAST, BuiltPage(tmp_path / "nothing")))
    async with api.http:
        answer = await api.http.get("/", headers=HTML)
        assert answer.status_code == 503
        assert "make web" in answer.text
        chinese = await api.http.get("/", headers={**HTML, "accept-language": "zh-CN"})
        assert "没有构建" in chinese.text
        assert (await api.http.get("/assets/main-1.js")).status_code == 404
        assert (await api.http.get("/api/v1/oidc")).status_code == 200


async def test_it_can_be_switched_off(stage: Stage, dist: Path) -> None:
    settings = RestSettings(console=False)
    api = Api(stage, settings)
    serve(api, Console(settings, BuiltPage(dist)))
    async with api.http:
        assert (await api.http.get("/", headers=HTML)).status_code == 404
        assert (await api.http.get("/assets/main-1.js")).status_code == 404


def test_a_newer_build_is_served_without_a_restart(dist: Path) -> None:
    files = BuiltPage(dist)
    first = files.page()
    assert first is not None
    assert files.page() is first
    (dist / "assets" / "main-9.js").write_text("new()")
    (dist / "index.html").write_text(PAGE.replace("main-1", "main-9"))
    second = files.page()
    assert second is not None
    assert "main-9" in second
    assert files.part("main-9.js") is not None


@pytest.mark.parametrize(
    ("said", "takes"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("*", True), ("gzip;q=0", False),
     ("gzip; q=0.000", False), ("", False), ("br", False)],
)  # fmt: skip
def test_gzip_is_sent_to_who_takes_it(said: str, takes: bool) -> None:
    assert takes_gzip(said) is takes
