"""What a project's parties received, as a page is told it."""

from __future__ import annotations

from tests.stage import Stage
from tests.unit.server.conftest import Api


async def test_what_cannot_be_known_is_said_in_the_readers_language(stage: Stage) -> None:
    api, who = Api(stage), stage.scientist("bank-b")
    path = f"/projects/{stage.ids['project']}/received"
    said = await api.call("GET", path, who, headers={"Accept-Language": "zh"})
    assert said.json()["unknown"][0].startswith("求交与联合计算的结果内容")
    assert said.headers["content-language"] == "zh"
    assert (await api.call("GET", path, who)).json()["unknown"][0].startswith("what intersections")
