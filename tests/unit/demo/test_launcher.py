"""What the demo refuses before it takes anything away."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path

import pytest

from secureflow.demo.launcher import Interrupts, Options, run
from secureflow.demo.own_table import OwnTable
from secureflow.kit.errors import SecureFlowError


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """Return the directory of a demo that ended."""
    (tmp_path / "demo" / "data").mkdir(parents=True)
    (tmp_path / "demo" / "report.html").write_text("earlier")
    return tmp_path / "demo"


def refused(options: Options) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as refusal:
        run(options)
    return refusal.value


def test_a_table_in_the_directory_that_would_be_emptied_is_not_lost(earlier: Path) -> None:
    table = earlier / "clients.csv"
    table.write_text("a,b\n1,2\n")
    assert refused(Options(earlier, own=OwnTable(table, "b"))).code == "directory_in_use"
    assert table.exists()


def test_refused_options_leave_the_earlier_demo_as_it_was(earlier: Path, tmp_path: Path) -> None:
    table = tmp_path / "clients.csv"
    table.write_text("a,b\n1,2\n")
    assert refused(Options(earlier, own=OwnTable(table, "nope"))).code == "unknown_column"
    assert refused(Options(earlier, by="nope")).code == "unknown_column"
    assert (earlier / "report.html").read_text() == "earlier"


def test_a_directory_of_other_things_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert refused(Options(tmp_path)).code == "directory_in_use"
    assert (tmp_path / "thesis.txt").exists()


def test_an_interrupt_that_is_lost_on_its_way_ends_the_demo_at_its_next_step() -> None:
    interrupts, taken = Interrupts(), list[str]()
    step = interrupts.before(taken.append)
    step("first")

    class Finalised:
        def __del__(self) -> None:
            with contextlib.suppress(KeyboardInterrupt):  # as Python does there, with a warning
                interrupts.come()

    Finalised()
    gc.collect()
    with pytest.raises(KeyboardInterrupt):
        step("second")
    assert taken == ["first"]
