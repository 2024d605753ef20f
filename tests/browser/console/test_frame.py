"""The frame: the way in, what happens when the session ends, and that everybody can use it."""

from __future__ import annotations

from typing import Any

import pytest
from peers.browsers import fits, shoot, violations

from tests.browser.console.conftest import Opens
from tests.browser.console.place import LANGUAGES, LOGIN, TABLET, WIDE, Centre, log_in


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_way_in_leads_to_where_one_wanted(opens: Opens, language: str) -> None:
    page = opens(language=language)
    page.goto("/settings?tab=tokens")
    page.wait_for_url("**/login?back=%2Fsettings%3Ftab%3Dtokens")
    log_in(page, "vera", language)
    page.wait_for_url("**/settings?tab=tokens")
    page.get_by_role("heading", level=1).wait_for()
    assert page.locator("html").get_attribute("lang") == LANGUAGES[language].replace("-GB", "")
