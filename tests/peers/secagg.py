"""A table of parties around one aggregator, without a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from secureflow.domain.specs.base import RosterEntry
from secureflow.engines.secagg import Aggregator, Encoding, MaskingPlan, Metric, SecAggClient
from secureflow.kit.crypto import SigningKey

MODEL = "ab" * 32
OTHER_MODEL = "cd" * 32


class Table:
    """A job: `parties` clients, an honest aggregator, an update and a weight per party."""

    def __init__(self, parties: int = 4, dim: int = 5, rounds: int = 3, **encoding: object) -> None:
        self.names = [f"org-{i}" for i in range(parties)]
        self.keys = {n: SigningKey.generate() for n in self.names}
        roster = tuple(RosterEntry(n, k.public) for n, k in self.keys.items())
        options = {"clip": 4.0, "bits": 12, "max_weight": 50, "metrics": (Metric("loss", 10.0),)}
        self.plan = MaskingPlan(
            "job_test1234", "ef" * 32, roster, Encoding(length=dim, **(options | encoding)), rounds
        )
        rng = np.random.default_rng(parties)
        self.values = {n: rng.uniform(-4, 4, dim) for n in self.names}
        self.weights = {n: int(rng.integers(1, 51)) for n in self.names}
        self.losses = {n: float(rng.uniform(0, 2)) for n in self.names}
        self.clients = {n: SecAggClient(self.plan, n, k) for n, k in self.keys.items()}
        self.aggregator = Aggregator(self.plan)

    def set_up(self, present: Iterable[str] | None = None, round_: int = 0) -> None:
        """Everybody present shows its sealing key, meets the others, advances to the round."""
        here = list(self.names if present is None else present)
        for name in here:
            self.aggregator.receive(name, self.clients[name].setup())
        for name in here:
            self.clients[name].meet(self.aggregator.meet())
        for name in here:
            self.aggregator.receive(name, self.clients[name].advance(round_))

    def begin(self, round_: int = 0, model: str = MODEL) -> None:
        """Open a round with everybody who is ready."""
        for name, frame in self.aggregator.begin(round_, model).items():
            self.clients[name].begin(frame, model)

    def masked(self, name: str) -> memoryview:
        """One party's upload frame."""
        loss = {m.name: self.losses[name] for m in self.plan.encoding.metrics}
        return self.clients[name].upload(self.values[name], self.weights[name], loss)

    def upload(self, names: Iterable[str] | None = None) -> None:
        """These parties upload."""
        for name in self.names if names is None else names:
            self.aggregator.receive(name, self.masked(name))

    def ask(self, among: Iterable[str] | None = None) -> None:
        """One flight: deliver what the aggregator asks to these parties, and their answers."""
        here = set(self.names if among is None else among)
        for name, frame in self.aggregator.requests().items():
            if name in here:
                self.aggregator.receive(name, self.clients[name].answer(frame))

    def expected(self, survivors: Iterable[str]) -> tuple[np.ndarray, int]:
        """The exact weighted mean of fixed-point values, and the total weight."""
        encoding = self.plan.encoding
        chosen = list(survivors)
        weight = sum(self.weights[n] for n in chosen)
        total = sum(
            np.rint(self.values[n] * (self.weights[n] / encoding.step)).astype(np.int64)
            for n in chosen
        )
        return np.multiply(total, encoding.step / weight, dtype=np.float64), weight

    def restart(self, names: Iterable[str] = (), aggregator: bool = False) -> None:
        """Crash these parties (and the aggregator) and bring them back from their state."""
        for name in names:
            state = self.clients[name].export_state()
            self.clients[name] = SecAggClient.restore(self.plan, name, self.keys[name], state)
        if aggregator:
            self.aggregator = Aggregator.restore(self.plan, self.aggregator.export_state())


def shares_of(answers: Mapping[str, bytes]) -> dict[str, list[int]]:
    """The shares in OPENING frames, per party."""
    from secureflow.engines.secagg.framing import decode_frame
    from secureflow.engines.secagg.shamir import SHARE_BYTES

    found: dict[str, list[int]] = {}
    for name, data in answers.items():
        body = decode_frame(data, 1 << 20).body
        cuts = range(0, len(body), SHARE_BYTES)
        found[name] = [int.from_bytes(body[at : at + SHARE_BYTES], "big") for at in cuts]
    return found
