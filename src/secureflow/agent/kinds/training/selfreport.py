"""A party's own figures of a masked training: rows, and the loss before and after it.

Masks hide them, and a spec with `plan.self_report` has them told all the same: of the first round,
whose model nobody has trained yet, and of the evaluation. Nobody can check them.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from secureflow.agent.kinds.kind import LocalContribution
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.messages import SelfReport
from secureflow.engines.sealing.wiretypes import BYTES
from secureflow.engines.training.measures import measure_of
from secureflow.engines.training.models import Stage, update_layout
from secureflow.engines.training.ownmodels import shared_sums


def self_report(spec: TrainingSpec, held: LocalContribution, rows: int) -> SelfReport | None:
    """Return what a party tells with a contribution; None if it tells nothing with this one.

    Args:
        spec: the job's.
        held: the contribution.
        rows: that the party trains on.
    """
    tells = held.stage == "evaluate" or (held.stage, held.round) == ("train", 1)
    if spec.plan.self_report is None or not tells:
        return None
    layout = update_layout(spec, cast("Stage", held.stage))
    sums = np.frombuffer(held.plaintext[BYTES[spec.wire_type] * layout.parameters :], "<f8")
    shared = np.asarray(shared_sums(spec, sums.tolist())[1:])  # not those of its own model
    loss = measure_of(spec).summarise(shared).get("loss")
    known = loss is not None and math.isfinite(loss)
    return SelfReport(rows, round(float(loss), 6) if known and loss is not None else None)
