"""The revenue agreement of a project: by which rule its jobs' revenue is shared.

Every member signs version 1. A later version names the digest of the one before and counts with
the signatures of ⌊2n/3⌋ + 1 of that one's n members, as a charter does, and of everybody whom it
binds anew: members who join, and a payer who was none. Whoever carries it can neither make nor
alter one: keys are those of the charter, and agents hold each to the charter that they pinned.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Final, Literal, get_args

from secureflow.domain.quorum import quorum_of
from secureflow.engines.anchors.entries import WHOLE
from secureflow.kit import canonical, crypto
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

KIND: Final = "revenue-agreement"
"""What a member's signature is of."""
MAX_MEMBERS: Final = 256
"""As many as a job's roster has."""
MAX_AMOUNT: Final = 10**15
"""Minor units; far below 2^53, so that sums of many stay exact in JSON."""
MAX_WEIGHT: Final = 1000
MAX_DAYS: Final = 365
MAX_QUALITY: Final = 100
MAX_KINDS: Final = 32
Unscored = Literal["left_out", "other_measures", "equal"]
"""What becomes of a job without scores where scores have a weight: it is left out; the other
measures alone decide; its parties share alike."""

_PROJECT: Final = re.compile(r"prj_[0-9a-z]{1,40}")
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_JOB_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_ORIGIN: Final = re.compile(r"[!-*,-~]{1,255}")
_MAX_SIGNATURE: Final = 128


@dataclass(frozen=True)
class Member:
    """A member: its slug, its charter key (base64), and the agreed quality of its data.

    `quality` is in per cent, 0 to 100: its rows count by so much. The members agree on it; nothing
    measures it.
    """

    organisation: str
    key: str
    quality: int = MAX_QUALITY


@dataclass(frozen=True)
class Weights:
    """How much each measure counts, as whole numbers; only their relation matters."""

    scores: int = 1
    rows: int = 0
    participation: int = 0


@dataclass(frozen=True)
class Agreement:
    """One version of a project's agreement.

    Args:
        project: id.
        origin: of the log of the charter, so that no other consortium's agreement is taken for it.
        version: from 1.
        previous: hex digest of the version before; "" of version 1.
        members: kept sorted by slug.
        weights: of the measures.
        floor: basis points that each party of a job gets at least.
        rounding: the member that gets what whole basis points and minor units leave over.
        currency: ISO 4217; all amounts are in its minor units.
        window_days: for how long an approved settlement can be disputed.
        payer: the member that owes what the others are due.
        per_job: what each settled job brings.
        entered: whether a settlement may bring an amount of its own; the payer signs it.
        unscored: the rule for jobs without scores.
        kinds: the kinds of job that count; empty: every kind.

    Raises:
        SecureFlowError: `malformed_agreement` naming the field.
    """

    project: str
    origin: str
    version: int
    members: tuple[Member, ...]
    weights: Weights
    floor: int
    rounding: str
    currency: str
    window_days: int
    payer: str
    per_job: int
    entered: bool
    unscored: Unscored = "left_out"
    kinds: tuple[str, ...] = ()
    previous: str = ""

    def __post_init__(self) -> None:
        for name, right in _RULES.items():
            if not right(self):
                raise malformed(name)
        ordered = tuple(sorted(self.members, key=lambda one: one.organisation))
        object.__setattr__(self, "members", ordered)

    def json(self) -> dict[str, Any]:
        """Return the body that members sign."""
        body = {one.name: getattr(self, one.name) for one in fields(self)}
        return body | {
            "v": 1,
            "members": [vars(one).copy() for one in self.members],
            "weights": vars(self.weights).copy(),
            "kinds": list(self.kinds),
        }

    @classmethod
    def from_json(cls, value: Any) -> Agreement:
        """Build one from foreign JSON; raises `malformed_agreement`."""
        body = exact(value, {"v", *(one.name for one in fields(cls))}, "agreement")
        if type(body["v"]) is not int or body.pop("v") != 1:
            raise malformed("v")
        listed, kinds = body["members"], body["kinds"]
        if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_MEMBERS:
            raise malformed("members")
        if not isinstance(kinds, list) or len(kinds) > MAX_KINDS:
            raise malformed("kinds")
        names = {one.name for one in fields(Member)}
        body["members"] = tuple(Member(**exact(one, names, "member")) for one in listed)
        weights = exact(body["weights"], {one.name for one in fields(Weights)}, "weights")
        return cls(**body | {"weights": Weights(**weights), "kinds": tuple(kinds)})

    @cached_property
    def digest(self) -> str:
        """The hex SHA-256 over the canonical JSON."""
        return canonical.digest(self.json())

    @cached_property
    def keys(self) -> dict[str, str]:
        """Organisation → base64 key."""
        return {one.organisation: one.key for one in self.members}

    @property
    def quorum(self) -> int:
        """How many equal approvals a settlement needs: ⌊2n/3⌋ + 1 of the n members."""
        return quorum_of(len(self.members))

    @property
    def window(self) -> int:
        """The dispute window in seconds."""
        return self.window_days * 86_400


def _whole(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


def _matches(form: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _is_key(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        crypto.public_key(value)
    except SecureFlowError:
        return False
    return True


def _members_right(of: Agreement) -> bool:
    if not isinstance(of.members, tuple) or not 1 <= len(of.members) <= MAX_MEMBERS:
        return False
    formed = all(
        _matches(_SLUG, one.organisation)
        and _is_key(one.key)
        and _whole(one.quality, 0, MAX_QUALITY)
        for one in of.members
    )
    # One key, one vote, as in the charter.
    slugs, keys = {one.organisation for one in of.members}, {one.key for one in of.members}
    return formed and len(slugs) == len(keys) == len(of.members)


def _weights_right(of: Agreement) -> bool:
    found = list(vars(of.weights).values())
    return all(_whole(one, 0, MAX_WEIGHT) for one in found) and sum(found) > 0


def _is_member(of: Agreement, name: Any) -> bool:
    return any(one.organisation == name for one in of.members)


def _follows_form(of: Agreement) -> bool:
    if not isinstance(of.previous, str) or (of.version == 1) != (of.previous == ""):
        return False
    return of.previous == "" or _matches(_DIGEST, of.previous)


_RULES: Final[Mapping[str, Callable[[Agreement], bool]]] = {
    "project": lambda of: _matches(_PROJECT, of.project),
    "origin": lambda of: _matches(_ORIGIN, of.origin),
    "version": lambda of: _whole(of.version, 1, 2**31 - 1),
    "previous": _follows_form,
    "members": _members_right,
    "weights": _weights_right,
    "floor": lambda of: _whole(of.floor, 0, WHOLE // len(of.members)),
    "rounding": lambda of: _is_member(of, of.rounding),
    "currency": lambda of: _matches(_CURRENCY, of.currency),
    "window_days": lambda of: _whole(of.window_days, 0, MAX_DAYS),
    "payer": lambda of: _is_member(of, of.payer),
    "per_job": lambda of: _whole(of.per_job, 0, MAX_AMOUNT),
    "entered": lambda of: isinstance(of.entered, bool) and (of.entered or of.per_job > 0),
    "unscored": lambda of: of.unscored in get_args(Unscored),
    "kinds": lambda of: (
        all(_matches(_JOB_KIND, one) for one in of.kinds)
        and len(set(of.kinds)) == len(of.kinds) <= MAX_KINDS
    ),
}
"""Field → whether it is as the format demands."""


@dataclass(frozen=True)
class SignedAgreement:
    """An agreement with base64 signatures of kind `KIND`, by organisation."""

    agreement: Agreement
    signatures: Mapping[str, str] = field(default_factory=dict)

    def sign(self, organisation: str, key: crypto.SigningKey) -> SignedAgreement:
        """Return it with one more signature."""
        return self.with_signature(organisation, key.sign(KIND, self.agreement.json()))

    def with_signature(self, organisation: str, signature: str) -> SignedAgreement:
        """Return it with a signature that somebody hands in (`agreement_not_signed` if none is).

        The key is the agreement's own for the organisation.
        """
        key = self.agreement.keys.get(organisation, "")
        if not key or not crypto.verify(key, KIND, self.agreement.json(), signature):
            raise SecureFlowError(
                "agreement_not_signed",
                Text("{name} did not sign this agreement.", name=organisation),
                "Ask its agent for the signature: secureflow agent revenue sign.",
            )
        return SignedAgreement(self.agreement, {**self.signatures, organisation: signature})

    def signers(self, keys: Mapping[str, str]) -> frozenset[str]:
        """Return the organisations among `{organisation: key}` whose signatures hold."""
        message = crypto.signed_message(KIND, self.agreement.json())
        return frozenset(
            name
            for name, signature in self.signatures.items()
            if name in keys and crypto.holds(keys[name], message, signature)
        )

    def json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"agreement": self.agreement.json(), "signatures": dict(self.signatures)}

    @classmethod
    def from_json(cls, value: Any) -> SignedAgreement:
        """Build one from foreign JSON; raises `malformed_agreement`."""
        body = exact(value, {"agreement", "signatures"}, "signed agreement")
        signatures = body["signatures"]
        if not isinstance(signatures, dict) or len(signatures) > MAX_MEMBERS:
            raise malformed("signatures")
        short = (isinstance(one, str) and len(one) <= _MAX_SIGNATURE for one in signatures.values())
        if not all(short):
            raise malformed("signatures")
        return cls(Agreement.from_json(body["agreement"]), signatures)


def needed(before: Agreement | None, after: Agreement) -> tuple[frozenset[str], int]:
    """Return who must have signed a version, and how many of the version before.

    Every member of the first; of a later one those that it binds anew. A member whose key changed
    is bound anew: nobody knows the new key but by its signature.
    """
    if before is None:
        return frozenset(after.keys), 0
    anew = {name for name, key in after.keys.items() if before.keys.get(name) != key}
    if after.payer != before.payer:
        anew.add(after.payer)
    return frozenset(anew), quorum_of(len(before.members))


def accepted(before: Agreement | None, candidate: SignedAgreement) -> bool:
    """Tell whether enough have signed a version to follow the one before.

    Raises:
        SecureFlowError: `agreement_mismatch` if it does not follow.
    """
    after = candidate.agreement
    check_follows(before, after)
    must, most = needed(before, after)
    if not must <= candidate.signers(after.keys):
        return False
    # A member signs with the key that stands in the version before, or with its new one.
    old = {} if before is None else before.keys
    kept = {name: after.keys.get(name, key) for name, key in old.items()}
    return len(candidate.signers(kept)) >= most


def keys_since(
    agreements: Iterable[Agreement], agreement: Agreement, organisation: str
) -> tuple[str, ...]:
    """Return the keys under which a member signs in settlements of a version.

    Its own there, and those of later versions: a member whose key changed signed that version with
    the new one, and is still due, and still owes, what was settled before.

    Args:
        agreements: versions that stand or stood.
        agreement: the settlement's.
        organisation: the member; who is none of that version signs nothing.
    """
    if organisation not in agreement.keys:
        return ()
    later = [one for one in agreements if one.version > agreement.version]
    found = [one.keys.get(organisation, "") for one in (agreement, *later)]
    return tuple(dict.fromkeys(filter(None, found)))


def check_follows(before: Agreement | None, after: Agreement) -> None:
    """Refuse a version that is not the next one of the same project (`agreement_mismatch`)."""
    expected = (1, "") if before is None else (before.version + 1, before.digest)
    same = before is None or (before.project, before.origin) == (after.project, after.origin)
    if not same or (after.version, after.previous) != expected:
        raise SecureFlowError(
            "agreement_mismatch",
            Text(
                "Version {version} of the revenue agreement does not follow the one that stands.",
                version=after.version,
            ),
            "Ask for the versions in between, or have it drafted again.",
        )


def check_charter_keys(agreement: Agreement, keys: Mapping[str, str]) -> None:
    """Refuse an agreement whose keys are not those of the pinned charter (`agreement_altered`)."""
    strange = sorted(name for name, key in agreement.keys.items() if keys.get(name) != key)
    if strange:
        raise SecureFlowError(
            "agreement_altered",
            Text(
                "The revenue agreement names keys that the pinned charter does not have: {names}.",
                names=", ".join(strange),
            ),
            "Do not sign it. Compare the charter with the other members.",
            {"members": strange},
        )


def exact(value: Any, names: set[str], what: str) -> dict[str, Any]:
    """Return an object of exactly these members as a new one; raises `malformed_agreement`."""
    if not isinstance(value, dict) or set(value) != names:
        raise malformed(what)
    return dict(value)


def malformed(name: str) -> SecureFlowError:
    """Return the error of a field."""
    return SecureFlowError(
        "malformed_agreement",
        Text("The revenue agreement is malformed: {field}.", field=name),
        "docs/revenue.md says what each field may be.",
    )
