"""`secureflow demo`: three owners and one model, or two and their customers; one command.

Everything lives below one directory, on free ports; child processes end with the demo unless it is
told to keep them, and a kept demo is ended before a new one replaces it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json as jsonlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Final, Literal, ParamSpec

from secureflow.adapters.database.emptiness import refuse_password, require_empty
from secureflow.agent.owner.engines import FOLDER
from secureflow.demo.anchoring import AnchorName, DemoAnchors
from secureflow.demo.data import STATISTICS_POLICY, adult_column, adult_study
from secureflow.demo.own_table import OwnTable, load
from secureflow.demo.platform import TRUST_DOMAIN, Platform
from secureflow.demo.play import Outcome, play
from secureflow.demo.processes import kill_group
from secureflow.demo.psi import play as psi
from secureflow.demo.psi.engines import Asked, EngineName, Shelf, place
from secureflow.demo.psi.screen import PsiScreen
from secureflow.demo.psi.staging import EnginePlatform, Staging
from secureflow.demo.sandboxing import sandbox_settings
from secureflow.demo.screen import Screen
from secureflow.demo.settling import settle
from secureflow.demo.words import Words
from secureflow.domain.specs.protections import ProtectionName
from secureflow.enclave.__main__ import command as enclave_command
from secureflow.kit.builtfiles import BuiltPage
from secureflow.kit.commandline import runnable
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import write_private
from secureflow.kit.text import Text
from secureflow.server.console.files import DIST
from secureflow.server.settings import ServerSettings
from secureflow.texts import Language

STATE = "demo.json"
MARK: Final = ".secureflow-demo"
"""The file by which a later demo knows that a directory is a demo's, and may be emptied."""
ENCLAVE: Final = b"/secureflow/enclave/__main__.py"
"""The entry point in the command line of an enclave that has isolated itself."""

P = ParamSpec("P")
Scenario = Literal["training", "psi"]


@dataclass(frozen=True)
class Options:
    """The user's options.

    Args:
        directory: the demo's own directory; what an earlier demo left there is replaced.
        parties: how many owners, 3 to 16.
        rounds: maximum number of rounds.
        protection: how single updates are hidden: an enclave, masks, or both.
        own: the user's own table; default: UCI Adult.
        by: the column by which UCI Adult is cut; `age` if empty.
        database: URL of an empty PostgreSQL database; default: a new SQLite file.
        json: print one line of JSON on stdout at the end.
        keep: leave the platform running and print how to explore it.
        language: of texts for people.
        scenario: what is played: a model that is trained, or customers that two share.
        engines: what was said about the engine of an intersection.
        anchor: where the owners of a training anchor.
    """

    directory: Path
    parties: int = 3
    rounds: int = 40
    protection: ProtectionName = "sealed+secagg"
    own: OwnTable | None = None
    by: str = ""
    database: str = ""
    json: bool = False
    keep: bool = False
    language: Language = "en"
    scenario: Scenario = "training"
    engines: Asked = field(default_factory=Asked)
    anchor: AnchorName = "file"


def run(options: Options) -> int:
    """Play the whole demo and return the process's exit code.

    Raises:
        SecureFlowError: `directory_in_use`, `database_in_use`, `invalid_database_url`, or why the
            user's table does not fit.
    """
    options = replace(options, directory=options.directory.resolve())
    with _claimed(options.directory):
        return _run(options)


def _run(options: Options) -> int:
    directory, say = options.directory, Words(options.language)
    if options.own is not None and options.own.path.resolve().is_relative_to(directory):
        raise SecureFlowError(
            "directory_in_use",
            Text("{path} is in the directory that the demo empties.", path=options.own.path),
            "Move the file, or name another directory: --directory.",
        )
    # Before anything of an earlier demo is removed.
    if options.database:
        _refuse_database(options.database)
    played = _intersection if options.scenario == "psi" else _training
    platform, outcome = played(options, say)
    if options.json:
        sys.stdout.write(outcome.line() + "\n")
        sys.stdout.flush()
    if options.keep:
        _leave(platform, say)
    else:
        platform.stop()
    return _code(outcome)


def _interrupts() -> Interrupts:
    interrupts = Interrupts()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell may have set SIGINT to be ignored
        signal.signal(number, interrupts.come)
    return interrupts


def _intersection(options: Options, say: Words) -> tuple[Platform, psi.Outcome]:
    screen = PsiScreen(say, json=options.json)
    shelf = Shelf(place(), say, screen.tell, screen.waiting)
    engine = shelf.chosen(options.engines)
    _make_room(options.directory, say)
    staging = Staging(
        options.directory, engine, shelf, screen, options.language, options.database,
        stays=options.keep, guard=_interrupts().before,
    )  # fmt: skip
    platform, outcome = staging.run()
    screen.outcome(outcome)
    return platform, outcome


def _training(options: Options, say: Words) -> tuple[Platform, Outcome]:
    directory = options.directory
    own = load(options.own, options.parties, say) if options.own else None
    by = adult_column(options.by, say) if own is None else ""
    _make_room(directory, say)
    interrupts = _interrupts()
    data = directory / "data"
    if own is None:
        study = adult_study(data, options.parties, options.rounds, by)
    else:
        study = own.study(data, options.rounds)
    with Screen(study, say, json=options.json) as screen, contextlib.ExitStack() as chain:
        screen.opening()
        anchors = DemoAnchors(options.anchor, chain, directory / "npm", screen.step)
        shelf = Shelf(place(), say, screen.tell)
        engines = shelf.offered(options.engines) if options.keep else ()
        workers, without = sandbox_settings(engines=bool(engines))
        if without:
            screen.without_sandbox(without)
        platform = EnginePlatform(
            directory,
            study.owners,
            study.datasets,
            purpose=study.purpose,
            policy=STATISTICS_POLICY if options.keep and own is None else "",
            database=options.database,
            stays=options.keep,
            settings={"agent": workers},
            say=interrupts.before(screen.step),
            lend=partial(_lend, shelf, engines),
            enrolled=anchors.before_start,
            chartered=anchors.after_charter,
        )
        try:
            platform.build()
            on_event = interrupts.before(screen.event)
            shown = options.protection, options.language
            ending = partial(anchors.outcome, platform), partial(settle, platform, options.language)
            outcome = play(platform, study, on_event, *shown, *ending)
            if options.keep:
                platform.confirm_grants()
        except BaseException:  # also on Ctrl-C: no child is left behind
            platform.stop()
            raise
    screen.outcome(outcome)
    return platform, outcome


def stop(directory: Path, language: Language = "en") -> int:
    """End a kept demo, or what is left of one; return 0 also if there is none."""
    directory, say = directory.resolve(), Words(language)
    pids = _processes(directory)
    (directory / STATE).unlink(missing_ok=True)
    if not pids:
        sys.stderr.write(say("No demo is running in {directory}.", directory=directory) + "\n")
        return 0
    for pid in pids:
        kill_group(pid, signal.SIGTERM)
    deadline = time.monotonic() + 8
    while pids := _processes(directory):
        if time.monotonic() > deadline:
            for pid in pids:
                kill_group(pid, signal.SIGKILL)
            break
        time.sleep(0.05)
    sys.stderr.write(say("The demo has ended.") + "\n")
    return 0


@contextlib.contextmanager
def _claimed(directory: Path) -> Iterator[None]:
    """Lock the directory for this process: a second demo would empty it meanwhile."""
    directory.mkdir(parents=True, exist_ok=True)
    held = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SecureFlowError(
                "directory_in_use",
                Text("Another demo is running in {directory}.", directory=directory),
                "Wait for its end, or name another directory: --directory.",
            ) from error
        yield
    finally:
        os.close(held)


def _refuse_database(url: str) -> None:
    """Refuse databases other than PostgreSQL, and ones that are not empty, naming their content."""
    refuse_password(url)
    if not url.startswith("postgresql"):
        raise SecureFlowError(
            "invalid_database_url",
            "--database is for PostgreSQL: postgresql://USER@HOST/NAME.",
            "Leave it out: the demo makes a SQLite file in its directory.",
        )
    # A password comes from the environment, as it does for the server.
    asyncio.run(require_empty(ServerSettings(database={"url": url}).database_url))


def _make_room(directory: Path, say: Words) -> None:
    """End and remove an earlier demo, and mark the directory; refuse one with other files."""
    if any(directory.iterdir()) and not _made_by_demo(directory):
        raise SecureFlowError(
            "directory_in_use",
            Text("{directory} holds files that no demo made.", directory=directory),
            "Name another directory: --directory.",
        )
    (directory / MARK).touch()
    if _processes(directory):
        stop(directory, say.language)
    for entry in directory.iterdir():  # the directory itself stays: the lock is on it
        if entry.name != MARK:  # so that what an interrupt leaves is still known as a demo's
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def _made_by_demo(directory: Path) -> bool:
    """Tell whether a demo made what is in this directory: by its mark, or by its trust domain.

    Older demos left no mark, but the settings of their server.
    """
    if (directory / MARK).is_file():
        return True
    try:
        settings = (directory / "server" / "server.yaml").read_text(errors="replace")
    except OSError:
        return False
    return TRUST_DOMAIN in settings


def _leave(platform: Platform, say: Words) -> None:
    pids = {name: process.pid for name, process in platform.processes.items()}
    state = {"processes": pids, "url": platform.url}
    (platform.directory / STATE).write_text(jsonlib.dumps(state, indent=2))
    for owner in platform.parties.values():
        secret = f"{owner.password}\n".encode()
        write_private(platform.directory / f"{owner.party}.password", secret)
    owner, second, *_ = platform.parties.values()
    base = platform.directory
    bundle = quote(str(base / "bundle.json"))
    lines = (
        *_entry(platform, owner.party, "profile.json"),
        "secureflow job list",
        f"secureflow agent inbox list --all --config {quote(str(owner.config))}",
        *_kept(owner.config),
        *_judged(owner.config, platform),
        f"secureflow audit verify {bundle} --charter {quote(str(platform.charter_file()))}",
        f"secureflow demo stop --directory {quote(str(base))}",
    )
    _advise(say("The platform keeps running. Explore it:"), lines)
    beside = say("As another owner, in another shell (a profile file each, in place of contexts):")
    _advise(beside, _entry(platform, second.party, f"{second.party}.json"))
    if not _engines(platform):
        lacking = say(
            "To ask how many customers two banks share, each agent needs an engine. Start with one:"
        )
        _advise(lacking, ("secureflow demo --keep --engine openmined",))
    _advise(say("In a browser:"), _console(platform, owner.party, say))
    own = say(
        "The page of a data owner's own agent, where its people decide (give them a password):"
    )
    _advise(own, _own_page(owner.config))


def _lend(shelf: Shelf, engines: Sequence[EngineName], directory: Path) -> None:
    """Give the agent in a directory every engine that there is."""
    for one in engines:
        shelf.lend(one, directory)


def _engines(platform: Platform) -> bool:
    """Tell whether every agent has an engine for intersections."""
    return all((owner.config.parent / FOLDER).is_dir() for owner in platform.parties.values())


def _console(platform: Platform, party: str, say: Words) -> tuple[str, ...]:
    """Return where the console is and how one gets in, or how it is built."""
    if BuiltPage(DIST).page() is None:
        return say(
            "The console is not built here: run `make web`, then load its address."
        ), platform.url
    password = platform.directory / f"{party}.password"
    admin = platform.directory / "server" / "admin.password"
    return (
        platform.url,
        say("Name: {name}; the password is in {file}", name=party, file=password),
        say("The operator's name: admin; the password is in {file}", file=admin),
        say("The browser warns of a certificate that this centre made for itself."),
    )


def _own_page(config: Path) -> tuple[str, str]:
    """Return the commands by which an owner's first person gets an account and the page."""
    agent = f"--config {quote(str(config))}"
    return (
        f"secureflow agent people add ada --role owner-admin --role decider {agent}",
        f"secureflow agent console {agent}",
    )


def _kept(config: Path) -> tuple[str, ...]:
    """Return the command that lists what an agent learned of an intersection, if it did."""
    if not (config.parent / "results").is_dir():
        return ()
    return (f"secureflow agent results list --config {quote(str(config))}",)


def _judged(config: Path, platform: Platform) -> tuple[str, ...]:
    """Return the commands that show what an agent made of anchors and the settlement, if any."""
    named = f"--config {quote(str(config))}"
    anchored = config.is_file() and "\nanchors:" in config.read_text()
    settled = (platform.directory / "settlement").is_dir()
    heads = (f"secureflow agent anchor heads {named}",) if anchored else ()
    listed = (f"secureflow agent settlement list {platform.project} {named}",) if settled else ()
    return heads + listed


def _entry(platform: Platform, party: str, profile: str) -> tuple[str, str]:
    """Return the commands by which a person of a party logs in, with a profile of its own."""
    base, ca = platform.directory, quote(str(platform.ca))
    who = f"--name {party} --password-file {quote(str(base / f'{party}.password'))}"
    return (
        f"export SECUREFLOW_PROFILE={quote(str(base / profile))}",
        f"secureflow login {platform.url} --ca {ca} {who}",
    )


def _advise(head: str, lines: Sequence[str]) -> None:
    sys.stderr.write(f"\n{head}\n")
    sys.stderr.write("".join(f"  {runnable(line)}\n" for line in lines))


def _processes(directory: Path) -> list[int]:
    """Return the platform's processes that run from this directory, no matter who started them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            command = (entry / "cmdline").read_bytes()
            if _runs_from(directory, command) and entry.stat().st_uid == os.getuid():
                found.append(int(entry.name))
    return found


def _runs_from(directory: Path, command: bytes) -> bool:
    """Tell whether a command line is that of a process of the platform in this directory.

    The enclave has replaced itself (`enclave/__main__.py`), and is told the path of its settings
    without the words `start` and `--config`: the line is its own, argument by argument.
    """
    if b"\0start\0" in command and f"\0--config\0{directory}/".encode() in command:
        return True
    config = f"{directory}/enclave/enclave.yaml"
    given, own = command.removesuffix(b"\0").split(b"\0"), enclave_command(config)
    if len(given) != len(own):
        return False
    *flags, file, _, settings = given[1:]
    expected = [*map(os.fsencode, own[1:-3]), os.fsencode(config)]
    return file.endswith(ENCLAVE) and [*flags, settings] == expected


class Interrupts:
    """Remembers Ctrl-C and SIGTERM, which would be lost if raised in a finaliser or callback."""

    def __init__(self) -> None:
        self._came = False

    def come(self, *_: object) -> None:
        """Handle the signal."""
        self._came = True
        raise KeyboardInterrupt

    def before(self, step: Callable[P, None]) -> Callable[P, None]:
        """Wrap a step so that it is skipped once a signal has arrived."""

        def wrapped(*given: P.args, **named: P.kwargs) -> None:
            if self._came:
                raise KeyboardInterrupt
            step(*given, **named)

        return wrapped


def _code(outcome: Outcome | psi.Outcome) -> int:
    return 0 if outcome.ledger["verified"] else 7
