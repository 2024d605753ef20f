"""Scopes of tokens, cell by cell: every operation with an action × every scope that misses it.

The cells are derived from the table of actions, the rules of `test_authorisation` and the table of
scopes: an operation that somebody adds is tested without a line here. A token whose scopes do not
cover the action is refused whatever its user's role is, on the platform and in a project: a role
widens no token.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from secureflow.application.access import ACTIONS, Principal
from secureflow.application.scopes import covers
from secureflow.domain.projects import ProjectRole
from secureflow.domain.users import Scope
from tests.security.test_authorisation import (  # noqa: F401  fixtures
    RULES,
    World,
    built,
    people,
    roles_allowed,
    world,
)
from tests.security.test_project_roles import IN_PROJECTS, PLAIN, name

NARROW = {"scope_too_narrow", "second_factor_missing"}
OWN = {"get_user", "list_identities"}
"""What everybody may read of their own account, with any token, as `GET /me` shows it."""
ACTING = sorted(operation for operation, rule in RULES.items() if rule.action in ACTIONS)


def missing(operation: str) -> list[Scope]:
    """Return the scopes that do not cover an operation's action."""
    action = RULES[operation].action or ""
    return [one for one in Scope if not covers(frozenset({one}), action)]


async def refused(on: World, operation: str, who: Principal, scope: Scope) -> bool:
    rule = RULES[operation]
    token, key = replace(who, scopes=frozenset({scope})), on.key(rule.noun, "own")
    answer = await on.call(operation, token, key)
    if operation in OWN and token.user == key:
        return answer.status_code == 200
    return answer.status_code == 403 and answer.json()["code"] in NARROW


def test_no_action_is_covered_by_every_scope() -> None:
    assert all(missing(operation) for operation in ACTING)


@pytest.mark.parametrize("operation", ACTING)
async def test_a_token_of_other_scopes_is_refused(world: World, operation: str) -> None:  # noqa: F811
    for role in roles_allowed(RULES[operation]):
        who = people(world.stage)[role]
        for scope in missing(operation):
            assert await refused(world, operation, who, scope), (operation, role, scope)


@pytest.mark.parametrize("operation", IN_PROJECTS)
async def test_a_role_in_the_project_widens_no_token(world: World, operation: str) -> None:  # noqa: F811
    await name(world, ProjectRole.LEAD)
    for role in PLAIN:
        who = world.stage.person("bank-a", role)
        for scope in missing(operation):
            assert await refused(world, operation, who, scope), (operation, role, scope)
