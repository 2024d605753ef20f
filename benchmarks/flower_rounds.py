"""Flower's side of `benchmarks.simulation`: run by an interpreter that has `flwr[simulation]`.

Arguments: parties, parameters, rounds, and the file to which the time of each sum is written.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from flwr.client import ClientApp, NumPyClient
from flwr.common import ndarrays_to_parameters
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.simulation import run_simulation

PARTIES, PARAMETERS, ROUNDS = map(int, sys.argv[1:4])
TIMES = Path(sys.argv[4])
ZEROS = np.zeros(PARAMETERS, np.float32)


class Idle(NumPyClient):  # type: ignore[misc]
    """Returns the model that it was given."""

    def fit(self, parameters: Any, config: Any) -> Any:
        """Return it, with the weight 1."""
        del config
        return parameters, 1, {}


class Noting(FedAvg):  # type: ignore[misc]
    """Notes when each round's sum is made."""

    def aggregate_fit(self, server_round: Any, results: Any, failures: Any) -> Any:
        """Add up, and note the time."""
        made = super().aggregate_fit(server_round, results, failures)
        with TIMES.open("a") as file:
            file.write(f"{time.perf_counter()}\n")
        return made


def server(context: Any) -> Any:
    """Return what runs the rounds."""
    del context
    everybody = {
        "fraction_fit": 1.0,
        "fraction_evaluate": 0.0,
        "min_fit_clients": PARTIES,
        "min_available_clients": PARTIES,
    }
    strategy = Noting(initial_parameters=ndarrays_to_parameters([ZEROS]), **everybody)
    return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=ROUNDS))


if __name__ == "__main__":
    run_simulation(
        server_app=ServerApp(server_fn=server),
        client_app=ClientApp(client_fn=lambda _: Idle().to_client()),
        num_supernodes=PARTIES,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )
