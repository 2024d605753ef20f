from __future__ import annotations

import pytest

from secureflow.application.access import ACTIONS, Principal, require
from secureflow.domain.users import Role
from secureflow.kit.errors import SecureFlowError
from tests.stage import Stage
from tests.unit.application.refusing import refused


@pytest.mark.parametrize("action", sorted(ACTIONS))
@pytest.mark.parametrize("role", list(Role))
def test_the_table_decides(action: str, role: Role) -> None:
    principal = Principal("usr_1", "ada", "bank-a", frozenset({role}), "tok_1")
    if role in ACTIONS[action]:
        require(principal, action)
    else:
        with refused("forbidden", action):
            require(principal, action)


def test_auditors_change_nothing() -> None:
    allowed = {action for action, roles in ACTIONS.items() if Role.AUDITOR in roles}
    assert {action.split(".")[1] for action in allowed} == {"read"}


def test_the_operator_neither_grants_nor_submits_nor_downloads() -> None:
    operator = {action for action, roles in ACTIONS.items() if Role.PLATFORM_ADMIN in roles}
    assert not operator & {"grant.create", "job.submit", "model.download", "project.create"}


async def test_a_change_that_fails_leaves_no_trace(stage: Stage) -> None:
    before = (len(stage.ledger.log), dict(stage.database.tables.rows["projects"]))
    with pytest.raises(SecureFlowError):
        await stage.services.projects.invite(stage.admin("bank-a"), stage.ids["project"], "nobody")
    assert (len(stage.ledger.log), stage.database.tables.rows["projects"]) == before
    assert len(stage.database.tables.pending) == len(stage.ledger.log)
