"""Both clients over a mock transport: requests, answers, retries, paging, downloads, errors."""

from __future__ import annotations

import errno
import inspect
import json
import os
import ssl
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

import secureflow
from secureflow.engines.training.export import model_digest
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import AsyncClient, Client, TrainingRequest
from secureflow.sdk.client import BaseClient
from secureflow.sdk.prediction import Predictor

URL = "https://centre.example:8443"
MODEL = {
    "id": "mdl_00000000",
    "project": "prj_00000000",
    "job": "job_00000000",
    "name": "income",
    "version": 1,
    "digest": "1" * 64,
    "family": "logistic_regression",
    "metrics": {"auc": 0.9},
    "created": 3,
}


def ok(body: Any, status: int = 200) -> httpx.Response:
    return httpx.Response(status, json=body)


def problem(status: int, code: str) -> httpx.Response:
    body = {"title": code, "status": status, "detail": "It went wrong.", "code": code}
    return httpx.Response(status, json=body | {"hint": "Mend it.", "details": {"field": "x"}})


def test_the_package_offers_the_clients_lazily() -> None:
    assert secureflow.Client is Client
    assert secureflow.AsyncClient is AsyncClient
    with pytest.raises(AttributeError, match="Klient"):
        secureflow.Klient  # noqa: B018


def test_login_keeps_the_token_for_later_calls(sdk_server: type) -> None:
    account = {"id": "usr_00000000", "name": "sam"}
    server = sdk_server(ok({"token": "sft_new", "expires": 9, "user": account}), ok(account))
    client = server.client(token="")
    session = client.login("sam", "secret")
    assert (session.token, session.user.name) == ("sft_new", "sam")
    assert client.me().name == "sam"
    first, second = server.requests
    assert "Authorization" not in first.headers
    assert json.loads(first.content) == {"name": "sam", "password": "secret"}
    assert second.headers["Authorization"] == "Bearer sft_new"
    assert first.extensions["timeout"]["connect"] == 10.0
    assert str(second.url) == f"{URL}/api/v1/me"


async def test_the_async_client_does_the_same(sdk_server: type) -> None:
    account = {"id": "usr_00000000", "name": "sam", "a_later_server_says": "more"}
    server = sdk_server(ok({"token": "sft_new", "expires": 9, "user": account}), ok(account))
    async with server.async_client(token="") as client:
        await client.login("sam", "secret")
        assert (await client.me()).name == "sam"
    assert server.requests[1].headers["Authorization"] == "Bearer sft_new"


def test_a_lost_answer_to_a_post_is_asked_for_again_with_the_same_key(
    sdk_server: type, sdk_job: dict[str, Any]
) -> None:
    server = sdk_server(
        httpx.ReadError("cut"),
        problem(503, "unavailable"),
        ok(sdk_job | {"state": "proposed"}, 201),
    )
    job = server.client().jobs.submit(
        TrainingRequest("prj_00000000", "income", "credit", ("dst_00000000",))
    )
    assert job.state == "proposed"
    keys = {request.headers["Idempotency-Key"] for request in server.requests}
    assert len(server.requests) == 3
    assert len(keys) == 1
    assert len(server.pauses) == 2
    body = json.loads(server.requests[0].content)
    assert body["kind"] == "training"
    assert not {"features", "plan", "min_contributors"} & body.keys()  # the spec has defaults


def test_what_another_server_answers_just_now_is_asked_for_again(sdk_server: type) -> None:
    server = sdk_server(problem(409, "fenced"), httpx.Response(204))
    server.client().tokens.revoke("tok_00000000")
    assert len({request.headers["Idempotency-Key"] for request in server.requests}) == 1
    server = sdk_server(problem(409, "conflict"))
    with pytest.raises(SecureFlowError):
        server.client().tokens.revoke("tok_00000000")
    assert len(server.requests) == 1


def test_what_ends_or_changes_something_is_asked_for_again_with_the_same_key(
    sdk_server: type,
) -> None:
    account = {"id": "usr_00000000", "name": "sam"}
    gone = httpx.Response(204)
    cut = httpx.ReadError("cut")
    server = sdk_server(cut, gone, cut, gone, cut, gone, cut, ok(account))
    client = server.client()
    client.datasets.remove("dst_00000000")
    client.grants.revoke("grt_00000000")
    client.tokens.revoke("tok_00000000")
    client.users.change("usr_00000000", disabled=True)
    keys = [request.headers["Idempotency-Key"] for request in server.requests]
    assert keys[::2] == keys[1::2]
    assert len(set(keys)) == 4


def test_two_posts_have_different_keys(sdk_server: type, sdk_job: dict[str, Any]) -> None:
    server = sdk_server(ok(sdk_job), ok(sdk_job))
    client = server.client()
    client.jobs.cancel("job_00000000")
    client.jobs.cancel("job_00000000")
    one, two = (request.headers["Idempotency-Key"] for request in server.requests)
    assert one != two


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_json_cannot_say_is_refused_before_it_is_sent(sdk_server: type, value: Any) -> None:
    server = sdk_server()
    with pytest.raises(SecureFlowError, match="cannot be written") as caught:
        server.client().jobs.submit({"project": "prj_0", "plan": {"learning_rate": value}})
    assert caught.value.code == "invalid_request"
    assert server.requests == []


def test_a_login_whose_answer_was_lost_is_not_repeated(sdk_server: type) -> None:
    server = sdk_server(httpx.ReadError("cut"))
    with pytest.raises(SecureFlowError) as caught:
        server.client().login("sam", "secret")
    assert caught.value.code == "unavailable"
    assert len(server.requests) == 1


def test_a_login_that_never_arrived_is_tried_again(sdk_server: type) -> None:
    account = {"id": "usr_00000000", "name": "sam"}
    session = {"token": "sft_new", "expires": 9, "user": account}
    server = sdk_server(httpx.ConnectError("refused"), ok(session))
    assert server.client().login("sam", "secret").token == "sft_new"


def test_retries_end_and_honour_retry_after(sdk_server: type) -> None:
    busy = [httpx.Response(429, headers={"Retry-After": "7"}) for _ in range(5)]
    server = sdk_server(*busy)
    with pytest.raises(SecureFlowError) as caught:
        server.client().me()
    assert caught.value.code == "rate_limited"
    assert server.pauses == [7.0] * 4


def test_a_problem_becomes_the_error_with_its_hint_and_details(sdk_server: type) -> None:
    server = sdk_server(problem(404, "not_found"))
    with pytest.raises(SecureFlowError) as caught:
        server.client().jobs.get("job_00000001")
    error = caught.value
    assert (error.code, error.message, error.hint) == ("not_found", "It went wrong.", "Mend it.")
    assert error.details == {"field": "x"}


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx.Response(502, text="<html>proxy"), "unavailable"),
        (httpx.Response(418, text="tea"), "internal"),
        (httpx.Response(200, text="<html>"), "invalid_answer"),
        (httpx.Response(200, json=[1]), "invalid_answer"),
        (httpx.Response(200, json={"id": 5}), "invalid_answer"),
        (httpx.Response(400, content=b"[" * 100_000), "internal"),
    ],
)
def test_answers_of_something_else_are_typed_errors(
    sdk_server: type, answer: httpx.Response, code: str
) -> None:
    server = sdk_server(*[answer] * 5)
    with pytest.raises(SecureFlowError) as caught:
        server.client().jobs.get("job_00000000")
    assert caught.value.code == code


def test_an_untrusted_certificate_is_named_and_not_tried_again(sdk_server: type) -> None:
    untrusted = httpx.ConnectError("x")
    untrusted.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")
    server = sdk_server(untrusted)
    with pytest.raises(SecureFlowError) as caught:
        server.client().me()
    assert caught.value.code == "server_untrusted"
    assert len(server.requests) == 1


def test_a_certificates_fault_is_told_without_the_librarys_wrapping(sdk_server: type) -> None:
    told = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer "
    server = sdk_server(httpx.ConnectError(f"{told}certificate (_ssl.c:1006)"))
    with pytest.raises(SecureFlowError) as caught:
        server.client().me()
    assert caught.value.message.endswith("the CA in use: unable to get local issuer certificate.")


def test_a_list_follows_the_cursors_lazily(sdk_server: type, sdk_job: dict[str, Any]) -> None:
    server = sdk_server(
        ok({"items": [sdk_job, sdk_job], "next": "c1"}), ok({"items": [sdk_job], "next": ""})
    )
    jobs = server.client().jobs.list(project="prj_00000000")
    assert next(jobs).id == sdk_job["id"]
    assert len(server.requests) == 1
    assert len(list(jobs)) == 2
    assert server.requests[1].url.params["cursor"] == "c1"
    assert server.requests[1].url.params["project"] == "prj_00000000"
    assert "state" not in server.requests[1].url.params


async def test_an_async_list_too(sdk_server: type, sdk_job: dict[str, Any]) -> None:
    server = sdk_server(ok({"items": [sdk_job], "next": "c1"}), ok({"items": [sdk_job]}))
    assert len([job async for job in server.async_client().jobs.list()]) == 2


def test_a_grant_takes_every_column_when_none_is_named(sdk_server: type) -> None:
    columns = [{"name": "age", "type": "number"}, {"name": "job", "type": "text"}]
    dataset = {"id": "dst_00000000", "organisation": "bank-a", "name": "silo", "title": "Silo"}
    dataset |= {"columns": columns, "rows": "<1k", "commitment": "0" * 64, "created": 1}
    grant = {"id": "grt_00000000", "dataset": "dst_00000000", "organisation": "bank-a"}
    grant |= {"project": "prj_00000000", "columns": ["age", "job"], "purposes": []}
    grant |= {"granted_by": "ann", "created": 1, "expires": 2}
    server = sdk_server(ok(dataset), ok(grant, 201))
    granted = server.client().datasets.grant("dst_00000000", "prj_00000000")
    assert granted.columns == ("age", "job")
    assert json.loads(server.requests[1].content)["columns"] == ["age", "job"]


PARAMETERS = np.array([0.5, -1.0], dtype=np.float32)
FEATURES = {
    "label": {"column": "income", "positive": ">50K"},
    "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}],
}
CARD = {"family": "logistic_regression", "digest": model_digest(PARAMETERS), "features": FEATURES}


def names(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


def content(parameters: np.ndarray = PARAMETERS) -> httpx.Response:
    return httpx.Response(200, content=save({"parameters": parameters}))


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_downloaded_model_predicts(
    sdk_server: type, tmp_path: Path, asynchronous: bool
) -> None:
    described = ok(MODEL | {"artifact": "", "digest": CARD["digest"]})
    server = sdk_server(described, ok(CARD), httpx.ReadError("cut"), content())
    target = tmp_path / "model.safetensors"
    if asynchronous:
        await server.async_client().models.download("mdl_00000000", target)
    else:
        server.client().models.download("mdl_00000000", target)
    assert Predictor.load(target).predict([{"age": 20}, {"age": 100}]).shape == (2,)
    assert names(tmp_path) == [target.name]


def test_a_download_that_does_not_fit_leaves_the_older_model(
    sdk_server: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = ok(MODEL | {"artifact": "", "digest": CARD["digest"]})
    target = tmp_path / "model.safetensors"
    target.write_text("the older one")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=target.name):
        sdk_server(described, ok(CARD), content()).client().models.download("mdl_0", target)
    assert target.read_text() == "the older one"
    assert names(tmp_path) == [target.name]


def test_another_model_than_described_is_not_kept(sdk_server: type, tmp_path: Path) -> None:
    described = MODEL | {"artifact": "", "digest": CARD["digest"]}
    lies = (
        (ok(described), ok(CARD), content(PARAMETERS * 2)),
        (ok(described | {"digest": "3" * 64}), ok(CARD), content()),
    )
    for answers in lies:
        with pytest.raises(SecureFlowError) as caught:
            sdk_server(*answers).client().models.download("mdl_00000000", tmp_path / "m")
        assert caught.value.code == "model_digest_mismatch"
        assert not list(tmp_path.iterdir())


def test_a_refused_download_says_why(sdk_server: type, tmp_path: Path) -> None:
    server = sdk_server(ok(MODEL | {"artifact": ""}), ok(CARD), problem(403, "forbidden"))
    with pytest.raises(SecureFlowError, match="went wrong"):
        server.client().models.download("mdl_00000000", tmp_path / "m")


@pytest.mark.parametrize("url", ["http://centre.example", "ftp://x", "centre", "", "https://"])
def test_a_token_is_never_sent_in_clear(url: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        Client(url)
    assert caught.value.code == "invalid_url"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"])
def test_loopback_may_be_plain(url: str) -> None:
    Client(url).close()


def test_a_ca_that_is_no_ca_is_refused(sdk_server: type, tmp_path: Path) -> None:
    for path, text in ((tmp_path / "none.pem", None), (tmp_path / "bad.pem", "no pem")):
        if text:
            path.write_text(text)
        with pytest.raises(SecureFlowError) as caught:
            Client(URL, ca=path)
        assert caught.value.code == "invalid_ca"


def test_every_method_has_a_docstring_and_both_clients_have_the_same() -> None:
    names = [name for name in vars(Client(URL)) if not name.startswith("_")]
    assert names == [name for name in vars(AsyncClient(URL)) if not name.startswith("_")]
    client = Client(URL)
    for noun in names:
        for name, method in inspect.getmembers(getattr(client, noun), inspect.ismethod):
            assert name == "__init__" or inspect.getdoc(method)
    assert inspect.getdoc(BaseClient.login)


def test_what_a_list_leaves_out_is_told(sdk_server: type, sdk_job: dict[str, Any]) -> None:
    page = {"items": [sdk_job], "next": "", "damaged": ["job_broken"]}
    server = sdk_server(*[httpx.Response(200, json=page)] * 2)
    with pytest.warns(UserWarning, match="job_broken"):
        assert len(list(server.client().jobs.list())) == 1
    told: list[str] = []
    client = server.client()
    client.on_damaged(told.extend)
    assert len(list(client.jobs.list())) == 1
    assert told == ["job_broken"]
