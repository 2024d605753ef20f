"""Identity providers over OpenID Connect; imported only where one is configured."""

from __future__ import annotations

from secureflow.adapters.identity.fetching import Fetcher
from secureflow.adapters.identity.oidc import Client, OidcProvider

__all__ = ["Client", "Fetcher", "OidcProvider"]
