"""One page per sweep: who could see what, what the points so far cost, and their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secureflow.domain.specs.sweep import SweepSpec
from secureflow.engines.sweep.disclosure import attacks, choosing, disclosure
from secureflow.engines.sweep.settings import sets_of
from secureflow.engines.sweep.spending import spending
from secureflow.engines.sweep.table import best_of
from secureflow.kit.canonical import JSON
from secureflow.kit.text import with_texts


def explanation(
    spec: SweepSpec,
    *,
    tee: str,
    accounting: Mapping[str, JSON] | None,
    points: Sequence[Mapping[str, JSON]],
    dropouts: Sequence[Mapping[str, JSON]],
) -> dict[str, JSON]:
    """Return the explanation of a sweep, running or ended; see `engines.training.explanation`.

    `points` are the journal's events of points. Those that have not begun are listed as well.
    """
    ended = {one["point"]: one for one in points if one.get("state") != "started"}
    begun = {one["point"]: one for one in points}
    told = list(ended.values())
    listed = [
        begun.get(number, {"point": number, "sets": sets_of(spec, number), "state": "planned"})
        for number in range(1, len(spec.points) + 1)
    ]
    costs = list((begun | ended).values())
    return with_texts(
        {
            "protection": spec.training.protection,
            "tee": tee or next((str(one["tee"]) for one in told if one.get("tee")), ""),
            "disclosure": disclosure(spec, tee),
            "attacks": attacks(spec, tee),
            "privacy": spending(spec, accounting, costs),
            "epsilon_per_round": [],
            "rounds": sum(int(one.get("rounds") or 0) for one in told),
            "dropouts": list(dropouts),
            "points": listed,
            "best": best_of(spec, told),
            "choosing": choosing(spec),
        }
    )
