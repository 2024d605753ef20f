"""What a simulation gives: the model, its metrics, and each round's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.domain.scoredocument import figures_of, shown_line
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.training.export import ModelFile, model_card
from secureflow.engines.training.spending import spending
from secureflow.kit.canonical import JSON
from secureflow.sdk import display
from secureflow.sdk.reports import metrics_table, privacy_line, rounds_table
from secureflow.sdk.tables import Table
from secureflow.simulation.training.federation import Trained

if TYPE_CHECKING:
    from secureflow.sdk.prediction import Predictor

_FACTS: Final = ("parties", "rows", "partition", "attack", "protection", "kept_round", "digest")


@dataclass(frozen=True, eq=False)
class Outcome:
    """A simulated job that ended.

    Args:
        label: names it among others, e.g. the job file's name.
        spec: the spec that simulated parties would sign.
        rows: rows of each party.
        partition: how the table was divided.
        attack: what some parties did, or empty.
        trained: what the rounds gave.
        accounting: the accountant's answer, None without differential privacy.
        notes: what whoever reads the figures should know.
    """

    label: str
    spec: TrainingSpec
    rows: tuple[int, ...]
    partition: str
    attack: str
    trained: Trained
    accounting: Mapping[str, JSON] | None = None
    notes: tuple[str, ...] = ()
    base_model: Path | None = None

    @property
    def digest(self) -> str:
        """Hex BLAKE3 of the model: that of the platform's, for the same job and shares."""
        return self.trained.digest

    @property
    def metrics(self) -> Mapping[str, float]:
        """Of the model on the parties' validation rows."""
        return self.trained.metrics

    @property
    def last_metrics(self) -> Mapping[str, float]:
        """Of the last model: others than `metrics` if an earlier one was kept."""
        return self.trained.last_metrics

    @property
    def kept_round(self) -> int | None:
        """The round whose model was kept under `plan.keep: best`; None without."""
        return self.trained.round if self.spec.plan.keep == "best" else None

    @property
    def own_models(self) -> Mapping[str, Any] | None:
        """What is told of the models that the parties end with for themselves; None without.

        `metrics` of them on each party's own held-out rows, and of the `parties` how many `gained`
        and `lost`.
        """
        return self.trained.own_models

    @property
    def history(self) -> tuple[Mapping[str, Any], ...]:
        """One entry a round: `round`, metrics, `seconds`, and with noise `epsilon`.

        The metrics are of the model that the round starts from.
        """
        return self.trained.history

    @property
    def contribution(self) -> Mapping[str, JSON] | None:
        """What each party's updates were worth, as an enclave would tell it; None if not asked."""
        return self.trained.contribution or None

    @property
    def worth(self) -> list[dict[str, JSON]]:
        """The scores as reports show them, the greatest first; none if not asked."""
        found: list[tuple[int, dict[str, JSON]]] = []
        for party, line in (self.contribution or {}).get("scores", {}).items():
            figures = figures_of(line)
            if figures is not None:
                score, interval, share = shown_line(figures)
                row = {"party": party, "score": score, "interval": interval, "share": share}
                found.append((-figures[0], row))
        return [row for _, row in sorted(found, key=lambda one: one[0])]

    @property
    def rounds(self) -> Table:
        """The same as a table, for pandas and Arrow."""
        return rounds_table(list(self.history))

    def _repr_html_(self) -> str:
        """Return the outcome for a notebook."""
        told = self.as_json()
        facts = {name: told[name] for name in _FACTS}
        facts |= {"protection": display.word(str(told["protection"]))}
        if self.privacy is not None:
            facts["privacy"] = privacy_line(self.privacy)
        facts["notes"] = "\n".join(map(display.word, self.notes))
        tables = (metrics_table({"metrics": dict(self.metrics)}), self.rounds)
        html = (one._repr_html_() for one in tables if len(one))
        return "".join([display.facts(self.label, facts), *html])

    @property
    def privacy(self) -> Mapping[str, JSON] | None:
        """What the job costs under differential privacy; None without."""
        return spending(self.spec, self.accounting, len(self.history))

    @property
    def file(self) -> ModelFile:
        """The model as the platform would export it."""
        card = model_card(
            self.spec, self.trained.state,
            moments=self.trained.moments, metrics=self.metrics, created=0,
        )  # fmt: skip
        return ModelFile(card, self.trained.state)

    @property
    def model(self) -> Predictor:
        """The model, ready to predict.

        Raises:
            SecureFlowError: `invalid_model` for a family that cannot predict.
        """
        from secureflow.sdk.prediction import Predictor

        return Predictor(self.file, base=self.base_model)

    def as_json(self) -> dict[str, JSON]:
        """Return everything but the model's numbers."""
        return {
            "name": self.label,
            "parties": len(self.spec.roster),
            "rows": list(self.rows),
            "partition": self.partition,
            "attack": self.attack or None,
            "protection": self.spec.protection,
            "digest": self.digest,
            "metrics": dict(self.metrics),
            "last_metrics": dict(self.last_metrics),
            "kept_round": self.kept_round,
            "own_models": None if self.own_models is None else dict(self.own_models),
            "privacy": self.privacy,
            "notes": list(self.notes),
            "history": [dict(row) for row in self.history],
            **({} if self.contribution is None else {"contribution": dict(self.contribution)}),
        }
