"""Posts are signed, verified, and lead to the address that was checked and to no other."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from secureflow.adapters.notifying import webhook as module
from secureflow.adapters.notifying.webhook import WebhookNotifier, WebhookPoster, body_of
from secureflow.domain.deliveries import Delivery, Webhook
from secureflow.domain.notificationkinds import KINDS
from secureflow.domain.webhooksignatures import sign_webhook
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.secretsealing import SecretSealer
from secureflow.sdk import verify_webhook
from tests.contract.notifying.conftest import Receiver, Tls, delivery
from tests.doubles import MemoryDatabase

SECRET, NOW = "whs_secret", 1_800_000_000
SEALER = SecretSealer(SigningKey.from_seed(bytes(32)), "webhook-secrets")
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


class Names:
    """A resolver whose answers change: after the first one a name leads elsewhere."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0)


async def notifier(url: str, names: Names, **more: Any) -> WebhookNotifier:
    database = MemoryDatabase()
    hook = Webhook("whk_1", "bank-a", url, (), 1, "usr_1", SEALER.seal(SECRET, "whk_1"))
    async with database.begin() as work:
        await work.webhooks.add(hook)
        await work.commit()
    poster = WebhookPoster(lambda: NOW, resolver=names, **more)
    return WebhookNotifier(database.begin, SEALER, poster)


async def loopback(receiver: Receiver, ca: Path, name: str = "hook.example") -> WebhookNotifier:
    url = f"https://{name}:{receiver.port}/in?x=1"
    return await notifier(url, Names(["127.0.0.1"]), networks=LOOPBACK, ca=ca)


async def failing(one: WebhookNotifier, what: Delivery) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as failed:
        await one.deliver(what)
    return failed.value


async def test_a_receiver_can_verify_what_it_gets(receiver: Receiver, tls: Tls) -> None:
    await (await loopback(receiver, tls.ca)).deliver(delivery(job="job_1", code="x", project="p"))
    (request,) = receiver.requests
    head, body = request.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /in?x=1 HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert headers["Host"] == f"hook.example:{receiver.port}"
    key, signature = headers["SecureFlow-Delivery"], headers["SecureFlow-Signature"]
    verify_webhook(SECRET, key, signature, body, NOW)
    told = json.loads(body)
    assert (told["id"], told["kind"], told["link"]) == ("dlv_01jf2k", "job_failed", "/jobs/job_1")
    assert told["facts"] == {"job": "job_1", "code": "x", "project": "p"}


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({}, NOW + 301), ({}, NOW - 301), ({"secret": "whs_other"}, NOW), ({"body": b"{}"}, NOW),
        ({"delivery": "dlv_other"}, NOW), ({"signature": ""}, NOW),
        ({"signature": f"t={NOW},v1=" + "0" * 64}, NOW), ({"delivery": "dlv\r\nx"}, NOW),
    ],
)  # fmt: skip
def test_forged_changed_and_replayed_requests_are_refused(change: dict[str, Any], at: int) -> None:
    body = b'{"id":"dlv_1"}'
    good = {
        "secret": SECRET, "delivery": "dlv_1", "body": body,
        "signature": sign_webhook(SECRET, "dlv_1", body, NOW),
    }  # fmt: skip
    verify_webhook(**good, now=NOW + 299)  # type: ignore[arg-type]
    with pytest.raises(SecureFlowError) as refused:
        verify_webhook(**{**good, **change}, now=at)
    assert refused.value.code == "signature_refused"


def test_the_time_is_signed() -> None:
    """An old request with a new time is not one that was signed."""
    body = b"{}"
    old = sign_webhook(SECRET, "dlv_1", body, NOW - 10_000)
    fresh = old.replace(f"t={NOW - 10_000}", f"t={NOW}")
    with pytest.raises(SecureFlowError):
        verify_webhook(SECRET, "dlv_1", fresh, body, NOW)


async def test_a_name_that_leads_elsewhere_a_moment_later_is_dialled_where_it_was_checked() -> None:
    """DNS rebinding: public when it is checked, loopback when it is dialled."""
    names, dialled = Names(["8.8.8.8"], ["127.0.0.1"], ["127.0.0.1"]), []

    def answer(request: httpx.Request) -> httpx.Response:
        dialled.append((request.url.host, request.headers["Host"], request.extensions))
        return httpx.Response(200)

    one = await notifier("https://hook.example/", names, transport=httpx.MockTransport(answer))
    await one.deliver(delivery())
    ((host, named, extensions),) = dialled
    assert (host, named, names.asked) == ("8.8.8.8", "hook.example", 1)
    assert extensions["sni_hostname"] == "hook.example"  # whose certificate it must be
    assert (await failing(one, delivery())).code == "address_refused"
    assert len(dialled) == 1


async def test_an_ipv6_address_is_dialled_too() -> None:
    hosts = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(str(request.url))
        return httpx.Response(200)

    names = Names(["2606:4700::1111"])
    one = await notifier("https://hook.example/x", names, transport=httpx.MockTransport(answer))
    await one.deliver(delivery())
    assert hosts == ["https://[2606:4700::1111]/x"]


async def test_loopback_is_not_dialled_unless_allowed(receiver: Receiver, tls: Tls) -> None:
    url = f"https://hook.example:{receiver.port}/"
    one = await notifier(url, Names(["127.0.0.1"]), ca=tls.ca)
    assert (await failing(one, delivery())).code == "address_refused"
    assert receiver.requests == []


async def test_a_certificate_for_another_name_is_refused(receiver: Receiver, tls: Tls) -> None:
    error = await failing(await loopback(receiver, tls.ca, "other.example"), delivery())
    assert (error.code, "certificate" in str(error)) == ("delivery_failed", True)
    assert receiver.requests == []


async def test_a_certificate_that_nobody_vouches_for_is_refused(receiver: Receiver) -> None:
    url = f"https://hook.example:{receiver.port}/"
    one = await notifier(url, Names(["127.0.0.1"]), networks=LOOPBACK)
    assert (await failing(one, delivery())).code == "delivery_failed"
    assert receiver.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 302 Found\r\nLocation: https://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Secret words of the receiver\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
async def test_redirects_and_refusals_are_failures(
    receiver: Receiver, tls: Tls, answer: bytes
) -> None:
    receiver.answer = answer
    error = await failing(await loopback(receiver, tls.ca), delivery())
    assert error.code == "delivery_failed"
    assert "Secret words" not in str(error)
    assert len(receiver.requests) == 1


async def test_no_more_than_the_status_is_read(receiver: Receiver, tls: Tls) -> None:
    """The body never ends; nobody waits for it."""
    receiver.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 100_000
    await (await loopback(receiver, tls.ca)).deliver(delivery())


async def test_a_receiver_that_does_not_answer_is_given_up_on(
    receiver: Receiver, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer = b"HTTP/1.1 200 OK\r\nX: "  # and it goes on for ever
    monkeypatch.setattr(module, "LONGEST", 0.3)
    monkeypatch.setattr(module, "TIMEOUT", 3600.0)  # as of one whose bytes keep coming
    error = await failing(await loopback(receiver, tls.ca), delivery())
    assert (error.code, "too long" in str(error)) == ("delivery_failed", True)


async def test_a_proxy_of_the_environment_is_not_used(
    receiver: Receiver, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.ca))
    await (await loopback(receiver, tls.ca)).deliver(delivery())
    assert len(receiver.requests) == 1


def test_nothing_but_ids_is_posted() -> None:
    evil = 'x"\r\n<b>name of a person</b>'
    what = delivery(job=evil, code="a b", project="prj_1", password="hunter2")
    body = body_of(what, KINDS["job_failed"])
    told = json.loads(body)
    assert told["facts"] == {"job": "?", "code": "?", "project": "prj_1"}
    assert told["link"] == ""
    assert b"hunter2" not in body
