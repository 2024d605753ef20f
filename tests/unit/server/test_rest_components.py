"""The catalogue of components over REST."""

from __future__ import annotations

import secureflow.application.components as module
from tests.unit.server.conftest import Api


async def test_the_catalogue_is_sent_once_for_each_version(api: Api) -> None:
    admin = api.stage.admin("bank-a")
    assert (await api.call("GET", "/components")).status_code == 401
    first = await api.call("GET", "/components", admin)
    assert first.status_code == 200
    assert first.headers["cache-control"] == "private, no-cache"
    assert "training" in {one["id"] for one in first.json()["components"]}
    known = {"If-None-Match": f'"other", W/{first.headers["etag"]}'}
    again = await api.call("GET", "/components", admin, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    other = await api.call("GET", "/components", admin, headers={"If-None-Match": '"other"'})
    assert other.content == first.content


async def test_the_catalogue_has_the_shape_that_is_described(api: Api) -> None:
    from secureflow.server.rest.components import ComponentCatalogue

    found = (await api.call("GET", "/components", api.stage.admin("bank-a"))).json()
    read = ComponentCatalogue.model_validate(found)
    assert read.model_dump(by_alias=True) == found
    assert read.version == module.VERSION
