"""A data scientist's day, as cells: tables, figures in TensorBoard, comparison, predictions.

Open it in an editor that runs cells, or run it: `python examples/notebook.py JOB ROWS.parquet ID`
after `secureflow login`. ID is the column of ROWS that says whose row it is.
"""

# %% A job's figures, as they come and as tables
import sys

import pandas as pd

from secureflow import Client

job, rows, key = sys.argv[1:]
client = Client.from_profile()
print(client.jobs.list().to_pandas()[["id", "name", "state"]])
client.jobs.wait(job, log_to="tensorboard", log_model=True)  # tensorboard --logdir runs
report = client.jobs.report(job)
print(report.rounds.to_pandas())

# %% Is it better than the model before it?
model_id = report["model"]["id"]
name = client.models.get(model_id).name
versions = [one.id for one in client.models.list() if one.name == name]
if len(versions) > 1:
    print(client.models.compare(*versions[-2:]))

# %% Predictions beside their rows, and the same by scikit-learn
model = client.models.load(model_id)
frame = pd.read_parquet(rows)
scored = model.predict_frame(frame, ids=[key])
scored.to_parquet("scored.parquet")
pipeline = model.to_sklearn_pipeline()
print(pipeline[:-1].transform(frame).describe())
