"""What the command line verifies itself: bundles, proofs, heads, charters, models' rows."""

from __future__ import annotations

import copy
import json
from contextlib import nullcontext
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import secureflow.cli.audit
from secureflow.domain.charter import Charter, Member, SignedCharter
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.ledger.bundle_format import resembles_bundle
from secureflow.engines.training.export import ModelFile, model_digest
from tests.unit.engines.ledger.test_bundle import BANKS, CHARTER, HONEST, JOB, LOG, STORY
from tests.unit.engines.pipeline.worlds_that_lie import Comparing, played
from tests.unit.engines.run.test_ending import story


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> dict[str, Path]:
    signed = SignedCharter(CHARTER)
    for name, key in BANKS.items():
        signed = signed.sign(name, key)
    contents = {"charter": signed.json(), "bundle": HONEST}
    paths = {name: tmp_path / f"{name}.json" for name in contents}
    for name, path in paths.items():
        path.write_text(json.dumps(contents[name]))
    return paths


def test_an_honest_bundle_under_the_pinned_charter_is_0(cli: Any, files: Any) -> None:
    code, out, err = cli("audit", "verify", files["bundle"], "--charter", files["charter"])
    assert code == 0
    assert "verified" in out
    assert "Verified" in err
    assert ("a later entry" in out, "would be noticed" in out) == (True, True)
    for text in ("succeeded", "bank-a", "server", "signed its end", STORY.signed[-2].hash()):
        assert text in out
    code, out, _ = cli(
        "audit", "verify", files["bundle"], "--charter", files["charter"], "-o", "json"
    )
    told = json.loads(out)
    assert (code, told["status"], told["outcome"]) == (0, "verified", "succeeded")
    assert {end["author"] for end in told["authors"]} == {"server", "enclave", *BANKS}


def test_a_report_is_compared_with_the_record(cli: Any, tmp_path: Path) -> None:
    bundle, report, charter = played(Comparing)
    files = {"bundle": bundle, "report": report, "charter": SignedCharter(charter).json()}
    paths = {name: tmp_path / f"{name}.json" for name in files}

    def verified() -> tuple[int, str]:
        for name, path in paths.items():
            path.write_text(json.dumps(files[name]))
        pinned = ("--charter", paths["charter"], "--report", paths["report"])
        code, _, err = cli("audit", "verify", paths["bundle"], *pinned)
        return code, err

    assert verified()[0] == 0
    files["report"]["comparison"]["lines"][0]["cells"][0]["value"] = "61"
    code, err = verified()
    assert code == 7
    assert "the report compares models in a table of digest" in err


def test_an_entry_that_is_not_shown_says_so(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [{"index": 0, "hash": "ab"}, {"index": 1, "kind": "job.proposed", "hash": "cd"}]
    audit = SimpleNamespace(entries=lambda job, start: iter(found))
    connection = nullcontext(SimpleNamespace(audit=audit))
    monkeypatch.setattr(secureflow.cli.audit, "client", lambda: connection)
    code, out, _ = cli("audit", "entries")
    assert (code, out.count("– not shown to you"), out.count("submitted a job")) == (0, 1, 1)
    code, out, _ = cli("audit", "entries", "-o", "json")
    assert (code, json.loads(out)) == (0, found)


def test_a_bundle_is_held_to_the_spec_that_was_approved(cli: Any, files: Any) -> None:
    """Whoever colludes with the centre can tell a story of another spec: the job's is known."""
    command = ("audit", "verify", files["bundle"], "--charter", files["charter"])
    _, out, _ = cli(*command, "-o", "json")
    spec = json.loads(out)["spec"]
    code, out, _ = cli(*command, "--spec", spec)
    assert code == 0
    assert spec in out
    other = "0" * len(spec)
    code, out, err = cli(*command, "--spec", other)
    assert code == 7
    assert "broken" in out
    assert f"not about {other}" in err


def test_accusations_are_told_with_whom_they_accuse(
    cli: Any, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = story("sealed", "accusation")
    signed = SignedCharter(world.charter)
    files["charter"].write_text(json.dumps(signed.json()))
    files["bundle"].write_text(json.dumps(world.bundle()))
    code, out, _ = cli("audit", "verify", files["bundle"], "--charter", files["charter"])
    assert code == 0
    for text in ("accuses", "bank-d", "vote_already_cast", "ab" * 32):
        assert text in out
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    _, out, _ = cli("audit", "verify", files["bundle"], "--charter", files["charter"])
    assert "指控" in out


def test_a_bundle_whose_end_is_cut_off_is_7_and_unfinished(cli: Any, files: Any) -> None:
    """Old bundles, without ends, read the same."""
    files["bundle"].write_text(json.dumps({**HONEST, "entries": HONEST["entries"][:-1]}))
    code, out, err = cli("audit", "verify", files["bundle"], "--charter", files["charter"])
    assert code == 7
    assert "unfinished" in out
    assert "not provable" in out
    assert "audit_unfinished" in err
    assert "the end was cut off" in err


def test_a_verdict_is_told_in_chinese(
    cli: Any, files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    _, out, _ = cli("audit", "verify", files["bundle"], "--charter", files["charter"])
    assert "验证通过" in out
    assert "已签署结尾" in out
    files["bundle"].write_text(json.dumps({**HONEST, "entries": HONEST["entries"][:-1]}))
    _, out, err = cli("audit", "verify", files["bundle"], "--charter", files["charter"])
    assert "未完结" in out
    assert "没有协调中心的结尾" in err


def test_own_leaves_are_held_against_a_bundle(cli: Any, files: Any, tmp_path: Path) -> None:
    held = tmp_path / "held.json"
    own = [{"leaf": one.json()} for one in STORY.signed if one.leaf.author == "bank-a"]
    held.write_text(json.dumps(own))
    command = ("audit", "verify", files["bundle"], "--charter", files["charter"], "--held", held)
    code, out, _ = cli(*command)
    assert code == 0
    assert out.count("in the story") == len(
        [one for one in own if one["leaf"]["leaf"]["job"] == JOB]
    )
    assert out.count("foreign") == 1
    held.write_text("{}")
    assert cli(*command)[0] == 2


def test_a_charter_with_a_history_that_is_none_is_refused(cli: Any, files: Any) -> None:
    charter = json.loads(files["charter"].read_text())
    for history in (5, None, "no", [1]):
        files["charter"].write_text(json.dumps(charter | {"history": history}))
        code, _, err = cli("audit", "verify", files["bundle"], "--charter", files["charter"])
        assert code == 2, history
        assert "malformed" in err


def test_the_offline_page_is_written_with_its_digest(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = tmp_path / "cli" / "verifier"
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    code, _, err = cli("audit", "page", tmp_path / "page.html")
    assert code == 4
    assert "npm run build:verify" in err
    built.mkdir(parents=True)
    (built / "verify.html").write_text("<p>页面</p>", "utf-8")
    code, out, _ = cli("audit", "page", tmp_path / "page.html")
    written = (tmp_path / "page.html").read_bytes()
    assert (code, written) == (0, "<p>页面</p>".encode())
    assert out.startswith(sha256(written).hexdigest())


def test_without_a_charter_it_is_7(cli: Any, files: Any) -> None:
    code, out, err = cli("audit", "verify", files["bundle"])
    assert code == 7
    assert "consistent, unauthenticated" in out
    assert "--charter" in err


def test_an_edited_bundle_is_7_and_names_the_entry(cli: Any, files: Any) -> None:
    bundle = copy.deepcopy(HONEST)
    bundle["entries"][3]["leaf"]["leaf"]["at"] += 1
    files["bundle"].write_text(json.dumps(bundle))
    code, out, err = cli(
        "audit", "verify", files["bundle"], "--charter", files["charter"], "-o", "json"
    )
    assert code == 7
    assert json.loads(out)["ok"] is False
    index = bundle["entries"][3]["index"]
    assert f"entry {index}" in err


STRIPPED = ["note", "origin", "entries"]
"""What the centre must strip for the rest to look like no record of anything."""


@pytest.mark.parametrize(
    "damaged", [STRIPPED, ["note"], ["spec", "charter"], ["v", "entries", "job"]]
)
def test_a_damaged_bundle_is_7(cli: Any, files: Any, damaged: list[str]) -> None:
    left = {name: one for name, one in HONEST.items() if name not in damaged}
    files["bundle"].write_text(json.dumps(left))
    code, out, err = cli("audit", "verify", files["bundle"], "--charter", files["charter"])
    assert (code, "broken" in out, "show it to the other members" in err) == (7, True, True)


def test_a_bundle_less_any_three_of_its_fields_is_an_accusation() -> None:
    """What the centre strips from a bundle makes no other document of it."""
    for stripped in combinations(HONEST, 3):
        left = {name: one for name, one in HONEST.items() if name not in stripped}
        assert resembles_bundle(left), stripped
        assert verify_bundle(left, CHARTER).status == "broken"


@pytest.mark.parametrize("shown", [{}, [], {"v": 1}, None])
@pytest.mark.parametrize("option", ["--spec", "--held"])
def test_anything_that_is_held_to_a_spec_or_to_kept_leaves_is_judged(
    cli: Any, files: Any, tmp_path: Path, option: str, shown: Any
) -> None:
    files["bundle"].write_text(json.dumps(shown))
    held = tmp_path / "held.json"
    held.write_text("[]")
    given = held if option == "--held" else "0" * 64
    code, out, err = cli(
        *("audit", "verify", files["bundle"], "--charter", files["charter"], option, given)
    )
    assert (code, "broken" in out, "show it to the other members" in err) == (7, True, True)


@pytest.mark.parametrize("sent", [{}, {"v": 1, "job": JOB}])
@pytest.mark.parametrize("command", [("audit", "export"), ("job", "bundle")])
def test_a_centre_that_sends_no_bundle_is_not_trusted(
    centre: Any, cli: Any, tmp_path: Path, command: tuple[str, str], sent: Any
) -> None:
    account = {"id": "usr_00000000", "name": "sam"}
    session = {"token": "sft_new", "expires": 2_000_000_000, "user": account}
    centre.answers["POST /login"] = (200, session)
    centre.answers["GET /audit/bundle?job=job_00000000"] = (200, sent)
    centre.answers["GET /jobs/job_00000000/bundle"] = (200, sent)
    password, file = tmp_path / "password", tmp_path / "new.json"
    password.write_text("secret\n")
    password.chmod(0o600)
    assert cli("login", centre.url, "--name", "sam", "--password-file", password)[0] == 0
    place = [file] if command[0] == "audit" else ["--save", file]
    code, out, err = cli(*command, "job_00000000", *place)
    assert (code, out, file.exists()) == (7, "", False)
    assert "server_untrusted: What the server sent is not an audit bundle." in err


@pytest.mark.parametrize("wrong", ["report", "spec", "charter", [], {}, {"v": 1}])
def test_another_file_is_2_and_accuses_nobody(cli: Any, files: Any, wrong: Any) -> None:
    others = {
        "report": {"v": 1, "job": JOB, "state": "succeeded", "ledger": {"note": HONEST["note"]}},
        "spec": HONEST["spec"],
        "charter": json.loads(files["charter"].read_text()),
    }
    given = others[wrong] if isinstance(wrong, str) else wrong
    file = files["bundle"].with_name("report.json")
    file.write_text(json.dumps(given))
    code, out, err = cli("audit", "verify", file, "--charter", files["charter"])
    assert (code, out) == (2, "")
    assert f"invalid_file: {file} is not an audit bundle." in err
    assert "members" not in err


@pytest.mark.parametrize("text", ["{", "NaN", '{"a": 1, "a": 2}', ""])
def test_no_json_is_2(cli: Any, files: Any, text: str) -> None:
    files["bundle"].write_text(text)
    code, _, err = cli("audit", "verify", files["bundle"], "--charter", files["charter"])
    assert code == 2
    assert len(err.splitlines()) == 1


def _ledger(centre: Any, index: int, **changes: Any) -> None:
    size = STORY.tree.size
    proof = [node.hex() for node in STORY.tree.inclusion_proof(index)]
    leaf = STORY.signed[index].hash()
    told = {"note": STORY.note(), "entry": {"index": index, "hash": leaf}, "proof": proof}
    told |= changes
    centre.answers["GET /audit/head"] = (200, {"note": told["note"]})
    centre.answers[f"GET /audit/entries?start={index}"] = (200, {"items": [told["entry"]]})
    path = f"GET /audit/inclusion?index={index}&size={size}"
    centre.answers[path] = (200, {"proof": told["proof"]})


def test_an_inclusion_proof_is_checked_here(centre: Any, cli: Any, files: Any) -> None:
    _ledger(centre, 5)
    code, out, err = cli("ledger", "proof", 5, "--charter", files["charter"], "-o", "json")
    assert code == 0
    assert json.loads(out)["hash"] == STORY.signed[5].hash()
    assert "The proof is valid." in err


@pytest.mark.parametrize(
    "change",
    [
        {"proof": []},
        {"proof": ["00" * 32] * 4},
        {"entry": {"index": 5, "hash": "00" * 32}},
        {"note": STORY.note(log=BANKS["bank-a"])},
    ],
)
def test_a_false_proof_is_7(centre: Any, cli: Any, files: Any, change: Any) -> None:
    _ledger(centre, 5, **change)
    assert cli("ledger", "proof", 5, "--charter", files["charter"])[0] == 7


def test_a_rewritten_log_is_7(centre: Any, cli: Any, files: Any, tmp_path: Path) -> None:
    from secureflow.engines.ledger.notes import Checkpoint, sign_checkpoint

    size = STORY.tree.size
    centre.answers["GET /audit/head"] = (200, {"note": STORY.note()})
    for old, root, expected in ((5, STORY.tree.root(5), 0), (5, b"\x01" * 32, 7)):
        proof = [node.hex() for node in STORY.tree.consistency_proof(old, size)]
        centre.answers[f"GET /audit/consistency?old={old}&new={size}"] = (200, {"proof": proof})
        kept = tmp_path / "kept"
        kept.write_text(sign_checkpoint(Checkpoint(CHARTER.origin, old, root), LOG))
        assert cli("ledger", "consistency", kept, "--charter", files["charter"])[0] == expected


def test_charters_are_compared_and_verified(cli: Any, files: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    members = (*CHARTER.members[:-1], Member("bank-x", "X", CHARTER.members[-1].key))
    changed = Charter(1, CHARTER.trust_domain, CHARTER.origin, CHARTER.log_key, members)
    other.write_text(json.dumps(SignedCharter(changed).json()))
    assert cli("charter", "compare", files["charter"], files["charter"])[0] == 0
    code, out, _ = cli("charter", "compare", files["charter"], other)
    assert code == 7
    assert "member bank-x: added" in out
    assert cli("charter", "verify", files["charter"])[0] == 0
    assert cli("charter", "verify", other)[0] == 7
    assert cli("charter", "verify", other, "--pinned", files["charter"])[0] == 7
    assert cli("charter", "verify", files["charter"], "--pinned", files["charter"])[0] == 0


def test_the_words_to_compare_are_computed_here(centre: Any, cli: Any) -> None:
    lie = {"charter": CHARTER.json(), "signatures": {}, "digest": "0" * 64, "words": "lie lie"}
    centre.answers["GET /charter"] = (200, lie)
    told = json.loads(cli("charter", "show", "-o", "json")[1])
    assert told["words"] == CHARTER.fingerprint_words()
    assert told["digest"] == CHARTER.digest
    assert cli("charter", "show")[0] == 0


def test_predicting_rows_of_a_file(cli: Any, tmp_path: Path) -> None:
    parameters = np.array([2.0, -1.0], dtype=np.float32)
    features = {
        "label": {"column": "income", "positive": ">50K"},
        "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}],
    }
    card = {"family": "logistic_regression", "digest": model_digest(parameters)}
    model, rows = tmp_path / "m.safetensors", tmp_path / "rows.csv"
    model.write_bytes(ModelFile(card | {"features": features}, parameters).to_bytes())
    rows.write_text("age,name\n20,Ann\n90,李\n")
    code, out, _ = cli("model", "predict", model, rows, "-o", "json")
    assert code == 0
    first, second = json.loads(out)
    assert first["P(income=>50K)"] < second["P(income=>50K)"]
    rows.write_text("age\n20\nold\n")
    code, _, err = cli("model", "predict", model, rows)
    assert code == 2
    assert "Row 2, column age" in err
    rows.write_text("")
    code, _, err = cli("model", "predict", model, rows)
    assert (code, "no header line" in err) == (2, True)
