"""The offline audit: one honest story verifies, and every single lie about it is named."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from secureflow.domain.charter import Charter, Member
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.ledger.bundle_format import BundleEntry, bundle_json
from secureflow.engines.ledger.ends import End, finished_document, line, read_closed, read_finished
from secureflow.engines.ledger.leaves import Leaf, SignedLeaf, commitment, parse_leaf, sign_leaf
from secureflow.engines.ledger.merkle import MemoryTree
from secureflow.engines.ledger.notes import Checkpoint, attach, cosign, sign_checkpoint
from secureflow.kit.canonical import digest
from secureflow.kit.crypto import SigningKey

ORIGIN, JOB, OTHER_JOB = "log.example", "job_story", "job_other"
LOG = SigningKey.from_seed(b"\x07" * 32)
ENCLAVE = SigningKey.from_seed(b"\x08" * 32)
EVIL = SigningKey.from_seed(b"\x09" * 32)
BANKS = {name: SigningKey.from_seed(name.encode() * 4 + bytes(8)) for name in
         ("bank-a", "bank-b", "bank-c", "bank-d")}  # fmt: skip
CHARTER = Charter(
    1,
    "consortium.example",
    ORIGIN,
    LOG.public,
    tuple(Member(name, name.title(), key.public) for name, key in BANKS.items()),
)
SPEC: dict[str, Any] = {
    "name": "credit",
    "roster": [{"party": name, "key": BANKS[name].public, "dataset": ""} for name in BANKS],
}
SALT = bytes(range(32))


ENDS = "the end of what was played before"


@dataclass(frozen=True)
class Action:
    """One leaf to be: who did what; `document` None stays closed, as do other jobs'."""

    author: str
    kind: str
    document: Any = None
    job: str = JOB
    key: SigningKey | None = None
    changes: tuple[tuple[str, Any], ...] = ()
    included: bool = True
    opened: bool = False
    model: str = ""
    scores: str = ""


def attested(author: str, key: SigningKey = ENCLAVE, **changes: Any) -> Action:
    return Action(author, "attested", {"release": key.public, "job": JOB}, **changes)


def honest_actions() -> list[Action]:
    return [
        Action("server", "user.created", job="", included=False),
        Action("server", "job.proposed", {"job": JOB}),
        *(Action(bank, "approval", {"party": bank}) for bank in BANKS),
        Action("bank-a", "approval", {"secret": 1}, job=OTHER_JOB),
        *(attested(bank) for bank in BANKS),
        Action("server", "job.started", job=OTHER_JOB, included=False),
        Action("enclave", "release", {"round": 0}),
        *(Action(bank, "update", {"round": 0}) for bank in BANKS),
        Action("enclave", "release", {"round": 1}),
        Action("bank-b", "update", {"round": 1}),
        Action("server", "job.finished", {"outcome": "succeeded"}),
        Action("server", "job.finished", job=OTHER_JOB, included=False),
        *(Action(bank, "finished", ENDS) for bank in BANKS),
        Action("server", "job.closed", ENDS),
    ]


class Story:
    """Plays actions into a log and writes the bundle; the hooks are where an attacker sits."""

    def __init__(self, actions: list[Action], spec: dict[str, Any] = SPEC) -> None:
        self.tree, self.spec = MemoryTree(), spec
        self.actions = list(actions)
        self.signed: list[SignedLeaf] = []
        newest: dict[tuple[str, str], str] = {}
        self.ends: dict[tuple[str, str], End] = {(name, ""): End() for name in BANKS}
        for at, planned in enumerate(actions):
            ends = planned.document == ENDS
            action = replace(planned, document=self.end_of(planned)) if ends else planned
            self.actions[at] = action
            key = action.key or {"server": LOG, "enclave": ENCLAVE, **BANKS}[action.author]
            chain = (action.author, key.public)
            leaf = Leaf(
                kind=action.kind,
                origin=ORIGIN,
                author=action.author,
                at=1_700_000_000 + at,
                commitment=commitment(SALT, action.document),
                job=action.job,
                spec=digest(spec) if action.job == JOB else "",
                prev=self.prev_of(action, newest.get(chain, "")),
            )
            signed = sign_leaf(replace(leaf, **dict(action.changes)), key)
            newest[chain] = signed.hash()
            if action.job == JOB and action.included:
                line = (action.author, key.public if action.author == "enclave" else "")
                self.ends[line] = self.ends.get(line, End()).after(signed.hash())
            self.signed.append(signed)
            self.tree.append(signed.data())

    def end_of(self, action: Action) -> dict[str, Any]:
        if action.kind == "finished":
            end = self.ends[action.author, ""]
            return finished_document("succeeded", end, action.model, action.scores)
        ends = [{**line(author, end), "key": key} for (author, key), end in self.ends.items()]
        return {"outcome": action.model or "succeeded", "ends": ends}

    def prev_of(self, action: Action, newest: str) -> str:
        if action.author == "server":
            return self.ends["server", ""].last if action.kind == "job.closed" else ""
        return newest

    def note(self, log: SigningKey = LOG, cosigners: tuple[str, ...] = tuple(BANKS)) -> str:
        note = sign_checkpoint(Checkpoint(ORIGIN, self.tree.size, self.tree.root()), log)
        return attach(note, [cosign(note, name, BANKS[name], 1_700_000_099) for name in cosigners])

    def bundle(self, note: str | None = None, spec: dict[str, Any] | None = None) -> dict[str, Any]:
        entries = [
            BundleEntry(
                index,
                signed,
                tuple(self.tree.inclusion_proof(index)),
                action.document,
                SALT
                if action.document is not None and (action.opened or action.job == JOB)
                else None,
            )
            for index, (action, signed) in enumerate(zip(self.actions, self.signed, strict=True))
            if action.included
        ]
        written = bundle_json(
            note=note or self.note(),
            job=JOB,
            spec=spec or self.spec,
            charter=CHARTER.digest,
            entries=entries,
        )
        return json.loads(json.dumps(written))  # type: ignore[no-any-return]


STORY = Story(honest_actions())
HONEST = STORY.bundle()


def failures(bundle: Any, charter: Charter | None = CHARTER) -> str:
    verdict = verify_bundle(bundle, charter)
    assert not verdict.ok
    assert verdict.status == "broken"
    assert verdict.failures
    return "\n".join(verdict.failures)


def test_an_honest_story_verifies() -> None:
    verdict = verify_bundle(HONEST, CHARTER)
    assert verdict.failures == ()
    assert (verdict.ok, verdict.status) == (True, "verified")
    assert verdict.entries == len(HONEST["entries"])
    assert verdict.size == STORY.tree.size
    assert (set(verdict.cosigners), verdict.quorum) == (set(BANKS), 3)


@pytest.mark.parametrize("version", [True, 1.0, "1", 2])
def test_a_bundle_of_another_version_is_none(version: Any) -> None:
    assert "v = 1" in failures({**HONEST, "v": version})


def test_how_deep_a_bundle_may_be_does_not_depend_on_the_stack() -> None:
    deep: Any = 1
    for _ in range(98):  # the bundle and its spec are two levels
        deep = [deep]
    spec = {**SPEC, "name": deep}
    assert "nested deeper" not in failures({**HONEST, "spec": spec})
    spec = {**SPEC, "name": [deep]}
    assert "nested deeper than 100 levels" in failures({**HONEST, "spec": spec})


def test_without_a_charter_nothing_is_authentic() -> None:
    verdict = verify_bundle(HONEST, None)
    assert (verdict.ok, verdict.status) == (False, "consistent, unauthenticated")
    assert verdict.failures == ()
    assert verdict.cosigners == ()


def edit(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    bundle = copy.deepcopy(HONEST)
    change(bundle)
    return bundle


def entry_of(bundle: dict[str, Any], author: str, kind: str) -> dict[str, Any]:
    for entry in bundle["entries"]:
        if (entry["leaf"]["leaf"]["author"], entry["leaf"]["leaf"]["kind"]) == (author, kind):
            return entry  # type: ignore[no-any-return]
    raise LookupError


def drop(author: str, kind: str) -> dict[str, Any]:
    return edit(lambda bundle: bundle["entries"].remove(entry_of(bundle, author, kind)))


def set_in(author: str, kind: str, name: str, value: Any) -> dict[str, Any]:
    return edit(lambda bundle: entry_of(bundle, author, kind).update({name: value}))


@pytest.mark.parametrize("charter", [CHARTER, None], ids=["charter", "no charter"])
def test_what_is_wrong_is_wrong_without_a_charter_too(charter: Charter | None) -> None:
    a, kind = "bank-a", "update"
    tampered = edit(lambda b: entry_of(b, a, kind)["leaf"]["leaf"].update(at=5))
    assert "entry 13 (update by bank-a): its inclusion proof" in failures(tampered, charter)
    assert "its signature" in failures(tampered, None)
    document = set_in(a, kind, "document", {"round": 7})
    assert "entry 13 (update by bank-a): document and salt" in failures(document, charter)
    assert "document and salt" in failures(set_in(a, kind, "salt", "00" * 32), charter)
    assert "inclusion proof" in failures(set_in(a, kind, "index", 10), charter)
    assert "inclusion proof" in failures(set_in(a, kind, "index", STORY.tree.size), charter)
    assert "inclusion proof" in failures(set_in(a, kind, "proof", []), charter)
    swapped = edit(lambda b: b["entries"].reverse())
    assert "ascending order" in failures(swapped, charter)
    doubled = edit(lambda b: b["entries"].append(b["entries"][-1]))
    assert "ascending order" in failures(doubled, charter)
    assert "the leaf that its prev names is missing" in failures(drop(a, "attested"), charter)
    assert "no entry belongs" in failures(edit(lambda b: b.update(entries=[])), charter)
    assert "no entry belongs" in failures(edit(lambda b: b.update(job="job_else")), charter)
    assert "roster is not the one" in failures(edit(lambda b: b["roster"].pop()), charter)
    assert "another spec" in failures(edit(lambda b: b["spec"].update(name="x")), charter)
    assert "the head is of the log" in failures(edit(lambda b: b.update(origin="x")), charter)


def test_dropping_another_jobs_bridge_shows_as_a_gap() -> None:
    bundle = edit(
        lambda b: b["entries"].remove(
            next(e for e in b["entries"] if e["leaf"]["leaf"]["job"] == OTHER_JOB)
        )
    )
    assert "entry 7 (attested by bank-a): the leaf that its prev names is missing" in failures(
        bundle
    )


def test_dropping_an_approval_shows() -> None:
    assert "approval of the job does not come before" in failures(drop("bank-d", "approval"))


def test_dropping_an_enclaves_first_leaf_shows() -> None:
    assert "this enclave key's first leaf is missing" in failures(drop("enclave", "release"))


def test_the_server_may_leave_out_its_chain_but_not_break_it() -> None:
    actions = honest_actions()
    linked = Story(actions).signed[1].hash()
    actions[1] = replace(actions[1], changes=(("prev", "11" * 32),))
    assert verify_bundle(Story(actions).bundle(), CHARTER).ok
    at = next(n for n, action in enumerate(actions) if action.kind == "job.finished")
    actions[at] = replace(actions[at], changes=(("prev", linked),))
    assert "job.finished by server): the leaf that its prev names" in failures(
        Story(actions).bundle()
    )


def test_jobs_that_run_at_once_may_reach_the_log_in_any_order() -> None:
    """The bridge of the other job enters the log after the leaf that follows it."""
    story = Story(honest_actions())
    assert story.signed[7].leaf.prev == story.signed[6].hash()
    assert verify_bundle(reordered(story, [*range(6), 7, 6, *range(8, 26)]), CHARTER).ok


def test_a_jobs_own_leaves_stand_in_their_authors_order() -> None:
    story = Story(honest_actions())
    order = list(range(26))
    order[7], order[13] = 13, 7  # bank-a's update before its attestation
    assert "it comes before an earlier leaf of its author" in failures(reordered(story, order))


def test_a_leaf_cannot_stand_twice_nor_an_author_tell_two_stories() -> None:
    story = Story(honest_actions())
    assert "or it appears twice" in failures(reordered(story, [*range(26), 13]))
    actions = [*honest_actions(), Action("bank-a", "update", {"round": 2})]
    actions[-1] = replace(actions[-1], changes=(("prev", story.signed[7].hash()),))
    assert "has the same prev" in failures(Story(actions).bundle())


def reordered(story: Story, order: list[int]) -> dict[str, Any]:
    """The same signed leaves in a log of another order."""
    other = Story([])
    other.actions = [story.actions[at] for at in order]
    other.signed = [story.signed[at] for at in order]
    other.tree.append(*(signed.data() for signed in other.signed))
    return other.bundle()


def forged_leaf(position: int, **changes: Any) -> dict[str, Any]:
    """A leaf that the operator put into its own log: everything fits but the signature."""
    actions = honest_actions()
    actions[position] = replace(actions[position], **changes)
    return Story(actions).bundle()


def test_the_operator_cannot_forge_an_approval() -> None:
    bundle = forged_leaf(3, key=EVIL)
    assert "(approval by bank-b): the charter's key of bank-b did not sign" in failures(bundle)
    assert "its author signs with two keys" in failures(bundle, None)


def test_the_operator_is_not_the_log_key_to_a_charter() -> None:
    assert "the charter's key of server" in failures(forged_leaf(1, key=EVIL))


def test_an_organisation_outside_the_charter_is_nobody() -> None:
    bundle = forged_leaf(13, author="bank-z", key=EVIL)
    assert "(update by bank-z): its author is not a member" in failures(bundle)


def test_a_member_outside_the_roster_has_no_part_in_the_job() -> None:
    spec = SPEC | {"roster": SPEC["roster"][:3]}
    actions = [
        replace(action, changes=(("spec", digest(spec)),)) if action.job == JOB else action
        for action in honest_actions()
    ]
    bundle = Story(actions).bundle(spec=spec)
    assert "by bank-d): its author is not on the job's roster" in failures(bundle)


def test_a_leaf_signed_for_another_log_does_not_count() -> None:
    bundle = forged_leaf(3, changes=(("origin", "log.other"),))
    assert "it was signed for the log log.other" in failures(bundle)


def test_one_colluder_cannot_vouch_for_a_false_enclave() -> None:
    actions = honest_actions()
    actions[7] = attested("bank-a", EVIL)
    false_release = Action("enclave", "release", {"round": 9}, key=EVIL)
    bundle = Story([*actions, false_release]).bundle()
    assert "its key is vouched for by 1 roster members' attested leaves, not by 2" in failures(
        bundle
    )


def test_an_enclave_counts_with_the_vouchers_that_are_left() -> None:
    actions = [d for d in honest_actions() if (d.author, d.kind) != ("bank-d", "attested")]
    assert verify_bundle(Story(actions).bundle(), CHARTER).ok


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "noted"},
        {"job": OTHER_JOB, "opened": True},
        {"key": EVIL},
        {"author": "server", "key": LOG},
        {"document": {"release": 5}},
        {"document": None},
        {"document": {"release": ENCLAVE.public}, "changes": (("commitment", "00" * 32),)},
    ],
)
def test_what_does_not_vouch_for_an_enclave(change: dict[str, Any]) -> None:
    actions = [
        replace(action, **change) if action.kind == "attested" else action
        for action in honest_actions()
    ]
    assert "its key is vouched for by 0 roster members" in failures(Story(actions).bundle())


def test_the_attested_key_must_have_signed() -> None:
    bundle = edit(lambda b: entry_of(b, "enclave", "release")["leaf"]["leaf"].update(at=5))
    assert "the attested enclave key did not sign it" in failures(bundle)


def test_a_head_needs_the_logs_key() -> None:
    assert "not signed by the charter's log key" in failures(STORY.bundle(STORY.note(EVIL)))


def test_a_head_needs_a_quorum_of_the_roster() -> None:
    assert verify_bundle(
        STORY.bundle(STORY.note(cosigners=("bank-a", "bank-b", "bank-c"))), CHARTER
    ).ok
    two = verify_bundle(STORY.bundle(STORY.note(cosigners=("bank-a", "bank-b"))), CHARTER)
    assert (two.ok, two.status) == (False, "unfinished")
    assert two.missing == ("the head has 2 valid cosignatures of the roster, not 3",)


def test_a_shrunken_roster_does_not_lower_the_quorum() -> None:
    bundle = STORY.bundle(STORY.note(cosigners=("bank-a",)))
    bundle["roster"] = ["bank-a"]
    assert "the roster is not the one in the spec" in failures(bundle)
    bundle["spec"]["roster"] = bundle["spec"]["roster"][:1]
    assert "it binds another spec" in failures(bundle)


def test_one_member_and_the_centre_tell_no_story_of_their_own() -> None:
    """They write another spec for the job's id, whose roster is that member: its own quorum."""
    spec = SPEC | {"roster": SPEC["roster"][:1]}
    alone = [action for action in honest_actions() if action.author in ("server", "bank-a")]
    actions = [
        replace(action, changes=(("spec", digest(spec)),)) if action.job == JOB else action
        for action in alone
        if action.kind != "attested"
    ]
    story = Story(actions)
    bundle = story.bundle(story.note(cosigners=("bank-a",)), spec=spec)
    assert failures(bundle) == (
        "a roster of one: whoever colludes with the centre would be its only witness"
    )


def test_a_roster_key_that_is_not_the_charters_is_named() -> None:
    roster = [dict(line) for line in SPEC["roster"]]
    roster[3]["key"] = EVIL.public
    bundle = STORY.bundle(spec=SPEC | {"roster": roster})
    assert "roster member bank-d is not in the charter" in failures(bundle)


def test_another_charter_or_log_is_named() -> None:
    second = replace(CHARTER, version=2, previous=CHARTER.digest)
    assert "made under another charter" in failures(HONEST, second)
    elsewhere = replace(CHARTER, origin="log.elsewhere")
    assert "the charter names log.elsewhere" in failures(HONEST, elsewhere)


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.pop("spec"),
        lambda b: b.update(extra=1),
        lambda b: b.update(v=2),
        lambda b: b.update(note="x"),
        lambda b: b.update(job=None),
        lambda b: b.update(roster=[]),
        lambda b: b.update(roster=["bank-a"] * 2),
        lambda b: b.update(roster=[[]]),
        lambda b: b.update(roster=[str(i) for i in range(257)]),
        lambda b: b.update(spec=[]),
        lambda b: b["spec"].update(roster=[1]),
        lambda b: b["spec"].update(roster=[{}] * 257),
        lambda b: b["spec"].update(x=1 << 60),
        lambda b: b.update(entries={}),
        lambda b: b.update(entries=[None]),
        lambda b: b["entries"][0].pop("proof"),
        lambda b: b["entries"][0].update(index=-1),
        lambda b: b["entries"][0].update(index=1 << 62),
        lambda b: b["entries"][0].update(index=True),
        lambda b: b["entries"][0].update(proof=["00" * 32] * 65),
        lambda b: b["entries"][0].update(proof=["0" * 63]),
        lambda b: b["entries"][0].update(proof=[7]),
        lambda b: b["entries"][0].update(salt="00"),
        lambda b: b["entries"][0].update(document="\ud800"),
        lambda b: b["entries"][0].pop("document"),
    ],
)
def test_a_malformed_bundle_gets_a_verdict(change: Callable[[dict[str, Any]], Any]) -> None:
    assert len(verify_bundle(edit(change), CHARTER).failures) == 1
    failures(edit(change), None)


@pytest.mark.parametrize("value", [None, [], "x", 7, {}, {"v": 1}])
def test_any_value_gets_a_verdict(value: Any) -> None:
    failures(value)


def mutate(value: Any, dice: random.Random) -> Any:
    """Change one random place of a JSON value."""
    junk = (None, -1, 0, 1 << 63, 0.5, "", "00" * 32, "\ud800", [], {}, True)
    if isinstance(value, dict) and value and dice.random() < 0.95:
        key = dice.choice(sorted(value))
        return value | {key: mutate(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.95:
        at = dice.randrange(len(value))
        if dice.random() < 0.1:
            return value[:at] + value[at + 1 :]
        return [*value[:at], mutate(value[at], dice), *value[at + 1 :]]
    if isinstance(value, str) and value and dice.random() < 0.7:
        at = dice.randrange(len(value))
        return value[:at] + chr(dice.choice((0, 10, 43, 48, 65, 0x2014, 0xD800))) + value[at + 1 :]
    return dice.choice(junk)


def hunt(cases: int) -> None:
    dice = random.Random(f"bundle {cases}")
    for _ in range(cases):
        mutant = mutate(HONEST, dice)
        verdict = verify_bundle(mutant, CHARTER)
        # What still verifies may differ only where the audit does not look: a cosignature more
        # or less than the quorum, a document that was withheld.
        assert not verdict.ok or _harmless(mutant)


def _harmless(mutant: dict[str, Any]) -> bool:
    same = all(mutant[name] == HONEST[name] for name in HONEST if name not in ("note", "entries"))
    known = [entry["leaf"] for entry in HONEST["entries"]]
    return same and [entry["leaf"] for entry in mutant["entries"]] == known


@pytest.mark.slow
def test_no_mutant_passes_for_the_honest_story() -> None:
    hunt(400)


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_no_mutant_passes_in_a_long_hunt() -> None:
    hunt(100_000)


def test_every_leaf_of_the_story_is_one_that_the_log_would_accept() -> None:
    for signed in STORY.signed:
        assert parse_leaf(signed.data()) == signed


RIGHT, WRONG = "0a" * 32, "0b" * 32


def with_models(
    named: dict[str, str], outcomes: list[dict[str, Any]], closed: str = ""
) -> dict[str, Any]:
    """Tell the honest story with what each party's end, and the centre's outcomes, name."""
    actions: list[Action] = []
    for one in honest_actions():
        if one.job == JOB and one.kind == "job.finished":
            actions += [replace(one, document=document) for document in outcomes]
        elif one.kind == "finished":
            actions.append(replace(one, model=named.get(one.author, "")))
        else:
            actions.append(replace(one, model=closed) if one.kind == "job.closed" else one)
    return Story(actions).bundle()


def success(**model: Any) -> dict[str, Any]:
    return {"outcome": "succeeded", **model}


def test_ends_name_the_model_of_the_outcome_or_none() -> None:
    """A party that could not compare it names none, as parties of older versions did."""
    for named in (dict.fromkeys(BANKS, RIGHT), {"bank-b": RIGHT}, {}):
        verdict = verify_bundle(with_models(named, [success(model=RIGHT)]), CHARTER)
        assert (verdict.ok, verdict.failures) == (True, ())


@pytest.mark.parametrize("charter", [CHARTER, None], ids=["charter", "no charter"])
def test_a_party_whose_end_names_another_model_is_named(charter: Charter | None) -> None:
    named = {**dict.fromkeys(BANKS, RIGHT), "bank-c": WRONG}
    told = failures(with_models(named, [success(model=RIGHT)]), charter)
    assert (
        f"bank-c ended the job with the model {WRONG}, the centre's outcome names {RIGHT}" in told
    )
    assert told.count("ended the job") == 1
    published = failures(with_models(dict.fromkeys(BANKS, RIGHT), [success(model=WRONG)]), charter)
    assert all(f"{bank} ended the job with the model {RIGHT}" in published for bank in BANKS)


@pytest.mark.parametrize("model", [None, 7, WRONG.upper(), [RIGHT], "\x1b[2J"])
def test_an_outcome_with_no_model_or_two_is_not_that_of_an_end_with_one(model: Any) -> None:
    named = {"bank-a": RIGHT}
    assert "bank-a ended the job" in failures(with_models(named, [success(model=model)]))
    assert "names none" in failures(with_models(named, [success()]))
    both = [success(model=RIGHT), success(model=WRONG)]
    assert f"names {WRONG}" in failures(with_models(named, both))


def test_an_outcome_that_is_withheld_leaves_the_record_unfinished() -> None:
    bundle = with_models({"bank-a": RIGHT}, [success(model=RIGHT)])
    entry = entry_of(bundle, "server", "job.finished")
    del entry["document"], entry["salt"]
    for one in (bundle, with_models({"bank-a": RIGHT}, [])):
        verdict = verify_bundle(one, CHARTER)
        assert verdict.status == "unfinished"
        assert len(verdict.missing) == 1
        assert "(finished by bank-a): it names a model, and the centre's" in verdict.missing[0]


def test_one_outcome_of_two_that_is_withheld_leaves_the_record_unfinished() -> None:
    """What is withheld may be the success, with another model."""
    bundle = with_models({"bank-a": RIGHT}, [success(model=RIGHT), success(model=RIGHT)])
    entry = entry_of(bundle, "server", "job.finished")
    del entry["document"], entry["salt"]
    verdict = verify_bundle(bundle, CHARTER)
    assert verdict.status == "unfinished"
    assert any("it names a model, and the centre's" in one for one in verdict.missing)


def test_a_success_that_failed_at_the_last_step_has_no_output() -> None:
    """So no party can spoil the record of a failed job by what it names as a model."""
    outcomes = [success(model=RIGHT), {"outcome": "failed"}]
    for told in (outcomes, outcomes[1:]):
        verdict = verify_bundle(with_models({"bank-a": WRONG}, told, closed="failed"), CHARTER)
        assert verdict.failures == ()
        assert not any("names a model" in one for one in verdict.missing)


@pytest.mark.parametrize(
    "change", [{"model": ""}, {"model": None}, {"model": "0A" * 32}, {"outcome": "failed"}]
)
def test_an_end_with_a_malformed_model_is_no_end(change: dict[str, Any]) -> None:
    document = finished_document("succeeded", End(1, "ab" * 32), RIGHT)
    assert read_finished(document) == ("succeeded", End(1, "ab" * 32), RIGHT)
    assert read_finished({**document, **change}) is None


@pytest.mark.parametrize("outcome", [[], {}, None, 1, "won"])
def test_an_end_with_a_malformed_outcome_is_no_end(outcome: Any) -> None:
    """The centre reads a party's end, every auditor both: also what cannot be hashed."""
    document = finished_document("succeeded", End(1, "ab" * 32))
    assert read_finished({**document, "outcome": outcome}) is None
    closed = {"outcome": "succeeded", "ends": [line("bank-a", End(1, "ab" * 32))]}
    assert read_closed(closed) is not None
    assert read_closed({**closed, "outcome": outcome}) is None
