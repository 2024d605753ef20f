"""`server check`: verify everything that a centre stores, running or stopped.

The database is read in one transaction and nothing is changed. Checked: every leaf is hashed into
the tree again and every signature verified, every row is read, every journal leads to its job's
state, every blob matches its digest, keys match certificates, secrets are private.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from secureflow.adapters.artifacts.checking import ArtifactsCheck
from secureflow.adapters.database.checking import (
    check_pages,
    check_schema,
    has_tables,
    named,
    reading,
    unreadable,
)
from secureflow.adapters.database.checking_log import LogCheck
from secureflow.adapters.database.checking_rows import RowsCheck
from secureflow.adapters.database.connections import driver_url, held_file
from secureflow.adapters.database.integrity import DRIVER_ERRORS
from secureflow.adapters.database.schema import NEWEST
from secureflow.adapters.database.summary import read_open_summary
from secureflow.application.jobs.kind import JobKinds
from secureflow.application.jobs.kinds import JOB_KINDS
from secureflow.application.ports.storage import Journalled
from secureflow.application.running.replaying import RunningJob, replay
from secureflow.application.running.scripts import Scripts
from secureflow.domain.jobs import Job, JobState
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.findings import Finding, finding, refused, report
from secureflow.kit.folder import check_folder
from secureflow.kit.heldfile import recovered_hint
from secureflow.kit.keyfiles import LOG
from secureflow.kit.keywrapping import wrapping_report
from secureflow.kit.privatefiles import read_private
from secureflow.kit.recordmark import RecordMark, read_mark
from secureflow.kit.text import Text
from secureflow.server.keyfiles import key_places, read_authority, read_log_key
from secureflow.server.record import BACK, compare, size_of
from secureflow.server.settings import ServerSettings

_SECRETS: Final = ("admin.password", "enclave.token", "server.env")


def check(config: Path, kinds: JobKinds = JOB_KINDS) -> Iterator[dict[str, JSON]]:
    """Yield `{check, ok, code, message, hint}` for each part, or for each problem in it.

    Raises:
        SecureFlowError: `invalid_settings`.
    """
    settings = ServerSettings.load(config)
    yield from report(
        "folder", _folder(settings), "its version and the file modes of its secrets are right"
    )
    key = _key(settings)
    yield from report(
        "keys", _keys(settings, key), "they match their certificates, and nobody else can read them"
    )
    yield wrapping_report(settings.key_files, key_places(settings), config)
    where = named(settings.database_url)
    # First the mark, then the database: a running server's database is never behind its mark.
    marks: list[RecordMark | None] = []
    unread = list(refused("record", lambda: marks.append(read_mark(settings.directory))))
    yield from (one.as_json() for one in unread)
    mark = marks[0] if marks else None
    try:
        with reading(settings.database_url) as connection:
            yield from _database(connection, settings, where, key, mark, Scripts(kinds.engines))
    except SecureFlowError as error:
        if error.code == "record_missing":
            error.hint = recovered_hint(_file(settings)) or BACK
        yield finding("database", error).as_json()
    except DRIVER_ERRORS as error:  # while reading
        yield finding("database", unreadable(where, error)).as_json()


def _database(
    connection: Any,
    settings: ServerSettings,
    where: str,
    key: SigningKey | None,
    mark: RecordMark | None,
    scripts: Scripts,
) -> Iterator[dict[str, JSON]]:
    pages = list(check_pages(connection, where))
    if not pages and not has_tables(connection):
        compare(where, settings.directory, _file(settings), None, mark)
    schema = list(check_schema(connection, where, NEWEST))
    sound: str = Text("{where} is intact and has this version's schema", where=where)
    yield from report("database", [*pages, *schema], sound)
    if schema:
        return
    rows = RowsCheck(connection)
    yield from report(
        "rows",
        list(rows.findings()),
        Text("{rows} {rows:row is|rows are} consistent", rows=rows.rows),
    )
    yield from report(
        "jobs",
        _jobs(rows, scripts),
        Text(
            "{count} {count:job matches its journal|jobs match their journals}",
            count=len(rows.jobs),
        ),
    )
    found = []
    if key is not None:
        log = LogCheck(connection, settings.origin, key.public, rows.keys, rows.log_keys)
        found = list(log.findings())
        yield from report(
            "log",
            found,
            Text(
                "{leaves} leaves make {heads} heads, with {cosignatures} cosignatures",
                leaves=log.leaves,
                heads=log.heads,
                cosignatures=log.cosignatures,
            ),
        )
    summary = None if found else read_open_summary(connection, size_of(mark))
    if summary is not None:  # a damaged log is reported already
        older = partial(compare, where, settings.directory, _file(settings), summary, mark)
        sound = "it belongs to this folder, and is not older than the folder's mark"
        yield from report("record", refused("record", older), sound)
    yield from _blobs(settings, rows)


def _blobs(settings: ServerSettings, rows: RowsCheck) -> Iterator[dict[str, JSON]]:
    released, uploads = ArtifactsCheck(settings.artifacts), ArtifactsCheck(settings.uploads)
    found = [*released.findings(), *uploads.findings()]
    for model in rows.models.values():
        found += released.missing(model.artifact, model.id)
    for one in (*rows.bundles.values(), *rows.uploads.values()):
        found += uploads.missing(one.digest, one.id)
    count = len(released.known) + len(uploads.known)
    sound: str = Text("{count} blobs match the digests that name them", count=count)
    yield from report("artefacts", found, sound)


def _file(settings: ServerSettings) -> Path | None:
    return held_file(driver_url(settings.database_url)).path


def _jobs(rows: RowsCheck, scripts: Scripts) -> Iterator[Finding]:
    for job in rows.jobs.values():
        try:
            lines = rows.lines(job.id)
            problem = _problem(job, lines, scripts)
        except SecureFlowError as error:
            problem = error.message
        if problem:
            hint = Text(
                "See it: secureflow job show {id}. Restore the newest intact backup.", id=job.id
            )
            yield Finding(
                "jobs",
                Text(
                    "The record of job {id} ({state}) is inconsistent: {problem}",
                    id=job.id,
                    state=job.state,
                    problem=problem,
                ),
                hint,
            )


def _problem(job: Job, lines: list[Journalled], scripts: Scripts) -> str:
    """Return why a job's journal does not lead to its state; empty if it does.

    Scripts of older versions are gone, and an end without the job's script has a script of its own.
    """
    if scripts.retired(job) is not None or "windup" in job.progress or job.state is JobState.DRAFT:
        return ""
    course = RunningJob(job.id, job.digest, scripts.of(job))
    replay(course, lines)
    if not job.state.final:
        same = job.state in {JobState.PAUSED, course.state}
        return "" if same else Text("its journal leads to {state}.", state=course.state)
    if course.effect is not None:
        return "its journal ends before the job does."
    succeeded = course.error is None
    return "" if succeeded == (job.state is JobState.SUCCEEDED) else "its journal ends differently."


def _folder(settings: ServerSettings) -> Iterator[Finding]:
    yield from refused("folder", lambda: check_folder(settings.directory))
    for name in _SECRETS:
        path = settings.directory / name
        if path.exists():
            yield from refused("folder", partial(read_private, path))
    if not settings.database.url:
        for suffix in ("", "-wal"):
            path = settings.directory / f"secureflow.db{suffix}"
            if path.is_file() and path.stat().st_mode & 0o077:
                hint = Text("chmod 600 {path}, and think about who may have read it.", path=path)
                yield Finding(
                    "folder", Text("{path} can be read by others.", path=path), hint, "key_exposed"
                )


def _key(settings: ServerSettings) -> SigningKey | None:
    try:
        return SigningKey.load(settings.log_key, settings.key_files, LOG)
    except (OSError, ValueError, SecureFlowError):
        return None


def _keys(settings: ServerSettings, key: SigningKey | None) -> Iterator[Finding]:
    if key is None:
        yield from refused("keys", lambda: read_log_key(settings))
    yield from refused("keys", lambda: read_authority(settings))
    yield from refused("keys", lambda: _check_link(settings))


def _check_link(settings: ServerSettings) -> None:
    from secureflow.adapters.link import CredentialFiles  # load gRPC only here

    credentials = CredentialFiles(settings.tls, settings.key_files)
    if credentials.complete:  # otherwise the next start makes them
        credentials.check()
