"""How an agent tells its owner: its own mail server and webhooks, which the agent dials."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, IPvAnyNetwork, field_validator

from secureflow.adapters.notifying.settings import SmtpSettings
from secureflow.domain.agentnotificationkinds import AGENT_KINDS
from secureflow.kit.settings import Section
from secureflow.kit.text import Text

Name = Annotated[str, Field(max_length=64, pattern=r"^[a-z_]+$")]
MailAddress = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9._%+-]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,63}$")
]


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in AGENT_KINDS:
            raise ValueError(Text("there is no kind of notification {name}", name=name))
    return names


class OwnWebhook(Section):
    """An address of the owner's.

    `secret_file` holds the secret that signs requests, at least 16 characters in its first line,
    and can be read by nobody else. Without `kinds` it gets everything.
    """

    url: Annotated[str, Field(max_length=1000, pattern=r"^https://[!-~]+$")]
    secret_file: Path
    kinds: Annotated[tuple[Name, ...], Field(max_length=100)] = ()

    _check = field_validator("kinds")(_known)


class OwnNotificationSettings(Section):
    """How the owner is told, beside `secureflow agent notification list`.

    `smtp` is the mail server and `to` who gets mail, in `language`; `kinds` what is mailed, without
    any: warnings and critical ones. Webhooks lead to public addresses, and to the networks in
    `allow`; `ca` is a PEM file of the CAs to trust for them. A privacy budget is low when less than
    `budget_percent` of it is left.
    """

    smtp: SmtpSettings | None = None
    to: Annotated[tuple[MailAddress, ...], Field(max_length=20)] = ()
    language: Literal["en", "zh"] = "en"
    kinds: Annotated[tuple[Name, ...], Field(max_length=100)] = ()
    webhooks: Annotated[tuple[OwnWebhook, ...], Field(max_length=10)] = ()
    allow: tuple[IPvAnyNetwork, ...] = ()
    ca: Path | None = None
    budget_percent: Annotated[int, Field(ge=0, le=100)] = 20

    _check = field_validator("kinds")(_known)
