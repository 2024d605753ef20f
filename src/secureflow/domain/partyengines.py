"""Engines for computation among parties, as agents announce and jobs need them.

An agent tells the centre which engines it can run, by name and version, when it connects and when
that changes. It is a claim: it spares everybody a question about a job that could not run, and the
agent itself decides once more when it is asked to consent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MOST: Final = 32
"""Engines of one agent."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_VERSION: Final = re.compile(r"[0-9A-Za-z.+-]{1,32}")

EngineNeeded = tuple[str, str]
"""Name and version."""


def ask_peer(peer: str) -> Text:
    """Return the next step where a peer does what no honest agent or engine does."""
    return Text("The agent or engine of {peer} is faulty or altered: ask it.", peer=peer)


def absent(engine: str, party: str = "") -> SecureFlowError:
    """Return the error of an engine that is not installed at a party, or here."""
    told = (
        Text("{party} does not have the engine {engine}.", engine=engine, party=party)
        if party
        else Text("The engine {engine} is not installed here.", engine=engine)
    )
    hint = Text(
        "Its owner installs it: secureflow engine install {engine}. The agent goes on meanwhile.",
        engine=engine,
    )
    return SecureFlowError("engine_absent", told, hint, {"engine": engine, "party": party})


def other_version(engine: str, party: str, found: str, wanted: str) -> SecureFlowError:
    """Return the error of a party whose engine is of another version than the job's."""
    return SecureFlowError(
        "engine_absent",
        Text(
            "{party} has {engine} {found}, and the job needs {wanted}.",
            party=party,
            engine=engine,
            found=found,
            wanted=wanted,
        ),
        Text(
            "All parties install the same version of SecureFlow, and with it the engine: "
            "secureflow engine install {engine}.",
            engine=engine,
        ),
        {"engine": engine, "party": party},
    )


def announced(value: JSON) -> dict[str, str] | None:
    """Return the engines that an agent announces; None for one that says nothing of any.

    What is no name or version is left out.
    """
    if not isinstance(value, Mapping):
        return None
    found: dict[str, str] = {}
    for name, version in list(value.items())[:MOST]:
        known = isinstance(name, str) and _NAME.fullmatch(name)
        if known and isinstance(version, str) and _VERSION.fullmatch(version):
            found[name] = version
    return found


def check_engines(
    needed: EngineNeeded | None, engines: Mapping[str, Mapping[str, str] | None]
) -> None:
    """Refuse a job that needs an engine which a party announced that it does not have.

    Args:
        needed: of the job, if it needs one.
        engines: party → what it announced; None for who is away, or says nothing of engines.

    Raises:
        SecureFlowError: `engine_absent` naming party and command.
    """
    if needed is None:
        return
    name, version = needed
    for party, its in engines.items():
        if its is not None and name not in its:
            raise absent(name, party)
        if its is not None and its[name] != version:
            raise other_version(name, party, its[name], version)
