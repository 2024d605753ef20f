"""`secureflow agent login --provider`, and `agent people providers`, `bind` and `unbind`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, moment, say, show
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
Name = Annotated[str, typer.Argument(help=t("Name of the account."))]
Provider = Annotated[str, typer.Argument(help=t("Name of the identity provider."))]
MAX_INTERVAL: Final = 60
"""Seconds between two questions at most, whatever the agent asks for."""
_AGAIN: Final = frozenset({"provider_unreachable", "agent_silent", "rate_limited"})
_CONFIG = Path("agent.yaml")


def by_provider(
    config: Path, provider: str, sleep: Callable[[float], None] = time.sleep
) -> dict[str, Any]:
    """Show an address and a code, wait until the person has agreed, and keep the session.

    Raises:
        SecureFlowError: `login_denied`, `device_code_expired`, `identity_refused` and others of
            the agent's.
    """
    from secureflow.agent import peopleapi

    begun = peopleapi.start_device(config, provider)
    say(
        t(
            "Open {address} in any browser, and enter the code {code} until {until}.",
            address=begun["address"],
            code=begun["code"],
            until=moment(begun["expires"]),
        )
    )
    if begun["complete"]:
        say(t("Or, with the code in it: {address}", address=begun["complete"]))
    say(t("Enter no code that somebody sent you: whoever began that login would be logged in."))
    interval: Any = begun["interval"]
    while True:
        sleep(max(1, min(interval, MAX_INTERVAL)))
        try:
            found = peopleapi.finish_device(config, str(begun["login"]))
        except SecureFlowError as error:
            if error.code not in _AGAIN:
                raise
            continue
        if not found.get("waiting"):
            return found
        interval = found["interval"]


def providers(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """List identity providers."""
    from secureflow.agent import peopleapi

    found = peopleapi.providers(config)
    show(found, output, ("name", "title"))
    if output is Form.TABLE and not found:
        say(t("None is configured: see identity.oidc in agent.yaml."))


def bind(
    name: Name,
    provider: Provider,
    subject: Annotated[str, typer.Argument(help=t("The provider's `sub` of the person."))],
    role: Annotated[
        list[str] | None,
        typer.Option("--role", help=t("Make the account, without a password, with this role.")),
    ] = None,
    yes: Yes = False,
    config: Config = _CONFIG,
) -> None:
    """Bind an account to a person of a provider."""
    from secureflow.agent import peopleapi

    confirmed(
        t(
            "Let the subject {subject} of {provider} act as {name}?",
            subject=subject,
            provider=provider,
            name=name,
        ),
        yes,
    )
    peopleapi.bind(config, name, provider, subject, role or ())
    say(
        t(
            "Bound. {name} logs in with: secureflow agent login --provider {provider}",
            name=name,
            provider=provider,
        )
    )


def unbind(name: Name, provider: Provider, yes: Yes = False, config: Config = _CONFIG) -> None:
    """Unbind an account; its sessions end."""
    from secureflow.agent import peopleapi

    confirmed(t("Let nobody of {provider} act as {name} any more?",
                provider=provider, name=name), yes)  # fmt: skip
    peopleapi.unbind(config, name, provider)
    say(t("Unbound; the account's sessions have ended."))
