"""Which code numeric libraries run on a processor: here, the same on every one of a kind.

NumPy and OpenBLAS choose among implementations when they are loaded, by what the processor can do.
They differ in the order of additions and in the last bit of an exponential. An update that is made
again after a crash must equal the recorded one bit by bit, wherever the agent was started again: on
another host, say, of a newer generation. So training takes what all x86-64 processors since 2013
have (AVX2 and FMA), also where there is more.
"""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

from packaging.version import Version

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_CPUINFO: Final = Path("/proc/cpuinfo")
_NEEDED: Final = frozenset({"avx2", "fma"})
_BEYOND: Final = "X86_V4 AVX512_ICL AVX512_SPR"
_BEYOND_BEFORE_2_3: Final = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"
_BEYOND_BEFORE_2_4: Final = f"{_BEYOND_BEFORE_2_3} AVX512_SPR"
"""What NumPy calls the parts that it is to leave alone; a name that it does not know it warns of,
where warnings are shown."""
_BEYOND_ANY: Final = " ".join(dict.fromkeys(f"{_BEYOND} {_BEYOND_BEFORE_2_4}".split()))
_AVX512: Final = "avx2 fma avx512f avx512cd avx512bw avx512dq avx512vl"
_CORES: Final = {
    "Prescott": "pni",
    "Core2": "ssse3",
    "Nehalem": "sse4_2",
    "Barcelona": "sse4a",
    "Sandybridge": "avx",
    "Bulldozer": "avx fma4",
    "Piledriver": "avx fma fma4",
    "Steamroller": "avx fma fma4",
    "Excavator": "avx2 fma fma4",
    "Haswell": "avx2 fma",
    "Zen": "avx2 fma",
    "SkylakeX": _AVX512,
    "Cooperlake": f"{_AVX512} avx512_vnni avx512_bf16",
    "SapphireRapids": f"{_AVX512} avx512_vnni avx512_bf16 avx512_fp16 amx_tile",
}
"""OpenBLAS' names of x86 processors: what `/proc/cpuinfo` must say that one can do."""


def same_kernels(*, any_numpy: bool = False) -> dict[str, str]:
    """Return the environment variables that make the choice; none where it cannot be made.

    They act on a process that has not yet loaded NumPy.

    Args:
        any_numpy: they are for a process whose NumPy is not the one installed here.
    """
    if not features(_CPUINFO) >= _NEEDED:
        return {}
    return {
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": _BEYOND_ANY if any_numpy else beyond(version("numpy")),
    }


def choose() -> None:
    """Make the choice for this process: call before anything loads NumPy."""
    os.environ.update(same_kernels())
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads add up in parts


def chosen_here() -> bool:
    """Tell whether this process was started, or went on, with the choice that workers have."""
    return all(os.environ.get(name) == value for name, value in same_kernels().items())


def check_core(name: str) -> None:
    """Refuse a name for OpenBLAS' code that this processor cannot run.

    OpenBLAS does as it is told, so that every worker would crash; a name that it does not know it
    passes over, and takes what fits the processor.

    Raises:
        SecureFlowError: `invalid_settings`.
    """
    able = features(_CPUINFO)
    fitting = [one for one, needed in _CORES.items() if able.issuperset(needed.split())]
    if name in fitting:
        return
    if name in _CORES:
        reason = Text(
            "This processor cannot run the code {name} of `worker: kernels`: it lacks {lacking}.",
            name=name,
            lacking=", ".join(sorted(set(_CORES[name].split()) - able)),
        )
    else:
        reason = Text("`worker: kernels` knows no code of the name {name}.", name=name)
    hint: str = "Remove `kernels` from agent.yaml."
    if fitting:
        names = ", ".join(fitting)
        hint = Text(
            "Name one that this processor can run ({names}), or remove `kernels` from agent.yaml.",
            names=names,
        )
    raise SecureFlowError("invalid_settings", reason, hint)


@cache
def beyond(numpy: str) -> str:
    """Return what a version of NumPy calls the parts that it is to leave alone."""
    release = Version(numpy).release
    if release >= (2, 4):
        return _BEYOND
    return _BEYOND_BEFORE_2_4 if release >= (2, 3) else _BEYOND_BEFORE_2_3


@cache
def features(described: Path) -> frozenset[str]:
    """Return what `/proc/cpuinfo` says that an x86 processor can do; nothing where it is silent."""
    try:
        lines = described.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())
