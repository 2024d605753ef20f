"""What an owner is told of a job that it stopped: everything that cannot be taken back."""

from __future__ import annotations

import json

import pytest

from secureflow.agent.edge.grantcommands import _told
from secureflow.agent.verbs.stoppedjobs import StoppedJob
from secureflow.cli.ownstops import say_stopped
from secureflow.texts import chinese

ROUNDS = (*((n, "train") for n in range(1, 41)), (42, "train"), (0, "moments"))


def test_every_round_that_may_be_open_is_named() -> None:
    (told,) = StoppedJob("job_1", ROUNDS, (), 3, 3, False).told()
    assert told == (
        "It had voted on round 0 (moments), rounds 1 to 40 (train), round 42 (train): those sums "
        "may be open, and cannot be taken back."
    )
    assert "第 1 至 40 轮（训练）" in (chinese(told) or "")


@pytest.mark.parametrize(
    ("lang", "says"),
    [("en", "job_1 was stopped. It had voted on rounds 3 to 4 (train): "),
     ("zh", "第 3 至 4 轮（训练）")],
)  # fmt: skip
def test_it_is_told_in_the_language_of_whoever_asks(
    lang: str, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    voted = ((3, "train"), (4, "train"))
    say_stopped([json.loads(json.dumps(_told(StoppedJob("job_1", voted, (), 3, 3, False))))])
    assert says in capsys.readouterr().err
