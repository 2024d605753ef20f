"""The ends of a job: whatever is cut off its story is noticed, in every kind of job and of end.

The scripts are driven with honest parties over a log whose leaves are really signed; an exporter
then takes leaves away, puts some elsewhere, or makes an end of its own.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest

from secureflow.application.running import recording
from secureflow.domain.specs.protections import between_peers, contributes, traits_of
from secureflow.engines.ledger.accused import Accusation
from secureflow.engines.ledger.bundle import BundleVerdict, verify_bundle
from secureflow.engines.ledger.bundle_format import BundleEntry, bundle_json
from secureflow.engines.ledger.ends import CLOSED, FINISHED, SERVER, End, finished_document
from secureflow.engines.ledger.leaves import Leaf, commitment, parse_leaf, sign_leaf
from secureflow.engines.ledger.merkle import MemoryTree
from secureflow.engines.ledger.notes import Checkpoint, attach, cosign, sign_checkpoint
from secureflow.engines.script import Effect
from secureflow.kit.errors import SecureFlowError
from tests.full import thinned
from tests.unit.engines.evaluation.world import FixedWorld
from tests.unit.engines.mpc.world import MpcWorld
from tests.unit.engines.prediction.world import DeliveredWorld, PredictionWorld
from tests.unit.engines.psi.world import PsiWorld
from tests.unit.engines.recipes.world import PreparationWorld
from tests.unit.engines.statistics.test_statistics_script import StatisticsWorld
from tests.unit.engines.training.masked_world import MaskedWorld
from tests.unit.engines.training.world import JOB, ORIGIN, World

pytestmark = pytest.mark.slow

Bundle = dict[str, Any]
Stop = Callable[[int, Effect], bool]
CANCELLED = SecureFlowError("cancelled", f"Job {JOB} was cancelled.")
SILENT = SecureFlowError("party_silent", "bank-d is silent")


def play(world: World, stop: Stop = lambda seq, effect: False) -> str:
    """Drive the world's script to its end, cancelled where `stop` says so; return the outcome."""
    error = ended(world, stop)
    if error is None:
        return "succeeded"
    return "cancelled" if error.code == "cancelled" else "failed"


def ended(world: World, stop: Stop = lambda seq, effect: False) -> SecureFlowError | None:
    """Drive the script in the same way; return the error by which the job ended."""
    script, seq = world.script(), 0
    try:
        effect = next(script)
        while True:
            try:
                if stop(seq, effect):
                    raise CANCELLED
                answer = world.perform(seq, effect)
            except SecureFlowError as error:
                effect = script.throw(SecureFlowError.from_json(error.as_json()))
            else:
                effect = script.send(answer)
            seq += 1
    except StopIteration:
        return None
    except SecureFlowError as error:
        return error


def asks(verb: str, nth: int = 0) -> Stop:
    seen: set[int] = set()

    def stop(seq: int, effect: Effect) -> bool:
        if getattr(effect, "verb", "") == verb:
            seen.add(seq)
        return len(seen) == nth + 1 and seq in seen

    return stop


ACCUSES = {
    "refused": "close",
    "code": "vote_already_cast",
    "reason": "no",
    "against": ["server"],
    "evidence": "ab" * 32,
    "round": 1,
    "stage": "train",
}


def accusing(world: World, verb: str) -> World:
    """Let bank-d refuse once, with a signed accusation, and then stay away for good."""

    def accuse(party: str, asked: str, reply: dict[str, Any]) -> dict[str, Any]:
        if party == "bank-d" and asked == verb:
            world.silent.add("bank-d")
            offered = world._leaf("bank-d", "accusation", ACCUSES)
            raise SecureFlowError("vote_already_cast", "no", "", {"accusation": offered})
        return reply

    world.liar = accuse
    return world


def world_of(kind: str, count: int = 4) -> World:
    if kind == "statistics":
        return StatisticsWorld(count=count)
    if kind == "preparation":
        return PreparationWorld(count=count)
    if kind == "evaluation":
        return FixedWorld(count=count)
    if kind == "prediction":
        return PredictionWorld(count=count)
    if kind == "mpc":
        return MpcWorld(count=count)
    if kind == "delivered":
        return DeliveredWorld(count=count)
    if kind == "psi":
        return PsiWorld(count=count)
    if kind == "sealed":
        return World(count=count, rounds=1)
    return MaskedWorld(count=count, rounds=1, protection=kind)


WORK = ("mask", "train", "keep", "peer_run")
"""The verbs of what a party does in a round."""


def cut_short(world: World, **_: Any) -> str:
    world.refuse |= {(party, verb): SILENT for party in ("bank-b", "bank-c") for verb in WORK}
    return play(world)


def without_d(world: World) -> str:
    world.refuse |= {("bank-d", verb): SILENT for verb in (*WORK, "finish", "cosign")}
    return play(world)


def last_verb(world: Any) -> str:
    """What opens a round's sum, or ends the only one."""
    if between_peers(world.spec):
        return "peer_run"
    if not contributes(world.spec):
        return "keep"
    return "answer" if traits_of(world.spec).masks else "close"


def refused_by_d(world: World) -> str:
    """One party refuses the job: of it there is nothing but its end, after leaves of other jobs."""
    world.before["bank-d"] = "ab" * 32
    world.refuse["bank-d", "consent"] = SecureFlowError("consent_refused", "bank-d refuses")
    return play(world)


COURSES: dict[str, tuple[str, Callable[[World], str]]] = {
    "success": ("succeeded", play),
    "failure": ("failed", cut_short),
    "cancelled": (
        "cancelled",
        lambda w: play(w, asks(last_verb(w))),
    ),
    "dropped": ("succeeded", without_d),
    "refused": ("failed", refused_by_d),
    "accusation": (
        "succeeded",
        lambda w: play(accusing(w, last_verb(w))),
    ),
}
KINDS = (
    *("sealed", "secagg", "statistics", "preparation", "evaluation", "prediction", "delivered"),
    *("psi", "mpc"),
)


@cache
def story(kind: str, course: str) -> World:
    world = world_of(kind)
    world.names_models = True
    outcome, run = COURSES[course]
    assert run(world) == outcome
    return world


def judge(world: World, bundle: Bundle) -> BundleVerdict:
    return verify_bundle(json.loads(json.dumps(bundle)), world.charter)


def without(bundle: Bundle, *places: int) -> Bundle:
    entries = [entry for at, entry in enumerate(bundle["entries"]) if at not in places]
    return {**bundle, "entries": entries}


def kinds_of(bundle: Bundle, author: str) -> list[str]:
    leaves = (entry["leaf"]["leaf"] for entry in bundle["entries"])
    return [leaf["kind"] for leaf in leaves if leaf["author"] == author]


every_story = pytest.mark.parametrize(
    ("kind", "course"),
    thinned([(kind, course) for kind in KINDS for course in COURSES], 3, pytest.mark.full),
)


@every_story
def test_a_complete_story_verifies_and_tells_every_end(kind: str, course: str) -> None:
    world = story(kind, course)
    verdict = judge(world, world.bundle())
    assert (verdict.status, verdict.failures, verdict.missing) == ("verified", (), ())
    assert verdict.outcome == COURSES[course][0]
    ends = {end.author: end for end in verdict.authors}
    assert set(ends) == {SERVER, *world.spec.parties}
    gone = {"bank-d"} if course in {"dropped", "accusation"} else set()
    assert {author for author, end in ends.items() if not end.provable} == gone
    for party in world.spec.parties:
        assert ends[party].count == len(world.made[party])
        assert (kinds_of(world.bundle(), party)[-1] == FINISHED) == (party not in gone)
    if course == "accusation":
        assert kinds_of(world.bundle(), "bank-d")[-1] == "accusation"
        told = Accusation("bank-d", ("server",), "vote_already_cast", 1, "train", "ab" * 32)
        assert verdict.accusations == (told,)
    else:
        assert verdict.accusations == ()


@every_story
def test_every_leaf_that_is_taken_away_is_noticed(kind: str, course: str) -> None:
    world = story(kind, course)
    bundle = world.bundle()
    for place in range(len(bundle["entries"])):
        entry = bundle["entries"][place]["leaf"]["leaf"]
        verdict = judge(world, without(bundle, place))
        assert not verdict.ok, entry
        assert verdict.status == ("unfinished" if entry["kind"] == CLOSED else "broken"), entry


@every_story
def test_every_end_that_is_cut_off_is_noticed(kind: str, course: str) -> None:
    """Of the whole story, and of each author's leaves alone."""
    world = story(kind, course)
    bundle = world.bundle()
    size = len(bundle["entries"])
    for start in range(size):
        assert not judge(world, without(bundle, *range(start, size))).ok, start
    for author in (SERVER, *world.spec.parties):
        places = [
            at for at, e in enumerate(bundle["entries"]) if e["leaf"]["leaf"]["author"] == author
        ]
        for start in range(len(places)):
            assert not judge(world, without(bundle, *places[start:])).ok, (author, start)


@pytest.mark.parametrize("kind", KINDS)
def test_an_older_head_does_not_hide_the_end(kind: str) -> None:
    """The head over the outcome has its quorum too; the ends stand behind it."""
    world = story(kind, "success")
    size = max(n for n in world.heads if n < len(world.log))
    verdict = judge(world, exported(world, size))
    assert (verdict.status, verdict.failures) == ("unfinished", ())
    assert len(verdict.cosigners) >= verdict.quorum
    assert "the centre's end (job.closed) is missing" in verdict.missing[0]


def exported(world: World, size: int) -> Bundle:
    """The bundle under an older head."""
    return bundle_json(
        note=world.heads[size], job=JOB, spec=world.bundle()["spec"], charter=world.charter.digest,
        entries=[
            BundleEntry(
                index, parse_leaf(leaf.data), tuple(world.tree.inclusion_proof(index, size)),
                leaf.document, leaf.salt,
            )
            for index, leaf in enumerate(world.log[:size])
        ],
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_leaves_in_another_order_or_twice_are_noticed(kind: str) -> None:
    world = story(kind, "accusation")
    bundle = world.bundle()
    for place in range(len(bundle["entries"]) - 1):
        swapped = copy.deepcopy(bundle)
        two = swapped["entries"]
        two[place], two[place + 1] = two[place + 1], two[place]
        assert judge(world, swapped).status == "broken"
        twice = copy.deepcopy(bundle)
        twice["entries"].insert(place, twice["entries"][place])
        assert judge(world, twice).status == "broken"


@pytest.mark.parametrize("kind", KINDS)
def test_an_end_without_its_document_is_none(kind: str) -> None:
    world = story(kind, "success")
    for end in (CLOSED, FINISHED):
        bundle = copy.deepcopy(world.bundle())
        entry = next(e for e in bundle["entries"] if e["leaf"]["leaf"]["kind"] == end)
        del entry["document"], entry["salt"]
        verdict = judge(world, bundle)
        assert verdict.status == "unfinished"
        assert "comes without its document" in verdict.missing[0]


@pytest.mark.parametrize("kind", KINDS)
def test_an_accusation_without_its_document_is_noticed(kind: str) -> None:
    """Its leaf stands in the accuser's chain; the accused centre would rather not say the rest."""
    world = story(kind, "accusation")
    bundle = copy.deepcopy(world.bundle())
    (entry,) = (e for e in bundle["entries"] if e["leaf"]["leaf"]["kind"] == "accusation")
    assert judge(world, bundle).ok
    del entry["document"], entry["salt"]
    verdict = judge(world, bundle)
    assert verdict.status == "unfinished"
    assert "the accusation comes without its document" in verdict.missing[0]


# What a centre can write that holds the log's key.


class Forger:
    """Writes the log of a world again, with the centre's key and with the parties' leaves as is."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log = list(world.log)

    def close(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Sign the last entry, the close, anew."""
        document = copy.deepcopy(self.log.pop().document)
        last = document["ends"][-1]["last"]
        change(document)
        self.sign(CLOSED, document, last)

    def sign(self, kind: str, document: Any, prev: str = "") -> None:
        self.log.append(
            recording.server_leaf(
                kind, document, ORIGIN, self.world.log_key, 1, job=JOB, spec=self.world.digest,
                prev=prev,
            )
        )  # fmt: skip

    def party(self, party: str, kind: str, prev: str, document: Any, job: str = JOB) -> None:
        salt = bytes(32)
        world = self.world
        leaf = Leaf(
            kind, ORIGIN, party, 1, commitment(salt, document), job=job, spec=world.digest,
            prev=prev,
        )  # fmt: skip
        data = sign_leaf(leaf, world.keys[party]).data()
        self.log.append(
            replace(world.log[0], author=party, data=data, document=document, salt=salt)
        )

    def bundle(self, log: list[Any] | None = None) -> Bundle:
        log = self.log if log is None else log
        tree = MemoryTree()
        tree.append(*(leaf.data for leaf in log))
        note = sign_checkpoint(Checkpoint(ORIGIN, tree.size, tree.root()), self.world.log_key)
        note = attach(note, [cosign(note, p, k, 1) for p, k in self.world.keys.items()])
        return bundle_json(
            note=note, job=JOB, spec=self.world.bundle()["spec"], charter=self.world.charter.digest,
            entries=[
                BundleEntry(
                    index, signed, tuple(tree.inclusion_proof(index)), leaf.document,
                    leaf.salt if signed.leaf.job == JOB else None,
                )
                for index, leaf in enumerate(log)
                for signed in [parse_leaf(leaf.data)]
            ],
        )  # fmt: skip


def of_party(document: dict[str, Any], party: str) -> dict[str, Any]:
    return next(line for line in document["ends"] if line["author"] == party)


def forge(
    course: str,
    change: Callable[[dict[str, Any]], None],
    hidden: Callable[[Any], bool] | None = None,
) -> BundleVerdict:
    world = story("sealed", course)
    forger = Forger(world)
    if hidden is not None:
        forger.log = [leaf for leaf in forger.log if not hidden(leaf)]
    forger.close(change)
    return judge(world, forger.bundle())


def test_the_forger_writes_what_verifies_when_it_changes_nothing() -> None:
    assert forge("success", lambda document: None).ok


def under_count(world: World, party: str, kinds: tuple[str, ...]) -> Callable[[Any], None]:
    """Count a party's leaves as if those of some kinds had never been."""
    left = [
        parse_leaf(leaf.data)
        for leaf in world.log
        if leaf.author == party and leaf.kind not in kinds
    ]

    def change(document: dict[str, Any]) -> None:
        last = left[-1].hash() if left else ""
        of_party(document, party).update(count=len(left), last=last)

    return change


def test_an_end_that_counts_too_few_contradicts_the_partys_own() -> None:
    """The centre's line says one leaf fewer; the party's own end is in the log."""
    world = story("sealed", "success")
    verdict = forge("success", under_count(world, "bank-d", (FINISHED,)))
    assert verdict.status == "broken"
    assert any("bank-d" in failure for failure in verdict.failures)


def test_an_end_whose_party_shows_more_of_itself_breaks() -> None:
    """Its own end is kept, and the accusation before it is left out of log and count."""
    world = story("sealed", "success")
    hidden = [leaf for leaf in world.log if leaf.author == "bank-d"][-2]
    change = under_count(world, "bank-d", (FINISHED,))

    def kept(document: dict[str, Any]) -> None:
        change(document)
        own = of_party(document, "bank-d")
        own["last"] = parse_leaf([x for x in world.log if x.author == "bank-d"][-1].data).hash()

    verdict = forge("success", kept, lambda leaf: leaf is hidden)
    assert verdict.status == "broken"
    assert any("counts" in failure and "bank-d" in failure for failure in verdict.failures)


def test_an_accuser_that_is_cut_off_reads_not_provable() -> None:
    """A centre that left the accusation out of the log is believed by nobody: it is one's word."""
    world = story("sealed", "accusation")
    cut = ("accusation",)
    verdict = forge(
        "accusation",
        under_count(world, "bank-d", cut),
        lambda leaf: leaf.author == "bank-d" and leaf.kind in cut,
    )
    assert verdict.ok
    (end,) = [end for end in verdict.authors if end.author == "bank-d"]
    assert (end.signed, end.provable) == (False, False)


def test_no_more_parties_are_cut_off_than_a_quorum_leaves_over() -> None:
    world = story("sealed", "failure")
    cut = {"bank-c", "bank-d"}

    def change(document: dict[str, Any]) -> None:
        for party in cut:
            under_count(world, party, (FINISHED,))(document)

    verdict = forge("failure", change, lambda leaf: leaf.author in cut and leaf.kind == FINISHED)
    assert verdict.status == "unfinished"
    told = "2 parties of the roster signed their end, not 3: for bank-c, bank-d there is only"
    assert told in verdict.missing[0]


# Of three all must have signed their end, the one that refused among them.


@cache
def refused_by_one_of_three() -> World:
    world = world_of("sealed", 3)
    world.before["bank-c"] = "ab" * 32
    world.refuse["bank-c", "consent"] = SecureFlowError("consent_refused", "bank-c refuses")
    assert play(world) == "failed"
    return world


def test_of_three_a_job_that_one_refused_verifies() -> None:
    world = refused_by_one_of_three()
    verdict = judge(world, world.bundle())
    assert (verdict.status, verdict.failures, verdict.missing) == ("verified", (), ())
    ends = {end.author: end for end in verdict.authors}
    assert (ends["bank-c"].count, ends["bank-c"].provable) == (1, True)
    assert kinds_of(world.bundle(), "bank-c") == [FINISHED]


@pytest.mark.parametrize("party", ["bank-a", "bank-c"])
def test_of_three_no_end_is_left_out_whoever_refused(party: str) -> None:
    """Neither of the one that refused, nor of one that did not, under the other's cover."""
    world = refused_by_one_of_three()
    forger = Forger(world)
    forger.log = [
        leaf for leaf in forger.log
        if leaf.author != party or parse_leaf(leaf.data).leaf.kind != FINISHED
    ]  # fmt: skip
    forger.close(under_count(world, party, (FINISHED,)))
    verdict = judge(world, forger.bundle())
    assert verdict.status == "unfinished"
    assert f"2 parties of the roster signed their end, not 3: for {party} " in verdict.missing[0]


def invented(leaves: int, document: dict[str, Any], key: str = "bank-a") -> BundleVerdict:
    """Judge a story in which the centre says that bank-a, which approved the job, signed nothing.

    Of its leaves the first few are left; then comes an end that is signed with a party's key.
    """
    world = refused_by_one_of_three()
    forger = Forger(world)
    closing = forger.log.pop()
    own = [leaf for leaf in forger.log if leaf.author == "bank-a"]
    forger.log = [leaf for leaf in forger.log if leaf not in own[leaves:]]
    last = parse_leaf(own[leaves - 1].data).hash() if leaves else "cd" * 32
    made, keys = document, world.keys
    with patch.dict(keys, {"bank-a": keys[key]}):
        forger.party("bank-a", FINISHED, last, made)
    forger.log.append(closing)
    end = End(leaves + 1, parse_leaf(forger.log[-2].data).hash())
    forger.close(lambda d: of_party(d, "bank-a").update(count=end.count, last=end.last))
    return judge(world, forger.bundle())


NOTHING = finished_document("failed", End())


def test_nobody_else_signs_that_a_party_signed_nothing() -> None:
    assert "did not sign it" in "\n".join(invented(0, NOTHING, "bank-b").failures)


def test_who_says_that_it_signed_nothing_signed_nothing() -> None:
    told = "bank-a counts 0 leaves of its own up to none, 1 are there"
    assert told in "\n".join(invented(1, NOTHING).failures)


def test_a_success_has_no_end_without_an_approval() -> None:
    told = "its author's approval of the job does not come before it"
    assert told in "\n".join(invented(0, finished_document("succeeded", End())).failures)
    assert told not in "\n".join(invented(0, NOTHING).failures)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d["ends"].pop(0), "it has no line for bank-a"),
        (lambda d: d["ends"].append(d["ends"][0]), "it counts an author twice"),
        (lambda d: d["ends"].append({"author": "bank-z", "key": "", "count": 1, "last": "0" * 64}),
         "bank-z: 0 leaves are there"),
        (lambda d: of_party(d, SERVER).update(count=1), "server: "),
        (lambda d: of_party(d, SERVER).update(last="0" * 64), "server: "),
        (lambda d: of_party(d, "bank-a").update(count=-1), "its document is not"),
        (lambda d: of_party(d, "bank-a").update(count=0), "its document is not"),
        (lambda d: of_party(d, "bank-a").update(last="x"), "its document is not"),
        (lambda d: of_party(d, "bank-a").update(more=1), "its document is not"),
        (lambda d: d.update(outcome="fine"), "its document is not"),
        (lambda d: d.update(ends=None), "its document is not"),
        (lambda d: d.update(ends=d["ends"] * 400), "its document is not"),
    ],
)  # fmt: skip
def test_a_forged_end_is_named(change: Callable[[dict[str, Any]], None], reason: str) -> None:
    verdict = forge("success", change)
    assert verdict.status == "broken"
    assert reason in "\n".join(verdict.failures)


def test_a_job_is_closed_once_and_nothing_of_the_centres_follows() -> None:
    world = story("sealed", "success")
    again = Forger(world)
    document = copy.deepcopy(world.log[-1].document)
    again.sign(CLOSED, document)
    assert "closed twice" in "\n".join(judge(world, again.bundle()).failures)
    more = Forger(world)
    more.sign("round.closed", {})
    assert "after the job's end" in "\n".join(judge(world, more.bundle()).failures)


@pytest.mark.parametrize("prev", ["", "11" * 32, "first"])
def test_the_centres_end_follows_the_centres_last_leaf(prev: str) -> None:
    world = story("sealed", "success")
    forger = Forger(world)
    document = forger.log.pop().document
    first = parse_leaf(world.log[0].data).hash()
    forger.sign(CLOSED, document, first if prev == "first" else prev)
    failures = judge(world, forger.bundle()).failures
    assert any("it does not follow the leaf that it counts last" in one for one in failures)


def test_what_a_dropped_party_signs_later_is_not_provable() -> None:
    world = story("sealed", "dropped")
    late = Forger(world)
    late.party("bank-d", "accusation", world._end("bank-d").last, {"code": "stale_round"})
    verdict = judge(world, late.bundle())
    assert verdict.ok, verdict.failures
    (end,) = [end for end in verdict.authors if end.author == "bank-d"]
    assert (end.count, end.provable) == (len(world.made["bank-d"]), False)


def away(world: World, parties: set[str]) -> Forger:
    """The story of a job at whose end these parties were away."""
    forger = Forger(world)
    ends = [
        leaf
        for leaf in forger.log
        if leaf.author in parties and parse_leaf(leaf.data).leaf.kind == FINISHED
    ]
    forger.log = [leaf for leaf in forger.log if leaf not in ends]

    def change(document: dict[str, Any]) -> None:
        for party in parties:
            under_count(world, party, (FINISHED,))(document)

    forger.close(change)
    return forger


def test_ends_that_are_signed_late_count_and_are_told() -> None:
    world = story("sealed", "failure")
    gone = {"bank-c", "bank-d"}
    forger = away(world, gone)
    assert judge(world, forger.bundle()).status == "unfinished"
    late = [leaf for leaf in world.log if leaf.author in gone and leaf.kind == FINISHED]
    forger.log += late[:1]
    once = judge(world, forger.bundle())
    assert once.ok, once.missing
    forger.log += late[1:]
    both = judge(world, forger.bundle())
    assert both.ok, both.failures
    ends = {end.author: end for end in both.authors}
    assert {author for author, end in ends.items() if end.late} == gone
    assert all(ends[party].provable for party in gone)
    assert all(ends[party].count == len(world.made[party]) for party in gone)


def test_a_late_end_counts_what_came_no_sooner() -> None:
    world = story("sealed", "failure")
    forger = away(world, {"bank-c", "bank-d"})
    end = End(len(world.made["bank-d"]) - 1, under_counted(world, "bank-d"))
    forger.party("bank-d", "accusation", end.last, {"code": "stale_round"})
    last = parse_leaf(forger.log[-1].data).hash()
    document = finished_document("failed", end.after(last))
    forger.party("bank-d", FINISHED, last, document)
    assert judge(world, forger.bundle()).ok
    forger.log.pop(-2)  # the centre leaves out what it counts
    verdict = judge(world, forger.bundle())
    assert verdict.status == "broken"
    assert f"bank-d counts {end.count + 1} leaves of its own" in "\n".join(verdict.failures)


def test_nothing_follows_a_late_end() -> None:
    world = story("sealed", "failure")
    forger = away(world, {"bank-d"})
    forger.log += [leaf for leaf in world.log if leaf.author == "bank-d" and leaf.kind == FINISHED]
    last = parse_leaf(forger.log[-1].data).hash()
    forger.party("bank-d", "accusation", last, {"code": "stale_round"})
    verdict = judge(world, forger.bundle())
    assert "signed more after its own end" in "\n".join(verdict.failures)


def under_counted(world: World, party: str) -> str:
    """Return the hash of a party's last leaf before its end."""
    finished = next(e for e in world.log if e.author == party and e.kind == FINISHED)
    return str(finished.document["last"])


def test_who_ended_signs_no_more() -> None:
    world = story("sealed", "success")
    late = Forger(world)
    late.party("bank-d", "accusation", world._end("bank-d").last, {"code": "stale_round"})
    assert "had signed its own end before" in "\n".join(judge(world, late.bundle()).failures)
    between = Forger(world)
    close = between.log.pop()
    between.party("bank-d", "accusation", world._end("bank-d").last, {"code": "stale_round"})
    last = parse_leaf(between.log[-1].data).hash()
    between.log.append(close)

    def count(document: dict[str, Any]) -> None:
        line = of_party(document, "bank-d")
        line.update(count=line["count"] + 1, last=last)

    between.close(count)
    assert "signed more after its own end" in "\n".join(judge(world, between.bundle()).failures)


def test_a_leaf_of_another_job_stands_in_for_none() -> None:
    """Each leaf of each party in turn is exchanged for one that it signed for another job."""
    world = story("sealed", "success")
    for place, leaf in enumerate(world.log):
        if leaf.author == SERVER:
            continue
        forger = Forger(world)
        signed = parse_leaf(leaf.data).leaf
        forger.party(leaf.author, leaf.kind, signed.prev, leaf.document, job="job_other")
        forger.log[place] = forger.log.pop()
        assert judge(world, forger.bundle()).status == "broken", leaf.kind


def test_a_success_needs_parties_that_were_told_of_one() -> None:
    world = story("sealed", "failure")

    def lie(document: dict[str, Any]) -> None:
        document["outcome"] = "succeeded"

    verdict = forge("failure", lie)
    assert verdict.status == "unfinished", verdict
    assert world.spec.parties


# What a party kept of its own, held against the bundle.


def held_by(world: World, party: str) -> list[dict[str, Any]]:
    return [dict(one) for one in world.made[party]]


def hold(world: World, bundle: Bundle, held: Any) -> BundleVerdict:
    return verify_bundle(json.loads(json.dumps(bundle)), world.charter, held)


def test_own_leaves_that_are_in_the_story() -> None:
    world = story("sealed", "accusation")
    verdict = hold(world, world.bundle(), held_by(world, "bank-d"))
    assert verdict.ok
    assert {one.standing for one in verdict.held} == {"in the story"}
    assert [one.kind for one in verdict.held][-1] == "accusation"


def test_a_leaf_that_a_dropped_party_kept_is_not_provable() -> None:
    """The accusation never reached the log, or was signed afterwards: nobody can tell."""
    world = story("sealed", "accusation")
    forger = Forger(world)
    forger.log = [leaf for leaf in forger.log if leaf.kind != "accusation"]
    forger.close(under_count(world, "bank-d", ("accusation",)))
    verdict = hold(world, forger.bundle(), held_by(world, "bank-d"))
    assert verdict.ok
    assert [one.standing for one in verdict.held if one.kind == "accusation"] == ["not provable"]


def test_a_leaf_with_its_place_in_the_log_convicts_the_centre() -> None:
    """The centre's end leaves out what stands in the log before it: any member can prove that."""
    world = story("sealed", "accusation")
    forger = Forger(world)
    forger.close(under_count(world, "bank-d", ("accusation",)))
    full = forger.bundle()
    place = next(
        at for at, e in enumerate(full["entries"]) if e["leaf"]["leaf"]["kind"] == "accusation"
    )
    cut = without(full, place)
    assert judge(world, cut).ok, "the bundle alone does not show it"
    kept = full["entries"][place]
    verdict = hold(world, cut, [kept])
    assert verdict.status == "broken"
    assert "before the job's end, which left it out" in verdict.failures[0]
    for wrong in ({"index": kept["index"] + 1}, {"proof": []}, {"proof": ["x"]}, {"index": None}):
        assert hold(world, cut, [kept | wrong]).held[0].standing == "not provable"


def test_a_leaf_that_its_authors_own_end_does_not_count_convicts_the_author() -> None:
    world = story("sealed", "success")
    other = Forger(world)
    other.party("bank-d", "accusation", world._end("bank-d").last, {"code": "x"})
    kept = {"leaf": parse_leaf(other.log[-1].data).json()}
    verdict = hold(world, world.bundle(), [kept])
    assert (verdict.status, verdict.held[0].standing) == ("broken", "contradicts")
    assert "the end that bank-d signed does not count it" in verdict.failures[0]
    assert verify_bundle(world.bundle(), None, [kept]).status == "broken"


def test_leaves_of_other_jobs_keys_and_authors_are_worth_nothing() -> None:
    world = story("sealed", "dropped")
    forger = Forger(world)
    forger.party("bank-d", "accusation", "", {}, job="job_other")
    elsewhere = parse_leaf(forger.log[-1].data)
    forger.party("bank-d", "accusation", "", {})
    forged = replace(parse_leaf(forger.log[-1].data), key=world.log_key.public)
    centres = parse_leaf(world.log[0].data)
    for leaf in (elsewhere, forged, centres):
        (found,) = hold(world, world.bundle(), [{"leaf": leaf.json()}]).held
        assert found.standing == "foreign"
    for junk in ({}, [None], [{}], "x", [{"leaf": {}}]):
        with pytest.raises(SecureFlowError) as refused:
            hold(world, world.bundle(), junk)
        assert refused.value.code in {"malformed_bundle", "malformed_leaf"}


# How the script makes the ends.


def test_a_cancellation_during_the_end_changes_nothing() -> None:
    """Nothing may fail once the ends are asked for, so that no job has two of them."""
    for verb, nth, start, outcome in (
        ("cosign", 1, play, "succeeded"),
        ("finish", 1, play, "succeeded"),
        ("finish", 0, cut_short, "failed"),
    ):
        world = world_of("sealed")
        if start is cut_short:
            world.refuse["bank-b", "train"] = world.refuse["bank-c", "train"] = SILENT
        assert play(world, asks(verb, nth)) == outcome
        kinds = [leaf.kind for leaf in world.log if leaf.author == SERVER]
        assert kinds.count(CLOSED) == 1
        assert kinds[-1] == CLOSED


def test_an_end_that_too_few_cosigned_still_succeeds_and_waits_for_a_later_head() -> None:
    world = world_of("sealed")
    asked: list[str] = []

    def gone(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        asked.append(verb)
        if verb == "cosign" and "finish" in asked:
            raise SILENT
        return reply

    world.liar = gone
    assert play(world) == "succeeded"
    verdict = judge(world, world.bundle())
    assert (verdict.status, verdict.failures) == ("unfinished", ())
    assert verdict.missing == ("the head has 0 valid cosignatures of the roster, not 3",)
    assert judge(world, Forger(world).bundle()).ok, "cosigned later"


def test_a_party_whose_end_counts_other_leaves_is_listed_without_one() -> None:
    """Else one member could make every bundle look cut."""
    world = world_of("sealed")

    def lie(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if (party, verb) != ("bank-d", "finish"):
            return reply
        world.made[party].pop()
        document = {**reply["document"], "count": 77}
        return {"cosignature": reply["cosignature"], **world._leaf(party, FINISHED, document)}

    world.liar = lie
    assert play(world) == "succeeded"
    verdict = judge(world, world.bundle())
    assert verdict.ok, verdict.failures
    assert [end.author for end in verdict.authors if not end.provable] == ["bank-d"]


def test_leaves_that_came_with_a_refused_answer_are_recorded_all_the_same() -> None:
    """A forged leaf of one party takes no other party's leaves along."""
    world = world_of("sealed")

    def forge_one(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if (party, verb) == ("bank-d", "consent"):
            return {**reply, "leaves": [], "salt": "00" * 32}
        return reply

    world.liar = forge_one
    assert play(world) == "failed"
    verdict = judge(world, world.bundle())
    assert verdict.failures == ()
    ends = {end.author: end for end in verdict.authors}
    assert all(ends[party].signed for party in ("bank-a", "bank-b", "bank-c"))


def test_jobs_of_the_first_script_end_as_they_did() -> None:
    world = world_of("sealed")
    world.spec = replace(world.spec, script="training/1")
    world.context = replace(world.context, spec=world.spec)
    assert play(world) == "succeeded"
    assert world.log[-1].kind == "job.finished"
    verdict = judge(world, {**world.bundle()})
    assert not verdict.ok
    assert "it ran before ends were recorded" in verdict.missing[0]


def test_nobody_signed_anything_but_that_where_nobody_approved() -> None:
    world = world_of("sealed")
    assert play(world, asks("consent")) == "cancelled"
    verdict = judge(world, world.bundle())
    assert (verdict.status, verdict.failures, verdict.outcome) == ("verified", (), "cancelled")
    assert all(end.count == 1 for end in verdict.authors if end.author != SERVER)


@pytest.mark.parametrize("kind", KINDS)
def test_an_end_that_names_another_model_than_the_job_s_is_not_taken(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A party could else have every bundle of an honest centre's job read as broken."""
    world = world_of(kind)
    world.names_models = True
    honest = world.party_finish

    def finish(party: str, body: dict[str, Any]) -> dict[str, Any]:
        other = {**body, "model": {"digest": "0b" * 32}}
        return honest(party, other if party == "bank-d" else body)

    monkeypatch.setattr(world, "party_finish", finish)
    assert play(world) == "succeeded"
    verdict = judge(world, world.bundle())
    assert verdict.ok, (verdict.failures, verdict.missing)
    assert {end.author: end.signed for end in verdict.authors}["bank-d"] is False
    entries = [entry.document for entry in world.log if entry.kind == FINISHED]
    outcome = next(entry.document for entry in world.log if entry.kind == "job.finished")
    assert [one.get("model") for one in entries] == [outcome.get("model")] * 3
    modelless = {"statistics", "preparation", "evaluation", "prediction", "delivered", "psi", "mpc"}
    assert (kind in modelless) == (outcome.get("model") is None)
