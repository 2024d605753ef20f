"""Simulated jobs: what they give, under every protection, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from secureflow import simulate
from secureflow.adapters.accounting import ProcessAccountant
from secureflow.adapters.accounting.process import answer
from secureflow.kit.errors import SecureFlowError
from secureflow.simulation import Outcome, Simulation
from secureflow.simulation.attack import Attack
from secureflow.simulation.training.page import names, plotted, render
from secureflow.simulation.training.parties import Party

ROWS = 900
FEATURES: dict[str, Any] = {
    "label": {"column": "y", "positive": "yes"},
    "numeric": [{"column": "x", "bounds": [-4, 4]}, {"column": "z", "bounds": [-4, 4]}],
    "categorical": [{"column": "ward", "categories": ["a", "b", "c"]}],
}
PLAN = {"rounds": 6, "batch_size": 32, "learning_rate": 0.3, "validation": 0.2}
JOB: dict[str, Any] = {"kind": "training", "features": FEATURES, "plan": PLAN,
                       "protection": "sealed"}  # fmt: skip
PRIVATE = {
    "features": {
        **FEATURES,
        "numeric": [{**one, "scale": "bounds"} for one in FEATURES["numeric"]],
    },
    "plan": {"rounds": 4, "learning_rate": 1.0, "validation": 0.0},
    "privacy": {"delta": 1e-5, "noise_multiplier": 1.0, "rows": ROWS, "sampling": 0.5},
}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    draws = np.random.default_rng(3)
    x, z = draws.normal(size=(2, ROWS))
    chance = 1 / (1 + np.exp(-2 * x + z))
    return pa.table(
        {
            "x": x,
            "z": z,
            "ward": draws.choice(["a", "b", "c"], ROWS),
            "y": np.where(draws.random(ROWS) < chance, "yes", "no"),
        }
    )


@pytest.mark.parametrize("protection", ["sealed", "secagg", "sealed+secagg"])
def test_a_job_learns_under_every_protection(table: pa.Table, protection: str) -> None:
    told: list[Any] = []
    outcome = simulate(JOB, table, parties=4, protection=protection, on_round=told.append)
    assert outcome.spec.protection == protection
    assert [row["round"] for row in told] == [1, 2, 3, 4, 5, 6]
    assert tuple(told) == outcome.history
    assert outcome.metrics["auc"] > 0.85
    assert outcome.metrics["loss"] < told[0]["loss"]
    assert sum(outcome.rows) == ROWS
    assert outcome.privacy is None


def test_an_outcome_is_a_table_too(table: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "en")
    outcome = simulate(JOB, table, parties=4)
    found = outcome.rounds.to_arrow()
    assert found["round"].to_pylist() == list(range(1, len(outcome.history) + 1))
    assert found["loss"].to_pylist() == [row["loss"] for row in outcome.history]
    html = outcome._repr_html_()
    assert outcome.digest in html
    assert f"{outcome.metrics['loss']:.4f}" in html


def test_masks_and_seals_differ_by_rounding_and_what_follows_from_it(table: pa.Table) -> None:
    """Models that differ in a bit send their parties through the rows in other orders."""
    sealed, masked = (
        simulate(JOB, table, parties=4, protection=p).file.parameters for p in ("sealed", "secagg")
    )
    assert np.abs(sealed - masked).max() < 0.05


def test_the_same_again_is_the_same_model(table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "t.parquet")
    pa_csv.write_csv(table, tmp_path / "t.csv")
    outcomes = [
        simulate(JOB, table, parties=3),
        simulate(JOB, table.to_pandas(), parties=3),
        simulate(JOB, tmp_path / "t.parquet", parties=3),
        simulate(JOB, tmp_path / "t.csv", parties=3),
    ]
    assert len({outcome.digest for outcome in outcomes}) == 1
    assert simulate(JOB, table, parties=3, seed=8).digest != outcomes[0].digest
    other = {**JOB, "plan": {**PLAN, "seed": 8}}
    assert simulate(other, table, parties=3).digest != outcomes[0].digest


def test_a_file_for_each_party(table: pa.Table) -> None:
    shares = [table.slice(0, 300), table.slice(300, 100), table.slice(400)]
    outcome = simulate(JOB, shares)
    assert outcome.rows == (300, 100, 500)
    assert outcome.partition == "files"
    swapped = simulate(JOB, [shares[1], shares[0], shares[2]])
    assert swapped.digest != outcome.digest  # the places in the roster decide the orders


def test_a_party_for_each_word(table: pa.Table) -> None:
    outcome = simulate(JOB, table, partition="by:ward")
    assert len(outcome.rows) == 3
    assert outcome.rows == tuple(sorted(outcome.rows, reverse=True))
    assert len(simulate(JOB, table, partition="by:x").rows) == 10


def test_many_values_are_no_party_each(table: pa.Table) -> None:
    many = table.append_column("id", pa.array([f"row {n}" for n in range(ROWS)]))
    with pytest.raises(SecureFlowError) as refused:
        simulate(JOB, many, partition="by:id")
    assert refused.value.code == "partition_impossible"
    assert "900 values" in refused.value.message


def test_an_attack_ruins_the_mean(table: pa.Table) -> None:
    honest = simulate(JOB, table, parties=5)
    attacked = simulate(JOB, table, parties=5, attack="sign-flip:2x10")
    assert attacked.metrics["auc"] < 0.5 < honest.metrics["auc"]
    assert attacked.attack == "sign-flip:2x10"


def test_an_attacker_stays_within_the_norm_cap(table: pa.Table) -> None:
    """Beyond it the enclave would refuse the update, and the attack would be none."""
    capped = {**JOB, "limits": {"clip_norm": 0.05}}
    simulate(capped, table, parties=5, attack="sign-flip:2x1000")


@pytest.mark.parametrize(
    ("text", "fits"),
    [("sign-flip:1x10", True), ("sign-flip:4x0.5", True), ("sign-flip:5x10", False),
     ("sign-flip:0x10", False), ("sign-flip:1x0", False), ("flip", False), ("", False),
     ("sign-flip:1x1.2.3", False), ("sign-flip:1xinf", False), ("sign-flip:1x9999999", False)],
)  # fmt: skip
def test_attacks_are_parsed_or_refused(text: str, fits: bool) -> None:
    if fits:
        assert str(Attack.parse(text, 5)) == text
        return
    with pytest.raises(SecureFlowError) as refused:
        Attack.parse(text, 5)
    assert refused.value.code == "invalid_attack"


@pytest.mark.parametrize(
    ("noise", "protection"), [("enclave", "sealed"), ("shared", "secagg"), ("local", "sealed")]
)
def test_noise_is_drawn_and_charged_as_on_the_platform(
    table: pa.Table, noise: str, protection: str
) -> None:
    job = {**PRIVATE, "protection": protection, "privacy": {**PRIVATE["privacy"], "noise": noise}}
    outcome = Simulation(parties=3).run(job, table)
    assert outcome.privacy is not None
    assert outcome.privacy["epsilon"] > 0
    spent = [row["epsilon"] for row in outcome.history]
    assert spent == sorted(spent)
    assert spent[0] > 0


def test_noise_is_the_same_from_the_same_secret_alone(table: pa.Table) -> None:
    job = {**PRIVATE, "protection": "sealed"}
    secrets = (bytes(32), bytes(32), None)
    first, again, other = (Simulation(parties=3, secret=one).run(job, table) for one in secrets)
    assert first.digest == again.digest != other.digest


@pytest.mark.usefixtures("processes")
def test_an_epsilon_is_calibrated(table: pa.Table) -> None:
    privacy = {k: v for k, v in PRIVATE["privacy"].items() if k != "noise_multiplier"}
    job = {
        **PRIVATE,
        "protection": "sealed",
        "privacy": {**privacy, "epsilon": 2.0, "sampling": 1.0},
    }
    outcome = simulate(job, table, parties=3)
    assert outcome.spec.privacy is not None
    assert outcome.spec.privacy.multiplier > 0.5
    assert outcome.privacy is not None
    assert outcome.privacy["epsilon_planned"]["rdp-cks20"] <= 2.0


@pytest.mark.usefixtures("processes")
def test_the_same_price_is_asked_once(table: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of its own answers, which takes a second."""
    asked: list[bytes] = []

    async def answered(self: ProcessAccountant, line: bytes) -> Any:
        asked.append(line)
        return answer(line)

    monkeypatch.setattr(ProcessAccountant, "_run", answered)
    for _ in range(2):
        simulate({**PRIVATE, "protection": "sealed"}, table, parties=3)
    assert len(asked) == len(set(asked)) > 0


FAMILIES: dict[str, dict[str, Any]] = {
    "softmax": {"model": {"family": "softmax"}, "label": {"column": "kind", "classes": ["n", "o"]}},
    "mlp": {"model": {"family": "mlp", "hidden": [6]}, "label": FEATURES["label"]},
    "linear": {"model": {"family": "linear"}, "label": {"column": "v", "bounds": [-9, 9]}},
    "ridge": {"model": {"family": "ridge"}, "label": {"column": "v", "bounds": [-9, 9]}},
}


@pytest.mark.parametrize("protection", ["sealed", "secagg"])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_learns(table: pa.Table, name: str, protection: str) -> None:
    known = np.array(table["y"].to_pylist()) == "yes"
    wide = table.append_column("v", pa.array(2 * table["x"].to_numpy() - table["z"].to_numpy()))
    wide = wide.append_column("kind", pa.array(np.where(known, "o", "n")))
    chosen = FAMILIES[name]
    plan = {**PLAN, "rounds": 1 if name == "ridge" else 6}
    features = PRIVATE["features"] if name == "ridge" else FEATURES
    job = {"features": {**features, "label": chosen["label"]}, "model": chosen["model"],
           "plan": plan, "protection": protection}  # fmt: skip
    outcome = simulate(job, wide, parties=4)
    found = outcome.metrics
    assert found["r2"] > 0.9 if "r2" in found else found["accuracy"] > 0.75
    assert len(outcome.model.predict(wide)) == ROWS


def test_the_best_model_is_kept(table: pa.Table) -> None:
    """Steps so large that the last model is not the best."""
    plan = {**PLAN, "rounds": 8, "learning_rate": 25.0}
    last, best = (
        simulate({**JOB, "plan": {**plan, **kept}}, table, parties=3) for kept in ({}, KEPT)
    )
    losses = [*(row["loss"] for row in best.history[1:]), last.metrics["loss"]]
    assert best.metrics["loss"] == min(losses) < last.metrics["loss"]
    assert best.trained.round == losses.index(min(losses)) + 1
    assert best.digest != last.digest
    assert (last.kept_round, best.kept_round) == (None, best.trained.round)
    assert (best.last_metrics, best.as_json()["kept_round"]) == (last.metrics, best.kept_round)
    page = render([best, last])
    assert page.count("Kept round") == 1
    assert "of the model that it starts from" in page
    assert "Kept round" not in render([last])
    assert f"{last.metrics['loss']:.4f} " in page  # where the curve ends


KEPT = {"keep": "best"}


def test_updates_in_sixteen_bits_are_widened(table: pa.Table) -> None:
    exact, rounded = (simulate({**JOB, **wire}, table, parties=3) for wire in ({}, WIRE))
    assert exact.digest != rounded.digest
    assert np.abs(exact.file.parameters - rounded.file.parameters).max() < 0.05


WIRE = {"wire": "bfloat16"}


def test_a_job_starts_from_a_file_of_weights(table: pa.Table, tmp_path: Path) -> None:
    first = simulate(JOB, table, parties=3)
    (tmp_path / "w.safetensors").write_bytes(first.file.to_bytes())
    again = simulate(JOB, table, parties=3, initial=tmp_path / "w.safetensors")
    assert again.history[0]["loss"] == pytest.approx(first.metrics["loss"], abs=1e-6)
    assert again.spec.initial is not None
    named = {**JOB, "initial": {"model": first.digest, "layout": again.spec.initial.layout}}
    same = simulate(named, table, parties=3, initial=tmp_path / "w.safetensors")
    assert (same.digest, same.spec.initial) == (again.digest, again.spec.initial)
    resumed = {**JOB, "resume": {"job": "job_earlier0", "round": 6, "model": first.digest}}
    assert simulate(resumed, table, parties=3, initial=tmp_path / "w.safetensors").digest == (
        again.digest
    )


@pytest.mark.parametrize("member", ["initial", "resume"])
def test_named_weights_are_the_start_or_the_job_is_refused(
    table: pa.Table, tmp_path: Path, member: str
) -> None:
    other = {
        "initial": {"model": "ab" * 32, "layout": "cd" * 32},
        "resume": {"job": "job_earlier0", "round": 6, "model": "ab" * 32},
    }
    job = {**JOB, member: other[member]}
    with pytest.raises(SecureFlowError) as refused:
        simulate(job, table, parties=3)
    assert refused.value.code == "missing_data"
    assert "--initial FILE" in str(refused.value.hint)
    (tmp_path / "w.safetensors").write_bytes(simulate(JOB, table, parties=3).file.to_bytes())
    with pytest.raises(SecureFlowError) as refused:
        simulate(job, table, parties=3, initial=tmp_path / "w.safetensors")
    assert refused.value.code == "invalid_request"
    assert f"`{member}` names the weights {'ab' * 32}" in refused.value.message
    with pytest.raises(SecureFlowError) as refused:
        simulate({**JOB, "initial": {"model": "short"}}, table, parties=3)
    assert "initial" in refused.value.message


def test_weights_of_another_size_are_refused(table: pa.Table, tmp_path: Path) -> None:
    first = simulate(JOB, table, parties=3)
    (tmp_path / "w.safetensors").write_bytes(first.file.to_bytes())
    job = {**JOB, "model": {"family": "mlp", "hidden": [4]}}
    resumed = {**job, "resume": {"job": "job_earlier0", "round": 6, "model": first.digest}}
    with pytest.raises(SecureFlowError) as refused:
        simulate(resumed, table, parties=3, initial=tmp_path / "w.safetensors")
    assert refused.value.code == "invalid_request"


def test_a_rehearsal_reads_no_rows() -> None:
    job = {"model": {"family": "rehearsal", "parameters": 1000},
           "plan": {"rounds": 2, "validation": 0.0}}  # fmt: skip
    outcome = simulate(job, parties=50)
    assert outcome.rows == ()
    assert len(outcome.history) == 2


def test_a_rehearsal_moves_its_model_by_its_step() -> None:
    model = {"family": "rehearsal", "parameters": 10, "step": 0.125}
    job = {"model": model, "plan": {"rounds": 3, "validation": 0.0}}
    assert simulate(job, parties=2).file.parameters.tolist() == [0.375] * 10


def test_a_step_is_for_rehearsals(table: pa.Table) -> None:
    model = {"family": "logistic_regression", "step": 0.1}
    with pytest.raises(SecureFlowError, match=r"model\.step"):
        simulate({**JOB, "model": model}, table, parties=3)


def test_an_early_stop_stops(table: pa.Table) -> None:
    plan = {**PLAN, "rounds": 50, "early_stop": {"patience": 2, "min_delta": 0.01}}
    assert len(simulate({**JOB, "plan": plan}, table, parties=3).history) < 50


def test_updates_are_not_kept(table: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file for the update of whichever party it is: memory does not grow with the parties."""
    files = set()
    train = Party.train

    def noted(self: Party, *given: Any) -> Any:
        files.add(given[2])
        return train(self, *given)

    monkeypatch.setattr(Party, "train", noted)
    simulate(JOB, table, parties=9)
    assert len(files) == 1


@pytest.mark.parametrize(
    ("job", "data", "parties", "code"),
    [
        ({**JOB, "kind": "statistics"}, True, 3, "invalid_request"),
        (JOB, True, 257, "invalid_request"),
        (JOB, False, 3, "missing_data"),
        ({**JOB, "model": {"family": "nothing"}}, True, 3, "invalid_spec"),
        ({**JOB, "plan": {"rounds": 0}}, True, 3, "invalid_spec"),
        ({**JOB, "release": {"intermediate": "agents"}, "protection": "secagg"}, True, 3,
         "contradictory_spec"),
        ({**JOB, "features": {**FEATURES, "label": {"column": "none", "positive": "1"}}}, True, 3,
         "unknown_column"),
        ({**JOB, "features": {**FEATURES, "categorical": [
            {"column": "ward", "categories": ["a"]}]}}, True, 3, "unknown_category"),
        ({**JOB, "features": {"label": []}}, True, 3, "invalid_spec"),
    ],
)  # fmt: skip
def test_what_the_platform_would_refuse_is_refused(
    table: pa.Table, job: Any, data: bool, parties: int, code: str
) -> None:
    with pytest.raises(SecureFlowError) as refused:
        simulate(job, table if data else None, parties=parties)
    assert refused.value.code == code


def test_an_error_in_a_row_names_the_row_that_was_given(table: pa.Table) -> None:
    features = {**FEATURES, "categorical": [{"column": "ward", "categories": ["a", "b"]}]}
    with pytest.raises(SecureFlowError) as refused:
        simulate({**JOB, "features": features}, table, parties=3)
    row = refused.value.message.split()[2]
    assert refused.value.message.startswith("Table: Row ")
    assert table["ward"][int(row) - 1].as_py() == "c"
    assert refused.value.message.endswith("the cell holds 'c'.")


def test_the_model_predicts_as_the_exported_file(table: pa.Table) -> None:
    outcome = simulate(JOB, table, parties=3)
    assert outcome.file.card["digest"] == outcome.digest
    chance = outcome.model.predict_proba(table)[:, 1]
    truth = np.array(table["y"].to_pylist()) == "yes"
    assert ((chance > 0.5) == truth).mean() > 0.75


def test_the_page_compares_what_it_is_given(table: pa.Table) -> None:
    outcomes = [simulate(JOB, table, parties=n) for n in (3, 4)]
    named = [Outcome(**{**vars(one), "label": "<job>"}) for one in outcomes]
    page = render(named, "zh")
    assert names(named) == ["<job>", "<job> (2)"]
    assert "<job>" not in page
    assert "&lt;job&gt; (2)" in page
    assert all(one.digest in page for one in outcomes)
    assert plotted(named) == ["loss", "accuracy", "auc"]
    assert page.count("<script") == 0


def test_a_column_that_is_the_label_too_is_named_as_the_job_has_it(table: pa.Table) -> None:
    """Not as a declaration of an agent's: there is none."""
    twice = {**FEATURES, "numeric": [*FEATURES["numeric"], {"column": "y", "bounds": [0, 1]}]}
    with pytest.raises(SecureFlowError, match="a column is listed twice") as caught:
        simulate({**JOB, "features": twice}, table)
    assert (caught.value.code, caught.value.details["field"]) == ("contradictory_spec", "features")


def test_a_misspelt_kind_is_told_the_line(table: pa.Table) -> None:
    with pytest.raises(SecureFlowError) as caught:
        simulate({**JOB, "kind": "train"}, table)
    assert "`kind: training`" in caught.value.hint
