"""The app factory: assembles routers, error handlers and the outer middleware."""

from __future__ import annotations

from copy import copy
from functools import cache

from fastapi import FastAPI
from starlette.datastructures import State

from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.kit.version import __version__
from secureflow.server.rest import (
    anchors,
    audit,
    auditsearch,
    bundles,
    charter,
    components,
    datasets,
    devices,
    events,
    health,
    jobs,
    jobtemplates,
    models,
    notifications,
    oidc,
    organisations,
    overview,
    problems,
    projectpeople,
    projectrecord,
    projects,
    questions,
    queue,
    renewals,
    revenue,
    secondfactors,
    session,
    sessions,
    strategies,
    timetables,
    users,
    webhooks,
)
from secureflow.server.rest.edge import Edge
from secureflow.server.rest.openapi import describe
from secureflow.server.rest.rates import Rates
from secureflow.server.rest.routers import PREFIX
from secureflow.server.rest.streams import Streams
from secureflow.server.rest.submissions import submissions
from secureflow.server.rest.unrouted import unrouted
from secureflow.server.services import Services
from secureflow.server.settings import RestSettings


def create_app(services: Services, settings: RestSettings) -> FastAPI:
    """Return the REST API over the use cases: the described routes, with its own state."""
    app = copy(described_app(services.jobs.kinds))
    app.state, app.user_middleware = State(), []
    app.state.services = services
    app.state.rates = rates = Rates(settings)
    app.state.settings = settings
    app.state.streams = Streams(settings.max_streams)
    app.add_middleware(Edge, settings=settings, metrics=services.metrics, rates=rates)
    return app


def described_app(kinds: SpecKinds = SPEC_KINDS) -> FastAPI:
    """Return the API's routes and its description, without use cases behind them."""
    return _described(kinds)


@cache
def _described(kinds: SpecKinds) -> FastAPI:
    # Inspecting every signature takes half a second, so a process does it once.
    app = FastAPI(
        title="SecureFlow",
        version=__version__,
        summary="Organisations that may not share raw data compute together",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # their pages load scripts from a CDN
        redoc_url=None,
        redirect_slashes=False,
    )
    routers = [session.router, session.ending, sessions.router, sessions.ending]
    routers += [devices.open_router, secondfactors.secret_router]
    routers += [one.router for one in (devices, secondfactors)]
    routers += [organisations.secret_router, renewals.router]
    routers += [one.router for one in (users, organisations, charter, projects, projectpeople)]
    routers += [projectrecord.router, projectrecord.templates, datasets.router]
    routers.append(submissions(kinds))
    routers += [components.router, jobtemplates.router, strategies.router]
    routers += [jobs.router, questions.router, revenue.router, revenue.settlements]
    routers += [queue.router, timetables.router, anchors.router]
    routers += [one.router for one in (models, bundles, audit, auditsearch, health, overview)]
    routers += [oidc.router, oidc.pages, oidc.identities]
    routers += [webhooks.secret_router, notifications.router, webhooks.router, events.router]
    app.router.routes.extend(route for router in routers for route in router.routes)
    app.router.default = unrouted(app.router.default)
    problems.install(app)
    describe(app)
    return app
