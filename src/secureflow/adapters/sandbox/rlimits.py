"""What rlimits hold of the limits of a process."""

from __future__ import annotations

import resource

from secureflow.application.ports.sandbox import Limits


def set_limits(pid: int, limits: Limits, *, tasks: int = 0) -> None:
    """Limit a process; it cannot raise them again.

    Args:
        pid: of a process that has not read anything foreign yet.
        limits: what it may use.
        tasks: threads and processes of its user within its user namespace, 0 for no limit. The
            kernel exempts root, whatever namespace it is in.

    Raises:
        ProcessLookupError: it has ended.
    """
    wanted = {
        resource.RLIMIT_AS: max(limits.memory, limits.addresses) if limits.memory else 0,
        resource.RLIMIT_FSIZE: limits.file_size,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_NPROC: tasks,
    }
    held = {kind: size for kind, size in wanted.items() if size}
    held[resource.RLIMIT_CORE] = 0  # a core file would hold rows
    for kind, size in held.items():
        _, most = resource.prlimit(pid, kind)
        bound = size if most == resource.RLIM_INFINITY else min(size, most)
        resource.prlimit(pid, kind, (bound, bound))
