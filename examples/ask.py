"""Ask several organisations' data for statistics, after hearing what they would cost.

`python examples/ask.py URL CA NAME:PASSWORD PROJECT EPSILON QUERY…`, with queries such as
`count:by=sex` or `mean:age`. Each owner's agent decides, noises its sums, and keeps the budget.
"""

from __future__ import annotations

import sys
from typing import Any

from secureflow import Client
from secureflow.sdk import NoiseRequest, StatisticsRequest, query


def ask(client: Client, project: str, epsilon: float, queries: list[str]) -> list[dict[str, Any]]:
    """Show the price, ask, wait, and return the answers with their intervals."""
    datasets = tuple(dataset.id for dataset in client.datasets.list(project))
    request = StatisticsRequest(
        project=project,
        name="statistics",
        purpose=client.projects.get(project).purpose,
        datasets=datasets,
        queries=tuple(map(query, queries)),
        privacy=NoiseRequest(delta=1e-6, epsilon=epsilon),
    )
    told = client.jobs.dry_run(request)
    print("noise multiplier", told.details["privacy"]["noise_multiplier"])
    for row in told.details["expected"]:
        print(row["name"], "within about", row["standard_error"], "at", row["rows"], "rows")
    job = client.jobs.wait(client.jobs.submit(request).id)
    answers: list[dict[str, Any]] = client.jobs.report(job.id)["answers"]
    return answers


def main() -> None:
    """Log in and ask."""
    url, ca, person, project, epsilon, *queries = sys.argv[1:]
    with Client(url, ca=ca) as client:
        client.login(*person.split(":", 1))
        for answer in ask(client, project, float(epsilon), queries):
            for row in answer["rows"]:
                print(answer["name"], row["group"] or "", row["value"], row["low"], row["high"])


if __name__ == "__main__":
    main()
