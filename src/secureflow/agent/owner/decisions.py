"""What this organisation's policies and rules decide about a request, and why.

The policies (Cedar files) allow, refuse or ask; rules of `agent.yaml` (`consent.two_people`) and
annotations of policies say which requests two people must decide, whatever a policy would allow.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from secureflow.agent.owner.twopeople import TWO, reasons_for_two
from secureflow.agent.settings import TwoPeopleRule
from secureflow.application.ports.policies import Explaining, Policies
from secureflow.domain.policies import Decision
from secureflow.domain.specs.bundles import CODE_FACTS
from secureflow.kit.canonical import JSON

_NEAREST: Final = 3
"""Policies that nearly decided, of which people are told."""


class Decisions:
    """Decides what needs no person, and says who must decide the rest.

    Args:
        policies: the owner's; a reload replaces them.
        two_people: returns the rules in force by which two people decide.
    """

    def __init__(
        self, policies: Policies, two_people: Callable[[], Iterable[TwoPeopleRule]] = tuple
    ) -> None:
        self.policies = policies
        self._rules = two_people

    def decision(self, request: Mapping[str, JSON]) -> Decision:
        """Return the decision of policies, and of the rules for two people."""
        decision = self.by_policies(request)
        if decision.effect == "refuse":
            return decision
        two = self._by_two(request, decision)
        if not two:
            return decision
        asked = decision.reasons if decision.effect == "ask" else ()
        return Decision("ask", (*asked, TWO, *two), two)

    def by_policies(self, request: Mapping[str, JSON]) -> Decision:
        """Return the policies' decision; what leaves more is allowed by policies that look at it.

        Policies that would allow the same job without any code, and with any other code, were
        written about data, often before a job could bring code: a person decides then. The same of
        policies that would allow a job also if it released no figures of this party alone, or
        handed nothing over, told nobody which keys match, computed on no shares, or asked the same
        parties in each round. A job that does several of these needs one policy that looks at all
        of them: two that look at one each were not written about both together.
        """
        decision = self.policies.decide(request)
        if decision.effect != "allow":
            return decision
        deciding = {*decision.reasons}
        for name, (others, asked) in MORE.items():
            if request.get(name):
                deciding &= self._looking(request, decision, others())
                if not deciding:
                    return Decision("ask", (asked,), decision.two_people)
        return decision

    def _looking(
        self, request: Mapping[str, JSON], decision: Decision, others: Iterable[Mapping[str, JSON]]
    ) -> set[str]:
        """Return the policies that do not decide alike about each of the changed requests."""
        looking: set[str] = set()
        for changes in others:
            found = self.policies.decide({**request, **changes})
            looking |= {*decision.reasons} - (
                {*found.reasons} if found.effect == "allow" else set()
            )
        return looking

    def two_people(self, request: Mapping[str, JSON]) -> tuple[str, ...]:
        """Return why two people must decide a request, by the owner's rules and policies.

        One that an older version asked about may lack facts that policies look at: it is checked
        again, with all of them, before anything is signed.
        """
        try:
            decision = self.policies.decide(request)
        except KeyError:
            decision = Decision("ask")
        return self._by_two(request, decision)

    def _by_two(self, request: Mapping[str, JSON], decision: Decision) -> tuple[str, ...]:
        """Return why two people must decide: what they decide once, they decide as a timetable."""
        found = (*reasons_for_two(self._rules(), request), *decision.two_people)
        if isinstance(kind := request.get("of"), str):
            once = {**request, "kind": kind}
            found += reasons_for_two(self._rules(), once)
            with contextlib.suppress(KeyError):  # facts that an example left out
                found += self.policies.decide(once).two_people
        return tuple(dict.fromkeys(found))

    def explained(self, request: Mapping[str, JSON]) -> dict[str, JSON]:
        """Return the decision of policies and rules on a request, and which nearly decided.

        Returns:
            `effect`; `by`: what decided, the policies by which two people must first, or why
            nothing did; `two_people`: why two people must;
            `nearly`: up to three policies that permit, each with its `title` and what is `missing`.
        """
        decision = self.decision(request)
        permits = self.by_policies(request).reasons if decision.two_people else ()
        policies = self.policies
        near = policies.explain(request) if isinstance(policies, Explaining) else ()
        missed = [one for one in near if one.missing][:_NEAREST]
        return {
            "effect": decision.effect,
            "by": list(dict.fromkeys((*permits, *decision.reasons))),
            "two_people": list(self._by_two(request, decision)),
            "nearly": [{"title": one.title, "missing": list(one.missing)} for one in missed],
        }

    def suggestion(
        self, request: Mapping[str, JSON], *, allow: bool, name: str, two: str
    ) -> str | None:
        """Return a policy's text that decides such a request so; None if these draft none."""
        policies = self.policies
        if not isinstance(policies, Explaining):
            return None
        return policies.suggest(request, allow=allow, name=name, two=two)


def _other_code() -> tuple[Mapping[str, JSON], ...]:
    """Return the changes of a request that make it one without code, and one with other code."""
    return dict.fromkeys(CODE_FACTS, ""), {"bundle_digest": secrets.token_hex(32)}


MORE: Final[Mapping[str, tuple[Callable[[], tuple[Mapping[str, JSON], ...]], str]]] = {
    "bundle_digest": (_other_code, "no policy decides about the code that the job brings"),
    "per_party": (
        lambda: ({"per_party": 0},),
        "no policy decides about figures of this party alone",
    ),
    "deliver": (lambda: ({"deliver": ""},), "no policy decides about whom predictions go to"),
    "learns": (lambda: ({"learns": ""},), "no policy decides about who learns which keys match"),
    "engine_program": (
        lambda: ({"program": "", "engine_program": ""},),
        "no policy decides about programs that compute on shares",
    ),
    "small_leaves": (
        lambda: ({"small_leaves": 0},),
        "no policy decides about leaves of fewer rows than usual",
    ),
    "parties_per_round": (
        lambda: ({"parties_per_round": 0},),
        "no policy decides about rounds that ask other parties each time",
    ),
    "granted": (lambda: ({"granted": ()},), "no policy decides about columns beside the key"),
}
"""What leaves more than the same job without it: the requests without it, and why one asks."""
