"""A model card for people: purpose, contributors, metrics and protection of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from secureflow.cli.console import Form, moment, show, write
from secureflow.cli.texts import listed, said, t
from secureflow.kit.reading import listed as items
from secureflow.kit.reading import members, number, objects

_SHOWN = 12
"""Maximum number of features of a kind that are listed."""


def show_card(card: Mapping[str, Any]) -> None:
    """Print a card as a page; its JSON and YAML forms have everything."""
    write(f"{card.get('name', '')}  v{card.get('version', '?')}  {card.get('id', '')}\n")
    show({name: text for name, text in _facts(card).items() if text}, Form.TABLE)
    show_metrics(card)
    write("")
    digests = {name: card[name] for name in ("spec_digest", "digest") if card.get(name)}
    show({**digests, **code_lines(members(card.get("model")).get("bundle"))}, Form.TABLE)


def code_lines(code: Any) -> dict[str, str]:
    """Return the lines that name the code of a job in full, if others brought any."""
    if not isinstance(code, Mapping):
        return {}
    named = {"bundle": "digest", "entry": "entry", "environment": "environment"}
    return {line: str(code.get(name, "")) for line, name in named.items()}


def show_metrics(report: Mapping[str, Any]) -> None:
    """Print the metrics of a report or a card; noised ones with their ± and marked so."""
    from secureflow.domain.figures import metric_figures

    metrics = metric_figures(report)
    if not metrics:
        return
    write("")
    show(
        [
            {
                "metric": t(one.name),
                "value": one.text,
                "remark": t("noised") if one.noised else "",
            }
            for one in metrics
        ],
        Form.TABLE,
        ("metric", "value", "remark")
        if any(one.noised for one in metrics)
        else ("metric", "value"),
    )
    if any(one.noised for one in metrics):
        write(t("± covers the value without noise 95 times in 100; the row count has noise too."))


def _facts(card: Mapping[str, Any]) -> dict[str, str]:
    features = members(card.get("features"))
    return {
        "purpose": str(card.get("purpose") or ""),
        "task": _task(card, members(features.get("label"))),
        "numbers": _listed(_columns(features, "numeric")),
        "category": _listed(
            [
                f"{one.get('column')} ({len(items(one.get('categories')))})"
                for one in objects(features.get("categorical"))
            ]
        ),
        **{kind: _listed(_columns(features, kind)) for kind in ("images", "arrays", "texts")},
        "owners": listed(items(card.get("contributors"))),
        "privacy": privacy_line(card.get("privacy")),
        "protection": said(str(card.get("protection") or "")),
        "tee": str(card.get("tee") or "") or t("none"),
        "training": _training(card),
        "created": moment(card.get("created")),
        "job": str(card.get("job") or ""),
        "project": str(card.get("project") or ""),
        "parents": listed(items(card.get("parents"))),
    }


def _task(card: Mapping[str, Any], label: Mapping[str, Any]) -> str:
    family = family_of(str(card.get("family") or ""))
    if not label:
        return family
    if isinstance(label.get("classes"), list):
        return t(
            "{family}: which of {count} classes {column} is",
            family=family, count=len(label["classes"]), column=label.get("column"),
        )  # fmt: skip
    if "bounds" in label:
        return t("{family}: the number {column}", family=family, column=label.get("column"))
    return t(
        "{family}: how likely is {column} = {positive}",
        family=family, column=label.get("column"), positive=label.get("positive"),
    )  # fmt: skip


def family_of(name: str) -> str:
    """Return what a model family is called."""
    told = t(name)
    return told if told != name else name.replace("_", " ")


def _listed(names: Sequence[str]) -> str:
    if len(names) <= _SHOWN:
        return listed(names)
    return listed(names[:_SHOWN]) + t(" and {count} more", count=len(names) - _SHOWN)


def _columns(features: Mapping[str, Any], kind: str) -> list[str]:
    return [str(one.get("column")) for one in objects(features.get(kind))]


def privacy_line(privacy: Any) -> str:
    """Return what a job cost under differential privacy, or that it has none."""
    privacy = members(privacy)
    if not privacy:
        return t("no differential privacy")
    return t(
        "ε = {epsilon:g}, δ = {delta:g} for each {unit}; mechanism {mechanism}, noise {noise}",
        epsilon=number(privacy.get("epsilon")) or 0.0,
        delta=number(privacy.get("delta")) or 0.0,
        unit=said(str(privacy.get("unit") or "?")),
        mechanism=str(privacy.get("mechanism") or "?"),
        noise=said(str(privacy.get("noise") or "?")),
    )


def _training(card: Mapping[str, Any]) -> str:
    plan = members(card.get("plan"))
    run, planned = card.get("rounds"), plan.get("rounds")
    if not planned:
        return ""
    told = t(
        "{run} of {planned} {planned:round|rounds}",
        run="?" if run is None else run,
        planned=planned,
    )
    if (kept := card.get("kept_round")) is not None:
        told += t("; kept is the model of round {kept}", kept=kept)
    if (metric := plan.get("metric")) is not None:
        told += t(" (rounds compared by {metric})", metric=t(str(metric)))
    return told + _held_out(plan)


def _held_out(plan: Mapping[str, Any]) -> str:
    """Say which rows were held out, if the owners' keys decided."""
    split = plan.get("split")
    if not isinstance(split, Mapping):
        return ""
    if split.get("folds") is None:
        share = number(plan.get("validation")) or 0.0
        return t("; held out: {share} of the keys", share=f"{share:.0%}")
    return t(
        "; held out: fold {fold} of {folds} of the keys, counted from 0",
        fold=split.get("fold"),
        folds=split["folds"],
    )
