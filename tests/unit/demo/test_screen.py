"""The demo's result goes where results go: to stdout, unless JSON is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from secureflow.demo.comparison import Comparison
from secureflow.demo.play import Outcome
from secureflow.demo.screen import Screen, settled
from secureflow.demo.study import Study
from secureflow.demo.words import Words
from secureflow.texts import Language
from tests.unit.demo.test_comparison import comparison, study  # noqa: F401  (fixtures)


@pytest.fixture(name="outcome")
def _outcome(study: Study, comparison: Comparison, tmp_path: Path) -> Outcome:  # noqa: F811
    return Outcome(
        accuracy=0.8, auc=0.9, rounds=2, seconds=1.0, protection="sealed+secagg",
        model_digest="e" * 64, ledger={"size": 9, "verified": True, "cosigners": 3},
        tee="SIMULATED SGX " + "d" * 64, report=str(tmp_path / "report.html"),
        comparison=comparison, study=study,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("json", [False, True])
def test_the_result_is_on_stdout_unless_json_has_it(
    outcome: Outcome, capsys: pytest.CaptureFixture[str], lang: Language, json: bool
) -> None:
    screen = Screen(outcome.study, Words(lang), json=json)
    screen.opening()
    screen.outcome(replace(outcome, report="r.html"))
    out, err = capsys.readouterr()
    result = err if json else out
    verified = {"en": "Ledger verified: 9 entries", "zh": "账本已验证：9 条记录"}[lang]
    assert verified in result
    assert "SIMULATED SGX dddddddddddd…" in result, "a digest is cut on the screen"
    assert (out == "") is json
    if not json:
        assert verified not in err
        table = [line for line in out.splitlines() if line.startswith("  ")]
        assert max(map(cell_len, table)) <= 80


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_settlement_is_told_with_what_is_owed_by_it(lang: Language) -> None:
    found = {
        "amount": "1000.00 EUR", "written": {"bank-a": "600.00 EUR", "bank-b": "400.00 EUR"},
        "approvals": 3, "closes": 1_800_000_000, "folder": "/x/settlement",
    }  # fmt: skip
    names = {"bank-a": "Bank [a]", "bank-b": "Bank B"}
    amounts, owed, where = settled(Words(lang), found, names)
    comma = {"en": ", ", "zh": "，"}[lang]
    assert rf"Bank \[a] 600.00 EUR{comma}Bank B 400.00 EUR" in amounts
    assert "2027-01-15" in owed
    assert {"en": "Nothing is owed", "zh": "尚不产生应付款"}[lang] in owed
    assert where.endswith("/x/settlement")
    assert list(settled(Words(lang), {}, names)) == []
