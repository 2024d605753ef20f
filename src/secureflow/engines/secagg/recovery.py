"""From shares to secrets to the sum: the aggregator's work once t parties have answered.

A survivor's self-mask seed b and a dead party's mask key s are rebuilt and *checked*: b against the
commitment in the signed round key, s against the public key. So a wrong share never gives a wrong
sum. With more than t answers one liar at a time is found by leaving it out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from secureflow.engines.secagg.masks import Ring, add_masks, pair_key, self_key
from secureflow.engines.secagg.messages import RoundKey
from secureflow.engines.secagg.plan import MaskingPlan
from secureflow.engines.secagg.shamir import combine, lagrange
from secureflow.engines.secagg.shares import agree, commit, public_text
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


@dataclass(frozen=True)
class RevealedShares:
    """The shares that the parties revealed in a round.

    Args:
        keys: the round keys of the context, in its order.
        survivors: the parties whose vectors were summed.
        shares: party → one share per key: of b for a survivor, of s for a dead party.
    """

    keys: tuple[RoundKey, ...]
    survivors: frozenset[str]
    shares: Mapping[str, Sequence[int]] = field(repr=False)


def recover(plan: MaskingPlan, answers: RevealedShares) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Rebuild one secret per party of the context.

    Returns:
        The secrets, and the parties that were left out because their shares were wrong.

    Raises:
        SecureFlowError: `share_mismatch` naming the party whose secret cannot be rebuilt.
    """
    holders = [p for p in plan.index if p in answers.shares]
    liars: list[str] = []
    found: dict[str, bytes] = {}
    coefficients = _coefficients(plan, holders)
    for place, key in enumerate(answers.keys):
        secret = _rebuild(plan, answers, place, holders, coefficients)
        if secret is None:
            liar = _liar(plan, answers, place, holders)
            liars.append(liar)
            holders.remove(liar)
            coefficients = _coefficients(plan, holders)
            secret = _rebuild(plan, answers, place, holders, coefficients)
        if secret is None:
            raise _mismatch(key.party)
        found[key.party] = secret
    return found, tuple(liars)


def unmask(
    plan: MaskingPlan,
    context: str,
    answers: RevealedShares,
    secrets: Mapping[str, bytes],
    total: Ring,
) -> None:
    """Remove every mask that is left in the survivors' sum, in place."""
    plus: list[bytes] = []
    minus: list[bytes] = []
    alive = [k for k in answers.keys if k.party in answers.survivors]
    for key in answers.keys:
        if key.party in answers.survivors:
            minus.append(self_key(secrets[key.party], context))
            continue
        private = X25519PrivateKey.from_private_bytes(secrets[key.party])
        for other in alive:
            # The survivor added this mask if the dead party comes after it, else subtracted it.
            later = plan.index[key.party] > plan.index[other.party]
            agreed = agree(private, other.key, other.party)
            first, second = (other.party, key.party) if later else (key.party, other.party)
            (minus if later else plus).append(pair_key(agreed, context, first, second))
    add_masks(total, plus, minus)


def _coefficients(plan: MaskingPlan, holders: Sequence[str]) -> list[int]:
    return lagrange([plan.index[p] + 1 for p in holders[: plan.threshold]])


def _rebuild(
    plan: MaskingPlan,
    answers: RevealedShares,
    place: int,
    holders: Sequence[str],
    coefficients: Sequence[int],
) -> bytes | None:
    key = answers.keys[place]
    shares = [answers.shares[p][place] for p in holders[: plan.threshold]]
    secret = combine(coefficients, shares)
    if secret is None:
        return None
    if key.party in answers.survivors:
        fits = commit(plan.job, key.round, key.party, secret) == key.commitment
    else:
        fits = public_text(X25519PrivateKey.from_private_bytes(secret)) == key.key
    return secret if fits else None


def _liar(plan: MaskingPlan, answers: RevealedShares, place: int, holders: Sequence[str]) -> str:
    for suspect in holders[: plan.threshold] if len(holders) > plan.threshold else ():
        rest = [p for p in holders if p != suspect]
        if _rebuild(plan, answers, place, rest, _coefficients(plan, rest)) is not None:
            return suspect
    raise _mismatch(answers.keys[place].party)


def _mismatch(party: str) -> SecureFlowError:
    return SecureFlowError(
        "share_mismatch",
        Text("The shares of {party}'s secret do not give what {party} committed to.", party=party),
        "Nothing was released. The party, or one that holds its shares, is faulty.",
        {"party": party},
    )
