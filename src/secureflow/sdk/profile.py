"""Profiles: which server, under which CA, with which token. Each is a 0600 JSON file of the user.

A person who works as several users, or on several servers, has a profile per *context*. The current
one is set by `SECUREFLOW_CONTEXT`, else by `secureflow context use`, else it is `default`. Profiles
are in `secureflow/` under the XDG configuration directory: `profile.json` is the default one,
`contexts/NAME.json` the others, `context` holds the name of the chosen one. `SECUREFLOW_PROFILE`
names one file instead of all that.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from secureflow.kit.atomic import write_result
from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import reason_in, reason_of
from secureflow.kit.text import Text
from secureflow.kit.unpicklable import Unpicklable
from secureflow.sdk.renewal import Tokens

DEFAULT: Final = "default"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True)
class Profile(Unpicklable):
    """The server's URL, the pinned CA file ("" = the system's CAs), the token and its user.

    `refresh` is the refresh token that continues the login; "" for one without.
    """

    url: str = ""
    ca: str = ""
    token: str = field(default="", repr=False)
    user: str = ""
    refresh: str = field(default="", repr=False)


class ProfileTokens:
    """The tokens of a profile that several programs use (`renewal.Keeper`)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: int | None = None

    def lock(self) -> bool:
        """Take the lock of the profile; False if another program has it now."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = self._path.with_name(f"{self._path.name}.lock")
        held = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(held)
            return False
        self._held = held
        return True

    def unlock(self) -> None:
        """Let go of the lock, if it was taken."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def load(self) -> Tokens:
        """Return the tokens that are in the profile now."""
        known = load_profile(self._path)
        return Tokens(known.token, known.refresh)

    def store(self, tokens: Tokens) -> None:
        """Write the tokens into the profile; its other members stay."""
        known = load_profile(self._path)
        save_profile(replace(known, token=tokens.token, refresh=tokens.refresh), self._path)


def profile_path(context: str = "") -> Path:
    """Return the path of a context's profile; default: the chosen one's.

    Raises:
        SecureFlowError: `invalid_profile` for an invalid name.
    """
    single = os.environ.get("SECUREFLOW_PROFILE")
    if single and context:
        raise SecureFlowError(
            "invalid_profile",
            Text(
                "SECUREFLOW_PROFILE names one profile file, so there is no context {context!r}.",
                context=context,
            ),
            "Unset SECUREFLOW_PROFILE to work with contexts, or name another user's file in it.",
        )
    if single:
        return Path(single)
    name = checked_name(context or current_context())
    return _folder() / "profile.json" if name == DEFAULT else _folder() / f"contexts/{name}.json"


def current_context() -> str:
    """Return the chosen context's name."""
    named = os.environ.get("SECUREFLOW_CONTEXT")
    if named:
        return named
    try:
        return (_folder() / "context").read_text("ascii").strip() or DEFAULT
    except (OSError, UnicodeError):
        return DEFAULT


def use_context(name: str) -> None:
    """Choose a context for this user's later commands and clients.

    Raises:
        SecureFlowError: `not_found` for one without a login.
    """
    if checked_name(name) not in contexts():
        raise SecureFlowError(
            "not_found",
            Text("There is no context {name!r}.", name=name),
            Text(
                "secureflow login URL --context {name}, or see: secureflow context list", name=name
            ),
        )
    _write(_folder() / "context", name + "\n")


def contexts() -> tuple[str, ...]:
    """Return the names of all contexts that have a profile."""
    found = {path.stem for path in (_folder() / "contexts").glob("*.json")}
    named = {name for name in found if _NAME.fullmatch(name)} - {DEFAULT}
    first = {DEFAULT} if (_folder() / "profile.json").exists() else set()
    return tuple(sorted(named | first))


def remove_context(name: str) -> None:
    """Forget a context with its token; if it was chosen, the default one is now.

    Raises:
        SecureFlowError: `not_found`.
    """
    path = profile_path(checked_name(name))
    try:
        path.unlink()
    except FileNotFoundError as error:
        raise SecureFlowError(
            "not_found", Text("There is no context {name!r}.", name=name), "secureflow context list"
        ) from error
    chosen = _folder() / "context"
    if chosen.exists() and chosen.read_text("ascii", "replace").strip() == name:
        chosen.unlink()


def checked_name(name: str) -> str:
    """Return a context's name, which is part of a path; raises `invalid_profile`."""
    if not _NAME.fullmatch(name):
        raise SecureFlowError(
            "invalid_profile",
            Text("{name!r} cannot name a context.", name=name[:80]),
            "Use lowercase letters, digits and . _ -",
        )
    return name


def load_profile(path: Path | None = None) -> Profile:
    """Read the profile; a missing file is an empty profile.

    Raises:
        SecureFlowError: `invalid_profile`; `key_exposed` if others can read its token.
    """
    path = path or profile_path()
    try:
        value = parse_json(path.read_bytes(), 1 << 16)
    except FileNotFoundError:
        return Profile()
    except OSError as error:
        raise _invalid(path, reason_of(error)) from error
    except SecureFlowError as error:
        raise _invalid(path, reason_in(error)) from error
    names = set(asdict(Profile()))
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise _invalid(path, "it must be a JSON object of strings")
    profile = Profile(**{name: value[name] for name in names & set(value)})
    if (profile.token or profile.refresh) and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise SecureFlowError(
            "key_exposed",
            Text("{path} can be read by others.", path=path),
            Text("chmod 600 {path}, and think about who may have read it.", path=path),
        )
    return profile


def save_profile(profile: Profile, path: Path | None = None) -> Path:
    """Write the profile with mode 0600, atomically; return its path."""
    path = path or profile_path()
    _write(path, json.dumps(asdict(profile), indent=2))
    return path


def _folder() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "secureflow"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_result(path, text.encode(), 0o600)


def _invalid(path: Path, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_profile",
        Text("The profile {path} cannot be used: {reason}.", path=path, reason=reason),
        "Log in again: secureflow login URL --ca FILE.",
    )
