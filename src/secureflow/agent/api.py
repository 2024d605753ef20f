"""The command line's and the demo's interface to an agent, by the path of its `agent.yaml`.

Functions block. All but `enroll` and `doctor` speak to the running agent through its socket.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from secureflow.agent.edge.control import call
from secureflow.agent.edge.keptsessions import shown_session
from secureflow.agent.settings import AgentSettings
from secureflow.domain.specs.kind import SpecKinds
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import reason_of
from secureflow.kit.privatefiles import DENIED
from secureflow.kit.text import Text

PATIENCE = 15.0
"""Seconds to wait for an answer."""
READING = 600.0
"""Seconds to wait while a dataset is read."""


def control(config: Path, command: str, timeout: float = PATIENCE, **arguments: JSON) -> JSON:
    """Send one command to the running agent and return its result.

    Raises:
        SecureFlowError: `agent_not_running`, `agent_silent`, or the agent's refusal.
    """
    place = socket_of(config)
    return call(place, command, arguments, timeout, shown_session(place))


def socket_of(config: Path) -> Path:
    """Return the running agent's socket, even if its settings file has become invalid.

    `SECUREFLOW_AGENT_SOCKET` names it for people who cannot read the file.

    The process continues with the settings that it read before and reports what is wrong with
    the file.
    """
    if named := os.environ.get("SECUREFLOW_AGENT_SOCKET"):
        return Path(named)
    try:
        return AgentSettings.load(config).socket
    except SecureFlowError:
        beside = config.resolve().parent / _directory(config) / AgentSettings.SOCKET
        if beside.is_socket():
            return beside
        raise


def _directory(config: Path) -> str:
    """Return the directory named in a file that does not load, else the file's own.

    Nothing is set by it: a name that stands twice, for which the file may be refused, is read here.
    """
    try:
        read = yaml.safe_load(config.read_text("utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError):
        return "."
    named = read.get("directory") if isinstance(read, dict) else None
    return named if isinstance(named, str) else "."


def enroll(
    directory: Path,
    *,
    token_file: Path,
    server: str,
    name: str,
    wrapping_key: Path | None = None,
) -> dict[str, JSON]:
    """Enrol an agent into a new directory; `-` reads stdin. See `agent.edge.enrol.enrol`."""
    from secureflow.agent.edge.enrol import enrol  # gRPC is loaded only here

    try:
        token = sys.stdin.readline() if str(token_file) == "-" else token_file.read_text()
    except (OSError, UnicodeError) as error:
        raise SecureFlowError(
            "invalid_file",
            Text(
                "The token file {token_file} cannot be read: {reason}.",
                token_file=token_file,
                reason=reason_of(error),
            ),
            DENIED
            if isinstance(error, PermissionError)
            else "Give the path of the file that the operator gave you: --token-file.",
        ) from error
    return enrol(directory, token, server, name, wrapping_key)


def doctor(config: Path, kinds: SpecKinds | None = None) -> Iterator[dict[str, JSON]]:
    """Check the agent and its connection to the centre; see `agent.edge.doctor.examine`."""
    from secureflow.agent.edge.doctor import examine  # gRPC is loaded only here

    yield from examine(config) if kinds is None else examine(config, kinds=kinds)


def status(config: Path) -> dict[str, JSON]:
    """Return the state of the running agent."""
    return dict(control(config, "status"))


def reload(config: Path, *, preview: bool = False, agreed: Sequence[JSON] = ()) -> dict[str, JSON]:
    """Apply the edited settings, or (`preview`) return what they would change.

    `agreed` are the previewed changes of `budgets` that the owner agreed to.
    """
    return dict(control(config, "reload", preview=preview, agreed=list(agreed)))


def log(config: Path, *, job: str = "", limit: int = 100) -> list[dict[str, JSON]]:
    """Return the agent's own log of what it did, newest first."""
    return list(control(config, "log", job=job, limit=limit))


def leaves(config: Path, *, job: str) -> list[dict[str, JSON]]:
    """Return the ledger leaves that the agent signed in a job, oldest first."""
    return list(control(config, "leaves", job=job))


def clear_alarm(config: Path, reason: str) -> dict[str, JSON]:
    """Let the agent continue after an alarm that it raised."""
    return dict(control(config, "alarm.clear", reason=reason))


def inbox_list(config: Path, *, waiting: bool = True) -> list[dict[str, JSON]]:
    """Return inbox items, newest first."""
    return list(control(config, "inbox.list", waiting=waiting))


def inbox_show(config: Path, item: str) -> dict[str, JSON]:
    """Return one inbox item with its spec."""
    return dict(control(config, "inbox.show", item=item))


def inbox_approve(config: Path, item: str, reason: str = "") -> dict[str, JSON]:
    """Approve a request: the agent signs the approval."""
    return dict(control(config, "inbox.approve", item=item, reason=reason))


def inbox_reject(config: Path, item: str, reason: str = "") -> dict[str, JSON]:
    """Reject a request."""
    return dict(control(config, "inbox.reject", item=item, reason=reason))


def inbox_ask_back(config: Path, item: str, question: str) -> dict[str, JSON]:
    """End a request with a question to its submitter."""
    return dict(control(config, "inbox.ask_back", item=item, question=question))


def policy_explain(config: Path, item: str) -> dict[str, JSON]:
    """Return what the policies decide about a request, and which nearly decided."""
    return dict(control(config, "policy.explain", item=item))


def policy_suggest(config: Path, item: str) -> dict[str, JSON]:
    """Return a policy's text that would have decided a request as people did."""
    return dict(control(config, "policy.suggest", item=item))


def notification_list(
    config: Path, *, unread: bool = False, limit: int = 100
) -> list[dict[str, JSON]]:
    """Return the owner's notifications, unread ones first, then newest first."""
    return list(control(config, "notification.list", unread=unread, limit=limit))


def notification_read(config: Path, ids: Sequence[int] | None = None) -> int:
    """Mark notifications as read, or all; return how many were not."""
    named: JSON = None if ids is None else [*ids]
    return int(dict(control(config, "notification.read", ids=named))["read"])


def notification_failed(config: Path) -> list[dict[str, JSON]]:
    """Return the deliveries that the agent gave up on."""
    return list(control(config, "notification.failed"))


def notification_test(config: Path) -> list[dict[str, JSON]]:
    """Send a test to every receiver now; return what became of each."""
    return list(control(config, "notification.test", READING))


def witness_show(config: Path) -> dict[str, Any]:
    """Return what the agent answers others, and whom it asks. See `edge.witnesscommands`."""
    return dict(control(config, "witness.show"))


def frauds(config: Path) -> list[dict[str, Any]]:
    """Return the proofs of fraud in the agent's folder, whether or not it runs: path and file."""
    from secureflow.agent.settings import AgentSettings
    from secureflow.agent.witness.fraudfiles import kept_frauds

    settings = AgentSettings.load(config)
    return [{"path": str(path), "fraud": made} for path, made in kept_frauds(settings.evidence)]


def anchor_list(config: Path, place: str = "", limit: int = 100) -> dict[str, Any]:
    """Return the places, and what of this agent's deeds is at them or on its way."""
    return dict(control(config, "anchor.list", place=place, limit=limit))


def anchor_heads(config: Path, place: str = "", limit: int = 100) -> list[dict[str, Any]]:
    """Return heads that places keep, newest first, and what this agent made of each."""
    return list(control(config, "anchor.heads", place=place, limit=limit))


def anchor_show(config: Path, entry: str) -> dict[str, Any]:
    """Return one own deed whole, with what it stands for."""
    return dict(control(config, "anchor.show", entry=entry))


def anchor_verify(config: Path, place: str = "") -> list[dict[str, Any]]:
    """Ask the places again: their members, heads, and receipts of own deeds."""
    return list(control(config, "anchor.verify", READING, place=place))


def anchor_doctor(config: Path) -> list[dict[str, Any]]:
    """Return what each place says of itself, and what is wrong."""
    return list(control(config, "anchor.doctor", READING))


def anchor_owed(config: Path, project: str) -> list[dict[str, Any]]:
    """Return what a project's payer owes by each place that keeps what is settled."""
    return list(control(config, "anchor.owed", READING, project=project))


def anchor_vote(config: Path, act: str, **asked: JSON) -> dict[str, Any]:
    """Vote at a place: `admit`, `remove`, `upgrade`, or `again`; see `agent.edge.anchorvotes`."""
    return dict(control(config, "anchor." + act, **asked))


def anchor_account(config: Path, place: str) -> dict[str, JSON]:
    """Return this member's account at a place; see `agent.edge.anchoraccounts`."""
    from secureflow.agent.edge.anchoraccounts import account_document

    return account_document(config, place)


def anchor_plan(config: Path, url: str) -> dict[str, JSON]:
    """Return the place that this agent's next deployment on a chain makes."""
    from secureflow.agent.edge.anchoraccounts import planned_place

    return planned_place(config, url)


def anchor_deploy(
    config: Path, url: str, accounts: Sequence[JSON], window: int, target: str
) -> dict[str, JSON]:
    """Make a planned place; see `agent.edge.anchoraccounts.deploy_place`."""
    from secureflow.agent.edge.anchoraccounts import deploy_place

    return deploy_place(config, url, accounts, window, target)


def bundle_review(config: Path, item: str) -> dict[str, JSON]:
    """Return the code of a request and the code that was approved before it, in base64."""
    return dict(control(config, "bundle.review", READING, item=item))


def bundle_list(config: Path, limit: int = 100) -> list[dict[str, JSON]]:
    """Return the bundles that this owner approved, the last one first."""
    return list(control(config, "bundle.list", limit=limit))


def model_list(config: Path) -> list[dict[str, JSON]]:
    """Return the organisation's own models that the agent keeps, the newest first."""
    return list(control(config, "model.list"))


def model_show(config: Path, job: str) -> dict[str, JSON]:
    """Return the own model of a job, with its figures and those of the shared one."""
    return dict(control(config, "model.show", job=job))


def model_remove(config: Path, job: str) -> dict[str, JSON]:
    """Remove the own model of a job."""
    return dict(control(config, "model.remove", job=job))


def prediction_list(config: Path) -> list[dict[str, JSON]]:
    """Return the predictions that the agent made, the newest first."""
    return list(control(config, "prediction.list"))


def prediction_show(config: Path, job: str) -> dict[str, JSON]:
    """Return what was predicted for a job, its file compared with what was committed to."""
    return dict(control(config, "prediction.show", READING, job=job))


def prediction_remove(config: Path, job: str) -> dict[str, JSON]:
    """Remove the file of a job's predictions."""
    return dict(control(config, "prediction.remove", job=job))


def results_list(config: Path) -> list[dict[str, JSON]]:
    """Return the results of computations with peers that the agent keeps, the newest first."""
    return list(control(config, "results.list"))


def results_show(config: Path, job: str) -> dict[str, JSON]:
    """Return a job's result, its file compared with what was committed to."""
    return dict(control(config, "results.show", READING, job=job))


def results_entries(config: Path, job: str) -> list[dict[str, JSON]]:
    """Return what the peers of a job signed for each of its attempts, as the agent keeps it."""
    return list(control(config, "results.entries", job=job))


def results_remove(config: Path, job: str) -> dict[str, JSON]:
    """Remove the file of a job's result."""
    return dict(control(config, "results.remove", job=job))


def probing_list(config: Path) -> list[dict[str, JSON]]:
    """Return every domain's probing limit, what of it is tested and remains, and the lists."""
    return list(control(config, "probing.list"))


def probing_settle(config: Path, domain: str, tested: int | None = None) -> dict[str, JSON]:
    """Unlock a restored agent's probing limit; without `tested` only show what is known."""
    return dict(control(config, "probing.settle", READING, domain=domain, tested=tested))


def charter_show(config: Path) -> dict[str, JSON]:
    """Return the pinned charter, the centre's, their fingerprints and differences."""
    return dict(control(config, "charter.show"))


def charter_pin(config: Path, charter: JSON, confirm: str) -> dict[str, JSON]:
    """Pin a charter (None: the centre's); the first one needs its fingerprint or digest."""
    return dict(control(config, "charter.pin", charter=charter, confirm=confirm))


def charter_sign(config: Path, confirm: str) -> dict[str, JSON]:
    """Sign the candidate that the words, digits or digest name, and send the signature."""
    return dict(control(config, "charter.sign", confirm=confirm))


def data_list(config: Path) -> list[dict[str, JSON]]:
    """Return declared datasets."""
    return list(control(config, "data.list"))


def data_show(config: Path, name: str) -> dict[str, JSON]:
    """Return one declared dataset with its schema, budget and publication."""
    return dict(control(config, "data.show", name=name))


def data_publish(config: Path, name: str, title: str = "") -> dict[str, JSON]:
    """Check a dataset and publish its description; returns its `id`."""
    return dict(control(config, "data.publish", READING, name=name, title=title))


def data_uses(config: Path, name: str) -> dict[str, JSON]:
    """Return how many grants, projects, requests and approved jobs use a dataset.

    `unsaid` is the error if the centre does not report it.
    """
    return dict(control(config, "data.uses", name=name))


def data_remove(config: Path, name: str) -> dict[str, JSON]:
    """Withdraw a description."""
    return dict(control(config, "data.remove", name=name))


def data_settle(
    config: Path, domain: str, bundles: Sequence[dict[str, JSON]] = ()
) -> dict[str, JSON]:
    """Unlock a restored agent's privacy domain; bundles show what was spent since the backup."""
    named = [{"job": one.get("job"), "spec": one.get("spec")} for one in bundles]
    return dict(control(config, "data.settle", READING, domain=domain, bundles=named))


def data_budget(config: Path, *, exact: bool = True) -> list[dict[str, JSON]]:
    """Return every privacy domain's limit, ε spent, and reservations.

    Without `exact`, ε by privacy loss distribution, which may take seconds, is omitted.
    """
    return list(control(config, "data.budget", READING, exact=exact))


def grant_list(config: Path) -> list[dict[str, JSON]]:
    """Return the agent's grants, and the centre's that nobody here confirmed."""
    return list(control(config, "grant.list"))


def grant_show(config: Path, grant: str) -> dict[str, JSON]:
    """Return one grant, with the jobs that were approved under it."""
    return dict(control(config, "grant.show", grant=grant))


def grant_create(config: Path, terms: JSON) -> dict[str, JSON]:
    """Make a grant (`domain.grants.GrantTerms` as JSON)."""
    return dict(control(config, "grant.create", terms=terms))


def grant_confirm(config: Path, proposal: str, terms: JSON) -> dict[str, JSON]:
    """Confirm a grant of the centre with these terms, which a person was shown."""
    return dict(control(config, "grant.confirm", proposal=proposal, terms=terms))


def grant_revoke(config: Path, grant: str, reason: str = "") -> dict[str, JSON]:
    """Revoke a grant; `stopped` are the jobs that this ended, and what cannot be taken back."""
    return dict(control(config, "grant.revoke", grant=grant, reason=reason))


def grant_unlock(config: Path, grant: str, uses: int, epsilon: float) -> dict[str, JSON]:
    """Confirm a restored agent's grant again, with what was used of it since the backup."""
    return dict(control(config, "grant.unlock", grant=grant, uses=uses, epsilon=epsilon))


def job_withdraw(config: Path, job: str, reason: str = "") -> dict[str, JSON]:
    """Withdraw this organisation's approval of a job, and of the jobs that it starts."""
    return dict(control(config, "job.withdraw", job=job, reason=reason))


def project_freeze(config: Path, project: str, reason: str = "") -> dict[str, JSON]:
    """Stop a project at this agent."""
    return dict(control(config, "project.freeze", project=project, reason=reason))


def project_unfreeze(config: Path, project: str) -> dict[str, JSON]:
    """Take part in a project again."""
    return dict(control(config, "project.unfreeze", project=project))


def requester_block(config: Path, user: str, reason: str = "") -> dict[str, JSON]:
    """Take part in no job of a submitter."""
    return dict(control(config, "requester.block", user=user, reason=reason))


def requester_unblock(config: Path, user: str) -> dict[str, JSON]:
    """Answer a submitter's requests again."""
    return dict(control(config, "requester.unblock", user=user))


def stop_list(config: Path) -> list[dict[str, JSON]]:
    """Return the projects and requesters that are stopped at this agent."""
    return list(control(config, "stop.list"))


def data_usage(config: Path, dataset: str = "") -> dict[str, JSON]:
    """Return who used what, and where record and ledger differ."""
    return dict(control(config, "data.usage", READING, dataset=dataset))


def revenue_show(config: Path, project: str) -> dict[str, JSON]:
    """Return a project's pinned revenue agreement, and the version to sign next."""
    return dict(control(config, "revenue.show", READING, project=project))


def revenue_sign(config: Path, project: str, confirm: str) -> dict[str, JSON]:
    """Sign the version that waits; `confirm` is its digest, whole."""
    return dict(control(config, "revenue.sign", READING, project=project, confirm=confirm))


def settlement_list(config: Path, project: str) -> list[dict[str, JSON]]:
    """Return a project's settlements, as far as they were checked at this agent."""
    return list(control(config, "settlement.list", READING, project=project))


def settlement_show(config: Path, settlement: str) -> dict[str, JSON]:
    """Return a settlement as this agent computes it from records that it verified."""
    return dict(control(config, "settlement.show", READING, settlement=settlement))


def settlement_decide(
    config: Path, act: str, settlement: str, **arguments: JSON
) -> dict[str, JSON]:
    """Sign a deed in a settlement; return it, and the state that follows.

    Args:
        config: the agent's settings file.
        act: `approve` (with `confirm`: the digest of the amounts), `dispute` (`reason`),
            `withdraw`, `pay` (`payee`, `amount`, `reference`), `confirm` (`payer`, `reference`).
        settlement: its whole id.
        arguments: of the act.
    """
    name = "settlement." + act
    return dict(control(config, name, READING, settlement=settlement, **arguments))
