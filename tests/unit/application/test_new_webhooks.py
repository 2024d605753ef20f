"""Where a new webhook leads is looked at: an address that is refused for good makes none."""

from __future__ import annotations

import pytest

from secureflow.adapters.notifying.webhook import WebhookPoster
from secureflow.application.webhooks import Webhooks
from secureflow.kit.clock import system_clock
from tests.stage import Stage
from tests.unit.application.refusing import refused

NAMES = {"public.example": ["93.184.216.34"], "inside.example": ["93.184.216.34", "10.1.2.3"]}


async def resolver(host: str, port: int) -> list[str]:
    """Answer as a resolver does: an address is its own."""
    del port
    return [host] if host[0].isdigit() or ":" in host else NAMES.get(host, [])


@pytest.fixture
def webhooks(stage: Stage) -> Webhooks:
    made = stage.services.webhooks
    made._judge = WebhookPoster(system_clock, resolver=resolver).doubt
    return made


@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "[::1]", "[fd00::1]"])
async def test_an_address_that_is_not_public_makes_none(
    stage: Stage, webhooks: Webhooks, host: str
) -> None:
    with refused("address_refused"):
        await webhooks.create(stage.admin("bank-a"), f"https://{host}/in")
    assert not stage.database.tables.rows["webhooks"]


async def test_a_name_that_leads_nowhere_now_is_made_with_a_warning(
    stage: Stage, webhooks: Webhooks
) -> None:
    for host, code in (("inside", "address_refused"), ("nowhere", "delivery_failed")):
        made = await webhooks.create(stage.admin("bank-a"), f"https://{host}.example/in")
        assert made.doubt is not None
        assert made.doubt.code == code
    for host in ("public.example", "93.184.216.34"):
        assert (await webhooks.create(stage.admin("bank-a"), f"https://{host}/in")).doubt is None
    assert len(stage.database.tables.rows["webhooks"]) == 4
