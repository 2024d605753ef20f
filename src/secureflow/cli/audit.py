"""`secureflow audit`: show and verify the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureflow.cli import auditfraud
from secureflow.cli.auditanchors import show_anchored
from secureflow.cli.console import Form, Output, group, moment, say, show, write
from secureflow.cli.entrykinds import in_words, kind_of
from secureflow.cli.files import read_json, write_text
from secureflow.cli.names import named
from secureflow.cli.session import client
from secureflow.cli.texts import listed, said, t
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.domain.charter import Charter
    from secureflow.engines.ledger.bundle import BundleVerdict
    from secureflow.engines.ledger.ends import AuthorEnd
    from secureflow.engines.ledger.gaps import Gap

app = group("Read the ledger, and verify a job's record offline.")
app.add_typer(auditfraud.app, name="fraud")

Job = Annotated[str, typer.Option("--job", help=t("Only for this job."))]

Held = Annotated[
    Path | None,
    typer.Option(help=t("Leaves that a party kept (agent leaves JOB -o json): are they in it?")),
]
JobReport = Annotated[
    Path | None,
    typer.Option(
        help=t("The job's report (job report JOB -o json): does it compare models as recorded?")
    ),
]
AnchorsFile = Annotated[
    Path | None,
    typer.Option(help=t("Statements about anchors (anchor list -o json): do they fit, and hold?")),
]
AnchorNode = Annotated[
    str, typer.Option("--anchor-node", help=t("URL of your own node of the chain, for receipts."))
]


@app.command("head", help=t("Show size, key and origin of the newest signed head."))
def head(output: Output = Form.TABLE) -> None:
    """Show the log's head."""
    with client() as connection:
        show(connection.audit.head(), output, ("origin", "key", "size"))


@app.command("entries", help=t("List entries of the log."))
def entries(
    job: Job = "",
    start: Annotated[int, typer.Option(min=0, help=t("First index."))] = 0,
    limit: Annotated[int, typer.Option(min=1, help=t("Show at most this many."))] = 100,
    output: Output = Form.TABLE,
) -> None:
    """List log entries."""
    found: list[dict[str, Any]] = []
    with client() as connection:
        within = named(connection, "job", job) if job else ""
        for entry in connection.audit.entries(within, start):
            found.append(entry)
            if len(found) == limit:
                break
    if output is Form.TABLE:
        found = [{"kind": t("– not shown to you"), **entry} for entry in found]
    _show_entries(found, output)


def _show_entries(found: list[dict[str, Any]], output: Form) -> None:
    """Show entries: a table has their kinds in words, JSON and YAML by their names."""
    if output is Form.TABLE:
        found = [in_words(one) for one in found]
    show(found, output, ("index", "action", "author", "job", "at", "hash"))


@app.command("search", help=t("Search the log, the newest entries first."))
def search(
    job: Job = "",
    kind: Annotated[
        str,
        typer.Option(
            help=t(
                "Only of this kind, as it is shown or by its name; `job.` for all that begin so."
            )
        ),
    ] = "",
    author: Annotated[str, typer.Option(help=t("Only by this organisation, or server."))] = "",
    limit: Annotated[int, typer.Option(min=1, help=t("Show at most this many."))] = 100,
    output: Output = Form.TABLE,
) -> None:
    """Search the log."""
    with client() as connection:
        within = named(connection, "job", job) if job else ""
        found = connection.audit.search(kind_of(kind), author, within, most=limit)
    _show_entries(found, output)


@app.command("attestations", help=t("List the agents' verdicts on the enclave, newest first."))
def attestations(
    party: Annotated[str, typer.Option(help=t("Only by this organisation, or server."))] = "",
    output: Output = Form.TABLE,
) -> None:
    """List verdicts on the enclave."""
    columns = ("at", "party", "job", "tier", "simulated", "evidence")
    with client() as connection:
        show(connection.audit.attestations(party).items, output, columns)


@app.command("export", help=t("Write a job's audit bundle."))
def export(
    job: Annotated[str, typer.Argument(help=t("Id or name of the job."))],
    file: Annotated[Path, typer.Argument(help=t("File to write."))],
    without_anchors: Annotated[
        bool,
        typer.Option(
            "--without-anchors",
            help=t("Leave out what members anchored: older verifiers refuse that part."),
        ),
    ] = False,
) -> None:
    """Write a job's audit bundle."""
    with client() as connection:
        key = named(connection, "job", job)
        bundle = received(connection.audit.bundle(key, anchors=not without_anchors))
    write_text(file, json.dumps(bundle, ensure_ascii=False) + "\n")
    say(t("Written to {path}.", path=file))


@app.command(
    "verify", help=t("Verify a bundle offline; exit code 7 unless it is complete and authentic.")
)
def verify(
    bundle: Annotated[Path, typer.Argument(help=t("Audit bundle (JSON)."))],
    charter: Annotated[
        Path | None, typer.Option(help=t("The charter that you pinned (JSON file)."))
    ] = None,
    held: Held = None,
    spec: Annotated[
        str,
        typer.Option(help=t("Digest of the spec that you approved: is the bundle about it?")),
    ] = "",
    report: JobReport = None,
    anchors: AnchorsFile = None,
    anchor_node: AnchorNode = "",
    output: Output = Form.TABLE,
) -> None:
    """Verify an audit bundle without any server.

    Its status is `verified` (exit code 0), `unfinished` if an end or a cosignature is missing,
    `broken` if there is a contradiction, or `consistent, unauthenticated` without a charter, which
    a forger can achieve too (all 7).
    """
    from secureflow.cli.anchorchecks import asked_bundle
    from secureflow.domain.charter import SignedCharter
    from secureflow.engines.anchors.bundled import verify_anchored
    from secureflow.engines.ledger.bundle_format import parse_history

    # Who holds it to a spec or to kept leaves says what it is: then anything else is an accusation.
    shown = read_json(bundle) if held is not None or spec else _read_bundle(bundle)
    given: Any = None if charter is None else read_json(charter)
    earlier = given.pop("history", []) if isinstance(given, dict) else []
    known = parse_history(earlier)
    pinned = None if charter is None else SignedCharter.from_json(given).charter
    kept = None if held is None else read_json(held)
    told = None if report is None else read_json(report)
    verdict = verify_anchored(shown, pinned, kept, spec, known, told)
    if anchor_node:
        verdict = asked_bundle(shown, verdict, anchor_node)
    if output is Form.TABLE:
        _show(verdict)
    else:
        show(verdict, output)
    for reason in (*verdict.failures, *verdict.missing):
        say(f"  - {said(reason)}")
    if anchors is not None and pinned is not None:
        _check_anchors(anchors, pinned, anchor_node, str(shown.get("note", "")), output)
    if verdict.ok:
        say(
            t("Verified: every entry is signed, chained, included and cosigned, and no end is cut.")
        )
        return
    raise _not_verified(verdict.status)


@app.command(
    "page", help=t("Write the offline page that verifies bundles in a browser; print its SHA-256.")
)
def page(
    file: Annotated[Path, typer.Argument(help=t("File to write."))],
) -> None:
    """Write the offline verifier: one HTML file that asks no network for anything."""
    from hashlib import sha256
    from importlib.resources import files

    built = files("secureflow").joinpath("cli", "verifier", "verify.html")
    if not built.is_file():
        raise SecureFlowError(
            "not_found",
            t("This installation has no offline page: it was made without Node.js."),
            t("Build it in a checkout: cd web && npm ci && npm run build:verify"),
        )
    text = built.read_text("utf-8")
    write_text(file, text)
    write(f"{sha256(text.encode()).hexdigest()}  {file}")


def _check_anchors(path: Path, pinned: Charter, node: str, note: str, output: Form) -> None:
    """Show what members anchored, each as far as it could be checked; refuse what is false.

    Raises:
        SecureFlowError: `audit_failed`, naming who signed it.
    """
    from secureflow.cli.anchorchecks import checked, read_statements

    lines, problems = checked(read_statements(path), pinned, node, note)
    if output is Form.TABLE:
        for one in lines:
            check = t(str(one["check"]))
            if one["check"] == "not checked":
                check = t("not checked (no node given)")
            say(
                t("  anchored by {organisation} at {place}: {kind} in block {block}, {check}",
                  **{**one, "check": check})
            )  # fmt: skip
    for error in problems:
        say(f"  - {said(error.message)}")
    if problems:
        raise SecureFlowError(
            "audit_failed",
            t("A statement about an anchor is false: {reason}", reason=said(problems[0].message)),
            said(problems[0].hint),
        )


def received(bundle: Any) -> Any:
    """Return a bundle that the centre sent, however damaged; refuse what is none.

    Raises:
        SecureFlowError: `server_untrusted`.
    """
    from secureflow.engines.ledger.bundle_format import resembles_bundle

    if not resembles_bundle(bundle):
        raise SecureFlowError(
            "server_untrusted",
            t("What the server sent is not an audit bundle."),
            t("Ask the operator for the job's bundle; tell the other members if none comes."),
        )
    return bundle


def _read_bundle(path: Path) -> Any:
    """Return the JSON of a bundle, however damaged; refuse another file, which accuses nobody.

    Raises:
        SecureFlowError: `invalid_file`, `malformed_json`.
    """
    from secureflow.engines.ledger.bundle_format import resembles_bundle

    value = read_json(path)
    if not resembles_bundle(value):
        raise SecureFlowError(
            "invalid_file",
            t("{path} is not an audit bundle.", path=path),
            t("Name the file that `secureflow audit export JOB FILE` writes."),
        )
    return value


def _not_verified(status: str) -> SecureFlowError:
    if status == "broken":
        code = "audit_failed"
        hint = t("Keep it: show it to the other members, and ask the operator for another.")
    elif status == "unfinished":
        code = "audit_unfinished"
        hint = t("If the job has ended, export it again when its members are online.")
    else:
        code = "audit_unauthenticated"
        hint = t("Give the charter that you pinned: --charter FILE.")
    return SecureFlowError(
        code, t("The bundle is not verified: {status}.", status=_word(status)), hint
    )


def _word(status: str) -> str:
    """Return a status in the chosen language."""
    words = {
        "verified": t("verified"),
        "unfinished": t("unfinished"),
        "broken": t("broken"),
        "consistent, unauthenticated": t("consistent, unauthenticated"),
        "in the story": t("in the story"),
        "contradicts": t("contradicts"),
        "not provable": t("not provable"),
        "foreign": t("foreign"),
    }
    return words[status]


def _print_gap(gap: Gap) -> None:
    """Describe what the log lost, how it continues, and who allowed it."""
    if gap.ended_key:
        say(
            t(
                "Another key: the key {key} of the log {origin} ended at {size} entries "
                "({reason}), and it continues as {name} since {when}; signed by {signed} of "
                "{members} members: {who}.",
                key=gap.ended_key,
                origin=gap.origin,
                size=gap.size,
                reason=gap.reason,
                name=gap.continued_as,
                when=moment(gap.at) if gap.at else "?",
                signed=len(gap.signed),
                members=gap.members or "?",
                who=listed(gap.signed) or "?",
            )
        )
        return
    say(
        t(
            "Gap: the log {origin} was rolled back from {size} entries to {start} "
            "({lost} lost) and continues as {name} since {when}; signed by {signed} "
            "of {members} members: {who}.",
            origin=gap.origin,
            size=gap.size,
            start=gap.start,
            lost=gap.lost,
            name=gap.continued_as,
            when=moment(gap.at) if gap.at else "?",
            signed=len(gap.signed),
            members=gap.members or "?",
            who=listed(gap.signed) or "?",
        )
    )


def _ended(end: AuthorEnd) -> str:
    """Describe who signed that an author's leaves end."""
    if end.late:
        return t("signed its end later, when it was back")
    return t("signed its end") if end.signed else t("the centre's word")


def _show(verdict: BundleVerdict) -> None:
    """Print a verdict for people: the findings, then how each author's leaves end."""
    facts = {
        "status": _word(verdict.status),
        "job": verdict.job,
        "spec": verdict.spec,
        "roster": list(verdict.roster),
        "outcome": t(verdict.outcome),
        "entries": verdict.entries,
        "size": verdict.size,
        "cosigners": list(verdict.cosigners),
        "quorum": verdict.quorum,
    }
    show(facts, Form.TABLE)
    ends = [
        {
            "author": f"{end.author} {end.key}".strip(),
            "leaves": end.count,
            "last": end.last,
            "ended": _ended(end),
            "a later entry": t("would be noticed") if end.provable else t("not provable"),
        }
        for end in verdict.authors
    ]
    if ends:
        show(ends, Form.TABLE)
    for gap in verdict.gaps:
        _print_gap(gap)
    accused = [
        {
            "author": one.author,
            "accuses": listed(one.against),
            "code": one.code,
            "round": "–" if one.round < 0 else one.round,
            "evidence": one.evidence,
        }
        for one in verdict.accusations
    ]
    if accused:
        show(accused, Form.TABLE)
    show_anchored(verdict.anchors)
    held = [
        {"author": one.author, "kind": one.kind, "leaf": one.hash, "held": _word(one.standing)}
        | {"reason": said(one.reason)}
        for one in verdict.held
    ]
    if held:
        show(held, Form.TABLE, ("author", "kind", "held", "leaf", "reason"))
