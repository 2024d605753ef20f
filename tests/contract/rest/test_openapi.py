"""The API keeps to its own description: schemathesis against the live server and database.

`make test` asks every operation with valid requests, `make full` with more of them, with invalid
ones (tests/fuzz changes genuine requests in every run), and over PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from secureflow.server.rest.problems import MEDIA_TYPE
from tests.contract.rest.conftest import Live
from tests.security.test_authorisation import RULES

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
    ignored_auth,
)
OPERATIONS = sorted(RULES.keys() - {"logout"})  # it would end the token of all other calls
REFUSALS = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429"]
ALL_HEALTH = list(HealthCheck)


def description_of(live: Live) -> Any:
    # The token is not generated: `call` always sends the good one, `ignored_auth` tests bad ones.
    # A body past the bound on names and values is 413 whatever else is wrong with it.
    refusals = {"expected-statuses": REFUSALS}
    config = schemathesis.Config.from_dict(
        {
            "generation": {"with-security-parameters": False},
            "checks": {"negative_data_rejection": refusals},
        }
    )
    return schemathesis.openapi.from_url(f"{live.url}/api/v1/openapi.json", config=config)


@pytest.fixture(scope="module")
def described(live: Live) -> Any:
    return description_of(live)


@pytest.fixture(scope="module")
def described_on_postgres(live_on_postgres: Live) -> Any:
    return description_of(live_on_postgres)


def checked(
    described: Any, live: Live, operation_id: str, mode: GenerationMode
) -> Callable[[], None]:
    """Return a hypothesis test of one operation."""
    operation = described.find_operation_by_id(operation_id)
    headers = {"Authorization": f"Bearer {live.token}"}

    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        response = case.call(headers=headers, timeout=120)
        case.validate_response(response, checks=CHECKS, headers=headers)
        if response.status_code >= 400:
            assert response.headers["content-type"] == [MEDIA_TYPE]

    return check


@pytest.mark.parametrize("operation", OPERATIONS)
def test_valid_requests_are_answered_as_described(
    described: Any, live: Live, operation: str
) -> None:
    check = checked(described, live, operation, GenerationMode.POSITIVE)
    bounds = settings(
        max_examples=3, deadline=None, derandomize=True, suppress_health_check=ALL_HEALTH
    )
    bounds(check)()


@pytest.mark.full
@pytest.mark.parametrize("operation", OPERATIONS)
def test_invalid_requests_are_refused_as_described(
    described: Any, live: Live, operation: str
) -> None:
    taken = described.find_operation_by_id(operation).iter_parameters()
    if all(one.name == "Accept-Language" for one in taken):
        pytest.skip("it takes nothing that could be wrong")
    check = checked(described, live, operation, GenerationMode.NEGATIVE)
    bounds = settings(
        max_examples=6, deadline=None, derandomize=True, suppress_health_check=ALL_HEALTH
    )
    bounds(check)()


@pytest.mark.full
@pytest.mark.postgres
@pytest.mark.parametrize("operation", OPERATIONS)
def test_over_postgresql_requests_are_answered_alike(
    described_on_postgres: Any, live_on_postgres: Live, operation: str
) -> None:
    check = checked(described_on_postgres, live_on_postgres, operation, GenerationMode.POSITIVE)
    bounds = settings(
        max_examples=6, deadline=None, derandomize=True, suppress_health_check=ALL_HEALTH
    )
    bounds(check)()


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_api_keeps_to_its_description_for_long(
    described: Any, live: Live, operation: str, mode: GenerationMode
) -> None:
    check = checked(described, live, operation, mode)
    settings(max_examples=2000, deadline=None, suppress_health_check=ALL_HEALTH)(check)()
