"""What parties signed of the steps of a pipeline, and what the record may say of them then.

Each party is asked alone, and signs digests and figures that only the centre has in one place. So
a centre could tell one party that a condition holds, and another that it does not; each would go by
what it signed. Their leaves beside each other show it. That a step is skipped nobody but the centre
says (`job.part`): it follows from the conditions in the signed spec and the signed figures, and is
computed from these again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from secureflow.domain.specs.conditions import Gate, are_metrics, skipped_by
from secureflow.engines.ledger.bundle_format import Bundle, BundleEntry
from secureflow.engines.ledger.ends import OUTCOME, SERVER
from secureflow.engines.ledger.gates import UnreadableStepsError, gates_of
from secureflow.kit.canonical import digest
from secureflow.kit.text import Text

STEP: Final = "step"
"""The kind of leaf with which a party signs the outputs of a step."""
PART: Final = "job.part"
"""The kind of leaf with which the centre says how a part ended."""
SKIPPED: Final = "skipped"


class SignedSteps:
    """The steps of a bundle's job, as its spec has them and its parties signed them.

    Args:
        bundle: of any job; it has steps only if that is a pipeline.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.readable = True
        try:
            self.gates: Sequence[Gate] = gates_of(bundle.spec)
        except UnreadableStepsError:
            self.gates, self.readable = (), False

    def _own(self, kind: str) -> Iterator[BundleEntry]:
        """Yield the job's leaves of a kind: the parties', or the centre's."""
        for entry in self._bundle.entries:
            leaf = entry.signed.leaf
            authors = self._bundle.roster if kind == STEP else (SERVER,)
            if (leaf.job, leaf.kind) == (self._bundle.job, kind) and leaf.author in authors:
                yield entry

    @cached_property
    def first(self) -> dict[int, BundleEntry]:
        """Of each part, the first leaf in which a party signed its outputs."""
        found: dict[int, BundleEntry] = {}
        for entry in self._own(STEP):
            if (number := _number(entry)) is not None:
                found.setdefault(number, entry)
        return found

    def signed(self, number: int) -> Mapping[str, Any] | None:
        """Return what was signed of a part: its figures, where it has any."""
        entry = self.first.get(number)
        if entry is None:
            return None
        outputs = entry.document.get("outputs")
        metrics = outputs.get("metrics") if isinstance(outputs, dict) else None
        return {"metrics": metrics} if are_metrics(metrics) else {}

    def failures(self) -> Iterator[str]:
        """Yield what contradicts: between parties, and between them and the centre."""
        yield from self._differing()
        if not self.readable:
            yield "the steps of the spec cannot be read"
            return
        skipped = skipped_by(self.gates, self.signed)
        yield from self._misjudged(frozenset(skipped))
        if not self.closed:
            yield from self._left_out(frozenset(skipped))

    @property
    def closed(self) -> list[BundleEntry]:
        """What is signed or said of steps without its document: it says nothing either way."""
        if not self.gates:
            return []
        return [one for kind in (STEP, PART) for one in self._own(kind) if one.salt is None]

    def missing(self) -> Iterator[str]:
        """Yield what is there without its document."""
        for entry in self.closed:
            yield Text("{title}: the outcome of a step comes without its document",
                       title=entry.title)  # fmt: skip

    def _differing(self) -> Iterator[str]:
        """Yield where a party of the roster signed other outputs of a step than one before it."""
        for entry in self._own(STEP):
            if (number := _number(entry)) is None:
                continue
            other = self.first[number]
            if digest(entry.document.get("outputs")) != digest(other.document.get("outputs")):
                yield Text(
                    "{title}: {name} signed other outputs of part {number} than {other}",
                    title=entry.title,
                    name=entry.signed.leaf.author,
                    number=number,
                    other=other.signed.leaf.author,
                )

    def _misjudged(self, skipped: frozenset[str]) -> Iterator[str]:
        """Yield where the centre says of a step that it ran or not, and its condition says else."""
        steps = {gate.step for gate in self.gates}
        for entry in self._own(PART) if steps else ():
            if entry.salt is None:
                continue
            document = entry.document if isinstance(entry.document, dict) else {}
            step, told = document.get("step"), document.get("outcome") == SKIPPED
            if not isinstance(step, str) or step not in steps:
                yield Text("{title}: it names no step of the spec", title=entry.title)
            elif told and step not in skipped:
                yield Text(
                    "{title}: step {step} is told to be skipped, and by what parties signed it is "
                    "not",
                    title=entry.title,
                    step=step,
                )
            elif not told and step in skipped:
                yield Text(
                    "{title}: step {step} ran, and by what parties signed it is skipped",
                    title=entry.title,
                    step=step,
                )

    def _left_out(self, skipped: frozenset[str]) -> Iterator[str]:
        """Yield the steps of which no party signed anything, though the job succeeded."""
        if not succeeded(self._bundle):
            return
        for gate in self.gates:
            if gate.step not in skipped and not any(one in self.first for one in gate.numbers):
                yield Text(
                    "the job succeeded without its step {step}, which was not to be skipped",
                    step=gate.step,
                )


def succeeded(bundle: Bundle) -> list[dict[str, Any]]:
    """Return the documents in which the centre says that the job succeeded."""
    return [
        entry.document
        for entry in bundle.entries
        if entry.signed.leaf.job == bundle.job
        and (entry.signed.leaf.author, entry.signed.leaf.kind) == (SERVER, OUTCOME)
        and isinstance(entry.document, dict)
        and entry.document.get("outcome") == "succeeded"
    ]


def signs_what_was_asked(document: Any, asked: Mapping[int, Any]) -> bool:
    """Tell whether the document of a party's leaf has the outputs that it was asked to sign.

    One party that signed others would have every record of the pipeline contradict itself.

    Args:
        document: of a leaf of kind `step`.
        asked: number of a part → its outputs.
    """
    number = document.get("number") if isinstance(document, dict) else None
    if type(number) is not int or number not in asked:
        return False
    return digest(document.get("outputs")) == digest(asked[number])


def _number(entry: BundleEntry) -> int | None:
    number = entry.document.get("number") if isinstance(entry.document, dict) else None
    return number if type(number) is int else None
