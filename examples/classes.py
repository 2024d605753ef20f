"""Learn with other organisations which of several classes a row belongs to, and predict it.

`python examples/classes.py URL CA USER PROJECT ROWS.parquet LABEL` asks for the password.
"""

import sys
from getpass import getpass

import pyarrow.parquet as pq

from secureflow.sdk import Client, TrainingPlan

url, ca, user, project, rows, label = sys.argv[1:]
with Client(url, ca=ca) as client:
    client.login(user, getpass())
    datasets, plan = list(client.datasets.list(project)), TrainingPlan(rounds=6, keep="best")
    job = client.jobs.train(
        project, datasets, label, purpose="credit scoring", plan=plan, protection="secagg"
    )  # a label of declared categories: softmax, with a probability for each of them
    report = client.jobs.report(client.jobs.wait(job.id).id)
    model = client.models.load(report["model"]["id"])
    print(report["metrics"], model.predict(pq.read_table(rows))[:5])
