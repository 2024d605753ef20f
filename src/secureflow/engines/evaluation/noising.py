"""How far noise for differential privacy moves figures: by simulation, with a fixed seed.

The noise of the totals is known, so more of it is drawn, added to the noised totals, and every
figure is computed again as it was the first time: the root of its mean squared distance from the
told figure is its standard error. Its deviation alone would not do: where cells are empty, making
noised counts consistent shifts figures as well. The same totals give the same errors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

import numpy as np

from secureflow.engines.evaluation.layout import AnyForm, Integers
from secureflow.engines.evaluation.sums import Sums, read

DRAWS: Final = 100
_SEED: Final = 2006
_PLACES: Final = frozenset({"ks_threshold"})
"""Figures that are no amounts: where something is reached."""


def noise_errors(
    form: AnyForm,
    totals: Integers,
    unit: int,
    sigma: float,
    figures: Callable[[Sums], dict[str, float]],
) -> dict[str, float]:
    """Return the standard error of each figure from noise alone.

    Args:
        form: what was summed up.
        totals: with noise, in steps.
        unit: steps of a row that adds 1.
        sigma: standard deviation of the noise on each total, in steps, above 0.
        figures: computes them; one that a draw lacks is not counted there.
    """
    random = np.random.default_rng(_SEED)
    told = figures(read(form, totals, unit))
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(DRAWS):
        drawn = totals + random.normal(0.0, sigma, form.length)
        for name, value in figures(read(form, drawn, unit)).items():
            found[name].append(value)
    return {
        name: float(np.sqrt(np.mean(np.square(np.array(each) - told[name]))))
        for name, each in found.items()
        if len(each) > DRAWS // 2 and name in told and name not in _PLACES
    }
