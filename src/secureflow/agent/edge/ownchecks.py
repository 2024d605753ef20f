"""The doctor's checks of the agent's own state: charter, log, enclave, data, record."""

from __future__ import annotations

import contextlib

from secureflow.agent.edge.check import check_record as read_record
from secureflow.agent.edge.check import stored_fact
from secureflow.agent.edge.computing import RAN, describe_sandbox
from secureflow.agent.edge.control import call
from secureflow.agent.edge.diagnosis import PATIENCE, Diagnosis
from secureflow.agent.edge.keptsessions import shown_session
from secureflow.agent.edge.ownidentity import read_signing_key
from secureflow.agent.edge.verifying import verifier
from secureflow.agent.owner.engines import OwnEngines
from secureflow.agent.owner.environments import Environments
from secureflow.agent.owner.publications import Publication, differs
from secureflow.agent.record.folder import check_present
from secureflow.agent.record.ownkeys import HOW_TO_PIN
from secureflow.agent.record.restored import refuse_locked
from secureflow.agent.verbs.attestation import appraisal_policy
from secureflow.agent.witness.continuations import ACCUSED
from secureflow.agent.witness.headwatch import describe_log
from secureflow.domain.charter import SignedCharter
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.measurement import code_measurement
from secureflow.kit.text import Text

_BARRING = frozenset({"certificate_revoked", "organisation_disabled"})
"""Why a centre renews no certificate of an agent until a person acts."""


def check_charter(so_far: Diagnosis) -> str:
    """Compare the pinned charter with the own key and with the centre's charter."""
    kept = stored_fact(so_far.known.record, "charter")
    if kept is None:
        raise SecureFlowError(
            "charter_not_pinned",
            "No charter is pinned: this agent knows no other member.",
            HOW_TO_PIN,
        )
    charter = SignedCharter.from_json(kept).charter
    ours = [one.key for one in charter.members if one.organisation == so_far.known.organisation]
    if ours != [read_signing_key(so_far.known).public]:
        raise SecureFlowError(
            "charter_mismatch",
            Text(
                "The pinned charter does not name this agent's signing key for "
                "{organisation}: nobody would accept its signatures.",
                organisation=so_far.known.organisation,
            ),
            "Restore the key from its backup, or agree on a new charter with the current key.",
        )
    theirs = so_far.status.get("charter")
    if theirs and theirs != charter.digest:
        raise SecureFlowError(
            "charter_mismatch",
            Text(
                "The centre uses charter {theirs}; the pinned one is {digest}.",
                theirs=str(theirs)[:64],
                digest=charter.digest,
            ),
            "See the differences: secureflow agent charter show. Pin the newer version if enough "
            "members signed it.",
        )
    log = so_far.status.get("log") or {}
    if log and (log.get("origin"), log.get("key")) != (charter.origin, charter.log_key):
        raise SecureFlowError(
            "ledger_wrong_log",
            "The centre keeps a different log from the one that the charter names.",
            "Do not continue: compare the charter's log key with the other members.",
        )
    return Text(
        "version {version} with {count} members, {digest}",
        version=charter.version,
        count=len(charter.members),
        digest=charter.digest,
    )


def check_log(so_far: Diagnosis) -> str:
    """Compare the centre's log with the newest head that this agent accepted."""
    kept = stored_fact(so_far.known.record, "head") or {}
    return describe_log(so_far.answered().get("log") or {}, kept)


def check_attestation(so_far: Diagnosis) -> str:
    """Report which enclaves this agent accepts."""
    policy = appraisal_policy(so_far.known.attestation, code_measurement)
    verifier(so_far.known)
    references = (f"a reference of {one.tee}" for one in policy.references)
    listed = ", ".join((*policy.measurements, *references))
    if not listed:
        raise SecureFlowError(
            "invalid_settings",
            "attestation names neither measurements nor references: every enclave is refused.",
            "List the reviewed code's measurement, or `installed`, or a reference of its hardware.",
        )
    if policy.allow_simulated:
        return Text(
            "SIMULATED enclaves are accepted: they protect nothing. Code {listed}", listed=listed
        )
    return Text("hardware only, code {listed}", listed=listed)


def check_enclave(so_far: Diagnosis) -> str:
    """Compare what the centre's enclave reports with what this agent would accept."""
    enclave = so_far.answered().get("enclave") or {}
    if not enclave.get("connected"):
        return "none is connected: jobs with sealed updates must wait"
    policy = appraisal_policy(so_far.known.attestation, code_measurement)
    simulated, code = enclave.get("tee") == "SIMULATED", str(enclave.get("measurement", ""))
    if simulated and not policy.allow_simulated:
        raise SecureFlowError(
            "evidence_not_acceptable",
            "The centre's enclave is SIMULATED, and this agent accepts none that is.",
            "Ask the operator for real hardware. For a rehearsal only: attestation.allow_simulated "
            "and its root in agent.yaml.",
        )
    if code not in policy.measurements:
        raise SecureFlowError(
            "evidence_not_acceptable",
            Text(
                "The centre's enclave runs code {code}, which attestation.measurements "
                "does not list.",
                code=code,
            ),
            "Install the release that the enclave runs, or list its measurement once reviewed.",
        )
    if simulated:
        return Text(
            "it claims to run accepted code {code} in a SIMULATED TEE: no protection", code=code
        )
    return Text("it claims to run accepted code {code}", code=code)


def check_running(so_far: Diagnosis) -> str:
    """Ask the running agent whether it uses this file."""
    socket = so_far.known.socket
    status = call(socket, "status", {}, PATIENCE, shown_session(socket))
    if status.get("record") is not None:  # an agent of an older version does not report it
        raise SecureFlowError.from_json(status["record"])
    settings = status["settings"]
    if settings["problem"] is not None:
        raise SecureFlowError.from_json(settings["problem"])
    edited = ", ".join([*settings["changed"], *settings["restart"]])
    if settings["state"] != "same":
        raise SecureFlowError(
            "settings_edited",
            Text(
                "The running agent does not use {config} as it is now: {edited}.",
                config=so_far.config,
                edited=edited,
            ),
            "Apply it: secureflow agent reload. It names what needs a restart.",
        )
    return "the running agent uses this file"


def barred(so_far: Diagnosis) -> SecureFlowError | None:
    """Return why the centre renews this agent's certificate no more, if a running agent knows."""
    socket = so_far.known.socket
    try:
        trouble = call(socket, "status", {}, PATIENCE, shown_session(socket)).get("trouble")
    except SecureFlowError:
        return None  # the check `running` reports it
    known = isinstance(trouble, dict) and trouble.get("code") in _BARRING
    return SecureFlowError.from_json(trouble) if known else None


def check_data(so_far: Diagnosis) -> str:
    """Compare declarations and files with what was published."""
    known = 0
    for dataset in so_far.known.datasets:
        kept = stored_fact(so_far.known.record, f"dataset/{dataset.name}")
        if kept is None:
            continue
        known += 1
        if differs(kept, dataset):
            raise SecureFlowError(
                "declaration_changed",
                Text(
                    "The declaration of {name} differs from the published one: jobs are refused.",
                    name=dataset.name,
                ),
                Text("Publish it again: secureflow agent data publish {name}.", name=dataset.name),
            )
        Publication(dataset, kept["salt"], kept["commitment"]).check_file()
    datasets = so_far.known.datasets
    if datasets and not known:
        return Text(
            "none is published yet: secureflow agent data publish {name}",
            name=datasets[0].name if len(datasets) == 1 else "NAME",
        )
    return Text(
        "{known} of {count} {count:dataset is|datasets are} published, and unchanged since",
        known=known,
        count=len(so_far.known.datasets),
    )


def check_record(so_far: Diagnosis) -> str:
    """Read the whole record, as `secureflow agent check` does."""
    check_present(so_far.known)
    if not so_far.known.record.exists():
        return "there is none yet"
    for one in read_record(so_far.known):
        if not one["ok"]:
            raise SecureFlowError(one["code"], one["message"], one["hint"])
    return "everything that is stored can be read"


def check_alarm(so_far: Diagnosis) -> str:
    """Report an alarm."""
    alarm = stored_fact(so_far.known.record, "alarm")
    if alarm is not None:
        raise SecureFlowError.from_json(alarm)
    accused = stored_fact(so_far.known.record, ACCUSED) or ()
    if accused:
        return Text("none now; {count} against the log are kept as evidence", count=len(accused))
    return "none"


def check_budgets(so_far: Diagnosis) -> str:
    """Report a privacy domain from which nothing is spent before its owner has spoken."""
    own = so_far.known
    domains = sorted({one.privacy.domain for one in own.datasets if one.privacy is not None})
    for domain in domains:
        refuse_locked(lambda name: stored_fact(own.record, name), domain)
    return Text("{count} {count:privacy budget|privacy budgets}, none locked", count=len(domains))


def check_environments(so_far: Diagnosis) -> str:
    """Compare the environments of bundles with what was installed, by name and size."""
    own = Environments(so_far.known.directory)
    found = own.names()
    for name in found:
        own.verify(name, quick=True)
    return Text("{count} environments for code, unchanged", count=len(found))


def check_engines(so_far: Diagnosis) -> str:
    """Compare installed engines with what was installed, by name and size."""
    own = OwnEngines(so_far.known.directory)
    found = [one for one in own.every() if one.state == "installed"]
    for one in found:
        own.verify(one.name, quick=True)
    named = ", ".join(f"{one.name} {one.version}" for one in found)
    return named or "none is installed: secureflow engine list"


def check_sandbox(so_far: Diagnosis) -> str:
    """Say where workers run, and whether an agent would start so."""
    ran = None
    with contextlib.suppress(SecureFlowError):  # a record that cannot be read has its own check
        ran = stored_fact(so_far.known.record, RAN)
    return describe_sandbox(so_far.known, ran)
