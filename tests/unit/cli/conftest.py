"""A scripted server on the loopback interface, and a person's empty home."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from secureflow.cli.main import run

Answer = tuple[int, Any]


class Centre:
    """Answers `METHOD path` from a table; remembers what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer | list[Answer]] = {}
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body: Any = self.rfile.read(length)
                if self.headers.get("Content-Type") != "application/octet-stream":
                    body = json.loads(body or b"null")
                key = f"{self.command} {self.path.removeprefix('/api/v1')}"
                outer.asked.append((key, dict(self.headers), body))
                found = outer.answers.get(key, (404, {"code": "not_found", "detail": key}))
                status, told = found.pop(0) if isinstance(found, list) else found
                data = told if isinstance(told, bytes) else json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = _answer

            def log_message(self, *_: object) -> None:
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_PROFILE", str(tmp_path / "home" / "profile.json"))
    monkeypatch.setenv("SECUREFLOW_LANG", "en")
    for name in ("URL", "TOKEN", "CA", "DEBUG", "CONTEXT"):
        monkeypatch.delenv(f"SECUREFLOW_{name}", raising=False)


@pytest.fixture(name="centre")
def _centre(monkeypatch: pytest.MonkeyPatch) -> Iterator[Centre]:
    centre = Centre()
    monkeypatch.setenv("SECUREFLOW_URL", centre.url)
    monkeypatch.setenv("SECUREFLOW_TOKEN", "sft_test")
    yield centre
    centre.close()


@pytest.fixture(name="cli")
def _cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run one command; return exit code, stdout, stderr."""

    def command(*arguments: object) -> tuple[int, str, str]:
        code = run([str(argument) for argument in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return command


@pytest.fixture(name="typing")
def _typing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sit at the terminal and type these lines."""

    def types(text: str) -> None:
        keyboard = io.StringIO(text)
        monkeypatch.setattr(keyboard, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdin", keyboard)

    return types
