"""How values are shown on the owner's page, hostile ones too."""

from __future__ import annotations

from typing import Any

import pytest
from markupsafe import Markup

from secureflow.agent.console.rendering import Pages, digest, moment, number, visible

NOW = 1_800_000_000
BAD = "<b>\u202e\x1b"


def test_a_digest_shows_eight_characters_and_is_copied_whole() -> None:
    whole = "0123456789abcdef" * 4
    shown = digest(whole)
    assert shown == Markup(
        f'<code class="digest" title="{whole}">01234567<span class="rest">{whole[8:]}</span></code>'
    )
    assert digest("short") == "short"
    assert digest(None) == ""
    for text in (BAD, BAD * 9):
        assert not {"<b>", "\u202e", "\x1b"} & {one for one in ("<b>", "\u202e", "\x1b")
                                               if one in digest(text)}  # fmt: skip


def test_what_is_no_markup_of_ours_has_no_hidden_characters() -> None:
    assert visible("a\u202eb\nc") == "a\\u202eb\\nc"
    assert visible(3) == 3
    assert visible(Markup("<i>")) == "<i>"


@pytest.mark.parametrize(
    ("away", "said", "chinese"),
    [
        (-3 * 86_400, "3 days ago", "3 天前"),
        (-3 * 3600, "3 hours ago", "3 小时前"),
        (-600, "10 minutes ago", "10 分钟前"),
        (-5, "just now", "刚刚"),
        (5, "in a moment", "马上"),
        (3 * 86_400, "in 3 days", "3 天后"),
    ],
)
def test_a_time_is_relative_and_whole_when_pointed_at(away: int, said: str, chinese: str) -> None:
    pages = Pages(lambda: NOW)
    template = pages._environment.from_string("{{ at|when }}")
    english = template.render(lang="en", at=NOW + away)
    assert english.endswith(f'">{said}</time>')
    assert f'title="{moment(NOW + away)}"' in english
    assert chinese in template.render(lang="zh", at=NOW + away)


@pytest.mark.parametrize("value", [None, "", "soon", 0, -1, 1 << 40])
def test_what_is_no_time_is_nothing(value: Any) -> None:
    assert moment(value) == ""
    template = Pages(lambda: NOW)._environment.from_string("{{ at|when }}")
    assert template.render(lang="en", at=value) == ""


def test_numbers_are_grouped() -> None:
    assert [number(one) for one in (1234567, 0.25, 12345.678, None)] == [
        "1,234,567", "0.25", "12,346", "",
    ]  # fmt: skip
