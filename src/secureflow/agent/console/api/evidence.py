"""What the agent itself holds, for who verifies in the browser: charter, head, own entries.

Nothing of it is the centre's word: the charter was pinned by people here, the head was found
consistent with every one before, and the entries are those that this organisation signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from secureflow.agent.console.api.operations import Call, Operation
from secureflow.agent.console.screens.figures import plain, ratio, text_of, texts
from secureflow.agent.console.screens.spoken import Spoken
from secureflow.agent.console.screens.troubles import Trouble, trouble_of
from secureflow.kit.plain import shown
from secureflow.kit.reading import listed, members, objects
from secureflow.kit.text import text_in

EXAMINING: Final = 110.0
"""Seconds to wait for the doctor: each of its checks has ten."""


@dataclass(frozen=True)
class Charter:
    """The pinned charter.

    Args:
        pinned: with the members' signatures, byte for byte as JSON; None: none is pinned yet.
        fingerprints: of the pinned one and of the next: what people compare out of band.
        candidate: the one that may be signed or pinned next; None.
        differences: between the two.
        history: earlier ones.
    """

    pinned: dict[str, Any] | None
    fingerprints: dict[str, Any]
    candidate: dict[str, Any] | None
    differences: tuple[Any, ...]
    history: tuple[Any, ...]


@dataclass(frozen=True)
class Head:
    """The last head of the log that this agent accepted.

    Args:
        origin: of the log.
        log_key: its public key, in base64, as the pinned charter names it.
        size: entries.
        root: of the tree, in hex.
        note: the head as it came, with cosignatures; empty before the first.
        signed: the same with the log's signature alone.
        unproved: hashes of own entries that are not yet proved to be in the log.
        alarm: why the agent stopped trusting the log; None.
    """

    origin: str
    log_key: str
    size: int
    root: str
    note: str
    signed: str
    unproved: tuple[str, ...]
    alarm: Trouble | None


@dataclass(frozen=True)
class OwnLeaves:
    """The ledger entries that this organisation signed in a job, the oldest first.

    Args:
        leaves: each with its `kind`, `hash`, whether it is `proved`, and what was signed.
    """

    leaves: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Check:
    """One check of the doctor.

    Args:
        check: its name.
        ok: whether it passed.
        message: what was found.
        hint: the next step; empty.
        code: of what is wrong; empty.
    """

    check: Spoken
    ok: bool
    message: Spoken
    hint: Spoken
    code: str


@dataclass(frozen=True)
class Checks:
    """The doctor's checks in order; one that depends on a failed one is left out."""

    checks: tuple[Check, ...]


async def charter(call: Call) -> Charter:
    """Return the pinned charter, and the next one if the centre shows one."""
    found = members(await call.visit.ask("charter.show"))
    return Charter(
        _object(found.get("pinned")),
        dict(members(found.get("fingerprints"))),
        _object(found.get("candidate")),
        tuple(listed(found.get("differences"))),
        tuple(listed(found.get("history"))),
    )


async def head(call: Call) -> Head:
    """Return the last accepted head."""
    found = members(await call.visit.ask("ledger.head"))
    return Head(
        origin=text_of(found, "origin"),
        log_key=text_of(found, "log_key"),
        size=int(ratio(found.get("size"))),
        root=text_of(found, "root"),
        note=shown(str(found.get("note") or ""), several=True),
        signed=shown(str(found.get("head") or ""), several=True),
        unproved=texts(found.get("unproved")),
        alarm=trouble_of(found.get("alarm")),
    )


async def leaves(call: Call) -> OwnLeaves:
    """Return the own entries of a job."""
    found = await call.visit.ask("leaves", job=call.named("job"))
    return OwnLeaves(tuple(dict(one) for one in objects(found, 100_000)))


async def doctor(call: Call) -> Checks:
    """Check the agent and its connection to the centre, step by step."""
    found = objects(await call.visit.ask("doctor", EXAMINING))
    return Checks(
        tuple(
            Check(
                text_of(one, "check"),
                one.get("ok") is True,
                plain(text_in(one, "message")),
                plain(text_in(one, "hint")),
                text_of(one, "code"),
            )
            for one in found
        )
    )


def _object(value: Any) -> dict[str, Any] | None:
    return dict(value) if isinstance(value, dict) else None


OPERATIONS: Final = (
    Operation(
        "charter", "GET", "/charter", charter, Charter,
        about="The charter that people here pinned, for the verifier in the browser.",
    ),
    Operation(
        "ledgerHead", "GET", "/ledger/head", head, Head,
        about="The last head of the log that this agent found consistent and accepted.",
    ),
    Operation(
        "ownLeaves", "GET", "/jobs/{job}/leaves", leaves, OwnLeaves,
        patterns={"job": r"[A-Za-z0-9_-]{1,128}"},
        about="The ledger entries that this organisation signed in a job.",
    ),
    Operation(
        "doctor", "POST", "/doctor", doctor, Checks, need="decider",
        about="Check the agent and its connection to the centre, step by step: it dials.",
    ),
)  # fmt: skip
