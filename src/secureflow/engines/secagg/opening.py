"""The two halves of an aggregator whose vectors travel separately from its other frames.

The *conductor* handles everything but the vectors: keys, shares, votes. It decides whom to ask what
and finally returns what opens the sum (`Opened`). The adder of the vectors (the centre, or the
enclave if they are sealed to one) needs nothing else: it adds ring elements, checks the
certificate and every secret against what its party signed, and removes the masks (`open_sum`).

An `Opened` is not secret from the aggregator: t parties revealed it to open this one sum. It is
useless for any other: each mask is bound to its round's context.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from secureflow.domain.specs.base import dump, parse
from secureflow.engines.closing import Certificate, verify_certificate
from secureflow.engines.secagg import messages
from secureflow.engines.secagg.aggregator import Aggregator
from secureflow.engines.secagg.encoding import total_weight
from secureflow.engines.secagg.guards import STAGE
from secureflow.engines.secagg.masks import Ring
from secureflow.engines.secagg.messages import RoundKey
from secureflow.engines.secagg.plan import MAX_PARTIES, MaskingPlan
from secureflow.engines.secagg.recovery import RevealedShares, unmask
from secureflow.engines.secagg.shares import commit, public_text
from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


@dataclass(frozen=True)
class Opened:
    """The keys, certificate and secrets that open one sum.

    Args:
        model: the value that the round's context binds as the model.
        keys: the round keys of the context, in its order.
        certificate: t votes on who survived.
        secrets: per party of the context: b of a survivor, s of a dead party (32 bytes).
    """

    model: str
    keys: tuple[RoundKey, ...]
    certificate: Certificate
    secrets: Mapping[str, bytes] = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "model": self.model,
            "keys": [dump(key) for key in self.keys],
            "certificate": self.certificate.as_json(),
            "secrets": {party: b64encode(secret) for party, secret in self.secrets.items()},
        }

    @classmethod
    def from_json(cls, value: Any) -> Opened:
        """Read the JSON form; nothing is verified here.

        Raises:
            SecureFlowError: `invalid_secagg_message`, `certificate_malformed`, `vote_malformed`,
                `malformed_base64`.
        """
        known = isinstance(value, dict) and value.keys() == {
            "model", "keys", "certificate", "secrets",
        }  # fmt: skip
        if not known or not isinstance(value["keys"], list) or len(value["keys"]) > MAX_PARTIES:
            raise _invalid("it is not an opened round")
        if not isinstance(value["secrets"], dict) or not isinstance(value["model"], str):
            raise _invalid("its secrets or its model are missing")
        keys = tuple(parse(RoundKey, key, "secagg_message") for key in value["keys"])
        secrets = {str(p): b64decode(str(s), 64) for p, s in value["secrets"].items()}
        return cls(value["model"], keys, Certificate.from_json(value["certificate"]), secrets)


class Conductor(Aggregator):
    """An aggregator that never sees a vector; UPLOAD frames come without theirs."""

    carries = False

    @property
    def roster(self) -> tuple[str, ...]:
        """The parties of the open round's context, in its order."""
        return self._open_round().roster

    def has_keys_of(self, party: str) -> bool:
        """Tell whether the party has sent its sealing key."""
        return party in self._setups

    def behind(self, round_: int) -> tuple[str, ...]:
        """Return the parties whose keys of a coming round are missing, or sealed to too few.

        In the steady state none; all of them once a newcomer has sent its keys.
        """
        coming, known = self._coming.get(round_, {}), set(self._setups)
        return self._order(
            p for p in known if p not in coming or not known - {p} <= set(coming[p].recipients)
        )

    def opened(self) -> Opened:
        """Return what opens the sum.

        Raises:
            SecureFlowError: `too_few_openings`, `share_mismatch` naming the party.
        """
        at = self._open_round()
        _, secrets = self._recovered(at)
        certificate = self.certificate
        if certificate is None:
            raise AssertionError  # every opening carries its party's vote
        return Opened(at.model, at.keys, certificate, secrets)


def open_sum(plan: MaskingPlan, round_: int, opened: Opened, total: Ring) -> int:
    """Check an opening against what its parties signed, unmask in place; return the weight.

    Args:
        plan: the job's plan, from the signed spec.
        round_: the round.
        opened: from outside, unchecked.
        total: the sum of exactly the survivors' masked vectors.

    Raises:
        SecureFlowError: `other_roster`, `unknown_party`, `other_job`, `forged_key`, `stale_key`,
            `certificate_mismatch`, those of `verify_certificate`, `share_mismatch`,
            `sum_inconsistent`. Then the total is unusable.
    """
    context = checked_context(plan, round_, opened)
    answers = RevealedShares(opened.keys, frozenset(opened.certificate.survivors), {})
    _check_secrets(plan, opened, answers.survivors)
    unmask(plan, context, answers, opened.secrets, total)
    return total_weight(plan.encoding, total, len(answers.survivors))


def checked_context(plan: MaskingPlan, round_: int, opened: Opened) -> str:
    """Return the context of the round, if signed keys and the certificate belong to it."""
    names = [key.party for key in opened.keys]
    if not messages.in_roster_order(plan, names) or len(names) < plan.threshold:
        raise SecureFlowError("other_roster", "The parties of the round are not the spec's.")
    for key in opened.keys:
        messages.check_statement(plan, key)
        if key.round != round_:
            raise SecureFlowError(
                "stale_key",
                Text("{party}'s key is of round {round}.", party=key.party, round=key.round),
            )
    listed = [(key.party, key.digest) for key in opened.keys]
    context = plan.context(round_, opened.model, listed)
    question = opened.certificate.question
    if (*question.slot, question.context) != (plan.job, round_, STAGE, context):
        raise SecureFlowError(
            "certificate_mismatch",
            Text(
                "The certificate closes another round, roster or model than round {round}.",
                round=round_,
            ),
        )
    verify_certificate(opened.certificate, plan.keys, plan.threshold)
    if not set(question.survivors) <= set(names):
        raise SecureFlowError("other_roster", "A survivor is not in the round's context.")
    return context


def _check_secrets(plan: MaskingPlan, opened: Opened, survivors: frozenset[str]) -> None:
    for key in opened.keys:
        secret = opened.secrets.get(key.party, b"")
        if key.party in survivors:
            fits = commit(plan.job, key.round, key.party, secret) == key.commitment
        else:
            fits = len(secret) == 32 and (
                public_text(X25519PrivateKey.from_private_bytes(secret)) == key.key
            )
        if not fits:
            raise SecureFlowError(
                "share_mismatch",
                Text(
                    "What is said to open {party}'s part is not what {party} committed to.",
                    party=key.party,
                ),
                "Nothing was released.",
                {"party": key.party},
            )


def _invalid(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_secagg_message", Text("The opening cannot be read: {reason}.", reason=reason)
    )
