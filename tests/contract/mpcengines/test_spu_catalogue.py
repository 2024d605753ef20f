"""SPU as owners read of it before they consent: what it is, what it protects, what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secureflow.adapters.mpcengines import failures, openmined, spu, spu_catalogue, spu_labels
from secureflow.adapters.mpcengines.registry import LOCKS
from secureflow.adapters.mpcengines.spu_estimates import PROCESS, estimated
from secureflow.adapters.mpcengines.spu_programs import compute, psi, work
from secureflow.adapters.mpcengines.spu_words import UNSURE, WORDS
from secureflow.application.ports.mpcengine import EngineJob, EngineResult, Estimate
from secureflow.engines.bundles.lock import parse_lock
from secureflow.kit.errors import SecureFlowError

THREE = ("a", "b", "c")


class Runs:
    """Where engines run: keeps what it is to run."""

    def __init__(self) -> None:
        self.seen: tuple[Any, EngineJob] | None = None

    def problem(self, engine: str, *, needs_network: bool = False) -> SecureFlowError | None:
        return None

    async def run(self, plan: Any, job: EngineJob, progress: Any) -> EngineResult:
        self.seen = plan, job
        return EngineResult({}, {}, 0.0, 0)


class Found:
    """`Interpreter`: of an environment that is there, or not."""

    def __init__(self, *, there: bool = True) -> None:
        self._there = there

    def find(self) -> Path:
        if not self._there:
            raise failures.absent("spu")
        return Path("/engines/spu/bin/python")

    ready = find


def _engine(*, there: bool = True) -> spu.SpuEngine:
    return spu.SpuEngine(Runs(), Found(there=there))  # type: ignore[arg-type]


def _job(
    tmp_path: Path, program: str = "ranking", protocol: str = "ABY3", **given: Any
) -> EngineJob:
    np.save(tmp_path / "values.npy", np.array([1, 2]))
    own: dict[str, Any] = {
        "inputs": {"values": tmp_path / "values.npy"},
        "parties": THREE,
        "receivers": ("c", "a"),
        "outputs": tmp_path,
        "channels": {"a": None, "c": None},
    }
    return EngineJob("job_1", 2, program, spu_catalogue.digest(), protocol, "b", **{**own, **given})


def test_every_program_names_protocols_that_have_labels() -> None:
    info = spu_catalogue.info()
    assert set(info.programs) == set(work.PROGRAMS)
    assert set(info.protocols) == set(compute.PROTOCOLS) | set(psi.PROTOCOLS)
    for program in info.programs.values():
        assert program.learns
        assert set(program.protocols) <= set(info.protocols)
        assert program.parties == (2, 3 if "ABY3" in program.protocols else 2)
    for name, label in info.protocols.items():
        assert label.adversary == "semi-honest"
        assert label.leakage
        assert label.repeats, name
        assert label.as_json()


def test_what_runs_is_one_digest() -> None:
    assert len(spu_catalogue.digest()) == 64
    assert {one.digest for one in spu_catalogue.info().programs.values()} == {
        spu_catalogue.digest()
    }


def test_semi2k_is_refused_with_the_reason() -> None:
    with pytest.raises(SecureFlowError, match="protocol_refused") as refused:
        _engine().estimate("ranking", "SEMI2K", {party: {} for party in THREE})
    assert "triples come from one of the parties" in refused.value.message
    assert refused.value.hint == "Choose one of these: ABY3, CHEETAH."
    assert "SEMI2K" not in spu_labels.LABELS


@pytest.mark.parametrize(
    ("program", "protocol", "parties", "code", "told"),
    [
        ("ranking", "ABY3", 2, "parties_wrong", "ABY3 is for 3 parties, and the job has 2."),
        ("ranking", "CHEETAH", 3, "parties_wrong", "Choose one of these: ABY3."),
        ("psi", "RR22", 3, "parties_wrong", "RR22 is for 2 parties"),
        ("psi", "ABY3", 3, "protocol_refused", "spu does not run psi by 'ABY3'."),
        ("ranking", "MASCOT", 2, "protocol_refused", "Choose one of these: ABY3, CHEETAH."),
        ("sorting", "ABY3", 3, "program_unknown", "spu has no program 'sorting'."),
    ],
)
async def test_what_does_not_fit_is_refused_before_anything_runs(
    tmp_path: Path, program: str, protocol: str, parties: int, code: str, told: str
) -> None:
    names = THREE[:parties]
    with pytest.raises(SecureFlowError, match=code) as refused:
        _engine().estimate(program, protocol, {party: {} for party in names})
    assert told in str(refused.value)
    with pytest.raises(SecureFlowError, match=code):
        await _engine().run(
            _job(tmp_path, program, protocol, parties=names, receivers=names[:1]),
            lambda phase, share: None,
        )


async def test_an_engine_that_is_not_installed_says_how(tmp_path: Path) -> None:
    problem = _engine(there=False).available()
    assert problem is not None
    assert problem.code == "engine_absent"
    assert "secureflow engine install spu" in problem.hint
    with pytest.raises(SecureFlowError, match="engine_absent"):
        await _engine(there=False).run(_job(tmp_path), lambda phase, share: None)


async def test_a_program_is_told_who_receives_and_its_deadlines(tmp_path: Path) -> None:
    runs = Runs()
    engine = spu.SpuEngine(runs, Found())  # type: ignore[arg-type]
    await engine.run(_job(tmp_path), lambda phase, share: None)
    assert runs.seen is not None
    plan, job = runs.seen
    assert job.parameters["secureflow"] == {"receivers": [0, 2], "job": "job_1", "attempt": 2}
    assert plan.environment["SECUREFLOW_CONNECT"] == str(job.deadlines.connect)
    assert plan.environment["SECUREFLOW_WAIT"] == "3600.0"
    assert plan.unsure == UNSURE
    assert {str(view.inside) for view in plan.views} >= {"/engine/spu_programs", "/bin/sh"}


async def test_an_input_that_is_refused_names_row_and_column(tmp_path: Path) -> None:
    np.save(tmp_path / "columns.npy", np.array([[1.0, 2.0], [1.0, 3.0]]))
    job = _job(tmp_path, "correlation", inputs={"columns": tmp_path / "columns.npy"})
    with pytest.raises(SecureFlowError, match="engine_failed") as refused:
        await _engine().run(job, lambda phase, share: None)
    assert refused.value.message == (
        "SPU cannot compute with b's inputs: a column has the same value everywhere, so it "
        "correlates with nothing (column 1)."
    )
    assert refused.value.details["reason"] == "column_constant"


def test_every_word_of_the_programs_has_a_reason() -> None:
    """A word that the agent does not know would be taken for a lie."""
    folder = spu_catalogue.FOLDER
    told = "".join(path.read_text() for path in folder.glob("*.py"))
    told += folder.with_name("openmined_program.py").read_text()
    marks = ('RefusedError("', 'failed("', 'at_fault(~np.isfinite(scaled), "', '_of(str("')
    words = {part.split('"')[0] for mark in marks for part in told.split(mark)[1:]}
    assert len(words) > 15
    assert words <= set(WORDS)
    assert {word for _, word in work._LINK} <= set(WORDS)


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (
            "what: \n\t[yacl/link/context.cc:165] connect to mesh failed, failed to setup",
            "peer_absent",
        ),
        (
            "what: \n\t[yacl/link/transport/channel.cc:427] Get data timeout, key=root:1",
            "peer_silent",
        ),
        ("what: \n\t[x.cc:1] Throttle window wait timeout", "peer_silent"),
        ("what: \n\t[brpc_link.cc:368] send failed: rpc failed=112, message=", "peer_gone"),
        ("what: \n\t[key.cc:182] failed to execute cmd=tail -n +2", "spu_failed"),
    ],
)
def test_what_spu_says_becomes_a_word(words: str, word: str) -> None:
    assert work.word_of(words) == word


def _psi(protocol: str, count: int) -> Estimate:
    return estimated("psi", protocol, {"a": {"keys": (count,)}, "b": {"keys": (count // 2,)}})


@pytest.mark.parametrize(
    ("protocol", "count", "megabytes", "seconds"),
    [
        *(("RR22", 100_000, 4.4, 0.58), ("RR22", 1_000_000, 33, 4.6)),
        *(("KKRT", 100_000, 11.6, 0.89), ("KKRT", 1_000_000, 117, 8.7)),
        *(("ECDH", 100_000, 7.7, 1.9), ("ECDH", 1_000_000, 76, 17.7)),
    ],
)
def test_an_intersection_costs_what_was_measured(
    protocol: str, count: int, megabytes: float, seconds: float
) -> None:
    told = _psi(protocol, count)
    assert told.bytes / 1e6 == pytest.approx(megabytes, rel=0.1)
    assert told.seconds == pytest.approx(seconds, abs=2.0)


def test_long_lists_cost_no_more_memory_than_a_bucket() -> None:
    million, ten = _psi("RR22", 1_000_000), _psi("RR22", 10_000_000)
    assert million.memory < ten.memory < 1.5 * million.memory < 2 << 30


def _idle(protocol: str, *shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return shapes of the parties; the third of ABY3 only computes along."""
    return {
        str(number): one
        for number, one in enumerate([*shapes, {}][: 3 if protocol == "ABY3" else 2])
    }


@pytest.mark.parametrize(
    ("protocol", "program", "shapes", "megabytes", "memory"),
    [
        ("ABY3", "sealed-bid", [{"bids": (1000,)}] * 3, 0.58, 284),
        ("ABY3", "correlation", [{"columns": (100_000, 5)}] * 2, 32.0, 389),
        ("ABY3", "logistic", [{"columns": (1000, 30)}, {"weights": (31,)}], 1.06, 286),
        ("CHEETAH", "sealed-bid", [{"bids": (1000,)}] * 2, 2.73, 641),
        ("CHEETAH", "correlation", [{"columns": (100_000, 5)}] * 2, 53.4, 509),
        ("CHEETAH", "logistic", [{"columns": (1000, 30)}, {"weights": (31,)}], 22.3, 416),
    ],
)
def test_a_program_on_shares_costs_what_was_measured(
    protocol: str, program: str, shapes: Any, megabytes: float, memory: float
) -> None:
    """Within twice: it is for deciding, and what it took is compared with it."""
    told = estimated(program, protocol, _idle(protocol, *shapes))
    assert megabytes / 2 < told.bytes / 1e6 < megabytes * 2
    assert memory / 2 < told.memory / 1e6 < memory * 4


def test_a_program_on_shares_costs_more_with_more_rows() -> None:
    shapes = {"a": {"columns": (1000, 3)}, "b": {"columns": (1000, 2)}, "c": {}}
    more = {"a": {"columns": (9000, 3)}, "b": {"columns": (9000, 2)}, "c": {}}
    for protocol in ("ABY3", "CHEETAH"):
        less, much = (estimated("correlation", protocol, one) for one in (shapes, more))
        assert less.bytes < much.bytes
        assert PROCESS < less.memory < much.memory
        assert less.seconds < much.seconds


@pytest.mark.parametrize("name", ["spu", "openmined"])
def test_a_lock_pins_what_is_described(name: str) -> None:
    path = LOCKS / f"{name}.txt"
    pins = {one.name: one for one in parse_lock(path.read_bytes()).pins}
    engines = {
        "spu": ("spu", spu_catalogue.VERSION),
        "openmined": ("openmined-psi", openmined.VERSION),
    }
    package, version = engines[name]
    assert pins[package].version == version
    assert all(one.hashes for one in pins.values())
    assert "://" not in path.read_text()
