"""Mails notifications: plain text, over TLS that is verified (STARTTLS or implicit).

A mail holds ids, codes, counts and times only, in the language that its reader chose. Nothing that
a member wrote gets into a header or the text; the message is built by the standard library, which
refuses line breaks in headers, and the address was checked when it was set. A mail server that
offers no TLS gets no mail.
"""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final, Literal

from secureflow.application.mailcodes import CONFIRM, MailCodes
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.domain.deliveries import Delivery
from secureflow.domain.notificationkinds import KINDS
from secureflow.domain.notifications import NotificationKind
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.texts import Language, told

TIMEOUT: Final = 20.0
"""Seconds for each step of the conversation."""


@dataclass(frozen=True)
class MailServer:
    """Where mail is handed in.

    Args:
        host, port: of the server; its certificate must be for `host`.
        security: `starttls`, or `tls` from the first byte.
        sender: the address that mails come from.
        user, password: empty: no login. `password` is called for each mail.
        ca: PEM file of the CAs to trust; None: the system's.
    """

    host: str
    port: int
    security: Literal["starttls", "tls"]
    sender: str
    user: str = ""
    password: Callable[[], str] = field(default=lambda: "", repr=False)
    ca: Path | None = None

    def send(self, message: EmailMessage) -> None:
        """Hand one message in; blocking.

        Raises:
            SecureFlowError: `delivery_failed`.
        """
        context = ssl.create_default_context(cafile=self.ca)
        try:
            with contextlib.closing(self._connected(context)) as server:
                if self.user:
                    server.login(self.user, self.password())
                server.send_message(message)
                with contextlib.suppress(smtplib.SMTPException, OSError):
                    server.quit()  # it was taken, whatever is said now
        except ssl.SSLError:
            raise _failed("its TLS certificate is not valid for its name") from None
        except smtplib.SMTPNotSupportedError:
            raise _failed("it offers no TLS, or no login") from None
        except smtplib.SMTPAuthenticationError:
            raise _failed("it refused the login") from None
        except smtplib.SMTPRecipientsRefused:
            raise _failed("it refused the recipient") from None
        except (smtplib.SMTPException, OSError):
            raise _failed("it cannot be reached, or ended the conversation") from None

    def _connected(self, context: ssl.SSLContext) -> smtplib.SMTP:
        """Return a connection with TLS; mail goes over no other."""
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT)
        try:
            server.starttls(context=context)
        except (smtplib.SMTPException, OSError):
            server.close()
            raise
        return server


class MailNotifier:
    """`application.ports.notifications.Notifier` by SMTP (RFC 5321, 3207, 8314).

    Args:
        begin: reads who gets a delivery, and in which language.
        server: where mail is handed in.
        clock: dates mails.
        link: the address of the centre for people; links start with it.
        codes: makes the codes that confirm addresses.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        server: MailServer,
        clock: Clock,
        link: str,
        codes: MailCodes,
    ) -> None:
        self._begin = begin
        self._server = server
        self._clock = clock
        self._link = link
        self._codes = codes

    async def deliver(self, delivery: Delivery) -> None:
        """Mail one delivery to its user; to an address that is not confirmed, only its code.

        Raises:
            SecureFlowError: `not_found` if the user wants no mail any more, `delivery_failed`.
        """
        async with self._begin() as work:
            wishes = await work.preferences.find(delivery.target)
        code = self._codes.code(delivery.id) if delivery.kind == CONFIRM else ""
        address = delivery.address
        if not address and wishes is not None and (wishes.confirmed or code):
            address = wishes.email
        if wishes is None or not address:
            raise SecureFlowError("not_found", "The person wants no mail any more.")
        language: Language = "zh" if wishes.language == "zh" else "en"
        if code:
            subject, text = confirming(code, language)
        else:
            subject, text = written(KINDS[delivery.kind], delivery, language, self._link)
        message = composed(subject, text, self._server.sender, address, delivery.id, self._clock())
        await asyncio.to_thread(self._server.send, message)


def confirming(code: str, language: Language) -> tuple[str, str]:
    """Return the subject and the text of the mail that confirms an address."""
    subject = Text("SecureFlow: confirm this address")
    text = Text(
        "The code is {code}. Enter it with: secureflow notification preferences --confirm "
        "{code}. If you did not ask for it, somebody else entered your address: do nothing.",
        code=code,
    )
    return told(subject, language), told(text, language)


def written(
    kind: NotificationKind, delivery: Delivery, language: Language, link: str
) -> tuple[str, str]:
    """Return the subject and the text of a notification's mail; links start with `link`."""
    facts = kind.checked(delivery.facts)
    told_text = told(kind.text(facts), language)
    lines = [told_text, "", _when(delivery.at)]
    if path := kind.link(facts):
        lines.append(f"{link}{path}")
    lines += ["", told(Text("A mail says no names and no figures."), language)]
    return f"SecureFlow: {told_text}"[:200], "\n".join(lines)


def composed(subject: str, text: str, sender: str, to: str, key: str, now: int) -> EmailMessage:
    """Return a message of plain text.

    Raises:
        SecureFlowError: `delivery_failed` for a header with a line break.
    """
    message = EmailMessage(policy=SMTP)
    headers: Mapping[str, Any] = {
        "Subject": subject,
        "From": sender,
        "To": to,
        "Date": format_datetime(datetime.fromtimestamp(now, UTC)),
        "Message-ID": f"<{key}@{sender.rpartition('@')[2]}>",
        "Auto-Submitted": "auto-generated",
    }
    try:
        for name, value in headers.items():
            message[name] = value
    except ValueError:
        raise _failed("a header would have had a line break") from None
    message.set_content(text, cte="quoted-printable")
    return message


def _when(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _failed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "delivery_failed",
        Text("The mail server did not take the mail: {reason}.", reason=reason),
        "The operator checks notifications.smtp in server.yaml.",
    )
