"""Follows a change of the link CA while the centre runs, and records it.

`secureflow server ca rotate | switch | retire` change files in the CA's folder. A running centre
looks at them every few seconds: new handshakes are then made under the new roots, parties on open
links are told, and links stay. Whatever the centre finds changed, also at a start, is an entry in
the ledger: fingerprints of certificates only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.application.transactions import Transactions
from secureflow.kit.canonical import JSON
from secureflow.kit.caroots import root_name, roots
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.server.authorities import Authorities, read_authorities
from secureflow.server.certificate import ServerCertificate
from secureflow.server.settings import ServerSettings

ROTATED: Final = "ca.rotated"
SECONDS: Final = 5.0
_KNOWN: Final = "ca_roots"

_log = get_logger(__name__)


class Tells(Protocol):
    """Tells parties on open links, and those who link up later."""

    def tell_roots(self, roots: Mapping[str, JSON]) -> None:
        """Tell the centre's roots."""


@dataclass
class CaWatch:
    """Watches the folder of the CA.

    Args:
        settings: the centre's.
        now: the roots as they were read at the start; its issuing authority is replaced in place.
        certificate: the centre's own.
        link: tells parties.
    """

    settings: ServerSettings
    now: Authorities
    certificate: ServerCertificate
    link: Tells

    async def poll(self, begin: UnitOfWorkFactory, transactions: Transactions) -> None:
        """Follow a change of the files, if there is one, and record what is not recorded yet.

        Raises:
            SecureFlowError: of the database; `log_set_back` while the log is held.
        """
        await self._reload()
        await record_roots(self.now, begin, transactions)

    async def _reload(self) -> None:
        try:
            found = await asyncio.to_thread(read_authorities, self.settings)
        except SecureFlowError as error:  # a step is under way; or it was killed, and is repeated
            _log.warning("ca_not_read", code=error.code, message=error.message)
            return
        if (found.greeting(), found.trusted) == (self.now.greeting(), self.now.trusted):
            return
        self.now.issuing.become(found.issuing)
        self.now = Authorities(self.now.issuing, found.next, found.proof, found.previous)
        await asyncio.to_thread(self.certificate.follow, found.trusted)
        self.link.tell_roots(self.now.greeting())
        _log.info("ca_followed", **_told(self.now))


async def record_roots(
    now: Authorities, begin: UnitOfWorkFactory, transactions: Transactions
) -> bool:
    """Record the roots in the ledger if they changed since they were recorded last."""
    told = _told(now)
    async with begin() as work:
        known = await work.setting(_KNOWN)
    if known == told:
        return False
    if known is None:  # a new centre, or one of an earlier version: nothing changed yet
        async with begin() as work:
            await work.set_setting(_KNOWN, told)
            await work.commit()
        return False
    async with transactions() as transaction:
        await transaction.work.set_setting(_KNOWN, told)
        transaction.record(ROTATED, {**told, "before": known})
    return True


def _told(now: Authorities) -> dict[str, Any]:
    """Return the fingerprints: who issues, who is trusted, and who shall issue next."""
    return {
        "issuing": root_name(roots(now.issuing.pem)[0]),
        "trusted": [root_name(one) for one in roots(now.trusted)],
        "next": root_name(roots(now.next)[0]) if now.next else "",
    }
