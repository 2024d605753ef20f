"""Train a model with other organisations and use it: the example of README.md.

`python examples/quickstart.py URL CA USER PROJECT ROWS.parquet` asks for the password.
"""

import sys
from getpass import getpass

import pyarrow.parquet as pq

from secureflow import Client  # AsyncClient awaits the same methods

url, ca, user, project, rows = sys.argv[1:]
with Client(url, ca=ca) as client:
    client.login(user, getpass())
    datasets = list(client.datasets.list(project))  # one of each organisation
    job = client.jobs.train(
        project, datasets, "income", ">50K", purpose="credit scoring", protection="sealed+secagg"
    )
    client.jobs.wait(job.id)  # the owners decide, then their agents train
    report = client.jobs.report(job.id)
    model = client.models.load(report["model"]["id"])
    print(report["metrics"], model.predict_proba(pq.read_table(rows))[:, 1])
