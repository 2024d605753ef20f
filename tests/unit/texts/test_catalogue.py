"""Every text that people can meet is in the catalogue, in both languages, with all its facts."""

from __future__ import annotations

import ast
import json
import re
from importlib.resources import files
from string import Formatter

import pytest

import secureflow.texts
from secureflow.domain.errors import CATALOGUE
from secureflow.texts import catalogue, codes
from tests.syntax import nodes
from tests.texts_in_source import SOURCE, Reading, Said

CJK = re.compile(r"[\u4e00-\u9fff]")
LETTERS = re.compile(r"[A-Za-z]{2}")
ROWS = ("engines/training/disclosure.py", "engines/statistics/disclosure.py")
"""Their rows are a closed set, each in the catalogue as a whole: reports hold no facts of them."""
OTHER_WORDS = {
    "规格": "任务规格", "隐私单位": "保护单位", "隐私预算": "额度",
    "批准": "审批", "联盟": "联合体",
    "声明": "模式自相矛盾", "分箱": "格数", "代理服务器": "代理拆解",
    "验证": "核验", "飞地": "安全环境", "注册": "接入",
    "数据所有者": "所有方", "任务": "作业",
    "账户": "账号", "定时计划": "定时任务", "审计包": "证据包", "评审人": "审核人",
    "审计员": "审计人", "撤销授权": "撤回授权", "授权被撤销": "授权被撤回", "账本名称": "日志名称",
    "第二因素": "二次验证", "退出": "掉线",
}  # fmt: skip
"""The word of the glossary, and one that stood beside it."""
PAGES = SOURCE.parents[1] / "web" / "src" / "shared" / "texts" / "zh"
TABLES = files(secureflow.texts).joinpath("zh")


@pytest.fixture(scope="module")
def said() -> Said:
    return Reading().said


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def read(text: str) -> bool:
    """Tell whether there is anything to translate in it: no name of a command, no sign."""
    return bool(LETTERS.search(re.sub(r"{[^{}]*}", "", text))) and not text.startswith(
        "secureflow "
    )


def test_it_follows_what_is_said(said: Said) -> None:
    assert len(said.templates) > 900
    assert len(said.constants) > 1000


def test_every_text_with_facts_has_its_chinese(said: Said) -> None:
    missing = {f"{place}: {text}" for text, (_, place) in said.templates.items()
               if text not in catalogue()}  # fmt: skip
    assert not missing


def test_every_other_text_has_its_chinese(said: Said) -> None:
    missing = {f"{place}: {text}" for text, place in said.constants.items()
               if " " in text and read(text) and text not in catalogue()}  # fmt: skip
    assert not missing


@pytest.mark.parametrize(
    "text",
    [
        "SIMULATED: protects nothing from the operator.",
        "Debug mode: the host can read its memory.",
        "a file changed while it was read",
        "it names files that no backup holds",
        "there is no such folder",
    ],
)
def test_what_an_exception_or_a_verdict_says_has_its_chinese(text: str) -> None:
    """They reach people within another text, on a way that the scan does not follow."""
    assert CJK.search(catalogue()[text])


def test_a_text_has_the_facts_that_it_names(said: Said) -> None:
    wrong = {text for text, (facts, _) in said.templates.items() if fields(text) != facts}
    assert not wrong


def test_no_text_loses_its_facts(said: Said) -> None:
    lost = {f"{place}: {text}" for text, place in said.formatted.items()
            if re.search("[a-z]{2}", re.sub(r"{[^{}]*}", "", text[2:-1]))
            and not place.startswith((*ROWS, "kit/commandline.py"))}  # fmt: skip
    assert not lost, "write Text(template, fact=…) where an f-string stands"


def test_translations_tell_the_facts_of_their_texts_alike() -> None:
    """By the same names, rounded and cut the same way."""
    for english, chinese in catalogue().items():
        if "{" in english:
            assert _told(chinese) == _told(english), english


def _told(template: str) -> set[tuple[str, str | None, str | None]]:
    return {
        (name, "" if spec in ("word", "list") else spec, conversion)
        for _, name, spec, conversion in Formatter().parse(template)
        if name is not None and "|" not in (spec or "")  # a word by number: others need none
    }


COUNTED = "columns|datasets|files|grants|jobs|lines|pages|problems|projects|requests|rounds|rows"
"""What the command line counts."""


def test_the_command_line_says_one_file_and_two_files() -> None:
    """A template chooses the word by the number: `{count} {count:file|files}`."""
    plural = re.compile(rf"{{\w+}} (?:{COUNTED})\b")
    said = {*_table("cli"), *_table("words")}
    assert {text for text in said if plural.search(text)} == {
        "Its budget is kept per {unit}; at most {rows} rows of each count."
    }


def test_every_text_of_a_page_has_its_chinese() -> None:
    """Pages look their texts up by key: one that is missing ends the page with an error."""
    pages = "".join(path.read_text() for path in SOURCE.rglob("*.jinja"))
    texts = set(re.findall(r'\b(?:say|tr)\(\s*"([^"]+)"', pages)) | set(
        re.findall(r'"([^"]+)"\|both', pages)
    )
    assert len(texts) > 50
    assert not {text for text in texts if " " in text} - set(catalogue())


def test_nothing_is_left_over() -> None:
    there: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        for node in nodes(path):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                there.add(node.value)
    pages = "".join(path.read_text() for path in SOURCE.rglob("*.jinja"))
    there |= set(_table("report")) | set(_table("demo"))  # whose tests walk every one
    left = {text for text in catalogue() if " " in text and text not in there}
    assert not {text for text in left if text not in pages}


def test_no_text_stands_in_two_tables() -> None:
    names = {one.name.removesuffix(".json") for one in TABLES.iterdir()} - {"codes"}
    assert sum(len(_table(name)) for name in names) == len(catalogue())


def _table(name: str) -> dict[str, str]:
    read: dict[str, str] = json.loads(TABLES.joinpath(f"{name}.json").read_text())
    return read


def test_every_error_code_has_its_sentence() -> None:
    assert set(codes()) == set(CATALOGUE)
    assert all(CJK.search(sentence) for sentence in codes().values())


def test_sentences_are_chinese() -> None:
    sentences = {english: chinese for english, chinese in catalogue().items()
                 if re.search(r"\b[a-z]{2,} [a-z]{2,}", english) and read(english)}  # fmt: skip
    assert len(sentences) > 2000
    assert not {english for english, chinese in sentences.items() if not CJK.search(chinese)}


@pytest.fixture(scope="module")
def chinese() -> list[str]:
    """Every Chinese text: of commands, of errors and of pages."""
    pages = [json.loads(one.read_text("utf-8")).values() for one in sorted(PAGES.glob("*.json"))]
    assert pages
    return [*catalogue().values(), *codes().values(), *(t for one in pages for t in one)]


def test_a_term_has_one_chinese_word(chinese: list[str]) -> None:
    texts = "\n".join(chinese)
    assert {word: other for word, other in OTHER_WORDS.items() if other in texts} == {}


def test_no_word_stands_twice_in_a_row(chinese: list[str]) -> None:
    """As it does where one word was put for a part of another: of `所有所有者` both are meant."""
    twice = re.compile(r"([\u4e00-\u9fff]{2,})\1")
    assert [text for text in chinese if twice.search(text.replace("所有所有者", ""))] == []
