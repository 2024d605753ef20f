"""The commands that the owner's page needs beside those of the command line."""

from __future__ import annotations

from collections.abc import Mapping

from secureflow.agent.edge.control import Command
from secureflow.agent.edge.doctorcommands import DoctorCommands
from secureflow.agent.edge.grantwatch import GrantWatch
from secureflow.agent.edge.policyediting import PolicyEditing
from secureflow.agent.edge.reload import Reload
from secureflow.agent.edge.running import Linked
from secureflow.agent.edge.watchcommands import WatchCommands
from secureflow.agent.edge.wiring import Assembly
from secureflow.domain.specs.kind import SpecKinds


def page_commands(
    assembly: Assembly,
    link: Linked,
    reload: Reload,
    granted: GrantWatch,
    kinds: SpecKinds,
) -> Mapping[str, Command]:
    """Return the commands by name.

    Args:
        assembly: the agent.
        link: to the centre.
        reload: knows the settings file, and which files are in force.
        granted: knows the centre's proposals.
        kinds: of job.
    """
    watch = WatchCommands(assembly, link, lambda: len(granted.proposals))
    return {
        **PolicyEditing(assembly, reload, kinds).table(),
        **watch.table(),
        **DoctorCommands(reload.config, kinds).table(),
    }
