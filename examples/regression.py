"""Learn a number with other organisations by a small network, and predict it in its own unit.

`python examples/regression.py URL CA USER PROJECT ROWS.parquet LABEL` asks for the password.
"""

import sys
from getpass import getpass

import pyarrow.parquet as pq

from secureflow.sdk import Client, MlpModel, TrainingPlan

url, ca, user, project, rows, label = sys.argv[1:]
with Client(url, ca=ca) as client:
    client.login(user, getpass())
    model = MlpModel("mlp", hidden=(8,))  # or RidgeModel("ridge"): exact, in one round
    datasets, plan = list(client.datasets.list(project)), TrainingPlan(rounds=4)
    job = client.jobs.train(
        project, datasets, label, purpose="credit scoring", model=model, plan=plan
    )  # a label that is a number, within its declared bounds
    report = client.jobs.report(client.jobs.wait(job.id).id)
    trained = client.models.load(report["model"]["id"])
    print(report["metrics"], trained.predict(pq.read_table(rows))[:5])
