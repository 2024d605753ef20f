"""A centre's backup and restore, over both databases and from either into either."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from blake3 import blake3

from secureflow.adapters.database.connections import driver_url, sync_engine
from secureflow.adapters.database.dump import Dump, dump, load
from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.tables import METADATA
from secureflow.application.restored import RESTORED
from secureflow.application.running.recording import server_leaf
from secureflow.domain.charter import Charter, Member, SignedCharter
from secureflow.domain.logins import Device, SecondFactor, TokenFamily
from secureflow.domain.oidc import PendingLogin
from secureflow.domain.sessions import Session
from secureflow.engines.ledger.notes import cosign, parse_note, sign_checkpoint
from secureflow.kit.archive import Backup, write_backup
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.recordmark import read_mark
from secureflow.server.backup import back_up
from secureflow.server.centre import open_ledger
from secureflow.server.check import check
from secureflow.server.initialise import initialise
from secureflow.server.keyfiles import read_log_key
from secureflow.server.main import serve
from secureflow.server.record import locked_folder, serving
from secureflow.server.restore import restore, restore_in_place
from secureflow.server.settings import ServerSettings
from tests.contract.database.test_log import BANKS

pytestmark = pytest.mark.usefixtures("quick_passphrases")
PHRASE = "four words of luck"
DOMAIN = "log.example"
MODEL = b"weights"
PENDING = PendingLogin("cd" * 32, "sso", "ef" * 32, "/jobs", 5, 1 << 40)
LATE = 1 << 33
SQLITE_FIRST = pytest.mark.parametrize(
    "url",
    ["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.full])],
    indirect=True,
)
"""What other tests here show over both databases: over PostgreSQL with `make full`."""
ACCESS: list[tuple[str, Any]] = [
    ("sessions", Session("ses_1", "usr_1", "ab" * 32, 5, 6, LATE, LATE, "password", "10.0.0.1")),
    ("families", TokenFamily("fam_1", "usr_1", 5, LATE, LATE)),
    ("devices", Device("dev_1", "ab" * 32, "cd" * 32, "laptop", "10.0.0.1", 5, LATE)),
    ("second_factors", SecondFactor("usr_1", "c2VhbGVk", 5)),
]
"""How people come in: a restored centre knows nobody who has, but what they prove it with."""


def new_centre(folder: Path, database: str = "") -> Path:
    """Make a centre with a charter, a model, and a log that two of three members cosigned."""
    initialise(folder, trust_domain=DOMAIN, database=database)
    grow(folder / "server.yaml", 5, charter=True)
    digest = blake3(MODEL).hexdigest()
    place = folder / "artifacts" / digest[:2]
    place.mkdir(parents=True)
    (place / digest).write_bytes(MODEL)
    (place / ("0" * 64)).write_bytes(b"named by nothing")
    (folder / "artifacts" / "uploads" / digest[:2]).mkdir(parents=True)  # uploaded as well
    (folder / "artifacts" / "uploads" / digest[:2] / digest).write_bytes(MODEL)
    return folder / "server.yaml"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_centre(tmp_path_factory.mktemp("template") / "centre").parent


@pytest.fixture
def centre(template: Path, tmp_path: Path) -> Path:
    """One over SQLite; returns its settings file."""
    shutil.copytree(template, tmp_path / "centre")
    return tmp_path / "centre" / "server.yaml"


@pytest.fixture
def config(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """One over each database."""
    if url.startswith("postgres"):
        return new_centre(tmp_path / "centre", url)
    made: Path = request.getfixturevalue("centre")
    return made


def grow(config: Path, leaves: int = 0, *, charter: bool = False) -> int:
    """Append so many entries; return the log's size."""
    return asyncio.run(_grow(ServerSettings.load(config), leaves, charter))


async def _grow(settings: ServerSettings, leaves: int, charter: bool) -> int:
    key = read_log_key(settings)
    async with AsyncExitStack() as stack:
        database, ledger = await open_ledger(settings, key, stack)
        size = await ledger.caught_up()
        fresh = [server_leaf("noted", {"n": n}, settings.origin, key, n) for n in range(leaves)]
        if fresh:
            size = (await ledger.append(fresh)).size
        if charter:
            members = tuple(Member(name, name, one.public) for name, one in BANKS.items())
            made = Charter(1, DOMAIN, settings.origin, key.public, members)
            async with database.begin() as work:
                await work.set_setting("charter", SignedCharter(made).json())
                for name, entity in ACCESS:
                    await getattr(work, name).add(entity)
                await work.claims.take("job_1", "here", None)
                await work.claims.heartbeat("here", "here:1")
                await work.pending_logins.add(PENDING)
                await work.set_setting("made up", {"model": blake3(MODEL).hexdigest()})
                await work.commit()
            note = await ledger.head()
            lines = [cosign(note, name, BANKS[name], 5) for name in ("bank-a", "bank-b")]
            await ledger.cosign(size, lines)
        return size


def rows(config: Path) -> dict[str, list[Any]]:
    """Return every row of every table, as raw values."""
    engine = sync_engine(driver_url(ServerSettings.load(config).database_url))
    try:
        with engine.connect() as connection:
            found = {}
            for name in METADATA.tables:
                listed = connection.exec_driver_sql(f'SELECT * FROM "{name}"')
                rows = (sorted(row.items()) for row in listed.mappings())
                found[name] = sorted(map(repr, rows))
            return found
    finally:
        engine.dispose()


def change(config: Path, statement: str) -> None:
    engine = sync_engine(driver_url(ServerSettings.load(config).database_url))
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
        connection.commit()
    engine.dispose()


def refusal(call: Callable[..., Any], *arguments: Any, **more: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as refused:
        call(*arguments, **more)
    return refused.value


def test_what_was_backed_up_comes_back_and_goes_on(
    config: Path, url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    backup, size = tmp_path / "b.tar", grow(config)
    made = back_up(config, backup, PHRASE)
    assert (made.facts["log"]["size"], backup.stat().st_mode & 0o777) == (size, 0o600)
    secret = (config.parent / "log.key").read_bytes().strip()
    assert secret not in backup.read_bytes()
    before = rows(config)
    grow(config, 3)
    into: list[str] = ["sqlite"]
    if url.startswith("postgres"):
        into.append(request.getfixturevalue("empty_postgres")())
    for number, database in enumerate(into):
        folder = tmp_path / f"restored{number}"
        found = restore(backup, folder, database=database, passphrase=PHRASE)
        assert (found.log.size, found.keys, found.models) == (size, True, 1)
        assert dict(found.log.seen) == {"bank-a": size, "bank-b": size}
        assert not (folder / ".restoring").exists()
        again = rows(found.config)
        left_out = {"tokens", "families", "devices", "sessions", "pending_logins", "enrolments"}
        left_out |= {"settings", "claims", "servers", "queue"}
        assert {name: again[name] for name in again.keys() - left_out} == {
            name: before[name] for name in before.keys() - left_out
        }
        assert before["enrolments"]
        assert before["sessions"]
        assert before["pending_logins"]
        assert before["families"]
        assert before["second_factors"]
        assert not again["families"]
        assert not again["devices"]
        assert before["claims"]
        assert not again["claims"]  # whoever drove a job then drives nothing here
        assert not again["servers"]
        assert not again["tokens"]
        assert not again["pending_logins"]
        assert not again["sessions"]
        assert not again["enrolments"]
        assert sum(RESTORED in row for row in again["settings"]) == 1
        assert (folder / "log.key").read_bytes().strip() == secret
        assert (folder / "log.key").stat().st_mode & 0o777 == 0o600
        digest = blake3(MODEL).hexdigest()
        assert (folder / "artifacts" / digest[:2] / digest).read_bytes() == MODEL
        assert (folder / "artifacts" / "uploads" / digest[:2] / digest).read_bytes() == MODEL
        assert sum(path.is_file() for path in (folder / "artifacts").rglob("*")) == 2
        mark = read_mark(folder)
        assert mark is not None
        assert mark.reached["size"] == size


def test_without_a_passphrase_the_keys_stay_where_they_were(centre: Path, tmp_path: Path) -> None:
    backup = tmp_path / "b.tar"
    assert back_up(centre, backup, None).keys is None
    found = restore(backup, tmp_path / "new", database="sqlite")
    assert not found.keys
    assert not (tmp_path / "new" / "log.key").exists()
    assert not (tmp_path / "new" / "ca" / "ca.key").exists()


@SQLITE_FIRST
def test_it_is_of_one_moment_while_the_platform_runs(config: Path, tmp_path: Path) -> None:
    """Writers go on meanwhile; each backup's log is proven, and each is a moment's."""
    ended = threading.Event()
    writer = threading.Thread(target=asyncio.run, args=(_write_on(config, ended),))
    writer.start()
    try:
        sizes = []
        for number in range(4):
            made = back_up(config, tmp_path / f"b{number}.tar", None)
            sizes.append(made.facts["log"]["size"])
    finally:
        ended.set()
        writer.join()
    assert sizes == sorted(sizes)
    for number, size in enumerate(sizes):
        into = tmp_path / f"r{number}"
        assert restore(tmp_path / f"b{number}.tar", into, database="sqlite").log.size == size


async def _write_on(config: Path, ended: threading.Event) -> None:
    settings = ServerSettings.load(config)
    key, number = read_log_key(settings), 100
    async with AsyncExitStack() as stack:
        _, ledger = await open_ledger(settings, key, stack)
        while not ended.is_set():
            number += 1
            await ledger.append([server_leaf("n", {"n": number}, settings.origin, key, number)])


HARM = {
    "an altered leaf": "UPDATE log_leaves SET kind = kind, data = hash WHERE number = 2",
    "a lost leaf": "DELETE FROM log_leaves WHERE number = 3",
    "a lost last leaf": "DELETE FROM log_leaves "
    "WHERE number = (SELECT max(number) FROM log_leaves)",
    "a foreign node": "UPDATE log_nodes SET hash = (SELECT hash FROM log_leaves WHERE number = 1) "
    "WHERE place = 1",
    "a lost node": "DELETE FROM log_nodes WHERE place = 3",
    "a head too many": "INSERT INTO log_checkpoints (size, note, at) "
    "SELECT size + 7, note, at FROM log_checkpoints ORDER BY size DESC LIMIT 1",
    "a head of another tree": "UPDATE log_checkpoints SET note = (SELECT note FROM log_checkpoints "
    "ORDER BY size LIMIT 1) WHERE size = (SELECT max(size) FROM log_checkpoints)",
    "a cosigned head that it lacks": "UPDATE log_cosignatures SET size = size + 9",
}


@pytest.mark.parametrize("harm", HARM)
def test_a_log_that_does_not_hold_is_not_served(centre: Path, tmp_path: Path, harm: str) -> None:
    change(centre, HARM[harm])
    (centre.parent / "record.json").unlink()  # the mark would notice some of it
    back_up(centre, tmp_path / "b.tar", PHRASE)
    into = tmp_path / "new"
    error = refusal(restore, tmp_path / "b.tar", into, database="sqlite", passphrase=PHRASE)
    assert error.code == "log_unproven"
    assert not list(into.iterdir())
    assert refusal(restore_in_place, centre).code == "log_unproven"


@pytest.mark.parametrize("forged", ["another key", "another tree"])
def test_a_head_that_the_log_did_not_sign_of_this_tree_is_not_served(
    centre: Path, tmp_path: Path, forged: str
) -> None:
    settings = ServerSettings.load(centre)
    with closing(sqlite3.connect(centre.parent / "secureflow.db")) as database:
        query = "SELECT size, note FROM log_checkpoints ORDER BY size DESC LIMIT 1"
        size, text = database.execute(query).fetchone()
        told, key = parse_note(text).checkpoint, read_log_key(settings)
        if forged == "another key":
            key = SigningKey.generate()
        else:
            told = replace(told, root=b"\x05" * 32)
        note = sign_checkpoint(told, key)
        database.execute("UPDATE log_checkpoints SET note = ? WHERE size = ?", (note, size))
        database.commit()
    (centre.parent / "record.json").unlink()
    back_up(centre, tmp_path / "b.tar", None)
    error = refusal(restore, tmp_path / "b.tar", tmp_path / "new", database="sqlite")
    assert error.code == "log_unproven"
    found = [one["message"] for one in check(centre) if one["check"] == "log" and not one["ok"]]
    named = "signature is not valid" if forged == "another key" else "does not match the stored"
    assert any(f"the head of size {size}" in told and named in told for told in found), found


def test_a_filled_folder_a_used_database_and_another_kind_are_refused(
    config: Path, url: str, tmp_path: Path
) -> None:
    backup = tmp_path / "b.tar"
    back_up(config, backup, None)
    before = sorted(config.parent.rglob("*"))
    assert refusal(restore, backup, config.parent).code == "folder_not_empty"
    assert sorted(config.parent.rglob("*")) == before
    if url.startswith("postgres"):
        error = refusal(restore, backup, tmp_path / "new")
        assert error.code == "database_in_use"
        assert "start that centre" not in error.hint  # a restore that was cut off left none
        assert "createdb NAME, and restore again" in error.hint
    other = tmp_path / "agent.tar"
    write_backup(other, "agent", {}, {}, {}, None)
    assert refusal(restore, other, tmp_path / "new").code == "backup_other_kind"
    assert refusal(restore, config, tmp_path / "new").code == "backup_unreadable"
    assert not list((tmp_path / "new").iterdir())


def test_a_wrong_passphrase_and_another_centres_key_restore_nothing(
    centre: Path, tmp_path: Path
) -> None:
    backup, into = tmp_path / "b.tar", tmp_path / "new"
    back_up(centre, backup, PHRASE)
    error = refusal(restore, backup, into, database="sqlite", passphrase="another one of four")
    assert error.code == "passphrase_refused"
    assert not list(into.iterdir())
    initialise(tmp_path / "other", trust_domain=DOMAIN)
    error = refusal(restore, backup, tmp_path / "other", database="sqlite", into_existing=True)
    assert error.code == "fenced"
    assert (tmp_path / "other" / "secureflow.db").exists()


@SQLITE_FIRST
def test_a_lost_database_comes_back_into_its_own_folder(
    config: Path, url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The keys need not be in the backup then, and what is left of the database is put aside."""
    back_up(config, tmp_path / "b.tar", None)
    size = grow(config, 4)
    database = "sqlite"
    if url.startswith("postgres"):
        database = request.getfixturevalue("empty_postgres")()
    folder = config.parent
    found = restore(tmp_path / "b.tar", folder, database=database, into_existing=True)
    assert found.keys
    assert found.log.size == size - 4
    aside = list(folder.glob("before-restore-*"))
    assert len(aside) == 1
    assert (aside[0] / "record.json").exists()
    named = ServerSettings.load(found.config).database_url
    assert named.startswith("postgres" if url.startswith("postgres") else "sqlite")


def test_a_database_that_came_back_by_other_means_is_said_to_be_restored(
    centre: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "older.db"
    shutil.copy(centre.parent / "secureflow.db", copy)
    size = grow(centre)
    grow(centre, 6)
    shutil.copy(copy, centre.parent / "secureflow.db")
    assert refusal(grow, centre).code == "record_set_back"
    found = restore_in_place(centre)
    assert (found.log.size, found.keys) == (size, True)
    # As old as its newest entry: what came later is forgotten. `grow` numbers entries by seconds.
    assert 0 < found.manifest.facts["made_at"] == found.log.newest < 100
    assert any(RESTORED in row for row in rows(centre)["settings"])
    mark = read_mark(centre.parent)
    assert mark is not None
    assert mark.reached["size"] == size


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a line that is none": lambda path: path.write_text("{"),
    "no line feed": lambda path: path.write_text('["id"]'),
    "a column of its own": lambda path: path.write_text('["id; DROP TABLE jobs"]\n'),
    "a row too short": lambda path: path.write_text('["name", "version", "value"]\n["a"]\n'),
    "bytes that are none": lambda path: path.write_text('["name"]\n[{"b": "*"}]\n'),
    "an object": lambda path: path.write_text('["name"]\n[{"c": 1}]\n'),
    "depth": lambda path: path.write_text("[" * 50_000 + "\n"),
    "rows too few": lambda path: path.write_text('["name", "version", "value"]\n'),
    "a list in a row": lambda path: path.write_text('["name", "version", "value"]\n["a", 1, []]\n'),
    "a null where none may be": lambda path: path.write_text(
        '["name", "version", "value"]\n["a", null, "1"]\n'
    ),
    "a number that no column holds": lambda path: path.write_text(
        f'["name", "version", "value"]\n["a", {2**70}, "1"]\n'
    ),
    "a column that is no name": lambda path: path.write_text("[[1]]\n"),
    "a number for a text": lambda path: path.write_text(
        '["name", "version", "value"]\n["a", 1, 5]\n'
    ),
    "a text for a number": lambda path: path.write_text(
        '["name", "version", "value"]\n["a", "1", "5"]\n'
    ),
    "a yes for a number": lambda path: path.write_text(
        '["name", "version", "value"]\n["a", true, "5"]\n'
    ),
    "half of a character": lambda path: path.write_text(
        '["name", "version", "value"]\n["\\ud800", 1, "5"]\n'
    ),
    "no text at all": lambda path: path.write_bytes(b'["name", "version", "value"]\n["\xff", 1]\n'),
    "a number for that many bytes": lambda path: path.with_name("log_nodes").write_text(
        f'["place", "hash"]\n[0, {1 << 50}]\n'
    ),
}


def unpacked(config: Path, tmp_path: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """Make a backup; return its facts, and its files in `in`."""
    back_up(config, tmp_path / "b.tar", None)
    with Backup(tmp_path / "b.tar") as backup:
        backup.extract(tmp_path / "in")
    files = {one.name: tmp_path / "in" / one.name for one in backup.manifest.files}
    return dict(backup.manifest.facts), files


def rewritten(config: Path, tmp_path: Path, settings: str, **more: Any) -> Path:
    """Make a backup with other settings and facts."""
    facts, files = unpacked(config, tmp_path)
    (tmp_path / "in" / "config" / "server.yaml").write_text(settings)
    write_backup(tmp_path / "c.tar", "server", {**facts, **more}, files, {}, None)
    return tmp_path / "c.tar"


def harmed(config: Path, tmp_path: Path, what: str) -> Path:
    """Make a backup whose table of settings is another one."""
    facts, files = unpacked(config, tmp_path)
    tables = tmp_path / "in" / "tables"
    HOSTILE[what](tables / "settings")
    if what != "rows too few":  # else their number would be all that is looked at
        rows = {name: (tables / name).read_bytes().count(b"\n") - 1 for name in facts["tables"]}
        facts["tables"] = {name: max(0, count) for name, count in rows.items()}
    write_backup(tmp_path / "c.tar", "server", facts, files, {}, None)
    return tmp_path / "c.tar"


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_table_is_refused(centre: Path, tmp_path: Path, what: str) -> None:
    error = refusal(restore, harmed(centre, tmp_path, what), tmp_path / "new")
    assert error.code == "backup_unreadable"
    assert not list((tmp_path / "new").iterdir())


@pytest.mark.postgres
def test_what_was_refused_left_the_database_empty(
    centre: Path, tmp_path: Path, empty_postgres: Callable[[], str]
) -> None:
    database, backup = empty_postgres(), harmed(centre, tmp_path, "a null where none may be")
    for _ in range(2):  # or the second try would find it in use
        error = refusal(restore, backup, tmp_path / "new", database=database)
        assert error.code == "backup_unreadable"
    engine = sync_engine(driver_url(database))
    assert not sa.inspect(engine).get_table_names()
    engine.dispose()


def test_tables_of_nobody_and_a_schema_of_later_are_refused(centre: Path, tmp_path: Path) -> None:
    facts, files = unpacked(centre, tmp_path)

    def made(name: str, **more: Any) -> Path:
        write_backup(tmp_path / name, "server", {**facts, **more}, files, {}, None)
        return tmp_path / name

    for name, more, code in (
        ("later", {"schema": "9999"}, "database_newer"),
        ("strange", {"tables": {**facts["tables"], "sqlite_master": 1}}, "backup_unreadable"),
        ("silent", {"tables": None}, "backup_unreadable"),
    ):
        error = refusal(restore, made(name, **more), tmp_path / "new", database="sqlite")
        assert error.code == code


@pytest.mark.parametrize(
    ("facts", "settings"),
    [
        ({"made_at": 1e999}, "{}"),
        ({"made_at": 1 << 60}, "{}"),
        ({"made_at": None}, "{}"),
        ({"tables": {"settings": 1e999}}, "{}"),
        ({}, "[" * 5000),
    ],
)
def test_facts_and_settings_that_are_none_are_refused(
    centre: Path, tmp_path: Path, facts: dict[str, Any], settings: str
) -> None:
    made = rewritten(centre, tmp_path, settings, **facts)
    error = refusal(restore, made, tmp_path / "new", database="sqlite")
    assert error.code == "backup_unreadable"
    assert not list((tmp_path / "new").iterdir())


@pytest.mark.parametrize("told", ["[1]", "sqlite", "{url: [1]}"])
def test_settings_that_name_no_database_mean_the_usual_one(
    centre: Path, tmp_path: Path, told: str
) -> None:
    made = rewritten(centre, tmp_path, f"database: {told}\n")
    assert restore(made, tmp_path / "new").database == "sqlite"


async def test_a_dump_reads_bytes_numbers_and_texts_as_they_are(
    database: Database, tmp_path: Path
) -> None:
    text = 'NUL "\u2028" \U0001f600 1e300'
    async with database.begin() as work:
        await work.set_setting("odd", {"text": text, "big": 2**62, "none": None})
        await work.commit()
    (tmp_path / "out").mkdir()
    told = await asyncio.to_thread(dump, database, tmp_path / "out")
    assert isinstance(told, Dump)
    assert told.tables["settings"] == 1
    copy = Database(f"sqlite:///{tmp_path}/copy.db")
    await load(copy, tmp_path / "out", told, lambda _: None)
    async with copy.begin() as work:
        assert await work.setting("odd") == {"text": text, "big": 2**62, "none": None}
    await copy.close()


@pytest.mark.parametrize("folder", ["artifacts", "uploads"])
def test_an_altered_model_is_refused(centre: Path, tmp_path: Path, folder: str) -> None:
    facts, files = unpacked(centre, tmp_path)
    (tmp_path / "in" / folder / blake3(MODEL).hexdigest()).write_bytes(b"other weights")
    write_backup(tmp_path / "c.tar", "server", facts, files, {}, None)
    error = refusal(restore, tmp_path / "c.tar", tmp_path / "new", database="sqlite")
    assert error.code == "backup_unreadable"
    assert not list((tmp_path / "new").iterdir())


def test_one_that_was_killed_is_done_again(centre: Path, tmp_path: Path) -> None:
    """What a killed restore left is in its way no more, and starts no centre meanwhile."""
    back_up(centre, tmp_path / "b.tar", PHRASE)
    folder = tmp_path / "new"
    (folder / ".restoring" / "tables").mkdir(parents=True)
    (folder / ".restoring" / "tables" / "jobs").write_text("half")
    assert not (folder / "server.yaml").exists()
    found = restore(tmp_path / "b.tar", folder, passphrase=PHRASE)
    assert found.keys
    assert grow(found.config) == found.log.size


def test_ids_of_events_are_not_used_again(centre: Path, tmp_path: Path) -> None:
    back_up(centre, tmp_path / "b.tar", None)
    found = restore(tmp_path / "b.tar", tmp_path / "new", database="sqlite")
    with closing(sqlite3.connect(found.config.parent / "secureflow.db")) as database:
        insert = "INSERT INTO events (job, kind, at, data) VALUES ('j', 'k', 1, '{}')"
        assert (database.execute(insert).lastrowid or 0) > 1_000_000


def test_a_running_server_keeps_a_restore_out_and_a_restore_a_server(
    centre: Path, tmp_path: Path
) -> None:
    backup, folder = tmp_path / "b.tar", centre.parent
    back_up(centre, backup, PHRASE)
    before = rows(centre)
    with serving(folder), serving(folder):  # two may share a folder
        for call, arguments in (
            (lambda: restore(backup, folder, into_existing=True), ()),
            (restore_in_place, (centre,)),
        ):
            error = refusal(call, *arguments)
            assert (error.code, str(folder) in error.message) == ("server_running", True)
        back_up(centre, tmp_path / "c.tar", PHRASE)
    assert rows(centre) == before
    assert not list(folder.glob("before-restore-*"))
    with locked_folder(folder), pytest.raises(SecureFlowError, match="server_running"):
        asyncio.run(serve(ServerSettings.load(centre)))
    restore(backup, folder, into_existing=True)


def test_a_backup_takes_away_what_a_killed_one_left(centre: Path, tmp_path: Path) -> None:
    left, foreign = tmp_path / ".secureflow-backup-abc_1234", tmp_path / ".secureflow-backup-mine"
    for place in (left, foreign):
        place.mkdir(mode=0o700)
        (place / "users").write_text("x")
    partial = tmp_path / ".old.tar.0123abcd.partial"
    partial.write_bytes(b"manifest.json\0 and so on")
    back_up(centre, tmp_path / "b.tar", PHRASE)
    assert not left.exists()
    assert not partial.exists()
    assert (foreign / "users").exists()
