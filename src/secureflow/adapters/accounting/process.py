"""The accounting process: one question on stdin, one or two answers on stdout, then it exits.

    python -I -m secureflow.adapters.accounting.process

Questions (JSON, one line): `quote` {noise | epsilon, sampling, count, delta, besides}, `fit`
{charges, delta, epsilon | null}, `curves` {mechanisms}, `spent` {charges, delta}. An answer is
`{"answer"}` or `{"error"}`, one per line. The first has Rényi figures only; a second one repeats it
with the exact `pld`. A privacy loss distribution may need any amount of memory and time (little
noise, many releases), so both are limited, and the process may end after its first line.
"""

from __future__ import annotations

import json
import logging
import math
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from secureflow.adapters.accounting.accountant import MAX_LINE
from secureflow.engines.privacy.accounting import (
    Charge,
    Mechanism,
    calibrate,
    calibrate_charge,
    curve,
    epsilon,
    parse_charge,
)
from secureflow.kit.canonical import JSON, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.memory import loading, skip_final_collection
from secureflow.kit.text import Text

MEMORY: Final = 1 << 30
"""Bytes of address space; the loaded libraries take 0.4 GB of it."""
SECONDS: Final = 20
"""Seconds of processor time, unaffected by other load on the machine."""


def answer(line: bytes) -> dict[str, JSON]:
    """Answer one question by Rényi divergence; a malformed one with an error."""
    try:
        question = parse_json(line, MAX_LINE)
        found = _VERBS[question["verb"]](question)
        json.dumps(found, allow_nan=False)
    except SecureFlowError as error:
        return {"error": error.as_json()}
    except (KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        reason = Text("The accounting cannot answer: {name}.", name=type(error).__name__)
        hint = "Raise the noise, or ask for fewer releases."
        return {"error": SecureFlowError("accounting_failed", reason, hint).as_json()}
    return {"answer": found}


def exact(line: bytes, first: Mapping[str, JSON]) -> dict[str, JSON] | None:
    """Return the answer with ε by privacy loss distribution; None if there is no such figure."""
    question, answer = parse_json(line, MAX_LINE), first["answer"]
    if question["verb"] == "curves":
        return None
    charge = _charge(question, answer)
    if any(mechanism.kind == "tree" for mechanism in charge):
        return None
    try:
        found = epsilon(charge, question["delta"], "pld")
    except (MemoryError, OverflowError, ValueError):
        return None
    if not math.isfinite(found):
        return None
    figures = answer if question["verb"] == "spent" else answer["epsilon"]
    figures["pld"] = found
    return {"answer": answer}


def _quote(question: Mapping[str, JSON]) -> JSON:
    sampling, count, delta = question["sampling"], question["count"], question["delta"]
    noise, besides = question["noise"], parse_charge(question["besides"])
    if noise is None:
        noise = calibrate(
            question["epsilon"], delta, sampling=sampling, count=count, besides=besides
        )
    releases = Mechanism("gaussian", noise, sampling, count)
    spent = _epsilon((releases, *besides), delta)
    return {"noise": noise, "epsilon": spent, "curve": curve(releases)}


def _charge(question: Mapping[str, JSON], answer: Mapping[str, JSON]) -> Charge:
    """Return the charges of an answered question."""
    if question["verb"] == "quote":
        releases = Mechanism("gaussian", answer["noise"], question["sampling"], question["count"])
        return (releases, *parse_charge(question["besides"]))
    charge = parse_charge(question["charges"])
    factor = answer["noise"] if question["verb"] == "fit" else 1.0
    return tuple(replace(one, noise=one.noise * factor) for one in charge)


def _fit(question: Mapping[str, JSON]) -> JSON:
    charge, delta, noise = parse_charge(question["charges"]), question["delta"], 1.0
    if question["epsilon"] is not None:
        noise = calibrate_charge(charge, question["epsilon"], delta)
        charge = tuple(replace(one, noise=one.noise * noise) for one in charge)
    return {"noise": noise, "epsilon": _epsilon(charge, delta)}


def _curves(question: Mapping[str, JSON]) -> JSON:
    return [curve(mechanism) for mechanism in parse_charge(question["mechanisms"])]


def _spent(question: Mapping[str, JSON]) -> JSON:
    return _epsilon(parse_charge(question["charges"]), question["delta"])


def _epsilon(charge: Charge, delta: float) -> dict[str, float | None]:
    return {
        "pld": None if charge else 0.0,
        "rdp-cks20": epsilon(charge, delta) if charge else 0.0,
        "rdp-filter": epsilon(charge, delta, "rdp-filter") if charge else 0.0,
    }


_VERBS: Final[Mapping[str, Callable[[Mapping[str, JSON]], JSON]]] = {
    "quote": _quote,
    "fit": _fit,
    "curves": _curves,
    "spent": _spent,
}


def main() -> None:
    """Answer the line on stdin."""
    # dp-accounting warns about each order that it leaves out, which only raises ε.
    logging.disable(logging.WARNING)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    line = sys.stdin.buffer.readline(MAX_LINE + 1)
    with loading():  # the library is loaded, and the process exits before garbage matters
        first = answer(line)
    _write(first)
    if second := exact(line, first) if "answer" in first else None:
        _write(second)
    skip_final_collection()


def _write(answer: Mapping[str, JSON]) -> None:
    sys.stdout.write(json.dumps(answer, allow_nan=False) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
