"""Mutated signed documents: webhooks' requests, and the grants that owners sign at their agents.

Whatever is changed of what was signed, of the signature or of what it stands beside: nothing of it
verifies, at whichever end, and nothing is kept of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from peers.agent_world import NOW as AGENT_NOW
from peers.agent_world import World

from secureflow.agent.owner.grants import grant_id
from secureflow.domain.errors import CATALOGUE
from secureflow.domain.grants import KIND, REVOKED, GrantTerms
from secureflow.domain.webhooksignatures import WINDOW_SECONDS, sign_webhook, verify_webhook
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.crypto import verify
from secureflow.kit.errors import SecureFlowError
from tests.fuzz.callers import rows_of
from tests.fuzz.mutations import changed_bytes, changed_text, changed_value, hostile_text
from tests.fuzz.oracle import tell
from tests.seeded import portions
from tests.stage import NOW, Stage, known_key, two_worlds

REPEAT = "python -m pytest tests/fuzz/test_signatures.py -k test_seeds --seeds {}:{}"
SECRET, DELIVERY = "s" * 43, "dlv_01jf2kabcdefghjkmnpq"
BODY: Final = b'{"kind":"job_ended","facts":{"job":"job_01"}}'
KINDS: Final = (REVOKED, "approval", "charter", "vote", "enrol", "")


class Signed:
    """A grant at an agent, the same told to the centre, and both ends."""

    def __init__(self, directory: Path) -> None:
        self.stage: Stage = asyncio.run(two_worlds(directory))
        self.tables = self.stage.database.tables
        self.world = World(directory / "agent")
        terms = GrantTerms("customers", "prj_0123456789", ("age",), AGENT_NOW + 86_400, uses=3)
        grants = self.world.assembly.grants
        self.kept = grants.create(terms)
        self.others = [grants.create(replace(terms, columns=("age", "job"))) for _ in range(2)]
        self.public = self.world.all_keys["bank-a"].public
        self.told, self.signature = self._for_the_centre()

    def _for_the_centre(self) -> tuple[dict[str, Any], str]:
        """Return a grant that bank-a's agent would tell, over a dataset that the centre knows."""
        terms = {"dataset": "customers", "project": self.stage.ids["project"], "columns": ["age"],
                 "expires": NOW + 86_400}  # fmt: skip
        body = {"grant": "", "organisation": "bank-a", "terms": terms, "created": NOW,
                "nonce": "ab" * 16, "proposal": ""}  # fmt: skip
        whole = {**body, "grant": grant_id(body)}
        return whole, known_key("bank-a").sign(KIND, whole)

    async def webhook(self, random: Random) -> tuple[str, bool]:
        """Change one part of a webhook's request."""
        parts: list[Any] = [SECRET, DELIVERY, sign_webhook(SECRET, DELIVERY, BODY, NOW), BODY, NOW]
        at = random.randrange(5)
        others = (sign_webhook(SECRET, DELIVERY, b"{}", NOW), sign_webhook("x", "dlv", BODY, NOW))
        if at == 3:
            parts[3] = changed_bytes(random, BODY)
        elif at == 4:
            parts[4] += random.choice((-1, 1)) * random.randrange(WINDOW_SECONDS + 1, 10**9)
        else:
            text = changed_text(random, parts[at], others)
            # A receiver's own secret is text that it could store.
            # HMAC pads it with zeros, so a zero after it makes no other (RFC 2104, 2).
            parts[at] = text if at else text.encode(errors="replace").decode().rstrip("\0")
        if parts == [SECRET, DELIVERY, sign_webhook(SECRET, DELIVERY, BODY, NOW), BODY, NOW]:
            return "", False
        verify_webhook(*parts)
        return repr(parts), True

    def _mutated(
        self, random: Random, body: dict[str, Any], signature: str, others: tuple[str, ...]
    ) -> tuple[Any, str] | None:
        """Change a signed document or its signature; None where it means the same afterwards."""
        changed, sign = body, signature
        kind = random.randrange(4)
        if kind < 3:
            for _ in range(random.choice((1, 1, 2))):
                changed = changed_value(random, changed)
        if kind > 1:
            sign = changed_text(random, signature, others)
        return None if _same(changed, body) and sign == signature else (changed, sign)

    async def kept_grant(self, random: Random) -> tuple[str, bool]:
        """Change what the agent's own record holds of a grant."""
        others = tuple(one.signature for one in self.others)
        made = self._mutated(random, self.kept.body, self.kept.signature, others)
        if made is None:
            return "", False
        forged = replace(self.kept, body=made[0], signature=made[1])
        if random.random() < 0.2:
            forged = replace(forged, id=random.choice([self.others[0].id, hostile_text(random)]))
        self.world.assembly.grants.terms_of(forged)
        return repr(made), True

    async def told_grant(self, random: Random) -> tuple[str, bool]:
        """Change what an agent tells the centre, or let another organisation tell it."""
        made = self._mutated(random, self.told, self.signature, (self.kept.signature,))
        whose = "bank-a"
        if made is None or random.random() < 0.1:
            whose = random.choice(("bank-b", "outsider", "nobody"))
        body, signature = made or (self.told, self.signature)
        await self.stage.services.datasets.take_grant(whose, body, signature)
        return f"{whose} {made}", True

    async def another_id(self, random: Random) -> tuple[str, bool]:
        """Sign a grant under an id that is not its own: another one's could be hidden by it."""
        named = changed_text(random, self.told["grant"], (self.kept.id,))
        if named == self.told["grant"]:
            return "", False
        body = {**self.told, "grant": named}
        signature = known_key("bank-a").sign(KIND, body)
        await self.stage.services.datasets.take_grant("bank-a", body, signature)
        return named, True

    async def another_kind(self, random: Random) -> tuple[str, bool]:
        """Show a signature of one kind as one of another."""
        kind = random.choice(KINDS)
        held = verify(self.public, kind, self.kept.body, self.kept.signature)
        return kind, held


def _same(one: Any, other: Any) -> bool:
    """Tell whether two documents have one canonical form: then one signature is over both."""
    try:
        return canonical_bytes(one) == canonical_bytes(other)
    except SecureFlowError:
        return False


Attempt = Callable[[Signed, Random], Awaitable[tuple[str, bool]]]
ATTEMPTS: Final[tuple[Attempt, ...]] = (
    *(Signed.webhook, Signed.kept_grant, Signed.told_grant, Signed.told_grant),
    *(Signed.another_id, Signed.another_kind),
)


async def one_case(seed: int, signed: Signed) -> list[str]:
    """Make one attempt; return what is wrong with what came of it."""
    random = Random(seed)
    signed.stage.database.tables = signed.tables
    attempt = random.choice(ATTEMPTS)
    try:
        tried, taken = await attempt(signed, random)
        wrong = [f"taken: {tried:.400}"] if taken else []
    except SecureFlowError as error:
        wrong = [] if error.code in CATALOGUE else [f"unknown code {error.code}"]
    except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
        wrong = [repr(error)]
    if rows_of(signed.stage.database.tables) != rows_of(signed.tables):
        wrong.append("it is kept")
    return [f"{attempt.__name__}: {one}" for one in wrong]


def check(seeds: range, directory: Path) -> None:
    """Try each seed; before that, what is genuine."""
    signed = Signed(directory)

    async def played() -> list[tuple[int, list[str]]]:
        await the_genuine_ones_are_taken(signed)
        return [(seed, await one_case(seed, signed)) for seed in seeds]

    tell(asyncio.run(played()), REPEAT)
    signed.world.store.close()


async def the_genuine_ones_are_taken(signed: Signed) -> None:
    """Else the refusals would say nothing."""
    verify_webhook(SECRET, DELIVERY, sign_webhook(SECRET, DELIVERY, BODY, NOW), BODY, NOW)
    assert signed.world.assembly.grants.terms_of(signed.kept).uses == 3
    take = signed.stage.services.datasets.take_grant
    assert (await take("bank-a", signed.told, signed.signature)).local == signed.told["grant"]
    assert verify(signed.public, KIND, signed.kept.body, signed.kept.signature)


@portions(0, 3000, 3000)
def test_seeds(seeds: range, tmp_path: Path) -> None:
    check(seeds, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@portions(0, 120_000, 20_000)
def test_many_seeds(seeds: range, tmp_path: Path) -> None:
    check(seeds, tmp_path)
