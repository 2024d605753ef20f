"""Errors of channels between agents: each names both ends and the phase in which it happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

JOINING: Final = "joining"
HANDSHAKE: Final = "handshake"
RUNNING: Final = "running"
CLOSING: Final = "closing"
"""Phases of a channel: until the peer's first frame; until TLS is set up; then; after `close`."""

_PHASES: Final = {
    JOINING: "before the two agents met",
    HANDSHAKE: "in the TLS handshake",
    RUNNING: "while it was in use",
    CLOSING: "while it was closed",
}

LEFT: Final = "peer_left"
"""The code by which the centre says that a peer does not come back to this channel."""


class ChannelFaultError(Exception):
    """What the other side of a channel sent breaks its rules.

    Args:
        reason: half a sentence for people.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class ChannelEnds:
    """The two ends of a channel, as errors and logs name them.

    Args:
        own, peer: organisations.
        job: its id.
        attempt: its number, from 1.
    """

    own: str
    peer: str
    job: str
    attempt: int

    def absent(self, seconds: float, phase: str, cause: str = "") -> SecureFlowError:
        """Return `peer_absent`: the peer did not come within so many seconds."""
        message: str = Text(
            "{peer} did not open its channel to {own} within {seconds:g} seconds ({when}).",
            peer=self.peer,
            own=self.own,
            seconds=seconds,
            when=_PHASES[phase],
        )
        if cause:
            message = Text("{message} {cause}", message=message, cause=cause)
        return SecureFlowError(
            "peer_absent",
            message,
            Text(
                "Check that the agent of {peer} runs and takes part in this job (`secureflow agent "
                "doctor` there); the next attempt asks it again.",
                peer=self.peer,
            ),
            self._details(phase),
        )

    def broken(self, reason: str, phase: str) -> SecureFlowError:
        """Return `peer_broken`: the channel cannot go on."""
        return SecureFlowError(
            "peer_broken",
            Text(
                "The channel between {own} and {peer} broke {when}: {reason}.",
                own=self.own,
                peer=self.peer,
                when=_PHASES[phase],
                reason=reason,
            ),
            "The job's next attempt makes a new channel. If it breaks again, somebody between the "
            "two agents, the centre included, changes or drops what they send: compare both "
            "agents' logs.",
            self._details(phase),
        )

    def given_up(self) -> SecureFlowError:
        """Return `peer_broken`: this end gave the channel up."""
        return self.broken("it was given up here", RUNNING)

    def closed(self) -> SecureFlowError:
        """Return `peer_closed`: the peer said that it reads no more."""
        return SecureFlowError(
            "peer_closed",
            Text("{peer} has closed its channel to {own}.", peer=self.peer, own=self.own),
            "It reads nothing more: both parties must run the same program.",
            self._details(RUNNING),
        )

    def over_limit(self, reason: str, setting: str = "") -> SecureFlowError:
        """Return `peer_limit`: a limit of the job, by this setting of its spec, is used up."""
        return SecureFlowError(
            "peer_limit",
            Text(
                "The channel between {own} and {peer} was ended: {reason}.",
                own=self.own,
                peer=self.peer,
                reason=reason,
            ),
            Text("Submit the job with a higher {setting}, or with less data.", setting=setting)
            if setting
            else "Submit the job with less data.",
            self._details(RUNNING),
        )

    def _details(self, phase: str) -> dict[str, object]:
        return {
            "party": self.peer,
            "from": self.own,
            "to": self.peer,
            "job": self.job,
            "attempt": self.attempt,
            "phase": phase,
        }
