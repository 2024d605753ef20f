"""Statements: exact, escaped, without formulas, in both languages."""

from __future__ import annotations

import csv
import io

import pytest

from secureflow.application.reports.settlement import render
from secureflow.application.revenuerecords import StoredSettlement
from secureflow.application.settlements import Shown
from secureflow.application.statements import statement, table
from secureflow.engines.revenue.agreement import Agreement, Weights
from secureflow.engines.revenue.deeds import CENTRE, Deed
from secureflow.engines.revenue.settlement import Computed, Settlement, computed
from secureflow.engines.revenue.standing import GRACE, standing_of
from secureflow.engines.revenue.view import in_steps, money, view_of
from tests.unit.engines.revenue.parts import (
    agreement_of,
    case_of,
    deed_of,
    evidence_of,
    measured,
    names_of,
    settlement_of,
    signed_by_all,
)


def shown(agreement: Agreement, settlement: Settlement, result: Computed, *deeds: Deed) -> Shown:
    stored = StoredSettlement(settlement, result, "usr_1")
    standing = standing_of(agreement, result, deeds)
    return Shown(stored, signed_by_all(agreement), standing, [(one, {}) for one in deeds])


def settled() -> Shown:
    agreement, settlement, result = case_of(4, floor=250, weights=Weights(3, 0, 1))
    names, end = list(agreement.keys), 10 + agreement.window + GRACE
    votes = [deed_of("approve", settlement, one, 10, computed=result.digest) for one in names]
    facts = {"payee": "m001", "amount": 7, "reference": "ab" * 32}
    return shown(
        agreement, settlement, result, *votes,
        deed_of("dispute", settlement, "m002", 20, evidence="cd" * 32),
        deed_of("withdraw", settlement, "m002", 30),
        deed_of("accuse", settlement, "m003", 40, code="settlement_altered", evidence="ef" * 32),
        deed_of("close", settlement, CENTRE, end, computed=result.digest),
        deed_of("pay", settlement, "m000", end, **facts),
    )  # fmt: skip


def test_every_line_of_a_table_adds_up() -> None:
    found = settled()
    lines = list(csv.DictReader(io.StringIO(table(found, "m001"))))
    jobs = [one for one in lines if one["section"] == "job"]
    assert sum(int(one["minor_units"]) for one in jobs) == found.stored.computed.amount == 100_000
    assert sum(int(one["basis_points"]) for one in jobs) == 10_000
    sections = [one["section"] for one in lines]
    assert {name: sections.count(name) for name in dict.fromkeys(sections)} == {
        "settlement": 1, "job": 4, "total": 4, "approval": 4, "dispute": 1, "accusation": 1,
        "payment": 1,
    }  # fmt: skip
    assert lines[0]["note"] == "closed"


def test_no_text_of_a_table_is_a_formula() -> None:
    agreement, _, _ = case_of(2)
    settlement = settlement_of(agreement, "-2-cmd", "job_b")
    parties = {name: measured(-12) for name in agreement.keys}
    records = [evidence_of("-2-cmd", parties), evidence_of("job_b", {}, "failed")]
    found = shown(agreement, settlement, computed(agreement, settlement, records))
    cells = [cell for line in csv.reader(io.StringIO(table(found, "=m000"))) for cell in line]
    assert "'-2-cmd" in cells
    assert "-2-cmd" not in cells
    assert "'=m000" in cells
    assert "-0.0012" in cells  # a number stays one


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_page_has_every_figure_and_no_markup_of_others(lang: str) -> None:
    found = settled()
    told = statement(found, "<b>m001")
    page = render(told, lang)  # type: ignore[arg-type]
    assert "<b>m001" not in page
    assert "&lt;b&gt;m001" in page
    assert "<script" not in page
    for line in view_of_booking(found):
        assert line.formula.replace("<", "&lt;") in page
    assert "1000.00 EUR" in page
    for one in found.standing.approvals.values():
        assert one.organisation in page
    assert ("结算单" in page) is True  # both languages are in every page


def view_of_booking(found: Shown) -> tuple:  # type: ignore[type-arg]
    stored = found.stored
    view = view_of(found.agreement.agreement, stored.settlement, stored.computed, found.standing)
    return view.bookings[0].lines


def test_own_amounts_are_those_of_the_organisation() -> None:
    found = settled()
    told = statement(found, "m001")
    amount = found.stored.computed.totals["m001"]
    assert told["own"] == money(amount, 2, "EUR")
    assert told["own_owed"] == told["own"]  # stated, and not confirmed
    assert statement(found, "m000")["own_owed"] == "0.00 EUR"
    assert statement(found, "nobody")["own"] == ""


def test_a_formula_with_its_numbers_gives_the_share() -> None:
    """Read each printed formula again, and compute it as a reader with a pencil would."""
    from fractions import Fraction

    for names, weights, floor, unscored in (
        (names_of(3), Weights(2, 1, 5), 700, "left_out"),
        (names_of(2), Weights(1, 1, 0), 0, "equal"),
    ):
        agreement = agreement_of(names, weights=weights, floor=floor, unscored=unscored)
        score = None if unscored == "equal" else 40
        parties = {
            name: measured(score and score + at, rows=at + 3, steps=at + 1)
            for at, name in enumerate(names)
        }
        settlement = settlement_of(agreement, "job_a")
        result = computed(agreement, settlement, [evidence_of("job_a", parties)])
        view = view_of(agreement, settlement, result, standing_of(agreement, result, []))
        for line in view.bookings[0].lines:
            left, right = line.formula.split(" = ")
            head, inner = left.split("⌊")
            inside, tail = inner.split("⌋")
            rest, terms = inside.split(" · (")
            total = Fraction(0)
            for term in terms.rstrip(")").split(" + "):
                part = Fraction(1)
                for factor in term.split(" · "):
                    part *= Fraction(factor)
                total += part
            more = sum(int(one) for one in (head + tail).replace("+", " ").split())
            assert more + int(int(rest) * total) == int(right) == line.share


def test_money_is_written_with_the_decimals_of_its_currency() -> None:
    assert [money(12_345, one, "X") for one in (0, 2, 3)] == ["12345 X", "123.45 X", "12.345 X"]
    agreement, settlement, result = case_of(2, currency="JPY")
    view = view_of(agreement, settlement, result, standing_of(agreement, result, []))
    assert money(view.amount, view.decimals, view.currency) == "100000 JPY"
    assert [in_steps(one) for one in (None, 0, -7, 12_345)] == ["", "0.0000", "-0.0007", "1.2345"]
