from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from secureflow.application.auditsearch import Criteria
from secureflow.application.ports.storage import PendingLeaf
from secureflow.application.running.recording import pending_leaves
from secureflow.domain.jobs import Job
from secureflow.domain.users import Role
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.ledger.ends import (
    CLOSED,
    FINISHED,
    SERVER,
    End,
    closed_document,
    finished_document,
)
from secureflow.engines.ledger.leaves import Leaf, commitment, parse_leaf, sign_leaf
from secureflow.engines.ledger.merkle import verify_consistency, verify_inclusion
from secureflow.engines.ledger.notes import cosign, parse_note
from secureflow.engines.script import Record
from tests.stage import BANKS, Stage
from tests.unit.application.refusing import refused


async def test_proofs_hold_under_the_head(stage: Stage) -> None:
    audit, auditor = stage.services.audit, stage.person("bank-a", Role.AUDITOR)
    head = await audit.head(auditor)
    note = parse_note(head["note"])
    assert note.verify_log(head["key"])
    size, root = note.checkpoint.size, note.checkpoint.root
    entries = await audit.entries(auditor, limit=500)
    assert len(entries) == size
    for entry in entries[:5]:
        told = await audit.inclusion(auditor, entry["index"], size)
        proof = [bytes.fromhex(node) for node in told["proof"]]
        assert verify_inclusion(bytes.fromhex(entry["hash"]), entry["index"], size, proof, root)
    old = parse_note(await stage.ledger.note(7)).checkpoint
    told = await audit.consistency(auditor, 7, size)
    proof = [bytes.fromhex(node) for node in told["proof"]]
    assert verify_consistency(7, size, old.root, root, proof)


async def test_impossible_proofs_are_refused(stage: Stage) -> None:
    audit, auditor = stage.services.audit, stage.operator
    size = (await audit.head(auditor))["size"]
    for index, tree in ((size, size), (0, size + 1), (0, 0)):
        with refused("not_found"):
            await audit.inclusion(auditor, index, tree)
    with refused("invalid_request"):
        await audit.consistency(auditor, 5, 4)
    with refused("not_found"):
        await audit.consistency(auditor, 5, size + 1)


async def test_everybody_sees_every_hash_but_only_their_own_leaves(stage: Stage) -> None:
    shown = {
        name: await stage.services.audit.entries(principal, limit=500)
        for name, principal in {
            "operator": stage.operator,
            "bank-b": stage.person("bank-b", Role.AUDITOR),
            "outsider": stage.person("outsider", Role.AUDITOR),
        }.items()
    }
    hashes = {name: [entry["hash"] for entry in entries] for name, entries in shown.items()}
    assert hashes["operator"] == hashes["bank-b"] == hashes["outsider"]
    assert all("leaf" in entry for entry in shown["operator"])
    told = str(shown["outsider"])
    for secret in ("project", "job", "bank-a.dataset", "bank-a.grant"):
        assert stage.ids[secret] not in told
        assert stage.ids[secret] in str(shown["operator"])
    assert stage.ids["job"] in str(shown["bank-b"])
    assert "charter.adopted" in told


async def test_entries_of_a_foreign_job_do_not_exist(stage: Stage) -> None:
    audit = stage.services.audit
    outsider = stage.person("outsider", Role.AUDITOR)
    with refused("not_found"):
        await audit.entries(outsider, job=stage.ids["job"])
    with refused("not_found"):
        await audit.bundle(outsider, stage.ids["job"])
    own = await audit.entries(stage.person("bank-c", Role.AUDITOR), job=stage.ids["job"])
    assert [entry["kind"] for entry in own] == ["job.proposed"]
    document = own[0]["document"]
    leaf = parse_leaf(stage.ledger.log[own[0]["index"]].data).leaf
    assert commitment(bytes.fromhex(own[0]["salt"]), document) == leaf.commitment


def party_leaf(
    stage: Stage, party: str, job: Job, prev: str, seq: int, kind: str = "approval", **document: Any
) -> Any:
    salt = secrets.token_bytes(32)
    leaf = Leaf(
        kind, stage.ledger.origin, party, stage.now[0], commitment(salt, document),
        job=job.id, spec=job.digest, prev=prev,
    )  # fmt: skip
    signed = sign_leaf(leaf, stage.keys[party])
    return signed, PendingLeaf(job.id, seq, 0, leaf.kind, party, signed.data(), document, salt)


async def test_what_the_own_agent_signs_in_a_restricted_project_is_for_its_people(
    stage: Stage,
) -> None:
    job = await stage.services.jobs.get(stage.operator, stage.ids["job"])
    _, leaf = party_leaf(stage, "bank-a", job, "", 0, columns=["salary"])
    await stage.submit_leaves([leaf])
    lead, key = stage.scientist("bank-a"), stage.ids["project"]
    await stage.services.project_states.change(lead, key, restricted=True)
    people = {lead: True, stage.admin("bank-a"): True, stage.owner("bank-a"): False,
              stage.person("bank-a", Role.AUDITOR): False}  # fmt: skip
    for person, sees in people.items():
        listed = await stage.services.audit.entries(person, limit=500)
        found, _ = await stage.services.audit_search.page(person, Criteria(author="bank-a"))
        every = [one async for one in stage.services.audit_search.every(person, Criteria(), 500)]
        for shown in (listed, found, every):
            assert ("salary" in str(shown)) is sees
            assert (job.id in str(shown)) is sees


async def closing(stage: Stage, job: Job, ends: dict[str, End]) -> list[PendingLeaf]:
    close = Record(({"kind": CLOSED, "document": closed_document("succeeded", ends)},))
    async with stage.database.begin() as work:
        own = await work.leaves.end(job.id, SERVER)
    return pending_leaves(
        job.id,
        99,
        close,
        stage.ledger.origin,
        stage.ledger._keys.signing,
        job.digest,
        stage.now[0],
        own,
    )


async def finished_job(stage: Stage) -> Job:
    """Let bank-a sign leaves of two jobs in turn, and the roster end the first and cosign that."""
    job = await stage.services.jobs.get(stage.operator, stage.ids["job"])
    other = replace(job, id="job_00000000000000000000")
    one, leaf = party_leaf(stage, "bank-a", job, "", 0, step=1)
    await stage.submit_leaves([leaf])
    two, leaf = party_leaf(stage, "bank-a", other, one.hash(), 1, step="another job's secret")
    await stage.submit_leaves([leaf])
    step, leaf = party_leaf(stage, "bank-a", job, two.hash(), 2, step=3)
    await stage.submit_leaves([leaf])
    ends = {"bank-a": End(2, step.hash())}
    for n, bank in enumerate(BANKS[1:]):
        approval, leaf = party_leaf(stage, bank, job, "", 3 + n)
        await stage.submit_leaves([leaf])
        ends[bank] = End(1, approval.hash())
    for n, (bank, end) in enumerate(ends.items()):
        document = finished_document("succeeded", end)
        own, leaf = party_leaf(stage, bank, job, end.last, 10 + n, FINISHED, **document)
        await stage.submit_leaves([leaf])
        ends[bank] = end.after(own.hash())
    await stage.submit_leaves(await closing(stage, job, ends))
    size = parse_note(await stage.ledger.head()).checkpoint.size
    note = await stage.ledger.note(size)
    lines = [cosign(note, bank, stage.keys[bank], stage.now[0]) for bank in BANKS]
    await stage.ledger.cosign(size, lines)
    report = {"ledger": {"size": size}}
    return await stage.finish(job, report=report)


async def test_the_bundle_verifies_offline(stage: Stage) -> None:
    job = await finished_job(stage)
    await stage.publish("bank-a", "later")  # the log goes on
    bundle = await stage.services.audit.bundle(stage.person("bank-b", Role.AUDITOR), job.id)
    charter = await stage.services.charters.current()
    assert charter is not None
    verdict = verify_bundle(bundle, charter.charter)
    assert verdict.ok, verdict.failures
    assert verdict.cosigners == BANKS
    assert "another job's secret" not in str(bundle)
    assert len(bundle["entries"]) == 1 + 3 + 2 + 3 + 1
    assert {end.author for end in verdict.authors if end.provable} == {SERVER, *BANKS}
    assert verify_bundle(bundle, None).status == "consistent, unauthenticated"


async def test_a_bundle_stands_under_the_head_that_most_witnessed(stage: Stage) -> None:
    """Who was away at the end cosigns a later head; a head before the end is never taken."""
    job = await finished_job(stage)
    await stage.publish("bank-a", "later")
    size = parse_note(await stage.ledger.head()).checkpoint.size
    for at in (size, 1):
        note = await stage.ledger.note(at)
        lines = [cosign(note, bank, key, stage.now[0]) for bank, key in stage.keys.items()]
        await stage.ledger.cosign(at, lines)
    stage.ledger._lines[size - 1] = stage.ledger._lines[size - 1][:1]
    bundle = await stage.services.audit.bundle(stage.operator, job.id)
    assert parse_note(bundle["note"]).checkpoint.size == size
    charter = await stage.services.charters.current()
    assert charter is not None
    assert verify_bundle(bundle, charter.charter).ok


async def test_the_bundle_names_the_charter_of_the_submission(stage: Stage) -> None:
    job = await finished_job(stage)
    before = await stage.services.charters.current()
    shown = await stage.services.charters.propose(stage.operator, list(BANKS))
    await stage.sign_charter(shown, list(shown["charter"]["members"]))
    bundle = await stage.services.audit.bundle(stage.operator, job.id)
    assert before is not None
    assert bundle["charter"] == before.charter.digest
    assert verify_bundle(bundle, before.charter).ok
