"""The settings of the channels, which the centre and the agents share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, IPvAnyNetwork

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.privatefiles import read_private
from secureflow.kit.settings import Section
from secureflow.kit.text import Text

if TYPE_CHECKING:
    from secureflow.adapters.notifying.smtp import MailServer

_NAME = r"^[A-Za-z0-9.:-]{1,253}$"
_ADDRESS = r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,253}$"


class SmtpSettings(Section):
    """The server that mail is handed in at; without it no mail is sent.

    Args:
        host: its name; its certificate must be for it.
        port: 587 for STARTTLS, 465 for TLS from the first byte.
        security: `starttls` or `tls`; mail never goes in clear.
        sender: the address that mails come from.
        user: for a login; empty: none.
        password_file: a file of mode 0600 with the password in its first line.
        ca: PEM file of the CAs to trust; without it the system's.
        domains: of addresses that mail may go to; empty: any.
    """

    host: Annotated[str, Field(pattern=_NAME)]
    port: Annotated[int, Field(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls"] = "starttls"
    sender: Annotated[str, Field(pattern=_ADDRESS)]
    user: Annotated[str, Field(max_length=256)] = ""
    password_file: Path | None = None
    ca: Path | None = None
    domains: tuple[str, ...] = ()

    def server(self) -> MailServer:
        """Return the server; the password is read for each login, so that it can be replaced."""
        from secureflow.adapters.notifying.smtp import MailServer  # only who sends mail loads it

        return MailServer(
            self.host, self.port, self.security, self.sender, self.user, self._password, self.ca
        )

    def _password(self) -> str:
        if self.password_file is None:
            return ""
        try:
            text = read_private(self.password_file).decode("utf-8")
        except (OSError, UnicodeDecodeError):
            raise SecureFlowError(
                "key_unreadable",
                Text("The password file {path} cannot be read.", path=self.password_file),
                "Correct notifications.smtp.password_file.",
            ) from None
        return text.splitlines()[0] if text else ""


class WebhookSettings(Section):
    """Where webhooks may lead.

    Args:
        enabled: whether there are any.
        allow: networks beside public addresses, such as 10.1.0.0/16.
        ca: PEM file of the CAs to trust; without it the system's.
        per_organisation: how many one organisation may have.
    """

    enabled: bool = True
    allow: tuple[IPvAnyNetwork, ...] = ()
    ca: Path | None = None
    per_organisation: Annotated[int, Field(ge=1, le=100)] = 10
