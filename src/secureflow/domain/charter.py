"""The charter: who the organisations are, compared out of band once and then pinned.

It holds the log's origin and key and every member's name and Ed25519 signing key. The operator
distributes it but cannot change it: people compare its fingerprint on both screens and every member
signs it (`accept_first`); after that a new version counts only with the signatures of more than two
thirds of the *pinned* version's members (`accept_change`; docs/threat-model.md, "Identity").
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from typing import Any, Literal

from secureflow.domain.continuation import (
    MAX_CONTINUATIONS,
    Continuation,
    check_continuations,
    check_following,
    log_keys,
)
from secureflow.domain.fingerprintwords import WORDS
from secureflow.kit import canonical, crypto
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import hidden
from secureflow.kit.text import Text

MAX_MEMBERS = 1000
RESERVED = frozenset({"server", "enclave", "aggregator"})
"""Authors of ledger leaves that are not organisations; no member may have such a name."""

_ORGANISATION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_TRUST_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9._-]{0,253}[a-z0-9])?")
_ORIGIN = re.compile(r"[!-*,-~]{1,255}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

_FINGERPRINT_BYTES = 12
_MAX_CHARTER_BYTES = 1 << 20


@dataclass(frozen=True)
class Member:
    """One organisation: slug, display name and base64 signing key."""

    organisation: str
    name: str
    key: str


@dataclass(frozen=True)
class Charter:
    """One version of the charter. The order of members is irrelevant: they are kept sorted.

    `previous` is the hex digest of the version before, "" for version 1; `continuations` are the
    rollbacks after which the log continued, and the changes of its key, oldest first.

    Raises:
        SecureFlowError: `malformed_charter` naming the field or member.
    """

    version: int
    trust_domain: str
    origin: str
    log_key: str
    members: tuple[Member, ...]
    previous: str = ""
    continuations: tuple[Continuation, ...] = ()

    def __post_init__(self) -> None:
        _check_head(self)
        check_continuations(self.origin, self.log_key, self.continuations)
        _check_members(self.members, frozenset(self.log_keys.values()))
        ordered = tuple(sorted(self.members, key=lambda member: member.organisation))
        object.__setattr__(self, "members", ordered)

    def json(self) -> dict[str, Any]:
        """Return the JSON body that members sign."""
        members = [vars(member).copy() for member in self.members]
        body = {one.name: getattr(self, one.name) for one in fields(self)}
        body["continuations"] = [one.json() for one in self.continuations]
        if not self.continuations:  # as signed before continuations existed
            del body["continuations"]
        return body | {"members": members}

    @classmethod
    def from_json(cls, value: Any) -> Charter:
        """Build a charter from parsed foreign JSON; raises `malformed_charter`."""
        continuations = _continuations(value)
        body = _exact(value, {one.name for one in fields(cls)} - _without(continuations), "charter")
        listed = body["members"]
        if not isinstance(listed, list) or len(listed) > MAX_MEMBERS:
            raise _malformed(
                Text(
                    "members must be a list of at most {max_members} entries",
                    max_members=MAX_MEMBERS,
                )
            )
        names = {one.name for one in fields(Member)}
        members = tuple(Member(**_exact(one, names, "member")) for one in listed)
        return cls(**(body | {"members": members, "continuations": continuations}))

    @cached_property
    def digest(self) -> str:
        """The hex SHA-256 over the canonical JSON."""
        return canonical.digest(self.json())

    @property
    def keys(self) -> dict[str, str]:
        """Organisation to base64 signing key."""
        return {member.organisation: member.key for member in self.members}

    @property
    def log_keys(self) -> dict[str, str]:
        """Each of the log's names to the key that signs under it."""
        return log_keys(self.origin, self.log_key, self.continuations)

    def fingerprint_words(self, lang: Literal["en", "zh"] = "en") -> str:
        """Return the fingerprint: twelve English words, or the same 96 bits as digit groups.

        The operator could search for two charters with one fingerprint, which for 96 plain bits
        takes 2^48 tries; scrypt (16 MiB, some 50 ms) per try makes that infeasible.
        """
        bits = self._fingerprint
        if lang == "en":
            return " ".join(WORDS[byte] for byte in bits)
        digits = f"{int.from_bytes(bits, 'big'):030d}"
        return " ".join(digits[start : start + 5] for start in range(0, 30, 5))

    @property
    def _fingerprint(self) -> bytes:
        return _stretched(self.digest)


@lru_cache(maxsize=64)
def _stretched(digest: str) -> bytes:
    """Return the stretched digest, cached because it is needed wherever a charter is shown."""
    salt, seed = b"secureflow/v1 charter fingerprint", bytes.fromhex(digest)
    return hashlib.scrypt(seed, salt=salt, n=1 << 14, r=8, p=1, dklen=_FINGERPRINT_BYTES)


@dataclass(frozen=True)
class SignedCharter:
    """A charter with base64 signatures of kind `charter`, by organisation."""

    charter: Charter
    signatures: Mapping[str, str] = field(default_factory=dict)

    def sign(self, organisation: str, key: crypto.SigningKey) -> SignedCharter:
        """Return this charter with one more signature."""
        signature = key.sign("charter", self.charter.json())
        return SignedCharter(self.charter, {**self.signatures, organisation: signature})

    def signers(self, keys: Mapping[str, str]) -> frozenset[str]:
        """Return the organisations, among `{organisation: key}`, whose signatures hold."""
        message = crypto.signed_message("charter", self.charter.json())
        return frozenset(
            organisation
            for organisation, signature in self.signatures.items()
            if organisation in keys and crypto.holds(keys[organisation], message, signature)
        )

    def json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"charter": self.charter.json(), "signatures": dict(self.signatures)}

    @classmethod
    def from_json(cls, value: Any) -> SignedCharter:
        """Build a signed charter from parsed foreign JSON; raises `malformed_charter`."""
        body = _exact(value, {"charter", "signatures"}, "signed charter")
        signatures = body["signatures"]
        if not isinstance(signatures, dict) or len(signatures) > MAX_MEMBERS:
            raise _malformed(
                Text(
                    "signatures must be an object of at most {max_members} entries",
                    max_members=MAX_MEMBERS,
                )
            )
        if not all(isinstance(one, str) and len(one) <= 128 for one in signatures.values()):
            raise _malformed("a signature must be a short string")
        return cls(Charter.from_json(body["charter"]), signatures)

    @classmethod
    def parse(cls, data: bytes | str) -> SignedCharter:
        """Parse a foreign charter file of at most 1 MiB.

        Raises:
            SecureFlowError: `malformed_json`, `malformed_charter`.
        """
        return cls.from_json(canonical.parse_json(data, _MAX_CHARTER_BYTES))


def accept_first(candidate: SignedCharter) -> Charter:
    """Check the charter that is pinned first, once its words were compared, and return it.

    Version 1 needs the signature of every member: an agent signs only a charter that names its own
    key and whose words a person compared, so everyone listed as a member has agreed, and no subset
    of the members can be on a charter that the others were not shown. A later version, which a
    newcomer pins first, needs those of more than two thirds of the members that it names: one
    member that left must not keep newcomers out. Signatures never replace the comparison: anyone
    who makes up a member's key can sign with it (docs/adr/0006).

    Raises:
        SecureFlowError: `charter_not_signed` naming who has not signed.
    """
    charter = candidate.charter
    keys = charter.keys
    # Counted first: otherwise each of N signatures would verify all the earlier ones again.
    offered = keys.keys() & candidate.signatures.keys()
    enough = _all if charter.version == 1 else _most
    signers = candidate.signers(keys) if enough(len(offered), len(keys)) else frozenset(offered)
    if not enough(len(signers), len(keys)):
        needed = "every one" if charter.version == 1 else "more than two thirds"
        missing = sorted(keys.keys() - signers)
        raise SecureFlowError(
            "charter_not_signed",
            Text(
                "Charter version {version} is signed by {count} of its {keys_count} "
                "members; it needs {needed}. Missing: {missing}.",
                version=charter.version,
                count=len(signers),
                keys_count=len(keys),
                needed=needed,
                missing=", ".join(missing),
            ),
            "Each of them compares the words and runs `secureflow agent charter sign`; pin it "
            "after that.",
            {"signed": sorted(signers), "missing": missing},
        )
    return charter


def _all(signed: int, members: int) -> bool:
    return signed == members


def _most(signed: int, members: int) -> bool:
    return 3 * signed > 2 * members


def accept_change(pinned: Charter, candidate: SignedCharter) -> Charter:
    """Return the charter to pin next; the pinned one again when the candidate is the same.

    Raises:
        SecureFlowError: `charter_mismatch` if the candidate does not follow the pinned version;
            `charter_not_signed` without more than two thirds of the pinned version's members.
    """
    new = candidate.charter
    if new == pinned:
        return pinned
    if (new.version, new.previous) != (pinned.version + 1, pinned.digest):
        raise SecureFlowError(
            "charter_mismatch",
            Text(
                "Charter version {version} does not follow the pinned version {pinned_version}.",
                version=new.version,
                pinned_version=pinned.version,
            ),
            "Ask for the versions in between, or compare fingerprints with the other members.",
            {"differences": compare(pinned, new)},
        )
    if new.trust_domain != pinned.trust_domain:
        raise SecureFlowError(
            "charter_mismatch",
            Text(
                "The new charter is for {trust_domain}, the pinned one for {pinned_trust_domain}.",
                trust_domain=new.trust_domain,
                pinned_trust_domain=pinned.trust_domain,
            ),
            "Another trust domain is another consortium: pin its charter as a new one.",
        )
    signers = candidate.signers(pinned.keys)
    if not _most(len(signers), len(pinned.members)):
        raise SecureFlowError(
            "charter_not_signed",
            Text(
                "Charter version {version} has valid signatures of {count} of the "
                "{members_count} pinned members; it needs more than two thirds.",
                version=new.version,
                count=len(signers),
                members_count=len(pinned.members),
            ),
            "Ask the missing members to sign it: secureflow agent charter sign.",
            {"signed": sorted(signers), "missing": sorted(pinned.keys.keys() - signers)},
        )
    check_follows(pinned, new)
    return new


def check_follows(before: Charter, after: Charter) -> None:
    """Refuse a next version that drops a continuation of the log, or adds one with other changes.

    Raises:
        SecureFlowError: `charter_mismatch`.
    """
    check_following(
        (before.origin, before.log_key, before.members, before.continuations),
        (after.origin, after.log_key, after.members, after.continuations),
    )


def is_change_quorum(signed: int, members: int) -> bool:
    """Tell whether this many of a version's members may change it: more than two thirds."""
    return _most(signed, members)


def compare(a: Charter, b: Charter) -> list[str]:
    """Return one line per difference, for people; empty if equal."""
    heads = ("version", "trust_domain", "origin", "log_key", "previous")
    lines: list[str] = [
        Text(
            "{name}: {before} → {after}", name=name, before=before or "none", after=after or "none"
        )
        for name in heads
        if (before := getattr(a, name)) != (after := getattr(b, name))
    ]
    lines += [_line(one) for one in b.continuations if one not in a.continuations]
    old = {member.organisation: member for member in a.members}
    new = {member.organisation: member for member in b.members}
    lines += [
        Text("member {organisation}: removed", organisation=one)
        for one in sorted(old.keys() - new.keys())
    ]
    lines += [
        Text("member {organisation}: added, key {key}", organisation=one, key=new[one].key)
        for one in sorted(new.keys() - old.keys())
    ]
    for one in sorted(old.keys() & new.keys()):
        lines += [
            Text(
                "member {organisation}: {name} {before} → {after}",
                organisation=one,
                name=name,
                before=before,
                after=after,
            )
            for name in ("name", "key")
            if (before := getattr(old[one], name)) != (after := getattr(new[one], name))
        ]
    return lines


def _line(one: Continuation) -> Text:
    if one.changes_key:
        return Text(
            "log {origin}: its key {key} ends with the head of {size} entries: {reason}",
            origin=one.origin,
            key=one.log_key,
            size=one.size,
            reason=one.reason,
        )
    return Text(
        ("log {origin}: rolled back from {size} entries to {start}, {lost} are lost"),
        origin=one.origin,
        size=one.size,
        start=one.start,
        lost=one.lost,
    )


def _check_head(charter: Charter) -> None:
    texts = {
        "trust_domain": (charter.trust_domain, _TRUST_DOMAIN),
        "origin": (charter.origin, _ORIGIN),
    }
    for name, (value, form) in texts.items():
        if not isinstance(value, str) or not form.fullmatch(value):
            raise _malformed(Text("{name} is not as the format requires", name=name))
    if type(charter.version) is not int or not 1 <= charter.version < 1 << 31:
        raise _malformed("version must be a positive integer")
    first = charter.version == 1
    previous = charter.previous
    if not isinstance(previous, str) or not (_DIGEST.fullmatch(previous) or previous == ""):
        raise _malformed("previous must be a hex SHA-256")
    if first != (previous == ""):
        raise _malformed("previous must be empty in version 1 and only there")
    _check_key(charter.log_key, "log_key")


def _check_members(members: tuple[Member, ...], log_keys: frozenset[str]) -> None:
    if not 1 <= len(members) <= MAX_MEMBERS:
        raise _malformed(Text("there must be 1 to {max_members} members", max_members=MAX_MEMBERS))
    for member in members:
        _check_member(member)
    if len({member.organisation for member in members}) != len(members):
        raise _malformed("an organisation is listed twice")
    # One key, one vote: otherwise an operator that shares a member's key would count twice.
    if len({member.key for member in members} | log_keys) != len(members) + len(log_keys):
        raise _malformed("two members, or a member and the log, have the same key")


def _check_member(member: Member) -> None:
    slug, name = member.organisation, member.name
    if not isinstance(slug, str) or not _ORGANISATION.fullmatch(slug) or slug in RESERVED:
        raise _malformed(Text("{name!r:.80} cannot name an organisation", name=slug))
    if not isinstance(name, str) or not 1 <= len(name) <= 200 or hidden(name):
        raise _malformed(
            Text(
                "the name of {organisation} must be a printable string of at most 200 characters",
                organisation=slug,
            )
        )
    _check_key(member.key, Text("the key of {organisation}", organisation=slug))


def _check_key(key: Any, what: str) -> None:
    try:
        crypto.public_key(key if isinstance(key, str) else "")
    except SecureFlowError as error:
        raise _malformed(Text("{what} must be a base64 Ed25519 key", what=what)) from error


def _continuations(value: Any) -> tuple[Continuation, ...]:
    listed = value.get("continuations", []) if isinstance(value, dict) else []
    if not isinstance(listed, list) or len(listed) > MAX_CONTINUATIONS:
        raise _malformed(
            Text(
                "continuations must be a list of at most {max_continuations} entries",
                max_continuations=MAX_CONTINUATIONS,
            )
        )
    if isinstance(value, dict) and "continuations" in value and not listed:
        raise _malformed("continuations is empty: leave it out")
    return tuple(Continuation.from_json(one) for one in listed)


def _without(members: tuple[Continuation, ...]) -> set[str]:
    return set() if members else {"continuations"}


def _exact(value: Any, names: set[str], what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise _malformed(
            Text("a {what} must have exactly {names}", what=what, names=", ".join(sorted(names)))
        )
    return value


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_charter",
        Text("The charter is malformed: {reason}.", reason=reason),
        "Ask its sender for the file again; do not edit a charter by hand.",
    )
