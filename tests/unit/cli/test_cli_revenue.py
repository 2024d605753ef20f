"""`secureflow revenue|settlement`, and the same at an agent: figures as they are, digests whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent import api
from secureflow.engines.revenue.standing import standing_of
from secureflow.engines.revenue.view import view_of
from tests.unit.engines.revenue.parts import PROJECT, case_of, deed_of

AGREEMENT, SETTLEMENT, RESULT = case_of(3, floor=100, rounding="m002")
VOTES = [deed_of("approve", SETTLEMENT, one, 5, computed=RESULT.digest) for one in ("m000", "m001")]
STANDING = standing_of(AGREEMENT, RESULT, VOTES)
VIEW = json.loads(json.dumps(asdict(view_of(AGREEMENT, SETTLEMENT, RESULT, STANDING))))
SHOWN = {
    "agreement": AGREEMENT.json(), "signatures": {"m000": "x"}, "digest": AGREEMENT.digest,
    "signed": ["m000"], "must_sign": ["m001", "m002"], "of_the_version_before": 0,
}  # fmt: skip
WAITING = {"project": PROJECT, "current": None, "candidate": SHOWN, "earlier": []}
ID = SETTLEMENT.id
OWN = {
    "id": ID, "version": 1, "state": "open", "jobs": ["job_a"], "approvals": ["m000"],
    "needed": 3, "disputes": [], "closes": None, "payer": "m000", "currency": "EUR",
    "computed": RESULT.json(), "digest": RESULT.digest,
    "payments": [{"reference": "ab" * 32, "amount": 5, "payee": "m001"}],
    "accusations": [{"by": "m001", "code": "settlement_altered"}],
}  # fmt: skip


def test_an_agreement_is_shown_with_who_must_sign_it(centre: Any, cli: Any) -> None:
    centre.answers = {f"GET /projects/{PROJECT}/revenue": (200, WAITING)}
    code, out, err = cli("revenue", "show", PROJECT)
    assert code == 0, err
    assert "m001, m002" in out
    assert AGREEMENT.digest in out.replace("\n", "")
    assert "The version to sign:" in err
    assert json.loads(cli("revenue", "show", PROJECT, "-o", "json")[1])["current"] is None


def test_terms_are_drafted_from_a_file(centre: Any, cli: Any, tmp_path: Path) -> None:
    file = tmp_path / "terms.yaml"
    file.write_text("weights: {scores: 1}\nrounding: m000\ncurrency: EUR\npayer: m000\n")
    centre.answers = {f"POST /projects/{PROJECT}/revenue": (201, WAITING)}
    code, _, err = cli("revenue", "draft", PROJECT, "--file", str(file))
    assert code == 0, err
    assert centre.asked[-1][2] == {
        "weights": {"scores": 1}, "rounding": "m000", "currency": "EUR", "payer": "m000",
    }  # fmt: skip
    assert "secureflow agent revenue sign" in err


def test_a_settlement_is_shown_with_its_formulas(centre: Any, cli: Any) -> None:
    centre.answers = {f"GET /settlements/{ID}": (200, VIEW)}
    code, out, err = cli("settlement", "show", ID, "-o", "json")
    assert code == 0, err
    assert json.loads(out) == VIEW
    code, out, err = cli("settlement", "show", ID)
    assert code == 0, err
    flat = out.replace("\n", " ")
    assert "1000.00 EUR" in flat
    assert "2/3" in flat  # approvals of those needed
    assert "100 + ⌊9700" in flat


def test_it_is_previewed_asked_and_opened(centre: Any, cli: Any) -> None:
    centre.answers = {
        f"POST /projects/{PROJECT}/settlements/preview": (200, VIEW),
        f"POST /projects/{PROJECT}/settlements": (201, VIEW),
        f"GET /projects/{PROJECT}/settlements": (200, {"items": [VIEW]}),
        f"POST /settlements/{ID}/close": (200, VIEW),
    }
    code, out, _ = cli("settlement", "preview", PROJECT, "--amount", "5")
    assert code == 0
    assert centre.asked[-1][2] == {"jobs": [], "entered": 5, "replaces": ""}
    code, _, err = cli("settlement", "open", PROJECT, "--job", "job_a", "--yes")
    assert code == 0, err
    assert centre.asked[-1][2]["jobs"] == ["job_a"]
    assert ID in err.replace("\n", "")
    code, out, _ = cli("settlement", "list", PROJECT)
    assert code == 0
    assert cli("settlement", "close", ID)[0] == 0
    assert ID in out.replace("\n", "").replace(" ", "")


def test_statements_are_written_as_files(centre: Any, cli: Any, tmp_path: Path) -> None:
    centre.answers = {
        f"GET /settlements/{ID}/statement.csv?organisation=m001": (200, b"a,b\n"),
        f"GET /settlements/{ID}/statement?format=html&lang=en&organisation=m001": (200, b"<p>"),
        f"GET /settlements/{ID}/statement?format=pdf&lang=en&organisation=m001": (200, b"%PDF"),
    }
    files = {name: tmp_path / f"s.{name}" for name in ("html", "pdf", "csv")}
    wanted = [part for name, path in files.items() for part in (f"--{name}", str(path))]
    code, _, err = cli("settlement", "statement", ID, "--org", "m001", *wanted)
    assert code == 0, err
    assert [one.read_bytes() for one in files.values()] == [b"<p>", b"%PDF", b"a,b\n"]


@pytest.fixture(name="agent")
def _agent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """An agent that notes what it is asked."""
    asked: list[tuple[Any, ...]] = []
    pinned = {"project": PROJECT, "pinned": [SHOWN], "candidate": SHOWN}

    def noting(name: str, answer: Any) -> Callable[..., Any]:
        def call(config: Path, *args: Any, **facts: Any) -> Any:
            del config
            asked.append((name, *args, facts))
            return answer

        return call

    done = {"deed": {"statement": {"reference": "cd" * 32}}, "state": "approved"}
    for name, answer in (
        ("revenue_show", pinned), ("revenue_sign", {}), ("settlement_list", [OWN]),
        ("settlement_show", OWN), ("settlement_decide", done),
    ):  # fmt: skip
        monkeypatch.setattr(api, name, noting(name, answer))
    return asked


def test_decisions_are_sent_with_what_was_entered(agent: list[Any], cli: Any) -> None:
    code, out, err = cli("agent", "settlement", "approve", ID, "--digest", RESULT.digest)
    assert code == 0, err
    assert RESULT.digest in out.replace("\n", "")
    assert agent[-1] == ("settlement_decide", "approve", ID, {"confirm": RESULT.digest})
    assert "m001 accuses the centre" in err
    for args, wanted in (
        (("dispute", ID, "--reason", "rows"), ("dispute", ID, {"reason": "rows"})),
        (("withdraw", ID, "--yes"), ("withdraw", ID, {})),
        (("pay", ID, "--payee", "m001", "--amount", "5", "--reference", "7", "--yes"),
         ("pay", ID, {"payee": "m001", "amount": 5, "reference": "7"})),
        (("confirm", ID, "--payer", "m000", "--reference", "ab" * 32),
         ("confirm", ID, {"payer": "m000", "reference": "ab" * 32})),
    ):  # fmt: skip
        code, _, err = cli("agent", "settlement", *args)
        assert code == 0, err
        assert agent[-1] == ("settlement_decide", *wanted)
    assert cli("agent", "settlement", "list", PROJECT)[0] == 0
    assert cli("agent", "settlement", "show", ID)[0] == 0


def test_an_agreement_is_read_before_it_is_signed(agent: list[Any], cli: Any) -> None:
    code, out, err = cli("agent", "revenue", "sign", PROJECT, "--digest", AGREEMENT.digest)
    assert code == 0, err
    assert AGREEMENT.digest in out.replace("\n", "")
    assert agent[-1] == ("revenue_sign", PROJECT, AGREEMENT.digest, {})
    assert cli("agent", "revenue", "show", PROJECT)[0] == 0


def test_what_is_owed_is_asked_of_each_place(
    agent: list[Any], cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del agent
    place = {"place": "c", "payer": "m000", "currency": "EUR", "owed": {"m001": 27_990}}
    told: list[dict[str, Any]] = [{**place, "trouble": None}]
    monkeypatch.setattr(api, "anchor_owed", lambda *_: told)
    code, out, _ = cli("agent", "settlement", "owed", PROJECT)
    assert code == 0
    assert all(word in out for word in ("c", "m000", "m001", "279.90 EUR"))
    assert json.loads(cli("agent", "settlement", "owed", PROJECT, "-o", "json")[1]) == told
    away = {"code": "anchor_unavailable", "message": "it is away", "hint": "", "details": {}}
    told.append({**place, "place": "d", "owed": {}, "trouble": away})
    code, out, err = cli("agent", "settlement", "owed", PROJECT)
    assert code != 0
    assert "279.90 EUR" in out
    assert "it is away" in err
    told.clear()
    assert "names no place" in cli("agent", "settlement", "owed", PROJECT)[2]
