"""The rows of the agent's record as objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Literal, Self

from secureflow.agent.record.damage import load_json
from secureflow.engines.run.kept import KEPT, RECEIVED
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Row = Any
"""A mapping of column names to values (`sqlite3.Row`)."""

InboxState = Literal["waiting", "approved", "rejected", "asked_back", "expired", "withdrawn"]

BUDGET: Final = "budget"
"""The kind of an own leaf about an owner's budget."""
WITHHELD: Final = frozenset({BUDGET, KEPT, RECEIVED})
"""Kinds of own leaves whose documents and salts never leave: of a budget, and of what is kept."""


class RowRecord:
    """Columns are fields of the same name; `_json` names those that are stored as JSON text."""

    _json: tuple[str, ...] = ()

    @classmethod
    def from_row(cls, row: Row) -> Self:
        """Build the object from its row."""
        values = {field.name: row[field.name] for field in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: _load(cls, name, value) for name, value in values.items()})

    @classmethod
    def readable(cls, rows: Iterable[Row]) -> Iterator[Self]:
        """Yield the objects of rows; a damaged row is skipped and hides no other."""
        for row in rows:
            try:
                value = cls.from_row(row)
            except SecureFlowError:
                continue
            yield value

    def row(self) -> dict[str, Any]:
        """Return the row's columns."""
        return {
            field.name: _dump(self, field.name, getattr(self, field.name))
            for field in fields(self)  # type: ignore[arg-type]
        }


def _load(cls: type[RowRecord], name: str, value: Any) -> Any:
    return (
        load_json(value, Text("{name} of a {kind}", name=name, kind=cls.__name__))
        if name in cls._json
        else value
    )


def _dump(record: RowRecord, name: str, value: Any) -> Any:
    return json.dumps(value) if name in record._json else value


@dataclass(frozen=True)
class JobRecord(RowRecord):
    """A job that this organisation approved.

    Args:
        job: job id.
        digest: hex digest of the approved spec; every later request must name it.
        spec: the spec's JSON.
        secret: 32 random bytes; seeds, salts and the recipient key of the job derive from them,
            so a restarted agent makes the same update again. Empty once the job is finished.
        approved_at: unix seconds.
        expires: unix seconds after which the approval is no longer valid.
        outcome: empty while the job is unfinished.
        declared: the publication that it was approved under (`publications.Publication`); None
            if it reads no rows.
    """

    _json = ("spec", "declared")
    job: str
    digest: str
    spec: dict[str, Any]
    secret: bytes = field(repr=False)
    approved_at: int
    expires: int
    outcome: str = ""
    declared: dict[str, Any] | None = None


@dataclass(frozen=True)
class OwnLeaf(RowRecord):
    """A ledger leaf that this party signed.

    Args:
        hash: hex RFC 9162 leaf hash.
        job: job id or empty.
        kind: of the leaf.
        bundle: `{"leaf", "document", "salt"}`; what others get of it is `sent`.
        proved: 1 once an inclusion proof was verified.
        missed: weighted count of the job's rounds without a proof of it
            (`witness.MAX_UNPROVED_ROUNDS`).
        place: its proven index in the log.
    """

    _json = ("bundle",)
    hash: str
    job: str
    kind: str
    bundle: dict[str, Any]
    proved: int = 0
    missed: int = 0
    place: int | None = None

    @property
    def bare(self) -> dict[str, Any]:
        """The signed leaf alone: the log gets its commitment."""
        return {"leaf": self.bundle["leaf"]}

    @property
    def sent(self) -> dict[str, Any]:
        """What leaves this agent of it, whoever asks: of some kinds no document and no salt."""
        return self.bare if self.kind in WITHHELD else self.bundle


@dataclass(frozen=True)
class AdmittedEnclave(RowRecord):
    """An enclave that this agent verified for a job.

    Args:
        job: job id.
        generation: the number of the enclave's start.
        evidence: hex SHA-256 of the verified evidence.
        hpke: base64 HPKE key that updates are sealed to.
        release: base64 Ed25519 key that signs its releases.
        tier: the strength of the attestation.
        expires: unix seconds after which the verdict is no longer valid.
    """

    job: str
    generation: int
    evidence: str
    hpke: str
    release: str
    tier: str
    expires: int


@dataclass(frozen=True)
class RoundRecord(RowRecord):
    """An update of this party, fixed before its first byte was sent.

    Args:
        job: job id.
        round: round number, from 0.
        stage: `moments`, `train` or `evaluate`.
        model: hex BLAKE3 of the global model that it starts from.
        content: hex BLAKE3 of the plaintext update.
        rows: number of rows behind it.
        seconds: duration of the local computation.
        head_size: size of the log's head in the request.
        leaf: hash of the own `update` leaf.
    """

    job: str
    round: int
    stage: str
    model: str
    content: str
    rows: int
    seconds: float
    head_size: int
    leaf: str


@dataclass(frozen=True)
class InboxItem(RowRecord):
    """A request for data that waits for a person.

    Args:
        id: 64 hex digits over everything that a person is shown (`agent.owner.inbox.item_id`); 12
            if written by an older version.
        job: job id.
        digest: hex spec digest.
        request: the input of the policies.
        spec: the whole spec.
        reasons: why the policies did not decide.
        state: `waiting`, `approved`, `rejected`, `asked_back`, `expired` or `withdrawn`.
        at: unix seconds of arrival.
        expires: unix seconds after which nobody waits for an answer.
        decided_at: unix seconds of the decision.
        reason: given by the person.
    """

    _json = ("request", "spec", "reasons")
    id: str
    job: str
    digest: str
    request: dict[str, Any]
    spec: dict[str, Any]
    reasons: tuple[str, ...]
    state: InboxState
    at: int
    expires: int
    decided_at: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class ApprovedBundle(RowRecord):
    """Code that this owner approved, by the job that named it last.

    Args:
        digest: of the packing, BLAKE3.
        entry: `module:Class`.
        environment: digest of the environment's lock.
        submitter: of that job, as the centre says.
        name: of that job.
        job: its id.
        approved_at: unix seconds.
    """

    digest: str
    entry: str
    environment: str
    submitter: str
    name: str
    job: str
    approved_at: int

    def summary(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)
