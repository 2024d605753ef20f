"""The guard loads what was measured: no other module of ours, no bytecode, no changed file."""

from __future__ import annotations

import ast
import importlib.util
import os
import py_compile
import subprocess
import sys
import venv
import zipfile
from _imp import is_builtin, is_frozen
from functools import cache
from pathlib import Path
from shutil import copy, copytree, ignore_patterns
from types import ModuleType
from typing import Any

import pytest

import secureflow
from secureflow.enclave import __main__ as entry
from secureflow.enclave.guard import Guard
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.measurement import measure
from secureflow.kit.measurement.distributions import Files, digest_of

SOURCE = Path(secureflow.__file__).parent
LATE = "secureflow.sdk"
EVIL = "import sys; open({place!r}, 'a').write(f'{{__name__}} {{sys.flags.no_site}}\\n')\n"


@cache
def measured() -> Files:
    return measure().files


def refused(name: str, guard: Guard | None = None) -> str:
    with pytest.raises(SecureFlowError) as caught:
        (guard or Guard(measured())).find_spec(name)
    return caught.value.code


@pytest.mark.parametrize(
    "name", [LATE, "secureflow.enclave.enrol", "secureflow.cli", "secureflow.no_such"]
)
def test_another_module_of_ours_is_refused(name: str) -> None:
    assert refused(name) == "module_not_measured"
    assert Guard(measured()).find_spec("secureflow.enclave.main") is not None


def test_a_module_of_others_that_was_not_measured_is_not_there(tmp_path: Path) -> None:
    guard = Guard(measured())
    for name in ("numpy", "grpc", "json", "asyncio", "_ssl"):
        assert guard.find_spec(name) is not None, name
    for name in ("pytest", "httpx", "sklearn", "idlelib"):
        assert guard.find_spec(name) is None, name
        assert importlib.util.find_spec(name) is not None
    (tmp_path / "planted.py").touch()
    assert guard.find_spec("numpy.planted", [str(tmp_path)]) is None


def package(tmp_path: Path) -> tuple[Path, Guard]:
    """Return a package of ours with one module, and the guard of it."""
    root = tmp_path / "secureflow"
    root.mkdir()
    for name in ("__init__.py", "one.py"):
        (root / name).write_text("said = 'measured'\n")
    names = {"secureflow": root / "__init__.py", "secureflow.one": root / "one.py"}
    return root, Guard({(name, str(one)): digest_of(one) for name, one in names.items()}, root)


def loaded(guard: Guard, name: str) -> ModuleType:
    spec = guard.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_planted_pyc_does_not_run(tmp_path: Path) -> None:
    root, guard = package(tmp_path)
    plant(root / "one.py", "said = 'planted'\n")
    python = importlib.util.spec_from_file_location("one", root / "one.py")
    assert python is not None
    assert python.loader is not None
    module: Any = importlib.util.module_from_spec(python)
    python.loader.exec_module(module)
    assert module.said == "planted"  # Python itself runs it
    assert loaded(guard, "secureflow.one").said == "measured"


def test_a_source_that_was_changed_after_the_measurement_is_refused(tmp_path: Path) -> None:
    root, guard = package(tmp_path)
    spec = guard.find_spec("secureflow.one")
    (root / "one.py").write_text("said = 'changed'\n")
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(SecureFlowError) as caught:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert caught.value.code == "code_changed"


def test_a_native_module_that_was_changed_is_refused() -> None:
    native = importlib.util.find_spec("numpy._core._multiarray_umath")
    assert native is not None
    assert native.origin is not None
    home = [str(Path(native.origin).parent)]
    assert Guard(measured()).find_spec("numpy._core._multiarray_umath", home) is not None
    with pytest.raises(SecureFlowError) as caught:
        Guard({(native.name, native.origin): b"x" * 32}).find_spec(native.name, home)
    assert caught.value.code == "code_changed"


def test_a_file_in_the_place_of_a_measured_one_is_refused(tmp_path: Path) -> None:
    root, guard = package(tmp_path)
    (root / "one").mkdir()
    (root / "one" / "__init__.py").write_text("said = 'planted'\n")
    assert refused("secureflow.one", guard) == "module_not_measured"


def test_a_process_that_has_loaded_more_gets_no_guard() -> None:
    with pytest.raises(SecureFlowError) as caught:
        Guard(measured()).hold({"json": sys.modules["json"], "pytest": pytest})
    assert caught.value.code == "module_not_measured"
    assert "pytest" in caught.value.message


def test_a_module_that_was_not_loaded_from_its_source_is_refused(tmp_path: Path) -> None:
    """What it says of its own file is not enough."""
    (tmp_path / "json.py").touch()
    place = py_compile.compile(str(tmp_path / "json.py"), str(tmp_path / "json.pyc"))
    spec = importlib.util.spec_from_file_location("json", place)
    assert spec is not None
    bytecode = importlib.util.module_from_spec(spec)
    bare = ModuleType("json")
    for module in (bytecode, bare):
        module.__file__ = sys.modules["json"].__file__
        with pytest.raises(SecureFlowError):
            Guard(measured()).hold({"json": module})


def test_a_measured_file_is_loaded_under_its_own_name_only(tmp_path: Path) -> None:
    guard, numpy = Guard(measured()), Path(sys.modules["numpy"].__file__ or "").parent
    (tmp_path / "yaml").symlink_to(numpy)
    (tmp_path / "ast.py").symlink_to(sys.modules["json"].__file__ or "")
    (tmp_path / "numpy").symlink_to(numpy)
    assert guard.find_spec("yaml", [str(tmp_path)]) is None
    assert guard.find_spec("ast", [str(tmp_path)]) is None
    assert guard.find_spec("numpy", [str(tmp_path)]) is not None
    assert guard.find_spec("yaml") is not None


# The process.


def plant(source: Path, code: str) -> None:
    """Put bytecode beside a source that Python takes without looking at the source."""
    other = source.with_name("planted")
    other.write_text(code)
    place = importlib.util.cache_from_source(str(source))
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(other), place, invalidation_mode=mode, doraise=True)
    other.unlink()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment of its own with a copy of our code, and everybody else's."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place / "env", with_pip=False, symlinks=True)
    copytree(SOURCE, place / "src" / "secureflow", ignore=ignore_patterns("__pycache__"))
    copytree(SOURCE.parents[1] / "requirements", place / "requirements")
    (site,) = (place / "env" / "lib").glob("python*/site-packages")
    others = Path(sys.modules["pytest"].__file__ or "").parents[1]
    (site / "ours.pth").write_text(f"{place / 'src'}\n{others}\n")
    return place


def started(installed: Path) -> subprocess.CompletedProcess[str]:
    """Start the enclave with settings that are not there: the last thing that is loaded says so."""
    words = ["-I", "-m", "secureflow.enclave", "--config", str(installed / "none.yaml")]
    return subprocess.run(
        [installed / "env" / "bin" / "python", *words],
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip


@pytest.mark.slow
def test_nothing_that_was_planted_runs_in_the_enclave(installed: Path) -> None:
    """Python runs it in the process that starts; the enclave takes that process's place."""
    said = installed / "said"
    code = EVIL.format(place=str(said))
    package = installed / "src" / "secureflow"
    for name in ("__init__.py", "enclave/__init__.py", "enclave/main.py", "kit/errors.py"):
        plant(package / name, code)
    (site,) = (installed / "env" / "lib").glob("python*/site-packages")
    (site / "planted.pth").write_text(code)
    done = started(installed)
    (site / "planted.pth").unlink()
    assert (done.returncode, done.stderr.split(":")[0]) == (2, "invalid_settings"), done.stderr
    lines = said.read_text().splitlines()
    assert "secureflow 0" in lines  # it was planted well
    assert not [line for line in lines if line.endswith(" 1")]


@pytest.mark.slow
@pytest.mark.parametrize("planted", ["kit/errors/__init__.pyc", "kit/text.abi3.so"])
def test_what_is_put_in_place_of_a_source_ends_it_and_does_not_run(
    installed: Path, planted: str
) -> None:
    said, place = installed / "said", installed / "src" / "secureflow" / planted
    said.unlink(missing_ok=True)
    place.parent.mkdir(exist_ok=True)
    other = installed / "planted.py"
    other.write_text(EVIL.format(place=str(said)))
    py_compile.compile(str(other), str(place), doraise=True)
    done = started(installed)
    place.unlink()
    assert " 1\n" not in (said.read_text() if said.exists() else "")
    assert done.stderr.startswith("code_unmeasurable: "), done.stderr
    assert str(place) in done.stderr


@pytest.mark.slow
def test_an_archive_before_the_standard_library_ends_it_and_does_not_run(tmp_path: Path) -> None:
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library, program = tmp_path / sys.platlibdir, tmp_path / "bin" / version
    program.parent.mkdir()
    library.mkdir()
    copy(os.path.realpath(sys.executable), program)
    (library / version).symlink_to(Path(os.__file__).parent)
    said, archive = tmp_path / "said", library / f"{version.replace('.', '')}.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("ast.py", EVIL.format(place=str(said)))
    python = [program, "-I", "-S", "-c", "import ast; print(ast.__file__)"]
    assert str(archive) in subprocess.check_output(python, text=True)  # it was planted well
    said.unlink()
    words = [program, *entry.command("none.yaml")[1:]]
    done = subprocess.run(
        words, env=entry.environment(), capture_output=True, text=True, check=False, timeout=900
    )
    assert not said.exists(), said.read_text()
    assert done.stderr.startswith("code_unmeasurable: "), done.stderr
    assert str(archive) in done.stderr


@pytest.fixture(scope="module")
def own_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an interpreter with a standard library of its own, in which tests may write."""
    place = tmp_path_factory.mktemp("python")
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    left = ignore_patterns("__pycache__", "*-packages", "test", "tests", "config-*", "idlelib")
    copytree(Path(os.__file__).parent, place / "lib" / version, ignore=left, symlinks=True)
    (place / "bin").mkdir()
    return Path(copy(os.path.realpath(sys.executable), place / "bin" / version))


def refused_unmeasured(program: Path, said: Path, name: str) -> str:
    """Return why the enclave does not start; a module that is planted in it has not run."""
    python = [program, "-I", "-S", "-B", "-c", f"import {name}"]
    subprocess.run(python, capture_output=True, check=False, timeout=900)
    assert said.exists(), "it was not planted well"
    said.unlink()
    done = subprocess.run(
        [program, *entry.command("none.yaml")[1:]],
        env=entry.environment(), capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert not said.exists(), said.read_text()
    assert (done.returncode, done.stderr.split(":")[0]) == (2, "code_unmeasurable"), done.stderr
    return done.stderr


@pytest.mark.slow
def test_a_link_to_a_folder_beside_a_module_ends_it_and_does_not_run(
    own_python: Path, tmp_path: Path
) -> None:
    (library,) = (own_python.parents[1] / "lib").glob("python*")
    evil, said = tmp_path / "evil", tmp_path / "said"
    evil.mkdir()
    (evil / "__init__.py").write_text(EVIL.format(place=str(said)))
    for name, place in (("hashlib", "hashlib"), ("json.decoder", "json/decoder")):
        (library / place).symlink_to(evil)
        assert str(library / place) in refused_unmeasured(own_python, said, name)
        (library / place).unlink()


@pytest.mark.slow
def test_a_folder_of_native_modules_that_is_not_measured_ends_it_and_does_not_run(
    own_python: Path, tmp_path: Path
) -> None:
    """The file `pybuilddir.txt` beside an interpreter names one."""
    prefix, said = own_python.parents[1], tmp_path / "said"
    (library,) = (prefix / "lib").glob("python*")
    built, named, planted = prefix / "Lib", own_python.with_name("pybuilddir.txt"), library / "test"
    built.symlink_to(library)
    named.write_text("../Lib/test")
    planted.mkdir()
    for native in (library / "lib-dynload").glob("*.so"):
        if not native.name.startswith("_hashlib."):
            (planted / native.name).symlink_to(native)
    (planted / "_hashlib.py").write_text(EVIL.format(place=str(said)))
    assert f"{built / 'test'} " in refused_unmeasured(own_python, said, "_hashlib")
    for one in (built, named):
        one.unlink()
    done = subprocess.run(
        [own_python, *entry.command("none.yaml")[1:]],
        env=entry.environment(), capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.stderr.startswith("invalid_settings: "), done.stderr


@pytest.mark.slow
def test_the_environment_has_nothing_loaded_into_the_enclave(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loader complains of a library that is not there, in each process that should load it."""
    monkeypatch.setenv("LD_PRELOAD", "/nonexistent/planted.so")
    done = started(installed)
    assert done.returncode == 2, done.stderr
    assert "invalid_settings: " in done.stderr
    assert done.stderr.count("/nonexistent/planted.so") == 1, done.stderr


def test_an_enclave_that_was_started_with_other_variables_ends_by_their_names() -> None:
    done = subprocess.run(
        entry.command("none.yaml"), env={**entry.environment(), "OPENSSL_CONF": "/etc/x.cnf"},
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 2
    assert "OPENSSL_CONF" in done.stderr


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        *((one, True) for one in ("HOME", "PATH", "TZ", "LANG", "LC_ALL", "TMPDIR")),
        *(("SECUREFLOW_ENCLAVE__REST", True), ("SECUREFLOW_LANG", True), ("https_proxy", True)),
        *((one, False) for one in ("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "OPENSSL_CONF")),
        *((one, False) for one in ("OPENSSL_MODULES", "GCONV_PATH", "FAKETIME", "PYTHONPATH")),
        *((one, False) for one in ("SSLKEYLOGFILE", "GRPC_TRACE", "MALLOC_PERTURB_")),
    ],
)
def test_the_enclave_keeps_only_variables_that_it_knows(
    name: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "x")
    assert (entry.environment().get(name) == "x") is kept
    assert (name in entry.foreign_variables()) is not kept


def test_before_it_measures_the_enclave_looks_into_the_standard_library_only(
    tmp_path: Path,
) -> None:
    library, archive = Path(os.__file__).parent, tmp_path / "python.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("ast.py", "")
    (tmp_path / "ast.py").touch()
    code = (
        f"import sys; sys.path[:0] = {[str(tmp_path), str(archive), str(library / 'test')]}\n"
        "sys.path.append(sys.argv[1])\n"
        "from secureflow.enclave.__main__ import load_sources_only\n"
        "load_sources_only(); import ast, secureflow.kit.errors as ours\n"
        "print(sys.path, ast.__file__, ours.__file__)"
    )
    python = [sys.executable, "-I", "-S", "-B", "-c", code, str(SOURCE.parent)]
    said = subprocess.check_output(python, text=True)
    assert str(tmp_path) not in said
    assert f"[{str(library)!r}, {str(library / 'lib-dynload')!r}]" in said
    assert f"{library / 'ast.py'} {SOURCE / 'kit' / 'errors.py'}" in said


def test_before_its_rules_hold_the_entry_point_loads_only_what_is_in_the_interpreter() -> None:
    tree = ast.parse(Path(entry.__file__).read_text())
    names = set()
    for one in tree.body:
        if isinstance(one, ast.Import):
            names |= {alias.name for alias in one.names}
        elif isinstance(one, ast.ImportFrom):
            names.add(str(one.module))
    assert {"os", "sys"} <= names
    assert not [name for name in names if not (is_frozen(name) or is_builtin(name))]


@pytest.mark.slow
@pytest.mark.full
def test_a_late_import_of_what_was_not_measured_ends_it_by_name(installed: Path) -> None:
    settings = installed / "src" / "secureflow" / "enclave" / "settings.py"
    before = settings.read_text()
    late = f"classmethod(lambda cls, path: __import__({LATE!r}))"
    settings.write_text(f"{before}\nEnclaveSettings.load = {late}\n")
    done = started(installed)
    settings.write_text(before)
    assert done.returncode == 7, done.stderr
    assert done.stderr.startswith("module_not_measured: "), done.stderr
    assert LATE in done.stderr


def test_the_command_loads_nothing_before_it_measures() -> None:
    words = entry.command("enclave.yaml")
    assert words[1:4] == ["-I", "-S", "-B"]
    assert not Path(entry.NO_BYTECODE).exists()
    assert words[-1] == "enclave.yaml"
    assert not entry.isolated()  # this process


@pytest.mark.parametrize("words", [["start"], ["--config"], ["--config", "a", "b"]])
def test_other_words_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        entry.config_path(words)
    assert ended.value.code == 2
    assert "--config FILE" in capsys.readouterr().err
    assert entry.config_path([]) == "enclave.yaml"
    assert entry.config_path(["--config", "a"]) == "a"
