"""The steps of a preparation: their arithmetic, at a party and for all parties together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from secureflow.engines.preparation.steps import binning, combining, dates, filling, scaling
from secureflow.engines.preparation.steps.step import StepEngine

STEPS: Final[Mapping[str, StepEngine]] = {
    "impute": filling.IMPUTE,
    "clip": scaling.CLIP,
    "standardise": scaling.STANDARDISE,
    "min_max": scaling.MIN_MAX,
    "quantile_bins": binning.QUANTILE_BINS,
    "width_bins": binning.WIDTH_BINS,
    "woe": binning.WOE,
    "one_hot": binning.ONE_HOT,
    "ordinal": binning.ORDINAL,
    "hash": binning.HASH,
    "log": scaling.LOG,
    "yeo_johnson": scaling.YEO_JOHNSON,
    "date_parts": dates.DATE_PARTS,
    "interact": combining.INTERACT,
    "select": combining.SELECT,
    "drop": combining.DROP,
}
