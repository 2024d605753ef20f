"""Names of a spec's parts in words: in Chinese as the canvas calls them, in English as written."""

from __future__ import annotations

from secureflow.cli.texts import language
from secureflow.kit.plain import shown
from secureflow.texts.components import choice_words, words_of


def step_in_words(step: str, how: str = "") -> str:
    """Return a preparation's step, and by what it is fitted where that is told."""
    name, told = step, how
    if language() == "zh":
        try:
            name = str(words_of("component", f"preparation.{step}")["label"]["zh"])
        except KeyError:
            name = step
        told = _how(step, how)
    return f"{shown(name)} ({shown(told)})" if told else shown(name)


def output_in_words(output: str) -> str:
    """Return what a step of a pipeline gives to another."""
    if language() == "zh":
        try:
            return str(words_of("port_name", output)["label"]["zh"])
        except KeyError:
            return shown(output)
    return shown(output)


def _how(step: str, how: str) -> str:
    """Return a step's choice in Chinese; its class is named as the step is."""
    of = "".join(part.capitalize() for part in step.split("_"))
    for field in ("by", "of"):
        try:
            return choice_words(of, field, how)["zh"]
        except KeyError:
            continue
    return how
