"""The kinds of job that SecureFlow has."""

from __future__ import annotations

from typing import Final

from secureflow.domain.specs.kind import SpecKind, SpecKinds
from secureflow.domain.specs.statistics import StatisticsSpec, check_statistics
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.training_rules import check

TRAINING: Final = SpecKind("training", TrainingSpec, check)
STATISTICS: Final = SpecKind("statistics", StatisticsSpec, check_statistics)
SPEC_KINDS: Final = SpecKinds(TRAINING, STATISTICS)
