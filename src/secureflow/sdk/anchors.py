"""What members say they anchored at places that others than the operator keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from secureflow.sdk import verbs
from secureflow.sdk.calls import Call, D_co, Page, Resource, listing


@dataclass(frozen=True)
class AnchorStatement:
    """A member's signed statement that a place keeps a deed; times in unix seconds.

    `statement` is checked by `secureflow.engines.anchors.statements`: the centre only carries it.
    """

    organisation: str
    place: str = ""
    kind: str = ""
    size: int = 0
    at: int = 0
    statement: Mapping[str, Any] = field(default_factory=dict)


class Anchors(Resource[D_co]):
    """Statements about anchors."""

    @listing
    def list(
        self, *, organisation: str = "", place: str = "", kind: str = "", job: str = ""
    ) -> Call[Page[AnchorStatement]]:
        """Return what members say they anchored, newest first.

        Args:
            organisation: only this one's statements.
            place: only of this place.
            kind: only of deeds of this kind, such as `anchor`.
            job: only of deeds about the job with this id.
        """
        wanted = {"organisation": organisation, "place": place, "kind": kind, "job": job}
        return verbs.pages("/anchors", AnchorStatement, **wanted)
