"""Which logs of code go when there are too many: no project and no submitter takes all places."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from secureflow.agent.compute.code_logs import MOST, Whose, beyond


def logs_of(owners: list[Whose]) -> list[tuple[Path, Whose]]:
    return [(Path(f"{age}.log"), whose) for age, whose in enumerate(owners)]


def kept_of(owners: list[Whose], most: int) -> list[tuple[Path, Whose]]:
    logs = logs_of(owners)
    gone = set(beyond(logs, most))
    return [one for one in logs if one[0] not in gone]


OWNERS = st.builds(Whose, st.sampled_from("pqrs"), st.sampled_from("abc"))


@given(owners=st.lists(OWNERS, max_size=40), most=st.integers(0, 20))
def test_projects_and_submitters_keep_their_newest_logs_and_their_share(
    owners: list[Whose], most: int
) -> None:
    kept = kept_of(owners, most)
    assert len(kept) == min(len(owners), most)
    projects, left = Counter(one.project for one in owners), Counter(w.project for _, w in kept)
    for project, had in projects.items():
        share = most // len(projects)
        assert left[project] >= min(had, share)
        people = {one for one in owners if one.project == project}
        for whose in people:
            own = [path for path, one in logs_of(owners) if one == whose]
            still = [path for path, one in kept if one == whose]
            assert len(still) >= min(len(own), share // len(people))
            assert still == own[len(own) - len(still) :]


def test_as_many_projects_as_places_leave_each_its_newest() -> None:
    """One with more than its share loses that, even to projects of one log each."""
    mine = Whose("mine", "ana")
    owners = [mine, mine, *(Whose(f"other {n}", "bob") for n in range(MOST - 1))]
    kept = kept_of(owners, MOST)
    assert [path.stem for path, whose in kept if whose == mine] == ["1"]
    assert len(kept) == MOST
