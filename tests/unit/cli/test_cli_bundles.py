"""Bundles on the command line: written, tried, packed, shown and compared."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tokenize
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import yaml

from secureflow.agent.compute.bundle_process import BundleProcess, BundleTask
from secureflow.cli import session
from secureflow.engines.bundles import METHODS, inspect, unpack
from secureflow.sdk import Client
from secureflow.sdk.bundlefiles import read_bundle
from secureflow.sdk.prediction import Predictor
from tests.peers.bundle_hosts import plain_starter

Cli = Callable[..., tuple[int, str, str]]
TEMPLATES = ("numpy", "sklearn", "torch")
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef
CJK = re.compile("[\u4e00-\u9fff]")
LIBRARIES = [pytest.param(name, marks=pytest.mark.full) for name in ("sklearn", "torch")]
CHINESE = pytest.param("zh", marks=pytest.mark.full)
"""Its code is the English one's: `test_an_example_in_chinese_is_the_same_code`."""
NEEDS = {"numpy": "numpy", "sklearn": "sklearn", "torch": "torch"}


def there(template: str) -> bool:
    return importlib.util.find_spec(NEEDS[template]) is not None


@pytest.mark.parametrize("template", TEMPLATES)
def test_an_example_is_short_and_usable(template: str, cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("bundle", "new", tmp_path / "mine", "--template", template)
    assert code == 0, err
    assert str(tmp_path / "mine" / "model.py") in out
    text = (tmp_path / "mine" / "model.py").read_text()
    assert len(text.splitlines()) <= 68
    assert max(map(len, text.splitlines())) <= 100
    assert "{" not in (tmp_path / "mine" / "README.md").read_text()
    bundle = read_bundle(tmp_path / "mine")
    assert inspect(bundle, "model:Model").problems == ()
    assert {one.name for one in ast.walk(ast.parse(text)) if isinstance(one, ast.FunctionDef)} >= {
        *METHODS,
        "predict",
    }
    code, out, err = cli("bundle", "pack", tmp_path / "mine", "-o", "json")
    assert code == 0, err
    assert json.loads(out)["digest"] == bundle.digest


@pytest.mark.parametrize("template", TEMPLATES)
def test_an_example_in_chinese_is_the_same_code(
    template: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("bundle", "new", tmp_path / "en", "--template", template)
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    cli("bundle", "new", tmp_path / "zh", "--template", template)
    for name in ("model.py", "test_model.py"):
        english, chinese = ((tmp_path / one / name).read_text() for one in ("en", "zh"))
        assert _code(english) == _code(chinese)
        told = [*_comments(english), *_comments(chinese)]
        assert len(told) == 2 * len(_comments(english))
        assert all(map(CJK.search, _comments(chinese)))
    assert "注意" not in cli("bundle", "show", tmp_path / "zh")[1]


def _code(text: str) -> str:
    """Return what Python makes of a text, but for docstrings."""
    tree = ast.parse(text)
    for one in ast.walk(tree):
        if isinstance(one, DOCUMENTED) and ast.get_docstring(one) is not None:
            one.body.pop(0)
    return ast.dump(tree)


def _comments(text: str) -> list[str]:
    """Return comments and docstrings."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [one.string for one in tokens if one.type == tokenize.COMMENT]
    tree = [one for one in ast.walk(ast.parse(text)) if isinstance(one, DOCUMENTED)]
    return [*comments, *filter(None, map(ast.get_docstring, tree))]


@pytest.mark.parametrize("language", ["en", CHINESE])
@pytest.mark.parametrize("template", ["numpy", "sklearn", LIBRARIES[1]])
def test_the_test_of_an_example_runs_with_plain_python(
    template: str, language: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    if not there(template):
        pytest.skip(f"{template} is not installed: its example is only parsed")
    cli("bundle", "new", tmp_path / "mine", "--template", template)
    done = subprocess.run(
        [sys.executable, "test_model.py"], cwd=tmp_path / "mine", capture_output=True, text=True,
        check=False, env={**os.environ, "TMPDIR": str(tmp_path)},  # PyTorch keeps a cache there
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout


@pytest.mark.parametrize("template", ["numpy"])
async def test_an_example_runs_in_a_host(template: str, cli: Cli, tmp_path: Path) -> None:
    import numpy as np

    cli("bundle", "new", tmp_path / "mine", "--template", template)
    random = np.random.default_rng(0)
    np.save(tmp_path / "inputs.npy", random.normal(size=(60, 4)).astype("float32"))
    np.save(tmp_path / "labels.npy", random.integers(0, 3, 60))
    rows = {name: str(tmp_path / f"{name}.npy") for name in ("inputs", "labels")}
    made = BundleTask(
        sys.executable, str(tmp_path / "mine"), "model:Model", {"features": 4, "classes": 3},
        sums=("rows", "loss", "correct"),
    )  # fmt: skip
    log = tmp_path / "log"
    first = await BundleProcess.start(plain_starter, made, log, limit=300)
    layout, values = await first.initial(1 << 20, limit=300)
    await first.kill()
    process = await BundleProcess.start(
        plain_starter, replace(made, tensors=layout), log, limit=300
    )
    weights, start = {}, 0
    for one in layout:
        weights[one.name] = one.view(
            np.frombuffer(values, np.uint8)[start : start + one.size].copy()
        )
        start += one.size
    await process.prepare(rows, rows, limit=300)
    trained = await process.train(weights, 0, limit=300)
    sums = await process.evaluate(trained, limit=300)
    await process.kill()
    assert sums["rows"] == 60
    assert any(not np.array_equal(trained[name], weights[name]) for name in weights)


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.full), "zh"])
def test_the_job_of_an_example_runs_unchanged(
    language: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    code, out, err = cli("bundle", "new", tmp_path / "a: b")
    assert code == 0, err
    job, table = tmp_path / "job.yaml", tmp_path / "table.csv"
    assert f"secureflow simulate {shlex.quote(str(job))} --data {shlex.quote(str(table))}" in err
    assert {str(job), str(table)} <= set(out.splitlines())
    assert yaml.safe_load(job.read_text())["model"]["folder"] == "a: b"
    model = tmp_path / "model.safetensors"
    code, out, err = cli("simulate", job, "--data", table, "--save", model, "-o", "json")
    assert code == 0, err
    assert json.loads(out)[0]["metrics"]["correct"] > 0.9
    assert {name: one.shape for name, one in Predictor.load(model).tensors().items()} == {
        "weight": (4, 3), "bias": (3,)
    }  # fmt: skip
    code, _, err = cli("model", "predict", model, table)
    assert "--bundle" in err
    code, out, err = cli("model", "predict", model, table, "--bundle", tmp_path / "a: b",
                         "--keep-all", "-o", "json")  # fmt: skip
    assert code == 0, err
    told = json.loads(out)
    assert len(told) == len(table.read_text().splitlines()) - 1
    assert sum(one["predicted"] == one["kind"] for one in told) / len(told) > 0.9
    assert all(abs(sum(one[f"P(kind={kind})"] for kind in "abc") - 1) < 1e-5 for one in told)
    content = yaml.safe_load(job.read_text())
    content["plan"]["keep"] = "best"
    job.write_text(yaml.safe_dump(content))
    code, out, err = cli("simulate", job, "--data", table)
    assert ("保留的轮次" if language == "zh" else "kept_round") in out
    last = "最后的模型" if language == "zh" else "the last model"
    assert any(line.startswith(last) for line in err.splitlines())
    first = "轮次 1" if language == "zh" else "round 1"
    (told,) = [line for line in err.splitlines() if line.startswith(first)]
    assert "correct" in told or "正确" in told
    assert ("每一轮的指标" if language == "zh" else "The figures of a round") in err
    code, _, err = cli("model", "predict", "mdl_00000000", table)
    assert "secureflow model download" in err
    code, _, err = cli("bundle", "new", tmp_path / "none" / "mine")
    assert (code, "→" in err) == (2, True)


@pytest.mark.parametrize("template", ["numpy", *LIBRARIES])
def test_an_example_counts_rows_by_their_weights(
    template: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line of the job file that is there for it, with columns that say all or nothing."""
    if not there(template):
        pytest.skip(f"{template} is not installed: its example is only parsed")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    cli("bundle", "new", tmp_path / "mine", "--template", template)
    text, table = (tmp_path / "job.yaml").read_text(), tmp_path / "table.csv"
    first, *others = table.read_text().splitlines()
    moved = {}
    for weight in ("", "0", "1"):
        table.write_text("\n".join([f"{first},w", *(f"{one},{weight or 1}" for one in others)]))
        used = text.replace("# weight: {", "weight: {") if weight else text
        (tmp_path / "job.yaml").write_text(used)
        assert ("weight" in yaml.safe_load(used)["features"]) == bool(weight)
        words = (tmp_path / "job.yaml", "--data", table, "--parties", 3)  # a process for each
        code, out, err = cli("simulate", *words, "-o", "json")
        assert code == 0, err
        moved[weight] = json.loads(out)[0]["history"]
    losses = {weight: [round(row["loss"], 4) for row in rows] for weight, rows in moved.items()}
    assert losses[""] == losses["1"]
    assert len(set(losses["0"])) == 1  # nothing counts, nothing moves


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_next_steps_run_as_they_are_printed(
    language: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, in the folder where the bundle was made, whatever its name."""
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.yaml").write_text("mine")  # so the new one is called after the folder
    code, _, err = cli("bundle", "new", "my model's")
    assert code == 0, err
    steps = [re.split("[:：] *", one, maxsplit=1)[1] for one in err.splitlines()]
    (tmp_path / "my model's" / "test_model.py").write_text("open('tried', 'x')")
    programs = [f'python() {{ {sys.executable} "$@"; }}', "secureflow() { printf '%s\\n' \"$@\"; }"]
    done = subprocess.run(
        ["sh", "-e"],
        input="\n".join([*programs, *steps]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "my model's" / "tried").exists()
    asked = done.stdout.splitlines()
    assert asked == ["simulate", "my model's.yaml", "--data", "my model's.csv"]
    first = (tmp_path / "my model's.yaml").read_text().splitlines()[0]
    assert shlex.split(first)[-3:] == asked[1:]
    readme = (tmp_path / "my model's" / "README.md").read_text()
    (line,) = [one for one in readme.splitlines() if "secureflow simulate" in one]
    assert shlex.split(line) == [
        "secureflow",
        "simulate",
        "../my model's.yaml",
        "--data",
        "../my model's.csv",
    ]


def test_what_its_code_prints_is_no_part_of_the_answer(cli: Cli, tmp_path: Path) -> None:
    """And an example in scikit-learn bears owners who validate on no row."""
    pytest.importorskip("sklearn", reason="needs the extra sklearn")
    assert cli("bundle", "new", tmp_path / "sk", "--template", "sklearn")[0] == 0
    code = tmp_path / "sk" / "model.py"
    code.write_text(code.read_text().replace("return {", "print('hello'); return {"))
    few, job = ("--parties", 4, "-o", "json"), tmp_path / "job.yaml"
    asked, table = yaml.safe_load(job.read_text()), tmp_path / "table.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:81]))
    job.write_text(yaml.safe_dump({**asked, "plan": {**asked["plan"], "rounds": 2}}))
    words = (job, "--data", table)
    ended, out, err = cli("simulate", *words, *few)
    assert ended == 0, err
    (told,) = json.loads(out)
    assert (told["rows"], told["metrics"]["rows"]) == ([20] * 4, 0)
    assert "hello" in err


def test_a_job_that_is_there_is_left_as_it_is(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("mine")
    assert cli("bundle", "new", tmp_path / "first")[0] == 0
    assert (tmp_path / "job.yaml").read_text() == "mine"
    assert yaml.safe_load((tmp_path / "first.yaml").read_text())["model"]["folder"] == "first"
    readme = (tmp_path / "first" / "README.md").read_text()
    assert "secureflow simulate ../first.yaml --data ../first.csv" in readme
    assert not (tmp_path / "table.csv").exists()


def test_nothing_is_written_over(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    code, _, err = cli("bundle", "new", tmp_path / "mine")
    assert code == 5, err
    assert not list((tmp_path / "mine").iterdir())


@pytest.fixture(name="mine")
def _mine(cli: Cli, tmp_path: Path) -> Path:
    assert cli("bundle", "new", tmp_path / "mine")[0] == 0
    return tmp_path / "mine"


def test_a_packed_file_is_the_bundle(mine: Path, cli: Cli, tmp_path: Path) -> None:
    assert cli("bundle", "pack", mine)[0] == 0
    packed = tmp_path / "mine.bundle"
    assert unpack(packed.read_bytes()).digest == read_bundle(mine).digest
    assert read_bundle(packed).digest == read_bundle(mine).digest
    shown = [cli("bundle", "show", place, "-o", "json")[1] for place in (mine, packed)]
    assert shown[0] == shown[1]
    assert json.loads(shown[0])["size"] == packed.stat().st_size  # as the centre counts it


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [("model.py", "def f(:", "syntax error"), ("json.py", "", "json"), ("model.py", "", "Model")],
)  # fmt: skip
def test_what_cannot_run_is_not_packed(
    file: str, text: str, told: str, mine: Path, cli: Cli
) -> None:
    (mine / file).write_text(text)
    code, _, err = cli("bundle", "pack", mine)
    assert code == 2
    assert "bundle_unusable" in err
    assert told in err
    assert not mine.with_suffix(".bundle").exists()


def test_the_version_of_python_is_the_environments(mine: Path, cli: Cli) -> None:
    (mine / "model.py").write_text(
        (mine / "model.py").read_text() + "\nmatch 1:\n    case 1: pass\n"
    )
    assert cli("bundle", "pack", mine)[0] == 0
    code, _, err = cli("bundle", "pack", mine, "--python", "3.9")
    assert (code, "Python 3.9" in err) == (2, True)
    assert cli("bundle", "pack", mine, "--python", "2.7")[0] == 2


def test_show_names_files_imports_and_what_to_look_at(mine: Path, cli: Cli) -> None:
    (mine / "odd.py").write_text("import socket\nx = '\u202e\x1b'\n")
    code, out, err = cli("bundle", "show", mine)
    assert code == 0, err
    assert "LOOK odd.py:2" in out
    assert "U+202E" in out
    assert "imports" in out
    assert "numpy, socket" in out
    assert "\x1b" not in out
    plain = yaml.safe_load(cli("bundle", "show", mine, "-o", "yaml")[1])
    assert plain["imports"]["odd.py"] == ["socket"]
    assert [one["file"] for one in plain["remarks"]] == ["odd.py"]


def test_names_of_modules_fill_no_screen(mine: Path, cli: Cli) -> None:
    """What a person must see stands before and behind them."""
    (mine / "model.py").write_text(f"import {'a' * 1900}\n" + (mine / "model.py").read_text())
    code, out, _ = cli("bundle", "show", mine)
    assert code == 0
    (line,) = [one for one in out.splitlines() if "a" * 64 in one]
    assert "a" * 65 not in line


def test_diff_shows_what_changed(mine: Path, cli: Cli, tmp_path: Path) -> None:
    cli("bundle", "pack", mine)
    old = mine.with_suffix(".bundle")
    (mine / "README.md").unlink()
    (mine / "model.py").write_text((mine / "model.py").read_text() + "evil = '\u200b'\n")
    code, out, err = cli("bundle", "diff", old, mine)
    assert code == 0, err
    assert "+evil = '\\u200b'" in out.splitlines()
    assert "LOOK model.py" in out
    assert "+++ /dev/null" in out
    assert f"since {read_bundle(old).digest}: " in out  # in full: it may be what was approved
    plain = json.loads(cli("bundle", "diff", old, mine, "-o", "json")[1])
    assert {one["path"]: one["state"] for one in plain["changes"]} == {
        "README.md": "removed", "model.py": "changed",
    }  # fmt: skip
    assert json.loads(cli("bundle", "diff", old, old, "-o", "json")[1])["changes"] == []


def test_it_speaks_chinese(mine: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    (mine / "model.py").write_text("def f(:")
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    code, _, err = cli("bundle", "pack", mine)
    assert code == 2
    assert "有语法错误" in err
    assert "无法运行" in err
    assert cli("bundle", "new", mine.with_name("second"))[0] == 0
    assert "数据" in (mine.with_name("second") / "README.md").read_text()


@pytest.mark.parametrize("what", ["missing", "a file that is no bundle", "a link"])
def test_what_is_no_bundle_is_refused(what: str, cli: Cli, mine: Path, tmp_path: Path) -> None:
    place = tmp_path / "thing"
    if what == "a link":
        place = mine
        (mine / "passwd.txt").symlink_to("/etc/passwd")
    elif what != "missing":
        place.write_bytes(b"PK\x03\x04")
    code, _, err = cli("bundle", "show", place)
    assert code == 2
    assert "invalid_file" in err or "bundle_refused" in err


class Server:
    """Answers the calls of `bundle push`, `list` and `pull`."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.name = ""
        self.params: dict[str, str] = {}
        self.until: dict[str, object] = {"expires": 9}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/projects"):
            listed = {"items": [PROJECT], "next": ""}
            return httpx.Response(200, json=listed)
        if request.method == "POST":
            self.params = dict(request.url.params)
            self.name = self.name or self.params["name"]
            self.kept[self.params["digest"]] = request.content
        if request.url.path.endswith("/content"):
            return httpx.Response(200, content=self.kept[request.url.path.split("/")[-2]])
        rows = [self._row(digest, content) for digest, content in self.kept.items()]
        if request.method == "POST":
            return httpx.Response(201, json=rows[0])
        return httpx.Response(200, json={"items": rows, "next": ""})

    def _row(self, digest: str, packed: bytes) -> dict[str, object]:
        words = {"organisation": "bank-a", "uploader": "ana", "name": self.name}
        sizes = {"size": len(packed), "files": 3, "lines": 9, "created": 5, **self.until}
        return {"id": f"prj_1.{digest}", "project": "prj_1", "digest": digest, **words, **sizes}


PROJECT = {
    "id": "prj_01jf2k00000000000000", "name": "credit", "purpose": "p", "organisation": "bank-a",
    "members": [], "description": "", "created": 1,
}  # fmt: skip


def test_push_list_and_pull(
    mine: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    transport = httpx.MockTransport(server)
    monkeypatch.setattr(
        session, "client", lambda: Client("https://test", "sft_x", transport=transport)
    )
    code, out, err = cli("bundle", "push", mine, "--project", PROJECT["id"], "-o", "json")
    assert code == 0, err
    digest = read_bundle(mine).digest
    assert json.loads(out)["digest"] == digest
    assert server.params == {"project": PROJECT["id"], "digest": digest, "name": "mine"}
    assert "under the name" not in err
    assert digest in cli("bundle", "list")[1]
    again = cli("bundle", "push", mine, "--project", PROJECT["id"], "--name", "other")[2]
    assert "under the name mine: an upload renames nothing" in again
    assert cli("bundle", "pull", digest, tmp_path / "theirs")[0] == 0
    assert read_bundle(tmp_path / "theirs").digest == digest
    assert cli("bundle", "pull", digest, tmp_path / "theirs")[0] == 5  # nothing is written over
    (mine / "model.py").write_text("def f(:")
    server.kept.clear()
    assert cli("bundle", "push", mine, "--project", PROJECT["id"])[0] == 2
    assert server.kept == {}


@pytest.mark.parametrize(
    ("jobs", "english", "chinese"),
    [
        (["job_1"], "while job_1 names it", "使用期间：job_1"),
        (["job_1", "job_2"], "while job_1, job_2 name it", "使用期间：job_1、job_2"),
        (
            ["job_1", "job_2", "job_3"],
            "while job_1, job_2 and 1 more name it",
            "使用期间：job_1、job_2，另有 1 个",
        ),
        ([], "while a job names it", "有任务使用期间"),
    ],
)
def test_what_a_job_names_has_no_date(
    mine: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, jobs: list[str], english: str,
    chinese: str,
) -> None:  # fmt: skip
    server = Server()
    transport = httpx.MockTransport(server)
    monkeypatch.setattr(
        session, "client", lambda: Client("https://test", "sft_x", transport=transport)
    )
    assert cli("bundle", "push", mine, "--project", PROJECT["id"])[0] == 0
    server.until = {"expires": None, "jobs": jobs}
    monkeypatch.setenv("COLUMNS", "400")
    assert english in " ".join(cli("bundle", "list")[1].split())
    assert json.loads(cli("bundle", "list", "-o", "json")[1])[0]["jobs"] == jobs
    plain = yaml.safe_load(cli("bundle", "list", "-o", "yaml")[1])[0]
    assert (plain["expires"], plain["jobs"]) == (None, jobs)
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    assert chinese in cli("bundle", "list")[1]
