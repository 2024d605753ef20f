"""`audit search`: entries in one language, asked for as they are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from secureflow.cli.entrykinds import KINDS, in_words, kind_of
from secureflow.cli.texts import speaking
from secureflow.texts import Language

WEB = Path(__file__).parents[3] / "web" / "src" / "shared" / "texts"
ENTRY = {"author": "server", "job": "job_1", "at": 1_790_000_000, "hash": "ab" * 32}


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("zh", ["任务记录关闭", "提交贡献", "签署任务结尾", "批准任务"]),
        (
            "en",
            ["the record of a job was closed", "sent a contribution", "signed its end of a job"],
        ),
    ],
)
def test_entries_are_told_in_words_and_asked_for_by_them(
    centre: Any, cli: Any, monkeypatch: pytest.MonkeyPatch, language: str, words: list[str]
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    kinds = ["job.closed", "update", "finished", "approval", "later.kind"]
    items = [{"index": at, "kind": kind, **ENTRY} for at, kind in enumerate(kinds)]
    page = (200, {"items": items, "next": 0})
    centre.answers |= {
        "GET /audit/search?since=0&until=0&before=0&limit=100": page,
        "GET /audit/search?kind=job.closed&since=0&until=0&before=0&limit=100": (
            200,
            {"items": items[:1], "next": 0},
        ),
    }
    code, out, err = cli("audit", "search")
    assert (code, err) == (0, "")
    for word in [*words, "later.kind"]:
        assert word in out
    assert "job.closed" not in out
    assert "结束时间" not in out
    for asked in (words[0], "job.closed"):
        found = json.loads(cli("audit", "search", "--kind", asked, "-o", "json")[1])
        assert [one["kind"] for one in found] == ["job.closed"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_kind_is_asked_for_as_it_is_shown(language: Language) -> None:
    with speaking(language):
        for kind in KINDS:
            assert kind_of(in_words({"kind": kind})["entry"]) == kind
            assert kind_of(kind) == kind
        assert kind_of("job.") == "job."


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_console_calls_entries_alike(language: Language) -> None:
    def read(area: str) -> dict[str, str]:
        found: dict[str, str] = json.loads((WEB / language / f"{area}.json").read_text("utf-8"))
        return found

    named = {key[6:]: text for key, text in read("projects").items() if key.startswith("entry.")}
    named |= {key[5:]: text for key, text in read("record").items() if key.startswith("kind.")}
    with speaking(language):
        assert {kind: in_words({"kind": kind})["entry"] for kind in KINDS} == named
