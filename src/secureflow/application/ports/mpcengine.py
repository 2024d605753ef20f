"""Engines that compute over the data of several parties without showing it to one another.

An engine is a protocol and the program that runs it: SPU's ABY3, MPyC, our own masked sum. What
each gives is data, not prose: a `SecurityLabel` per protocol, which owners read before they consent
and which stands in the report. What it will cost is an `Estimate`, made before consent and compared
with what it took.

A run is an *attempt*. It cannot be resumed: an engine's randomness is used once. One that died runs
again from its inputs as the next attempt, over fresh channels; what a peer may learn from such a
repeat stands in the label.

Every engine keeps to this:

- The parties agree on engine, version, program, protocol and parameters (`EngineJob.agreement`)
  before any of them reads a row. Who has another one is named: `program_mismatch`.
- It computes in a process of its own, confined (`application.ports.sandbox`), whose only way out
  are the channels of its job. Its working folder is wiped; results are copied out first.
- A peer that never comes, falls silent or goes is named, with the phase, within seconds; every
  phase has a deadline. Cancelling the task that runs a job ends the process with all it started.
- What an engine's process says is foreign: bounded, and never taken for more than it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from secureflow.application.ports.peers import PeerChannel
from secureflow.domain import securitylabel
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

SecurityLabel = securitylabel.SecurityLabel
"""The domain's: reports of programs that are built in have one as well."""
Shapes = Mapping[str, Mapping[str, tuple[int, ...]]]
"""Party → name of an input → its shape, rows first."""
Progress = Callable[[str, float], None]
"""Told of a phase, one of `PHASES`, and the share of it that is done, 0 to 1."""

BUNDLE: Final = "bundle"
"""The name of a program that others wrote and that owners approved by its digest."""
PHASES: Final = ("connect", "inputs", "compute", "outputs")
"""What every run goes through, in this order. An engine has no others: the peers and the centre are
told in which one a run failed, and a word of its process's own could carry its inputs."""


@dataclass(frozen=True)
class EngineProgram:
    """A program that an engine brings along.

    Args:
        title: what it computes, for people.
        digest: hex SHA-256 of all that runs, the same at every party that can compute together.
        protocols: those that can run it, the default first.
        parties: the fewest and the most.
        learns: who learns what, for people.
        numeric: the bound of its error, for people; "" if it is exact.
    """

    title: str
    digest: str
    protocols: tuple[str, ...]
    parties: tuple[int, int]
    learns: tuple[str, ...] = ()
    numeric: str = ""


@dataclass(frozen=True)
class EngineInfo:
    """What an engine is.

    Args:
        name: by which specs and commands name it, `spu`.
        version: of what computes, `0.9.5`; both are compared among the parties.
        protocols: name → what it gives.
        programs: name → what it can compute; an engine that runs programs of others has none of
            these.
        parties: the fewest and the most that any of its protocols takes.
    """

    name: str
    version: str
    protocols: Mapping[str, SecurityLabel]
    programs: Mapping[str, EngineProgram]
    parties: tuple[int, int]


@dataclass(frozen=True)
class Estimate:
    """What a run will cost; shown before consent, and compared afterwards.

    Args:
        bytes: over all channels, both ways.
        memory: bytes of one party's process at its peak.
        seconds: on the machine that `docs/engines.md` names, over a local network.
    """

    bytes: int
    memory: int
    seconds: float


@dataclass(frozen=True)
class EngineDeadlines:
    """Seconds.

    Args:
        connect: until every peer has agreed, and until the engine's process listens: some engines
            take half a minute to be imported on a busy machine. A peer's agent that is gone is
            noticed before, by its channel.
        idle: without a sign of life from the process or from a peer.
        total: for everything.
    """

    connect: float = 120.0
    idle: float = 30.0
    total: float = 3600.0


@dataclass(frozen=True)
class EngineLimits:
    """What a run may use, in bytes.

    Args:
        memory: of the process.
        scratch: of its working folder.
    """

    memory: int = 4 << 30
    scratch: int = 4 << 30


@dataclass(frozen=True)
class EngineCode:
    """A program of others, approved by its digest, unpacked and read-only.

    Args:
        folder: with its files.
        entry: the file that runs, relative to the folder.
        most: bytes of all files that it may write.
    """

    folder: Path
    entry: str
    most: int


@dataclass(frozen=True)
class EngineJob:
    """One party's part of one attempt.

    Args:
        job: its id.
        attempt: from 1.
        program: its name; `bundle` for `code`.
        digest: hex SHA-256 of the program as the spec has it, of `code` the bundle's (BLAKE3); the
            same at every party.
        protocol: one of the engine's.
        parameters: of the program, as the spec has them; the same at every party.
        party: whose part this is.
        parties: all of them in the spec's order, which numbers them from 0.
        receivers: who gets outputs; everybody else's are discarded.
        inputs: name → file, which the process may read and nothing else.
        outputs: an empty folder, where results are put that this party receives.
        channels: peer → an open channel.
        deadlines: of its phases.
        limits: of its process.
        code: for programs that the engine does not bring along.
        kept: a folder of the job at this party: what a program keeps there of parts that are done,
            further attempts get again; it tells what outputs tell. None: nothing is kept.
    """

    job: str
    attempt: int
    program: str
    digest: str
    protocol: str
    party: str
    parties: tuple[str, ...]
    receivers: tuple[str, ...]
    inputs: Mapping[str, Path]
    outputs: Path
    channels: Mapping[str, PeerChannel]
    parameters: Mapping[str, JSON] = field(default_factory=dict)
    deadlines: EngineDeadlines = EngineDeadlines()
    limits: EngineLimits = EngineLimits()
    code: EngineCode | None = None
    kept: Path | None = None

    @property
    def peers(self) -> tuple[str, ...]:
        """The other parties, in order."""
        return tuple(one for one in self.parties if one != self.party)

    @property
    def number(self) -> int:
        """This party's number, from 0."""
        return self.parties.index(self.party)

    @property
    def files(self) -> int:
        """The bytes of all files that its process may write, and return."""
        most = self.limits.scratch
        return most if self.code is None else min(most, self.code.most)

    def agreement(self, info: EngineInfo) -> dict[str, JSON]:
        """Return what all parties must have alike before they start."""
        return {
            "engine": info.name,
            "version": info.version,
            "job": self.job,
            "attempt": self.attempt,
            "program": self.program,
            "digest": self.digest,
            "protocol": self.protocol,
            "parameters": dict(self.parameters),
            "parties": list(self.parties),
            "receivers": list(self.receivers),
        }


@dataclass(frozen=True)
class EngineResult:
    """What came of a run.

    Args:
        figures: of the program, such as counts; small, and never rows.
        outputs: name → file in the job's folder for outputs, {} for who receives nothing.
        seconds: of everything.
        peak_bytes: of memory, as far as the machine counts it, else 0.
    """

    figures: Mapping[str, JSON]
    outputs: Mapping[str, Path]
    seconds: float
    peak_bytes: int


class MpcEngine(Protocol):
    """An engine; one object serves any number of jobs, one after the other or at once."""

    def describe(self) -> EngineInfo:
        """Return what it is; the same whether it is installed here or not."""

    def available(self) -> SecureFlowError | None:
        """Return why it cannot run here, with the owner's next step, or None.

        `engine_absent`: it is not installed; `engine_unconfined`: nothing confines it here.
        """

    def estimate(self, program: str, protocol: str, shapes: Shapes) -> Estimate:
        """Return what a run costs, from the shapes alone.

        Raises:
            SecureFlowError: `program_unknown`; `parties_wrong`: more or fewer than the protocol
                takes; `protocol_refused`: not one of the program's.
        """

    async def run(self, job: EngineJob, progress: Progress) -> EngineResult:
        """Compute; the channels' messages are the engine's until it returns.

        Cancelling the task ends the run, its process and everything that this started.

        Raises:
            SecureFlowError: what `available` returns and `estimate` raises;
                `program_mismatch`: a peer has another program, version or parameters;
                `peer_absent`: a peer did not come in time;
                `peer_broken`: a peer, or the channel to it, went in the middle;
                `engine_failed`: the process ended, or the program said why it cannot go on;
                `engine_silent`: no sign of life, or the time is over;
                `engine_out_of_memory`; `engine_output_refused`: more, or others than declared.
                Each names party and phase in its message and its `details`.
        """
