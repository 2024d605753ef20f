"""New logins from new places: the first login of an account from a network and with a program.

Of a place nothing is stored but a keyed digest of the coarse network (the /24 of an IPv4 address,
the /48 of an IPv6 one) and of the kind of program, so a copy of the database tells where nobody
was; the ledger has no address at all, only that the place was new. An account's very first login is
no news.
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import Final

from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.logins import LoginPlaces
from secureflow.kit.addresses import network_of

MOST: Final = 32
"""Places of one account; the one that was not used for longest is forgotten first."""


class Places:
    """Knows from where people log in.

    Args:
        key: of the digests, 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    async def note(self, work: UnitOfWork, user: str, address: str, client: str) -> bool:
        """Note a login, in its transaction; tell whether the account was elsewhere until now.

        Args:
            work: of the login.
            user: who logged in.
            address: the source address, as counted by limits; "" if it is not known.
            client: the kind of program, such as `firefox`.
        """
        if not address:
            return False
        await work.lock(f"login_places/{user}")
        text = f"{user}\n{network_of(address)}\n{client}".encode()
        place = hmac.digest(self._key, text, "sha256").hex()[:32]
        known = await work.login_places.find(user)
        if known is None:
            await work.login_places.add(LoginPlaces(user, (place,)))
            return False
        others = tuple(one for one in known.seen if one != place)
        await work.login_places.save(replace(known, seen=(*others, place)[-MOST:]))
        return place not in known.seen
