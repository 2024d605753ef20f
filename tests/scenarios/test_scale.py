"""`benchmarks/scale.py` measures what it says: the fields are there, and the agents took part."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scale import exponent

ROOT = Path(__file__).resolve().parents[2]


ROUNDS = 5


def measured(protection: str, *words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scale", *words]
    command += ["--rounds", str(ROUNDS), "--parameters", "20000", "--protection", protection]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (result["parameters"], result["protection"]) == (20_000, protection)
    return result


@pytest.mark.full
def test_one_point_is_measured() -> None:
    result = measured("secagg", "--agents", "3")
    assert result["load_nice"] == 10
    (row,) = result["curve"]
    assert row["agents"] == 3
    _check(row)


@pytest.mark.soak
@pytest.mark.parametrize("protection", ["secagg", "sealed"])
def test_a_small_curve_is_measured(protection: str) -> None:
    result = measured(protection, "--agents", "3", "4", "--nice", "1")
    assert result["load_nice"] == 1
    assert [row["agents"] for row in result["curve"]] == [3, 4]
    for row in result["curve"]:
        _check(row)
    grows = result["explanation"]
    assert grows["per_round_wire_mb"]["exponent"] > 0
    assert grows["server_peak_mb"]["per_agent"] is not None
    assert [line.split(":")[0] for line in grows["in_words"]] == ["per_round"] * 3 + ["setup"] * 3


def _check(row: dict[str, Any]) -> None:
    assert row["rounds"] == ROUNDS
    assert row["seconds_per_round"] > 0
    for way in ("rest", "link"):
        control = row["control"][way]
        assert control["calls"] > 0
        assert control["p50_ms"] <= control["p95_ms"] <= control["max_ms"]
    assert row["peak_mb"]["server"] > 0
    for phase in ("setup", "per_round"):
        assert row[phase]["cpu_seconds"].keys() == {"server", "enclave", "agents"}
        assert row[phase]["cpu_seconds"]["agents"] > 0
        assert row[phase]["wire_mb"] > 0
    assert len(row["load_average"]) == 3


def test_the_exponent_of_a_power_is_found() -> None:
    assert exponent([8, 16, 32], [0.5 * n**2 for n in (8, 16, 32)]) == 2.0
    assert exponent([8, 16, 32], [7.0, 7.0, 7.0]) == 0.0
    assert exponent([8], [1.0]) is None
    assert exponent([8, 16], [None, 1.0]) is None
