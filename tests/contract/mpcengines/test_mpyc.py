"""MPyC programs as their authors wrote them: arguments, files, what they print; hostile ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from peers.engines import Table, job_of
from peers.mpycs import demand_mpyc

from secureflow.adapters.mpcengines.mpyc_engine import MpycEngine
from secureflow.adapters.mpcengines.runs import EngineRuns
from secureflow.adapters.sandbox import BubblewrapSandbox
from secureflow.application.ports.mpcengine import EngineCode, EngineResult
from secureflow.kit.errors import SecureFlowError
from tests.contract.mpcengines.cases import PARTIES, Bench, bench_of

VOTE = """
import os, sys
from mpyc.runtime import mpc
import words

number = int(sys.argv[1]) if sys.argv[1:] else None
least = int(open(os.path.join("data", "least.txt")).read())
bits = mpc.SecFld(2)
mpc.run(mpc.start())
votes = mpc.input(bits(number), senders=[0, 1])
found = mpc.run(mpc.output(mpc.all(votes), receivers=[0]))
mpc.run(mpc.shutdown())
print(words.told(found), least, sys.argv)
"""
EVIL = """
from mpyc.runtime import mpc

class Evil:
    def __reduce__(self):
        act = (
            "import os; os.write(2, ('EVIL RAN ' + str(os.listdir('/inputs'))).encode());"
            "open({marker!r}, 'w')"
        )
        return exec, (act,)

mpc.run(mpc.start())
# lists: with numbers MPyC fails at who receives nothing, maybe before the pickle has arrived
mpc.run(mpc.transfer(Evil() if mpc.pid == 1 else None, senders=[1], receivers=[0]))
mpc.run(mpc.shutdown())
"""


@pytest.fixture
def bench() -> Iterator[Bench]:
    with bench_of("mpyc") as made:
        yield made


def table(bench: Bench, files: Mapping[str, str], inputs: Mapping[str, str], **more: Any) -> Table:
    code = bench.folder / "code"
    for name, text in files.items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(text)
    given: dict[str, dict[str, Path]] = {}
    for party, text in inputs.items():
        path = bench.folder / f"{party}.txt"
        path.write_text(f"vote,more\n{text.strip()},x\n")
        given[party] = {"rows.csv": path}
    places = {one: bench.folder / f"engines-{one}" for one in PARTIES}
    runs = {one: EngineRuns(BubblewrapSandbox(), place) for one, place in places.items()}
    engines = {one: MpycEngine(runs[one], demand_mpyc()) for one in PARTIES}
    made = EngineCode(code, "program.py", 1 << 20)
    job = job_of(
        PARTIES, **{"receivers": ("a",), "program": "bundle", "protocol": "shamir", "code": made,
                    **more}
    )  # fmt: skip
    return Table(engines, bench.folder, job, given)


FILES = {
    "program.py": VOTE,
    "words.py": "def told(found): return 'nothing' if found is None else ('no', 'yes')[int(found)]",
    "data/least.txt": "7",
}


async def test_arguments_files_and_what_it_prints(bench: Bench) -> None:
    """The third party has no input: the argument is left out there."""
    made = table(bench, FILES, {"a": "1\n", "b": "0\n"}, parameters={"arguments": ["@vote"]})
    found = await made.run()
    (result,) = (one for one in found.values() if isinstance(one, EngineResult) and one.outputs)
    assert set(result.outputs) == {"printed.txt"}
    assert result.outputs["printed.txt"].read_text().splitlines()[-1].startswith("no 7 ")
    assert list((bench.folder / "outputs-b").iterdir()) == []
    logs = [bench.folder / f"engines-{one}" / "logs" for one in PARTIES]
    assert [one for folder in logs for one in folder.iterdir()] == []  # what it printed, too


@pytest.mark.parametrize("option", ["-T0", "--threshold", "--thresh=0", "-M1", "--no-prss", "-I"])
async def test_options_of_mpyc_are_not_the_programs(bench: Bench, option: str) -> None:
    arguments = [option, "0"] if option in {"--threshold", "-I"} else [option]
    made = table(bench, FILES, {"a": "1", "b": "1"}, parameters={"arguments": arguments})
    for error in (await made.run()).values():
        assert isinstance(error, SecureFlowError)
        assert error.code in {"engine_failed", "peer_broken"}
        if error.code == "engine_failed":
            assert "option of MPyC" in error.message


@pytest.mark.parametrize("arguments", ["x", [1], {"a": "b"}])
async def test_arguments_are_texts(bench: Bench, arguments: Any) -> None:
    made = table(bench, FILES, {}, parameters={"arguments": arguments})
    for error in (await made.run()).values():
        assert isinstance(error, SecureFlowError)
        assert error.code == "engine_failed"


@pytest.mark.parametrize("entry", ["missing.py", "../a.txt", "/etc/passwd"])
async def test_what_runs_is_in_the_bundle(bench: Bench, entry: str) -> None:
    made = table(bench, FILES, {"a": "1"})
    code = EngineCode(bench.folder / "code", entry, 1 << 20)
    found = await made.run(**{one: {"code": code} for one in PARTIES})
    for error in found.values():
        assert isinstance(error, SecureFlowError)
        assert error.code in {"engine_failed", "peer_broken"}


async def test_a_pickle_of_a_peer_runs_in_the_engines_process_and_nowhere_else(
    bench: Bench,
) -> None:
    """What the label says: it sees this party's inputs to the job, and reaches nothing."""
    marker = bench.folder / "marker"
    program = EVIL.replace("{marker!r}", repr(str(marker)))
    made = table(bench, {"program.py": program}, {"a": "1", "b": "0"})
    found = await made.run()
    assert not marker.exists()
    error = found["a"]
    assert isinstance(error, SecureFlowError)
    assert error.code in {"engine_failed", "peer_broken", "engine_silent"}
    (log,) = (bench.folder / "engines-a" / "logs").iterdir()
    assert b"EVIL RAN ['rows.csv']" in log.read_bytes()


def test_two_parties_are_refused() -> None:
    """With two the threshold of MPyC is 0: nothing is shared secretly."""
    least, _ = MpycEngine.describe(None).parties  # type: ignore[arg-type]
    assert least == 3


@pytest.mark.parametrize("named", [("bundle", "shamir"), ("mpyc", "SHAMIR")])
def test_the_least_that_it_costs_is_told_by_either_name(named: tuple[str, str]) -> None:
    engine = MpycEngine(None, None)  # type: ignore[arg-type]
    shapes = {"a": {"rows.csv": (1000, 2)}, "b": {}, "c": {"rows.csv": (10, 1)}}
    assert engine.estimate(*named, shapes).bytes == 2 * 2010 * 11 * 2
    with pytest.raises(SecureFlowError) as caught:
        engine.estimate(*named, {"a": {}, "b": {}})
    assert caught.value.code == "parties_wrong"
