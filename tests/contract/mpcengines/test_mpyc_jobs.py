"""MPyC programs as jobs of three agents: consent, attempt, engine in the sandbox, files kept.

The programs are written as MPyC's own demos are: `mpc` from its runtime, argparse of their own, an
async main. The agents are whole ones in this process, the worker's steps too; the engines are
processes of MPyC, confined, over channels in memory.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from peers.agent_world import JOB
from peers.engines import DEADLINES
from peers.mpyc_world import BANKS, Trio, policy_of, program
from peers.mpycs import demand_mpyc
from peers.sandboxes import demand_sandbox

from secureflow.adapters.mpcengines.registry import Engines
from secureflow.adapters.mpcengines.runs import EngineRuns
from secureflow.adapters.sandbox import BubblewrapSandbox
from secureflow.agent.kinds import mpc_engines
from secureflow.domain.specs import ownprograms
from secureflow.engines.bundles import Bundle
from secureflow.engines.run.kept import KEPT

AUCTION = (Path(__file__).parents[3] / "examples/auction/program.py").read_bytes()
READING = b"""
import csv
import os

def column(name):
    with open(os.path.join('inputs', 'salaries.csv'), newline='') as file:
        return [int(row[name]) for row in csv.DictReader(file)]
"""
MEDIAN = b"""
import os
from mpyc.runtime import mpc
from mpyc import statistics
from reading import column

async def main():
    secint = mpc.SecInt(32)
    own = column('bid')
    async with mpc:
        counts = await mpc.transfer(len(own))
        values = []
        for i, n in enumerate(counts):
            x = [secint(v) for v in own] if i == mpc.pid else [secint(None)] * n
            values += mpc.input(x, senders=i)
        found = await mpc.output(statistics.median(values))
    with open(os.path.join('outputs', 'median.txt'), 'w') as file:
        file.write(str(int(found)))

if __name__ == '__main__':
    mpc.run(main())
"""
GRAM = b"""
import os
import numpy as np
from mpyc.runtime import mpc

secfxp = mpc.SecFxp(48, 16)
x = np.load(os.path.join('inputs', 'rows.npy'))
mpc.run(mpc.start())
A = mpc.np_hstack(mpc.input(secfxp.array(x, integral=False)))
G = mpc.run(mpc.output(mpc.np_matmul(mpc.np_transpose(A), A), receivers=2))
if G is not None:
    np.savetxt(os.path.join('outputs', 'gram.csv'), G, delimiter=',')
mpc.run(mpc.shutdown())
"""
TABLES = {
    "bank-a": "bid,rate,town\n40,0.5,x\n7,1.5,y\n",
    "bank-b": "bid,rate,town\n55,2.0,x\n9,-1.0,\n",
    "bank-c": "bid,rate,town\n41,1.0,x\n11,0.25,z\n",
}


@pytest.fixture
def place() -> Iterator[Path]:
    demand_sandbox("root")
    folder = Path(mkdtemp(prefix="sf-mpyc-", dir="/dev/shm"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No honest phase takes as long, whatever the machine does beside it."""
    monkeypatch.setattr(mpc_engines, "EngineDeadlines", lambda **_: DEADLINES)


def trio(place: Path, tables: Mapping[str, str] = TABLES, **more: Any) -> Trio:
    python = demand_mpyc()
    runs = {one: EngineRuns(BubblewrapSandbox(), place / f"engines-{one}") for one in BANKS}
    engines = {one: Engines(runs[one], lambda _: python) for one in BANKS}
    return Trio(place, engines, tables, policy=policy_of(more["code"]), **more)


async def files_of(made: Trio, receivers: tuple[str, ...]) -> dict[str, dict[str, bytes]]:
    """Run the job to its end; return what each receiver keeps, and see that nobody else does."""
    await made.consent()
    replies = await made.run()
    failed = [one for one in replies.values() if isinstance(one, BaseException)]
    assert not failed, failed
    found: dict[str, dict[str, bytes]] = {}
    for party, world in made.agents.items():
        told = json.dumps(replies[party])
        assert not [one for one in ("printed.txt", "median.txt", "gram.csv") if one in told]
        await world.finished()
        kept = [one for one in world.store.leaves(JOB) if one.kind == KEPT]
        assert (len(kept), world.file.exists()) == ((1, True) if party in receivers else (0, False))
        assert list((world.directory / "models").glob(f"{JOB}*")) == []
        assert list((world.directory.parent / f"engines-{party}" / "logs").iterdir()) == []
        if party in receivers:
            rows = pq.read_table(world.file).to_pylist()
            found[party] = {row["file"]: row["content"] for row in rows}
    return found


async def test_an_auction_whose_bids_are_arguments(place: Path) -> None:
    """What the losers' programs print is theirs alone, and thrown away."""
    given = program(arguments=["--bits", "12", "@bid"])
    code = Bundle({"program.py": AUCTION})
    given["bundle"]["digest"] = code.digest
    made = trio(place, code=code, computation=given, receivers=["bank-a"])
    found = await files_of(made, ("bank-a",))
    assert set(found["bank-a"]) == {"printed.txt"}
    lines = found["bank-a"]["printed.txt"].decode().splitlines()
    told = [one for one in lines if one.startswith(("winner", "price"))]
    assert told == ["winner 1", "price 55"]


async def test_a_median_over_tables_of_different_lengths(place: Path) -> None:
    code = Bundle({"median.py": MEDIAN, "reading.py": READING})
    given = program(
        bundle={"digest": code.digest, "entry": "median.py"}, input="salaries.csv"
    )  # fmt: skip
    tables = {**TABLES, "bank-c": TABLES["bank-c"] + "60,0,\n"}
    receivers = ("bank-a", "bank-c")
    made = trio(place, tables, code=code, computation=given, receivers=list(receivers))
    found = await files_of(made, receivers)
    for party in receivers:
        assert set(found[party]) == {"median.txt", "printed.txt"}
        assert found[party]["median.txt"] == b"40"


async def test_products_of_columns_as_arrays_go_to_their_receiver(place: Path) -> None:
    code = Bundle({"program.py": GRAM})
    given = program(input="rows.npy")
    given["bundle"]["digest"] = code.digest
    made = trio(
        place, code=code, computation=given, columns=("bid", "rate"), receivers=["bank-c"]
    )  # fmt: skip
    found = await files_of(made, ("bank-c",))
    table = np.array([[40, 0.5, 55, 2.0, 41, 1.0], [7, 1.5, 9, -1.0, 11, 0.25]])
    gram = np.loadtxt(found["bank-c"]["gram.csv"].decode().splitlines(), delimiter=",")
    np.testing.assert_allclose(gram, table.T @ table, atol=0.01)


def test_its_options_are_those_of_its_parser() -> None:
    """All that MPyC takes for its own is refused; what it leaves alone mostly is not."""
    asked = (
        "import sys, json, mpyc; p = mpyc._get_arg_parser();"
        "print(json.dumps([o for a in p._actions for o in a.option_strings]))"
    )
    python = demand_mpyc().ready()
    told = subprocess.run(
        [str(python), "-I", "-B", "-c", asked], capture_output=True, text=True, check=True
    )
    assert set(json.loads(told.stdout)) == {*ownprograms._LONG, *ownprograms._SHORT}
