"""The measurement names what an enclave runs: every file of it counts, no other one does."""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import secureflow
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.measurement import closure as closures
from secureflow.kit.measurement import code_measurement, distributions, manifest, measure
from secureflow.kit.measurement.closure import closure, imports
from secureflow.kit.measurement.distributions import Distribution, digest_of, reached
from secureflow.kit.measurement.interpreter import Interpreter, interpreter

SOURCE = Path(secureflow.__file__).parent
SITE = Path(np.__file__).parents[1]
READ = cache(imports)
"""What a source imports, for all copies of it."""
FAR = {"application", "server", "agent", "sdk", "cli", "demo"}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the code beside a copy of its lock; nothing is below it."""
    package = tmp_path / "src" / "secureflow"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "requirements").mkdir()
    shutil.copy(manifest.lock(SOURCE), tmp_path / "requirements" / "core.txt")
    below = Interpreter((), {})
    monkeypatch.setattr(manifest, "interpreter", lambda: below)
    monkeypatch.setattr(manifest, "reached", lambda names, paths: [])
    monkeypatch.setattr(closures, "imports", READ)
    return package


def edited(path: Path) -> Iterator[None]:
    """Edit a file, and put it back."""
    before = path.read_bytes()
    path.write_bytes(before + b"\n# edited\n")
    yield
    path.write_bytes(before)


def measured_of(package: Path) -> set[Path]:
    return {
        package.parent / line.split(" ", 2)[2]
        for line in measure(package).lines
        if line.startswith("code ")
    }


def test_editing_any_measured_file_of_ours_changes_the_measurement(checkout: Path) -> None:
    before, files = measure(checkout), sorted(measured_of(checkout))
    assert len(files) > 100
    kept = [path.read_bytes() for path in files]
    for path, content in zip(files, kept, strict=True):
        path.write_bytes(content + b"\n# edited\n")
    changed = dict(zip(before.lines, measure(checkout).lines, strict=True))
    others = {line for line in before.lines if changed[line] == line}
    assert not [line for line in others if line.startswith("code ")]
    for path, content in zip(files, kept, strict=True):
        path.write_bytes(content)
    assert measure(checkout) == before
    for path in files[::80]:
        for _ in edited(path):
            found = measure(checkout)
            assert found.digest != before.digest
            (line,) = set(before.lines) - set(found.lines)
            assert line.endswith(f" {path.relative_to(checkout.parent)}")


def test_editing_any_other_file_of_ours_does_not(checkout: Path) -> None:
    before, files = measure(checkout).digest, measured_of(checkout)
    others = [path for path in checkout.rglob("*.py") if path not in files]
    assert len(others) > 300
    for path in others:
        path.write_bytes(path.read_bytes() + b"\n# edited\n")
    (checkout / "enclave" / "more.py").write_text("import secureflow.sdk\n")
    (checkout / "enclave" / "__pycache__").mkdir()
    (checkout / "enclave" / "__pycache__" / "main.cpython-311.pyc").write_bytes(b"planted")
    assert measure(checkout).digest == before


def test_the_lock_counts(checkout: Path) -> None:
    before = measure(checkout).digest
    for _ in edited(checkout.parents[1] / "requirements" / "core.txt"):
        assert measure(checkout).digest != before


def test_without_the_lock_nothing_is_measured(checkout: Path) -> None:
    (checkout.parents[1] / "requirements" / "core.txt").unlink()
    with pytest.raises(SecureFlowError) as caught:
        measure(checkout)
    assert caught.value.code == "code_unmeasurable"


def test_a_package_that_would_be_loaded_in_a_modules_place_is_what_counts(checkout: Path) -> None:
    before = measure(checkout).digest
    (checkout / "kit" / "errors").mkdir()
    (checkout / "kit" / "errors" / "__init__.py").write_text("class SecureFlowError: ...\n")
    assert measure(checkout).digest != before


@pytest.mark.parametrize(
    "planted",
    [
        *("kit/errors/__init__.pyc", "kit/errors/__init__.abi3.so", "kit/errors.so"),
        *("kit/errors.cpython-399-x86_64-linux-gnu.so", "kit/errors.pyc", "__init__.abi3.so"),
    ],
)
def test_what_could_be_loaded_in_place_of_a_source_is_refused(checkout: Path, planted: str) -> None:
    (checkout / "kit" / "errors" / "__pycache__").mkdir(parents=True)  # as a move leaves it behind
    (checkout / "kit" / "errors" / "__pycache__" / "__init__.cpython-311.pyc").touch()
    measure(checkout)
    (checkout / planted).touch()
    with pytest.raises(SecureFlowError) as caught:
        measure(checkout)
    assert caught.value.code == "code_unmeasurable"
    assert planted in caught.value.message


def test_the_closure_reaches_nothing_of_the_centre_the_agents_or_their_tools() -> None:
    """Packages on the way too, which the import contract does not see."""
    names = closure(manifest.ENTRY, SOURCE).modules
    assert not [name for name in names if name.split(".")[1:2] and name.split(".")[1] in FAR]
    foreign = {one.split(".")[0] for one in closure(manifest.ENTRY, SOURCE).foreign}
    assert not foreign & {"httpx", "sqlalchemy", "fastapi", "typer", "pyarrow", "sklearn"}


def test_what_the_enclave_loads_later_is_measured_too() -> None:
    """The guard refuses the rest, which no test sees whose enclave was born without one."""
    modules = closure(manifest.ENTRY, SOURCE).modules
    later = {
        (name, one.module)
        for name, source in modules.items()
        if name.startswith("secureflow.enclave.")
        for inside in ast.walk(ast.parse(source))
        if isinstance(inside, ast.FunctionDef | ast.AsyncFunctionDef)
        for one in ast.walk(inside)
        if isinstance(one, ast.ImportFrom) and one.module is not None
        if one.module.startswith("secureflow.") and one.module not in modules
    }
    assert not later
    assert "secureflow.enclave.scoring" in modules


def test_what_counts_is_what_loading_imports() -> None:
    source = b"""
from __future__ import annotations
import a.b, c as d
from . import near
from ..up import name
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import types_only
else:
    import when_it_runs
try:
    import tried
except ImportError:
    import instead
class Kept:
    import in_class
    def late(self):
        import later
async def late():
    from later import still
"""
    found = imports(source, "secureflow.kit.here.this", package=False)
    assert found - {"typing", "typing.TYPE_CHECKING", "__future__", "__future__.annotations"} == {
        "a.b", "c", "secureflow.kit.here", "secureflow.kit.here.near", "secureflow.kit.up",
        "secureflow.kit.up.name", "when_it_runs", "tried", "instead", "in_class",
    }  # fmt: skip
    assert "secureflow.kit.near" in imports(b"from . import near", "secureflow.kit", package=True)
    assert closures.file_of("secureflow.kit.none", SOURCE) is None


# What others wrote.


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder with NumPy in it, each file a link that can be replaced by another one."""
    place = tmp_path / "site"
    (numpy,) = reached({"numpy"}, [str(SITE)])
    (info,) = SITE.glob("numpy-*.dist-info")
    names = {*numpy.rows, *(path.relative_to(SITE).as_posix() for path in info.rglob("*.*"))}
    for name in {*names, f"{info.name}/RECORD"}:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        if (SITE / name).is_file() and not (place / name).exists():
            (place / name).symlink_to(SITE / name)
    return place


def replaced(path: Path, more: bytes = b"\n# edited\n") -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content + more)


def of(site: Path) -> Distribution:
    (numpy,) = reached({"numpy.typing", "numpy.ndarray"}, [str(site)])
    return numpy


def test_an_edited_file_of_numpy_is_refused(site: Path) -> None:
    of(site).check()
    native = next(name for name in of(site).rows if "_multiarray_umath" in name and ".so" in name)
    library = next(name for name in of(site).rows if name.startswith("numpy.libs/"))
    for name in ("numpy/__init__.py", native, library):
        replaced(site / name)
        with pytest.raises(SecureFlowError) as caught:
            of(site).check()
        assert (caught.value.code, name in caught.value.message) == ("code_changed", True)
        (site / name).unlink()
        (site / name).symlink_to(SITE / name)
    (site / "numpy" / "version.py").unlink()
    with pytest.raises(SecureFlowError, match=r"numpy/version\.py"):
        of(site).check()


def test_every_file_of_numpy_that_is_loaded_is_held_against_its_checksum(site: Path) -> None:
    rows, base = of(site).rows, of(site)
    loaded = {
        Path(file).relative_to(SITE).as_posix()
        for name, module in list(sys.modules.items())
        if name.split(".")[0] == "numpy" and (file := getattr(module, "__file__", None))
    }
    assert len(loaded) > 50
    paths = {path for _, path in of(SITE).files()}
    for name in loaded:
        assert os.path.realpath(SITE / name) in paths
        replaced(site / name)
        with pytest.raises(SecureFlowError):
            replace(base, rows={name: rows[name]}).check()


def test_an_edited_record_changes_the_measurement(site: Path) -> None:
    before, name = of(site).digest(), "numpy/__init__.py"
    (record,) = site.glob("numpy-*.dist-info/RECORD")
    replaced(site / name)
    old, new = of(site).rows[name], digest_of(site / name)
    encoded = {one: _row(one) for one in (old, new)}
    text = record.read_text()
    assert encoded[old] in text
    record.unlink()
    record.write_text(text.replace(encoded[old], encoded[new]))
    of(site).check()  # nothing shows that it was edited but the measurement
    assert of(site).digest() != before


def test_what_installers_write_is_no_part_of_it(site: Path) -> None:
    before = of(site)
    (record,) = site.glob("numpy-*.dist-info/RECORD")
    text = record.read_text() + (
        f"{record.parent.name}/REQUESTED,{_row(hashlib.sha256().digest())},0\n"
        f"{record.parent.name}/direct_url.json,{_row(hashlib.sha256().digest())},0\n"
        f"../../../bin/tool,{_row(hashlib.sha256().digest())},0\n"
        "numpy/__pycache__/version.cpython-311.pyc,,\n"
    )
    record.unlink()
    record.write_text(text)
    assert of(site) == before


def test_what_cannot_be_measured_is_refused(site: Path) -> None:
    with pytest.raises(SecureFlowError) as caught:
        reached({"no_such_module"}, [str(site)])
    assert caught.value.code == "code_unmeasurable"
    other = site / "copycat-1.dist-info"
    other.mkdir()
    (other / "RECORD").write_text(f"numpy/__init__.py,{_row(b'x' * 32)},1\n")
    with pytest.raises(SecureFlowError, match="both install numpy"):
        of(site)
    (other / "RECORD").write_text("copycat.py,md5=abc,1\n")
    (other / "METADATA").write_text("Name: copycat\nVersion: 1\n")
    with pytest.raises(SecureFlowError, match="not a SHA-256"):
        reached({"copycat"}, [str(site)])


def test_requirements_come_along_but_those_of_extras_and_of_others(tmp_path: Path) -> None:
    for name, needs in {
        "first": 'Requires-Dist: second>=1\nRequires-Dist: third; extra == "x"\n'
        'Requires-Dist: absent; sys_platform == "win32"\n',
        "second": "",
        "third": "",
    }.items():
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n{needs}\nRequires-Dist: third")
        (info / "RECORD").write_text(f"{name}.py,{_row(b'x' * 32)},1\n")
    assert [one.name for one in reached({"first.thing"}, [str(tmp_path)])] == ["first", "second"]


def _row(digest: bytes) -> str:
    return f"sha256={distributions.base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


# What runs it.


def test_the_interpreter_counts(tmp_path: Path) -> None:
    (tmp_path / "json").mkdir()
    (tmp_path / "test").mkdir()
    (tmp_path / "json" / "decoder.py").write_text("x = 1\n")
    before = interpreter(tmp_path)
    (tmp_path / "test" / "more.py").write_text("x = 1\n")
    (tmp_path / "json" / "notes.txt").write_text("no code\n")
    assert interpreter(tmp_path) == before
    (tmp_path / "json" / "decoder.py").write_text("x = 2\n")
    assert interpreter(tmp_path).lines != before.lines
    kinds = [line.split(" ", 2)[2] for line in before.lines]
    assert kinds[0] == f"{sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))}"
    assert before.lines[0].split()[1] == digest_of(Path(sys.executable)).hex()


def test_bytecode_without_a_source_counts_and_an_archive_is_refused(tmp_path: Path) -> None:
    library = tmp_path / "library"
    (library / "encodings" / "__pycache__").mkdir(parents=True)
    (library / "encodings" / "__init__.py").touch()
    before = interpreter(library)
    (library / "encodings" / "__pycache__" / "__init__.cpython-311.pyc").touch()
    assert interpreter(library) == before
    (library / "ast").mkdir()
    (library / "ast" / "__init__.pyc").touch()
    assert interpreter(library).lines != before.lines
    (tmp_path / "python{}{}.zip".format(*sys.version_info)).touch()
    with pytest.raises(SecureFlowError) as caught:
        interpreter(library)
    assert caught.value.code == "code_unmeasurable"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Return a standard library of one module, one package and the folder of native modules."""
    place = tmp_path / "library"
    for name in ("hashlib.py", "json/__init__.py", "lib-dynload/_hashlib.so"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("x = 1\n")
    return place


def refusal(library: Path) -> str:
    with pytest.raises(SecureFlowError) as caught:
        interpreter(library)
    assert caught.value.code == "code_unmeasurable"
    return caught.value.message


@pytest.mark.parametrize("name", ["hashlib", "json/decoder", "lib-dynload/_ssl", "lib-dynload"])
def test_a_link_to_a_folder_in_the_standard_library_is_refused(library: Path, name: str) -> None:
    """Python enters it, and takes a package before a module of the same name."""
    interpreter(library)
    evil = library.with_name("evil")
    evil.mkdir()
    (evil / "__init__.py").write_text("x = 2\n")
    shutil.rmtree(library / name, ignore_errors=True)
    (library / name).symlink_to(evil)
    assert str(library / name) in refusal(library)


def test_a_link_by_a_name_that_is_left_out_may_stay(library: Path) -> None:
    before = interpreter(library)
    for name in ("site-packages", "dist-packages", "test", "json/tests"):
        (library / name).symlink_to(SITE)
    assert interpreter(library) == before


@pytest.mark.parametrize("name", ["hashlib", "lib-dynload/hashlib", "json/decoder"])
@pytest.mark.parametrize("file", ["__init__.py", "__init__.abi3.so", "deeper/one.py"])
def test_a_package_beside_a_module_counts(library: Path, name: str, file: str) -> None:
    before = interpreter(library).lines
    (library / name / file).parent.mkdir(parents=True)
    (library / name / file).write_text("x = 1\n")
    assert interpreter(library).lines != before


@pytest.mark.parametrize("name", ["json", "hashlib.py"])
def test_what_cannot_be_read_in_the_standard_library_is_refused(
    library: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan, opened = os.scandir, Path.open

    def scandir(path: str) -> object:
        if path == str(library / name):
            raise PermissionError(13, "denied", path)
        return scan(path)

    def open_(path: Path, *how: Any, **more: Any) -> object:
        if path == library / name:
            raise PermissionError(13, "denied", str(path))
        return opened(path, *how, **more)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(Path, "open", open_)
    assert str(library / name) in refusal(library)


def test_a_file_is_a_module_of_the_name_by_which_python_finds_it(tmp_path: Path) -> None:
    names = {
        "a/b.py": "a.b", "a/__init__.py": "a", "c.cpython-311-x86_64-linux-gnu.so": "c",
        "a/d.abi3.so": "a.d", "e.so": "e", "a/b.c.py": "", "a.libs/f.so": "", "g.pyc": "",
        "a/h.txt": "", "i-1.dist-info/j.py": "",
    }  # fmt: skip
    found = distributions.modules_in(tmp_path, dict.fromkeys(names, b"x"))
    assert found == {
        (name, os.path.realpath(tmp_path / path)): b"x" for path, name in names.items() if name
    }


def test_the_measurement_is_the_sha256_of_what_is_shown() -> None:
    shown = measure()
    assert shown.digest == hashlib.sha256(shown.text.encode()).hexdigest() == code_measurement()
    assert {line.split()[0] for line in shown.lines} == {
        "code", "lock", "distribution", "interpreter",
    }  # fmt: skip
    assert not shown.check()  # type: ignore[func-returns-value]
