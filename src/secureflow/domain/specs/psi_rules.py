"""Contradictions between the fields of an intersection's spec: each is told by field and reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from secureflow.domain.specs.base import Problem, refuse
from secureflow.domain.specs.psi import ENGINES, MATCHED, ROW, SMALL, PsiSide, PsiSpec
from secureflow.domain.specs.rosterrules import roster_problem
from secureflow.kit.text import Text

_ASKS_OTHERS: Final = frozenset({"right", "full"})
_OF_TWO: Final = frozenset({"left", "right", "full"})
"""Joins that hand rows over which do not match, where all learn."""


def check_psi(spec: PsiSpec) -> None:
    """Refuse contradictions between fields.

    Raises:
        SecureFlowError: `contradictory_spec` naming the field and the reason.
    """
    rules: tuple[Callable[[PsiSpec], Problem | None], ...] = (
        *(_roster_rules, _side_rules, _receiver_rules, _protocol_rules),
        *(_join_rules, _granted_rules, _minimum_rules),
    )
    refuse(next((found for rule in rules if (found := rule(spec))), None))


def _roster_rules(spec: PsiSpec) -> Problem | None:
    return roster_problem(spec, 2)


def _side_rules(spec: PsiSpec) -> Problem | None:
    named = tuple(one.party for one in spec.sides)
    if named != spec.parties:
        missing = next((one for one in spec.parties if one not in named), "")
        strange = next((one for one in named if one not in spec.parties), "")
        reason: str = (
            Text("the columns of {party} are missing", party=missing)
            if missing
            else Text("{party} is not on the roster", party=strange)
            if strange
            else "it does not list each party once, in the roster's order"
        )
        return "columns", reason, "Name the key columns of each party that takes part."
    return next(filter(None, map(_side_problems(spec), spec.sides)), None)


def _side_problems(spec: PsiSpec) -> Callable[[PsiSide], Problem | None]:
    def problem(side: PsiSide) -> Problem | None:
        place = f"columns.{side.party}"
        if len(side.key) != len(spec.key.parts):
            reason: str = Text(
                "its key has {count} {count:column|columns}, and {rules} {rules:rule|rules} are "
                "named",
                count=len(side.key),
                rules=len(spec.key.parts),
            )
            return f"{place}.key", reason, "Name one column of each party for each rule of `key`."
        for name, columns in (("key", side.key), ("granted", side.granted)):
            twice = next((one for one in columns if columns.count(one) > 1), None)
            if twice is not None:
                reason = Text("{column!r} is listed twice", column=twice)
                return f"{place}.{name}", reason, "List each column once."
        both = next((one for one in side.granted if one in side.key), None)
        if both is not None:
            reason = Text("{column!r} is a column of the key already", column=both)
            return f"{place}.granted", reason, "Leave it out."
        return None

    return problem


def _receiver_rules(spec: PsiSpec) -> Problem | None:
    if spec.receiver not in spec.parties:
        reason: str = Text("{party} is not on the roster", party=spec.receiver)
        return "receiver", reason, "Name a party that takes part."
    if len(spec.roster) > 2 and spec.learns == "size":
        reason = (
            "no protocol here tells how many keys more than two parties share without telling one "
            "of them how many, or which, it shares with a single other one"
        )
        return "learns", reason, "Name the party that learns the keys, or all."
    return None


def _protocol_rules(spec: PsiSpec) -> Problem | None:
    needed = ENGINES[spec.protocol]
    if spec.engine.name != needed:
        reason: str = Text(
            "{engine} has no protocol {protocol}", engine=spec.engine.name, protocol=spec.protocol
        )
        return "protocol", reason, Text("The engine of it is {engine}.", engine=needed)
    if spec.learns == "size" and spec.protocol != "openmined":
        reason = Text(
            "with {protocol} the receiver learns which of its keys match, not only how many",
            protocol=spec.protocol,
        )
        return "protocol", reason, "Name openmined, whose receiver can be told the size alone."
    if spec.protocol == "openmined" or spec.size_first:
        many = next((one for one in spec.sides if one.most_rows > SMALL), None)
        if many is not None:
            reason = Text(
                "{party} may bring {count} keys, and the protocol openmined takes {most} at most",
                party=many.party,
                count=many.most_rows,
                most=SMALL,
            )
            return "most_rows", reason, "Lower it, or name another protocol without size_first."
    return None


def _join_rules(spec: PsiSpec) -> Problem | None:
    if spec.learns == "size" and spec.join != "inner":
        return "join", "a number has no rows", "Leave join out, or say who learns the keys."
    if spec.join in _ASKS_OTHERS and spec.learns != "all":
        reason: str = Text(
            "rows of the other party that do not match come only from a party that learns which do",
        )
        hint = "Set learns to all, or join to inner or left."
        return "join", reason, hint if len(spec.roster) == 2 else "Set join to inner or left."
    if spec.tells_others and spec.join in _OF_TWO:
        reason = "rows that do not match are handed over between two parties only"
        return "join", reason, "Set join to inner or difference, or say which party learns."
    return None


def _granted_rules(spec: PsiSpec) -> Problem | None:
    theirs = next((one for one in spec.sides if one.granted and one.party != spec.receiver), None)
    if theirs is not None and spec.learns == "one":
        reason: str = Text(
            "{party} would have to learn which of its rows match, to hand their columns over",
            party=theirs.party,
        )
        hint = "Set learns to all, or leave its granted columns out."
        return f"columns.{theirs.party}.granted", reason, hint
    granting = next((one for one in spec.sides if one.granted), None)
    if granting is not None and spec.learns == "size":
        return (
            f"columns.{granting.party}.granted",
            "a number has no columns",
            "Leave them out, or say who learns the keys.",
        )
    handed = granting if spec.learns == "all" else theirs
    if handed is not None and spec.join == "difference":
        return (
            f"columns.{handed.party}.granted",
            "rows without a match have no columns of another party",
            "Leave them out, or set join to inner.",
        )
    return next(_clashes(spec), None)


def _clashes(spec: PsiSpec) -> Iterator[Problem]:
    """Yield columns whose names would stand twice in a result."""
    hint = "Leave it out, or have its owner name it otherwise."
    for side in spec.sides:
        for name in (*side.key, *side.granted):
            if name in {ROW, MATCHED}:
                place = "key" if name in side.key else "granted"
                reason = Text("a column of the result is called {column!r} already", column=name)
                yield f"columns.{side.party}.{place}", reason, hint
    for reader in (spec.side(one) for one in spec.learners):
        for other in (spec.side(one) for one in spec.others(reader.party)):
            twice = next((one for one in other.granted if one in reader.columns), None)
            if twice is not None:
                reason = Text("{party} has a column {column!r} as well", party=reader.party,
                              column=twice)  # fmt: skip
                yield f"columns.{other.party}.granted", reason, hint


def _minimum_rules(spec: PsiSpec) -> Problem | None:
    if spec.size_first and not spec.minimum:
        reason = "there is no minimum that the size could be compared with"
        return "size_first", reason, "Set minimum, or leave size_first out."
    if spec.size_first and (len(spec.roster) != 2 or spec.learns != "one"):
        reason = "it tells the size to the one party that does not receive"
        return "size_first", reason, "Use two parties, of which one learns the keys."
    least = min(one.most_rows for one in spec.sides)
    if spec.minimum > least:
        return "minimum", "a party may not bring that many keys", "Lower it, or raise most_rows."
    return None
