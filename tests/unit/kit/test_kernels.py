"""The code that numeric libraries run: the same on every processor of a kind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from secureflow.kit import kernels
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.kernels import beyond, check_core, chosen_here, features, same_kernels

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


@pytest.mark.parametrize(
    ("numpy", "first", "sapphire"),
    [
        ("2.2.6", "AVX512F", False),  # it does not know the name
        ("2.3.0rc1", "AVX512F", True),
        ("2.3.5", "AVX512F", True),
        ("2.4.0", "X86_V4", True),
        ("2.5rc1", "X86_V4", True),
        ("2.5.0.dev0+git.1a2b", "X86_V4", True),
        ("3", "X86_V4", True),
    ],
)
def test_what_is_left_alone_is_called_as_numpy_calls_it(
    numpy: str, first: str, sapphire: bool
) -> None:
    names = beyond(numpy).split()
    assert names[0] == first
    assert ("AVX512_SPR" in names) == sapphire


def test_for_a_numpy_that_is_not_known_every_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "features", lambda _: frozenset({"avx2", "fma"}))
    told = same_kernels(any_numpy=True)["NPY_DISABLE_CPU_FEATURES"].split()
    assert len(set(told)) == len(told)
    for numpy in ("2.2.0", "2.3.1", "2.4.0"):
        assert set(beyond(numpy).split()) <= set(told)


AVX2 = "pni ssse3 sse4_2 avx avx2 fma"
SKYLAKE = f"{AVX2} avx512f avx512cd avx512bw avx512dq avx512vl"


@pytest.mark.parametrize(
    ("able", "name"),
    [(AVX2, "Haswell"), (AVX2, "Zen"), (AVX2, "Nehalem"), (SKYLAKE, "SkylakeX")],
)
def test_code_that_a_processor_can_run_is_taken(
    monkeypatch: pytest.MonkeyPatch, able: str, name: str
) -> None:
    monkeypatch.setattr(kernels, "features", lambda _: frozenset(able.split()))
    check_core(name)


@pytest.mark.parametrize(
    ("able", "name", "told", "next_step"),
    [
        (AVX2, "SkylakeX", "lacks avx512bw, avx512cd, ", "Core2, Nehalem, Sandybridge, Haswell"),
        (SKYLAKE, "Cooperlake", "lacks avx512_bf16, avx512_vnni", "Zen, SkylakeX)"),
        (SKYLAKE, "HaswellX", "no code of the name HaswellX", "SkylakeX"),
        (SKYLAKE, "Excavator", "lacks fma4", "SkylakeX"),
        ("", "Haswell", "lacks avx2, fma", "Remove `kernels`"),  # no x86
        ("", "NEOVERSEN1", "no code of the name", "Remove `kernels`"),
    ],
)
def test_other_code_is_refused_with_what_runs_here(
    monkeypatch: pytest.MonkeyPatch, able: str, name: str, told: str, next_step: str
) -> None:
    monkeypatch.setattr(kernels, "features", lambda _: frozenset(able.split()))
    with pytest.raises(SecureFlowError) as refused:
        check_core(name)
    assert refused.value.code == "invalid_settings"
    assert told in str(refused.value)
    assert next_step in str(refused.value.hint)
    assert "SkylakeX," not in str(refused.value.hint)
