"""The profile: which server, under which CA, with which token. A 0600 JSON file of the user.

It is found at `SECUREFLOW_PROFILE`, else at `secureflow/profile.json` under the XDG configuration
directory.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.unsaved import Unsaved


@dataclass(frozen=True)
class Profile(Unsaved):
    """The server's URL, the pinned CA file ("" = the system's CAs), the token, whose it is."""

    url: str = ""
    ca: str = ""
    token: str = field(default="", repr=False)
    user: str = ""


def profile_path() -> Path:
    """Return where the profile stands."""
    named = os.environ.get("SECUREFLOW_PROFILE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "secureflow" / "profile.json"


def load_profile(path: Path | None = None) -> Profile:
    """Read the profile; a missing file is an empty profile.

    Raises:
        SecureFlowError: `invalid_profile`.
    """
    path = path or profile_path()
    try:
        value = parse_json(path.read_bytes(), 1 << 16)
    except FileNotFoundError:
        return Profile()
    except (SecureFlowError, OSError) as error:
        raise _invalid(path, str(error)) from error
    names = set(asdict(Profile()))
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise _invalid(path, "it is no JSON object of texts")
    return Profile(**{name: value[name] for name in names & set(value)})


def save_profile(profile: Profile, path: Path | None = None) -> Path:
    """Write the profile with mode 0600, atomically; return where."""
    path = path or profile_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(asdict(profile), file, indent=2)
    part.replace(path)
    return path


def _invalid(path: Path, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_profile",
        f"The profile {path} cannot be used: {reason}.",
        "Log in again: secureflow login URL --ca FILE.",
    )
