"""`secureflow`: the command line. One group per noun, commands are verbs.

Every failure is one line on stderr and one of the exit codes in docs/cli.md; where one's own code
failed here, its traceback stands before that line. Heavy modules are imported inside commands, so
that `secureflow --help` is fast.
"""

from __future__ import annotations

import errno
import os
import sys
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureflow.cli import (
    agent,
    anchors,
    audit,
    bundles,
    charter,
    contexts,
    datasets,
    demo,
    doctor,
    enclave,
    engine,
    identities,
    jobs,
    jobtemplates,
    keys,
    ledger,
    login,
    models,
    mpc,
    notifications,
    organisations,
    preparation,
    projects,
    psi,
    queue,
    revenue,
    server,
    session,
    simulate,
    strategies,
    timetables,
    totp,
    users,
    weights,
)
from secureflow.cli.console import fail, group
from secureflow.cli.narrowing import narrowed
from secureflow.cli.texts import language, t
from secureflow.cli.usage import Commands
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.memory import skip_final_collection
from secureflow.kit.oserrors import failed_at
from secureflow.kit.text import Text
from secureflow.kit.version import __version__

if TYPE_CHECKING:
    from secureflow.cli.kinds import CliKinds

app = group("Organisations that may not share raw data compute together.")
app.info.cls = Commands
app.add_typer(demo.app, name="demo")
app.command("login", help=t("Log in to a server and keep the token."))(login.login)
app.command("logout", help=t("End the session and forget the token."))(login.logout)
app.add_typer(contexts.app, name="context")
app.add_typer(users.app, name="user")
app.add_typer(users.tokens, name="token")
app.add_typer(users.sessions, name="session")
app.add_typer(totp.app, name="totp")
app.add_typer(identities.app, name="identity")
app.add_typer(organisations.app, name="org")
app.add_typer(organisations.enrolments, name="enrolment")
app.add_typer(organisations.parties, name="party")
app.add_typer(charter.app, name="charter")
app.add_typer(projects.app, name="project")
app.add_typer(revenue.agreements, name="revenue")
app.add_typer(revenue.settlements, name="settlement")
app.add_typer(datasets.app, name="data")
app.add_typer(jobs.app, name="job")
app.add_typer(queue.app, name="queue")
app.add_typer(anchors.app, name="anchor")
app.add_typer(jobtemplates.app, name="template")
app.add_typer(strategies.app, name="strategy")
app.add_typer(timetables.app, name="timetable")
app.add_typer(preparation.app, name="prep")
app.add_typer(mpc.app, name="mpc")
app.add_typer(psi.app, name="psi")
app.add_typer(bundles.app, name="bundle")
app.add_typer(models.app, name="model")
app.add_typer(weights.app, name="weights")
app.command("simulate", help=t("Try training jobs on a table here, before anybody is asked."))(
    simulate.simulate
)
app.add_typer(notifications.app, name="notification")
app.add_typer(audit.app, name="audit")
app.add_typer(ledger.app, name="ledger")
app.command("doctor", help=t("Check the connection to the server and show which check fails."))(
    doctor.doctor
)
app.add_typer(server.app, name="server")
app.add_typer(enclave.app, name="enclave")
app.add_typer(agent.app, name="agent")
app.add_typer(engine.app, name="engine")
app.add_typer(keys.app, name="keys")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"secureflow {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help=t("Show the version.")),
    ] = False,
    context: Annotated[
        str, typer.Option(metavar="NAME", help=t("Act as the user of this context."))
    ] = "",
) -> None:
    del version
    session.NAMED.set(context)


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO})


def main() -> None:
    """Run the command line and exit with its code."""
    code = run(sys.argv[1:])
    skip_final_collection()
    # CPython ends by SIGINT, whatever the exit code, if Ctrl-C once interrupted an `exec` of source
    # text (dataclasses during an import) and none has run since.
    exec("")  # noqa: S102
    sys.exit(code)


def run(arguments: list[str], kinds: CliKinds | None = None) -> int:
    """Run one command; return its exit code (`domain.exits`, docs/cli.md).

    Args:
        arguments: those of the command line.
        kinds: the kinds of job that people may have to decide about; SecureFlow's own, where None.
    """
    return copy_context().run(_run, arguments, kinds)


def _run(arguments: list[str], kinds: CliKinds | None) -> int:
    from secureflow.domain.exits import INTERNAL, INTERRUPTED

    try:
        _occupy_streams()
        _call(arguments, kinds)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        # Only an unanswered question (Ctrl-C, Ctrl-D, no terminal) ends with 1.
        return INTERRUPTED if code == 1 else code
    except SecureFlowError as error:
        if os.environ.get("SECUREFLOW_DEBUG"):
            raise
        fail(error)
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # the process edge: a bug must not print a traceback
        if os.environ.get("SECUREFLOW_DEBUG"):
            raise
        if (unusable := _unusable(error)) is not None:
            fail(unusable)
            return exit_code(unusable)
        message = Text("{name}: {error}", name=type(error).__name__, error=error)
        fail(SecureFlowError("internal", message, t("SECUREFLOW_DEBUG=1 shows where.")))
        return INTERNAL
    return 0


def _occupy_streams() -> None:
    """Open /dev/null for streams that the caller closed: a file would get their descriptors.

    Raises:
        SecureFlowError: `invalid_file`: there is no stdout for a result.
    """
    nowhere = Path(os.devnull)
    if sys.stdin is None:
        sys.stdin = nowhere.open()
    if sys.stderr is None:
        sys.stderr = nowhere.open("w")
    if sys.stdout is None:
        sys.stdout = nowhere.open("w")
        raise SecureFlowError("invalid_file", failed_at("stdout", OSError(errno.EBADF, "")))


def _unusable(error: Exception) -> SecureFlowError | None:
    """Return the error for a wrong path or a full disk, which are not bugs."""
    if not isinstance(error, OSError) or not (error.filename or error.errno in _FULL):
        return None
    return SecureFlowError(
        "invalid_file",
        failed_at(error.filename or "stdout", error),
        "Check the path, who owns it, and the free space.",
    )


def _call(arguments: list[str], kinds: CliKinds | None) -> None:
    called = narrowed(app, arguments)
    if language() == "zh":
        from secureflow.cli.usage import run_in_chinese

        sys.exit(run_in_chinese(called, arguments, kinds))
    called(arguments, prog_name="secureflow", obj=kinds)


def exit_code(error: SecureFlowError) -> int:
    """Return the exit code of an error (domain.exits); a job's own failure is always 8."""
    from secureflow.domain import exits
    from secureflow.domain.jobs import UnsuccessfulJobError

    return exits.FAILED if isinstance(error, UnsuccessfulJobError) else exits.exit_code(error.code)
