"""The doctor names the check that fails and stops there."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from secureflow.cli import doctor
from secureflow.cli.console import Form
from secureflow.cli.doctor import examine
from secureflow.engines.ledger.notes import Checkpoint, sign_checkpoint
from secureflow.engines.ledger.setback import CONTINUE, Hold, set_back
from secureflow.kit.crypto import SigningKey
from secureflow.kit.logging import get_logger
from secureflow.sdk import Profile

HEAD = sign_checkpoint(Checkpoint("log.example", 66, b"\x05" * 32), SigningKey.generate())
ME = {"id": "usr_00000000", "name": "sam", "organisation": "bank-a", "roles": ["auditor"]}


def checks(known: Profile) -> list[tuple[str, bool]]:
    return [(one["check"], one["ok"]) for one in examine(known)]


def test_a_healthy_way_is_0(centre: Any, cli: Any) -> None:
    centre.answers |= {"GET /healthz": (200, {"version": "0.9.9"}), "GET /me": (200, ME)}
    centre.answers["GET /parties"] = (200, {"items": [], "next": ""})
    centre.answers["GET /audit/head"] = (200, {"restored": None})
    code, out, err = cli("doctor")
    assert (code, err) == (0, "")
    assert len([line for line in out.splitlines() if line.startswith("✓")]) == 12
    assert "sam bank-a (auditor)" in out
    assert all(one["ok"] for one in json.loads(cli("doctor", "-o", "json")[1]))


@pytest.mark.parametrize(
    ("lang", "said"), [("en", "until someone repeats it"), ("zh", "须有人重做")]
)
def test_what_a_restored_centre_has_forgotten_is_told(
    centre: Any, cli: Any, monkeypatch: pytest.MonkeyPatch, lang: str, said: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    centre.answers |= {"GET /healthz": (200, {"version": "0.9.9"}), "GET /me": (200, ME)}
    centre.answers["GET /parties"] = (200, {"items": [], "next": ""})
    for restored in ({"restored_at": 86_400 * 400, "taken_at": 86_400 * 380}, {"taken_at": 1e300}):
        centre.answers["GET /audit/head"] = (200, {"restored": restored})
        code, out, _ = cli("doctor")
        assert code == 0
        assert said in out
    assert said not in cli("doctor")[2]


def test_a_log_that_was_set_back_is_named_with_the_way_out(centre: Any, cli: Any) -> None:
    hold = Hold("shown", 1_700_000_000, 33, head=HEAD, by="bank-b", kept=33)
    held = set_back(hold, "log.example").as_json()
    parts = {"database": True, "signing": False, "log_set_back": held}
    centre.answers |= {"GET /healthz": (200, {"version": "0.9.9"}), "GET /me": (200, ME)}
    centre.answers["GET /readyz"] = (503, parts)
    code, out, err = cli("doctor")
    assert code == 6
    assert "✗ readiness" in out
    assert "bank-b holds its head of size 66, and the log has 33 entries" in err
    assert "33 entries are lost" in err
    assert CONTINUE in err


def test_parts_that_do_not_work_are_named(
    centre: Any, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre.answers |= {"GET /healthz": (200, {"version": "0.9.9"}), "GET /me": (200, ME)}
    centre.answers["GET /readyz"] = (503, {"database": True, "writing": False})
    code, _, err = cli("doctor")
    assert code == 6
    assert "Parts of the server do not work: writing." in err
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    assert "就绪：服务器的" in cli("doctor")[2]


def test_a_record_that_was_replaced_is_named(centre: Any, cli: Any) -> None:
    centre.answers |= {"GET /healthz": (200, {"version": "0.9.9"}), "GET /me": (200, ME)}
    error = {"code": "record_replaced", "message": "It was removed.", "hint": "See its log."}
    centre.answers["GET /readyz"] = (503, {"database": False, "record_replaced": error})
    code, out, err = cli("doctor")
    assert code == 6
    assert "✗ readiness" in out
    assert "It was removed." in err
    assert "See its log." in err


def test_json_is_the_same_in_every_language(
    centre: Any, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre.answers |= {"GET /healthz": (200, {"version": "0.9.9"}), "GET /me": (200, ME)}
    centre.answers["GET /readyz"] = (503, {"database": True, "writing": False})
    told = []
    for lang in ("en", "zh"):
        monkeypatch.setenv("SECUREFLOW_LANG", lang)
        _, out, err = cli("doctor", "-o", "json")
        told.append([one for one in json.loads(out) if one["check"] not in {"connection", "clock"}])
    assert told[0] == told[1]
    assert "就绪：" in err  # people are told in their language


def test_roles_are_told_in_words(centre: Any, cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    me = {**ME, "roles": ["auditor", "data-scientist", "organisation-admin"]}
    centre.answers |= {"GET /healthz": (200, {"version": "0.9.9"}), "GET /me": (200, me)}
    centre.answers["GET /parties"] = (200, {"items": [], "next": ""})
    centre.answers["GET /audit/head"] = (200, {"restored": None})
    assert "sam bank-a (审计员、数据科学家、机构管理员)" in cli("doctor")[1]


def test_each_check_is_told_before_the_next_is_made(capsys: Any) -> None:
    def checks() -> Iterator[dict[str, Any]]:
        yield {"check": "settings", "ok": True, "message": "read"}
        assert "✓ settings" in capsys.readouterr().out
        yield {"check": "record", "ok": True, "message": "whole"}

    doctor.report(checks(), Form.TABLE)
    assert "✓ record" in capsys.readouterr().out


def test_a_check_is_named_by_what_it_checks(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    checks = [{"check": check, "ok": True, "message": "-"} for check in ("rows", "leaves")]
    doctor.report(checks, Form.TABLE)
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["行", "叶子"]


def test_clocks_that_differ_are_named_even_where_this_one_is_right(centre: Any, cli: Any) -> None:
    def link(party: str, connected: bool, ahead: int) -> dict[str, Any]:
        return {"party": party, "connected": connected, "clock_ahead": ahead}

    links = [link("bank-a", True, 7200), link("bank-b", True, 7201), link("bank-c", False, 9)]
    centre.answers |= {"GET /healthz": (200, {"version": "0.9.9"}), "GET /me": (200, ME)}
    centre.answers["GET /parties"] = (200, {"items": links, "next": ""})
    centre.answers["GET /audit/head"] = (200, {})
    code, out, err = cli("doctor")
    assert code == 6
    assert "✗ parties" in out
    assert "bank-a 7200 s ahead, bank-b 7201 s ahead" in err
    assert "the centre's own clock is probably wrong" in err


def test_the_places_of_anchors_are_told_in_one_line(centre: Any, cli: Any) -> None:
    def said(place: str, at: int) -> dict[str, Any]:
        return {"organisation": "bank-a", "place": place, "kind": "anchor", "size": 5, "at": at,
                "statement": {}}  # fmt: skip

    near, far = "evm:1337:0x" + "ab" * 20, "file:" + "cd" * 32
    items = [said(near, 1_800_000_000), said(far, 1_700_000_000), said(far, 1_600_000_000)]
    centre.answers |= {"GET /healthz": (200, {"version": "0.9.9"}), "GET /me": (200, ME)}
    centre.answers["GET /parties"] = (200, {"items": [], "next": ""})
    centre.answers["GET /audit/head"] = (200, {"restored": None})
    for answer, words in (
        ((200, {"items": items, "next": ""}), "2 places, the longest silent since 2023-11-14"),
        ((200, {"items": [], "next": ""}), "no member has said that it anchored anything"),
        ((404, {"code": "not_found", "detail": "no"}), "this centre is too old"),
    ):
        centre.answers["GET /anchors"] = answer
        code, out, err = cli("doctor")
        assert (code, err) == (0, "")
        (line,) = [one for one in out.splitlines() if one.startswith("✓ anchors")]
        assert words in line
        assert (far in line) == (answer[0] == 200 and bool(answer[1]["items"]))


def test_a_party_with_a_twin_is_named(centre: Any, cli: Any) -> None:
    def link(party: str, connected: bool, replaced: int) -> dict[str, Any]:
        return {"party": party, "connected": connected, "clock_ahead": 0, "replaced": replaced}

    links = [link("bank-a", True, 1), link("bank-b", False, 42), link("bank-c", True, 0)]
    centre.answers |= {"GET /healthz": (200, {"version": "0.9.9"}), "GET /me": (200, ME)}
    centre.answers["GET /parties"] = (200, {"items": links, "next": ""})
    centre.answers["GET /audit/head"] = (200, {})
    code, out, err = cli("doctor")
    assert code == 5
    assert "✗ parties" in out
    assert err.startswith("link_replaced: ")
    assert "bank-b (42 ×)" in err
    assert "bank-a" not in err
    links[1]["replaced"] = 2
    assert cli("doctor")[0] == 0
    _, out, _ = cli("party", "links", "-o", "json")
    assert [one["replaced"] for one in json.loads(out)] == [1, 2, 0]


def test_no_server_named(cli: Any) -> None:
    code, out, err = cli("doctor")
    assert code == 2
    assert "✗ profile" in out
    assert err.startswith("invalid_profile: ")


def test_a_name_without_address() -> None:
    assert checks(Profile("https://nowhere.invalid"))[-1] == ("name", False)


def test_a_port_that_nobody_listens_on() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        assert checks(Profile(f"https://127.0.0.1:{port}"))[-1] == ("connection", False)


def test_a_port_that_speaks_no_tls(centre: Any) -> None:
    assert checks(Profile(centre.url.replace("http:", "https:")))[-1] == ("TLS", False)


def test_something_else_than_a_server(centre: Any) -> None:
    assert checks(Profile(centre.url))[-1] == ("server", False)


def test_a_token_that_ended(centre: Any, cli: Any) -> None:
    centre.answers["GET /healthz"] = (200, {"version": "0.9.9"})
    centre.answers["GET /me"] = (401, {"code": "unauthenticated", "detail": "It ended."})
    code, out, err = cli("doctor")
    assert code == 3
    assert "✗ login" in out
    assert err.startswith("unauthenticated: ")


def test_another_version(centre: Any) -> None:
    centre.answers["GET /healthz"] = (200, {"version": "9.0"})
    assert checks(Profile(centre.url, token="x"))[-1] == ("version", False)


def test_what_is_logged_meanwhile_stays_out_of_the_result(
    centre: Any, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def logging(known: Profile) -> list[dict[str, Any]]:
        get_logger("doctor").warning("tee_simulated")
        return [{"check": "clock", "ok": True, "code": "", "message": known.url, "hint": ""}]

    monkeypatch.setattr(doctor, "examine", logging)
    _, out, err = cli("doctor", "-o", "json")
    assert json.loads(out)[0]["check"] == "clock"
    assert "tee_simulated" in err


def test_a_server_that_is_dead_is_6(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("SECUREFLOW_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
        code, out, err = cli("doctor")
    assert code == 6
    assert "✗ connection" in out
    assert err.startswith("unavailable: ")


def test_a_clock_that_is_wrong(centre: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    centre.answers["GET /healthz"] = (200, {})
    monkeypatch.setattr(doctor, "MAX_SKEW", -1)
    assert checks(Profile(centre.url, token="x"))[-1] == ("clock", False)
