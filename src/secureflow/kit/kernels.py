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

_CPUINFO: Final = Path("/proc/cpuinfo")
_NEEDED: Final = frozenset({"avx2", "fma"})
_BEYOND: Final = "X86_V4 AVX512_ICL AVX512_SPR"
_BEYOND_BEFORE_2_4: Final = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"
"""What NumPy calls the parts that it is to leave alone; a name that it does not know it warns of,
where warnings are shown."""


def same_kernels() -> dict[str, str]:
    """Return the environment variables that make the choice; none where it cannot be made.

    They act on a process that has not yet loaded NumPy.
    """
    if not features(_CPUINFO) >= _NEEDED:
        return {}
    return {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": _beyond()}


def choose() -> None:
    """Make the choice for this process: call before anything loads NumPy."""
    os.environ.update(same_kernels())
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads add up in parts


def chosen_here() -> bool:
    """Tell whether this process was started, or went on, with the choice that workers have."""
    return all(os.environ.get(name) == value for name, value in same_kernels().items())


@cache
def _beyond() -> str:
    major, minor = (int(part) for part in version("numpy").split(".")[:2])
    return _BEYOND if (major, minor) >= (2, 4) else _BEYOND_BEFORE_2_4


@cache
def features(described: Path) -> frozenset[str]:
    """Return what `/proc/cpuinfo` says that an x86 processor can do; nothing where it is silent."""
    try:
        lines = described.read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())
