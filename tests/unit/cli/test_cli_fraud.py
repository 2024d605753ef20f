"""`audit fraud` and `agent fraud`: what convinces a stranger, and what does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent.witness.fraudfiles import MAX_FILES, keep_fraud, kept_frauds
from secureflow.kit.crypto import SigningKey
from tests.unit.engines.ledger.test_fraud import CHARTER, LOG, other_prefix, signed, two_roots

YAML = (
    "organisation: bank-a\nserver: https://c.example\nlink: c.example:1\ntrust_domain: x.example\n"
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {"fraud": two_roots(), "prefix": other_prefix(), "charter": signed().json()}
    paths = {name: tmp_path / f"{name}.json" for name in made}
    for name, path in paths.items():
        path.write_text(json.dumps(made[name]))
    return paths


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_stranger_with_the_charter_or_the_key_is_convinced(
    cli: Any, files: Any, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    for file in ("fraud", "prefix"):
        for known in (("--charter", files["charter"]), ("--log-key", LOG.public)):
            code, out, err = cli("audit", "fraud", "verify", files[file], *known)
            assert code == 0, err
            assert CHARTER.origin in out
            assert ("Proved" if language == "en" else "已证明") in err
    code, out, _ = cli(
        "audit", "fraud", "verify", files["fraud"], "-o", "json", "--log-key", LOG.public
    )
    assert json.loads(out)["case"] == "two_roots"


def test_without_one_it_convicts_the_holder_of_some_key(cli: Any, files: Any) -> None:
    code, out, err = cli("audit", "fraud", "verify", files["fraud"])
    assert code == 7
    assert "audit_unauthenticated" in err
    code, out, err = cli("audit", "fraud", "show", files["fraud"])
    assert code == 0
    assert "unauthenticated" in out


def test_another_key_or_a_changed_file_convicts_nobody(cli: Any, files: Any) -> None:
    other = SigningKey.generate().public
    code, out, err = cli("audit", "fraud", "verify", files["fraud"], "--log-key", other)
    assert code == 7
    assert "fraud_not_proved" in err
    assert "another key" in out + err
    made = two_roots()
    files["fraud"].write_text(json.dumps(made | {"notes": [made["notes"][0]] * 2}))
    code, _, err = cli("audit", "fraud", "verify", files["fraud"], "--charter", files["charter"])
    assert (code, "fraud_not_proved" in err) == (7, True)
    files["fraud"].write_text("{}")
    code, _, err = cli("audit", "fraud", "show", files["fraud"])
    assert code != 0
    assert "malformed_fraud" in err


def test_an_agent_lists_and_exports_what_it_wrote(cli: Any, tmp_path: Path) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text(YAML)
    out = tmp_path / "out.json"
    code, _, err = cli("agent", "fraud", "export", out, "--config", config)
    assert (code != 0, "not_found" in err) == (True, True)
    assert "one history" in cli("agent", "fraud", "list", "--config", config)[2]
    evidence = tmp_path / "evidence"
    path = keep_fraud(evidence, two_roots())
    (evidence / "fraud-0.json").write_text("damaged")
    listed = cli("agent", "fraud", "list", "--config", config, "-o", "json")[1]
    assert path in {one["path"] for one in json.loads(listed)}
    assert cli("agent", "fraud", "export", out, "--config", config)[0] == 0
    code, *_ = cli("audit", "fraud", "verify", out, "--log-key", LOG.public)
    assert code == 0


def test_a_folder_takes_so_many_proofs_and_no_more(tmp_path: Path) -> None:
    for number in range(MAX_FILES + 3):
        keep_fraud(tmp_path, {"number": number})
    assert len(list(kept_frauds(tmp_path))) == MAX_FILES
    again = keep_fraud(tmp_path, {"number": 0})
    assert Path(again).exists()
    assert keep_fraud(tmp_path, {"number": MAX_FILES + 1}) == ""
