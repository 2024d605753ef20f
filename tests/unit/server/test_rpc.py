"""What parties may ask over their links, and what they may not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from secureflow.adapters.artifacts.files import ScratchFiles
from secureflow.adapters.link import LogProgress, PeerIdentity
from secureflow.adapters.link.relay import PeerPlace
from secureflow.application.throttle import Throttle
from secureflow.application.witnessing import Witnessing
from secureflow.domain.blobs import BlobPlace
from secureflow.domain.jobs import Job, JobState
from secureflow.engines.bundles import Bundle, pack
from secureflow.engines.ledger.merkle import verify_consistency
from secureflow.engines.ledger.notes import parse_note
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import make_csr, new_link_key, parse_certificate, spiffe_id
from secureflow.kit.spiffe import SpiffeId
from secureflow.server.peers import check_join
from secureflow.server.rpc import PartyDesk, Tickets
from tests.doubles import MemoryArtifacts
from tests.stage import COLUMNS, Stage
from tests.unit.application.refusing import refused

DIGEST = "ab" * 32


class JobStores:
    """A store for each job."""

    def __init__(self) -> None:
        self.stores: dict[str, MemoryArtifacts] = {}

    def of(self, job: str) -> MemoryArtifacts:
        return self.stores.setdefault(job, MemoryArtifacts())

    async def discard(self, job: str) -> None:
        self.stores.pop(job, None)


ENCLAVE = SpiffeId("test.example", "enclave", "", "main")


@dataclass
class Desk:
    stage: Stage
    desk: PartyDesk

    def peer(self, party: str) -> PeerIdentity:
        return PeerIdentity(party, SpiffeId("test.example", "agent", party, "agent-1"), "1")

    async def call(self, kind: str, party: str = "bank-a", **body: Any) -> Any:
        return await self.desk.call(self.peer(party), kind, body)


@pytest.fixture
async def desk(stage: Stage) -> Desk:
    services = stage.services
    witnessing = Witnessing(stage.ledger, services.charters.keys)
    desk = PartyDesk(
        witnessing,
        1 << 20,
        lambda: stage.now[0],
        stage.artifacts,
        JobStores(),
        Throttle(1.0, 10, lambda: stage.ticks[0]),
    )
    desk.open(services)
    return Desk(stage, desk)


async def test_only_living_agents_are_admitted(desk: Desk) -> None:
    stage = desk.stage
    spiffe = SpiffeId.parse(stage.ids["bank-a.agent"])
    assert await desk.desk.authorise(spiffe, "1") == desk.peer("bank-a")
    await stage.services.organisations.revoke(stage.operator, stage.ids["bank-a.agent"])
    with refused("certificate_revoked"):
        await desk.desk.authorise(spiffe, "1")
    with refused("certificate_revoked"):
        await desk.desk.hello(desk.peer("bank-a"), {})
    with refused("certificate_revoked"):
        await desk.call("certificate.renew", csr=make_csr(new_link_key()))
    with refused("certificate_revoked"):
        await desk.desk.authorise(ENCLAVE, "1")


async def test_an_agent_greets_with_the_key_that_it_enrolled(desk: Desk) -> None:
    own, other = (desk.stage.keys[bank].public for bank in ("bank-a", "bank-b"))
    await desk.desk.hello(desk.peer("bank-a"), {"key": own})
    with refused("key_mismatch"):
        await desk.desk.hello(desk.peer("bank-a"), {"key": other})


async def test_an_agent_says_which_engines_it_has_meanwhile(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[tuple[str, dict[str, str]]] = []
    courier = desk.stage.services.courier
    monkeypatch.setattr(courier, "note_engines", lambda *told: noted.append(told))
    await desk.call("engines", engines={"mpyc": "0.11", "../x": "1"})
    await desk.call("engines", engines="x")
    assert noted == [("bank-a", {"mpyc": "0.11"}), ("bank-a", {})]


async def test_a_renewed_certificate_has_the_same_name(desk: Desk) -> None:
    answer = await desk.call("certificate.renew", csr=make_csr(new_link_key()))
    certificate = parse_certificate(answer["certificate"])
    assert spiffe_id(certificate) == desk.stage.ids["bank-a.agent"]
    with refused("csr_malformed"):
        await desk.call("certificate.renew", csr="x")


async def test_a_party_publishes_only_as_itself(desk: Desk) -> None:
    body = {"name": "loans", "title": "", "columns": COLUMNS, "rows": "<1k", "commitment": DIGEST}
    key = (await desk.call("dataset.publish", **body))["id"]
    dataset = await desk.stage.services.datasets.get(desk.stage.operator, key)
    assert dataset.organisation == "bank-a"
    with refused("invalid_dataset"):
        await desk.call("dataset.publish", **body, organisation="bank-b")
    with refused("not_found"):
        await desk.call("dataset.remove", "bank-b", name="loans")
    await desk.call("dataset.remove", name="loans")
    enclave = PeerIdentity("enclave", ENCLAVE, "1")
    for kind in ("dataset.publish", "charter.sign", "audit.entries"):
        with refused("forbidden"):
            await desk.desk.call(enclave, kind, {**body, "digest": "", "signature": ""})


async def test_a_party_signs_only_as_itself(desk: Desk) -> None:
    stage = desk.stage
    shown = await stage.services.charters.propose(stage.operator)
    body = (await desk.call("charter.get"))["candidate"]["charter"]
    signature = stage.keys["bank-a"].sign("charter", body)
    with refused("signature_refused"):
        await desk.call("charter.sign", "bank-b", digest=shown["digest"], signature=signature)
    await desk.call("charter.sign", digest=shown["digest"], signature=signature)
    assert list((await desk.call("charter.get"))["candidate"]["signatures"]) == ["bank-a"]


async def test_the_head_comes_with_its_proof(desk: Desk) -> None:
    old = parse_note(await desk.stage.ledger.note(5)).checkpoint
    answer = await desk.call("audit.head", **{"from": 5})
    new = parse_note(answer["note"]).checkpoint
    proof = [bytes.fromhex(node) for node in answer["consistency"]]
    assert verify_consistency(5, new.size, old.root, new.root, proof)
    assert (await desk.call("audit.head", **{"from": 0}))["consistency"] == []
    with refused("not_found"):
        await desk.call("audit.head", **{"from": new.size + 1})
    for wrong in (-1, "5", True, None, 1 << 60):
        with refused("invalid_request"):
            await desk.call("audit.head", **{"from": wrong})


async def test_entries_are_shown_as_to_an_auditor_of_the_party(desk: Desk) -> None:
    own = str(await desk.call("audit.entries", limit=500))
    foreign = str(await desk.call("audit.entries", "outsider", limit=500))
    assert desk.stage.ids["job"] in own
    assert desk.stage.ids["job"] not in foreign


async def test_status_tells_the_doctor(desk: Desk) -> None:
    status = await desk.call("status")
    assert status["time"] == desk.stage.now[0]
    assert status["party"] == "bank-a"
    charter = await desk.stage.services.charters.current()
    assert charter is not None
    assert status["charter"] == charter.charter.digest


async def test_a_certificate_that_this_clock_refuses_is_known_without_the_party(desk: Desk) -> None:
    assert await desk.desk.certificate_problem("bank-a") == ""
    assert await desk.desk.certificate_problem("nobody") == ""
    desk.stage.now[0] -= 7200
    said = await desk.desk.certificate_problem("bank-a")
    assert "is not valid" in said
    assert "by the centre's clock" in said
    desk.stage.now[0] += 7200 + 25 * 3600
    assert "is not valid" in await desk.desk.certificate_problem("bank-a")
    await desk.call("certificate.renew", csr=make_csr(new_link_key()))
    assert await desk.desk.certificate_problem("bank-a") == ""


async def test_unknown_calls_are_named(desk: Desk) -> None:
    with refused("unknown_kind", "charter.steal"):
        await desk.call("charter.steal")


async def test_a_blob_is_read_only_by_whom_a_request_told_of_it(desk: Desk) -> None:
    a, b = desk.peer("bank-a"), desk.peer("bank-b")
    assert not await desk.desk.may_read(a, DIGEST)
    assert (
        await desk.desk.log_proofs("bank-a", {"model": {"artifact": DIGEST}}, LogProgress()) is None
    )
    assert await desk.desk.may_read(a, DIGEST)
    assert not await desk.desk.may_read(b, DIGEST)
    assert not await desk.desk.may_read(a, "cd" * 32)
    for model in (None, [], {"artifact": 5}, {"artifact": ""}, "x"):
        await desk.desk.log_proofs("bank-b", {"model": model}, LogProgress())
    assert not await desk.desk.may_read(b, "")


async def test_a_sealed_file_is_read_by_its_recipient_as_long_as_its_job_runs(
    desk: Desk, tmp_path: Path
) -> None:
    desk.desk._vectors = ScratchFiles(tmp_path)
    a, b, job = desk.peer("bank-a"), desk.peer("bank-b"), "job_0123456789"
    files = {"bank-a": {"artifact": DIGEST, "size": 400}, "bank-c": "no file"}
    asked = {"job": job, "stage": "predict", "round": 1, "vector": {"size": 400}}
    await desk.desk.log_proofs("bank-a", asked, LogProgress())
    store = await desk.desk.may_write(a, DIGEST, 400, BlobPlace(job, "predict", 1))
    assert not await desk.desk.may_read(b, DIGEST)
    await desk.desk.log_proofs("bank-b", {"job": job, "files": files}, LogProgress())
    assert await desk.desk.may_read(b, DIGEST) is store
    assert not await desk.desk.may_read(a, DIGEST)  # it has it
    assert not await desk.desk.may_read(desk.peer("bank-c"), DIGEST)
    await desk.desk._vectors.discard(job)
    assert not await desk.desk.may_read(b, DIGEST)


async def test_code_is_read_by_the_members_of_its_projects(desk: Desk) -> None:
    code, stage = Bundle({"model.py": b"x = 1"}), desk.stage
    await stage.services.bundles.upload(
        stage.scientist("bank-a"), stage.ids["project"], pack(code), digest=code.digest
    )
    assert await desk.desk.may_read(desk.peer("bank-b"), code.digest)
    assert not await desk.desk.may_read(desk.peer("outsider"), code.digest)
    assert not await desk.desk.may_read(PeerIdentity("enclave", ENCLAVE, "1"), code.digest)


async def test_the_enclave_stores_within_bounds(desk: Desk) -> None:
    enclave = PeerIdentity("enclave", ENCLAVE, "1")
    assert await desk.desk.may_write(enclave, DIGEST, 1 << 20) is desk.stage.artifacts
    assert await desk.desk.may_write(enclave, DIGEST, (1 << 20) + 1) is None
    assert await desk.desk.may_write(desk.peer("bank-a"), DIGEST, 1) is None


async def test_an_agent_stores_the_one_vector_that_it_was_asked_for(desk: Desk) -> None:
    a, b = desk.peer("bank-a"), desk.peer("bank-b")
    asked = {"job": "job_0123456789", "stage": "train", "round": 1, "vector": {"size": 400}}
    await desk.desk.log_proofs("bank-a", asked, LogProgress())
    assert await desk.desk.may_write(b, DIGEST, 400) is None
    assert await desk.desk.may_write(a, DIGEST, 401) is None
    place = await desk.desk.may_write(a, DIGEST, 400)
    assert place is not None
    assert place is not desk.stage.artifacts
    assert await desk.desk.may_write(a, DIGEST, 400) is place
    assert await desk.desk.may_write(a, "cd" * 32, 400) is None
    await desk.desk.log_proofs("bank-a", asked, LogProgress())  # delivered again: no second vector
    assert await desk.desk.may_write(a, "cd" * 32, 400) is None
    await desk.desk.log_proofs("bank-a", {**asked, "round": 2}, LogProgress())
    assert await desk.desk.may_write(a, "cd" * 32, 400) is place
    sealed = {**asked, "round": 3, "generation": 1}  # it goes to the enclave
    await desk.desk.log_proofs("bank-b", sealed, LogProgress())
    assert await desk.desk.may_write(b, DIGEST, 400) is None


def vector_of(job: str, number: int = 1) -> dict[str, Any]:
    return {"job": job, "stage": "train", "round": number, "vector": {"size": 400}}


async def test_vectors_of_jobs_that_run_at_once_do_not_cross(desk: Desk) -> None:
    """They have one size; both were lost when each was filed under the other's job."""
    a, jobs = desk.peer("bank-a"), [f"job_{number}{'0' * 9}" for number in (1, 2)]
    for job in jobs:
        await desk.desk.log_proofs("bank-a", vector_of(job), LogProgress())
    stores = [await desk.desk.may_write(a, f"{number}b" * 32, 400, BlobPlace(job, "train", 1))
              for number, job in enumerate(jobs)]  # fmt: skip
    assert stores == [desk.desk._vectors.of(job) for job in jobs]
    for place in (BlobPlace(jobs[0], "train", 2), BlobPlace("job_3000000000", "train", 1),
                  BlobPlace(jobs[0], "evaluate", 1)):  # fmt: skip
        assert await desk.desk.may_write(a, "0b" * 32, 400, place) is None
    named = BlobPlace(jobs[0], "train", 1)
    assert await desk.desk.may_write(a, "0b" * 32, 401, named) is None
    assert await desk.desk.may_write(a, "cc" * 32, 400, named) is None  # one for each round
    assert await desk.desk.may_write(desk.peer("bank-b"), "0b" * 32, 400, named) is None


async def test_a_vector_that_does_not_say_for_which_job_is_there_for_each(
    desk: Desk, tmp_path: Path
) -> None:
    """As an agent of 0.2.0 sends it; a job that is over, and one under a seal, wait for none."""
    desk.desk._vectors = ScratchFiles(tmp_path)
    a, jobs = desk.peer("bank-a"), [f"job_{number}{'0' * 9}" for number in (1, 2, 3, 4)]
    for job in jobs[:3]:
        await desk.desk.log_proofs("bank-a", vector_of(job), LogProgress())
    await desk.desk.log_proofs("bank-a", vector_of(jobs[3]) | {"uplink": {}}, LogProgress())
    await desk.desk._vectors.discard(jobs[2])
    for content in (b"x" * 400, b"y" * 400):
        digest = blake3(content).hexdigest()
        store = await desk.desk.may_write(a, digest, 400)
        assert store is not None
        store.demand(400)
        await store.put(_chunks(content), limit=400, expect=digest)
        for job in jobs[:2]:
            assert (await desk.desk._vectors.of(job).stat(digest)).size == 400
        with pytest.raises(SecureFlowError):
            await desk.desk._vectors.of(jobs[3]).stat(digest)
    assert await desk.desk.may_write(a, "cc" * 32, 400) is None  # as many as it was asked for


async def test_what_an_agent_did_not_name_before_its_upgrade_is_no_vector_that_it_names(
    desk: Desk,
) -> None:
    """Within a round of two jobs: the second one's own was refused until the centre restarted."""
    a, jobs = desk.peer("bank-a"), [f"job_{number}{'0' * 9}" for number in (1, 2)]
    for job in jobs:
        await desk.desk.log_proofs("bank-a", vector_of(job), LogProgress())
    assert await desk.desk.may_write(a, "aa" * 32, 400) is not None  # there for each
    named = BlobPlace(jobs[1], "train", 1)
    for _ in range(2):
        store = await desk.desk.may_write(a, "bb" * 32, 400, named)
        assert store is desk.desk._vectors.of(jobs[1])
    assert await desk.desk.may_write(a, "cc" * 32, 400, named) is None  # one for each round
    assert await desk.desk.may_write(a, "aa" * 32, 400, named) is None


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


def test_tickets_are_bounded() -> None:
    tickets = Tickets(capacity=2)
    for digest in ("a", "b", "c"):
        tickets.note("bank-a", {"model": {"artifact": digest}})
    assert [tickets.held("bank-a", digest) for digest in "abc"] == [False, True, True]


async def test_log_proofs_prove_the_head_that_the_request_names(desk: Desk) -> None:
    head = await desk.stage.ledger.head()
    size = parse_note(head).checkpoint.size
    leaf = desk.stage.ledger.log[2].hash.hex()
    log_proofs = await desk.desk.log_proofs(
        "bank-a", {"head": head}, LogProgress(4, (leaf, "00" * 32))
    )
    assert (log_proofs["consistency"]["from"], log_proofs["consistency"]["to"]) == (4, size)
    assert [one["index"] for one in log_proofs["inclusion"]] == [2]


@pytest.mark.slow
async def test_an_organisation_has_so_many_turns_and_takes_none_from_others(desk: Desk) -> None:
    own = SpiffeId.parse(desk.stage.ids["bank-a.agent"])
    other = SpiffeId.parse(desk.stage.ids["bank-b.agent"])
    second = SpiffeId("test.example", "agent", "bank-a", "agent-2")  # the same organisation
    for _ in range(10):
        await desk.desk.authorise(own, "1")
    for spiffe in (own, second):
        with refused("rate_limited"):
            await desk.desk.authorise(spiffe, "1")
    await desk.desk.authorise(other, "1")
    desk.stage.ticks[0] += 1.0
    await desk.desk.authorise(own, "1")
    with refused("rate_limited"):
        await desk.desk.authorise(own, "1")
    for _ in range(50):  # the operator's own is not paced: it is refused here for another reason
        with refused("certificate_revoked"):
            await desk.desk.authorise(ENCLAVE, "1")


async def test_an_enclave_hears_which_of_its_jobs_are_over(desk: Desk) -> None:
    stage = desk.stage
    job = await stage.services.jobs.get(stage.operator, stage.ids["job"])
    enclave = PeerIdentity("enclave", ENCLAVE, "1")
    body = {"jobs": [job.id, "job_lost"]}  # a centre that was restored knows nothing of it
    assert await desk.desk.call(enclave, "job.ends", body) == {"over": ["job_lost"]}
    await stage.finish(job, state=JobState.FAILED)
    assert await desk.desk.call(enclave, "job.ends", body) == {"over": [job.id, "job_lost"]}
    with refused("invalid_request"):
        await desk.desk.call(enclave, "job.ends", {"jobs": ["../x"]})


async def test_channels_are_those_of_running_jobs_with_peers(desk: Desk) -> None:
    stage, begin = desk.stage, desk.stage.services.begin
    roster = [{"party": bank} for bank in ("bank-a", "bank-b")]
    for name, kind, state, protection in (
        ("job_runs", "psi", JobState.RUNNING, "peers"),
        ("job_ended", "psi", JobState.SUCCEEDED, "peers"),
        ("job_trains", "training", JobState.RUNNING, "peers"),
        ("job_sums", "mpc", JobState.RUNNING, "secagg"),
    ):
        spec = {"roster": roster, "protection": protection}
        job = Job(
            name, "p", "bank-a", name, "u", kind, f"{kind}/1", spec, DIGEST, state,
            stage.now[0], stage.now[0],
        )  # fmt: skip
        async with begin() as work:
            await work.jobs.add(job)
            await work.commit()

    async def join(party: str, job: str, peer: str) -> None:
        await check_join(begin, {"psi", "mpc"}, party, PeerPlace(job, 1, peer))

    await join("bank-a", "job_runs", "bank-b")
    await join("bank-b", "job_runs", "bank-a")
    for party, name, peer in (
        ("bank-a", "job_runs", "bank-c"),
        ("bank-c", "job_runs", "bank-a"),
        ("bank-a", "job_ended", "bank-b"),
        ("bank-a", "job_trains", "bank-b"),
        ("bank-a", "job_sums", "bank-b"),
        ("bank-a", "job_unknown", "bank-b"),
    ):
        with refused("forbidden"):
            await join(party, name, peer)
    with refused("forbidden"):  # no kind of job of this desk has channels
        await desk.desk.may_join(desk.peer("bank-a"), PeerPlace("job_runs", 1, "bank-b"))
