"""Train one model with other organisations, from the first project to a model that predicts.

Each organisation's person grants their own data; the agents ask their owners for consent before
they touch a row. `python examples/train.py URL CA scientist:password owner:password …`
"""

from __future__ import annotations

import sys

from secureflow import Client
from secureflow.sdk.prediction import Predictor


def train(scientist: Client, owners: list[Client]) -> Predictor:
    """Run the whole flow; return a model whose `predict_proba` takes rows."""
    project = scientist.projects.create("Income", purpose="credit scoring")
    for owner in owners:
        organisation = owner.me().organisation
        if organisation != project.organisation:
            scientist.projects.invite(project.id, organisation)
            owner.projects.accept(project.id)
        for dataset in owner.datasets.list():
            if dataset.organisation == organisation:
                owner.datasets.grant(dataset.id, project.id)
    datasets = list(scientist.datasets.list(project.id))
    job = scientist.jobs.train(
        project.id,
        datasets,
        "income",
        ">50K",
        purpose=project.purpose,
        protection="sealed+secagg",  # masked, and sealed to the attested enclave
        # privacy=Privacy(delta=1e-6, epsilon=3, rows=30_000, noise="shared"): ε for every record
    )
    for event in scientist.jobs.watch(job.id):
        print(event.kind, event.data)
    report = scientist.jobs.report(job.id)
    return scientist.models.load(report["model"]["id"])


def main() -> None:
    """Log everybody in and train; one program plays all of them here, to show the whole flow."""
    url, ca, *people = sys.argv[1:]
    clients = [Client(url, ca=ca) for _ in people]
    for client, person in zip(clients, people, strict=True):
        client.login(*person.split(":", 1))
    print(train(clients[0], clients).card["metrics"])


if __name__ == "__main__":
    main()
