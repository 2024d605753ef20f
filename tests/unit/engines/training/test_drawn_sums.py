"""What the published sums of rounds that ask other parties each time tell of single ones.

`domain.specs.roundparties` and the explanation say it, owners' policies decide by it; this shows
that it is so: from sums alone, under masks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from unit.engines.training.family_world import _added, seed, shares, spec

from secureflow.adapters.frameworks import runner_of
from secureflow.domain.specs.base import spec_digest
from secureflow.domain.specs.roundparties import drawn_parties
from secureflow.engines.training.disclosure import attacks, disclosure
from secureflow.engines.training.encodings import SummedUpdates, apply_mean, published_dtype
from secureflow.engines.training.models import initial_state

ROUNDS = 12
STANDS = {"name": "fedavgm", "server_learning_rate": 1e-30}
"""A spec's writer may choose it: the model hardly moves, and no two rounds have the same one."""
JOB = spec(
    "logistic_regression", "binary", 4, protection="secagg",
    plan={"rounds": ROUNDS, "parties_per_round": 3, "batch_size": 4096, "strategy": STANDS},
)  # fmt: skip


def test_single_updates_and_rows_follow_from_the_sums_of_other_sets(tmp_path: Path) -> None:
    runners = {p: runner_of(JOB, r) for p, r in zip(JOB.parties, shares(4, 800), strict=True)}
    state, mean = initial_state(JOB).copy(), np.empty(JOB.update_parameters, published_dtype(JOB))
    sets, told, sent = [], [], {}
    for number in range(1, ROUNDS + 1):
        asked, updates = drawn_parties(JOB, spec_digest(JOB), number), []
        state.tofile(tmp_path / "model")
        for party in asked:
            sums = runners[party].train(tmp_path / "model", tmp_path / "u", None, seed(number, 0))
            updates.append((np.fromfile(tmp_path / "u", published_dtype(JOB)), sums))
            sent.setdefault(party, updates[-1])
        plan, total, weight = _added(JOB, "train", updates)
        apply_mean(JOB, plan, SummedUpdates(total, weight, len(updates)), state, mean)
        sets.append([float(party in asked) for party in JOB.parties])
        told.append(np.append(mean.astype(np.float64) * weight, weight))
    solved = np.linalg.lstsq(np.array(sets), np.array(told))[0]
    for party, found in zip(JOB.parties, solved, strict=True):
        change, sums = sent[party]
        assert round(found[-1]) == sums[0]
        np.testing.assert_allclose(found[:-1] / found[-1], change, rtol=1e-3, atol=1e-5)


def test_the_explanation_says_so() -> None:
    (single,) = (one for one in attacks(JOB, "") if one["attack"].endswith("a single update"))
    assert single["stopped"] == "partly"
    assert "subtracted" in str(single["why"])
    sees = [str(one["sees"]) for one in disclosure(JOB, "")]
    assert any("how many rows each party has" in one for one in sees)
