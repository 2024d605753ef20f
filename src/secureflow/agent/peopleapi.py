"""The command line's interface to the people at an agent, by the path of its `agent.yaml`.

Functions block, and speak to the running agent through its socket.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from secureflow.agent.api import control, socket_of
from secureflow.agent.edge.keptsessions import forget_session, keep_session
from secureflow.kit.canonical import JSON

PATIENCE = 60.0
"""Seconds to wait where a password is hashed, on a machine that is busy."""


def login(config: Path, name: str, password: str, code: str = "") -> dict[str, JSON]:
    """Open a session and keep it for this user; returns whose it is, and the `file`.

    Raises:
        SecureFlowError: `second_factor_required`: again, with the code.
    """
    opened = dict(
        control(config, "people.login", PATIENCE, name=name, password=password, code=code)
    )
    return _kept(config, opened)


def _kept(config: Path, opened: dict[str, JSON]) -> dict[str, JSON]:
    opened["file"] = str(keep_session(socket_of(config), str(opened.pop("session"))))
    return opened


def providers(config: Path) -> list[dict[str, JSON]]:
    """Return the identity providers at which people may log in: `name`, `title` and `page`."""
    return list(control(config, "people.providers"))


def start_device(config: Path, provider: str) -> dict[str, JSON]:
    """Begin a login at a provider (`ProviderLogins.start_device`)."""
    return dict(control(config, "people.device_start", PATIENCE, provider=provider))


def finish_device(config: Path, login: str) -> dict[str, JSON]:
    """Return `waiting` with the `interval`; or keep the session, and return whose it is."""
    found = dict(control(config, "people.device_finish", PATIENCE, login=login))
    return found if found.get("waiting") else _kept(config, found)


def bind(
    config: Path, name: str, provider: str, subject: str, roles: Sequence[str] = ()
) -> dict[str, JSON]:
    """Let a person of a provider in under an account; with `roles`, a new one."""
    given: dict[str, JSON] = {"name": name, "provider": provider, "subject": subject}
    return dict(control(config, "people.bind", PATIENCE, **given, roles=list(roles)))


def unbind(config: Path, name: str, provider: str) -> dict[str, JSON]:
    """Let nobody of a provider in under an account any more."""
    return dict(control(config, "people.unbind", name=name, provider=provider))


def logout(config: Path) -> dict[str, JSON]:
    """End this user's session and forget it."""
    ended = dict(control(config, "people.logout"))
    forget_session(socket_of(config))
    return ended


def every(config: Path) -> list[dict[str, JSON]]:
    """Return the accounts."""
    return list(control(config, "people.list"))


def me(config: Path) -> dict[str, JSON]:
    """Return the account of this user's session."""
    return dict(control(config, "people.me"))


def add(config: Path, name: str, password: str, roles: Sequence[str]) -> dict[str, JSON]:
    """Make an account."""
    return dict(
        control(config, "people.add", PATIENCE, name=name, password=password, roles=list(roles))
    )


def disable(config: Path, name: str, *, disabled: bool = True) -> dict[str, JSON]:
    """Disable an account, or enable it again."""
    return dict(control(config, "people.disable", name=name, disabled=disabled))


def set_roles(config: Path, name: str, roles: Sequence[str]) -> dict[str, JSON]:
    """Give an account exactly these roles."""
    return dict(control(config, "people.roles", name=name, roles=list(roles)))


def reset(
    config: Path, name: str, password: str, *, second_factor: bool = False
) -> dict[str, JSON]:
    """Give an account another initial password; `second_factor`: and remove that."""
    return dict(
        control(
            config, "people.reset", PATIENCE, name=name, password=password,
            second_factor=second_factor,
        )
    )  # fmt: skip


def change_password(config: Path, old: str, new: str) -> dict[str, JSON]:
    """Choose another password; every session ends, and this user's is forgotten."""
    changed = dict(control(config, "people.password", PATIENCE, old=old, new=new))
    forget_session(socket_of(config))
    return changed


def enrol_totp(config: Path, password: str) -> dict[str, JSON]:
    """Draw a second factor: `secret` and `address`; the own password is asked for again."""
    return dict(control(config, "people.totp.enrol", PATIENCE, password=password))


def confirm_totp(config: Path, code: str) -> dict[str, JSON]:
    """Confirm it; returns the `recovery_codes`."""
    return dict(control(config, "people.totp.confirm", code=code))


def set_absent(config: Path, until: int) -> dict[str, JSON]:
    """Say until when this person is away, in unix seconds; 0: no longer."""
    return dict(control(config, "people.absent", until=until))


def delegate(config: Path, to: str, until: int) -> dict[str, JSON]:
    """Let another person decide in this one's place; 0 ends it."""
    return dict(control(config, "people.delegate", to=to, until=until))
