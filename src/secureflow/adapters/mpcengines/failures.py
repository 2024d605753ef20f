"""Why a run of an engine ended: each error names the party and the phase."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from secureflow.domain.partyengines import absent, ask_peer
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

_LOG: Final = "Its owner finds what it printed in the agent's folder: engines/logs."
_AGAIN: Final = "The next attempt starts from the same inputs, if the job allows one."
WORDS: Final = {
    "raised": "it raised an exception",
    "import": "a package of its environment cannot be imported",
    "died": "its process ended without an answer",
    "killed": "its process was killed",
    "flooded": "it prints without end",
}
"""Why any engine may fail; an engine's adapter has further words of its own."""


def unconfined(engine: str, *, ever: bool) -> SecureFlowError:
    """Return the error of an engine that nothing confines.

    Args:
        engine: its name.
        ever: whether an owner may run it so.
    """
    told = Text(
        "The engine {engine} runs in a sandbox with a network of its own only, and this agent has "
        "none.",
        engine=engine,
    )
    hint = (
        "Install bubblewrap (secureflow agent doctor shows what is missing), or accept in "
        "agent.yaml that engines reach this machine's network and files (engines: unconfined: "
        "true)."
        if ever
        else "Install bubblewrap: secureflow agent doctor shows what is missing. This engine "
        "listens on every address of its machine, so no setting lets it run without."
    )
    return SecureFlowError("engine_unconfined", told, hint, {"engine": engine})


def failed(engine: str, party: str, phase: str, reason: str) -> SecureFlowError:
    """Return the error of an engine that said why it cannot go on, or ended."""
    told = Text(
        "{engine} failed at {party} in the phase {phase}: {reason}.",
        engine=engine,
        party=party,
        phase=phase,
        reason=reason,
    )
    return SecureFlowError("engine_failed", told, _LOG, _where(engine, party, phase))


def out_of_memory(engine: str, party: str, phase: str, memory: int) -> SecureFlowError:
    """Return the error of an engine that needed more memory than it may have."""
    told = Text(
        "{engine} needs more memory than the {megabytes} MiB that it may have at {party} (phase "
        "{phase}).",
        engine=engine,
        megabytes=memory >> 20,
        party=party,
        phase=phase,
    )
    hint = "Raise engines: memory_mb in that agent's agent.yaml, or compute over fewer rows."
    return SecureFlowError("engine_out_of_memory", told, hint, _where(engine, party, phase))


def silent(
    engine: str, party: str, phase: str, seconds: float, peers: Sequence[str] = ()
) -> SecureFlowError:
    """Return the error of an engine that neither computes nor talks.

    Args:
        engine: its name.
        party: where.
        phase: it was in.
        seconds: for how long.
        peers: those whose engines do neither as well: it may wait for one of them.
    """
    if peers:
        told = Text(
            "No engine computed or sent anything for {seconds:.0f} seconds: {engine} at {party} "
            "waits in the phase {phase}, and nothing comes from {peers}.",
            engine=engine,
            seconds=seconds,
            party=party,
            phase=phase,
            peers=", ".join(peers),
        )
        details = {**_where(engine, party, phase), "parties": [party, *peers]}
        return SecureFlowError("engine_silent", told, _AGAIN, details)
    told = Text(
        "{engine} neither computed nor sent anything for {seconds:.0f} seconds at {party} in the "
        "phase {phase}.",
        engine=engine,
        seconds=seconds,
        party=party,
        phase=phase,
    )
    return SecureFlowError("engine_silent", told, _AGAIN, _where(engine, party, phase))


def too_slow(engine: str, party: str, phase: str, seconds: float) -> SecureFlowError:
    """Return the error of a run whose whole time is over."""
    told = Text(
        "{engine} took longer than {seconds:.0f} seconds at {party}; it was in the phase {phase}.",
        engine=engine,
        seconds=seconds,
        party=party,
        phase=phase,
    )
    hint = "Compare with the job's estimate, and allow it more time or fewer rows."
    return SecureFlowError("engine_silent", told, hint, _where(engine, party, phase))


def refused(engine: str, party: str, reason: str) -> SecureFlowError:
    """Return the error of an answer that counts for nothing."""
    told = Text(
        "What {engine} returned at {party} is refused: {reason}.",
        engine=engine,
        party=party,
        reason=reason,
    )
    return SecureFlowError("engine_output_refused", told, _LOG, _where(engine, party, "outputs"))


def too_large(engine: str, party: str, most: int, *, others: bool) -> SecureFlowError:
    """Return the error of files that are larger than they may be.

    Args:
        engine: its name.
        party: where.
        most: bytes of all of them.
        others: whether it ran a program of others.
    """
    told = Text(
        "The files that {engine} writes at {party} are larger than the {megabytes} MiB that they "
        "may have together.",
        engine=engine,
        party=party,
        megabytes=most >> 20,
    )
    hint = (
        "Have the program write less: programs of others are for small data."
        if others
        else "Raise engines: scratch_mb in that agent's agent.yaml, or compute over fewer rows."
    )
    return SecureFlowError("engine_output_refused", told, hint, _where(engine, party, "outputs"))


def mismatch(engine: str, peer: str, what: Sequence[str]) -> SecureFlowError:
    """Return the error of a peer that would run something else."""
    told = Text(
        "{peer} would run {engine} with another {what} than this party: nothing was started.",
        peer=peer,
        engine=engine,
        what=", ".join(what),
    )
    hint = "Both install the same version (secureflow engine list), and take part in the same job."
    details = {**_where(engine, peer, "connect"), "what": list(what)}
    return SecureFlowError("program_mismatch", told, hint, details)


def away(engine: str, peers: Iterable[str], seconds: float) -> SecureFlowError:
    """Return the error of peers that did not come."""
    named = sorted(peers)
    told = Text(
        "{peers} did not start {engine} within {seconds:.0f} seconds.",
        peers=", ".join(named),
        engine=engine,
        seconds=seconds,
    )
    hint = "Is that agent running, and linked to the centre? secureflow agent status tells it."
    details = {**_where(engine, named[0], "connect"), "parties": named}
    return SecureFlowError("peer_absent", told, hint, details)


def broken(engine: str, peer: str, phase: str, reason: str) -> SecureFlowError:
    """Return the error of a peer that went in the middle."""
    told = Text(
        "{peer} ended {engine} in the phase {phase}: {reason}.",
        peer=peer,
        engine=engine,
        phase=phase,
        reason=reason,
    )
    return SecureFlowError("peer_broken", told, _AGAIN, _where(engine, peer, phase))


def impostor(engine: str, peer: str, phase: str, reason: str) -> SecureFlowError:
    """Return the error of a peer that speaks as somebody else, or as no engine does."""
    told = Text(
        "{engine} was ended in the phase {phase}, because of {peer}: {reason}.",
        engine=engine,
        phase=phase,
        peer=peer,
        reason=reason,
    )
    return SecureFlowError("peer_broken", told, ask_peer(peer), _where(engine, peer, phase))


def faithless(engine: str, peer: str, phase: str, reason: str) -> SecureFlowError:
    """Return the error of a peer that does not keep to what it committed to."""
    told = Text(
        "{peer} does not keep to its word in the phase {phase} of {engine}: {reason}.",
        peer=peer,
        engine=engine,
        phase=phase,
        reason=reason,
    )
    return SecureFlowError(
        "peer_result_malformed", told, ask_peer(peer), _where(engine, peer, phase)
    )


def _where(engine: str, party: str, phase: str) -> dict[str, object]:
    return {"engine": shown(engine), "party": shown(party), "phase": shown(phase)}


__all__ = [
    "WORDS",
    "absent",
    "away",
    "broken",
    "failed",
    "faithless",
    "impostor",
    "mismatch",
    "out_of_memory",
    "refused",
    "silent",
    "too_large",
    "too_slow",
    "unconfined",
]
