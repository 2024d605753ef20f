"""The server never holds an update in clear: not on the wire, not on disk, not in its memory.

What is looked for are the updates as the agents made them, in every spelling that a leak could
have. That the search would find one is shown by an agent that leaks.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from secureflow.demo.data import demo_features
from secureflow.demo.platform import Platform
from secureflow.domain.specs.training import TrainingPlan
from tests.survival.listening import HEARD, LEAK
from tests.survival.world import await_end, platform, training

PLAN = TrainingPlan(rounds=2, batch_size=64)
LISTENING = ("-m", "tests.survival.listening")
PARAMETERS = demo_features().width + 1
WINDOW = 6
"""Floats in a row: 24 bytes that nothing else has by accident."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("plaintext") / "p"
    entry = {"server": LISTENING, "agent": LISTENING}
    with platform(directory, mortal=False, entry=entry) as built:
        yield built


def spellings(update: bytes, parameters: int) -> Iterator[bytes]:
    """Yield byte strings of which a leak of the update would hold one."""
    delta = np.frombuffer(update, "<f4", parameters)
    sums = np.frombuffer(update, "<f8", offset=4 * parameters)
    runs = [
        delta[start : start + WINDOW]
        for start in range(parameters - WINDOW)
        if len(set(delta[start : start + WINDOW].tolist()) - {0.0}) == WINDOW
    ]
    assert runs, "an update of zeros proves nothing"
    run = runs[len(runs) // 2]
    wide = run.astype("<f8")
    for data in (run.tobytes(), wide.tobytes()):
        yield data
        yield data.hex().encode()
        # At two of three offsets the first group of base64 holds a foreign byte.
        yield from (base64.b64encode(data[skip:])[:-4] for skip in range(3))
    yield ",".join(json.dumps(float(value)) for value in run[:3]).encode()
    for value in sums[sums != np.floor(sums)]:  # counts alone are told openly
        yield value.tobytes()
        yield json.dumps(float(value)).encode()


def memory_of(pid: int) -> Iterator[bytes]:
    """Yield every writable mapping of a process."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb") as memory:
        for line in maps:
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if found is None or "[v" in line:
                continue
            start, end = (int(edge, 16) for edge in found.groups())
            memory.seek(start)
            try:
                yield memory.read(end - start)
            except OSError:  # unmapped meanwhile
                continue


def within(held: bytes, wanted: set[bytes]) -> set[bytes]:
    """Return which of these are in there.

    One look for all: `in` walks over some 100 MB again for each of hundreds of byte strings. Where
    the four bytes of one lie that differ most (zeros are everywhere), the rest is compared.
    """
    looked = np.frombuffer(held, np.uint8)
    marks: dict[bytes, list[tuple[int, bytes]]] = {}
    for one in wanted:
        at = max(range(len(one) - 3), key=lambda at: len(set(one[at : at + 4])))
        marks.setdefault(one[at : at + 4], []).append((at, one))
    first, second = np.zeros(1 << 16, bool), np.zeros(1 << 16, bool)
    first[[int.from_bytes(one[:2], "little") for one in marks]] = True
    second[[int.from_bytes(one[2:], "little") for one in marks]] = True
    found: set[bytes] = set()
    for parity in (0, 1):
        pairs = looked[parity : parity + (len(looked) - parity) // 2 * 2].view("<u2")
        (places,) = np.nonzero(first[pairs[:-1]] & second[pairs[1:]])
        for place in (places * 2 + parity).tolist():
            for at, one in marks.get(held[place : place + 4], ()):
                if one not in found and place >= at and held.startswith(one, place - at):
                    found.add(one)
    return found


def everything(place: Platform) -> bytes:
    """Return all that the server received and stored, and its memory as it is now."""
    files = (path for path in place.server.rglob("*") if path.is_file())
    parts = [path.read_bytes() for path in files]
    parts += [(place.directory / "points" / HEARD).read_bytes()]
    parts += [(place.directory / "logs" / "server.log").read_bytes()]
    return b"\0".join([*parts, *memory_of(place.processes["server"].pid)])


def leaks(place: Platform) -> dict[str, int]:
    """Return, per update of an agent, how many of its spellings the server holds."""
    held = everything(place)
    spelled = {
        path.stem: set(spellings(path.read_bytes(), PARAMETERS))
        for path in (place.directory / "points").glob("*-train-*.update")
    }
    found = within(held, set().union(*spelled.values()))
    return {name: len(ours & found) for name, ours in spelled.items()}


def test_what_is_looked_for_is_found_wherever_it_lies() -> None:
    wanted = {b"left", b"odd one", b"at the end", b"leftover"}
    held = b"leftover" + bytes(5) + b"odd one" + b"lefto" * 3 + b"at the en at the end"
    assert within(held, wanted | {b"absent", b"at the end of"}) == wanted
    assert within(held[:-1], wanted) == wanted - {b"at the end"}
    assert within(b"", wanted) == within(b"left"[:3], wanted) == set()


def test_the_server_never_holds_an_update(place: Platform) -> None:
    with place.client("bank-a") as client:
        job = client.jobs.submit(training(place, PLAN))
        ended = await_end(client, job.id)
        assert ended.state == "succeeded", ended.error
        model = (ended.report or {})["model"]
    found = leaks(place)
    assert sorted(found) == sorted(
        f"{party}-train-{number}" for party in place.parties for number in (1, 2)
    )
    assert not any(found.values()), found
    held = everything(place)
    released = (place.server / "artifacts" / model["digest"][:2] / model["digest"]).read_bytes()
    assert held.count(released[:24]) >= 2  # received and stored: the search reaches both
    assert held.count(job.id.encode()) > 10


def test_a_leak_would_be_found(place: Platform) -> None:
    (place.directory / "points" / LEAK).touch()
    with place.client("bank-a") as client:
        job = client.jobs.submit(training(place, TrainingPlan(rounds=1, batch_size=64)))
        assert await_end(client, job.id).state == "succeeded"
    found = leaks(place)
    assert all(count for name, count in found.items() if name.endswith("-train-1")), found
