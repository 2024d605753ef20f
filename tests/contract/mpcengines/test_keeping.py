"""What an attempt keeps for the next one: whole files under new names, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from secureflow.adapters.mpcengines.keeping import Kept
from secureflow.application.ports.mpcengine import EngineResult
from tests.contract.mpcengines.cases import Bench, bench_of

KEEPS = "path = job.folder / 'part'; path.write_text('done'); job.keep('{name}', path)"
LOOKS = "job.progress('compute', 0.25 if sorted(job.kept) == ['one'] else 0.75)"


@pytest.fixture
def bench() -> Iterator[Bench]:
    with bench_of("toy") as made:
        yield made


async def test_what_is_kept_comes_back_even_if_the_attempt_died(bench: Bench) -> None:
    kept = bench.folder / "kept"
    kept.mkdir()
    dies = KEEPS.format(name="one") + "; raise RuntimeError"
    found = await bench.table(b=dies).run(b={"kept": kept})
    assert not any(isinstance(one, EngineResult) for one in found.values())
    assert {one.name: one.read_text() for one in kept.iterdir()} == {"one": "done"}
    (bench.folder / "again").mkdir()
    table = bench.table(b=LOOKS)
    table.folder = bench.folder / "again"
    found = await table.run(b={"kept": kept})
    assert all(isinstance(one, EngineResult) for one in found.values()), found
    assert ("compute", 0.25) in table.told["b"]


@pytest.mark.parametrize(
    ("name", "folder"), [("../one", True), ("there", True), ("one", False), ("", True)]
)
async def test_what_is_not_kept_is_refused(bench: Bench, name: str, folder: bool) -> None:
    """Another place, a name that is kept already, and where nothing is to be kept."""
    kept = bench.folder / "kept"
    kept.mkdir()
    (kept / "there").write_text("before")
    act = KEEPS.format(name=name)
    found = await bench.table(b=act).run(b={"kept": kept if folder else None})
    error = found["b"]
    assert not isinstance(error, EngineResult)
    assert getattr(error, "code", "") == "engine_output_refused", error
    assert {one.name: one.read_text() for one in kept.iterdir()} == {"there": "before"}
    assert not (bench.folder / "one").exists()


def test_what_came_by_half_is_removed(tmp_path: Path) -> None:
    (tmp_path / "part-one").write_text("ha")
    (tmp_path / "two").write_text("whole")
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert set(Kept(tmp_path, 100).files) == {"two"}
    assert not (tmp_path / "part-one").exists()
