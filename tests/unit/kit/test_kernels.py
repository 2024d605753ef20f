"""The code that numeric libraries run: the same on every processor of a kind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from secureflow.kit import kernels
from secureflow.kit.kernels import chosen_here, features, same_kernels

MODERN = "processor\t: 0\nflags\t\t: fpu avx avx2 fma avx512f\n\nprocessor\t: 1\nflags\t\t: fpu\n"
RUNNING = """
import ctypes, sys
import numpy
from numpy._core._multiarray_umath import __cpu_features__ as found
paths = {line.split()[-1] for line in open("/proc/self/maps") if "openblas" in line}
names = [getattr(ctypes.CDLL(path), "scipy_openblas_get_corename64_") for path in paths]
for name in names:
    name.restype = ctypes.c_char_p
wide = [name for name in ("AVX512F", "AVX512_SKX", "X86_V4", "AVX512_ICL") if found.get(name)]
print(*(name().decode() for name in names), *(wide if "X86_V4" in wide else ()))
"""


def test_what_a_processor_can_do_is_read(tmp_path: Path) -> None:
    described = tmp_path / "cpuinfo"
    described.write_text(MODERN)
    assert features(described) == {"fpu", "avx", "avx2", "fma", "avx512f"}
    assert features(tmp_path / "missing") == frozenset()


@pytest.mark.parametrize("able", [{"avx2"}, set[str]()])
def test_nothing_is_chosen_where_it_would_not_run(
    monkeypatch: pytest.MonkeyPatch, able: set[str]
) -> None:
    monkeypatch.setattr(kernels, "features", lambda _: frozenset(able))
    assert same_kernels() == {}
    assert chosen_here()


@pytest.mark.skipif(not same_kernels(), reason="this processor has no AVX2")
def test_numpy_and_its_openblas_run_what_is_chosen() -> None:
    inherited = {name: value for name, value in os.environ.items() if "OPENBLAS" not in name}
    done = subprocess.run(
        [sys.executable, "-c", RUNNING], env={**inherited, **same_kernels()},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["Haswell"]
    assert done.stderr == ""


def test_a_process_that_chose_otherwise_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_here()  # `conftest`
    monkeypatch.setattr(kernels, "features", lambda _: frozenset({"avx2", "fma"}))
    monkeypatch.setenv("OPENBLAS_CORETYPE", "SkylakeX")
    assert not chosen_here()
