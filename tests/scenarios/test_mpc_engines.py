"""Programs on shares over real processes: SPU in its sandbox, through centre, agents and channels.

The jobs are those of `examples/`. What receivers get is compared with the same in clear.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from numpy.typing import NDArray
from peers import mpc_references as references
from peers.engine_environments import demand_engine, lend
from peers.mpycs import demand_mpyc
from peers.running import runs
from peers.sandboxes import demand_sandbox
from peers.spu_agent import FAULTS, SEEN
from typer.testing import CliRunner

from secureflow.agent import api
from secureflow.cli.main import app
from secureflow.demo.platform import Platform
from secureflow.domain.jobs import Job
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import parse
from secureflow.engines.bundles import unpack
from secureflow.kit.canonical import b64decode
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.localprogram import local_program
from secureflow.texts import chinese
from tests.nursery import Born
from tests.survival.entry import DIRECTORY
from tests.survival.world import MORTAL, ROOT, await_end, bank_names, verified

T = TypeVar("T")
POLICY = """permit(principal, action == Action::"mpc", resource) when {
    ["correlation", "sealed-bid"].contains(context.engine_program) && context.engine == "spu"
};"""
DRAWN = np.random.default_rng(5)
ROWS = 40
AGE = DRAWN.integers(20, 80, ROWS)
TABLES: dict[str, dict[str, NDArray[Any]]] = {
    "bank-a": {
        "age": AGE, "income": 900.0 * AGE + DRAWN.normal(0, 9e3, ROWS),
        "bid": DRAWN.integers(100, 9999, ROWS) / 100,
    },
    "bank-b": {
        "spent": 40.0 * AGE + DRAWN.normal(0, 700.0, ROWS), "visits": DRAWN.integers(0, 9, ROWS),
        "bid": DRAWN.integers(100, 9999, ROWS) / 100,
    },
}  # fmt: skip
RUN = ("connect", "compute", "outputs")
TOLERANCE = 0.000004 + 0.00001 / ROWS
"""What the program's entry in the catalogue promises."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    demand_engine("spu")
    demand_sandbox("root")
    directory = tmp_path_factory.mktemp("mpc")
    points = directory / "points"
    points.mkdir()
    surroundings = {DIRECTORY: str(points), "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}:{ROOT / 'tests'}"}
    with Platform(
        directory / "p", bank_names(3), {party: dataset(directory, party) for party in TABLES},
        policy=POLICY, child=Born, environment=surroundings, sealing=False,
        entry={"agent": ("-m", "tests.peers.spu_agent"), "server": MORTAL},
    ) as built:  # fmt: skip
        built.build()
        for party in TABLES:
            lend("spu", built.parties[party].directory)
        yield built


def dataset(directory: Path, party: str) -> DatasetConfig:
    path, table = directory / f"{party}.csv", TABLES[party]
    lines = [
        ",".join(table),
        *(",".join(map(str, row)) for row in zip(*table.values(), strict=True)),
    ]
    path.write_text("\n".join(lines) + "\n")
    columns = [{"name": name, "type": "number"} for name in table]
    config = {"name": "people", "path": str(path), "format": "csv", "columns": columns}
    return parse(DatasetConfig, config, "dataset")


@pytest.fixture
def command(place: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run `secureflow WORDS…` as a user and owner of bank-a; return what it prints."""
    with place.client("bank-a") as client:
        for name, value in {
            "URL": place.url, "CA": str(place.ca), "TOKEN": client._connection.token,
            "AGENT_CONFIG": str(place.parties["bank-a"].config), "LANG": "en",
        }.items():  # fmt: skip
            monkeypatch.setenv(f"SECUREFLOW_{name}", value)

        def run(*words: str) -> str:
            done = CliRunner().invoke(app, list(words))
            assert done.exit_code == 0, (words, done.output)
            return str(done.output)

        yield run


def example(place: Platform, name: str, **changes: Any) -> dict[str, Any]:
    """Return an example's job for this platform's project and datasets."""
    asked = yaml.safe_load((ROOT / f"examples/{name}.yaml").read_text())
    asked["datasets"] = [place.parties[party].dataset_id for party in TABLES]
    return {**asked, "project": place.project, **changes}


def submitted(place: Platform, asked: Mapping[str, Any]) -> Job:
    with place.client("bank-a") as client:
        return await_end(client, when_all_have_it(lambda: client.jobs.submit(asked).id))


def when_all_have_it(work: Callable[[], T]) -> T:
    """Work as soon as every agent has said that it has the engine, as it does while it runs."""
    while True:
        try:
            return work()
        except SecureFlowError as error:
            if error.code != "engine_absent":
                raise
            time.sleep(0.1)


def result(place: Platform, party: str, job: str) -> list[dict[str, Any]]:
    found = api.results_show(place.parties[party].config, job)
    assert (found["state"], found["proved"]) == ("kept", True)
    table: list[dict[str, Any]] = pq.read_table(found["path"]).to_pylist()
    return table


def others_have_nothing(place: Platform, job: str, *receivers: str) -> None:
    for party, owner in place.parties.items():
        known = {one["job"] for one in api.results_list(owner.config)}
        assert (job in known) == (party in receivers), party


def correlations() -> dict[tuple[str, str], float]:
    columns = {"age": 0, "income": 0, "spent": 1, "visits": 1}
    found = [np.stack([table[name] for name in columns if name in table], 1)
             for table in TABLES.values()]  # fmt: skip
    exact = references.correlation(found)
    return {
        (one, other): exact[i, j]
        for i, one in enumerate(columns) for j, other in enumerate(columns) if i <= j
    }  # fmt: skip


def within(rows: list[dict[str, Any]]) -> None:
    """See that a result is that of the columns in clear, within the bound of the catalogue."""
    found = {(one["column"], one["other_column"]): one["correlation"] for one in rows}
    exact = correlations()
    assert found.keys() == exact.keys()
    assert max(abs(found[pair] - exact[pair]) for pair in exact) <= TOLERANCE


def test_two_owners_correlate_what_neither_shows(place: Platform) -> None:
    job = submitted(place, example(place, "correlation"))
    assert job.state == "succeeded", str(job.error)
    rows = result(place, "bank-b", job.id)
    within(rows)
    others_have_nothing(place, job.id, "bank-b")
    told = (job.report or {})["computation"]
    assert (told["receivers"], list(told["kept"])) == (["bank-b"], ["bank-b"])
    assert told["rows"] == {"bank-a": ROWS, "bank-b": ROWS}
    assert all(one["bytes"] > 0 for one in told["channels"])
    assert all(peak > 50e6 for peak in told["peak"].values())
    secret = np.float64(next(one["correlation"] for one in rows if one["column"] == "spent"
                             and one["other_column"] == "visits"))  # fmt: skip
    for file in (one for one in place.server.rglob("*") if one.is_file()):
        assert secret.tobytes() not in file.read_bytes(), file
    assert str(float(secret)) not in json.dumps(job.report)
    assert verified(place, job.id)


def test_a_program_of_the_scientists_own_runs_on_what_owners_read_and_approved(
    place: Platform, command: Any, tmp_path: Path
) -> None:
    """MPyC runs it; bank-c has no rows, and computes along."""
    demand_mpyc()
    for owner in place.parties.values():
        lend("mpyc", owner.directory)
    inputs = {"bank-a": {"columns": ["age"]}, "bank-b": {"columns": ["visits"]}}
    asked = example(place, "auction", inputs=inputs, compute=["bank-c"])
    asked["program"] = {**asked["program"], "arguments": ["@age", "@visits"]}
    request, program = local_program(asked, ROOT / "examples")
    assert program is not None
    with place.client("bank-a") as client:
        client.bundles.upload(program.bundle, place.project, "auction")
        job = when_all_have_it(lambda: client.jobs.submit(request).id)
        waiting = set(place.parties)
        while waiting:
            assert (found := client.jobs.get(job)).error is None, found.error
            for party in list(waiting):
                config = place.parties[party].config
                for item in api.inbox_list(config, waiting=True):
                    if item["job"] == job:
                        shown = api.bundle_review(config, item["id"])["packed"]
                        assert unpack(b64decode(shown, 1 << 20)) == program.bundle
                        api.inbox_approve(config, item["id"])
                        waiting.discard(party)
        done = await_end(client, job)
    assert done.state == "succeeded", str(done.error)
    others_have_nothing(place, job, "bank-a")
    command("agent", "results", "export", job, str(tmp_path / "auction"))
    printed = (tmp_path / "auction" / "printed.txt").read_text().splitlines()
    highest = max(TABLES["bank-a"]["age"][0], TABLES["bank-b"]["visits"][0])
    assert f"price {highest}" in printed
    code = (done.report or {})["program"]["code"]
    assert (code["digest"], code["entry"]) == (program.bundle.digest, "program.py")
    assert "price" not in json.dumps(done.report)
    assert verified(place, job)


def test_the_page_does_what_it_says_with_a_third_party_that_computes_along(
    place: Platform, command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = example(place, "sealed-bid")
    with place.client("bank-a") as client:
        with pytest.raises(SecureFlowError) as refused:
            client.jobs.submit(asked)
        assert (refused.value.code, refused.value.details["party"]) == ("engine_absent", "bank-c")
        assert "secureflow engine install spu" in str(refused.value.hint)
        lend("spu", place.parties["bank-c"].directory)
        when_all_have_it(lambda: client.jobs.dry_run(asked))
    file, table = tmp_path / "sealed-bid.yaml", tmp_path / "prices.csv"
    file.write_text(yaml.safe_dump(asked))
    job, said = "", {}
    for words in walk():
        here = {"examples/sealed-bid.yaml": str(file), "JOB": job, "prices.csv": str(table)}
        said[words] = command(*(here.get(word, word) for word in words.split()[1:]))
        if "--watch" in words:
            (job,) = set(re.findall(r"job_[0-9a-z]+", said[words]))
    assert "semi-honest" in said["secureflow mpc describe sealed-bid"]
    told = said["secureflow agent results show JOB"]
    assert "The file is the one that the log's entry" in told
    bids = [np.rint(one["bid"] * 100).astype(int) for one in TABLES.values()]
    winners, prices = references.auction(bids, second=False)
    for party in TABLES:
        assert result(place, party, job) == [
            {"lot": lot, "winner": list(TABLES)[winner], "price": price / 100}
            for lot, (winner, price) in enumerate(zip(winners, prices, strict=True), 1)
        ]
    assert len(table.read_text().splitlines()) == ROWS + 1
    others_have_nothing(place, job, *TABLES)
    assert verified(place, job)
    with place.client("bank-c") as client:
        report = client.jobs.report(job)
        pages = [client.jobs.report_html(job, language) for language in ("en", "zh")]
        explained = client.jobs.explain(job)
    assert report["computation"]["rows"] == {"bank-a": ROWS, "bank-b": ROWS, "bank-c": 0}
    kept = "Result, kept by its receivers"
    assert all(text in page for page in pages for text in (kept, str(chinese(kept))))
    learned = (
        "the winner of every lot, and the price: the loser's bid if the second price counts and "
        "there are two"
    )
    sees = {row["who"]: row["sees"] for row in explained["disclosure"]}
    assert sees["bank-a"] == learned
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    assert str(chinese(learned)) in "".join(command("job", "explain", job).split())


def walk() -> list[str]:
    """Return the page's commands in their order, but for the installation, which takes minutes."""
    page = (ROOT / "docs" / "mpc.md").read_text()
    (block,) = re.findall(r"```sh\n(secureflow mpc list\n.*?)```", page, re.DOTALL)
    lines = [line.partition("#")[0].strip() for line in block.splitlines()]
    return [line for line in lines if not line.startswith("secureflow engine install")]


STRIKES = ("offer die", *(f"{one} {what}" for one in RUN for what in ("die", "kill")))
"""Each costs an attempt: the agent is killed, or its engine's process."""
BY_TURNS = ("offer die", "connect kill", "compute die", "outputs kill")
"""One of them at each phase."""
ONE_OF_EACH = ("connect die", "compute kill")
"""Each attempt starts the engines anew, which takes most of what a strike costs."""


@pytest.mark.parametrize(
    "strikes",
    [
        pytest.param(ONE_OF_EACH, id="agent and engine"),
        pytest.param(BY_TURNS, id="some", marks=pytest.mark.full),
        pytest.param(STRIKES, id="all", marks=pytest.mark.soak),
    ],
)
def test_whoever_is_killed_at_any_phase_the_job_goes_on_and_leaves_nothing(
    place: Platform, strikes: tuple[str, ...]
) -> None:
    """The agent, the engine's process and the centre, in one job."""
    centre, struck = place.processes["server"].pid, place.parties["bank-b"].directory
    survived = [*(f"{phase} {centre}" for phase in ("offer", *RUN)), "kept die"]
    (struck / FAULTS).write_text("".join(f"{one}\n" for one in (*strikes, *survived)))
    job = submitted(place, example(place, "correlation", attempts=10))
    told = (job.report or {}).get("computation")
    assert job.state == "succeeded", str(job.error)
    assert (struck / FAULTS).read_text() == "", told
    within(result(place, "bank-b", job.id))
    others_have_nothing(place, job.id, "bank-b")
    assert verified(place, job.id)
    *lost, last = told["attempts"]
    assert last["state"] == "succeeded"
    ends = [{one["party"]: one["code"] for one in attempt["reasons"]} for attempt in lost]
    assert len(ends) >= len(strikes)  # a busy machine may lose one more by itself
    found = Counter(one.get("bank-b") for one in ends)
    assert found["attempt_lost"] == sum("die" in one for one in strikes), ends
    assert found["engine_failed"] >= sum("kill" in one for one in strikes), ends
    assert all(one.get("bank-a", "peer_broken") == "peer_broken" for one in ends), ends
    for owner in place.parties.values():
        left = [one for one in owner.directory.rglob(f"*{job.id}*")
                if one.parent.name not in {"results", "logs"}]  # fmt: skip
        assert left == []
        assert list(owner.directory.glob("engines/work.*")) == []
    engines = set(map(int, (struck / SEEN).read_text().split()))
    assert len(engines) >= len(strikes)  # the first attempt started none, the last one did
    assert [one for one in engines if runs(one)] == []
