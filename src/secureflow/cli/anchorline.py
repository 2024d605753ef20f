"""One line of `secureflow doctor` about the places at which members anchor: it fails nobody."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from secureflow.cli.anchors import newest_by_place
from secureflow.cli.console import moment
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.sdk import Profile

_MOST: Final = 2000


class Known(Protocol):
    """What the checks before know."""

    @property
    def known(self) -> Profile:
        """Whom to ask, and as whom."""


def anchors_line(so_far: Known) -> str:
    """Say which places members named, and which was named last the longest ago."""
    from secureflow.sdk import Client

    with Client.from_profile(so_far.known) as connection:
        try:
            found = list(islice(connection.anchors.list(), _MOST))
        except SecureFlowError as error:
            if error.code != "not_found":
                raise
            return t("this centre is too old to know what members anchor")
    newest = newest_by_place((one.place, one.at) for one in found)
    if not newest:
        return t("no member has said that it anchored anything")
    place = min(newest, key=lambda one: newest[one])
    return t(
        "{count} {count:place|places}, the longest silent since {since} ({hours:.1f} h): {place}",
        count=len(newest),
        since=moment(newest[place]),
        hours=max(0.0, time.time() - newest[place]) / 3600,
        place=place,
    )
