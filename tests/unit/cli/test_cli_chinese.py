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
from secureflow.cli import console
from secureflow.cli.main import app
from secureflow.cli.texts import t
from secureflow.cli.told import (
    TOLD,
    check,
    chinese_of,
    doctor,
    findings,
    hints,
    notes,
    owners,
    refusals,
    setbacks,
)
from secureflow.domain.charter import Charter, Member, compare
from secureflow.domain.error_texts import CHINESE
from secureflow.domain.errors import CATALOGUE
from secureflow.engines.ledger.setback import Hold, set_back
from secureflow.engines.run.sealed import too_few_contributors
from secureflow.kit.crypto import SigningKey

SOURCE = Path(secureflow.__file__).parent
CJK = re.compile(r"[\u4e00-\u9fff]")
NOTES = (
    "application/jobs/training.py",
    "application/jobs/statistics.py",
    "application/jobs/pricing.py",
)


@pytest.fixture(autouse=True)
def _chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")


def _template(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(one.value if isinstance(one, ast.Constant) else "{}" for one in node.values)
    if isinstance(node, ast.BinOp):
        return _template(node.left) + (_template(node.right) or "{}")
    return ""


def _texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if text := _template(node):
            yield text


def _sentences_of_the_doctor() -> set[str]:
    tree = ast.parse((SOURCE / "agent" / "edge" / "doctor.py").read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and node.value is not None:
            found.add(_template(node.value))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "SecureFlowError":
            found |= {_template(argument) for argument in node.args[1:3]}
    return {text for text in found if text.replace("{}", "").strip(" →/:.…")}


def test_every_error_code_has_its_chinese_sentence() -> None:
    assert set(CATALOGUE) - set(CHINESE) == set(), "add them to domain/error_texts.py"
    assert set(CHINESE) - set(CATALOGUE) == set()
    assert all(CJK.search(sentence) for sentence in CHINESE.values())


def test_no_template_is_left_over() -> None:
    said = {text for path in SOURCE.rglob("*.py") if "told" not in path.parts
            for text in _texts(path)}  # fmt: skip
    left = set(TOLD) - said
    assert not left, "nothing says this any more: mend or remove it in cli/told/"
    modules = (check, doctor, findings, hints, notes, owners, refusals, setbacks)
    parts = [module.TEXTS for module in modules]
    assert sum(map(len, parts)) == len(TOLD)


def test_templates_keep_their_values() -> None:
    for english, chinese in TOLD.items():
        places = sorted(int(place) for place in re.findall(r"{(\d+)(?::\w+)?}", chinese))
        assert places == list(range(english.count("{}"))), english


def test_the_doctor_and_a_dry_run_say_nothing_without_chinese() -> None:
    remarks = {
        text
        for name in NOTES
        for node in ast.walk(ast.parse((SOURCE / name).read_text()))
        if isinstance(node, ast.Yield) and node.value is not None
        for text in [_template(node.value)]
        if " " in text
    }
    unsaid = [text for text in _sentences_of_the_doctor() | remarks
              if chinese_of(text.replace("{}", "7")) is None]  # fmt: skip
    assert remarks
    assert not unsaid, "add them to cli/told/"


OWNERS = (
    *("adapters/datasources/inspection.py", "adapters/datasources/commitment.py"),
    *("adapters/datasources/conform.py", "adapters/datasources/csv_file.py"),
    *("adapters/datasources/parquet_file.py", "adapters/datasources/source.py"),
    *("adapters/policy/cedar.py", "agent/owner/declaring.py"),
    *("agent/owner/inbox.py", "agent/settings.py"),
    *("agent/edge/main.py", "agent/api.py", "demo/launcher.py", "demo/play.py", "sdk/profile.py"),
    *("kit/settings.py", "sdk/queries.py", "server/initialise.py", "domain/schemas.py"),
)


def test_the_next_step_at_an_owners_machine_is_told_in_chinese() -> None:
    hints_there = {
        text
        for name in OWNERS
        for node in ast.walk(ast.parse((SOURCE / name).read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in {"SecureFlowError", "_invalid", "_unreadable"}
        for argument in node.args[1:]
        for text in [_template(argument)]
        if text.endswith(".") and text[0].isupper() and "secureflow " not in text[:11]
    }
    assert len(hints_there) > 30
    unsaid = {text for text in hints_there if chinese_of(text.replace("{}", "7")) is None}
    assert not unsaid, "add them to cli/told/owners.py"


def test_a_reason_within_a_sentence_is_told_in_chinese_too() -> None:
    told = chinese_of("a.csv cannot be used: it has no row.")
    assert told == "a.csv 无法使用：其中没有数据行。"


@pytest.mark.parametrize(
    ("english", "expected"),
    [
        ("Job job_1 is proposed, not paused.", "任务 job_1 的状态为“待批准”，没有暂停。"),
        ("Job job_1 is already failed.", "任务 job_1 已处于“失败”状态。"),
        ("There is no job 'failed' that you can see.", "没有您可见的任务 'failed'。"),
        (
            "Job job_1 is cancelled and has no report: Job job_1 was cancelled.",
            "任务 job_1 的状态为“已取消”，没有报告：任务 job_1 已被取消。",
        ),
        (
            "/b.tar is not a complete backup of SecureFlow: gone.",
            "/b.tar 不是完整的 SecureFlow 备份：gone。",
        ),
    ],
)
def test_states_within_a_sentence_are_chinese(english: str, expected: str) -> None:
    assert chinese_of(english) == expected


def test_a_round_that_cannot_be_summed_says_once_who_was_silent() -> None:
    course: Any = SimpleNamespace(threshold=3, parties=("a", "b", "c"))
    request: Any = SimpleNamespace(party="c", verb="mask", patience=40.0)
    step: Any = SimpleNamespace(number=2, stage="train")
    failures = {"b": {"message": "Who knows."}, "c": silent(request).as_json()}
    failed = too_few_contributors(course, step, failures)
    assert failed.message == (
        "Round 2 (train) cannot be summed: b, c did not contribute, and 3 of 3 are needed. "
        "b: Who knows.; c made no progress for 40 seconds."
    )
    assert chinese_of(failed.message) == (
        "第 2 轮（训练）无法求和：b, c 没有贡献，3 方中至少需要 3 方。"
        "b: Who knows.；c 在 40 秒内没有进展。"
    )
    assert CJK.search(chinese_of(failed.hint) or "")


def test_a_log_that_was_set_back_is_told_in_whole_sentences() -> None:
    assert chinese_of(set_back(Hold("shrunk", 1, 3), "x.y").message) == (
        "日志 x.y 被回退：它签署过大小为 3 的日志头，而日志现有 3 条。丢失 0 条。日志已停止签名。"
    )


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
    assert list(map(chinese_of, compare(old, new))) == [
        "版本：1 → 2",
        "日志名：log.example → log.example/2",
        f"上一版摘要：无 → {'cc' * 32}",
        "成员 bank-a：移除",
        f"成员 bank-b：新增，密钥 {two}",
        "成员 bank-c：名称 C → Z",
    ]
    lost = "log log.example: set back from 1343 entries to 1115, 228 are lost"
    assert chinese_of(lost) == "日志 log.example：由 1343 条回退到 1115 条，丢失 228 条"


def test_values_come_through_and_strangers_do_not() -> None:
    assert chinese_of("There is no job 'job_1' that you can see.") == "没有您可见的任务 'job_1'。"
    assert chinese_of("The dataset a{b} declares no column c.") == "数据集 a{b} 没有声明列 c。"
    assert chinese_of("Nobody has translated this.") is None
    assert chinese_of("x" * 100_000) is None


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            {
                "code": "forbidden",
                "detail": "sam may not do this (job.cancel).",
                "hint": "Ask ann.",
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
    centre: Any, cli: Any, told: dict[str, str], expected: str
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
        tree = ast.parse(path.read_text())
        lists = {
            target.id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name) and isinstance(node.value, ast.Tuple)
        }
        for node in ast.walk(tree):
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
            assert chinese_of(text), text
            assert "The centre" not in (chinese_of(text) or "")
