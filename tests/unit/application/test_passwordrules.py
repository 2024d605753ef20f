"""New passwords: by length and by what guessers try, never by composition."""

from __future__ import annotations

from pathlib import Path

import pytest

from secureflow.application.passwordrules import MAX_LENGTH, check_password
from secureflow.application.passwords import Passwords
from secureflow.application.peoplerules import PeopleRules
from secureflow.domain.users import Role
from tests.stage import PASSWORD, Stage, empty_stage
from tests.unit.application.refusing import refused


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "correct horse battery staple",
        "zzkqvprwmthx",  # no digit, no capital letter, no sign
        "密码要长而且容易记住才行啊好",
        "bank-a keeps its rain dry",
        "dragon 4839-2017-4820-1",
    ],
)
def test_a_long_password_that_nobody_guesses_is_taken(password: str) -> None:
    check_password(password, names=("ada", "bank-a"))


@pytest.mark.parametrize(
    "password",
    [
        "qwertyuiop[]",  # listed
        "1QAZ2WSX3EDC",  # whatever its case
        "Password2026!",  # listed, with something around it
        "!!!Welcome123",
        "iloveyouiloveyou",  # listed, twice
        "aaaaaaaaaaaaaaaa",
        "abababababab",
        "123456789012",
        "abcdefghijklm",
        "nmlkjihgfedcba",
        "secureflow2026",
        "bank-abank-a",
        "Ada.Lovelace1",
        "ada.lovelace.bank-a",
    ],
)
def test_what_guessers_try_first_is_refused(password: str) -> None:
    with refused("weak_password"):
        check_password(password, names=("ada.lovelace", "bank-a"))


@pytest.mark.parametrize("password", ["short pass", "x y" * MAX_LENGTH])
def test_length_counts(password: str) -> None:
    with refused("weak_password"):
        check_password(password)


def test_a_line_break_does_not_join_two_entries_of_the_list() -> None:
    check_password("\n" + "password" + "\n" + "zqkw vptx")
    check_password("password1\npassword10")


async def test_the_minimum_is_a_setting(tmp_path: Path) -> None:
    stage = empty_stage(tmp_path, rules=PeopleRules(password_length=16))
    with refused("weak_password"):
        await stage.services.users.create_first("root", "zzkqvprwmthx")
    await stage.services.users.create_first("root", "zzkqvprwmthx wgq")


async def test_every_way_to_a_password_knows_the_names(stage: Stage) -> None:
    use, admin = stage.services.users, stage.admin("bank-a")
    asked = {"display": "", "organisation": "bank-a", "roles": [Role.AUDITOR]}
    with refused("weak_password"):
        await use.create(admin, name="grace.hopper", password="Grace.Hopper1", **asked)  # type: ignore[arg-type]
    grace = await use.create(admin, name="grace.hopper", password=PASSWORD, **asked)  # type: ignore[arg-type]
    with refused("weak_password"):
        await use.update(admin, grace.id, password="bank-a bank-a")
    caller = await stage.services.tokens.authenticate(
        (await stage.services.tokens.login("grace.hopper", PASSWORD, "10.0.0.1")).text
    )
    with refused("weak_password"):
        await use.change_password(caller, PASSWORD, "grace.hopper!!")
    await use.change_password(caller, PASSWORD, "zzkqvprwmthx")


async def test_an_old_password_stays_valid() -> None:
    """What was set before these rules is compared with its hash, not with them."""
    passwords = Passwords()
    stored = passwords._hasher.hash("password1234")
    assert await passwords.matches(stored, "password1234")
