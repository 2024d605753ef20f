"""The accounting process: right figures, nothing of it stays with who asks, fails closed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from secureflow.adapters.accounting import ProcessAccountant, accountant
from secureflow.adapters.accounting.process import MEMORY, SECONDS, answer
from secureflow.engines.privacy.accounting import Mechanism, epsilon
from secureflow.kit.errors import SecureFlowError

ASKS = """
import asyncio, sys
from secureflow.adapters.accounting import ProcessAccountant, accountant
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


async def test_the_same_question_costs_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    accountant = ProcessAccountant()
    first = await accountant.quote(delta=1e-5, sampling=1.0, count=10, noise=4.0)
    monkeypatch.setattr(accountant, "_run", None)  # no process
    assert await accountant.quote(delta=1e-5, sampling=1.0, count=10, noise=4.0) == first


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


@pytest.mark.parametrize(
    ("noise", "sampling", "count"),
    [
        (0.001, 1.0, 1),
        (0.01, 0.5, 10_000_000),
        pytest.param(0.3, 1.0, 1000, marks=pytest.mark.full),
        pytest.param(1e9, 1.0, 10_000_000, marks=pytest.mark.full),
    ],
)
async def test_no_plan_makes_it_fail_or_grow(noise: float, sampling: float, count: int) -> None:
    """Exact figures once took 8.7 GB and minutes, or came out infinite and failed the dry run."""
    quoted = await ProcessAccountant().quote(
        delta=1e-5, sampling=sampling, count=count, noise=noise
    )
    assert quoted["epsilon"]["rdp-cks20"] >= 0
    if noise < 1:
        assert quoted["epsilon"]["pld"] is None


def test_the_process_limits_its_memory_and_its_time() -> None:
    """What it starts under is what it may use: read from the running process itself."""
    with subprocess.Popen(
        [sys.executable, "-m", "secureflow.adapters.accounting.process"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        question = {
            "verb": "quote", "delta": 1e-5, "sampling": 1.0, "count": 1000, "noise": 0.3,
            "epsilon": None, "besides": [],
        }  # fmt: skip
        process.stdin.write(json.dumps(question).encode() + b"\n")
        process.stdin.close()
        first = process.stdout.readline()  # the limits are set before it
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert json.loads(first)["answer"]["epsilon"]["pld"] is None
        assert process.stdout.read() == b""
    found = {line[:26].strip(): line[26:].split() for line in limits.splitlines()[1:]}
    assert found["Max address space"][:2] == [str(MEMORY), str(MEMORY)]
    assert found["Max cpu time"][:2] == [str(SECONDS), str(SECONDS)]


async def test_an_answer_that_came_before_the_process_died_counts(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!{sys.executable}\nimport os\nos.write(1, b\'{{"answer": 7}}\\n{{"an\')\n')
    python.chmod(0o700)
    assert await ProcessAccountant(str(python)).spent([], 1e-5) == 7
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(str(python), stdin=pipe, stdout=pipe)
    await process.wait()
    assert await accountant._lines(process, b"{}") == [b'{"answer": 7}\n']
