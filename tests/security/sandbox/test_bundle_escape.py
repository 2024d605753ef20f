"""Code that a job brings, in the real sandbox at an agent's workers: it reaches nothing.

As root and as an ordinary user, with what other escapes are tried with. What ends a process ends
its request with a typed error of constant words, and the next request has a new process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from peers.bundle_jobs import JOB, code_spec, model_source, place

from secureflow.adapters.sandbox import BubblewrapSandbox
from secureflow.agent.compute.jobfiles import code_folder
from secureflow.domain.specs.base import dump
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.kernels import same_kernels
from secureflow.kit.printedlog import KEPT
from tests.security.sandbox.conftest import LIMITS, SECRET, SOURCE, World

MEMORY = 512 << 20
TRIES = """
import attacks
print(json.dumps(attacks.descriptors()), flush=True)
for name, arguments in json.load(open("/bundle/plan.json")):
    print(json.dumps(attacks.ATTACKS[name](**arguments)), flush=True)
"""


def wanted(world: World, library: str = "/usr/lib/os.py") -> dict[str, tuple[str, dict[str, Any]]]:
    """Return what code tries, one after the other in one process."""
    agent = world.folder / "agent"
    own = agent / "models" / JOB
    return {
        "sockets": ("sockets", {}),
        "a connection": ("connect", {"port": world.tcp}),
        "a name": ("name", {"port": world.udp}),
        "the agent's socket": ("unix", {"address": str(agent / "agent.sock")}),
        "an abstract socket": ("unix", {"address": f"@{world.folder.name}"}),
        "the agent's key": ("read", {"path": str(world.key)}),
        "the agent's folder": ("read", {"path": str(agent)}),
        "its own job's folder": ("read", {"path": str(own)}),
        "another job's files": ("read", {"path": str(world.other)}),
        "the dataset": ("read", {"path": str(world.dataset)}),
        "inputs of workers": ("read", {"path": "/inputs"}),
        "files of jobs": ("read", {"path": "/job"}),
        "the host's users": ("read", {"path": "/etc/passwd"}),
        "memory": ("read", {"path": "/proc/self/mem"}),
        "processes": ("processes", {"pid": os.getpid()}),
        "files outside": ("create", {"folders": ["/", "/bundle", "/etc", "/usr/lib", "/dev"]}),
        "the host": ("change", {"path": "/host.py"}),
        "the code": ("change", {"path": "/bundle/model.py"}),
        "files beside the code": ("files", {"folder": "/bundle", "count": 3}),
        "the program": ("change", {"path": "/host.py"}),
        "the interpreter": ("change", {"path": library}),
        "links": ("links", {"target": str(world.key), "output": "/rows"}),
        "the root": ("climb", {}),
        "signals": ("signals", {"pid": os.getpid()}),
        "identity": ("identity", {}),
        "namespaces": ("namespaces", {}),
        "ptrace": ("trace", {}),
        "keys": ("key", {}),
        "io_uring": ("ring", {}),
        "variables": ("environment", {}),
        "processes of its own": ("forks", {"count": 200}),
        "threads": ("threads", {"count": 200}),
        "memory of the host": ("memory", {"size": 2 * MEMORY}),
        "files of its own": ("fill", {"size": 64 << 20}),
    }


NAMES = list(wanted(World("", Path("/x"), 0, 0)))
MEASURED = {
    "processes of its own": LIMITS.processes,
    "threads": LIMITS.processes,
    "memory of the host": MEMORY,
    "files of its own": LIMITS.scratch,
}
ALLOWED = {
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("HOME", "TMPDIR", "USER", "PWD", "LC_CTYPE"),
    *same_kernels(),
}


def said(python: str, code: str) -> str:
    """Return what a Python says."""
    command = [python, "-I", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def python_of(world: World) -> str:
    """Return a Python that finds NumPy: at least its name, where its user has none."""
    python = world.python
    if (
        said(python, "import importlib.util as u; print(u.find_spec('numpy') is not None)")
        == "True"
    ):
        return python
    home = world.folder / "environment"
    if not home.exists():
        version = said(python, "import sys; print('%d.%d' % sys.version_info[:2])")
        packages = home / "lib" / f"python{version}" / "site-packages"
        (packages / "numpy").mkdir(parents=True)
        (packages / "numpy" / "__init__.py").touch()
        (home / "bin").mkdir()
        (home / "bin" / "python").symlink_to(python)
        (home / "pyvenv.cfg").write_text(f"home = {Path(python).parent}\n")
        for path in (home, *home.rglob("*")):
            os.chown(path, *(world.folder.stat().st_uid,) * 2, follow_symlinks=False)
    return str(home / "bin" / "python")


def at(world: World, python: str, files: Any, without: Collection[str] = (), **spec: Any) -> Any:
    """Return the job at the agent's workers."""
    limits = {"memory": MEMORY, "processes": LIMITS.processes, "scratch": LIMITS.scratch}
    sandbox = BubblewrapSandbox(without=without)
    return place(
        world.folder / "agent", files, code_spec(**spec), python=python, sandbox=sandbox, **limits
    )


def tried(world: World, without: Collection[str] = (), names: Collection[str] = NAMES) -> Any:
    """Return what each attack saw when the code was imported, and the open descriptors."""
    python = python_of(world)
    every = wanted(world, said(python, "import os; print(os.__file__)"))
    plan = [every[name] for name in names]
    files = {"model.py": model_source(made=TRIES), "attacks.py": SOURCE.encode(),
             "plan.json": json.dumps(plan).encode()}  # fmt: skip

    async def work() -> list[Any]:
        async with at(world, python, files, without) as job:
            with contextlib.suppress(SecureFlowError):  # its NumPy may be but a name
                await job.train()
            told = job.log.read_text()
            return [json.loads(line) for line in told.splitlines()[: len(plan) + 1]]

    opened, *seen = world.run(work)
    return {**dict(zip(names, seen, strict=True)), "descriptors": opened}


@pytest.fixture(scope="module")
def seen(world: World) -> dict[str, Any]:
    """Try everything in one process."""
    found = dict(tried(world))
    agent = world.folder / "agent"
    secrets = (world.key, world.dataset, world.other)
    found["host"] = [one.read_text() for one in secrets] != [SECRET] * 3
    code = code_folder(agent / "models", JOB) / "source" / "model.py"
    found["code"] = not code.read_bytes().startswith(b"import")
    return found


@pytest.mark.parametrize("name", [*NAMES, "host", "code"])
def test_nothing_is_reached(world: World, seen: dict[str, Any], name: str) -> None:
    if name in MEASURED:
        assert seen[name] < MEASURED[name]
    elif name == "variables":
        assert set(seen[name]) <= ALLOWED
    else:
        assert not seen[name]


def test_it_has_its_channel_and_nothing_else(seen: dict[str, Any]) -> None:
    modes = [one.split(": ")[1][0] for one in seen["descriptors"]]
    assert modes in (["s", "s"], ["s", "s", "-"])  # the third, while the code is read


WITHOUT = {
    "sockets": ("a connection", "an abstract socket"),
    "read-only root": ("files outside",),
    "processes": ("signals", "processes"),
    "user": ("identity",),
    "tracing": ("ptrace",),
    "namespaces": ("namespaces",),
}
"""What is reached when these guards, and what they need beside them, are left out."""
BESIDE = ("network", "no proc", "capabilities", "clone", "nested")


@pytest.mark.parametrize(
    ("guards", "names"),
    [
        ((*WITHOUT, *BESIDE), [name for reached in WITHOUT.values() for name in reached]),
        # Only this copy of the code may be touched: the rest of the host lies open then.
        (("read-only",), ["files beside the code"]),
    ],
    ids=["many", "read-only"],
)
def test_without_their_guards_they_are_reached(
    world: World, guards: tuple[str, ...], names: list[str]
) -> None:
    found = tried(world, guards, names)
    assert [name for name in names if not found[name]] == []


# --- what ends a process -------------------------------------------------------------------

Files = dict[str, bytes]


def one(**bodies: str) -> Files:
    return {"model.py": model_source(**bodies)}


DIED = "The bundle's process ended without an answer."
UNUSABLE = "The bundle cannot run here: a module of it has the name of one of the environment."
REFUSED = "What the bundle returned is refused: "
FLOOD = "while True: os.write(2, b'SECRET of a row ' * 4096)"
LOADS: dict[str, tuple[Files, str]] = {
    "it ends": (one(made="os._exit(0)"), DIED),
    "it aborts": (one(made="os.abort()"), DIED),
    "it prints": (one(made=FLOOD), REFUSED + "it prints without end."),
    "it shadows json": ({**one(), "json.py": b"raise SystemExit\n"}, UNUSABLE),
    "it shadows NumPy": ({**one(), "numpy/__init__.py": b"x = 1\n"}, UNUSABLE),
    "it raises": (
        one(made="raise ValueError('SECRET of a row')"),
        "The bundle failed: a method raised an exception.",
    ),
    "it takes all memory": (
        one(made="bytearray(1 << 40)"),
        "The bundle failed: a method needs more memory than it may have.",
    ),
}
LATER = """
import threading
def late():
    while not self.asked: time.sleep(0.001)
    for handle in range(3, 64):
        try: os.write(handle, WORDS)
        except OSError: pass
self.asked = False
threading.Thread(target=late, daemon=True).start()
"""
WAITS = "self.asked = True\nwhile True: time.sleep(1)"
CALLS: dict[str, tuple[Files, str]] = {
    "it never answers": (
        one(train="import signal; signal.pthread_sigmask(0, range(1, 60))\nwhile True: pass"),
        "The bundle did not answer within its limit of time.",
    ),
    "it sleeps": (
        one(train="time.sleep(600)"),
        "The bundle did not answer within its limit of time.",
    ),
    "a thread answers with a pickle": (
        one(made=LATER.replace("WORDS", "__import__('pickle').dumps(self.__class__) + b'\\n'"),
            train=WAITS),
        REFUSED + "its answer is no JSON.",
    ),
    "a thread answers another request": (
        one(made=LATER.replace("WORDS", "b'{\"id\": 99, \"bytes\": 0}\\n'"), train=WAITS),
        REFUSED + "its answer does not belong to the request.",
    ),
    "no number": (
        one(train="weights['w'][0] = np.nan; return weights"),
        REFUSED + "a number of w is not finite.",
    ),
    "other tensors": (
        one(train="return {'w': np.zeros(4, 'f4'), 'rows': np.zeros(3)}"),
        REFUSED + "a method returned something else than was declared.",
    ),
}  # fmt: skip


async def refusals(job: Any, sources: list[Files]) -> list[list[str]]:
    """Return what each code ends with, one after the other at one agent."""
    found = []
    async with job as made:
        for number, files in enumerate(sources, 1):
            made.code.files = files
            with pytest.raises(SecureFlowError) as refusal:
                await made.train(number)
            found.append([refusal.value.code, str(refusal.value.message)])
            assert "SECRET" not in json.dumps(refusal.value.as_json())
            await made.workers.prepare(JOB, dump(made.spec), None)  # what was left of it ends
        assert (made.log.stat().st_mode & 0o777, children()) == (0o600, [])
        sizes = [path.stat().st_size for path in made.log.parent.iterdir()]
        assert max(sizes) < KEPT + 100
    return found


def children() -> list[str]:
    """Return the sandboxes that this process has started and that still run."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            name = Path(f"/proc/{child}/comm").read_text().strip()
            found += [name] if name == "bwrap" else []
    return found


def test_what_ends_a_process_at_its_start_is_told_in_constant_words(world: World) -> None:
    python = python_of(world)
    ends: Callable[[], Any] = partial(
        refusals, at(world, python, b""), [files for files, _ in LOADS.values()]
    )
    found = world.run(ends)
    told = dict(zip(LOADS, found, strict=True))
    assert {name: one for name, (_, one) in told.items()} == {
        name: message for name, (_, message) in LOADS.items()
    }
    assert {code for code, _ in found} == {
        "bundle_died", "bundle_failed", "bundle_output_refused", "bundle_unusable",
    }  # fmt: skip


def test_what_ends_a_call_is_told_in_constant_words(world: World) -> None:
    if world.identity != "root":
        pytest.skip("the same sandbox, and this user's Python has no NumPy")
    sources = [files for files, _ in CALLS.values()]
    found = world.run(partial(refusals, at(world, world.python, b"", seconds=1), sources))
    told = dict(zip(CALLS, found, strict=True))
    assert {name: one for name, (_, one) in told.items()} == {
        name: message for name, (_, message) in CALLS.items()
    }


GOES_ON = """
import threading
self.longest, self.counted = 0.0, 0
def count():
    last = time.monotonic()
    while True:
        self.counted += 1
        now = time.monotonic()
        self.longest, last = max(self.longest, now - last), now
threading.Thread(target=count, daemon=True).start()
"""
TELLS = """
seen = self.counted
while self.counted < seen + 2: time.sleep(0.001)
print(json.dumps([self.longest, self.counted]), flush=True)
return weights
"""


def test_a_hidden_thread_stands_still_between_calls(world: World) -> None:
    """It counts, and notes how long it was kept from it: as long as nothing was asked."""
    if world.identity != "root":
        pytest.skip("the same sandbox, and this user's Python has no NumPy")
    asleep = 1.0

    async def work() -> Any:
        async with at(world, world.python, one(made=GOES_ON, train=TELLS), sums=()) as job:
            await job.train(1)
            await asyncio.sleep(asleep)
            await job.train(2)
            return [json.loads(line) for line in job.log.read_text().splitlines()]

    (_, counted), (longest, more) = world.run(work)
    assert longest >= 0.9 * asleep
    assert more > counted > 0


HIDDEN = """
import threading
def late():
    while True:
        print("SECRET of a row", flush=True)
        sys.stderr.write("SECRET again\\n")
        time.sleep(0.001)
threading.Thread(target=late, daemon=True).start()
"""


def test_what_a_hidden_thread_prints_is_the_owners_alone(world: World) -> None:
    if world.identity != "root":
        pytest.skip("the same sandbox, and this user's Python has no NumPy")

    async def work() -> list[Any]:
        async with at(world, world.python, one(made=HIDDEN), sums=()) as job:
            sums = [await job.train(number) for number in (1, 2)]
            return [sums, job.update.tolist(), "SECRET again" in job.log.read_text()]

    assert world.run(work) == [[[49.0], [49.0]], [0.0] * 3, True]
