"""Descriptions of jobs whose parties compute with one another, for people who decide about data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.cli.escaping import plain
from secureflow.cli.texts import listed, said, t
from secureflow.domain.schemas import most_rows
from secureflow.domain.securitylabel import SecurityLabel
from secureflow.domain.specs.jointsums import SumsQuery
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.domain.specs.mpc_programs import entry_of
from secureflow.domain.specs.psi import PsiSide, PsiSpec
from secureflow.engines.mpc import sharecost
from secureflow.engines.mpc.estimate import estimate
from secureflow.engines.mpc.kind import MPC_ENGINE
from secureflow.engines.mpc.places import length_of
from secureflow.engines.psi import estimate as psi_cost
from secureflow.engines.psi.kind import PSI_ENGINE
from secureflow.engines.psi.label import label_of
from secureflow.engines.psi.sections import JOINS
from secureflow.engines.run.kind import EngineKind

Cost = tuple[Mapping[str, Any], tuple[str, ...]]
"""An estimate, and which of the limits are below it."""


class MpcText:
    """`CliKind`."""

    engine: Final[EngineKind] = MPC_ENGINE

    def task(self, spec: MpcSpec) -> str:
        """Return the program, and what it is asked."""
        if not spec.masked:
            return _run_by_engine(spec)
        asked_for = listed(map(_asked_of, spec.sums.queries))
        return t(
            "{program} by {protocol}: {queries}",
            program=plain(spec.computation.name), protocol=plain(spec.protocol), queries=asked_for,
        )  # fmt: skip

    def leaves(self, spec: MpcSpec) -> str:
        """Return that numbers leave masked, whether they hold noise, and how many there are."""
        if not spec.masked:
            if spec.bundle is not None:
                return t(
                    "WHAT THE PROGRAM OPENS, TO WHOM IT OPENS IT: READ IT. Its files go to {to}",
                    to=listed(spec.learners),
                )
            return t("THE RESULT GOES TO {to}; the others learn how many rows this party brings",
                     to=listed(spec.learners))  # fmt: skip
        count = length_of(spec)
        if spec.privacy is None:
            return t("{count} exact sums, masked; only their total can be opened",
                     count=f"{count:,}")  # fmt: skip
        return t("{count} noised sums, masked; only their total can be opened", count=f"{count:,}")

    def label(self, spec: MpcSpec) -> SecurityLabel | None:
        """Return that of an engine's protocol."""
        if spec.masked:
            return None
        return entry_of(spec.computation.name).protocols[spec.protocol].label

    def takes(self, spec: MpcSpec, rows: str) -> Cost:
        """See `CliKind.takes`; a program of others is not estimated."""
        if spec.masked:
            return estimate(length_of(spec), len(spec.roster)), ()
        if spec.protocol in sharecost.SHARES and rows:
            found = sharecost.share_estimate(spec, most_rows(rows))
            return found, tuple(sharecost.below(spec, found))
        return {}, ()


def holds(label: SecurityLabel) -> str:
    """Return against whom a protocol among peers holds, and what those who collude learn."""
    against = (
        t("against parties that follow the protocol, and nobody who does not")
        if label.adversary == "semi-honest"
        else t("against parties that may do anything")
    )
    return t("; ").join((against, said(label.threshold), said(label.collusion)))


def _run_by_engine(spec: MpcSpec) -> str:
    """Return an engine's program, what runs it, and what each party brings."""
    sides = t("; ").join(
        t("{party} by {columns}", party=one.party, columns=listed(map(plain, one.columns)))
        if one.columns
        else t("{party} computes along", party=one.party)
        for one in spec.sides
    )
    engine = "" if spec.engine is None else f"{spec.engine.name} {plain(spec.engine.version)}"
    if (own := spec.of_others) is not None:
        arguments = " ".join(map(plain, own.arguments)) or "-"
        return t(
            "{entry} of the bundle {digest}, by {protocol} of {engine}, with the arguments "
            "{arguments}: {sides}",
            entry=plain(own.bundle.entry), digest=own.bundle.digest, protocol=spec.protocol,
            engine=engine, arguments=arguments, sides=sides,
        )  # fmt: skip
    return t(
        "{program} by {protocol} of {engine}: {sides}",
        program=plain(spec.computation.name), protocol=spec.protocol, engine=engine, sides=sides,
    )  # fmt: skip


def _asked_of(query: SumsQuery) -> str:
    """Return a query in its own words, with what it is told by."""
    told = " ".join((query.measure, ", ".join(map(plain, query.columns)))).rstrip()
    if query.by is not None:
        told += f" / {plain(query.by)}"
    if (keys := query.keys) is not None:
        told += t(
            " / each of {count} keys of {column} from {first} on",
            count=f"{keys.count:,}", column=plain(keys.column), first=str(keys.first),
        )  # fmt: skip
    return told


class PsiText:
    """`CliKind`."""

    engine: Final[EngineKind] = PSI_ENGINE

    def task(self, spec: PsiSpec) -> str:
        """Return whose keys are compared, by which columns and rules, and by what."""
        rules = listed(one.rule for one in spec.key.parts)
        sides = t("; ").join(
            t("{party} by {columns}", party=one.party, columns=listed(map(plain, one.key)))
            for one in spec.sides
        )
        told = t(
            "private set intersection ({join}) of keys ({rules}), {protocol} by {engine} "
            "{version}: {sides}",
            join=t(JOINS[spec.join]), rules=rules, protocol=spec.protocol, engine=spec.engine.name,
            version=plain(spec.engine.version), sides=sides,
        )  # fmt: skip
        if spec.minimum:
            least = t("not shown with fewer than {count} matches", count=spec.minimum)
            told = t("{told}; {start}", told=told, start=least)
        return told

    def leaves(self, spec: PsiSpec) -> str:
        """Return who learns which keys match, and which columns go to whom."""
        if spec.learns == "size":
            told = t("how many keys match: {to} LEARNS THE NUMBER, and not which", to=spec.receiver)
        elif spec.learns == "all":
            told = t("WHICH KEYS MATCH: EVERY PARTY LEARNS IT")
        else:
            told = t("WHICH OF ITS KEYS MATCH: {to} LEARNS IT", to=spec.receiver)
        if len(spec.roster) > 2:
            pairs = t("{to} ALSO LEARNS WHICH EACH SINGLE ONE OF THE OTHERS HAS", to=spec.receiver)
            told = t("{told}; {start}", told=told, start=pairs)
        for one in spec.sides:
            if one.granted and spec.hands_over(one.party):
                told = t("{told}; {start}", told=told, start=_handed(spec, one))
        if spec.tells_size:
            everybody = t("HOW MANY MATCH IS TOLD TO EVERYBODY WITH THE REPORT")
            told = t("{told}; {start}", told=told, start=everybody)
        return t("{told}; {start}", told=told, start=t("each learns how many keys the others have"))

    def label(self, spec: PsiSpec) -> SecurityLabel | None:
        """Return that of the engine's protocol."""
        return label_of(spec)

    def takes(self, spec: PsiSpec, rows: str) -> Cost:
        """See `CliKind.takes`."""
        del rows
        return psi_cost.estimate(spec), tuple(psi_cost.below(spec))


def _handed(spec: PsiSpec, side: PsiSide) -> str:
    """Return to whom a party's columns go."""
    columns = listed(map(plain, side.granted))
    if len(spec.roster) > 2:
        return t("{columns} of {party}'s rows go to all others", columns=columns, party=side.party)
    return t("{columns} of {party}'s rows go to the other party",
             columns=columns, party=side.party)  # fmt: skip
