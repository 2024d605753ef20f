"""An agent out of a backup: what is in one, what is refused, and what it no longer does."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from secureflow.adapters.keyvault import make_key_file, name_key_file
from secureflow.agent.edge.check import check_record
from secureflow.agent.owner.backup import back_up, restore
from secureflow.agent.owner.keysecret import FACT as KEYS
from secureflow.agent.owner.keysecret import keep_key_secret, key_secret
from secureflow.agent.record.folder import IDENTITY, check_present, keep_record, locked_folder
from secureflow.agent.record.records import InboxItem, JobRecord, OwnLeaf
from secureflow.agent.record.restored import (
    CODE,
    FACT,
    OUTCOME,
    check_not_before_restore,
    check_unlocked,
    settle,
)
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.agent.witness.charter import PinnedCharter
from secureflow.domain.charter import Charter, Member, SignedCharter
from secureflow.engines.ledger.leaves import Leaf, commitment, sign_leaf
from secureflow.kit.archive import Backup, write_backup
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyfiles import LINK, SIGNING, KeyPlace, not_wrapped
from secureflow.kit.pki import write_private
from secureflow.kit.recordmark import FILE as MARK
from secureflow.kit.recordmark import read_mark

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_passphrases")]

PHRASE = "four words of luck"
KEY = SigningKey.from_seed(b"a" * 32)
OTHER = SigningKey.from_seed(b"b" * 32)
SECRET = b"SECRET-OF-A-JOB-SECRET-OF-A-JOB!"


def own_leaf(
    number: int, kind: str = "approval", key: SigningKey = KEY, author: str = "bank-a"
) -> OwnLeaf:
    salt = bytes(32)
    body = Leaf(
        kind=kind, origin="log.example", author=author, at=number,
        commitment=commitment(salt, {"n": number}), job=f"job_{number}", spec="d" * 64, prev="",
    )  # fmt: skip
    signed = sign_leaf(body, key)
    bundle = {"leaf": signed.json(), "document": {"n": number}, "salt": salt.hex()}
    return OwnLeaf(signed.hash(), f"job_{number}", kind, bundle)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An agent with a finished job, a running one, a request that waits, and a budget."""
    folder = tmp_path / "agent"
    (folder / "policies").mkdir(parents=True)
    (folder / "policies" / "own.cedar").write_text("permit(principal, action, resource);")
    (folder / "evidence").mkdir()
    (folder / "evidence" / f"ledger_inconsistent-{'0' * 64}.json").write_text("{}")
    (folder / "ca.pem").write_text("CA")
    KEY.save(folder / "signing.key")
    write_private(folder / "link.pem", b"LINK KEY")
    values = {
        "directory": ".", "organisation": "bank-a", "server": "https://centre.example",
        "link": "centre.example:8444", "trust_domain": "bank.example",
        "consent": {"policies": ["policies/own.cedar"]},
    }  # fmt: skip
    (folder / "agent.yaml").write_text(yaml.safe_dump(values))
    with closing(RecordStore(folder / "agent.db")) as store, store.transaction():
        for number, outcome in ((1, "succeeded"), (2, "")):
            record = JobRecord(f"job_{number}", "d" * 64, {}, SECRET, 10, 20, outcome)
            store.add_job(record)
            store.add_leaf(own_leaf(number))
        store.keep_session("job_2", "train", SECRET)
        store.keep_noised_sums("job_2", SECRET)
        store.set_nonce("job_2", 1, SECRET.hex(), 1)
        store.keep_answer("consent/job_2", "job_2", {"kept": True})
        store.keep_answer("admit/job_2", "job_2", {"secret": SECRET.hex()})
        store.add_budget_event("people", {"kind": "limit"})
        item = InboxItem("a" * 64, "job_3", "d" * 64, {}, {}, [], "waiting", 1, 2, None, "")
        store.add_inbox_item(item)
    return folder / "agent.yaml"


def refusal(call: Callable[..., Any], *arguments: Any, **more: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as refused:
        call(*arguments, **more)
    return refused.value


def test_a_backup_has_no_secret_outside_of_its_seal(config: Path, tmp_path: Path) -> None:
    made = back_up(config, tmp_path / "b.tar", PHRASE)
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    data = (tmp_path / "b.tar").read_bytes()
    seed = (config.parent / "signing.key").read_bytes().strip()
    for secret in (SECRET, SECRET.hex().encode(), seed, b"LINK KEY"):
        assert secret not in data
    assert sorted(made.keys["names"] if made.keys else ()) == ["link.pem", "signing.key"]
    assert {one.name for one in config.parent.iterdir()} == {
        "agent.db", "agent.yaml", "ca.pem", "evidence", "link.pem", "policies", "signing.key",
    }  # fmt: skip
    assert back_up(config, tmp_path / "c.tar", None).keys is None


def test_a_restored_agent_holds_out_the_same_keys(config: Path, tmp_path: Path) -> None:
    with closing(RecordStore(config.parent / "agent.db")) as store, store.transaction():
        keep_key_secret(store, OTHER)  # the signing key has changed since
    back_up(config, tmp_path / "b.tar", None)
    restore(tmp_path / "b.tar", tmp_path / "new")
    with closing(RecordStore(tmp_path / "new" / "agent.db")) as store:
        assert key_secret(store, KEY) == key_secret(store, OTHER)
        assert store.fact(KEYS) is not None


def test_a_running_agent_is_backed_up_as_it_is_at_one_moment(config: Path, tmp_path: Path) -> None:
    with closing(RecordStore(config.parent / "agent.db")) as store:
        with store.transaction():
            store.add_leaf(own_leaf(3))
        assert back_up(config, tmp_path / "b.tar", None).facts["leaves"] == 3


@pytest.mark.parametrize("how", ["older", "another's", "older with its folder"])
def test_a_record_that_no_agent_goes_on_with_is_no_backup(
    config: Path, tmp_path: Path, how: str
) -> None:
    """It would bear the date of today, and the good ones be cleared away for it."""
    settings = AgentSettings.load(config)
    with closing(RecordStore(settings.record)) as store:
        keep_record(store, settings)
    copy = tmp_path / "older.db"
    shutil.copy(settings.record, copy)
    with closing(RecordStore(settings.record)) as store:
        with store.transaction():
            store.add_leaf(own_leaf(7))
            if how == "another's":
                store.set_fact(IDENTITY, "ab" * 16)
            if how == "older with its folder":  # only the log knows
                alarm = SecureFlowError(CODE, "The record is an older copy.")
                store.set_fact("alarm", alarm.as_json())
        if how == "older":
            keep_record(store, settings)  # the folder knows of it
    if how == "older":
        shutil.copy(copy, settings.record)
    error = refusal(back_up, config, tmp_path / "b.tar", None)
    assert error.code == ("record_foreign" if how == "another's" else "record_set_back")
    assert not (tmp_path / "b.tar").exists()
    assert not list(config.parent.glob(".backup-*"))


def test_wrapped_keys_stay_wrapped_and_need_both_secrets(config: Path, tmp_path: Path) -> None:
    wrapping, folder = tmp_path / "w.key", config.parent
    make_key_file(wrapping, [folder])
    name_key_file(config, wrapping)
    settings = AgentSettings.load(config)
    for path, purpose in ((settings.signing_key, SIGNING), (settings.link_certificate, LINK)):
        wrapped = settings.key_files.wrapped(path.read_bytes(), purpose)
        path.unlink()
        write_private(path, wrapped)
    back_up(config, tmp_path / "b.tar", PHRASE)
    wrapping.rename(tmp_path / "away")
    error = refusal(restore, tmp_path / "b.tar", tmp_path / "new", passphrase=PHRASE)
    assert error.code == "wrapping_key_unavailable"
    assert not (tmp_path / "new" / "agent.db").exists()
    (tmp_path / "away").rename(wrapping)
    restore(tmp_path / "b.tar", tmp_path / "new", passphrase=PHRASE)
    made = AgentSettings.load(tmp_path / "new" / "agent.yaml")
    assert not not_wrapped([KeyPlace(made.signing_key, SIGNING)])
    assert SigningKey.load(made.signing_key, made.key_files).public == KEY.public
    again = restore(tmp_path / "b.tar", tmp_path / "new", passphrase=PHRASE, into_existing=True)
    assert again.keys


def test_it_comes_back_and_says_that_it_was_restored(config: Path, tmp_path: Path) -> None:
    back_up(config, tmp_path / "b.tar", PHRASE)
    folder = tmp_path / "new"
    found = restore(tmp_path / "b.tar", folder, passphrase=PHRASE)
    assert (found.party, found.leaves, found.keys) == ("bank-a", 2, True)
    assert (found.ended, found.domains) == (("job_2",), ("people",))
    settings = AgentSettings.load(folder / "agent.yaml")
    check_present(settings)
    mark = read_mark(folder)
    assert mark is not None
    assert mark.reached["leaves"] == 2
    assert SigningKey.load(settings.signing_key).public == KEY.public
    assert (folder / "policies" / "own.cedar").exists()
    assert len(list((folder / "evidence").iterdir())) == 1
    for name in ("signing.key", "link.pem", "agent.db"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert not (folder / ".restoring").exists()
    with closing(RecordStore(settings.record)) as store:
        job = store.job("job_2")
        assert job is not None
        assert (job.outcome, job.secret) == (OUTCOME, b"")
        assert store.session("job_2", "train") is None
        assert store.inbox(waiting=True) == []
        assert store.fact(FACT)["settled"] == []
        assert store.actions(limit=1)[0]["action"] == "agent.restored"


def test_older_jobs_are_declined_and_budgets_locked_until_the_owner_speaks(
    config: Path, tmp_path: Path
) -> None:
    back_up(config, tmp_path / "b.tar", None)
    restore(tmp_path / "b.tar", tmp_path / "new")
    with closing(RecordStore(tmp_path / "new" / "agent.db")) as store:
        assert (
            refusal(check_not_before_restore, store, "job_2", store.job("job_2")).code
            == "restored_since"
        )
        with store.transaction():
            store.add_leaf(own_leaf(7))  # taken from the log: the record had forgotten the job
        assert refusal(check_not_before_restore, store, "job_7", None).code == "restored_since"
        check_not_before_restore(store, "job_8", None)
        for domain in ("people", "declared after the backup"):
            error = refusal(check_unlocked, store, domain)
            assert error.code == "budget_locked"
            assert f"secureflow agent data settle {domain}" in error.hint
        with store.transaction():
            settle(store, "people")
        check_unlocked(store, "people")
        assert refusal(check_unlocked, store, "other").code == "budget_locked"
    with closing(RecordStore(config.parent / "agent.db")) as store:
        check_not_before_restore(store, "job_2", store.job("job_2"))
        check_unlocked(store, "people")


def test_without_keys_the_folder_waits_for_them(config: Path, tmp_path: Path) -> None:
    back_up(config, tmp_path / "b.tar", None)
    assert not restore(tmp_path / "b.tar", tmp_path / "new").keys
    assert not (tmp_path / "new" / "signing.key").exists()
    # A lost record comes back into the folder that still has its keys.
    (config.parent / "agent.db").unlink()
    assert refusal(restore, tmp_path / "b.tar", config.parent).code == "folder_not_empty"
    assert restore(tmp_path / "b.tar", config.parent, into_existing=True).keys


LOG = SigningKey.from_seed(b"l" * 32)
OTHERS = {name: SigningKey.from_seed(name.encode() * 32) for name in ("x", "y", "z")}


def charter(key: SigningKey, before: Charter | None = None) -> SignedCharter:
    """Return a charter that gives bank-a this key, signed by the others, the first by it too."""
    members = [Member(name, name, one.public) for name, one in OTHERS.items()]
    members.append(Member("bank-a", "A", key.public))
    told = (before.version + 1, before.digest) if before else (1, "")
    signed = SignedCharter(
        Charter(told[0], "bank.example", "log.example", LOG.public, tuple(members), told[1])
    )
    for name, one in OTHERS.items():
        signed = signed.sign(name, one)
    return signed if before else signed.sign("bank-a", key)


def pin(folder: Path, key: SigningKey, signed: SignedCharter) -> Charter:
    with closing(RecordStore(folder / "agent.db")) as store:
        PinnedCharter(store, "bank-a", key, lambda: 1).pin(signed, signed.charter.digest)
    return signed.charter


def unsigned(folder: Path) -> list[str]:
    """Return what a check says of signatures."""
    told = check_record(AgentSettings.load(folder / "agent.yaml"))
    return [one["message"] for one in told if "not signed by this agent" in one["message"]]


def add_leaf(folder: Path, leaf: OwnLeaf) -> None:
    with closing(RecordStore(folder / "agent.db")) as store, store.transaction():
        store.add_leaf(leaf)


def test_an_agent_whose_key_was_changed_is_backed_up_and_comes_back(
    config: Path, tmp_path: Path
) -> None:
    """Restored without keys, enrolled anew: its older leaves bear the key that it had then."""
    first = pin(config.parent, KEY, charter(KEY))
    back_up(config, tmp_path / "b.tar", None)
    folder = tmp_path / "new"
    restore(tmp_path / "b.tar", folder)
    OTHER.save(folder / "signing.key")
    write_private(folder / "link.pem", b"LINK")
    add_leaf(folder, own_leaf(8, key=OTHER))
    assert unsigned(folder) == []
    back_up(folder / "agent.yaml", tmp_path / "c.tar", PHRASE)
    pin(folder, OTHER, charter(OTHER, first))
    add_leaf(folder, own_leaf(9, key=OTHER))
    assert unsigned(folder) == []
    back_up(folder / "agent.yaml", tmp_path / "d.tar", PHRASE)
    for made, leaves in (("c.tar", 3), ("d.tar", 4)):
        found = restore(tmp_path / made, tmp_path / f"of {made}", passphrase=PHRASE)
        assert (found.leaves, found.keys) == (leaves, True)
    assert restore(tmp_path / "d.tar", folder, into_existing=True).leaves == 4


def test_what_no_restore_would_take_is_no_backup(config: Path, tmp_path: Path) -> None:
    """Else every night's is made, and none can be restored."""
    add_leaf(config.parent, own_leaf(9, key=OTHER))
    error = refusal(back_up, config, tmp_path / "b.tar", None)
    assert error.code == "record_damaged"
    assert own_leaf(9, key=OTHER).hash in error.message
    assert not (tmp_path / "b.tar").exists()
    assert not list(config.parent.glob(".backup-*"))


@pytest.mark.parametrize("pinned", ["its own", "none"])
def test_only_versions_that_the_pinned_charter_follows_vouch_for_a_key(
    config: Path, tmp_path: Path, pinned: str
) -> None:
    """Whoever alters a backup could add a charter of his own to the earlier ones."""
    pin(config.parent, KEY, charter(KEY, charter(KEY).charter))
    strange = json.dumps([charter(OTHER).json()])

    def change(folder: Path) -> None:
        swap_leaf(folder, own_leaf(1, key=OTHER))
        run(f"INSERT INTO facts VALUES ('charters', '{strange}')")(folder)
        if pinned == "none":
            run("DELETE FROM facts WHERE name = 'charter'")(folder)

    made = altered(config, tmp_path, change)
    assert refusal(restore, made, tmp_path / "new").code == "backup_unreadable"


def test_it_comes_back_where_the_settings_of_the_folder_look_for_it(
    config: Path, tmp_path: Path
) -> None:
    back_up(config, tmp_path / "b.tar", PHRASE)
    data, folder = tmp_path / "data", config.parent
    folder.rename(data)
    (data / "agent.db").unlink()
    folder.mkdir()
    text = (data / "agent.yaml").read_text().replace("directory: .", f"directory: {data}")
    config.write_text(text)
    with locked_folder(data):
        assert refusal(restore, tmp_path / "b.tar", folder, into_existing=True).code == (
            "agent_running"
        )
    found = restore(tmp_path / "b.tar", folder, into_existing=True)
    assert (found.config, found.keys, config.read_text()) == (config, True, text)
    assert list(folder.iterdir()) == [config]
    settings = AgentSettings.load(config)
    check_present(settings)
    with closing(RecordStore(settings.record)) as store:
        assert store.leaves("job_2")
        assert store.fact(FACT)


def test_one_that_was_killed_is_done_again(config: Path, tmp_path: Path) -> None:
    back_up(config, tmp_path / "b.tar", PHRASE)
    (tmp_path / "new" / ".restoring").mkdir(parents=True)
    (tmp_path / "new" / "agent.lock").touch()
    assert restore(tmp_path / "b.tar", tmp_path / "new", passphrase=PHRASE).keys


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("into", ["the folder of the agent", "a new folder"])
def test_wherever_it_is_killed_no_agent_starts_as_a_new_one(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, into: str
) -> None:
    """An agent that has forgotten its record under its old key votes and spends anew."""
    back_up(config, tmp_path / "b.tar", None)
    left: list[int] = []

    def mortal(name: str, owner: Any) -> None:
        real = getattr(owner, name)

        def step(*given: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return real(*given, **more)

        monkeypatch.setattr(owner, name, step)

    mortal("replace", Path)
    mortal("copyfile", shutil)
    new = into == "a new folder"
    for steps in range(int(new), 100):  # the first one writes the mark
        folder = tmp_path / f"{steps}"
        left[:] = [1000]
        if not new:
            shutil.copytree(config.parent, folder)
            settings = AgentSettings.load(folder / "agent.yaml")
            with closing(RecordStore(settings.record)) as store:
                keep_record(store, settings)
        left[:] = [steps]
        try:
            restore(tmp_path / "b.tar", folder, into_existing=folder.exists())
        except Killed:
            left[:] = [1000]
            shutil.copy(config.parent / "signing.key", folder)
            assert known(config, folder), f"killed after {steps} steps"
            restore(tmp_path / "b.tar", folder, into_existing=True)
            continue
        break
    assert 2 < steps < 99


def test_wherever_it_is_killed_what_was_there_is_put_aside_together(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database without its `-wal` may be all of the last hours short."""
    back_up(config, tmp_path / "b.tar", None)
    replace, left = Path.replace, [0]

    def step(path: Path, target: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", step)
    for steps in range(1, 100):
        folder = tmp_path / f"{steps}"
        shutil.copytree(config.parent, folder)
        had = {"agent.db": b"db", "agent.db-wal": b"wal", "agent.db-shm": b"shm", MARK: b"mark"}
        for name, data in had.items():
            (folder / name).write_bytes(data)
        left[0] = steps
        with contextlib.suppress(Killed):
            restore(tmp_path / "b.tar", folder, into_existing=True)
        through = left[0] > 0
        if not through:
            restore(tmp_path / "b.tar", folder, into_existing=True)
        asides = [
            {path.name: path.read_bytes() for path in aside.iterdir()}
            for aside in folder.glob("before-restore*")
        ]
        assert [one for one in asides if "agent.db-wal" in one] == [had], f"killed at step {steps}"
        assert not (folder / "before-restore").exists()
        if through:
            break
    assert 6 < steps < 99


def known(config: Path, folder: Path) -> bool:
    """Tell whether an agent that starts here knows that it is none of today, or may not start."""
    settings = AgentSettings.load(config).model_copy(update={"directory": folder})
    try:
        check_present(settings)
        with closing(RecordStore(settings.record)) as store:
            keep_record(store, settings)
            return bool(store.leaves("job_2"))
    except SecureFlowError as error:
        return error.code in {"record_missing", "record_foreign", "record_set_back"}


def test_a_folder_of_another_agent_a_wrong_passphrase_and_a_running_agent(
    config: Path, tmp_path: Path
) -> None:
    back_up(config, tmp_path / "b.tar", PHRASE)
    other = tmp_path / "other"
    other.mkdir()
    SigningKey.generate().save(other / "signing.key")
    error = refusal(restore, tmp_path / "b.tar", other, into_existing=True)
    assert error.code == "record_foreign"
    (other / "signing.key").write_bytes(b"AAAA\n")
    error = refusal(restore, tmp_path / "b.tar", other, into_existing=True)
    assert error.code == "key_unreadable"
    assert not (other / "agent.db").exists()
    error = refusal(restore, tmp_path / "b.tar", tmp_path / "new", passphrase="another phrase")
    assert error.code == "passphrase_refused"
    handle = os.open(config.parent / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)  # as an agent of an older version holds it
    error = refusal(restore, tmp_path / "b.tar", config.parent, into_existing=True)
    os.close(handle)
    assert error.code == "agent_running"


def test_a_lock_that_was_removed_lets_nobody_in(config: Path, tmp_path: Path) -> None:
    back_up(config, tmp_path / "b.tar", None)
    with locked_folder(config.parent):
        (config.parent / "agent.lock").unlink()
        error = refusal(restore, tmp_path / "b.tar", config.parent, into_existing=True)
        assert error.code == "agent_running"
        with pytest.raises(SecureFlowError, match="agent_running"), locked_folder(config.parent):
            pass
    with locked_folder(config.parent):
        pass


def altered(config: Path, tmp_path: Path, change: Callable[[Path], object], **facts: Any) -> Path:
    """Make a backup of which somebody changed something, with digests that fit."""
    back_up(config, tmp_path / "b.tar", None)
    with Backup(tmp_path / "b.tar") as backup:
        backup.extract(tmp_path / "in")
    change(tmp_path / "in")
    files = {one.name: tmp_path / "in" / one.name for one in backup.manifest.files}
    files = {name: path for name, path in files.items() if path.exists()}
    write_backup(tmp_path / "c.tar", "agent", {**backup.manifest.facts, **facts}, files, {}, None)
    return tmp_path / "c.tar"


def run(*statements: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "record" / "agent.db")) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()

    return change


def swap_leaf(folder: Path, leaf: OwnLeaf) -> None:
    """Put a leaf in the place of the first one, under the hash that it has."""
    row = leaf.row()
    with closing(sqlite3.connect(folder / "record" / "agent.db")) as database:
        database.execute(
            "UPDATE leaves SET hash = ?, bundle = ? WHERE number = 1", (row["hash"], row["bundle"])
        )
        database.commit()


def settings_of(folder: Path, text: str) -> None:
    path = folder / "config" / "agent.yaml"
    path.unlink()
    path.write_text(text)


HOSTILE: dict[str, Callable[[Path], object]] = {
    "a trigger": run("CREATE TRIGGER t AFTER INSERT ON facts BEGIN DELETE FROM facts; END"),
    "a view": run("CREATE VIEW v AS SELECT * FROM jobs"),
    "a table of its own": run("CREATE TABLE mine (x)"),
    "a forged leaf": run("UPDATE leaves SET bundle = replace(bundle, 'bank-a', 'bank-b')"),
    "a leaf of another's key": lambda folder: swap_leaf(folder, own_leaf(1, key=OTHER)),
    "a leaf of another author": lambda folder: swap_leaf(folder, own_leaf(1, author="bank-b")),
    "a leaf without a leaf": run("UPDATE leaves SET bundle = '{}'"),
    "no database": lambda folder: (folder / "record" / "agent.db").write_bytes(b"x" * 5000),
    "no record": lambda folder: (folder / "record" / "agent.db").unlink(),
    "no settings": lambda folder: (
        (folder / "config" / "agent.yaml").write_text("a: [")
        if (folder / "config" / "agent.yaml").unlink() is None
        else None
    ),
    "settings of great depth": lambda folder: settings_of(folder, "[" * 5000),
    "a head that is none": run("INSERT OR REPLACE INTO facts VALUES ('head', '[1]')"),
    "a head of a number": run("INSERT OR REPLACE INTO facts VALUES ('head', '{\"note\": 7}')"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_record_is_refused(config: Path, tmp_path: Path, what: str) -> None:
    made = altered(config, tmp_path, HOSTILE[what])
    assert refusal(restore, made, tmp_path / "new").code in {
        "backup_unreadable",
        "store_unreadable",
    }
    assert not (tmp_path / "new" / "agent.yaml").exists()


@pytest.mark.parametrize(
    "inside",
    ["../out", "/etc/x", "a/../../b", "signing.key", "agent.db", "record.json", "", "a//b", 3],
)
def test_a_file_that_would_lie_elsewhere_is_refused(
    config: Path, tmp_path: Path, inside: Any
) -> None:
    made = altered(config, tmp_path, lambda _: None, named={"config/named0": inside})
    assert refusal(restore, made, tmp_path / "new").code == "backup_unreadable"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "named",
    [7, ["x"], "x", None, {"config/named1": "a"}, {"config/named0": "a/" * 8 + "a"}],
)
def test_names_that_are_none_are_refused(config: Path, tmp_path: Path, named: Any) -> None:
    made = altered(config, tmp_path, lambda _: None, named=named)
    assert refusal(restore, made, tmp_path / "new").code == "backup_unreadable"


def test_another_process_and_another_key_are_refused(config: Path, tmp_path: Path) -> None:
    write_backup(tmp_path / "s.tar", "server", {}, {}, {}, None)
    assert refusal(restore, tmp_path / "s.tar", tmp_path / "new").code == "backup_other_kind"
    back_up(config, tmp_path / "b.tar", PHRASE)
    with Backup(tmp_path / "b.tar") as backup:
        backup.extract(tmp_path / "in")
        keys = backup.keys(PHRASE)
    files = {one.name: tmp_path / "in" / one.name for one in backup.manifest.files}
    OTHER.save(tmp_path / "other.key")
    keys["signing.key"] = (tmp_path / "other.key").read_bytes()
    write_backup(tmp_path / "c.tar", "agent", backup.manifest.facts, files, keys, PHRASE)
    error = refusal(restore, tmp_path / "c.tar", tmp_path / "new", passphrase=PHRASE)
    assert error.code == "backup_unreadable"


def test_nothing_gets_into_a_backup_by_a_link(config: Path, tmp_path: Path) -> None:
    """What lies open in a backup is no secret: keys come under seal, or not at all."""
    folder = config.parent
    (folder / "evidence" / "link.json").symlink_to(folder / "signing.key")
    (folder / "evidence" / "folder").mkdir()
    (folder / "evidence" / "a name").write_text("x")
    manifest = back_up(config, tmp_path / "b.tar", None)
    evidence = [one.name for one in manifest.files if one.name.startswith("evidence/")]
    assert evidence == [f"evidence/ledger_inconsistent-{'0' * 64}.json"]


def test_no_accusation_crowds_the_proof_of_a_fraud_out(config: Path, tmp_path: Path) -> None:
    """A centre provokes as many as it likes."""
    evidence = config.parent / "evidence"
    for number in range(300):
        (evidence / f"accusation-{number:064x}.json").write_text("{}")
    back_up(config, tmp_path / "b.tar", None)
    restore(tmp_path / "b.tar", tmp_path / "new")
    there = {path.name for path in evidence.iterdir()}
    assert {path.name for path in (tmp_path / "new" / "evidence").iterdir()} == there
    assert len(there) == 301


def test_as_many_policies_as_there_are_come_back(config: Path, tmp_path: Path) -> None:
    names = [f"policies/{number}.cedar" for number in range(300)]
    deep = "policies/1/2/3/4/5/6/own.cedar"
    too_deep = "policies/1/2/3/4/5/6/7/own.cedar"
    told = yaml.safe_load(config.read_text())
    told["consent"]["policies"] = [*names, deep, too_deep]
    config.write_text(yaml.safe_dump(told))
    (config.parent / too_deep).parent.mkdir(parents=True)
    for name in (*names, deep, too_deep):
        (config.parent / name).write_text("permit(principal, action, resource);")
    back_up(config, tmp_path / "b.tar", None)
    restore(tmp_path / "b.tar", tmp_path / "new")
    assert all((tmp_path / "new" / name).exists() for name in (*names, deep))
    assert not (tmp_path / "new" / too_deep).exists()


@pytest.mark.parametrize("name", ["link.pem", "signing.key"])
def test_a_key_that_is_missing_is_named(config: Path, tmp_path: Path, name: str) -> None:
    """It is the place of the backup that was blamed, and even where no key was asked for."""
    (config.parent / name).unlink()
    error = refusal(back_up, config, tmp_path / "b.tar", PHRASE)
    assert error.code == "not_enrolled"
    assert str(config.parent / name) in error.message
    if name == "link.pem":
        assert back_up(config, tmp_path / "b.tar", None).keys is None


def test_policies_that_lie_elsewhere_stay_there(config: Path, tmp_path: Path) -> None:
    (tmp_path / "shared.cedar").write_text("permit(principal, action, resource);")
    told = yaml.safe_load(config.read_text())
    told["consent"]["policies"] = ["../shared.cedar", "policies/own.cedar", "policies/gone.cedar"]
    config.write_text(yaml.safe_dump(told))
    manifest = back_up(config, tmp_path / "b.tar", None)
    assert manifest.facts["named"] == {"config/named1": "policies/own.cedar"}


def test_keys_of_a_folder_stay_those_of_the_folder(config: Path, tmp_path: Path) -> None:
    back_up(config, tmp_path / "b.tar", PHRASE)
    (config.parent / "link.pem").write_bytes(b"A NEWER ONE")
    restore(tmp_path / "b.tar", config.parent, passphrase=PHRASE, into_existing=True)
    assert (config.parent / "link.pem").read_bytes() == b"A NEWER ONE"


@pytest.mark.parametrize("named", ["../signing.key", "../../victim", "{victim}", "config/ca.pem"])
def test_a_restore_moves_no_file_of_this_machine(config: Path, tmp_path: Path, named: str) -> None:
    """What the settings name comes out of the backup, and out of nowhere else."""
    victim, folder = tmp_path / "victim", config.parent
    victim.write_text("mine")
    key = (folder / "signing.key").read_bytes()
    told = {named.format(victim=victim): "taken"}
    made = altered(config, tmp_path, lambda _: None, named=told)
    (folder / "agent.db").unlink()
    error = refusal(restore, made, folder, into_existing=True)
    assert error.code == "backup_unreadable"
    assert victim.read_text() == "mine"
    assert (folder / "signing.key").read_bytes() == key
    assert not (folder / "taken").exists()


@pytest.mark.parametrize("when", [None, True, -1, 1e300, 1 << 40, "soon"])
def test_a_time_that_nobody_can_read_is_refused(config: Path, tmp_path: Path, when: Any) -> None:
    """It is told at every job that is declined."""
    made = altered(config, tmp_path, lambda _: None, made_at=when)
    assert refusal(restore, made, tmp_path / "new").code == "backup_unreadable"


def test_a_record_of_a_later_version_is_refused(config: Path, tmp_path: Path) -> None:
    made = altered(config, tmp_path, run("PRAGMA user_version = 999"))
    assert refusal(restore, made, tmp_path / "new").code == "store_too_new"


def test_an_older_backup_comes_up_to_this_version(config: Path, tmp_path: Path) -> None:
    made = altered(config, tmp_path, run("DELETE FROM facts"))
    assert restore(made, tmp_path / "new").leaves == 2
