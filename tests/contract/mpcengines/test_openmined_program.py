"""openmined-psi: what of it is ours, and whole runs where its environment is there."""

from __future__ import annotations

import io
import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.engine_environments import demand_engine
from peers.mpc_references import key_file, matches

from benchmarks.engineparties import Measured, Run, run
from secureflow.adapters.mpcengines import openmined, openmined_program
from secureflow.kit.errors import SecureFlowError

OURS = [f"id{number}" for number in range(60)]
THEIRS = [f"id{number}" for number in range(90, 30, -1)]


@pytest.mark.parametrize("numbers", [[], [7], [*range(1000)], [2**40, 0]])
def test_a_numpy_file_is_written_without_numpy(numbers: list[int]) -> None:
    found = np.load(io.BytesIO(openmined_program.npy(numbers)), allow_pickle=False)
    assert found.dtype == np.int64
    assert found.tolist() == numbers


def test_a_frame_that_is_too_large_is_not_taken() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        line = openmined_program.Line(ours)
        theirs.sendall(openmined_program._HEAD.pack(openmined_program.MAX_FRAME + 1) + b"x" * 64)
        with pytest.raises(ConnectionError):
            line.receive()
        ours.close()


def test_signs_of_life_are_no_answers() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        line, other = openmined_program.Line(ours), openmined_program.Line(theirs)
        for data in (openmined_program.ALIVE, openmined_program.ALIVE, b"answer"):
            other.send(data)
        assert line.receive() == b"answer"
        theirs.shutdown(socket.SHUT_RDWR)
        line.close()


def test_who_learns_ids_and_who_the_size_have_different_labels() -> None:
    ids, size = openmined.LABELS["ECDH"].leakage, openmined.LABELS["ECDH-SIZE"].leakage
    assert any("which of its own identifiers" in one for one in ids)
    assert any("how many identifiers both have, and not which" in one for one in size)
    assert any("follows the protocol" in one for one in size)
    assert not any("follows the protocol" in one for one in ids)


@pytest.mark.parametrize(
    ("program", "protocol", "count", "code"),
    [
        ("ranking", "ECDH", 2, "program_unknown"),
        ("psi", "RR22", 2, "protocol_refused"),
        ("psi", "ECDH", 3, "parties_wrong"),
        ("psi", "ECDH", 2, "too_large"),
    ],
)
def test_what_does_not_fit_is_refused(program: str, protocol: str, count: int, code: str) -> None:
    engine = openmined.OpenminedEngine(None, None)  # type: ignore[arg-type]
    shapes = {f"p{number}": {"keys": (100_001,)} for number in range(count)}
    with pytest.raises(SecureFlowError, match=code):
        engine.estimate(program, protocol, shapes)


def _run(tmp_path: Path, ours: list[str], theirs: list[str], **given: Any) -> Measured:
    inputs = [
        {"keys": key_file(tmp_path / "ours", ours)},
        {"keys": key_file(tmp_path / "theirs", theirs)},
    ]
    what = Run(demand_engine("openmined"), openmined.PROGRAM, "psi", **given)
    return run(what, inputs, tmp_path)


@pytest.mark.parametrize("receivers", [(0,), (1,), (0, 1)])
def test_receivers_learn_their_rows_in_one_order(
    tmp_path: Path, receivers: tuple[int, ...]
) -> None:
    found = _run(tmp_path, OURS, THEIRS, receivers=receivers, parameters={"reveal": "ids"})
    lists = (OURS, THEIRS)
    words = []
    for number, one in enumerate(found.ended):
        assert one.said.get("done") == {"keys": 60, "theirs": 60}, (one.said, one.printed)
        assert ("matches" in one.outputs) == (number in receivers)
        if number in receivers:
            rows = np.load(one.outputs["matches"])
            assert set(rows) == matches(lists[number], lists[1 - number])
            words.append([lists[number][row] for row in rows])
    assert all(one == words[0] for one in words)


def test_the_size_alone_is_a_number(tmp_path: Path) -> None:
    found = _run(tmp_path, OURS, THEIRS, receivers=(0, 1), parameters={"reveal": "size"})
    for one in found.ended:
        assert set(one.outputs) == {"size"}, one.printed
        assert json.loads(one.outputs["size"].read_text()) == {"size": 29}


@pytest.mark.parametrize(("ours", "theirs"), [(OURS, []), ([], THEIRS), (OURS, ["x"]), ([], [])])
def test_an_empty_intersection_is_a_result(
    tmp_path: Path, ours: list[str], theirs: list[str]
) -> None:
    found = _run(tmp_path, ours, theirs, parameters={"reveal": "ids"})
    assert len(np.load(found.ended[0].outputs["matches"])) == 0


_UNCHECKED = ("if counts is None:", "if counts is None or job.number == 0:")
_LIED = ('"keys": len(keys)}).encode()', '"keys": len(keys) - (job.number == 0)}).encode()')


@pytest.mark.parametrize("reveal", ["ids", "size"])
@pytest.mark.parametrize(
    ("receivers", "changes", "word"),
    [
        ((0,), [_UNCHECKED], "peer_count"),
        ((1,), [_UNCHECKED], "peer_count"),
        ((0,), [_UNCHECKED, _LIED], "peer_count"),  # it says 60, and asks after 61
        ((1,), [_UNCHECKED, _LIED], "peer_gone"),
    ],
)
def test_another_list_than_was_committed_to_is_not_answered(
    tmp_path: Path,
    reveal: str,
    receivers: tuple[int, ...],
    changes: list[tuple[str, str]],
    word: str,
) -> None:
    """The first party's engine is altered: it brings one key more than its party committed to."""
    text = openmined.PROGRAM.read_text()
    for before, after in changes:
        assert text.count(before) == 1
        text = text.replace(before, after)
    altered = tmp_path / "altered.py"
    altered.write_text(text)
    inputs = [
        {"keys": key_file(tmp_path / "ours", [*OURS, "one more"])},
        {"keys": key_file(tmp_path / "theirs", THEIRS)},
    ]
    given = {"reveal": reveal, "counts": [60, 60]}
    what = Run(demand_engine("openmined"), altered, "psi", parameters=given, receivers=receivers)
    found = run(what, inputs, tmp_path)
    assert found.ended[1].said == {"failed": word}, found.ended[1].printed
    assert not any(one.outputs for one in found.ended)


_ASKED = "line.send(own.CreateRequest(batch).SerializeToString())"
_REQUEST = "request = own.CreateRequest(batch); points = request.encrypted_elements; "
_SENT = "line.send(request.SerializeToString())"


@pytest.mark.parametrize(
    ("forged", "word"),
    [
        ("points[1] = points[0]; ", "peer_repeats"),
        ("points[1] = bytes([5 - points[0][0]]) + points[0][1:]; ", "peer_repeats"),
        (
            "first = first or points[0]; points[-1] = (points[-1], first)[number > 0]; ",
            "peer_repeats",
        ),
        ("points[1] = points[0] + b' '; ", "peer_gone"),
    ],
    ids=["twice", "and its negative", "in another batch", "written otherwise"],
)
def test_who_asks_after_a_key_twice_is_not_answered(tmp_path: Path, forged: str, word: str) -> None:
    """It would tell its answers apart by how often they stand there: which keys, not only how many.

    The first party's engine is altered.
    """
    text = openmined.PROGRAM.read_text()
    for before, after in (
        (_ASKED, _REQUEST + forged + _SENT),
        ("    own = psi.client.", "    first = b''\n    own = psi.client."),
        ("BATCH: Final = 2000", "BATCH: Final = 25"),
    ):
        assert text.count(before) == 1
        text = text.replace(before, after)
    altered = tmp_path / "altered.py"
    altered.write_text(text)
    inputs = [
        {"keys": key_file(tmp_path / "ours", OURS)},
        {"keys": key_file(tmp_path / "theirs", THEIRS)},
    ]
    given = {"reveal": "size", "counts": [60, 60]}
    what = Run(demand_engine("openmined"), altered, "psi", parameters=given, wait=5.0)
    found = run(what, inputs, tmp_path)
    assert found.ended[1].said == {"failed": word}, found.ended[1].printed
    assert not any(one.outputs for one in found.ended)


def test_lists_that_are_not_taken_are_refused_by_word(tmp_path: Path) -> None:
    found = _run(tmp_path, [*OURS, OURS[0]], THEIRS, linger=0.5, parameters={"reveal": "ids"})
    assert found.ended[0].said == {"failed": "keys_repeated"}
    assert "done" not in found.ended[1].said


def test_parties_that_disagree_run_nothing(tmp_path: Path) -> None:
    """The agents agree before; so does the program, which another one could have replaced."""
    found = _run(tmp_path, OURS, THEIRS, parameters={"reveal": "everything"})
    assert {one.said["failed"] for one in found.ended} == {"parameter_wrong"}
