"""Whether a reserved charge pays for another one, and what is left of it."""

from __future__ import annotations

from secureflow.engines.privacy.accounting import Charge


def covers(reserved: Charge, released: Charge) -> bool:
    """Tell whether each released mechanism is a reserved one, at most as often."""
    if len(reserved) < len(released):
        return False
    left = list(reserved)
    for mechanism in released:
        fit = next(
            (
                r
                for r in left
                if (r.kind, r.noise, r.sampling)
                == (mechanism.kind, mechanism.noise, mechanism.sampling)
                and r.count >= mechanism.count
            ),
            None,
        )
        if fit is None:
            return False
        left.remove(fit)
    return True


def without(reserved: Charge, taken: Charge) -> Charge | None:
    """Return what is left of a charge; None unless it holds each taken mechanism, exactly so."""
    left = list(reserved)
    for mechanism in taken:
        if mechanism not in left:
            return None
        left.remove(mechanism)
    return tuple(left)
