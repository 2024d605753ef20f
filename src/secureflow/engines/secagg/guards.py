"""A party's refusals when the aggregator asks who survived.

The rules of every closing (one vote per round, the party's own context, t of the spec's roster, the
party itself not among the dead) are in `engines.closing.may_vote`; the table here holds the
additional rules of a masked sum. A repeated identical question is not refused: it gets the
identical answer (a restarted server needs it and learns nothing new).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from secureflow.domain.quorum import floor_of
from secureflow.engines import closing
from secureflow.engines.closing import Question, Vote
from secureflow.engines.secagg.plan import MaskingPlan
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

STAGE = "secagg"


@dataclass(frozen=True)
class RoundPosition:
    """A party's state in a round.

    Args:
        plan: the job's plan.
        party: its name.
        round: the round's number.
        context: the context under which it masked.
        roster: the parties of that context, towards which it masked.
        masked: whether its vector has been sent.
        vote: the vote that it has cast, if it has.
        least: the minimum number of contributors that its approval accepts.
    """

    plan: MaskingPlan
    party: str
    round: int
    context: str
    roster: tuple[str, ...]
    masked: bool
    vote: Vote | None
    least: int


def _stale_round(at: RoundPosition, asked: Question) -> str | None:
    slot = (at.plan.job, at.round, STAGE)
    if asked.slot == slot:
        return None
    return Text("{asked} is not its open round {slot}", asked=asked.slot, slot=slot)


def _not_masked(at: RoundPosition, _: Question) -> str | None:
    return None if at.masked else "it has not sent its masked vector"


def _active_and_dead(_: RoundPosition, asked: Question) -> str | None:
    both = sorted(set(asked.survivors) & set(asked.dead))
    return Text("{both} are both active and dead", both=", ".join(both)) if both else None


def _other_roster(at: RoundPosition, asked: Question) -> str | None:
    strangers = sorted(set(asked.survivors) - set(at.roster))
    if not strangers:
        return None
    return Text("it did not mask towards {strangers}", strangers=", ".join(strangers))


def _fewer_than_three(at: RoundPosition, asked: Question) -> str | None:
    count = len(asked.survivors)
    if count >= floor_of(len(at.roster)):
        return None
    return Text("a sum of {count} shows single updates", count=count)


RULES: dict[str, Callable[[RoundPosition, Question], str | None]] = {
    "stale_round": _stale_round,
    "not_masked": _not_masked,
    "active_and_dead": _active_and_dead,
    "other_roster": _other_roster,
    "fewer_than_three": _fewer_than_three,
}


def check_question(at: RoundPosition, asked: Question) -> None:
    """Refuse a question that breaks a rule; after this the party may vote.

    Raises:
        SecureFlowError: a code of `RULES`, or `vote_other_context`, `vote_already_cast`,
            `survivors_unknown`, `dead_inconsistent`, `survivors_too_few`, `voted_dead`.
    """
    for code, rule in RULES.items():
        reason = rule(at, asked)
        if reason:
            raise SecureFlowError(
                code,
                Text(
                    "{party} refuses the closing question of round {round}: {reason}.",
                    party=at.party,
                    round=asked.round,
                    reason=reason,
                ),
                "Nothing was revealed. A server that asks this is faulty or hostile.",
                {"party": at.party, "round": asked.round},
            )
    closing.may_vote(
        () if at.vote is None else (at.vote,),
        asked,
        voter=at.party,
        context=at.context,
        roster=at.plan.keys,
        least=at.least,
    )
