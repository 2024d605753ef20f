"""From datasets and key columns to the spec of a private set intersection.

It has no price in ε: what matches is told exactly. What it costs an owner is told as probing: how
many keys of others may be tested against its data, which its own agent limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from secureflow.application.jobs.declarations import declared_in
from secureflow.application.jobs.kind import Drafted, Wanted
from secureflow.application.jobs.rosters import (
    adopted_charter,
    check_grants,
    granted_datasets,
    spec_head,
)
from secureflow.application.jobs.unpriced import UnpricedJobs
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.datasets import Dataset
from secureflow.domain.specs.base import contradiction, parse, spec_digest
from secureflow.domain.specs.psi import (
    ENGINES,
    SMALL,
    VERSIONS,
    PsiProtocol,
    PsiSpec,
)
from secureflow.domain.specs.psi_request import part_of
from secureflow.domain.specs.psi_rules import check_psi
from secureflow.engines.psi.estimate import below, estimate
from secureflow.engines.psi.kind import PSI_ENGINE
from secureflow.engines.psi.label import label_of
from secureflow.engines.psi.normalise import check_rules
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_REQUESTED: Final = (
    *("join", "minimum", "size_first", "tells_size", "attempts", "limits"),
)  # fmt: skip
_TEXTS: Final = frozenset({"text", "category"})
_SCALAR: Final = frozenset({"number", "category", "text"})
_MOST_ROWS: Final = 1_000_000


async def draft_psi(work: UnitOfWork, wanted: Wanted, submitter: str, now: int) -> Drafted:
    """Fill in the roster, who learns what and the engine, and check everything that is known here.

    Raises:
        SecureFlowError: `charter_missing`, `not_found` (dataset), `contradictory_spec`,
            `charter_mismatch`, `invalid_spec`, `unknown_column`, `column_not_granted`.
    """
    if len(set(wanted.datasets)) < 2:
        raise contradiction(
            "datasets", "there is nobody to intersect with", "Name datasets of two organisations."
        )
    charter = await adopted_charter(work)
    chosen = await granted_datasets(work, wanted.project, wanted.datasets)
    head = spec_head(wanted, submitter, chosen, charter.keys)
    spec = parse(PsiSpec, {**head, **_asked(wanted.parts, tuple(chosen))})
    check_psi(spec)
    check_rules(spec.key)
    _check_columns(spec, chosen)
    await check_grants(work, spec, chosen, now)
    return Drafted(spec, spec_digest(spec), charter, tuple(_notes(spec)), _details(spec))


def _asked(parts: Mapping[str, Any], parties: tuple[str, ...]) -> dict[str, Any]:
    """Return the parts of a spec that a request chooses, with what it leaves open.

    Raises:
        SecureFlowError: `contradictory_spec` for columns of nobody, and for a receiver of none.
    """
    columns: Mapping[str, Any] = parts["columns"]
    strange = next((party for party in columns if party not in parties), None)
    if strange is not None:
        raise contradiction(
            "columns",
            Text("{party} brings no dataset", party=strange),
            "Name the organisations of the datasets, by the names that the charter has.",
        )
    learns, receiver = _learner(parts, parties)
    usual: PsiProtocol = "openmined" if learns == "size" else "rr22"
    protocol: PsiProtocol = parts.get("protocol") or usual
    engine = ENGINES[protocol]
    small = protocol == "openmined" or bool(parts.get("size_first"))
    most = parts.get("most_rows") or (SMALL if small else _MOST_ROWS)
    return {
        "sides": [
            {"party": party, "most_rows": most, **_given(columns[party])}
            for party in parties
            if party in columns
        ],
        "key": {"parts": [part_of(one) for one in parts["key"]]},
        "learns": learns,
        "receiver": receiver,
        "protocol": protocol,
        "engine": {"name": engine, "version": VERSIONS[engine]},
        **{name: parts[name] for name in _REQUESTED if parts.get(name) is not None},
    }


def _given(side: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in side.items() if value is not None}


def _learner(parts: Mapping[str, Any], parties: tuple[str, ...]) -> tuple[str, str]:
    """Return who learns, as a spec has it, and the receiver.

    Raises:
        SecureFlowError: `contradictory_spec`.
    """
    learns, receiver = str(parts["learns"]), parts.get("receiver")
    if learns == "all":
        if receiver is None and len(parties) > 2:
            raise contradiction(
                "receiver",
                "nobody is named who runs the protocol with each of the others, and so learns more "
                "than they do",
                "Name one of the parties.",
            )
        return learns, str(receiver or parties[0])
    if learns == "size":
        if receiver is None:
            raise contradiction(
                "receiver", "nobody is named who learns the size", "Name one of the parties."
            )
        return learns, str(receiver)
    if learns not in parties:
        raise contradiction(
            "learns",
            Text("{party} brings no dataset", party=learns),
            Text("Name one of {parties}, or write all or size.", parties=", ".join(parties)),
        )
    if receiver not in (None, learns):
        raise contradiction(
            "receiver",
            Text("{party} is said to learn the keys", party=learns),
            "Leave receiver out: `learns` names the party.",
        )
    return "one", learns


def _check_columns(spec: PsiSpec, chosen: Mapping[str, Dataset]) -> None:
    """Refuse columns that an owner's agent would refuse.

    Raises:
        SecureFlowError: `unknown_column`, `contradictory_spec`.
    """
    for side in spec.sides:
        dataset = chosen[side.party]
        for name, columns, types in (
            ("key", side.key, _TEXTS),
            ("granted", side.granted, _SCALAR),
        ):
            for column in columns:
                if declared_in(column, side.party, dataset).type not in types:
                    raise _wrong_type(".".join(("columns", side.party, name)), column, side.party)


def _wrong_type(place: str, column: str, party: str) -> SecureFlowError:
    key = place.endswith(".key")
    return contradiction(
        place,
        Text("{column!r} of {party} is declared as something else than a text",
             column=column, party=party)
        if key
        else Text("{column!r} of {party} is no number, category or text",
                  column=column, party=party),
        "Have its owner declare it as a text: numbers lose leading zeros and long digits."
        if key
        else "Leave it out.",
    )  # fmt: skip


def _notes(spec: PsiSpec) -> Iterator[str]:
    yield Text(
        "What comes of it is kept by {learners}, in a file of its own agent: secureflow agent "
        "results. This job's report has counts.",
        learners=", ".join(spec.learners),
    )
    for party in spec.parties:
        if probed := spec.probes(party):
            yield Text(
                "Up to {count} keys of others are tested against the data of {party}: its agent "
                "counts them against its own limit, over all jobs and partners, and refuses the "
                "job where less is left: the centre does not know it.",
                count=probed,
                party=party,
            )
            if spec.probes_at_worst(party) > probed:
                yield Text(
                    "They are up to {count} if others bring another list in each of the {attempts} "
                    "attempts, against what they committed to.",
                    count=spec.probes_at_worst(party),
                    attempts=spec.attempts,
                )
    yield from below(spec)
    yield from label_of(spec).leakage
    if spec.minimum and not spec.size_first:
        yield (
            "The minimum binds an honest receiver's agent alone: with size_first the other party "
            "learns the size first, and can stop there."
        )


def _details(spec: PsiSpec) -> dict[str, Any]:
    label: Mapping[str, JSON] = label_of(spec).as_json()
    return {
        "parties": list(spec.parties),
        "learners": list(spec.learners),
        "columns": {one.party: list(one.columns) for one in spec.sides},
        "engine": f"{spec.engine.name} {spec.engine.version}",
        "protocol": spec.protocol,
        "probed": {party: spec.probes(party) for party in spec.parties},
        "probed_at_worst": {party: spec.probes_at_worst(party) for party in spec.parties},
        "estimate": estimate(spec),
        "label": label,
    }


class PsiJobs(UnpricedJobs):
    """`application.jobs.kind.JobKind`."""

    def __init__(self) -> None:
        super().__init__(PSI_ENGINE, draft_psi)


PSI_JOBS: Final = PsiJobs()
