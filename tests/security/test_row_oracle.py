"""No private job tells one row by failing: adversarial specs over neighbouring datasets.

Hypothesis plays a submitter (bounds, categories, rates, models, queries of its choice) and writes
two files that differ in one row: added, removed or changed, with cells that fit nothing. Both go
the agent's way: the owner's declaration against the spec, the file, the worker's verbs over its own
line protocol, the masked encoding or the enclave's fold. What can be seen without noise must be the
same for both: success, or the same code, message and hint; and how much is sent. Time is not
compared (docs/privacy.md).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from peers.accounting import Analytic
from peers.agent_world import World
from peers.private_jobs import private_value
from peers.statistics import statistics_value
from peers.statistics_world import StatisticsWorld

from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.agent.compute.worker import Worker
from secureflow.agent.kinds.kinds import AGENT_KINDS
from secureflow.agent.kinds.training.verification import check_private_update
from secureflow.domain.schemas import ColumnConfig, DatasetConfig, DatasetPrivacy
from secureflow.domain.specs.base import JobSpec, dump, spec_digest
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.domain.specs.summed import LIMIT
from secureflow.domain.specs.training import TrainingSpec
from secureflow.enclave.trainingfolds import training_fold
from secureflow.engines.secagg.encoding import encode
from secureflow.engines.secagg.wholenumbers import masked_values
from secureflow.engines.statistics.layout import slots
from secureflow.engines.statistics.plan import statistics_plan
from secureflow.engines.training.encodings import masked_parts, masked_plan
from secureflow.engines.training.models import update_layout
from secureflow.engines.training.private import reads_rows
from secureflow.kit.errors import SecureFlowError

BOUNDS = {"age": (0.0, 100.0), "cost": (-1e3, 1e-3), "tiny": (0.0, 1e-90)}
CATEGORIES = {"job": ("x", "y", "1"), "income": ("low", "high")}
COLUMNS = (
    *(ColumnConfig(name, "number", bounds=bounds) for name, bounds in BOUNDS.items()),
    *(ColumnConfig(name, "category", known) for name, known in CATEGORIES.items()),
    ColumnConfig("flag", "number", bounds=(0.0, 1.0)),
    ColumnConfig("note", "text"),
    ColumnConfig("bare", "number"),  # its owner declares no bounds
)
NAMES = tuple(column.name for column in COLUMNS)
CELLS = (
    *("", "50", " 7 ", "0", "1", "-0.0", "1e308", "-1e308", "5e-324", "1e999", "nan", "NaN"),
    *("inf", "-inf", "+3", "1_0", "0x10", "١٢", "x", "y", "low", "high", "unheard of", "?"),
    *(
        "é",
        "e\u0301",
        "\u202egnp",
        "\x00",
        "a,b",
        'q"q',
        "two\nlines",
        "\ufeff",
        "\ud7ff",
        "x" * 300,
    ),
)
Row = dict[str, str]
rows = st.fixed_dictionaries({name: st.sampled_from(CELLS) for name in NAMES})
good = st.fixed_dictionaries(
    {
        "age": st.sampled_from(["1", "50", "99.5"]), "cost": st.sampled_from(["-1e3", "0", "-7"]),
        "tiny": st.sampled_from(["0", "1e-91"]), "job": st.sampled_from(CATEGORIES["job"]),
        "income": st.sampled_from(CATEGORIES["income"]), "flag": st.sampled_from(["0", "1"]),
        "note": st.sampled_from(["p1", "p2"]), "bare": st.sampled_from(["1", "2"]),
    }
)  # fmt: skip
JUNK = (
    b"",
    b"1",
    b"1,2",
    b",,,,,,,,,,,,",
    b"\xff\xfe",
    b'a"b,c',
    b"\x00\x00",
    b"\xff," * 7 + b"\xff",
)
"""Lines of a CSV file that are no row of it."""


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """Return two lists of rows that differ in one."""
    common = draw(st.lists(good, max_size=4)) + draw(st.lists(rows, max_size=2))
    at = draw(st.integers(0, len(common)))
    more = [*common[:at], draw(rows), *common[at:]]
    if draw(st.booleans()):
        return common, more
    return [*common[:at], draw(good), *common[at:]], more


# --- files -------------------------------------------------------------------------------------


def write_csv(path: Path, table: list[Row], junk: bytes | None) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, NAMES)
        writer.writeheader()
        writer.writerows(table)
    if junk is not None:
        path.write_bytes(path.read_bytes() + junk + b"\n")


def write_parquet(path: Path, table: list[Row], typed: str) -> None:
    """Write rows as a program would that has them as text, as numbers, or coded."""
    columns: dict[str, Any] = {}
    for name in NAMES:
        cells = [row[name] or None for row in table]
        if typed != "text" and (name in BOUNDS or name in {"flag", "bare"}):
            columns[name] = pa.array([_number(cell) for cell in cells], pa.float64())
        elif typed == "coded" and name in CATEGORIES:
            columns[name] = pa.array(cells, pa.string()).dictionary_encode()
        elif typed == "coded":
            binary = [None if cell is None else cell.encode() + b"\xff" for cell in cells]
            columns[name] = pa.array(binary, pa.binary())
        else:
            columns[name] = pa.array(cells, pa.string())
    pq.write_table(pa.table(columns), path)


def _number(cell: str | None) -> float | None:
    try:
        return None if cell is None else float(cell)
    except ValueError:
        return float("nan")


# --- what is seen ------------------------------------------------------------------------------


class Seen:
    """What somebody outside could tell of one job over one file, noise apart."""

    def __init__(self, config: DatasetConfig) -> None:
        self._worker = Worker(SourceLimits())
        self._config = config
        self.story: list[Any] = []

    def ask(self, verb: str, **arguments: Any) -> Any:
        """Put a request to the worker; a failure ends the story."""
        line = json.dumps({"id": 1, "verb": verb, "arguments": {"job": "job_1", **arguments}})
        reply = json.loads(self._worker.answer(line.encode()))
        if "error" in reply:
            self.story.append((verb, reply["error"]))
            raise SecureFlowError.from_json(reply["error"])
        return reply["answer"]

    def tell(self, what: Any) -> None:
        self.story.append(what)

    def of(self, do: Callable[[Seen], None]) -> list[Any]:
        try:
            do(self)
        except SecureFlowError as error:
            self.story.append((error.code, error.message, error.hint, error.details))
        return self.story

    def begin(self, spec: JobSpec) -> None:
        """Consent, admission and the first reading; row counts stay in the agent."""
        AGENT_KINDS.check_columns(spec, self._config)
        facts = {"spec": dump(spec), "dataset": dump(self._config)}
        self.ask("check", **facts)
        self.ask("prepare", **facts, salt="00" * 32)


def train(spec: TrainingSpec, model: np.ndarray, directory: Path) -> Callable[[Seen], None]:
    """Return what a training job does at a party, to the enclave's fold or under the masks."""

    def do(seen: Seen) -> None:
        seen.begin(spec)
        start, update = directory / "model", directory / "update"
        model.astype("<f4").tofile(start)
        facts = {"model": str(start), "moments": None, "seed": "07" * 32}
        for stage in ("train", "evaluate"):
            if not reads_rows(spec, stage):
                continue
            more = {"update": str(update)} if stage == "train" else {}
            sums = np.array(seen.ask(stage, **facts, **more)["sums"], np.float64)
            layout = update_layout(spec, stage)  # type: ignore[arg-type]
            size = layout.parameters
            delta = np.fromfile(update, "<f4") if size else np.zeros(0, np.float32)
            seen.tell((stage, len(sums), len(delta), float(sums[0])))
            told = np.ascontiguousarray(delta, "<f4").tobytes() + sums.astype("<f8").tobytes()
            check_private_update(spec, stage, 1, memoryview(told))  # type: ignore[arg-type]
            leave(spec, stage, delta, sums, layout.seeds)

    return do


def leave(spec: TrainingSpec, stage: Any, delta: Any, sums: Any, seeds: int) -> None:
    """What the update meets on its way out: the ring, or the fold of the enclave."""
    if traits_of(spec).masks:
        plan = masked_plan(spec, "job_1", spec_digest(spec), stage)
        given = masked_parts(spec, stage, plan, delta, sums)
        ring = np.zeros(plan.encoding.slots, plan.ring)
        encode(plan.encoding, given.values, given.weight, given.metrics, given.noise, ring)
        return
    accumulator = training_fold(spec, stage, None)._sum  # type: ignore[attr-defined]
    accumulator.fold(delta, sums[: len(sums) - seeds])
    assert np.isfinite(accumulator.mean()[:]).all()


def count(spec: StatisticsSpec) -> Callable[[Seen], None]:
    """Return what a statistics job does at a party, until its sums are under the masks."""

    def do(seen: Seen) -> None:
        seen.begin(spec)
        sums = seen.ask("statistics")["sums"]
        integers = all(type(one) is int and abs(one) <= LIMIT for one in sums)
        seen.tell((len(sums), len(sums) == slots(spec), integers))
        plan = statistics_plan(spec, "job_1", spec_digest(spec))
        ring = np.zeros(plan.encoding.slots, plan.ring)
        encode(plan.encoding, masked_values(np.array(sums, np.int64)), 1, {}, None, ring)

    return do


# --- what a submitter may choose ---------------------------------------------------------------


@st.composite
def bounds_of(draw: st.DrawFn, name: str) -> tuple[float, float]:
    """Return the owner's bounds, wider ones, or any at all."""
    low, high = BOUNDS.get(name, (0.0, 1.0))
    width = high - low
    return draw(
        st.sampled_from(
            [
                *[(low, high)] * 14, (low - 0.5 * width, high), (low, low + 999 * width),
                (low, low + 5000 * width), (0.0, 5e-324), (low, high * (1 - 1e-12)),
                (-1e100, 1e100), (-1.7e308, 1.7e308),
            ]
        )
    )  # fmt: skip


@st.composite
def training_specs(draw: st.DrawFn) -> tuple[TrainingSpec, np.ndarray]:
    """Return a private training job and a model to start from."""
    party = draw(st.booleans())
    protection = draw(st.sampled_from(["sealed", "secagg", "sealed+secagg"]))
    noise = "enclave" if protection == "sealed" else "shared"
    noise = noise if party else draw(st.sampled_from([noise, noise, "local"]))
    numeric = draw(st.lists(st.sampled_from([*[*BOUNDS] * 4, "bare"]), max_size=3, unique=True))
    extra = tuple(f"c{n}" for n in range(draw(st.sampled_from([0, 0, 3, 2000]))))
    labels = [("income", "high"), ("income", "low"), ("flag", "1"), ("flag", "x"), ("note", "")]
    label = draw(st.sampled_from(labels))
    jobs = {"column": "job", "categories": [*CATEGORIES["job"], *extra]}
    scaled = [{"column": n, "bounds": draw(bounds_of(n)), "scale": "bounds"} for n in numeric]
    features = {
        "label": {"column": label[0], "positive": label[1]},
        "numeric": scaled,
        "categorical": [{**jobs, "missing": draw(st.sampled_from(["indicator", "zeros"]))}],
    }
    adaptive = {"bit_noise": draw(st.sampled_from([1e3, 1e6]))} if draw(st.booleans()) else None
    measured = not party and draw(st.booleans())
    privacy: dict[str, Any] = {
        "noise": noise,
        "noise_multiplier": draw(st.sampled_from([2.0, 0.5, 60.0])),
        "clipping_norm": draw(st.sampled_from([1.0, 1e-6, 1e6])),
        "sampling": draw(st.sampled_from([1.0, 0.5])) if not party else 1.0,
        "rows": draw(st.sampled_from([8, 400, 100_000])),
        "bits": draw(st.sampled_from([4, 10])),
        "local_steps": draw(st.sampled_from([1, 3, 150])) if noise == "local" else 1,
        "metrics_noise": 2.0 if measured else None,
    }
    if party:
        unit = {"unit": "party", "mechanism": "central", "party_unit_acknowledged": True}
        privacy |= {**unit, "adaptive": adaptive, "rows": 0, "delta": 1e-3}
    plan = {
        "rounds": 1,
        "learning_rate": draw(st.sampled_from([0.1, 100.0])),
        "local_epochs": draw(st.sampled_from([1, 40])) if party else 1,
        "batch_size": draw(st.sampled_from([1, 64])),
        "validation": draw(st.sampled_from([0.1, 0.5])) if measured else 0.0,
    }
    limits = {"clip_norm": draw(st.sampled_from([1000.0, 1e-30, 1e6])), "max_weight": 1000}
    facts = {"features": features, "plan": plan, "limits": limits, "protection": protection}
    facts["model"] = {"l2": draw(st.sampled_from([0.0, 10.0]))}
    spec = SPEC_KINDS.parse(private_value(privacy, **facts))
    assert isinstance(spec, TrainingSpec)
    value = draw(st.sampled_from([0.0, 1e-45, 1.0, -1e20, 3e38]))
    model = np.full(spec.parameters, value, np.float32)
    model[:: draw(st.integers(1, 3))] *= -1
    model[-1] = draw(st.sampled_from([1.0, 0.0, -1.0, 1e-40, 3e38]))
    return spec, model


@st.composite
def questions(draw: st.DrawFn, local: bool) -> dict[str, Any]:
    """Return one query of any measure."""
    measure = draw(st.sampled_from(["count", "sum", "mean", "variance", "histogram", "quantile"]))
    asked: dict[str, Any] = {"measure": measure}
    if measure == "count":
        asked["by"] = draw(st.sampled_from(["job", "income", *([] if local else [None])]))
        asked["column"] = None if local else draw(st.sampled_from([None, "age"]))
    else:
        of = [*BOUNDS, *(["job"] if measure == "histogram" else [])]
        asked["column"] = draw(st.sampled_from(of))
        asked["by"] = None if local else draw(st.sampled_from([None, "income"]))
    if measure == "quantile":
        asked["quantiles"] = [0.1, 0.5]
    asked["bins"] = draw(st.sampled_from([2, 5, 100]))
    return asked


@st.composite
def statistics_specs(draw: st.DrawFn) -> StatisticsSpec:
    """Return a statistics job of any placement, library and unit."""
    noise = draw(st.sampled_from(["shared", "party", "party", "local"]))
    laplace = noise == "local" or (noise == "party" and draw(st.booleans()))
    pydp = noise == "party" and laplace and draw(st.booleans())
    asked = draw(st.lists(questions(noise == "local"), min_size=1, max_size=3))
    queries = [{**one, "name": f"q{at}"} for at, one in enumerate(asked)]
    names = sorted({one[part] for one in queries for part in ("column", "by")} - {None})
    columns = [
        {"column": name, "type": "category", "categories": [*CATEGORIES[name], "more"]}
        if name in CATEGORIES
        else {"column": name, "type": "number", "bounds": draw(bounds_of(name))}
        for name in names
    ]
    person = draw(st.booleans())
    privacy = {
        "delta": 1e-6,
        "noise": noise,
        "mechanism": "laplace" if laplace else "gaussian",
        "library": "pydp" if pydp else "opendp",
        "unit": "person" if person else "record",
        "noise_multiplier": draw(st.sampled_from([0.1, 1.0, 300.0])),
    }
    facts = {"columns": columns, "contributions": 2 if person else 1}
    spec = SPEC_KINDS.parse({"kind": "statistics", **statistics_value(queries, privacy, **facts)})
    assert isinstance(spec, StatisticsSpec)
    return spec


# --- the tests ---------------------------------------------------------------------------------


def check_equal(
    directory: Path,
    spec: JobSpec,
    do: Callable[[Seen], None],
    pair: tuple[list[Row], list[Row]],
    form: tuple[str, str, bytes | None],
) -> list[Any]:
    """Run a job over both files and compare what is seen; return it."""
    kind, typed, junk = form
    person = isinstance(spec, StatisticsSpec) and spec.privacy.unit == "person"
    unit: dict[str, Any] = {"unit": "person", "person": "note", "rows_per_person": 2}
    privacy = DatasetPrivacy("d", 1e3, 1e-5, **(unit if person else {}))
    stories = []
    for number, table in enumerate(pair):
        path = directory / f"rows.{kind}"
        if kind == "csv":
            write_csv(path, table, junk if number else None)
        else:
            write_parquet(path, table, typed)
        config = DatasetConfig("customers", str(path), kind, COLUMNS, privacy=privacy)  # type: ignore[arg-type]
        stories.append(Seen(config).of(do))
    assert stories[0] == stories[1]
    assert stories[0]
    return stories[0]


FORMS = st.one_of(
    st.tuples(st.just("csv"), st.just("text"), st.sampled_from([None, None, *JUNK])),
    st.tuples(st.just("parquet"), st.sampled_from(["text", "numbers", "coded"]), st.none()),
)
QUICK = settings(
    deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink]
)


def training_once(directory: Path, job: Any, pair: Any, form: Any) -> str:
    spec, model = job
    try:
        SPEC_KINDS.check(spec)
    except SecureFlowError:
        return "contradictory"
    story = check_equal(directory, spec, train(spec, model, directory), pair, form)
    return "refused" if isinstance(story[-1][-1], dict) else "made"


def statistics_once(directory: Path, spec: StatisticsSpec, pair: Any, form: Any) -> str:
    try:
        SPEC_KINDS.check(spec)
    except SecureFlowError:
        return "contradictory"
    story = check_equal(directory, spec, count(spec), pair, form)
    return "refused" if isinstance(story[-1][-1], dict) else "made"


def test_training_tells_no_row_by_failing(tmp_path: Path) -> None:
    seen: dict[str, int] = {}

    @settings(QUICK, max_examples=60, derandomize=True)
    @given(training_specs(), neighbours(), FORMS)
    def once(job: Any, pair: Any, form: Any) -> None:
        how = training_once(tmp_path, job, pair, form)
        seen[how] = seen.get(how, 0) + 1

    once()
    assert seen["made"] > 20, seen


def test_statistics_tell_no_row_by_failing(tmp_path: Path) -> None:
    seen: dict[str, int] = {}

    @settings(QUICK, max_examples=60, derandomize=True)
    @given(statistics_specs(), neighbours(), FORMS)
    def once(spec: Any, pair: Any, form: Any) -> None:
        how = statistics_once(tmp_path, spec, pair, form)
        seen[how] = seen.get(how, 0) + 1

    once()
    assert seen["made"] > 20, seen


@pytest.mark.soak
@pytest.mark.timeout(7200)
@settings(QUICK, max_examples=10_000)
@given(training_specs(), neighbours(), FORMS)
def test_ten_thousand_training_jobs(
    tmp_path_factory: pytest.TempPathFactory, job: Any, pair: Any, form: Any
) -> None:
    training_once(tmp_path_factory.getbasetemp(), job, pair, form)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@settings(QUICK, max_examples=10_000)
@given(statistics_specs(), neighbours(), FORMS)
def test_ten_thousand_statistics(
    tmp_path_factory: pytest.TempPathFactory, spec: Any, pair: Any, form: Any
) -> None:
    statistics_once(tmp_path_factory.getbasetemp(), spec, pair, form)


@pytest.mark.parametrize("cell", ["131", "x", "inf"])
def test_the_comparison_finds_what_it_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: str
) -> None:
    """With the strict reading of jobs without noise, one row is told at once."""
    features = {
        "label": {"column": "income", "positive": "high"},
        "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}],
    }
    spec = SPEC_KINDS.parse(private_value({"noise": "enclave"}, features=features))
    assert isinstance(spec, TrainingSpec)
    row = {**dict.fromkeys(NAMES, ""), "age": "5", "income": "high"}
    pair, form = ([row], [row, {**row, "age": cell}]), ("csv", "text", None)
    do = train(spec, np.zeros(2), tmp_path)
    assert len(check_equal(tmp_path, spec, do, pair, form)) == 1
    strict = lambda config, limits, **_: open_source(config, limits)  # noqa: E731
    monkeypatch.setattr("secureflow.agent.compute.training.open_source", strict)
    with pytest.raises(AssertionError):
        check_equal(tmp_path, spec, do, pair, form)


# --- through the whole agent -------------------------------------------------------------------


class InProcess:
    """The worker over the agent's port, in this process and over a file of the test's."""

    def __init__(self, path: Path) -> None:
        self._worker, self._path = Worker(SourceLimits()), path
        self.length = 0

    def _ask(self, verb: str, **arguments: Any) -> Any:
        line = json.dumps({"id": 1, "verb": verb, "arguments": arguments}).encode()
        reply = json.loads(self._worker.answer(line))
        if "error" in reply:
            raise SecureFlowError.from_json(reply["error"])
        return reply["answer"]

    def _facts(self, job: str, spec: Any, dataset: DatasetConfig | None) -> dict[str, Any]:
        assert dataset is not None
        own = replace(dataset, path=str(self._path))
        return {"job": job, "spec": spec, "dataset": dump(own)}

    async def check(self, job: str, spec: Any, dataset: DatasetConfig | None) -> None:
        self._ask("check", **self._facts(job, spec, dataset))

    async def prepare(self, job: str, spec: Any, dataset: DatasetConfig | None, *_: Any) -> Any:
        return self._ask("prepare", **self._facts(job, spec, dataset), salt="00" * 32)

    async def compute(self, job: str, step: str, arguments: Any = None) -> Any:
        return self._ask(step, job=job, **(arguments or {}))

    async def close(self, job: str) -> None:
        self._ask("close", job=job)


def shape(value: Any) -> Any:
    """Return what can be told of a reply without knowing its noise: keys, lengths, counts."""
    if isinstance(value, dict):
        return {key: "seconds" if key == "seconds" else shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value]
    return f"{len(value)} letters" if isinstance(value, str) and len(value) > 40 else value


AGENTS_ROWS = (
    "age,job,income\n",
    "age,job,income\n5,x,low\n6,y,high\n",
    "age,job,income\n5,x,low\n6,y,high\n7,x,\n",
    "age,job,income\n5,x,low\n6,y,high\n1e999,z,low\n",
    "age,job,income\n5,x,low\n6,y,high\nold,\u202e,none\n",
    "age,job,income\n5,x,low\n6,y,high\n6\n",
)


async def test_a_whole_agent_answers_neighbours_alike(tmp_path: Path) -> None:
    """Admission, training, evaluation: every reply is of one shape, whatever the rows."""
    plan = {"rounds": 1, "validation": 0.3}
    noise = {"delta": 1e-6, "noise_multiplier": 5.0, "rows": 8, "metrics_noise": 5.0}
    budget = {"domain": "customers", "epsilon": 50.0, "delta": 1e-5}
    changes = {"plan": plan, "privacy": noise}
    shapes = []
    for number, text in enumerate(AGENTS_ROWS):
        path = tmp_path / f"{number}.csv"
        path.write_text(text, encoding="utf-8")
        agent = World(
            tmp_path / str(number), privacy=budget, spec_changes=changes, accounting=Analytic()
        )
        agent.worker = InProcess(path)  # type: ignore[assignment]
        agent.reopen()
        approval = await agent.ask("consent", agent.consent_body())
        agent.record(approval)
        admitted = await agent.admit()
        agent.record(admitted)
        trained, _ = await agent.round(1)
        measured = await agent.ask("train", agent.train_body(2, "evaluate"))
        sent = [len(data) for data in agent.enclave.opened.values()]
        shapes.append(shape([admitted["leaves"], trained, measured, sent]))
    assert all(one == shapes[0] for one in shapes)


async def test_a_whole_agent_counts_neighbours_alike(tmp_path: Path) -> None:
    shapes = []
    for number, text in enumerate(AGENTS_ROWS):
        path = tmp_path / f"{number}.csv"
        path.write_text(text, encoding="utf-8")
        agent = StatisticsWorld(tmp_path / str(number), accounting=Analytic())
        agent.counting = InProcess(path)  # type: ignore[assignment]
        agent.reopen()
        await agent.consented()
        masked = await agent.ask("mask", agent.mask_body(await agent.met()))
        shapes.append(shape([masked, [len(one) for one in agent.vectors.sent]]))
    assert all(one == shapes[0] for one in shapes)
