"""Webhooks of organisations, and deliveries that were given up on."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from secureflow.application.ports.storage import Page
from secureflow.domain.deliveries import Delivery, Webhook
from secureflow.domain.texts import ONE_LINE
from secureflow.server.rest.bodies import StrictRoute
from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.idempotency import OnceRoute, changes_nothing
from secureflow.server.rest.notifications import KindNames
from secureflow.server.rest.routers import PREFIX, router_of
from secureflow.server.rest.shapes import (
    LIMIT,
    Cursor,
    Key,
    Limit,
    Listed,
    RequestBody,
    decode_cursor,
    listed,
)

router = router_of("webhooks", OnceRoute, PREFIX)
secret_router = router_of("webhook-secrets", StrictRoute, PREFIX)
"""Routes whose answer holds a secret, which is not kept."""


class WebhookRequest(RequestBody):
    """Where to post, and what; without kinds everything."""

    url: Annotated[str, Field(max_length=1000), ONE_LINE] = Field(
        examples=["https://siem.example/secureflow"]
    )
    kinds: KindNames = Field(default_factory=list)


class WebhookShown(BaseModel):
    """A webhook; `secret` signs its requests and is shown only in the answer that creates it."""

    id: str = Field(examples=["whk_01jf2k"])
    organisation: str
    url: str
    kinds: list[str]
    created: int = Field(description="Unix seconds")
    by: str
    disabled: bool
    secret: str = Field("", repr=False)
    warning: str = Field(
        "", description="Why nothing can be posted there at present; in the answer that creates it"
    )


class DeliveryShown(BaseModel):
    """A delivery that was given up on."""

    id: str = Field(examples=["dlv_01jf2k"])
    channel: str
    target: str
    organisation: str
    kind: str
    at: int = Field(description="Unix seconds")
    tries: int
    code: str = Field(examples=["delivery_failed"])


class Tested(BaseModel):
    """The id of a test's delivery, as the receiver was told it."""

    delivery: str


def _webhook(one: Webhook, secret: str = "", warning: str = "") -> WebhookShown:
    return WebhookShown(
        id=one.id,
        organisation=one.organisation,
        url=one.url,
        kinds=list(one.kinds),
        created=one.created,
        by=one.by,
        disabled=one.disabled,
        secret=secret,
        warning=warning,
    )


def _delivery(one: Delivery) -> DeliveryShown:
    return DeliveryShown(
        id=one.id,
        channel=one.channel,
        target=one.target,
        organisation=one.organisation,
        kind=one.kind,
        at=one.at,
        tries=one.tries,
        code=one.code,
    )


@router.get("/webhooks", summary="List webhooks")
async def list_webhooks(
    use: Use, caller: Caller, cursor: Cursor = "", limit: Limit = LIMIT
) -> Listed[WebhookShown]:
    """Return the webhooks of the caller's organisation, without their secrets."""
    page = await use.webhooks.list(caller, cursor=decode_cursor(cursor), limit=limit)
    items = [_webhook(one) for one in page.items]
    return Listed[WebhookShown](**listed(Page(items, page.next, page.damaged)))


@secret_router.post("/webhooks", summary="Create a webhook", status_code=201)
async def create_webhook(body: WebhookRequest, use: Use, caller: Caller) -> WebhookShown:
    """Create a webhook of the caller's organisation; its secret is shown only in this answer."""
    issued = await use.webhooks.create(caller, body.url, body.kinds)
    warning = issued.doubt.message if issued.doubt else ""
    return _webhook(issued.webhook, issued.secret, warning)


@router.delete("/webhooks/{key}", summary="Remove a webhook", status_code=204)
async def delete_webhook(key: Key, use: Use, caller: Caller) -> None:
    """Remove a webhook, with what waits for it."""
    await use.webhooks.remove(caller, key)


@router.post("/webhooks/{key}/test", summary="Test a webhook")
@changes_nothing
async def test_webhook(key: Key, use: Use, caller: Caller) -> Tested:
    """Post a test to a webhook now, and say why its receiver did not take it."""
    return Tested(delivery=await use.webhooks.test(caller, key))


@router.get("/deliveries", summary="List failed deliveries")
async def list_deliveries(
    use: Use, caller: Caller, cursor: Cursor = "", limit: Limit = LIMIT
) -> Listed[DeliveryShown]:
    """Return the deliveries of the caller's organisation that were given up on."""
    page = await use.webhooks.failed(caller, cursor=decode_cursor(cursor), limit=limit)
    items = [_delivery(one) for one in page.items]
    return Listed[DeliveryShown](**listed(Page(items, page.next, page.damaged)))


@router.post("/deliveries/{key}/retry", summary="Try a delivery again", status_code=204)
async def retry_delivery(key: Key, use: Use, caller: Caller) -> None:
    """Try a failed delivery again, under its old id."""
    await use.webhooks.retry(caller, key)
