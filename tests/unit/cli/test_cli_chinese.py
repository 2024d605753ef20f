"""Whoever reads Chinese is told everything in Chinese: refusals, hints, findings, explanations."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.main import get_command

import secureflow
from secureflow.adapters.database.faults import fault
from secureflow.adapters.link.requests import silent
from secureflow.agent.console.screens.actionwords import told as in_words
from secureflow.cli import console
from secureflow.cli.explaining import show_explanation
from secureflow.cli.main import app
from secureflow.cli.texts import t
from secureflow.domain.charter import Charter, Member, compare
from secureflow.engines.ledger.setback import Hold, set_back
from secureflow.engines.run.sealed import too_few_contributors
from secureflow.kit.crypto import SigningKey
from secureflow.texts import chinese
from tests.syntax import nodes

SOURCE = Path(secureflow.__file__).parent
CJK = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(autouse=True)
def _chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")


def _texts(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_a_round_that_cannot_be_summed_says_once_who_was_silent() -> None:
    context = SimpleNamespace(job="job")
    course: Any = SimpleNamespace(threshold=3, parties=("a", "b", "c"), context=context)
    request: Any = SimpleNamespace(party="c", verb="mask", patience=40.0)
    step: Any = SimpleNamespace(number=2, stage="train")
    failures = {"b": {"message": "Who knows."}, "c": silent(request).as_json()}
    failed = too_few_contributors(course, step, failures)
    assert failed.message == (
        "Round 2 (train) cannot be summed: b, c did not contribute, and 3 of 3 are needed. "
        "b: Who knows; c made no progress for 40 seconds."
    )
    assert chinese(failed.message) == (
        "第 2 轮（训练）无法求和：b、c 没有贡献，3 方中至少需要 3 方。"
        "b：Who knows；c 在 40 秒内没有进展。"
    )
    assert CJK.search(chinese(failed.hint) or "")


def test_a_log_that_was_set_back_is_told_in_whole_sentences() -> None:
    assert chinese(set_back(Hold("shrunk", 1, 3), "x.y").message) == (
        "账本 x.y 被回退：它签署过大小为 3 的账本头，而账本现有 3 条。丢失 0 条。账本已停止签名。"
    )


def test_every_action_of_an_agents_log_has_its_chinese() -> None:
    noted = re.compile(r'note\((?:[\w.]+(?:\(\))?,)?\s*"([a-z_.]+)"')
    files = (SOURCE / "agent").rglob("*.py")
    actions = {one for path in files for one in noted.findall(path.read_text())}
    assert len(actions) > 40
    states = {f"inbox.{one}" for one in ("approved", "rejected", "asked_back")}
    facts = dict.fromkeys(
        (
            *("by", "reason", "code", "digest", "cause", "kind", "name", "of", "roles", "to"),
            *(
                "provider",
                "domain",
                "place",
                "outcome",
                "verdict",
                "round",
                "terms",
                "until",
                "act",
            ),
        ),
        "x",
    )
    told = {**facts, "entry": {"kind": "x"}}  # of a vote at a place
    said = {one: in_words(one, told, {}) for one in actions | states}
    assert not [one for one, text in said.items() if not CJK.search(chinese(text) or "")]


def test_whoever_has_no_valid_token_is_told_to_log_in_here() -> None:
    templates = list(_texts(SOURCE / "application" / "tokens.py"))
    told = [one for one in templates if one.startswith("Log in")]
    assert told
    assert all("secureflow login" in one for one in told)


def test_how_two_charters_differ_is_told_in_chinese() -> None:
    log, one, two, three = (SigningKey.generate().public for _ in range(4))
    members = (Member("bank-a", "A", one), Member("bank-c", "C", three))
    old = Charter(1, "a.example", "log.example", log, members)
    members = (Member("bank-b", "B", two), Member("bank-c", "Z", three))
    new = Charter(2, "a.example", "log.example/2", log, members, "cc" * 32)
    assert list(map(chinese, compare(old, new))) == [
        "版本：1 → 2",
        "账本名：log.example → log.example/2",
        f"上一版摘要：无 → {'cc' * 32}",
        "成员 bank-a：移除",
        f"成员 bank-b：新增，密钥 {two}",
        "成员 bank-c：名称 C → Z",
    ]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            {
                "code": "forbidden",
                "detail": "sam may not do this (job.cancel).",
                "hint": "Ask ann.",
                "texts": {
                    "message": {
                        "template": "{name} may not do this ({action}).",
                        "facts": {"name": "sam", "action": "job.cancel"},
                    },
                    "hint": {
                        "template": "Ask {organisation}.",
                        "facts": {"organisation": "ann"},
                    },
                },
            },
            "forbidden: sam 无权执行此操作（job.cancel）。 → 请联系 ann。\n",
        ),
        (
            {"code": "budget_exceeded", "detail": "Bank A has 0.1 left.", "hint": ""},
            "budget_exceeded: 超出隐私预算：Bank A has 0.1 left.\n",
        ),
        ({"code": "of_later", "detail": "Who knows.", "hint": ""}, "of_later: Who knows.\n"),
    ],
)
def test_a_servers_error_is_told_in_chinese(
    centre: Any, cli: Any, told: dict[str, Any], expected: str
) -> None:
    centre.answers["GET /jobs/job_00000000"] = (403, told)
    assert cli("job", "show", "job_00000000")[2] == expected


def test_our_own_error_is_not_told_twice(cli: Any) -> None:
    assert (
        cli("user", "me")[2] == "unauthenticated: 您尚未登录。 → secureflow login URL --ca FILE\n"
    )


def test_an_explanation_is_a_screen_in_chinese(centre: Any, cli: Any) -> None:
    told = {
        "protection": "secagg", "tee": "", "rounds": 2, "privacy": None, "dropouts": [],
        "disclosure": [
            {"who": "operator", "sees": "masked updates and their sum",
             "why": "masks cancel only in the sum"},
        ],
        "attacks": [
            {"attack": "the operator reads a single update", "stopped": "yes",
             "why": "it is masked; only a certified sum opens"},
        ],
    }  # fmt: skip
    centre.answers["GET /jobs/job_00000000/explain"] = (200, told)
    code, out, _ = cli("job", "explain", "job_00000000")
    assert code == 0
    for text in (
        "谁能看到什么",
        "运营方",
        "加掩码的更新及其总和",
        "运营方读取单个更新",
        "安全聚合",
    ):
        assert text in out
    assert not re.search(r"[a-z]{3,} [a-z]{3,}", out)


def test_an_explanation_leaves_the_name_of_a_query_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    released = [
        {"number": "rows", "mechanism": "public", "charge": [{"kind": "laplace"}]},
        {"number": "row counts", "mechanism": "not released", "charge": []},
    ]
    show_explanation({"privacy": {"released": released}})
    told = capsys.readouterr().out
    assert "rows" in told
    assert "行数" not in told.replace(str(chinese("row counts")), "")
    assert str(chinese("row counts")) in told


def test_every_command_that_a_text_names_exists() -> None:
    """A hint that names a command which is none leads nowhere."""
    root = get_command(app)
    named = {
        found
        for path in SOURCE.rglob("*.py")
        for text in _texts(path)
        for found in re.findall(r"\bsecureflow ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*){0,2})", text)
    }
    wrong = set()
    for line in named:
        command: Any = root
        for word in line.split():
            children = getattr(command, "commands", {})
            if not children:
                break  # words of the sentence, or arguments
            if word not in children:
                wrong.add(line)
                break
            command = children[word]
    assert not wrong


def _columns() -> Iterator[str]:
    """Yield every column that a command of the command line shows by its name."""
    for path in (SOURCE / "cli").rglob("*.py"):
        lists = {
            target.id: node.value
            for node in nodes(path)
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name) and isinstance(node.value, ast.Tuple)
        }
        for node in nodes(path):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"show", "_section"}:
                shown = node.args[2] if len(node.args) > 2 else None
                shown = lists.get(shown.id) if isinstance(shown, ast.Name) else shown
                yield from (
                    one.value
                    for one in (ast.walk(shown) if shown else ())
                    if isinstance(one, ast.Constant) and isinstance(one.value, str)
                )


def test_every_column_has_a_chinese_title() -> None:
    columns = set(_columns()) | {
        *("display", "fingerprint", "link", "unproved", "jobs", "spiffe", "config", "granted_by"),
        *("parties", "queries", "released_numbers", "parameters", "update_bytes", "releases"),
        *("dropouts_tolerated", "admin_password_file", "enclave_token_file", "ca_fingerprint"),
        *("file", "bytes", "made", "accused", "roster", "spec", "set_back"),
        *("as_of", "cosigned", "stored_models", "domains", "ended", "leaves", "log_size"),
    }
    assert len(columns) > 60
    assert not {name for name in columns if t(name) == name}, "add them to cli/chinese/words.py"


def test_states_and_truth_values_are_words(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"state": "succeeded", "kind": "training", "sensitive": False, "progress": {"loss": 0.5}}
    console.show([row], console.Form.TABLE)
    console.show(row, console.Form.JSON)
    table, programs = capsys.readouterr().out.split("{", 1)
    assert table.split("\n")[1].split() == ["成功", "训练", "否", "损失=0.5"]
    assert '"state": "succeeded"' in programs
    assert '"sensitive": false' in programs


def test_what_a_database_that_is_away_says_has_chinese() -> None:
    for code in ("database_busy", "database_unavailable", "disk_full", "too_many_files"):
        told = fault(code)
        for text in (told.message, told.hint):
            assert chinese(text), text
            assert "The centre" not in (chinese(text) or "")


@pytest.mark.parametrize(
    "words",
    [
        ("bundle", "show", "nowhere"),
        ("bundle", "pack", "nowhere"),
        ("bundle", "lock", "nowhere"),
        ("job", "submit", "nowhere"),
        ("model", "upload", "nowhere", "--project", "prj_01jf2k0000"),
        ("simulate", "nowhere", "--data", "nowhere"),
        ("agent", "environment", "list", "--config", "nowhere"),
    ],
)
def test_why_a_file_cannot_be_read_is_chinese(
    centre: Any, cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    code, _, err = cli(*words)
    assert code != 0
    assert "没有这个文件或文件夹" in err
    assert "No such file" not in err
