"""Which parties a round of training asks, where a plan asks fewer than all (`parties_per_round`).

The draw follows from the spec that all have signed and from the round's number, so nobody chooses
who takes part once it is signed: neither the centre nor a party. Who writes the spec can try
several and submit one of which the draw suits. A party that was not drawn refuses the round, the
others sign for nobody who was not, and an enclave takes no update of such a party.

Rounds over different sets are equations: their total weights tell each party's rows, and where the
model hardly moves between them (a small step at the server is enough) their means tell each party's
update. So a release hides a party among no others (`contributors.hidden_among`), whatever the
fewest contributors of one sum.

What bounds the number from below is the closing certificate: t of the roster sign each round's
contributors, and whoever signs has contributed (McMahan et al. 2017 ask a fraction C of the clients
in each round; here C is at least t of N).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from secureflow.domain.quorum import threshold_of
from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.families import BY_SUMS
from secureflow.domain.specs.leavingrows import part_problem
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_WHERE = "plan.parties_per_round"


def drawn_parties(spec: TrainingSpec, digest: str, number: int) -> tuple[str, ...]:
    """Return the parties that a round of `train` asks, in the roster's order.

    Args:
        spec: the signed spec.
        digest: its hex digest.
        number: the round's, from 1.
    """
    count = spec.plan.parties_per_round
    if count is None:
        return tuple(spec.parties)
    chosen = sorted(spec.parties, key=lambda party: _lot(digest, number, party))[:count]
    return tuple(party for party in spec.parties if party in chosen)


def _lot(digest: str, number: int, party: str) -> bytes:
    return hashlib.sha256(f"{digest}\n{number}\n{party}".encode()).digest()


def check_drawn(spec: TrainingSpec, digest: str, number: int, party: str) -> None:
    """Refuse a round for which a party was not drawn.

    Raises:
        SecureFlowError: `not_drawn`.
    """
    if party in drawn_parties(spec, digest, number):
        return
    raise SecureFlowError(
        "not_drawn",
        Text("{party} was not drawn for round {number}.", party=party, number=number),
        "The draw follows from the signed spec. Whoever asks all the same chooses contributors.",
    )


def check_survivors(spec: TrainingSpec, digest: str, number: int, survivors: Sequence[str]) -> None:
    """Refuse a set of contributors with a party in it that was not drawn for the round.

    Raises:
        SecureFlowError: `survivors_undrawn`.
    """
    others = sorted(set(survivors) - set(drawn_parties(spec, digest, number)))
    if not others:
        return
    raise SecureFlowError(
        "survivors_undrawn",
        Text(
            "{parties} contributed to round {number}, and was not drawn for it.",
            parties=", ".join(others),
            number=number,
        ),
        "The draw follows from the signed spec. Whoever takes others chooses contributors.",
    )


def round_parties_problem(spec: TrainingSpec) -> Problem | None:
    """Return why a job cannot ask so many parties in a round, or None."""
    count = spec.plan.parties_per_round
    return None if count is None else _all_needed(spec) or _number(spec, count)


def _all_needed(spec: TrainingSpec) -> Problem | None:
    """Check that a round may leave parties out."""
    if isinstance(spec.model, XgboostModel):
        reason: str = "a level of a tree is a round, and a tree is grown from the same rows"
        return _WHERE, reason, "Remove it."
    if spec.model.family in BY_SUMS:
        # Of one round the rest would be left out; once K-means stands still, its model follows from
        # who was asked, comes again with other parties, and masks refuse it (`model_repeated`).
        reason = Text(
            "the next model of {family} is a mean over the rows of whoever was asked, not a step",
            family=spec.model.family,
        )
        return _WHERE, reason, "Remove it."
    if spec.privacy is not None:
        reason = "what a round hides is counted for all parties"
        return _WHERE, reason, "Remove it; privacy.sampling draws records."
    return None if spec.part_of is None else part_problem(spec)


def _number(spec: TrainingSpec, count: int) -> Problem | None:
    roster = len(spec.roster)
    if count >= roster:
        reason: str = Text("the job has {count} parties", count=roster)
        return _WHERE, reason, "Remove it: every round asks all then."
    least = max(threshold_of(roster), spec.min_contributors)
    if count < least:
        reason = Text(
            "{least} of {count} parties must contribute to a round and sign for it",
            least=least,
            count=roster,
        )
        return _WHERE, reason, Text("Write {least} or more.", least=least)
    return None
