"""Organisations, the agents that act for them, their enrolment and their links."""

from __future__ import annotations

from urllib.parse import quote

from secureflow.domain.organisations import Agent, Organisation
from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Page, Resource, listing, operation
from secureflow.sdk.consoleviews import AgentLink, LimitsUse
from secureflow.sdk.views import IssuedEnrolment, PartyLink


class Organisations(Resource[D_co]):
    """The legal parties."""

    @operation
    def get(self, organisation: str) -> Call[Organisation]:
        """Return an organisation by its slug."""
        return verbs.get(f"/organisations/{organisation}", Organisation)

    @operation
    def create(self, slug: str, name: str = "") -> Call[Organisation]:
        """Register an organisation; the slug is what charters and rosters carry."""
        body = {"id": slug, "name": name or slug}
        return verbs.post("/organisations", body, answers.value(Organisation))

    @operation
    def disable(self, organisation: str) -> Call[Organisation]:
        """Shut out an organisation, its people and its agent, until it is enabled."""
        path = f"/organisations/{organisation}/disable"
        return verbs.post(path, {}, answers.value(Organisation))

    @operation
    def enable(self, organisation: str) -> Call[Organisation]:
        """Let a disabled organisation in again."""
        path = f"/organisations/{organisation}/enable"
        return verbs.post(path, {}, answers.value(Organisation))

    @operation
    def limits(self) -> Call[LimitsUse]:
        """Return limits and their use: of the caller's organisation, for operators of all."""
        return verbs.get("/limits", LimitsUse)

    @listing
    def list(self) -> Call[Page[Organisation]]:
        """Iterate over the organisations."""
        return verbs.pages("/organisations", Organisation)


class Agents(Resource[D_co]):
    """Enrolled processes: organisations' agents and enclaves."""

    @operation
    def revoke(self, agent: str) -> Call[None]:
        """Refuse the agent's certificate from now on; `agent` is its SPIFFE id."""
        return verbs.post(f"/agents/{quote(agent, safe='')}/revoke", {}, answers.nothing)

    @listing
    def list(self) -> Call[Page[Agent]]:
        """Iterate over the enrolled processes."""
        return verbs.pages("/agents", Agent)

    @operation
    def link(self, agent: str) -> Call[AgentLink]:
        """Return an agent's link step by step, as the centre sees it; by its SPIFFE id."""
        return verbs.get(f"/agents/{quote(agent, safe='')}/link", AgentLink)

    @listing
    def links(self) -> Call[Page[PartyLink]]:
        """Iterate over the parties' link states."""
        return verbs.pages("/parties", PartyLink)


class Enrolments(Resource[D_co]):
    """One-time tokens that let an agent or enclave get its first certificate."""

    @operation
    def create(self, organisation: str = "", kind: str = "agent") -> Call[IssuedEnrolment]:
        """Make a token; its text is shown only once."""
        body = {"kind": kind, "organisation": organisation}
        return verbs.post("/enrolments", body, answers.value(IssuedEnrolment))

    @listing
    def list(self) -> Call[Page[IssuedEnrolment]]:
        """Iterate over the tokens, without their secrets."""
        return verbs.pages("/enrolments", IssuedEnrolment)
