"""`secureflow demo --scenario psi` as a person runs it, compared with both tables in one place."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from peers.engine_environments import demand_engine

ROOT = Path(__file__).parents[2]
PATIENCE = 300.0


def digits(cells: pd.Series) -> pd.Series:
    """Return mobile numbers as their eleven digits; missing where a cell has none."""
    bare = cells.str.replace(r"\D", "", regex=True).str.replace(r"^86(?=\d{11}$)", "", regex=True)
    return bare.where(bare.str.fullmatch(r"1\d{10}"))


@pytest.mark.full
def test_a_bank_and_a_telco(tmp_path: Path) -> None:
    demand_engine("openmined")
    directory = tmp_path / "demo"
    words = ("demo", "--scenario", "psi", "--engine", "openmined", "--json")
    done = subprocess.run(  # not forked: engines run in the sandbox
        [sys.executable, "-m", "secureflow", *words, "--directory", str(directory)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "SECUREFLOW_LANG": "zh"},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.splitlines()[-1])
    bank, telco = (
        pd.read_csv(directory / "data" / f"{party}.csv", dtype=str) for party in ("bank", "telco")
    )
    phones = digits(bank["mobile"])
    theirs = digits(telco["msisdn"])
    shared = phones.isin(theirs.dropna()) & ~phones.duplicated() & phones.notna()
    learned = pq.read_table(outcome["files"]["result"]).to_pandas()
    assert list(learned.columns) == ["row", "mobile", "segment"]
    assert list(learned["row"]) == [at + 1 for at in bank.index[shared]]
    assert list(learned["segment"]) == list(bank["segment"][shared])
    assert outcome["matched"] == shared.sum() > 1000
    assert not set(bank["mobile"].dropna()) & set(telco["msisdn"].dropna()), "rules are needed"
    assert outcome["keys"] == {"bank": phones.nunique(), "telco": theirs.nunique()}
    rows = pd.concat([bank, telco]).astype({"age": float, "hours-per-week": float})
    by_sex = rows.groupby("sex").agg(
        customers=("age", "size"), age=("age", "mean"), hours=("hours-per-week", "mean")
    )
    assert len(outcome["figures"]) == by_sex.size
    for one in outcome["figures"]:
        truth = by_sex[one["name"]][one["group"]]
        assert one["pooled"] == pytest.approx(truth)
        assert abs(one["value"] - truth) < 3 * one["margin"]  # six standard errors
        assert one["value"] != pytest.approx(truth, rel=1e-12), "it has noise"
    assert outcome["probing"] == {
        "limit": 5000, "tested": phones.nunique(), "remaining": 5000 - phones.nunique(),
        "refused": "probing_exceeded",
    }  # fmt: skip
    assert outcome["ledger"]["verified"] is True
    assert f"共同客户：{outcome['matched']:,} 位" in done.stderr
    told = done.stderr.split("共同客户")[1]
    assert not re.search(r"[a-z]{3,} [a-z]{3,}", told.replace("--", "")), told
    pages = [Path(outcome["files"][name]).read_text() for name in ("report", "sums")]
    numbers = set(bank["mobile"].dropna()[shared])
    assert not [one for one in numbers if any(one in page for page in pages)]
