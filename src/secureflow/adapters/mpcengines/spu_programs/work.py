"""A party's part from its first step to its last, and why it did not get there.

SPU's errors are `RuntimeError("what: …")` with the reason in the second line; a word for each kind
goes to the agent, all of it to the log.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from . import compute, psi
from .errors import RefusedError
from .libraries import libraries_alone
from .link import connect, greet
from .party import Done, Part, Tell, part_of

Program = Callable[[Part, Any, Tell], Done]
PROGRAMS: Final[Mapping[str, Program]] = {
    "psi": psi.run,
    "ranking": compute.run,
    "sealed-bid": compute.run,
    "correlation": compute.run,
    "logistic": compute.run,
}
_LINK: Final = (
    ("connect to mesh failed", "peer_absent"),
    ("failed to setup connection", "peer_absent"),
    ("Get data timeout", "peer_silent"),
    ("Throttle window wait timeout", "peer_silent"),
    ("send failed", "peer_gone"),
    ("send, rpc failed", "peer_gone"),
    ("rpc failed", "peer_gone"),
    ("Connection refused", "peer_gone"),
)
"""Words of brpc and yacl → what they mean."""


def run(told: Any) -> dict[str, Any]:
    """Do what `host.Job` describes; return figures."""
    try:
        return _run(told)
    except RefusedError as refused:
        sys.stderr.write(f"refused: {refused.reason} {refused.facts}\n")
        raise told.failed(refused.reason) from refused
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        raise told.failed(word_of(str(error))) from error


def _run(told: Any) -> dict[str, Any]:
    part = part_of(told)
    told.progress("connect", 0.0)
    if part.program == "psi":
        libraries_alone()
    link = connect(part)
    greet(link, part)
    done = PROGRAMS[part.program](part, link, told.progress)
    link.stop_link()
    for name, path in done.outputs.items():
        told.output(name, path)
    return dict(done.figures)


def word_of(words: str) -> str:
    """Return what an error of SPU's means, as far as that is known."""
    return next((word for told, word in _LINK if told in words), "spu_failed")
