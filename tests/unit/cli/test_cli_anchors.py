"""`secureflow anchor`, `audit verify --anchors` and `secureflow agent anchor` on the terminal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent import api
from secureflow.cli import anchorchecks
from secureflow.cli.anchornodes import NodeAnswer
from secureflow.domain.charter import SignedCharter
from secureflow.engines.anchors.entries import AnchorHead, parse_entry
from secureflow.engines.anchors.reading import anchored_head
from secureflow.engines.anchors.statements import Statement, sign_statement
from secureflow.engines.ledger.notes import Checkpoint, parse_note, sign_checkpoint
from tests.unit.engines.anchors import bundles
from tests.unit.engines.ledger.test_bundle import BANKS, CHARTER, HONEST, LOG

PLACE = "evm:1337:0x" + "ab" * 20


def signed(head: AnchorHead, by: str = "bank-a") -> dict[str, Any]:
    made = Statement(PLACE, head, "kept", "cd" * 32, 12, {"status": 1}, 1_800_000_000)
    statement = sign_statement(made, BANKS[by]).json()
    told = {"organisation": by, "place": PLACE, "kind": "anchor", "size": head.size, "at": 1}
    return {**told, "statement": statement}


def own_head(root: bytes | None = None) -> AnchorHead:
    """Return the bundle's own head as an anchor, or one of its size with another root."""
    held = parse_note(HONEST["note"]).checkpoint
    note = sign_checkpoint(Checkpoint(held.origin, held.size, root or held.root), LOG)
    return anchored_head(note, LOG.public)


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> dict[str, Path]:
    charter = SignedCharter(CHARTER)
    for name, key in BANKS.items():
        charter = charter.sign(name, key)
    paths = {name: tmp_path / f"{name}.json" for name in ("charter", "bundle", "anchors")}
    paths["charter"].write_text(json.dumps(charter.json()))
    paths["bundle"].write_text(json.dumps(HONEST))
    paths["anchors"].write_text(json.dumps([signed(own_head())]))
    return paths


def test_a_bundle_is_verified_with_what_members_anchored(cli: Any, files: Any) -> None:
    command = ("audit", "verify", files["bundle"], "--charter", files["charter"])
    code, _, err = cli(*command, "--anchors", files["anchors"])
    assert code == 0, err
    assert "anchored by bank-a at evm:1337" in err
    assert "not checked (no node given)" in err


def forged_head() -> AnchorHead:
    return replace(own_head(), signature=(b"\x01" * 32, b"\x02" * 32))


@pytest.mark.parametrize(
    ("anchors", "told"),
    [
        ([signed(forged_head())], "that the log never signed"),
        ([signed(own_head(b"\x07" * 32), "bank-b")], "bank-b anchored a head"),
        ([signed(own_head()), signed(own_head(b"\x07" * 32), "bank-c")], "two histories"),
        ([{**signed(own_head()), "statement": {}}], "malformed"),
    ],
)
def test_a_false_anchor_fails_the_verdict(cli: Any, files: Any, anchors: Any, told: str) -> None:
    files["anchors"].write_text(json.dumps(anchors))
    command = ("audit", "verify", files["bundle"], "--charter", files["charter"])
    code, _, err = cli(*command, "--anchors", files["anchors"])
    assert code == 7
    assert told in err


def test_the_centres_statements_are_listed_and_checked(centre: Any, cli: Any, files: Any) -> None:
    centre.answers["GET /anchors"] = (200, {"items": [signed(own_head())], "next": ""})
    code, out, err = cli("anchor", "list")
    assert (code, "bank-a" in out) == (0, True), err
    code, out, _ = cli("anchor", "verify", "--charter", files["charter"], "-o", "json")
    assert (code, json.loads(out)[0]["check"]) == (0, "not checked")
    code, out, _ = cli("anchor", "doctor", "-o", "json")
    assert (code, json.loads(out)[0]["organisations"]) == (0, ["bank-a"])
    centre.answers["GET /anchors"] = (200, {"items": [signed(forged_head())], "next": ""})
    code, _, err = cli("anchor", "verify", "--charter", files["charter"])
    assert code != 0
    assert "that the log never signed" in err


def test_a_list_names_each_deed_and_says_when_there_is_more(
    centre: Any, cli: Any, files: Any
) -> None:
    deed = parse_entry({"kind": "approveJob", "job": "ab" * 32, "spec": "cd" * 32})
    made = Statement(PLACE, deed, "kept", "cd" * 32, 12, {"status": 1}, 1_800_000_000)
    other = {"organisation": "bank-b", "place": PLACE, "kind": "approveJob", "size": 0, "at": 1}
    other["statement"] = sign_statement(made, BANKS["bank-b"]).json()
    centre.answers["GET /anchors"] = (200, {"items": [signed(own_head()), other], "next": ""})
    for command in (("list",), ("verify", "--charter", files["charter"])):
        code, out, err = cli("anchor", *command)
        assert code == 0, err
        assert own_head().digest.hex() in out
        assert deed.digest.hex() in out, "two deeds of one transaction are told apart"
        assert "–" in out, "only a head has a size"
        assert "--most" not in err
        code, out, err = cli("anchor", *command, "--most", "1", "-o", "json")
        assert (code, len(json.loads(out))) == (0, 1)
        assert "Only the newest 1 statements" in err


@pytest.fixture(name="anchored")
def _anchored(files: dict[str, Path]) -> Any:
    """Put anchors into the bundle's file; return the command that verifies it."""

    def put(*listed: Any) -> tuple[Any, ...]:
        files["bundle"].write_text(json.dumps(bundles.bundled(*listed)))
        return ("audit", "verify", files["bundle"], "--charter", files["charter"])

    return put


def test_a_bundle_tells_what_was_anchored_and_what_follows(cli: Any, anchored: Any) -> None:
    command = anchored(*bundles.anchors())
    code, out, err = cli(*command)
    assert code == 0, err
    assert bundles.FILE in out, "a place is never cut"
    assert "the whole record stands under this head" in out
    assert "the entries below 22 stand under this head" in out
    assert "3 receipts of chains are not checked" in err
    assert "1 receipts of Fabric channels are not checked" in err
    code, out, _ = cli(*command, "-o", "json")
    told = json.loads(out[: out.rindex("}") + 1])
    assert [one["covers"] for one in told["anchors"][:4]] == ["whole", "whole", "whole", "part"]


def test_a_false_anchor_in_a_bundle_fails_it_by_name(cli: Any, anchored: Any) -> None:
    for listed, standing, words in bundles.hostile().values():
        code, _, err = cli(*anchored(*listed))
        assert code == (0 if standing == "foreign" else 7), words
        assert words in err or standing == "foreign"


def test_a_node_is_asked_about_each_receipt_of_its_chain(
    cli: Any, anchored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    answer = [NodeAnswer()]

    async def node(said: Any, url: str) -> list[NodeAnswer]:
        asked.append((url, [one.make for one in said]))
        return answer * len(said)

    monkeypatch.setattr(anchorchecks, "asked_of_node", node)
    command = anchored(*bundles.anchors())
    for holds, expected, words in (
        (True, 0, "the place holds it"), (None, 0, "not checked"),
        (False, 7, "the node has no such transaction: " + "cd" * 32),
    ):  # fmt: skip
        answer[0] = NodeAnswer(holds=holds)
        code, out, err = cli(*command, "--anchor-node", "http://127.0.0.1:1")
        assert code == expected, err
        assert words in out + err
    assert asked == [("http://127.0.0.1:1", ["evm", "fabric", "evm", "evm"])] * 3


def test_a_bundle_is_exported_without_anchors_for_older_verifiers(
    cli: Any, centre: Any, tmp_path: Path
) -> None:
    centre.answers["GET /audit/bundle?job=job_00000000&anchors=false"] = (200, HONEST)
    centre.answers["GET /audit/bundle?job=job_00000000"] = (200, bundles.bundled(5))
    for options, there in ((("--without-anchors",), False), ((), True)):
        file = tmp_path / f"b{there}.json"
        code, _, err = cli("audit", "export", "job_00000000", file, *options)
        assert code == 0, err
        assert ("anchors" in json.loads(file.read_text())) == there


PLACES = [
    {"name": "chain", "make": "evm", "place": PLACE, "account": "00" * 32, "waiting": 2,
     "oldest": 1, "late": 7200, "looked": None, "trouble": None},
]  # fmt: skip
ENTRY = {"digest": "ab" * 32, "place": PLACE, "kind": "anchor", "stands_for": None,
         "state": "queued", "result": None, "reason": "", "at": 1_800_000_000, "ended": None,
         "transaction": "", "block": None}  # fmt: skip


def test_an_owner_sees_what_waits_and_for_how_long(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"places": PLACES, "entries": [ENTRY]}
    monkeypatch.setattr(api, "anchor_list", lambda *_: found)
    code, out, err = cli("agent", "anchor", "list")
    assert code == 0, err
    assert "queued" in out
    assert "2 waiting, the oldest for 2h" in err
    code, out, _ = cli("agent", "anchor", "list", "-o", "json")
    assert json.loads(out) == found


def test_a_doctor_with_a_problem_says_so(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    well = {**PLACES[0], "facts": {}, "problem": "", "hint": ""}
    monkeypatch.setattr(api, "anchor_doctor", lambda *_: [well])
    assert cli("agent", "anchor", "doctor")[0] == 0
    monkeypatch.setattr(api, "anchor_doctor", lambda *_: [{**well, "problem": "no node"}])
    code, out, err = cli("agent", "anchor", "doctor")
    assert (code, "no node" in out, "no node" in err) == (6, True, True)


def test_what_does_not_hold_at_a_place_ends_with_its_error(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = {"code": "anchor_untrusted", "message": "not believed", "hint": "", "details": {}}
    found = [{"place": "chain", "heads": 0, "receipts": 0, "problems": [problem]}]
    monkeypatch.setattr(api, "anchor_verify", lambda *_: found)
    code, _, err = cli("agent", "anchor", "verify")
    assert code != 0
    assert "not believed" in err


def test_an_owner_votes_at_a_place(
    cli: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []

    def vote(_: Path, act: str, **more: Any) -> dict[str, Any]:
        asked.append((act, more))
        return {"digest": "ab" * 32, "queued": 1}

    monkeypatch.setattr(api, "anchor_vote", vote)
    account = tmp_path / "bank-d.json"
    account.write_text(json.dumps({"member": "cd" * 32}))
    own = ("agent", "anchor")
    for command in (
        ("admit", "chain", account), ("remove", "chain", "bank-b"), ("upgrade", "chain", PLACE),
    ):  # fmt: skip
        code, _, err = cli(*own, *command)  # nobody to ask
        assert (code != 0, asked) == (True, []), err
    code, out, err = cli(*own, "admit", "chain", account, "--yes")
    assert (code, "ab" * 32 in out) == (0, True), err
    assert cli(*own, "remove", "chain", "bank-b", "--yes")[0] == 0
    assert cli(*own, "upgrade", "chain", PLACE, "--yes")[0] == 0
    assert cli(*own, "again", "ab" * 32)[0] == 0
    assert asked == [
        ("admit", {"place": "chain", "account": {"member": "cd" * 32}}),
        ("remove", {"place": "chain", "member": "bank-b"}),
        ("upgrade", {"place": "chain", "successor": PLACE}),
        ("again", {"entry": "ab" * 32, "place": ""}),
    ]
