"""The device authorisation grant (RFC 8628): what a provider answers, read strictly.

A person is sent to an address that the provider names, and is shown a code of it: both are foreign
text until they are checked here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from secureflow.adapters.identity.fetching import Fetcher
from secureflow.adapters.identity.metadata import Metadata
from secureflow.application.ports.identityprovider import DeviceAnswer, DeviceAuthorization
from secureflow.domain.oidc import PENDING_SECONDS
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
DEVICE_BYTES: Final = 64 * 1024
INTERVAL: Final = 5
"""Seconds between two questions where the provider names none (section 3.2)."""
SLOWER: Final = 5
"""Seconds more between two questions after `slow_down` (section 3.5)."""
LONGEST_INTERVAL: Final = 60
_DEVICE_CODE: Final = re.compile(r"[\x21-\x7e]{1,4096}")
_USER_CODE: Final = re.compile(r"[\x20-\x7e]{1,64}")


def device_endpoint(fetcher: Fetcher, metadata: Metadata) -> str:
    """Return the endpoint that gives codes.

    Raises:
        SecureFlowError: `provider_untrusted`, also for a provider without this grant.
    """
    if not metadata.device_authorization_endpoint:
        raise fetcher.untrusted("it does not have the device flow")
    return fetcher.allowed(metadata.device_authorization_endpoint, "device_authorization_endpoint")


def read_authorization(fetcher: Fetcher, found: Mapping[str, Any]) -> DeviceAuthorization:
    """Return what the endpoint answers (section 3.2), if people can be shown it.

    Raises:
        SecureFlowError: `provider_untrusted`.
    """
    code, user = found.get("device_code"), found.get("user_code")
    if not isinstance(code, str) or not _DEVICE_CODE.fullmatch(code):
        raise fetcher.untrusted("it gives no device code")
    if not isinstance(user, str) or not _USER_CODE.fullmatch(user):
        raise fetcher.untrusted("it gives no code that a person could enter")
    address = fetcher.allowed(found.get("verification_uri"), "verification_uri")
    complete = found.get("verification_uri_complete")
    return DeviceAuthorization(
        code,
        user,
        address,
        fetcher.allowed(complete, "verification_uri_complete") if complete else "",
        _seconds(found.get("expires_in"), PENDING_SECONDS, PENDING_SECONDS),
        _seconds(found.get("interval"), INTERVAL, LONGEST_INTERVAL),
    )


def _seconds(value: object, default: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        return default
    return min(value, most)


def read_refusal(name: str, error: object) -> DeviceAnswer | None:
    """Return that the person has not decided yet; None for an answer that is none (section 3.5).

    Raises:
        SecureFlowError: `login_denied` if the person or the provider refused, and
            `device_code_expired`.
    """
    if error == "authorization_pending":
        return DeviceAnswer(None)
    if error == "slow_down":
        return DeviceAnswer(None, slower=SLOWER)
    if error == "expired_token":
        raise SecureFlowError(
            "device_code_expired",
            Text("The code of the identity provider {name} was not entered in time.", name=name),
            "Start the login again.",
        )
    if error in ("access_denied", "invalid_grant"):
        raise SecureFlowError(
            "login_denied",
            Text("The identity provider {name} did not log you in ({error}).",
                 name=name, error=str(error)),
            "Start the login again and agree there; if it goes on, ask the provider's "
            "administrator.",
        )  # fmt: skip
    return None
