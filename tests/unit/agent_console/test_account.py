from __future__ import annotations

import re
from pathlib import Path

from peers.agent_people import PASSWORD
from peers.owner_page import owner_page

from secureflow.agent.settings import ControlSettings

NEW = "five other words of ivy"


async def test_a_first_login_leads_to_an_own_password_and_then_to_decisions(
    tmp_path: Path,
) -> None:
    async with owner_page(tmp_path, people=("ada",)) as page:
        await page.team.people.add("ivy", PASSWORD, ["decider"])
        ivy = page.browser()
        assert (await ivy.log_in("ivy")).headers["location"] == "/account"
        assert "Somebody else chose your password" in (await ivy.open("/account")).text
        two = await ivy.act("/account/password", old=PASSWORD, new=NEW, again=f"{NEW}!")
        assert (two.status_code, "typed in two ways" in two.text) == (422, True)
        weak = await ivy.act("/account/password", old=PASSWORD, new="short", again="short")
        assert "weak_password" in weak.text
        wrong = await ivy.act("/account/password", old="no words of hers", new=NEW, again=NEW)
        assert (wrong.status_code, "bad_credentials" in wrong.text) == (401, True)
        held = ivy.session
        done = await ivy.act("/account/password", old=PASSWORD, new=NEW, again=NEW)
        assert done.headers["location"] == "/login"
        assert not ivy.session
        assert await page.team.refusal("people.me", held) == "session_expired"
        assert (await ivy.log_in("ivy", NEW)).headers["location"] == "/inbox"


async def test_a_second_factor_is_set_up_and_asked_for(tmp_path: Path) -> None:
    control = ControlSettings(second_factor="required")
    async with owner_page(tmp_path, people=("ada", "ben"), control=control) as page:
        ben = await page.of("ben")
        wrong = await ben.act("/account/second-factor", password="no words of his")
        assert (wrong.status_code, "bad_credentials" in wrong.text) == (401, True)
        drawn = (await ben.act("/account/second-factor", password=PASSWORD)).text
        secret = re.findall(r"<code>([A-Z2-7]{16,})</code>", drawn)[0]
        assert "otpauth://totp/" in drawn
        bad = await ben.act("/account/second-factor/confirm", code="000000")
        assert "second_factor_refused" in bad.text
        code = page.team.code(secret)
        codes = (await ben.act("/account/second-factor/confirm", code=code)).text
        recovery = re.findall(r"<li><code>([^<]+)</code>", codes)
        assert len(recovery) == 10
        assert secret not in (await ben.open("/account")).text
        again = page.browser()
        missing = await again.log_in("ben")
        assert (missing.status_code, "second_factor_required" in missing.text) == (401, True)
        assert PASSWORD not in missing.text
        page.team.world.now += 30
        assert (await again.log_in("ben", code=page.team.code(secret))).status_code == 303
        assert (await page.browser().log_in("ben", code=recovery[0])).status_code == 303
