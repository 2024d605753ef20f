"""How long an owner's policies and rules take to decide one request (bar: 1 ms).

Prints JSON: milliseconds of one decision at the median and the 99th percentile, for requests that
are allowed, refused, asked about, and asked of two people. Exits with 1 where one is over the bar.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from secureflow.adapters.policy import CedarPolicies, completed
from secureflow.agent.owner.decisions import Decisions
from secureflow.agent.settings import TwoPeopleRule
from secureflow.domain.policies import Policy

BAR: Final = 1.0
"""Milliseconds of one decision."""
_SHIPPED: Final = Path(__file__).parent.parent / "configs" / "policies"
_GROUP: Final = {
    **{"kind": "training", "submitter": "usr_a", "dataset": "customers", "project": "prj_a"},
    **{"columns": ["age", "hours"], "parties": ["bank-a", "bank-b", "bank-c"]},
    **{"group_size": 3, "min_contributors": 3, "rounds": 20, "protection": "secagg"},
}
REQUESTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "allow": {**_GROUP, "purpose": "credit scoring"},
    "refuse": {**_GROUP, "purpose": "marketing"},
    "ask": {**_GROUP, "purpose": "something else"},
    "two_people": {**_GROUP, "purpose": "credit scoring", "project": "prj_two"},
}


def decisions(more: int) -> Decisions:
    """Return the shipped policies, `more` narrow ones beside them, and one rule for two people."""
    narrow = "\n".join(
        f'permit(principal == User::"usr_{n}", action == Action::"training", resource) '
        f'when {{ context.purpose == "purpose {n}" && context.rounds <= {n} }};'
        for n in range(more)
    )
    two = (
        '@two_people("this project") permit(principal, action, resource) '
        'when { context.project == "prj_two" };'
    )
    shipped = [_SHIPPED / name for name in ("credit-research.cedar", "sensitive-columns.cedar")]
    texts = [*CedarPolicies.load(shipped).policies, Policy("more", f"{two}\n{narrow}", "")]
    rules = (TwoPeopleRule(kinds=("psi",), epsilon_over=1.0),)
    return Decisions(CedarPolicies(texts), lambda: rules)


def measured(made: Decisions, request: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Return the effect, and milliseconds of one decision."""
    asked, times = completed(request), []
    for _ in range(count):
        before = time.perf_counter()
        found = made.decision(asked)
        times.append(1e3 * (time.perf_counter() - before))
    times.sort()
    effect = "two_people" if found.two_people else found.effect
    at = {"median_ms": times[count // 2], "p99_ms": times[min(count - 1, count * 99 // 100)]}
    return {"effect": effect, **{name: round(value, 4) for name, value in at.items()}}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 if a median is over the bar, else 0."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--policies", type=int, default=20, help="narrow ones beside the shipped")
    parser.add_argument("--count", type=int, default=2000, help="decisions of each kind")
    options = parser.parse_args(arguments)
    made = decisions(options.policies)
    found = {name: measured(made, one, options.count) for name, one in REQUESTS.items()}
    inside = all(one["median_ms"] <= BAR for one in found.values())
    print(json.dumps({"policies": options.policies + 3, "bar_ms": BAR, "inside": inside,
                      "decisions": found}))  # fmt: skip
    return 0 if inside else 1


if __name__ == "__main__":
    sys.exit(main())
