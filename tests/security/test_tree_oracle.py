"""No private job of trees tells one row by failing: adversarial specs over neighbouring files.

As `test_row_oracle`, of which this has the files, the cells and the comparison. A round starts from
the first model or from one that noise alone has grown, so that places, bins and missing values of
any row are met.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from peers.private_jobs import private_value
from security.test_row_oracle import (
    CATEGORIES,
    FORMS,
    QUICK,
    Seen,
    bounds_of,
    check_equal,
    neighbours,
)

from secureflow.agent.kinds.training.verification import check_private_update
from secureflow.domain.specs.base import spec_digest
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.enclave.models import GlobalModel
from secureflow.enclave.training import TRAINING_ENCLAVE
from secureflow.enclave.trainingfolds import training_fold
from secureflow.engines.sealing import OpenedUpdate
from secureflow.engines.secagg.encoding import encode
from secureflow.engines.training.encodings import masked_parts, masked_plan
from secureflow.engines.training.models import initial_state, update_layout
from secureflow.engines.training.noising import noise_of
from secureflow.engines.training.private import reads_rows
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.growing import next_model
from secureflow.kit.errors import SecureFlowError

Job = tuple[TrainingSpec, int, int]
"""A spec, how many rounds noise has grown, and how wide that noise is."""


@st.composite
def tree_specs(draw: st.DrawFn) -> Job:
    """Return a private job of trees, and how far it is."""
    protection = draw(st.sampled_from(["sealed", "secagg", "sealed+secagg"]))
    numbers = draw(st.lists(st.sampled_from(["age", "cost", "tiny"]), max_size=3, unique=True))
    extra = tuple(f"c{n}" for n in range(draw(st.sampled_from([0, 3, 500]))))
    regression = draw(st.booleans())
    label: dict[str, Any] = {"column": "income", "positive": "high"}
    if regression:
        label = {"column": "flag", "bounds": [0, draw(st.sampled_from([1, 999]))]}
    jobs = {"column": "job", "categories": [*CATEGORIES["job"], *extra]}
    features = {
        "label": label,
        "numeric": [
            {"column": name, "bounds": draw(bounds_of(name)), "scale": "bounds"}
            | ({"missing": "kept"} if draw(st.booleans()) else {})
            for name in numbers
        ],
        "categorical": [{**jobs, "missing": draw(st.sampled_from(["indicator", "zeros"]))}],
    }
    measured = draw(st.booleans())
    privacy = {
        "noise": "enclave" if protection == "sealed" else "shared",
        "noise_multiplier": draw(st.sampled_from([2.0, 0.5, 8.0])),
        "clipping_norm": draw(st.sampled_from([1.0, 0.3, 60.0])),
        "rows": draw(st.sampled_from([4, 8, 100_000])),
        "bits": draw(st.sampled_from([10, 13])),
        "metrics_noise": 2.0 if measured else None,
    }
    model = {"family": "xgboost", "max_depth": draw(st.sampled_from([1, 3])), "bins": 4,
             "reg_lambda": draw(st.sampled_from([0.0, 1.0]))}  # fmt: skip
    rate = draw(st.sampled_from([0.1, 100.0]))
    plan = {"rounds": 2, "learning_rate": rate, "validation": 0.3 if measured else 0.0}
    facts = {"features": features, "plan": plan, "model": model, "protection": protection,
             "limits": {"max_weight": 2}}  # fmt: skip
    spec = SPEC_KINDS.parse(private_value(privacy, **facts))
    assert isinstance(spec, TrainingSpec)
    return spec, draw(st.integers(0, spec.planned_rounds - 1)), draw(st.sampled_from([1, 4]))


def state_of(job: Job) -> np.ndarray:
    spec, rounds, wide = job
    state = initial_state(spec)
    for number in range(rounds):
        noise = wide * noise_of(spec, "train", bytes([number]) * 32)
        most = getattr(layout_of(spec).noised, "support", 0)
        state = next_model(layout_of(spec), state, np.clip(noise, -most, most))
    return state


def grow(job: Job, state: np.ndarray, folder: Path) -> Callable[[Seen], None]:
    """Return what a job of trees does at a party, to the enclave's fold or under the masks."""
    spec, rounds, _ = job

    def do(seen: Seen) -> None:
        seen.begin(spec)
        start, update = folder / "model", folder / "update"
        state.astype("<f4").tofile(start)
        facts = {"model": str(start), "moments": None, "seed": "07" * 32}
        sums = np.array(seen.ask("train", **facts, update=str(update))["sums"], np.float64)
        sent = np.fromfile(update, "<i8")
        seen.tell(("train", len(sums), len(sent), float(sums[0])))
        told = sent.tobytes() + sums.astype("<f8").tobytes()
        check_private_update(spec, "train", rounds + 1, memoryview(told))
        leave(spec, state, sent, sums)
        if reads_rows(spec, "evaluate"):
            measured = np.array(seen.ask("evaluate", **facts)["sums"], np.float64)
            seen.tell(("evaluate", len(measured), float(measured[0])))
            check_private_update(spec, "evaluate", 9, memoryview(measured.tobytes()))

    return do


def leave(spec: TrainingSpec, state: np.ndarray, sent: np.ndarray, sums: np.ndarray) -> None:
    """What the update meets on its way out."""
    if traits_of(spec).masks:
        plan = masked_plan(spec, "job_1", spec_digest(spec), "train")
        given = masked_parts(spec, "train", plan, sent, sums)
        ring = np.zeros(plan.encoding.slots, plan.ring)
        encode(plan.encoding, given.values, given.weight, given.metrics, given.noise, ring)
        return
    fold = training_fold(spec, "train", None)
    TRAINING_ENCLAVE.starts(fold, GlobalModel.of(state.copy()))
    found = {"parameters": sent, "sums": sums}
    assert len(fold.fold(OpenedUpdate(None, "", found))) == 32  # type: ignore[arg-type]
    assert update_layout(spec).parameters == len(sent)


def test_trees_tell_no_row_by_failing(tmp_path: Path) -> None:
    seen: dict[str, int] = {}

    @settings(QUICK, max_examples=60, derandomize=True)
    @given(tree_specs(), neighbours(), FORMS)
    def once(job: Job, pair: Any, form: Any) -> None:
        try:
            SPEC_KINDS.check(job[0])
        except SecureFlowError:
            seen["contradictory"] = seen.get("contradictory", 0) + 1
            return
        story = check_equal(tmp_path, job[0], grow(job, state_of(job), tmp_path), pair, form)
        how = "refused" if isinstance(story[-1][-1], dict) else "made"
        seen[how] = seen.get(how, 0) + 1

    once()
    assert seen["made"] > 20, seen
