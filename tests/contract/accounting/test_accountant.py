"""The accounting process: right figures, nothing of it stays with who asks, fails closed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from secureflow.adapters.accounting import ProcessAccountant
from secureflow.adapters.accounting.process import answer
from secureflow.engines.privacy.accounting import Mechanism, epsilon
from secureflow.kit.errors import SecureFlowError

ASKS = """
import asyncio, sys
from secureflow.adapters.accounting import ProcessAccountant
from secureflow.engines.privacy import BudgetLedger, Limit, Mechanism

async def main():
    charge = (Mechanism("gaussian", 5.0, 1.0, 10),)
    await ProcessAccountant().learn(charge)
    ledger = BudgetLedger(Limit("d", "record", 10.0, 1e-6), [], lambda event: None)
    assert ledger.reserve("r", "job", charge) > 0
    assert not [name for name in sys.modules if name.startswith(("dp_accounting", "scipy"))]

asyncio.run(main())
"""


async def test_figures_are_the_engines() -> None:
    accountant = ProcessAccountant()
    quoted = await accountant.quote(delta=1e-5, sampling=0.01, count=100, noise=1.0)
    charge = (Mechanism("gaussian", 1.0, 0.01, 100),)
    assert quoted["epsilon"]["rdp-cks20"] == epsilon(charge, 1e-5)
    assert quoted["epsilon"]["pld"] == epsilon(charge, 1e-5, "pld")
    spent = await accountant.spent([m.as_json() for m in charge], 1e-5)
    assert spent == quoted["epsilon"]


async def test_the_same_question_costs_nothing_twice() -> None:
    accountant = ProcessAccountant()
    await accountant.quote(delta=1e-5, sampling=1.0, count=10, noise=4.0)
    began = time.perf_counter()
    await accountant.quote(delta=1e-5, sampling=1.0, count=10, noise=4.0)
    assert time.perf_counter() - began < 0.05


def test_a_budget_is_kept_without_the_accounting_library() -> None:
    done = subprocess.run([sys.executable, "-c", ASKS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_a_refusal_comes_back_as_itself() -> None:
    with pytest.raises(SecureFlowError) as caught:
        await ProcessAccountant().quote(delta=1e-5, sampling=2.0, count=10, noise=4.0)
    assert caught.value.code == "invalid_mechanism"


@pytest.mark.parametrize("body", ["import sys; sys.exit(3)", "print('no')", "print('{}')"])
async def test_a_process_that_says_nothing_is_no_permission(tmp_path: Path, body: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\n{body}\n")
    python.chmod(0o700)
    with pytest.raises(SecureFlowError) as caught:
        await ProcessAccountant(str(python)).quote(delta=1e-5, sampling=1.0, count=1, noise=4.0)
    assert caught.value.code == "accounting_failed"


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]", b'{"verb":"run"}', b'{"verb":"quote"}', b'{"verb":"curves"}', b"\xff"],
)
def test_a_malformed_question_is_answered_with_an_error(line: bytes) -> None:
    assert "error" in answer(line)
