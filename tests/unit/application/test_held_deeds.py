"""What shuts somebody out does not wait for a log that is held: a restored centre forgot it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secureflow.application.passwords import Passwords
from secureflow.domain.users import Role
from secureflow.engines.ledger.setback import Hold
from tests.stage import PASSWORD, Stage
from tests.unit.application.refusing import refused


@pytest.fixture
async def held(stage: Stage) -> Stage:
    size = await stage.ledger.caught_up()
    await stage.ledger.judge(lambda _, __: Hold("restored", 1, size, kept=size))
    return stage


async def test_a_revoked_agent_is_shut_out_again_while_the_log_is_held(held: Stage) -> None:
    use = held.services
    spiffe = held.ids["bank-b.agent"]
    await use.organisations.revoke(held.operator, spiffe)
    with refused("certificate_revoked"):
        await use.organisations.admitted(spiffe)
    assert held.ledger.kinds[-1] == "agent.revoked"


async def test_an_organisation_is_disabled_and_not_enabled(held: Stage) -> None:
    use = held.services.organisations
    assert (await use.set_disabled(held.operator, "bank-b", True)).disabled
    with refused("organisation_disabled"):
        await use.admitted(held.ids["bank-b.agent"])
    with refused("log_set_back"):
        await use.set_disabled(held.operator, "bank-b", False)


async def test_a_user_is_dismissed_and_given_no_role(held: Stage) -> None:
    users, someone = held.services.users, held.scientist("bank-b")
    with refused("log_set_back"):
        await users.update(held.operator, someone.user, roles=[Role.AUDITOR])
    with refused("log_set_back"):
        await users.update(held.operator, someone.user, disabled=False)
    await users.update(held.operator, someone.user, password="another horse battery")
    assert (await users.update(held.operator, someone.user, disabled=True)).disabled
    with refused("log_set_back"):
        await users.update(held.operator, someone.user, disabled=True, roles=[Role.AUDITOR])


async def test_an_own_password_and_a_grant_end(held: Stage) -> None:
    use, owner = held.services, held.owner("bank-b")
    hashed = await Passwords().hash(PASSWORD)
    async with use.begin() as work:
        user = await work.users.get(owner.user)
        await work.users.save(replace(user, password=hashed))
        await work.commit()
    await use.users.change_password(owner, PASSWORD, "another horse battery")
    grant = await use.datasets.revoke(owner, held.ids["bank-b.grant"])
    assert grant.revoked is not None


async def test_everything_else_waits(held: Stage) -> None:
    use = held.services
    with refused("log_set_back"):
        await use.organisations.create(held.operator, "bank-n", "New")
    with refused("log_set_back"):
        await use.organisations.invite(held.operator, "agent", "bank-b")
    with refused("log_set_back"):
        await use.jobs.submit(held.scientist("bank-a"), held.wanted())
