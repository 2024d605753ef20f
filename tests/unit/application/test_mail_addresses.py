"""An address gets mail once its owner has shown that mail reaches them, and not before."""

from __future__ import annotations

import pytest

from secureflow.application.access import Principal
from secureflow.application.mailcodes import CONFIRM, MailCodes
from secureflow.application.notifications import CODE_TRIES, Notifications
from tests.stage import Stage
from tests.unit.application.refusing import refused

CODES = MailCodes(bytes(32))
ADDRESS = "ada@bank-a.example"


class Mailing:
    def __init__(self, stage: Stage, *domains: str) -> None:
        self.stage, self.admin = stage, stage.admin("bank-a")
        self.use = Notifications(
            stage.database.begin, stage.bus, lambda: stage.now[0], lambda: stage.ticks[0],
            lambda: False, frozenset({"email"}), domains, codes=CODES,
        )  # fmt: skip

    async def codes(self, principal: Principal) -> list[str]:
        async with self.stage.database.begin() as work:
            page = await work.deliveries.list(target=principal.user)
        return [CODES.code(one.id) for one in page.items if one.kind == CONFIRM]


@pytest.fixture
def mailing(stage: Stage) -> Mailing:
    return Mailing(stage)


async def test_the_code_in_the_mail_confirms_the_address(mailing: Mailing) -> None:
    set_ = await mailing.use.prefer(mailing.admin, email=ADDRESS)
    assert (set_.email, set_.confirmed) == (ADDRESS, False)
    (code,) = await mailing.codes(mailing.admin)
    assert code not in repr(set_)
    assert (await mailing.use.confirm(mailing.admin, code)).confirmed
    again = await mailing.use.prefer(mailing.admin, email=ADDRESS, language="zh")
    assert again.confirmed  # the same address needs no new code
    other = await mailing.use.prefer(mailing.admin, email="eve@bank-a.example")
    assert not other.confirmed
    assert not (await mailing.use.prefer(mailing.admin, email="")).email
    with refused("code_refused"):
        await mailing.use.confirm(mailing.admin, code)


async def test_a_code_is_somebodys_and_cannot_be_guessed(mailing: Mailing) -> None:
    await mailing.use.prefer(mailing.admin, email=ADDRESS)
    (code,) = await mailing.codes(mailing.admin)
    with refused("code_refused"):
        await mailing.use.confirm(mailing.stage.admin("bank-b"), code)
    wrong = f"{(int(code) + 1) % 10**8:08}"
    for _ in range(CODE_TRIES):
        with refused("code_refused"):
            await mailing.use.confirm(mailing.admin, wrong)
    with refused("code_refused"):
        await mailing.use.confirm(mailing.admin, code)
    assert (await mailing.use.preferences(mailing.admin)).email == ""


async def test_mails_with_codes_are_few(mailing: Mailing) -> None:
    """Nobody's address can be flooded."""
    for number in range(3):
        await mailing.use.prefer(mailing.admin, email=f"{number}@bank-a.example")
    with refused("rate_limited"):
        await mailing.use.prefer(mailing.admin, email="4@bank-a.example")


WRONG = (
    "ada", "@a.example", "ada@", "ada@a", "a b@a.example", "ada@a.example\r\nBcc: x@y.example",
    "ada@a.example,eve@b.example", "<ada@a.example>", '"a"@a.example', "ada@[127.0.0.1]",
    "ädä@a.example", "a" * 65 + "@a.example", "ada@-.example.", "ada@a.example\n",
)  # fmt: skip


async def test_only_plain_addresses_are_taken(mailing: Mailing) -> None:
    for address in WRONG:
        with refused("invalid_request"):
            await mailing.use.prefer(mailing.admin, email=address)
    assert await mailing.codes(mailing.admin) == []


async def test_mail_goes_to_the_operators_domains_only(stage: Stage) -> None:
    mailing = Mailing(stage, "bank-a.example")
    with refused("invalid_request", "bank-a.example"):
        await mailing.use.prefer(mailing.admin, email="ada@evil.example")
    await mailing.use.prefer(mailing.admin, email="ada@BANK-A.example")
