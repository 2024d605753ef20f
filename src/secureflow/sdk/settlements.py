"""Revenue agreements of projects, and settlements by them.

What the centre shows is a proposal: members approve, dispute and pay at their own agents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from secureflow.engines.revenue.view import SettlementView
from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Resource, operation


@dataclass(frozen=True)
class AgreementVersion:
    """A version of an agreement, its signatures, and who must still sign it."""

    agreement: dict[str, Any] = field(default_factory=dict)
    signatures: dict[str, str] = field(default_factory=dict)
    digest: str = ""
    signed: tuple[str, ...] = ()
    must_sign: tuple[str, ...] = ()
    of_the_version_before: int = 0


@dataclass(frozen=True)
class ProjectAgreement:
    """A project's agreement: the version that stands, the one that waits, and earlier ones."""

    project: str = ""
    current: AgreementVersion | None = None
    candidate: AgreementVersion | None = None
    earlier: tuple[AgreementVersion, ...] = ()


@dataclass(frozen=True)
class SettlementPage:
    """The settlements of a project, oldest first."""

    items: tuple[SettlementView, ...] = ()


class Settlements(Resource[D_co]):
    """Agreements and settlements; amounts are whole minor units."""

    @operation
    def agreement(self, project: str) -> Call[ProjectAgreement]:
        """Return a project's revenue agreement."""
        return verbs.get(f"/projects/{project}/revenue", ProjectAgreement)

    @operation
    def draft(self, project: str, terms: Mapping[str, Any]) -> Call[ProjectAgreement]:
        """Draft the next version of the agreement; `terms` are those of docs/revenue.md.

        Raises:
            SecureFlowError: `malformed_agreement`, `forbidden`, `charter_missing`.
        """
        how = answers.value(ProjectAgreement)
        return verbs.post(f"/projects/{project}/revenue", dict(terms), how)

    @operation
    def list(self, project: str) -> Call[SettlementPage]:
        """Return a project's settlements, oldest first."""
        return verbs.get(f"/projects/{project}/settlements", SettlementPage)

    @operation
    def get(self, settlement: str) -> Call[SettlementView]:
        """Return a settlement with all figures, approvals, disputes and payments."""
        return verbs.get(f"/settlements/{settlement}", SettlementView)

    @operation
    def preview(
        self, project: str, jobs: Sequence[str] = (), entered: int = 0, replaces: str = ""
    ) -> Call[SettlementView]:
        """Return what a settlement would be; arguments as of `open`."""
        body = {"jobs": list(jobs), "entered": entered, "replaces": replaces}
        how = answers.value(SettlementView)
        return verbs.post(f"/projects/{project}/settlements/preview", body, how)

    @operation
    def open(
        self, project: str, jobs: Sequence[str] = (), entered: int = 0, replaces: str = ""
    ) -> Call[SettlementView]:
        """Propose a settlement to the members.

        Args:
            project: its id.
            jobs: their ids; without any, all that succeeded and wait for one.
            entered: minor units beside what the agreement fixes for each job.
            replaces: id of the settlement in whose place it comes.

        Raises:
            SecureFlowError: `agreement_missing`, `settlement_not_possible`,
                `evidence_not_verified`, `forbidden`.
        """
        body = {"jobs": list(jobs), "entered": entered, "replaces": replaces}
        return verbs.post(f"/projects/{project}/settlements", body, answers.value(SettlementView))

    @operation
    def close(self, settlement: str) -> Call[SettlementView]:
        """Close a settlement whose dispute window is over."""
        how = answers.value(SettlementView)
        return verbs.post(f"/settlements/{settlement}/close", {}, how)

    @operation
    def statement_html(
        self, settlement: str, organisation: str = "", lang: Literal["en", "zh"] = "en"
    ) -> Call[str]:
        """Return an organisation's statement as one self-contained HTML page."""
        return verbs.read_large(
            f"/settlements/{settlement}/statement",
            answers.text,
            format="html",
            lang=lang,
            organisation=organisation,
        )

    @operation
    def statement_pdf(
        self, settlement: str, organisation: str = "", lang: Literal["en", "zh"] = "en"
    ) -> Call[bytes]:
        """Return an organisation's statement as PDF.

        Raises:
            SecureFlowError: `library_missing` if the centre cannot print; `printing_failed`.
        """
        return verbs.read_large(
            f"/settlements/{settlement}/statement",
            answers.content,
            format="pdf",
            lang=lang,
            organisation=organisation,
        )

    @operation
    def statement_csv(self, settlement: str, organisation: str = "") -> Call[str]:
        """Return an organisation's statement as CSV."""
        path = f"/settlements/{settlement}/statement.csv"
        return verbs.read_large(path, answers.text, organisation=organisation)
