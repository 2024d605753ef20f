"""Learn from texts, with noise per record: `python examples/texts.py TABLE TEXT LABEL POSITIVE`.

TABLE is a CSV or Parquet file, TEXT its column of texts, LABEL the column that is POSITIVE or not.
"""

import sys

from secureflow import simulate

table, text, label, positive = sys.argv[1:]
words = [{"column": text, "tokens": "words", "vocabulary": 512, "length": 100}]
privacy = {"sampling": 0.2, "metrics_noise": 3}
job = {
    "features": {"label": {"column": label, "positive": positive}, "texts": words},
    "model": {"family": "logistic_regression"},
    "plan": {"rounds": 20, "learning_rate": 1.0, "validation": 0.2},
    "privacy": {"delta": 1e-4, "noise_multiplier": 1, "rows": 1000, **privacy},
}
outcome = simulate(job, table, parties=3, partition="iid")
print(outcome.privacy["epsilon"], outcome.metrics)
