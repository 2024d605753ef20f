"""What a job's report calls the TEE of its enclaves: the words of the agents that verified them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from secureflow.engines.run.messages import ShownVerdict

MAX_TEES = 3
"""Different names of a job's TEE that its report shows."""
_SIMULATED = "SIMULATED"


def names_of(verdicts: Iterable[ShownVerdict], before: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the names that the agents give the job's enclaves, SIMULATED ones first.

    Those of earlier generations stay (`before`): what a simulated enclave was sent, it was sent.
    One more than is shown is kept, so that what 64 generations need has a bound.
    """
    names = {*before, *map(_tee, verdicts)}
    return tuple(sorted(names, key=lambda name: (not _simulated(name), name))[: MAX_TEES + 1])


def tee_of(names: Sequence[str]) -> str:
    """Return the TEE that the agents name, for everyone's report.

    Nobody can check another's words: one agent that says SIMULATED is enough for it, and
    different names are all shown, SIMULATED ones first, with the sign `≠` between them.
    """
    return " ≠ ".join((*names[:MAX_TEES], *("…" for _ in names[MAX_TEES : MAX_TEES + 1])))


def _tee(verdict: ShownVerdict) -> str:
    name = verdict.title or verdict.tier
    if _simulated(name) or not (verdict.simulated or _simulated(verdict.tier)):
        return name
    return f"{_SIMULATED} {name}"


def _simulated(name: str) -> bool:
    return _SIMULATED in name.upper()
