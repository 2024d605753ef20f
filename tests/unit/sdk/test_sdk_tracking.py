"""A job's figures in MLflow, in TensorBoard and in functions: read back from what was written."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from unit.engines.training.family_world import spec

from secureflow.domain.jobs import UnsuccessfulJobError
from secureflow.engines.training.export import ModelFile, model_card
from secureflow.engines.training.initial import initial_parameters
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.prediction import Predictor
from secureflow.sdk.tracking import observer

DIGEST = "ab" * 32
NOTE = "secureflow.example/log\n17\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— x y\n"
SPEC = {
    "protection": "secagg", "purpose": "credit", "roster": [{"party": "a"}, {"party": "b"}],
    "model": {"family": "mlp", "hidden": [6], "note": "x" * 2000}, "plan": {"rounds": 2},
    "privacy": {"epsilon": 3.0, "delta": 1e-6}, "features": {"numeric": []},
}  # fmt: skip
ROUNDS = [
    {"round": 1, "rounds": 2, "loss": 0.75, "auc": 0.5, "epsilon": 0.5, "seconds": 1.5,
     "rows": {"a": 4}, "stage": "train", "<bad>": 1.0},
    {"round": 2, "rounds": 2, "loss": 0.5, "auc": 0.625, "epsilon": 1.0, "seconds": 1.25},
]  # fmt: skip
STEPS = {
    "loss": [(0, 0.75), (1, 0.5), (2, 0.25)],
    "auc": [(0, 0.5), (1, 0.625), (2, 0.75)],
    "epsilon": [(1, 0.5), (2, 1.0)],
    "seconds": [(1, 1.5), (2, 1.25)],
    "released.loss": [(2, 0.5)],
    "loss.standard_error": [(2, 0.125)],
}
TAGS = {
    "secureflow.job": "job_0000", "secureflow.project": "prj_00000000",
    "secureflow.organisation": "bank-a", "secureflow.kind": "training",
}  # fmt: skip
OUTCOME = {
    "secureflow.model": "mdl_1", "secureflow.model_digest": DIGEST, "secureflow.ledger_size": "17",
    "secureflow.ledger_head": NOTE.split("\n")[2], "secureflow.kept_round": "1",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _crc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRC32C_SW_MODE", "auto")  # tensorboardX sets it


def exported() -> ModelFile:
    job = spec("mlp", "binary")
    state = initial_parameters(job)
    return ModelFile(model_card(job, state, moments=None, metrics={}, created=1), state)


class Centre:
    """Answers by path: a job that ends, its events, report and model."""

    def __init__(self, job: dict[str, Any], state: str = "succeeded") -> None:
        file = exported()
        report = {
            "rounds": 2, "kept_round": 1, "metrics": {"loss": 0.5}, "ledger": {"note": NOTE},
            "last_metrics": {"loss": 0.25, "auc": 0.75}, "metrics_errors": {"loss": 0.125},
            "model": {"id": "mdl_1", "digest": DIGEST},
        }  # fmt: skip
        described = {
            "id": "mdl_1", "project": "p", "job": "j", "name": "n", "version": 1,
            "digest": file.card["digest"], "artifact": "", "family": "mlp", "metrics": {},
            "created": 1,
        }  # fmt: skip
        ended = {**job, "id": "job_0000", "spec": SPEC, "digest": DIGEST, "state": state}
        self.answers: dict[str, Any] = {
            "/jobs/job_0000": httpx.Response(200, json=ended),
            "/jobs/job_0000/events": self.events,
            "/jobs/job_0000/report": httpx.Response(200, json=report),
            "/models/mdl_1": httpx.Response(200, json=described),
            "/models/mdl_1/card": httpx.Response(200, json=file.card),
            "/models/mdl_1/content": httpx.Response(200, content=file.to_bytes()),
        }
        self.asked: list[str] = []
        self.state, self.seen = state, 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        self.asked.append(path)
        found = self.answers[path]
        return found() if callable(found) else found

    def events(self) -> httpx.Response:
        lines = [
            f"id: {at}\nevent: round\ndata: {json.dumps(one)}\n\n"
            for at, one in enumerate(ROUNDS, 1)
        ]
        done = f"id: 9\nevent: done\ndata: {json.dumps({'state': self.state})}\n\n"
        return httpx.Response(200, text="".join([*lines, done]))


class Recorded:
    """A `RunLog` that remembers."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def begin(self, job: Any, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
        self.told.append((job.id, dict(parameters), dict(tags)))

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        self.told.append((step, dict(figures)))

    def end(self, state: str, tags: Mapping[str, str], model: Any) -> None:
        self.told.append((state, dict(tags), model))


def client_of(sdk_server: type, centre: Centre) -> Any:
    server = sdk_server()
    server.__class__ = type("Routed", (sdk_server,), {"__call__": lambda _, one: centre(one)})
    return server


def by_name(told: list[Any]) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for step, figures in told:
        for name, value in figures.items():
            found.setdefault(name, []).append((step, value))
    return found


@pytest.mark.parametrize("how", ["wait", "watch"])
def test_a_step_is_the_rounds_behind_the_measured_model(
    sdk_server: type, sdk_job: dict[str, Any], how: str
) -> None:
    log, jobs = Recorded(), client_of(sdk_server, Centre(sdk_job)).client().jobs
    if how == "wait":
        jobs.wait("job_0000", log_to=log, log_model=True)
    else:
        kinds = [event.kind for event in jobs.watch("job_0000", log_to=log, log_model=True)]
        assert kinds == ["round", "round", "done"]
    opened, *figures, closed = log.told
    assert by_name(figures) == STEPS
    assert opened[0] == "job_0000"
    assert opened[2] == TAGS
    assert opened[1] == {
        "kind": "training", "protection": "secagg", "purpose": "credit", "parties": "2",
        "spec_digest": DIGEST, "model.family": "mlp", "model.hidden": "[6]", "plan.rounds": "2",
        "privacy.epsilon": "3.0", "privacy.delta": "1e-06",
    }  # fmt: skip
    assert closed[:2] == ("succeeded", OUTCOME)
    assert closed[2].to_bytes() == exported().to_bytes()


async def test_an_awaiting_client_logs_the_same(sdk_server: type, sdk_job: dict[str, Any]) -> None:
    log = Recorded()
    await client_of(sdk_server, Centre(sdk_job)).async_client().jobs.wait("job_0000", log_to=log)
    assert by_name(log.told[1:-1]) == STEPS
    assert log.told[-1] == ("succeeded", OUTCOME, None)


def test_a_function_is_called_with_step_and_figures(
    sdk_server: type, sdk_job: dict[str, Any]
) -> None:
    told: list[Any] = []
    centre = Centre(sdk_job)
    client_of(sdk_server, centre).client().jobs.wait(
        "job_0000", log_to=lambda step, figures: told.append((step, dict(figures)))
    )
    assert by_name(told) == STEPS
    assert "/models/mdl_1" not in centre.asked  # nobody asked for it


def test_a_failed_job_is_closed_as_failed(sdk_server: type, sdk_job: dict[str, Any]) -> None:
    log, centre = Recorded(), Centre({**sdk_job, "error": {"code": "x"}}, "failed")
    with pytest.raises(UnsuccessfulJobError):
        client_of(sdk_server, centre).client().jobs.wait("job_0000", log_to=log, log_model=True)
    assert log.told[-1] == ("failed", {}, None)
    assert "/jobs/job_0000/report" not in centre.asked


def test_a_run_is_closed_when_nobody_waits_any_more(
    sdk_server: type, sdk_job: dict[str, Any]
) -> None:
    log, jobs = Recorded(), client_of(sdk_server, Centre(sdk_job)).client().jobs
    events = jobs.watch("job_0000", log_to=log)
    next(events)
    events.close()
    assert log.told[-1] == ("left", {}, None)
    with pytest.raises(SecureFlowError, match="timed_out"):
        jobs.wait("job_0000", timeout=0, log_to=log)
    assert log.told[-1] == ("left", {}, None)


@pytest.mark.parametrize("wrong", ["wandb", "", "mlflo", 3])
def test_a_place_that_there_is_not_is_refused(wrong: Any) -> None:
    with pytest.raises(SecureFlowError) as caught:
        observer("job_0000", wrong)
    assert caught.value.code == "invalid_request"
    assert "tensorboard" in caught.value.hint


def test_a_model_that_is_to_be_logged_nowhere_is_refused(
    sdk_server: type, sdk_job: dict[str, Any]
) -> None:
    jobs = client_of(sdk_server, Centre(sdk_job)).client().jobs
    with pytest.raises(SecureFlowError, match="not said where"):
        jobs.wait("job_0000", log_model=True)


@pytest.mark.parametrize(
    ("log_to", "module", "extra"),
    [("mlflow", "mlflow", "mlflow"), ("tensorboard", "tensorboardX", "tensorboard")],
)
def test_a_missing_library_is_named(
    monkeypatch: pytest.MonkeyPatch, log_to: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SecureFlowError) as caught:
        observer("job_0000", log_to)
    assert caught.value.code == "missing_extra"
    assert f"[{extra}]" in caught.value.hint


def records(path: Path) -> Iterator[bytes]:
    """Yield the records of an event file (TFRecord: length, its check, data, its check)."""
    data, at = path.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        yield data[at + 12 : at + 12 + length]
        at += 16 + length


def test_tensorboard_reads_what_is_written(
    sdk_server: type, sdk_job: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("tensorboardX", reason="needs the extra tensorboard")
    from tensorboardX.proto.event_pb2 import Event as Written

    jobs = client_of(sdk_server, Centre(sdk_job)).client().jobs
    jobs.wait("job_0000", log_to=f"tensorboard:{tmp_path}", log_model=True)
    (file,) = (tmp_path / "job_0000").glob("events.out.tfevents.*")
    scalars: dict[str, list[tuple[int, float]]] = {}
    texts: dict[str, str] = {}
    for record in records(file):
        event = Written.FromString(record)
        for value in event.summary.value:
            if value.HasField("simple_value"):
                scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
            else:
                texts[value.tag.split("/")[0]] = value.tensor.string_val[0].decode()
    assert scalars == STEPS
    assert json.loads(texts["tags"]) == TAGS
    assert json.loads(texts["parameters"])["model.family"] == "mlp"
    assert json.loads(texts["outcome"]) == {**OUTCOME, "secureflow.state": "succeeded"}
    assert json.loads(texts["card"]) == exported().card
    assert all(line.startswith("    ") for line in texts["card"].split("\n"))
    loaded = Predictor.load(tmp_path / "job_0000" / "model.safetensors")
    assert loaded.card == exported().card


def test_a_servers_id_is_no_path(sdk_server: type, sdk_job: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="needs the extra tensorboard")
    centre = Centre(sdk_job)
    named = {**centre.answers["/jobs/job_0000"].json(), "id": "../escape"}
    centre.answers["/jobs/job_0000"] = httpx.Response(200, json=named)
    jobs = client_of(sdk_server, centre).client().jobs
    with pytest.raises(SecureFlowError, match="no plain id"):
        jobs.wait("job_0000", log_to=f"tensorboard:{tmp_path / 'runs'}")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'active.db'}")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.chdir(tmp_path)
    return pytest.importorskip("mlflow", reason="needs the extra mlflow")


@pytest.mark.filterwarnings("ignore")  # MLflow's own, of the versions that it meets
def test_mlflow_reads_what_is_written(
    sdk_server: type, sdk_job: dict[str, Any], tmp_path: Path, mlflow: Any
) -> None:
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    jobs = client_of(sdk_server, Centre(sdk_job)).client().jobs
    jobs.wait("job_0000", log_to=f"mlflow:{uri}", log_model=True)
    store = mlflow.MlflowClient(tracking_uri=uri)
    experiment = store.get_experiment_by_name("secureflow")
    (run,) = store.search_runs([experiment.experiment_id])
    key = run.info.run_id
    found = {
        name: [(one.step, one.value) for one in store.get_metric_history(key, name)]
        for name in run.data.metrics
    }
    assert {name: sorted(one) for name, one in found.items()} == STEPS
    assert (run.info.status, run.info.run_name) == ("FINISHED", "income")
    assert run.data.params["privacy.epsilon"] == "3.0"
    tags = {name: one for name, one in run.data.tags.items() if name.startswith("secureflow.")}
    assert tags == {**TAGS, **OUTCOME, "secureflow.state": "succeeded"}
    names = [one.path for one in store.list_artifacts(key, "model")]
    assert names == ["model/card.json", "model/model.safetensors"]
    file = store.download_artifacts(key, "model/model.safetensors", str(tmp_path))
    assert Predictor.load(file).card == exported().card
    failing = client_of(sdk_server, Centre(sdk_job, "failed")).client().jobs
    with pytest.raises(UnsuccessfulJobError):
        failing.wait("job_0000", log_to=uri)
    states = {one.info.status for one in store.search_runs([experiment.experiment_id])}
    assert states == {"FINISHED", "FAILED"}


@pytest.mark.filterwarnings("ignore")
def test_an_active_run_is_written_and_stays_open(
    sdk_server: type, sdk_job: dict[str, Any], tmp_path: Path, mlflow: Any
) -> None:
    with mlflow.start_run() as run:
        jobs = client_of(sdk_server, Centre(sdk_job)).client().jobs
        jobs.wait("job_0000", log_to="mlflow")
        key = run.info.run_id
        assert mlflow.MlflowClient().get_run(key).info.status == "RUNNING"
    found = mlflow.MlflowClient().get_run(key)
    assert found.data.metrics["loss"] == 0.25


@pytest.mark.filterwarnings("ignore")
def test_a_run_that_could_not_begin_is_not_left_open(
    sdk_server: type, sdk_job: dict[str, Any], mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise mlflow.exceptions.MlflowException("no room")

    monkeypatch.setattr(mlflow.MlflowClient, "log_param", refuse)
    jobs = client_of(sdk_server, Centre(sdk_job)).client().jobs
    with pytest.raises(SecureFlowError, match="no room"):
        jobs.wait("job_0000", log_to="mlflow")
    store = mlflow.MlflowClient()
    experiment = store.get_experiment_by_name("secureflow")
    (run,) = store.search_runs([experiment.experiment_id])
    assert run.info.status == "KILLED"


@pytest.mark.filterwarnings("ignore")
def test_a_tracker_that_takes_nothing_is_said_and_the_job_continues(
    sdk_server: type, sdk_job: dict[str, Any], mlflow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    jobs = client_of(sdk_server, Centre(sdk_job)).client().jobs
    with pytest.raises(SecureFlowError) as caught:
        jobs.wait("job_0000", log_to="mlflow:http://127.0.0.1:9")
    assert caught.value.code == "not_logged"
    assert "continues" in caught.value.hint
