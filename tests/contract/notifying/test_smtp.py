"""Mail goes over verified TLS only, holds ids only, and its headers are ours."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from secureflow.adapters.notifying.settings import SmtpSettings
from secureflow.adapters.notifying.smtp import MailNotifier, MailServer, composed, written
from secureflow.application.mailcodes import MailCodes
from secureflow.domain.deliveries import Delivery
from secureflow.domain.notificationkinds import KINDS
from secureflow.domain.notifications import Preferences
from secureflow.kit.errors import SecureFlowError
from tests.contract.notifying.conftest import Tls, delivery
from tests.contract.notifying.mailserver import MailReceiver
from tests.doubles import MemoryDatabase

LINK = "https://centre.example:8443"
CODES = MailCodes(bytes(32))
READER = Preferences("usr_1", "en", "ada@bank-a.example", confirmed=True)


def mail(kind: str = "job_failed", **facts: object) -> Delivery:
    return replace(delivery(kind, **facts), channel="email", target="usr_1")


async def notifier(server: MailServer, wishes: Preferences | None = READER) -> MailNotifier:
    database = MemoryDatabase()
    if wishes is not None:
        async with database.begin() as work:
            await work.preferences.add(wishes)
            await work.commit()
    return MailNotifier(database.begin, server, lambda: 1_800_000_000, LINK, CODES)


def to(receiver: MailReceiver, tls: Tls, host: str = "localhost", **more: Any) -> MailServer:
    """The receiver's certificate is for hook.example, and so must be the name that is dialled."""
    security = "tls" if receiver.implicit else "starttls"
    return MailServer(host, receiver.port, security, "sf@centre.example", ca=tls.ca, **more)


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `hook.example` and `other.example` lead to this machine."""
    import socket

    plain = socket.getaddrinfo

    def found(host: Any, *args: Any, **more: Any) -> Any:
        return plain("127.0.0.1" if str(host).endswith(".example") else host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", found)


@pytest.mark.parametrize("implicit", [True, False])
async def test_a_mail_arrives_over_tls_in_plain_text(tls: Tls, implicit: bool) -> None:
    async with MailReceiver(tls.context, implicit, login="sf:pw").serving() as receiver:
        server = to(receiver, tls, "hook.example", user="sf", password=lambda: "pw")
        what = mail(job="job_1", project="prj_1", code="party_silent")
        await (await notifier(server)).deliver(what)
    ((sender, recipient, data),) = receiver.mails
    assert "<sf@centre.example>" in sender
    assert "<ada@bank-a.example>" in recipient
    message = message_from_bytes(data.removesuffix(b".\r\n"), policy=policy.SMTP)
    assert message["Subject"] == "SecureFlow: Job job_1 has failed (party_silent)."
    assert message["Message-ID"] == "<dlv_01jf2k@centre.example>"
    assert message.get_content_type() == "text/plain"
    assert f"{LINK}/jobs/job_1" in message.get_content()
    assert not any(
        line.upper().startswith(("AUTH", "MAIL", "RCPT", "DATA")) for line in receiver.clear
    )


async def test_each_reader_has_their_language(tls: Tls) -> None:
    async with MailReceiver(tls.context, True).serving() as receiver:
        reader = replace(READER, language="zh")
        one = await notifier(to(receiver, tls, "hook.example"), reader)
        await one.deliver(mail(job="job_1", project="prj_1", code="x"))
    message = message_from_bytes(receiver.mails[0][2], policy=policy.SMTP)
    assert "任务 job_1 已失败" in message["Subject"]
    assert "任务 job_1 已失败" in message.get_content()


async def failing(one: MailNotifier, what: Delivery | None = None) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as failed:
        await one.deliver(what or mail())
    return failed.value


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("trusted", [True, False])
async def test_a_certificate_is_verified(tls: Tls, implicit: bool, trusted: bool) -> None:
    """For another name, and by a CA that nobody trusts."""
    async with MailReceiver(tls.context, implicit).serving() as receiver:
        server = to(receiver, tls, "other.example" if trusted else "hook.example")
        if not trusted:
            server = replace(server, ca=None)
        error = await failing(await notifier(server))
    assert (error.code, "certificate" in str(error)) == ("delivery_failed", True)
    assert receiver.mails == []


async def test_a_server_without_tls_gets_no_mail(tls: Tls) -> None:
    """As a man in the middle makes of one that has it."""
    async with MailReceiver(tls.context, offers_tls=False, login="sf:pw").serving() as receiver:
        server = to(receiver, tls, "hook.example", user="sf", password=lambda: "pw")
        error = await failing(await notifier(server))
    assert "TLS" in str(error)
    assert receiver.mails == []
    assert not any(line.upper().startswith(("AUTH", "MAIL")) for line in receiver.clear)


async def test_refusals_are_failures_without_the_servers_words(tls: Tls) -> None:
    async with MailReceiver(tls.context, True, login="sf:pw").serving() as receiver:
        server = to(receiver, tls, "hook.example", user="sf", password=lambda: "wrong")
        assert "login" in str(await failing(await notifier(server)))
    async with MailReceiver(tls.context, True, refuses=True).serving() as receiver:
        error = await failing(await notifier(to(receiver, tls, "hook.example")))
        assert "recipient" in str(error)
    error = await failing(await notifier(to(receiver, tls, "hook.example")))  # it is gone
    assert error.code == "delivery_failed"


@pytest.mark.parametrize(
    "wishes", [None, replace(READER, email=""), replace(READER, confirmed=False)]
)
async def test_nobody_who_wants_no_mail_gets_any(tls: Tls, wishes: Preferences | None) -> None:
    async with MailReceiver(tls.context, True).serving() as receiver:
        one = await notifier(to(receiver, tls, "hook.example"), wishes)
        assert (await failing(one)).code == "not_found"
    assert receiver.mails == []


async def test_an_unconfirmed_address_gets_its_code_and_nothing_else(tls: Tls) -> None:
    async with MailReceiver(tls.context, True).serving() as receiver:
        unsure = replace(READER, confirmed=False)
        one = await notifier(to(receiver, tls, "hook.example"), unsure)
        await one.deliver(mail("email_code"))
    code = CODES.code(mail("email_code").id)
    message = message_from_bytes(receiver.mails[0][2], policy=policy.SMTP)
    assert f"--confirm {code}" in " ".join(message.get_content().split())


def test_no_header_can_be_added() -> None:
    evil = "x\r\nBcc: everybody@evil.example"
    for subject, sender, to_ in ((evil, "a@b.example", "c@d.example"), ("s", evil, "c@d.example"),
                                 ("s", "a@b.example", evil)):  # fmt: skip
        with pytest.raises(SecureFlowError, match="line break"):
            composed(subject, "text", sender, to_, "dlv_1", 1)
    subject, text = written(KINDS["job_failed"], mail(job=evil, code=evil, project="p"), "en", LINK)
    assert "evil" not in subject + text


def test_every_kind_can_be_mailed_in_both_languages() -> None:
    for kind in KINDS.values():
        for language in ("en", "zh"):
            subject, text = written(kind, mail(kind.name), language, LINK)  # type: ignore[arg-type]
            message = composed(subject, text, "a@b.example", "c@d.example", "dlv_1", 1)
            assert message.as_bytes().isascii()


def test_the_password_comes_from_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "smtp.password"
    file.write_text("hunter2\nnot this\n")
    settings = SmtpSettings(
        host="mail.example", sender="a@b.example", user="sf", password_file=file
    )
    file.chmod(0o644)
    with pytest.raises(SecureFlowError) as exposed:
        settings.server().password()
    assert exposed.value.code == "key_exposed"
    file.chmod(0o600)
    assert settings.server().password() == "hunter2"
    assert "hunter2" not in repr(settings) + repr(settings.server())
    file.unlink()
    with pytest.raises(SecureFlowError):
        settings.server().password()
