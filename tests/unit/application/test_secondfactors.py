"""Second factors: a code counts once, guesses are slow, a copied database gives none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from secureflow.application.access import Principal
from secureflow.application.passwords import Passwords
from secureflow.application.peoplerules import PeopleRules
from secureflow.application.secondfactors import SecondFactors
from secureflow.domain.users import Role
from secureflow.kit import totp
from tests.stage import PASSWORD, Stage, empty_stage, populated
from tests.unit.application.refusing import refused


async def person(stage: Stage, role: Role = Role.DATA_SCIENTIST) -> tuple[Principal, str]:
    """Give a person a password; return them and their name."""
    who = stage.person("bank-a", role)
    async with stage.services.begin() as work:
        user = await work.users.get(who.user)
        await work.users.save(replace(user, password=await Passwords().hash(PASSWORD)))
        await work.commit()
    return who, who.name


async def enrolled(stage: Stage, who: Principal) -> tuple[bytes, list[str]]:
    use = stage.services.second_factors
    made = await use.enrol(who)
    secret = _secret(stage, who)
    recovery = await use.confirm(who, totp.code_at(secret, stage.now[0]))
    assert totp.base32(secret) == made.secret
    stage.now[0] += 90
    return secret, recovery


def _secret(stage: Stage, who: Principal) -> bytes:
    return stage.services.second_factors._open(
        stage.database.tables.rows["second_factors"][who.user]
    )


async def login(stage: Stage, name: str, code: str = "", address: str = "10.0.0.1") -> str:
    return (await stage.services.tokens.login(name, PASSWORD, address, code)).text


async def test_it_counts_once_confirmed_and_is_asked_for_after_the_password(stage: Stage) -> None:
    who, name = await person(stage)
    use = stage.services.second_factors
    made = await use.enrol(who)
    assert made.uri.startswith("otpauth://totp/")
    assert made.secret in made.uri
    await login(stage, name)  # it does not count yet
    with refused("bad_credentials"):
        await use.confirm(who, "000000")
    secret, recovery = await enrolled(stage, who)
    assert len(set(recovery)) == 10
    with refused("second_factor_required"):
        await login(stage, name)
    with refused("bad_credentials"):  # a wrong password does not tell that there is one
        await stage.services.tokens.login(name, "wrong password!", "10.0.0.1")
    code = totp.code_at(secret, stage.now[0])
    await login(stage, name, f"{code[:3]} {code[3:]}")
    assert (await use.state(who)).enrolled
    with refused("already_exists"):
        await use.enrol(who)
    with refused("already_exists"):
        await use.confirm(who, code)


async def test_a_code_that_was_seen_is_no_use(stage: Stage) -> None:
    who, name = await person(stage)
    secret, _ = await enrolled(stage, who)
    code = totp.code_at(secret, stage.now[0])
    before = totp.code_at(secret, stage.now[0] - 30)
    await login(stage, name, code)
    for spent in (code, before):  # nor an older one that would still be in time
        with refused("bad_credentials"):
            await login(stage, name, spent, "10.0.0.2")
    stage.now[0] += 30
    with refused("bad_credentials"):
        await login(stage, name, code, "10.0.0.3")
    await login(stage, name, totp.code_at(secret, stage.now[0]), "10.0.0.4")


async def test_the_code_of_the_enrolment_is_spent_too(stage: Stage) -> None:
    who, name = await person(stage)
    use = stage.services.second_factors
    await use.enrol(who)
    code = totp.code_at(_secret(stage, who), stage.now[0])
    await use.confirm(who, code)
    with refused("bad_credentials"):
        await login(stage, name, code)


async def test_guesses_are_slowed_down_wherever_they_come_from(stage: Stage) -> None:
    who, name = await person(stage)
    secret, recovery = await enrolled(stage, who)
    for number in range(5):
        with refused("bad_credentials"):
            await login(stage, name, "000000", f"10.0.1.{number}")
    right = totp.code_at(secret, stage.now[0])
    with refused("rate_limited"):
        await login(stage, name, right, "10.0.2.1")
    await login(stage, name, recovery[0], "10.0.2.2")  # its owner gets in nevertheless
    stage.ticks[0] += 30
    await login(stage, name, right, "10.0.2.3")


async def test_a_recovery_code_gets_in_once(stage: Stage) -> None:
    who, name = await person(stage)
    _, recovery = await enrolled(stage, who)
    await login(stage, name, recovery[0].lower().replace("-", " "))
    with refused("bad_credentials"):
        await login(stage, name, recovery[0])
    await login(stage, name, recovery[1])
    assert (await stage.services.second_factors.state(who)).recovery_left == 8


async def test_a_copied_database_gives_no_code(stage: Stage) -> None:
    who, _ = await person(stage)
    secret, recovery = await enrolled(stage, who)
    row = stage.database.tables.rows["second_factors"][who.user]
    stored = str(vars(row)) + str(stage.ledger.log)
    assert not [one for one in (totp.base32(secret), secret.hex(), *recovery) if one in stored]
    now, ticks = (lambda: stage.now[0]), (lambda: 0.0)
    thief = SecondFactors(stage.services.begin, stage.services.transactions, now, ticks, bytes(32))
    with refused("second_factor_unreadable"):
        thief._open(row)
    other = replace(row, id=stage.admin("bank-a").user)  # moved to another's account
    with refused("second_factor_unreadable"):
        stage.services.second_factors._open(other)


async def test_removing_it_takes_a_code_of_it(stage: Stage) -> None:
    who, name = await person(stage)
    secret, _ = await enrolled(stage, who)
    use = stage.services.second_factors
    for wrong in ("", "000000", "A" * 16):
        with refused("bad_credentials"):
            await use.remove(who, wrong)
    await use.remove(who, totp.code_at(secret, stage.now[0]))
    await login(stage, name)
    with refused("second_factor_missing"):
        await use.remove(who, "000000")
    await stage.ledger.caught_up()
    assert stage.ledger.kinds[-3:].count("second_factor.removed") == 1


async def test_an_administrator_resets_those_of_their_people_but_not_their_own(
    stage: Stage,
) -> None:
    who, name = await person(stage)
    admin, _ = await person(stage, Role.ORGANISATION_ADMIN)
    await enrolled(stage, who)
    await enrolled(stage, admin)
    use = stage.services.second_factors
    for stranger in (stage.admin("bank-b"), stage.admin("outsider")):
        with refused("not_found"):
            await use.reset(stranger, who.user)
    with refused("forbidden"):
        await use.reset(who, admin.user)
    with refused("forbidden"):
        await use.reset(admin, admin.user)
    with refused("not_found"):
        await use.reset(admin, stage.operator.user)
    await use.reset(admin, who.user)
    await login(stage, name)
    assert (await use.state(admin)).enrolled


async def test_who_needs_one_can_do_nothing_but_enrol_it(tmp_path: Path) -> None:
    rules = PeopleRules(require_second_factor=(Role.DATA_SCIENTIST,))
    stage = await populated(empty_stage(tmp_path, rules=rules))
    who, name = await person(stage)
    use = stage.services
    text = await login(stage, name)
    user = await use.users.get(who, who.user)
    opened = await use.sessions.open(user, method="password", address="10.0.0.1")
    for caller in (
        await use.tokens.authenticate(text), await use.sessions.authenticate(opened.text),
    ):  # fmt: skip
        with refused("second_factor_missing"):
            await use.projects.create(caller, name="n", purpose="p")
        with refused("second_factor_missing"):
            await use.tokens.create(caller, "", 60)
        with refused("second_factor_missing"):
            await use.devices.decide(caller, "BCDFGHJK", "10.0.0.1", approve=True)
        assert (await use.users.get(caller, caller.user)).name == name
    caller = await use.tokens.authenticate(text)
    await enrolled(stage, caller)
    full = await use.tokens.authenticate(text)
    await use.projects.create(full, name="n", purpose="credit-scoring")
    auditor = stage.person("bank-a", Role.AUDITOR)
    await use.tokens.create(auditor, "", 60)  # whose role needs none


async def test_the_ledger_tells_of_it_by_ids_alone(stage: Stage) -> None:
    who, name = await person(stage)
    await enrolled(stage, who)
    await stage.ledger.caught_up()
    entry = stage.ledger.log[-1]
    assert entry.kind == "second_factor.enrolled"
    assert entry.document == {"user": who.user, "organisation": "bank-a"}
    assert name not in str(stage.ledger.log)
