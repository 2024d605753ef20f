"""Cells that mean one thing become one key, whatever each side writes; others fail or differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureflow.domain.specs.keyrules import KeyPart, KeyRule, KeyRules
from secureflow.engines.psi.normalise import (
    KEY_BYTES,
    DigestedRows,
    check_rules,
    digest_rows,
    joined,
    key_digest,
    rule_of,
)
from secureflow.engines.psi.phones import PLANS
from secureflow.kit.errors import SecureFlowError


def made(rule: KeyRule, *cells: str, country: str = "CN") -> list[str | None]:
    return [rule_of(KeyPart(rule, country))(cell) for cell in cells]


def keys(rules: KeyRules, *columns: list[str | None]) -> tuple[list[bytes], DigestedRows]:
    found = digest_rows(rules, columns)
    cut = [found.keys[at : at + KEY_BYTES] for at in range(0, len(found.keys), KEY_BYTES)]
    assert len(cut) == len(found.rows)
    return cut, found


def test_none_changes_nothing() -> None:
    assert made("none", " A\u00a0", "ﬁ", "") == [" A\u00a0", "ﬁ", ""]


def test_trim_makes_unicode_plain_and_bares_both_ends() -> None:
    assert made("trim", " 张 三\u3000", "\ufeffＡｂ１\u200b ", "ﬁ", "\u200b \ufeff", "\t\n") == [
        "张 三", "Ab1", "fi", "", "",
    ]  # fmt: skip


def test_case_folds_what_lower_does_not() -> None:
    assert made("case", "Straße", "STRASSE", "ﬀ", " AbC ") == ["strasse", "strasse", "ff", "abc"]


PHONES = {
    "+8613800138000": (
        "13800138000", "138 0013 8000", "138-0013-8000", "+86 138 0013 8000", "86 13800138000",
        "0086-138-0013-8000", "（＋８６）１３８００１３８０００", "+86 (0)138 0013 8000",
    ),
    "+861088888888": ("010-88888888", "(010) 8888 8888", "1088888888", "+86 10 8888 8888"),
    "+8675588888888": ("0755 8888 8888", "+86755-88888888"),
    "+85223456789": ("+852 2345 6789", "0085223456789"),
    "+2481234567": ("+248 123 4567",),
}  # fmt: skip


def test_phone_numbers_of_one_subscriber_are_one() -> None:
    for wanted, written in PHONES.items():
        assert made("phone", *written) == [wanted] * len(written)


@pytest.mark.parametrize(
    ("country", "number", "wanted"),
    [
        ("US", "(212) 555-0100", "+12125550100"),
        ("US", "1-212-555-0100", "+12125550100"),
        ("US", "011 86 138 0013 8000", "+8613800138000"),
        ("GB", "020 7946 0018", "+442079460018"),
        ("CN", "+44 (0)20 7946 0018", "+442079460018"),
        ("IT", "06 1234 5678", "+390612345678"),
        ("RU", "8 912 345-67-89", "+79123456789"),
        ("RU", "812 345-67-89", "+78123456789"),
        ("HK", "2345 6789", "+85223456789"),
    ],
)
def test_a_number_without_a_code_is_of_the_named_country(
    country: str, number: str, wanted: str
) -> None:
    assert made("phone", number, country=country) == [wanted]


def test_what_is_no_phone_number_is_malformed() -> None:
    wrong = ("12800138000", "1380013800", "138001380000", "abc", "+0123456789", "12345", "+86",
             "13800138000x12", "+86 1380013800", "+1234567890123456")  # fmt: skip
    assert made("phone", *wrong) == [None] * len(wrong)
    assert made("phone", "  ") == [""]


def test_the_plans_of_countries_are_consistent() -> None:
    codes = {plan.code for plan in PLANS.values()}
    for plan in PLANS.values():
        assert plan.least <= plan.most <= 15 - len(plan.code)
        assert not any(other != plan.code and plan.code.startswith(other) for other in codes)


def test_an_unknown_country_is_refused_before_any_row() -> None:
    with pytest.raises(SecureFlowError) as caught:
        check_rules(KeyRules((KeyPart("trim"), KeyPart("phone", "XX"))))
    assert caught.value.code == "invalid_spec"


def test_an_old_resident_id_is_the_new_one() -> None:
    assert (
        made("id_card", "11010519491231002x", "110105 1949-1231 002X", "110105491231002")
        == ["11010519491231002X"] * 3
    )


def test_a_resident_id_is_checked_by_its_digit_and_its_date() -> None:
    wrong = ("110105194912310021", "110105194913310021", "110105491331002", "1101051949123100",
             "11010519491231002XX")  # fmt: skip
    assert made("id_card", *wrong) == [None] * len(wrong)


def test_other_documents_are_text() -> None:
    assert made("id_card", " e1234567 ", "A123456(7)", "H0123456789", "", "ab1") == [
        "E1234567", "A1234567", "H0123456789", "", None,
    ]  # fmt: skip


def test_mail_addresses() -> None:
    assert made("email", " Li.Wei@Example.COM ", "x@例子.中国", "") == [
        "li.wei@example.com", "x@xn--fsqu00a.xn--fiqs8s", "",
    ]  # fmt: skip
    wrong = ("a@b", "a b@c.de", "a..b@c.de", ".a@c.de", "a@c.de.", "@c.de", "a", "a@-c.de",
             "a" * 65 + "@c.de", "a@" + "b." * 130 + "de")  # fmt: skip
    assert made("email", *wrong) == [None] * len(wrong)


@given(st.text(max_size=30))
def test_a_normal_form_is_its_own_normal_form(text: str) -> None:
    for rule in ("none", "trim", "case", "phone", "id_card", "email"):
        (once,) = made(rule, text)  # type: ignore[arg-type]
        if once:
            assert made(rule, once) == [once]  # type: ignore[arg-type]


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_columns_are_joined_so_that_no_two_keys_are_one(one: list[str], other: list[str]) -> None:
    assert (joined(one) == joined(other)) == (one == other)


def test_a_key_of_this_version_stays_what_it_is() -> None:
    assert key_digest(["ab", "c"]) != key_digest(["a", "bc"])
    assert key_digest(["+8613800138000"]).hex() == (
        "b00df0b0307963c60dcb55f239a6304830e157d5f2c9d3ab"
    )


@given(st.lists(st.text(max_size=4) | st.just("\ud800"), max_size=6))
def test_keys_of_one_column_are_those_of_each_row(cells: list[str]) -> None:
    """They are made together where every row has one, a lone surrogate among them or not."""
    found = digest_rows(KeyRules((KeyPart("none"),)), [cells])
    assert found.keys == b"".join(key_digest([one]) for one in cells if one)
    assert list(found.rows) == [row for row, one in enumerate(cells) if one]
    assert list(found.missing) == [row for row, one in enumerate(cells) if not one]


def test_rows_without_a_key_are_told_by_number() -> None:
    rules = KeyRules((KeyPart("phone"), KeyPart("case")))
    cut, found = keys(
        rules,
        ["13800138000", None, "none", "13800138001", "+86 13800138000", ""],
        ["Li", "x", "y", " ", "LI", "z"],
    )
    assert found.rows == [0, 4]
    assert cut[0] == cut[1]
    assert found.missing == [1, 3, 5]
    assert found.malformed == [(2, 0)]


def test_other_columns_than_the_rules_have_are_a_mistake_of_the_caller() -> None:
    rules = KeyRules((KeyPart("trim"),))
    with pytest.raises(ValueError, match="2 columns"):
        digest_rows(rules, [["a"], ["b"]])
    with pytest.raises(ValueError, match="zip"):
        digest_rows(KeyRules((KeyPart("trim"),) * 2), [["a"], ["b", "c"]])
