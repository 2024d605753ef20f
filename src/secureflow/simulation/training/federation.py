"""The rounds of a simulated job: moments, training, evaluation."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from secureflow.domain.specs.base import spec_digest
from secureflow.domain.specs.roundparties import drawn_parties
from secureflow.domain.specs.training import TrainingSpec
from secureflow.enclave.models import GlobalModel
from secureflow.engines.training.federated import own_figures, summarise
from secureflow.engines.training.models import Stage, initial_state, repeats, with_kept
from secureflow.engines.training.schedule import Kept, Stopping, turns
from secureflow.engines.training.spending import epsilon_after
from secureflow.simulation.training.adding import Adding, Seed, Vector, adding, global_model
from secureflow.simulation.training.failing import at
from secureflow.simulation.training.parties import Party, update_buffer
from secureflow.simulation.training.scoring import Scoring

_NOTHING: Final = np.zeros(0, np.float32)

OnRound = Callable[[Mapping[str, Any]], None]
"""Is called after each round with `round`, the metrics, `seconds`, and with noise `epsilon`."""


@dataclass(frozen=True)
class Trained:
    """What the rounds gave.

    Args:
        state: the last state, float32 of shape (spec.parameters,).
        digest: hex BLAKE3 of its bytes.
        moments: the released federated sums, if the spec needs them.
        history: one entry a round.
        metrics: of the model, by the final evaluation or the round that judged it.
        last_metrics: of the last model, by the final evaluation.
        round: the round that the model is of.
        repeated: the first round that began with the model of the one before; 0 for none.
        own_models: what is told of the parties' own models; None where they end with none.
        contribution: what an enclave would tell of contributions; empty if none are scored.
    """

    state: Vector
    digest: str
    moments: list[float] | None
    history: tuple[Mapping[str, Any], ...]
    metrics: Mapping[str, float]
    last_metrics: Mapping[str, float]
    round: int
    repeated: int = 0
    own_models: Mapping[str, Any] | None = None
    contribution: Mapping[str, Any] = field(default_factory=dict)


def federate(
    spec: TrainingSpec,
    parties: Sequence[Party],
    *,
    accounting: Mapping[str, Any] | None = None,
    on_round: OnRound | None = None,
    start: Vector | None = None,
) -> Trained:
    """Run a job's rounds in this process.

    Memory: the parties' rows, one update, and what one sum takes; not one update for each party.

    Args:
        spec: the checked spec.
        parties: those of its roster, in its order.
        accounting: the accountant's answer; with it each round tells its ε.
        on_round: is told of each round.
        start: the first state, if the spec names one of its own.
    """
    with tempfile.TemporaryDirectory(prefix="secureflow-simulation-") as folder:
        rounds = _Rounds(spec, parties, Path(folder), start)
        return rounds.run(accounting, on_round)


class _Rounds:
    """The state between rounds, and two files: the model, and the update of one party."""

    def __init__(
        self, spec: TrainingSpec, parties: Sequence[Party], folder: Path, start: Vector | None
    ) -> None:
        self._spec, self._parties = spec, parties
        self._digest = spec_digest(spec)
        state = initial_state(spec)
        if start is not None:
            state = with_kept(spec, np.array(start, np.float32))
        self._model = global_model(state)
        self._file, self._update = folder / "model", folder / "update"
        self._buffer = update_buffer(spec)
        self._moments: list[float] | None = None
        self._again = not repeats(spec)
        self._began, self._sums, self._repeated = "", list[float](), 0
        plan = spec.plan.contribution
        self._scoring = None if plan is None else Scoring(spec, plan)

    def run(self, accounting: Mapping[str, Any] | None, on_round: OnRound | None) -> Trained:
        """Run everything."""
        if self._spec.needs_moments:
            self._moments = self._sum_moments()
        if self._scoring is not None:
            self._scoring.collect(self._parties, self._moments, self._update)
        train, history = self._adding("train"), []
        plan = self._spec.plan
        stopping, kept = Stopping(plan), Kept[GlobalModel](plan.metric or "loss")
        last, began, metrics = 0, 0.0, dict[str, float]()
        for turn in turns(self._spec):
            began = time.perf_counter() if turn.begins else began
            before = self._copied() if self._spec.plan.keep and turn.begins else None
            sums = self._round(train, turn.number)
            if turn.begins:
                metrics = summarise(self._spec, sums)
                kept.offer(turn.round - 1, before, metrics, sums)
            if turn.ends:
                last = turn.round
                row: dict[str, Any] = {"round": last, **metrics}
                row["seconds"] = round(time.perf_counter() - began, 4)
                if accounting is not None:
                    row["epsilon"] = epsilon_after(self._spec, accounting, last)
                history.append(row)
                if on_round is not None:
                    on_round(row)
            if turn.begins and stopping.after(metrics):
                break
        sums = self._evaluate()
        model, metrics = self._model, summarise(self._spec, sums)
        ended = metrics
        kept.offer(last, model, metrics, sums)
        if self._spec.plan.keep == "best" and kept.model is not None:
            model, metrics, last = kept.model, kept.metrics, kept.round
        return Trained(
            model.parameters, model.digest, self._moments, tuple(history), metrics, ended, last,
            self._repeated, own_figures(self._spec, sums, len(self._parties)),
            {} if self._scoring is None else self._scoring.scores(),
        )  # fmt: skip

    def _adding(self, stage: Stage) -> Adding:
        if self._scoring is not None:
            return self._scoring.adding(stage, self._model)
        return adding(self._spec, stage, self._model)

    def _copied(self) -> GlobalModel:
        return GlobalModel(self._model.parameters.copy(), self._model.digest)

    def _sum_moments(self) -> list[float]:
        total = self._adding("moments")
        for party in self._parties:
            with at(party.name):
                total.add(party.name, _NOTHING, party.runner.moments())
        return total.release(self._model, self._noise)

    def _round(self, total: Adding, number: int) -> list[float]:
        alike = self._spec.plan.parties_per_round is None
        if alike and self._again and self._model.digest == self._began:
            # As at owners: the update that is recorded for a model is sent again, not made again.
            self._repeated = self._repeated or number
            return self._sums
        self._began = self._model.digest
        self._sums = self._trained(total, number)
        return self._sums

    def _trained(self, total: Adding, number: int) -> list[float]:
        self._write()
        asked = set(drawn_parties(self._spec, self._digest, number))
        for party in (one for one in self._parties if one.name in asked):
            with at(party.name, number):
                update = party.train(
                    self._file, self._model.digest, self._update, self._moments, self._buffer
                )
                total.add(party.name, *update)
        return total.release(self._model, self._noise)

    def _evaluate(self) -> list[float]:
        self._write()
        total = adding(self._spec, "evaluate", self._model)
        for party in self._parties:
            with at(party.name):
                sums = party.evaluate(self._file, self._model.digest, self._moments)
                total.add(party.name, _NOTHING, sums)
        return total.release(self._model, self._noise)

    def _write(self) -> None:
        self._file.write_bytes(self._model.parameters.astype("<f4", copy=False).data)

    @property
    def _noise(self) -> Seed:
        digest = self._model.digest

        def seed(seeds: dict[str, bytes]) -> bytes:
            mixed = hashlib.blake2b(digest.encode(), digest_size=32)
            for name in sorted(seeds):
                mixed.update(seeds[name])
            return mixed.digest()

        return seed
