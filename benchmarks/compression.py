"""What compressed updates save and cost: one JSON line at the end.

    python -m benchmarks.compression [--seeds 2] [--rounds 40]

scikit-learn's handwritten digits, a fifth of them for testing, over ten parties; an MLP that is
trained by the code of agents and enclave, or in the ring of the masks. For each form it says the
bytes that a party uploads in a round (its change of the model with its sums, before 28 bytes of
seal a megabyte; the masked vector), the share of the plain form under the same protection, and the
accuracy on the test rows, the mean over the seeds. `sealed`: float32, float16, int8, and the
largest hundredth and twentieth of the values; `masked`: 20 bits and 8, parties weighed by rows and
all alike.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow import simulate
from secureflow.engines.sealing import manifest_length
from secureflow.engines.training.encodings import masked_plan
from secureflow.engines.training.sending import update_form

PARTIES: Final = 10
HIDDEN: Final = 256
_ALIKE: Final[dict[str, Any]] = {"limits": {"max_weight": 1}}
_INT8: Final[dict[str, Any]] = {"compression": {"method": "int8"}}
_MASKED: Final[dict[str, Any]] = {"protection": "secagg", "quantisation": {"clip": 0.5}}

SEALED: Final[Mapping[str, dict[str, Any]]] = {
    "none": {},
    "fp16": {"wire": "float16"},
    "int8": _INT8,
    "top_k 5 %": {"compression": {"method": "top_k", "share": 0.05}},
    "top_k 1 %": {"compression": {"method": "top_k", "share": 0.01}},
}
MASKED: Final[Mapping[str, dict[str, Any]]] = {
    "none": _MASKED,
    "int8": {**_MASKED, **_INT8},
    "none, alike": {**_MASKED, **_ALIKE},
    "int8, alike": {**_MASKED, **_INT8, **_ALIKE},
}


def main() -> None:
    """Print a table, then the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=40)
    asked = parser.parse_args()
    tables = {}
    for protection, forms in (("sealed", SEALED), ("masked", MASKED)):
        rows = {name: measured(form, asked.seeds, asked.rounds) for name, form in forms.items()}
        plain = rows["none"]["bytes"]
        tables[protection] = {name: _with_share(row, plain) for name, row in rows.items()}
        for name, row in tables[protection].items():
            print(f"{protection:7} {name:12} {row['bytes']:8.0f} bytes  {row['share']:.3f}  "
                  f"accuracy {row['accuracy']:.4f}", flush=True)  # fmt: skip
    print(json.dumps({"parties": PARTIES, "rounds": asked.rounds, "seeds": asked.seeds, **tables}))


def measured(form: Mapping[str, Any], seeds: int, rounds: int) -> dict[str, float]:
    """Return the bytes of an update and the accuracy of the model in one form."""
    found = [one_seed(form, seed, rounds) for seed in range(seeds)]
    return {"bytes": found[0][0], "accuracy": round(float(np.mean([one[1] for one in found])), 4)}


def one_seed(form: Mapping[str, Any], seed: int, rounds: int) -> tuple[int, float]:
    """Return bytes and accuracy of one split."""
    rows, known = digits()
    order = np.random.default_rng(seed).permutation(len(known))
    test, train = np.split(order, [len(order) // 5])
    names = [f"p{at:02d}" for at in range(rows.shape[1])]
    columns = {name: rows[:, at] for at, name in enumerate(names)} | {"digit": known}
    job = {
        "kind": "training",
        "features": {
            "label": {"column": "digit", "classes": [str(one) for one in range(10)]},
            "numeric": [{"column": name, "bounds": [0, 16], "scale": "bounds"} for name in names],
        },
        "model": {"family": "mlp", "hidden": [HIDDEN]},
        "plan": {"rounds": rounds, "batch_size": 16, "learning_rate": 0.2, "seed": seed},
        "protection": "sealed",
    } | dict(form)
    part = {name: values[train] for name, values in columns.items()}
    outcome = simulate(job, part, parties=PARTIES, seed=seed)
    predicted = outcome.model.predict({name: values[test] for name, values in columns.items()})
    return _uploaded(outcome.spec), float(np.mean(np.asarray(predicted) == known[test]))


def digits() -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Return the pixels of the handwritten digits, and what they show, as text."""
    from sklearn.datasets import load_digits

    data, known = load_digits(return_X_y=True)
    return data, known.astype(str).astype(object)


def _uploaded(spec: Any) -> int:
    """Return the bytes that a party uploads in a round of this job."""
    if spec.protection == "sealed":
        return manifest_length(update_form(spec, "train"))
    return masked_plan(spec, "job_measured", "ef" * 32, "train").vector_bytes


def _with_share(row: Mapping[str, float], plain: float) -> dict[str, float]:
    return {**row, "share": round(row["bytes"] / plain, 4)}


if __name__ == "__main__":
    main()
