"""Noise shared out under secure aggregation: the opened sum carries every survivor's share."""

from __future__ import annotations

import math

import numpy as np
import pytest
from peers.secagg import MODEL, Table

from secureflow.domain.quorum import colluders_of, threshold_of
from secureflow.engines.privacy.accounting import noise_share, sum_gap
from secureflow.engines.privacy.gaussian import sample, support
from secureflow.kit.errors import SecureFlowError

DIM = 4000


def test_the_sum_is_exact_plus_every_survivors_noise() -> None:
    noise, clip, bits = 1.0, 1.0, 8
    honest = threshold_of(5) - colluders_of(5)
    sigma = noise_share(noise, clip, DIM, clip / 2**bits, honest)
    assert sum_gap(sigma, 5) < 1e-100
    table = Table(
        5, DIM, rounds=1, clip=clip, bits=bits, max_weight=1, metrics=(), noise_bound=support(sigma)
    )
    table.set_up()
    table.begin()
    survivors = table.names[1:]
    shares = {}
    for number, name in enumerate(survivors):
        # The weight is 1 and public, so its slot needs none.
        shares[name] = np.append(sample(sigma, DIM, number.to_bytes(32, "big")), 0)
        table.weights[name] = 1
        frame = table.clients[name].upload(table.values[name], 1, {}, shares[name])
        table.aggregator.receive(name, frame)
    table.aggregator.close()
    table.ask()
    table.ask()
    got = table.aggregator.result()
    step = table.plan.encoding.step
    exact = sum(np.rint(np.clip(table.values[n], -1, 1) / step) for n in survivors)
    total = np.rint(got.mean * got.weight / step)
    added = sum(share[:-1] for share in shares.values())
    assert (total == exact + added).all()
    assert got.weight == 4
    # t − c shares already make up the accounted noise; the four survivors add somewhat more.
    wanted = noise * (clip + math.sqrt(DIM) * step) / step
    assert math.sqrt(honest) * sigma == wanted
    assert added.std() > wanted * 0.95
    assert added.std() / (sigma * math.sqrt(4)) - 1 < 6 / math.sqrt(2 * DIM)


def test_a_repeated_upload_repeats_its_noise() -> None:
    """A rerun with fresh noise would be averaged, and is refused as another update."""
    table = Table(3, 8, rounds=1, noise_bound=support(3.0), metrics=())
    table.set_up()
    for name, frame in table.aggregator.begin(0, MODEL).items():
        table.clients[name].begin(frame, MODEL)
    name = table.names[0]
    noise = np.append(sample(3.0, 8, bytes(32)), 0)
    first = bytes(table.clients[name].upload(table.values[name], 1, {}, noise))
    again = np.append(sample(3.0, 8, bytes(32)), 0)
    assert bytes(table.clients[name].upload(table.values[name], 1, {}, again)) == first
    fresh = np.append(sample(3.0, 8, b"\1" * 32), 0)
    with pytest.raises(SecureFlowError) as refused:
        table.clients[name].upload(table.values[name], 1, {}, fresh)
    assert refused.value.code == "second_update"
