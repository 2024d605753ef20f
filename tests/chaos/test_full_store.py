"""The centre's disk has no room for models or masked vectors: masked jobs wait, or end by name."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from secureflow.application.running import waiting
from secureflow.kit.disk import Place
from tests.chaos.jobs import PATIENCE
from tests.chaos.oracle import Observed, violations
from tests.chaos.schedules import DISK, SERVER, Fault, Schedule

Play = Callable[[Schedule], Observed]
Calm = Callable[[str], Observed]

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")
CASES = [
    ("masked", "masked vectors"),
    ("masked", "stored models"),
    pytest.param("both", "stored models", marks=pytest.mark.full),
    pytest.param("statistics", "masked vectors", marks=pytest.mark.full),
]


class Full:
    """A place of the centre's that is full from when something is stored there first."""

    def __init__(self, part: str, seconds: float) -> None:
        self.part, self.seconds = part, seconds
        self.began: float | None = None
        self.told: list[tuple[str, str]] = []
        self._submitted = part == "masked vectors"
        """Whether the job was submitted: models are looked at then, too."""

    def free(self, place: Place) -> int:
        if (place.whose, place.part) != ("the centre", self.part):
            return 1 << 40
        if not self._submitted:
            self._submitted = True
            return 1 << 40
        if self.began is None:
            self.began = time.monotonic()
        return 0 if time.monotonic() - self.began < self.seconds else 1 << 40


@pytest.fixture
def disturbed(
    played: Play, calm: Calm, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str, float], tuple[Observed, Full]]:
    """Play a job while a place is full for some seconds; look that no promise is broken."""

    def play(kind: str, part: str, seconds: float) -> tuple[Observed, Full]:
        undisturbed, full, note = calm(kind), Full(part, seconds), waiting.Waits.note

        def noted(waits: waiting.Waits, job: str, who: str, error: Exception | None) -> None:
            full.told.append((who, str(getattr(error, "code", ""))))
            note(waits, job, who, error)  # type: ignore[arg-type]

        def free(place: Place) -> int:
            return full.free(place)

        monkeypatch.setattr(Place, "free", free)
        monkeypatch.setattr(waiting.Waits, "note", noted)
        seen = played(Schedule(0, kind, ()))
        fault = Fault(0.0, DISK, SERVER, seconds)
        assert violations(Schedule(0, kind, (fault,)), seen, undisturbed) == []
        assert full.began is not None
        assert "disk_full" in {code for _, code in full.told}  # watchers were told
        return seen, full

    return play


@pytest.mark.parametrize(("kind", "part"), CASES)
def test_a_masked_job_goes_on_when_there_is_room(
    kind: str, part: str, disturbed: Callable[..., tuple[Observed, Full]]
) -> None:
    seen, _ = disturbed(kind, part, PATIENCE / 4)
    assert seen.succeeded, seen.job
    assert seen.seconds > PATIENCE / 4
    assert not seen.report.get("dropouts")


@pytest.mark.parametrize(("kind", "part"), CASES[1::2])
def test_without_room_it_ends_by_the_name_of_what_it_waited_for_in_its_patience(
    kind: str, part: str, disturbed: Callable[..., tuple[Observed, Full]]
) -> None:
    seen, _ = disturbed(kind, part, 1e6)
    assert seen.job is not None
    error = seen.job.error or {}
    assert (seen.job.state, error.get("code")) == ("failed", "disk_full")
    assert f"The disk of the centre is full: its {part} need" in error["message"]
    assert seen.seconds < 3 * PATIENCE
