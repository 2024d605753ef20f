"""What a text says in Chinese: facts, texts within texts, lists, and what somebody else sends."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from secureflow import texts
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import (
    Joined,
    Text,
    foreign,
    one_after_the_other,
    read_back,
    spelled,
    text_in,
    with_texts,
)
from secureflow.server.rest.languages import spoken
from secureflow.texts import chinese, error_in, explained

NOTHING = "There is no {noun} {key!r} that you can see."
AGO = "{count} {count:day|days} ago"
TABLE = {
    NOTHING: "没有您可见的{noun:word} {key!r}。",
    "{file} cannot be used: {reason}.": "{file} 无法使用：{reason}。",
    "it has no row": "其中没有数据行",
    "{party} is away.": "{party} 不在。",
    "{parties} are away.": "{parties:list} 不在。",
    "{count:,} rows": "{count:,} 行",
    "{message} {reason}": "{message} {reason}",
    "job": "任务",
    AGO: "{count} 天前",
}


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "catalogue", lambda: TABLE)
    monkeypatch.setattr(texts, "words", lambda: TABLE)


def test_a_text_is_its_english_and_keeps_its_facts() -> None:
    text = Text(NOTHING, noun="job", key="job_1")
    assert text == "There is no job 'job_1' that you can see."
    assert (text.template, dict(text.facts)) == (NOTHING, {"noun": "job", "key": "job_1"})
    assert chinese(text) == "没有您可见的任务 'job_1'。"


def test_braces_in_a_fact_are_a_fact() -> None:
    assert chinese(Text("{party} is away.", party="{x!r}{0}")) == "{x!r}{0} 不在。"


def test_names_in_a_list_are_separated_as_in_chinese() -> None:
    text = Text("{parties} are away.", parties="bank-a, bank-b, bank-c")
    assert chinese(text) == "bank-a、bank-b、bank-c 不在。"
    assert chinese(Text("{parties} are away.", parties="job")) == "job 不在。"
    nobody = Text("{parties} are away.", parties=Text("it has no row"))
    assert chinese(nobody) == "其中没有数据行 不在。"


def test_a_text_within_a_text_is_chinese_too() -> None:
    text = Text("{file} cannot be used: {reason}.", file="a.csv", reason="it has no row")
    assert chinese(text) == "a.csv 无法使用：其中没有数据行。"
    inner = Text("{party} is away.", party="bank-b")
    outer = Text("{file} cannot be used: {reason}.", file="b", reason=inner)
    assert outer == "b cannot be used: bank-b is away.."
    assert chinese(outer) == "b 无法使用：bank-b 不在。"


def test_a_number_chooses_its_words() -> None:
    template = "{count} {count:file is|files are} {how}"
    assert Text(template, count=1, how="new") == "1 file is new"
    assert Text(template, count="1", how="new") == "1 file is new"
    assert Text(template, count=0, how="new") == "0 files are new"
    assert Text(template, count=21, how="|") == "21 files are |"
    assert Text("a|b {count}", count=1) == "a|b 1"


def test_what_a_number_chose_is_told_in_chinese_too() -> None:
    for count, english in ((1, "1 day ago"), (7, "7 days ago")):
        text = Text(AGO, count=count)
        assert text == english
        assert chinese(text) == f"{count} 天前"
        assert chinese(foreign(english, text.as_json())) == f"{count} 天前"
        assert chinese(foreign("9 days ago", text.as_json())) is None


def test_sentences_become_parts_of_one() -> None:
    away = Text("{party} is away.", party="b")
    row = one_after_the_other([away, "Who knows.", Text("{party} is away.", party="c")])
    assert row == "b is away; Who knows; c is away."
    assert chinese(row) == "b 不在；Who knows；c 不在。"
    assert one_after_the_other(["Who knows."]) == "Who knows."


def test_texts_in_a_row() -> None:
    row = Joined("; ", ["it has no row", Text("{party} is away.", party="b"), "Who knows."])
    assert row == "it has no row; b is away.; Who knows."
    assert chinese(row) == "其中没有数据行；b 不在；Who knows."


def test_what_the_catalogue_lacks_has_no_chinese() -> None:
    assert chinese("Nobody has translated this.") is None
    assert chinese(Text("Nobody of {x} has.", x=1)) is None
    assert explained("of_later", "Who knows.", "zh") == "Who knows."
    assert explained("not_found", "Who knows.", "zh").endswith("：Who knows.")
    assert explained("not_found", "Who knows.", "en") == "Who knows."


def test_an_error_keeps_its_facts_through_json() -> None:
    error = SecureFlowError("not_found", Text(NOTHING, noun="job", key="k"), "Ask them.", {"n": 1})
    plain = error.as_json()
    assert set(plain["texts"]) == {"message"}
    again = SecureFlowError.from_json(plain)
    assert again.as_json() == plain
    assert chinese(again.message) == "没有您可见的任务 'k'。"
    assert error_in(plain, "zh") == {
        "code": "not_found", "message": "没有您可见的任务 'k'。", "hint": "Ask them.",
        "details": {"n": 1},
    }  # fmt: skip
    assert "texts" not in SecureFlowError("not_found", "Plain.").as_json()


HUGE = {str(n): n for n in range(10_000)}
DEEP: dict[str, Any] = {"template": "{a}", "facts": {}}
for _ in range(50):
    DEEP = {"template": "{a}", "facts": {"a": DEEP}}


@pytest.mark.parametrize(
    "made_of",
    [
        None, 7, [], {"template": 7, "facts": {}}, {"template": NOTHING},
        {"template": NOTHING, "facts": []}, {"template": NOTHING, "facts": HUGE},
        {"template": NOTHING, "facts": {"noun": ["x"]}}, {"between": "; ", "texts": {}},
        {"between": "; ", "texts": list(range(10_000))},
    ],
)  # fmt: skip
def test_foreign_facts_that_are_none_are_left_out(made_of: Any) -> None:
    assert type(foreign("Said.", made_of)) is str


@pytest.mark.parametrize(
    "template",
    ["{a.__class__}", "{a:>9999999999}", "{a[0]}", "{", "{noun} {key!r:>999999999}", "{0}"],
)
def test_a_foreign_template_is_never_filled_in(template: str) -> None:
    text = foreign("Said.", {"template": template, "facts": {"a": 1, "noun": "x"}})
    assert (str(text), chinese(text)) == ("Said.", None)


def test_a_foreign_text_says_in_chinese_what_it_says_in_english() -> None:
    facts = {"template": "{party} is away.", "facts": {"party": "bank-b"}}
    assert chinese(foreign("bank-b is away.", facts)) == "bank-b 不在。"
    assert chinese(foreign("All is well.", facts)) is None
    row = {"between": "; ", "texts": ["it has no row", "it has no row"]}
    assert chinese(foreign("it has no row; it has no row", row)) == "其中没有数据行；其中没有数据行"
    assert chinese(foreign("All is well.", row)) is None
    assert type(foreign("a", {"between": "", "texts": ["it has no row"]})) is str


def test_a_foreign_text_is_of_bounded_size_with_all_that_it_is_made_of() -> None:
    part: dict[str, Any] = {"english": "\u202e" * 700, "between": "; ", "texts": ["x" * 800] * 8}
    much = {"between": "; ", "texts": [part] * 60}
    assert type(foreign("a", much)) is str
    facts = {str(number): "y" * 4000 for number in range(60)}
    assert type(foreign("a", {"template": "{party} is away.", "facts": facts})) is str
    assert len(foreign("\u202e" * 8192)) == 8192


def test_a_text_too_deep_within_others_is_plain_english() -> None:
    assert chinese(foreign("Said.", DEEP)) is None


def test_deep_foreign_details_are_left_out() -> None:
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"a": deep}
    assert SecureFlowError.foreign("x", "y", "", deep).details == {}
    assert SecureFlowError.foreign("x", "y", "", {"a": {"b": [1]}}).details == {"a": {"b": [1]}}


@pytest.mark.parametrize("texts", ["abc", 7, ["x"], {"message": 7}, {"message": {"facts": 1}}])
def test_foreign_texts_of_an_error_never_raise(texts: Any) -> None:
    error = {"code": "x", "message": "y", "hint": "", "details": {}, "texts": texts}
    assert error_in(error, "zh")["message"] == "y"
    assert SecureFlowError.from_json({**error, "details": "z"}).details == {}
    nested = {"error": {**error, "details": {**error, "reason": "job", "texts": texts}}}
    assert spoken(nested, "zh")["error"]["details"]["reason"] == "job"


def test_an_object_that_looks_like_a_text_comes_back_as_it_was() -> None:
    for value in (
        {"english": "a", "template": "b", "facts": {}},
        {"$text": {"english": "a", "template": "b", "facts": {}}},
        {"$text": 7},
    ):
        assert read_back(spelled({"details": value})) == {"details": value}


def test_a_copy_is_the_text_itself() -> None:
    for text in (Text("{party} is away.", party="{x}"), Joined("; ", ["a", "}"])):
        for again in (copy.copy(text), copy.deepcopy([text])[0]):
            assert again is text
        make, arguments = text.__reduce__()
        assert make(*arguments) == text


def test_a_fact_is_cut_where_the_english_is() -> None:
    text = Text("There is no {key!r:.100}.", key="a " * 50_000)
    assert len(text) < 200
    assert len(str(text.facts["key"])) == 2048


def test_foreign_facts_that_do_not_fit_leave_the_english() -> None:
    for facts in ({}, {"noun": "job"}):
        assert chinese(foreign("Said.", {"template": NOTHING, "facts": facts})) is None
    many = foreign("Said.", {"template": "{count:,} rows", "facts": {"count": "x"}})
    assert chinese(many) is None


def test_foreign_facts_hide_nothing() -> None:
    evil = "bank-b\u202e\n\x1b[2J"
    text = foreign(f"{evil} is away.", {"template": "{party} is away.", "facts": {"party": evil}})
    assert chinese(text)
    for told in (text, chinese(text) or ""):
        assert not set("\u202e\n\x1b") & set(told)


def test_numbers_that_json_lacks_are_kept_as_text() -> None:
    text = Text("{a} {b} {c}", a=1 << 60, b=float("inf"), c=True)
    assert dict(text.facts) == {"a": str(1 << 60), "b": "inf", "c": True}


@pytest.mark.parametrize(
    ("spec", "kept"),
    [(":.6g", 1.23457), (":.3f", 1.235), (":.0f", 1.0), (":,.2f", 1.23), ("", 1.23456789)],
)
def test_a_number_travels_as_rounded_as_it_is_told(spec: str, kept: float) -> None:
    """Seventeen digits of a norm say more of an update than the sentence that tells six."""
    text = Text(f"The norm is {{norm{spec}}}.", norm=1.23456789)
    assert text.facts["norm"] == kept
    assert text == f"The norm is {{norm{spec}}}.".format(norm=1.23456789)


def test_a_number_that_cannot_be_told_from_a_rounded_one_is_kept() -> None:
    text = Text("{a:.2f}, {a:.4f}, {b:,.1f}, {c:.1e}", a=0.12345, b=7654.321, c=float("inf"))
    assert text == "0.12, 0.1235, 7,654.3, inf"
    assert dict(text.facts) == {"a": 0.12345, "b": 7654.321, "c": "inf"}


def test_a_json_value_with_texts_comes_back() -> None:
    text = Text("{party} is away.", party=Text("{count:,} rows", count=7000))
    row = Joined("; ", [text, "plain"])
    value = {"a": [text, {"b": row}], "c": 1, "english": "x"}
    again = read_back(spelled(value))
    assert again == value
    assert chinese(again["a"][0]) == "7,000 行 不在。"
    assert isinstance(again["a"][1]["b"], Joined)


def test_an_object_tells_the_facts_of_its_members() -> None:
    plain = with_texts({"why": Text("{party} is away.", party="b"), "who": "operator"})
    assert set(plain["texts"]) == {"why"}
    assert chinese(text_in({**plain, "why": str(plain["why"])}, "why")) == "b 不在。"
    assert text_in(plain, "who") == "operator"
    assert text_in({}, "who") == ""


@pytest.mark.parametrize(
    ("each", "english", "told"),
    [
        (["ε spent: 1", "0"], "ε spent: 1 0", "ε spent: 1 0"),
        (["it is in", "valid"], "it is in valid", "it is in valid"),
        (["it has no row", "1"], "it has no row 1", "其中没有数据行1"),
        (["1", "it has no row"], "1 it has no row", "1其中没有数据行"),
        (["", "1", ""], " 1 ", "1"),
    ],
)
def test_only_beside_chinese_does_a_space_go(each: list[str], english: str, told: str) -> None:
    """Somebody else's text would otherwise say "10" to some and "1 0" to others."""
    assert Joined(" ", each) == english
    assert chinese(Joined(" ", each)) == told
    read = foreign("ε spent: 1 0", {"between": " ", "texts": ["ε spent: 1", "0"]})
    assert (str(read), chinese(read)) == ("ε spent: 1 0", "ε spent: 1 0")


def test_a_template_of_nothing_but_texts_keeps_its_spaces_too() -> None:
    facts = {"message": "ε spent: 1", "reason": "0"}
    template = "{message} {reason}"
    text = foreign("ε spent: 1 0", {"template": template, "facts": facts})
    assert chinese(text) == "ε spent: 1 0"
    assert chinese(Text(template, message="it has no row", reason="0")) == "其中没有数据行0"


def test_organisations_may_have_the_names_of_members() -> None:
    names = ("texts", "details", "code", "message", "hint", "reason")
    keyed = dict.fromkeys(names, "it has no row")
    progress = {"members": keyed, "absent": keyed, "expires": 1}
    assert spoken(progress, "zh") == progress
