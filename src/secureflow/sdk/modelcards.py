"""A model's card: its JSON, and what people read of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.recipe import Recipe
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members, objects
from secureflow.kit.text import Text
from secureflow.sdk import display
from secureflow.sdk.reports import metrics_table, privacy_line
from secureflow.sdk.tables import Table

_KINDS: Final = ("numeric", "categorical", "images", "arrays", "texts")


class Card(dict[str, Any]):
    """A model card as the server, or a model's file, has it; JSON."""

    @property
    def metrics(self) -> Table:
        """A row for each metric: `metric`, `value`, and the noise's standard error."""
        return metrics_table(self)

    @property
    def label(self) -> dict[str, Any]:
        """What is learnt; empty without a label."""
        return dict(members(members(self.get("features")).get("label")))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The columns that the model's inputs are made of; with a recipe those that it makes."""
        features = members(self.get("features"))
        listed = [one for kind in _KINDS for one in objects(features.get(kind))]
        return tuple(str(one["column"]) for one in listed if "column" in one)

    @property
    def recipe(self) -> str:
        """The digest of the recipe that prepares rows, and its job; empty without one."""
        from secureflow.engines.preparation.recipe import recipe_digest  # it needs NumPy

        written = members(self.get("features")).get("recipe")
        if not written:
            return ""
        try:
            recipe = parse(Recipe, written, "recipe")
        except SecureFlowError:
            return "?"
        return f"{recipe_digest(recipe)} ({recipe.job})"

    def told(self) -> dict[str, Any]:
        """Return what people read of it, by our own names; without features and metrics."""
        contributors = self.get("contributors")
        return {
            "id": self.get("id"),
            "version": self.get("version"),
            "purpose": self.get("purpose"),
            "family": display.word(str(self.get("family") or "")),
            "model": _settings(members(self.get("model")), "family"),
            "target": _target(self.label),
            "recipe": self.recipe,
            "training": _rounds(self),
            "plan": _settings(members(self.get("plan")), "rounds"),
            "protection": display.word(str(self.get("protection") or "")),
            "tee": self.get("tee") or None,
            "privacy": privacy_line(self.get("privacy")),
            "contributors": display.plain("", contributors),
            "parents": display.plain("", self.get("parents")),
            "job": self.get("job"),
            "project": self.get("project"),
            "created": self.get("created"),
            "digest": self.get("digest"),
            "spec_digest": self.get("spec_digest"),
        }

    def _repr_html_(self) -> str:
        """Return the card for a notebook."""
        told = {**self.told(), "features": display.listed(self.feature_names)}
        metrics = self.metrics
        html = display.facts(str(self.get("name") or ""), told)
        return html + (metrics._repr_html_() if len(metrics) else "")


def _target(label: Mapping[str, Any]) -> str:
    column = label.get("column")
    if not label:
        return ""
    if isinstance(classes := label.get("classes"), list):
        return display.word(
            Text("which of {count} classes {column} is", count=len(classes), column=column)
        )
    if "bounds" in label:
        return display.word(Text("the number {column}", column=column))
    return f"{column} = {label.get('positive')}"


def _rounds(card: Mapping[str, Any]) -> str:
    run, planned = card.get("rounds"), members(card.get("plan")).get("rounds")
    if not planned:
        return ""
    told = Text(
        "{run} of {planned} {planned:round|rounds}",
        run="?" if run is None else run,
        planned=planned,
    )
    kept = card.get("kept_round")
    more = (
        "" if kept is None else display.word(Text("; kept is the model of round {kept}", kept=kept))
    )
    return display.word(told) + more


def _settings(given: Mapping[str, Any], *but: str) -> str:
    return display.listed(
        f"{name}={display.plain('', one)}"
        for name, one in given.items()
        if name not in but and one is not None
    )
