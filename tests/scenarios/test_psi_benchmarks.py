"""`benchmarks.psi --through` and the ratio of `benchmarks.peers` measure what they say."""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from benchmarks import psi, psiratio, through
from benchmarks.engineparties import Ended, Measured
from benchmarks.peers import PSI_RATIO, bars
from benchmarks.through import Figures
from secureflow.demo.platform import free_ports
from tests.nursery import Born
from tests.survival.world import ROOT

SIZE = 200
ENOUGH = {"mb_per_second": 1e6, "added_rtt_ms_p50": 0.0, "control_p95_ms": 0.0}


def test_a_row_compares_a_job_with_the_bare_engine_on_the_same_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files: list[Any] = []

    def bare(what: Any, inputs: Any, _: Path) -> Measured:
        files.append([Path(one["keys"]).read_text().splitlines() for one in inputs])
        return Measured([Ended({"done": {}}, "", 0, [])], 2.0, 5)

    def job(_: Path, engine: str, datasets: Any, policy: str, asked: Any, told: str) -> Figures:
        assert (engine, told, asked["protocol"]) == ("spu", "intersection", "rr22")
        assert asked["most_rows"] == SIZE
        files.append([Path(one.path).read_text().splitlines() for one in datasets.values()])
        return Figures(3.0, 4_000_000, 5_000_000)

    monkeypatch.setattr(psi, "run", bare)
    monkeypatch.setattr(psi, "run_through", job)
    monkeypatch.setattr(psi, "interpreter", lambda _: Path(sys.executable))
    monkeypatch.setattr("sys.argv", ["psi", "--through", "--sizes", str(SIZE)])
    psi.main()
    (row,) = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert row == {
        "name": f"psi RR22 {SIZE} x {SIZE}", "bare_seconds": 2.0, "seconds": 3.0, "ratio": 1.5,
        "mb": 4.0, "peak_mb": 5.0,
    }  # fmt: skip
    assert files[0] == files[1]
    assert len(set(files[0][0][1:]) & set(files[0][1][1:])) == SIZE // 2


def test_the_ratio_has_a_bar() -> None:
    assert bars(ENOUGH) == bars(ENOUGH, PSI_RATIO) == []
    assert bars(ENOUGH, 1.51) == ["psi_ratio"]


@pytest.mark.full
def test_the_direct_way_is_direct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job whose bytes go another way than over the port of the listening agent is no measure."""
    port, another = free_ports(2)
    counted, seen = psiratio.carried, threading.Event()

    def carried(ports: Any) -> int:
        found = counted(ports)
        if found > 16 * SIZE:  # at least what one party says in the run
            seen.set()
        return found

    monkeypatch.setattr(psiratio, "carried", carried)
    monkeypatch.setattr(through, "Shelf", Nobody)
    _, csvs = psi.lists(tmp_path, SIZE)
    owners = {party: party.title() for party in psi.PARTIES}
    place = psiratio.Reached(
        tmp_path / "p", owners, psi.datasets_of(csvs), policy=psi.POLICY, purpose=through.PURPOSE,
        sealing=False, child=Born, environment={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        entry={"agent": ("-m", "tests.peers.plain_psi")},
    )  # fmt: skip
    place.port = port
    with place, ThreadPoolExecutor(1) as pool:
        place.build()
        holds = [owner.directory / "hold" for owner in place.parties.values()]
        for one in holds:
            one.touch()  # the run waits, so that its connection is seen however busy this is
        measured = pool.submit(psiratio._seconds, place, SIZE, frozenset({port}))
        while not seen.wait(0.05):
            assert not measured.done(), measured.result()
        for one in holds:
            one.unlink()
        assert measured.result() > 0
        with pytest.raises(SystemExit, match="went directly"):
            psiratio._seconds(place, SIZE, frozenset({another}))


class Nobody:
    """`Shelf`, which lends nothing: the agents bring an engine of their own."""

    def __init__(self, *_: Any) -> None:
        pass

    def lend(self, *_: Any) -> None:
        pass
