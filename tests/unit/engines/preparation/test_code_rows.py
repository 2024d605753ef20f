"""Rows for code that applies a model are those for code that trains one, without what counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from peers.bundle_jobs import code_spec
from unit.engines.training.beside_world import FEATURES, LABELS, table

from secureflow.adapters.frameworks import RowsRunner
from secureflow.adapters.frameworks.rowsfile import write_unlabelled
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.training import FeatureSpec, TrainingPlan
from secureflow.engines.bundles.host import _parts_of, _prepared
from secureflow.engines.preparation import declared_moments
from secureflow.engines.preparation.coderows import code_arrays
from secureflow.engines.training.scoring import model_rows

WORDS = {"column": "note", "tokens": "words", "vocabulary": 512, "length": 5}


def test_every_form_of_column_is_the_same_in_a_file_in_memory_and_in_training(
    tmp_path: Path,
) -> None:
    seen = {**FEATURES["images"], **FEATURES["arrays"], "texts": [WORDS]}
    features = parse(FeatureSpec, {"label": LABELS["classes"], **seen}, "spec")
    spec = code_spec(features=features, plan=TrainingPlan(validation=0.0))
    columns: Any = table(40)
    runner = RowsRunner(spec, columns)
    runner.write_rows(tmp_path / "training", None)
    (trained, _) = _prepared({"rows": str(tmp_path / "training")})
    rows = model_rows(spec, declared_moments(features), columns)
    write_unlabelled(tmp_path / "rows", rows, features.beside)
    (found,) = _parts_of(str(tmp_path / "rows"), ("rows",))
    here = code_arrays(rows, features.beside)
    assert found.keys() == here.keys() == trained.keys() - {"labels"} == {"scan", "signal", "note"}
    for name, one in found.items():
        assert one.dtype == here[name].dtype == trained[name].dtype
        np.testing.assert_array_equal(one, here[name])
        np.testing.assert_array_equal(one, trained[name])
        assert not one.flags.writeable
        assert not here[name].flags.writeable
