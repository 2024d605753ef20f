"""Secure aggregation without a TEE: protocol `sf-secagg-1` (docs/secagg.md).

Double masking after Bonawitz et al. (CCS 2017), with signed round keys, masks bound to the round's
context, a closing certificate, and two flights per round in the steady state.
"""

from secureflow.engines.secagg.aggregator import Aggregator
from secureflow.engines.secagg.client import SecAggClient
from secureflow.engines.secagg.encoding import Encoding, Metric, Sum
from secureflow.engines.secagg.opening import Conductor, Opened, open_sum
from secureflow.engines.secagg.plan import MaskingPlan

__all__ = [
    "Aggregator",
    "Conductor",
    "Encoding",
    "MaskingPlan",
    "Metric",
    "Opened",
    "SecAggClient",
    "Sum",
    "open_sum",
]
