"""The accounting process: one question on stdin, one answer on stdout, and it is gone.

    python -I -m secureflow.adapters.accounting.process

Questions (JSON, one line): `quote` {noise | epsilon, sampling, count, delta, besides}, `fit`
{charges, delta, epsilon | null}, `curves` {mechanisms}, `spent` {charges, delta}. The answer is
`{"answer"}` or `{"error"}`.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

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
from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError

JSON = Any


def answer(line: bytes) -> dict[str, JSON]:
    """Answer one question; a wrong one is answered with its error."""
    try:
        question = parse_json(line, MAX_LINE)
        return {"answer": _VERBS[question["verb"]](question)}
    except SecureFlowError as error:
        return {"error": error.as_json()}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"The accounting cannot answer: {type(error).__name__}."
        return {"error": SecureFlowError("accounting_failed", reason).as_json()}


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
    exact = not any(mechanism.kind == "tree" for mechanism in charge)
    return {
        "pld": epsilon(charge, delta, "pld") if exact else None,
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
    # dp-accounting warns of each order that it leaves out; an order left out only raises ε.
    logging.disable(logging.WARNING)
    line = sys.stdin.buffer.readline(MAX_LINE + 1)
    sys.stdout.write(json.dumps(answer(line), allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
