"""The gaps of a log in a bundle: each is told and signed for, and none is left out or made up."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from secureflow.domain.charter import Charter, SignedCharter
from secureflow.domain.continuation import Continuation
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.ledger.gaps import CONTINUED, continued_document
from secureflow.engines.ledger.leaves import Leaf, sign_leaf
from secureflow.engines.ledger.notes import Checkpoint, attach, cosign, sign_checkpoint
from secureflow.kit.crypto import SigningKey
from tests.unit.engines.ledger.test_bundle import (
    BANKS,
    CHARTER,
    EVIL,
    HONEST,
    LOG,
    ORIGIN,
    Action,
    Story,
    honest_actions,
)

NAME, OLD = f"{ORIGIN}~2", 9
BEFORE = [Action("server", "user.created", job="", included=False)] * 3
FIRST = len(BEFORE)
"""Where the new origin begins in the bundle's log."""


@dataclass(frozen=True)
class Told:
    """What the operator's continuation says; each change is a lie."""

    size: int = OLD
    noted: int = OLD
    by: SigningKey = LOG
    start: int = FIRST
    members: int = len(BANKS)
    signers: tuple[str, ...] = tuple(BANKS)


def continued(told: Told = Told()) -> SignedCharter:
    """Return version 2, which lets the log go on, and who signed it."""
    old = Checkpoint(ORIGIN, told.size, b"\x05" * 32)
    note = sign_checkpoint(replace(old, size=told.noted), told.by)
    root = Story(BEFORE).tree.root().hex()
    gap = Continuation(ORIGIN, told.size, old.root.hex(), note, told.start, root)
    members = CHARTER.members[: told.members]
    charter = replace(
        CHARTER, version=2, origin=NAME, previous=CHARTER.digest, members=members,
        continuations=(gap,),
    )  # fmt: skip
    signed = SignedCharter(charter)
    for name in told.signers:
        signed = signed.sign(name, BANKS[name])
    return signed


class Later(Story):
    """A story of a log that goes on after a set-back."""

    def note(self, log: SigningKey = LOG, cosigners: tuple[str, ...] = tuple(BANKS)) -> str:
        note = sign_checkpoint(Checkpoint(NAME, self.tree.size, self.tree.root()), log)
        return attach(note, [cosign(note, name, BANKS[name], 1_700_000_099) for name in cosigners])


def opening(signed: SignedCharter, **changes: Any) -> Action:
    """Return the action with which the new origin begins."""
    document = continued_document(signed.charter, "")
    facts: dict[str, Any] = {"job": "", "changes": (("origin", NAME),), "opened": True}
    return Action(
        **{"author": "server", "kind": CONTINUED, "document": document, **facts, **changes}
    )


def bundle(told: Told = Told(), *first: Action) -> dict[str, Any]:
    """Return the bundle of a job after the continuation."""
    signed = continued(told)
    rest = [replace(one, changes=(*one.changes, ("origin", NAME))) for one in honest_actions()]
    written = Later([*BEFORE, *(first or (opening(signed),)), *rest]).bundle()
    history = [SignedCharter(CHARTER).json(), signed.json()]
    written |= {"charter": signed.charter.digest, "history": history}
    return written


GAPPED = bundle()
NEXT = replace(continued().charter, version=3, previous=continued().charter.digest)
"""A later change of the charter: it knows of the gap."""


@pytest.mark.parametrize("pinned", [continued().charter, CHARTER], ids=["now", "before"])
def test_a_gap_is_told_to_whoever_pinned_a_version(pinned: Charter) -> None:
    verdict = verify_bundle(GAPPED, pinned)
    assert verdict.failures == ()
    assert verdict.ok
    (gap,) = verdict.gaps
    assert (gap.origin, gap.continued_as, gap.size, gap.start) == (ORIGIN, NAME, OLD, FIRST)
    assert (gap.lost, gap.signed, gap.members) == (OLD - FIRST, tuple(BANKS), len(BANKS))
    assert gap.at == 1_700_000_000 + FIRST


def test_a_gap_is_told_of_bundles_of_before_and_by_later_versions() -> None:
    verdict = verify_bundle(HONEST, continued().charter, known=[SignedCharter(CHARTER)])
    assert verdict.ok
    assert [gap.lost for gap in verdict.gaps] == [OLD - FIRST]
    verdict = verify_bundle(GAPPED, NEXT, known=[SignedCharter(CHARTER), continued()])
    assert verdict.ok, verdict
    assert [gap.lost for gap in verdict.gaps] == [OLD - FIRST]


def test_who_pinned_a_version_in_the_middle_believes_what_follows_it() -> None:
    signed = SignedCharter(NEXT)
    for name, key in BANKS.items():
        signed = signed.sign(name, key)
    later = {**GAPPED, "charter": NEXT.digest, "history": [*GAPPED["history"], signed.json()]}
    assert verify_bundle(later, continued().charter).ok
    assert verify_bundle(later, CHARTER).ok
    later["history"][-1] = SignedCharter(NEXT).json()  # nobody signed it
    assert "does not follow from yours" in _failures(later, continued().charter)


def _failures(told: Any, charter: Charter) -> str:
    verdict = verify_bundle(told, charter)
    assert not verdict.ok
    return "\n".join(verdict.failures)


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[], dict[str, Any]]:
    def made() -> dict[str, Any]:
        edited = copy.deepcopy(GAPPED)
        change(edited)
        return edited

    return made


def _first(told: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = told["entries"][0]
    assert found["leaf"]["leaf"]["kind"] == CONTINUED
    return found


def _closed(told: dict[str, Any]) -> None:
    for part in ("document", "salt"):
        _first(told).pop(part)


def _says(**changes: Any) -> Callable[[], dict[str, Any]]:
    document = {**continued_document(continued().charter, ""), **changes}
    return lambda: bundle(Told(), opening(continued(), document=document))


MISSING = f"the entry with which {NAME} begins is not in the bundle"
OTHER = f"the entry with which {NAME} begins names another continuation"
UNSIGNED = f"the old head of {ORIGIN} is not signed by the log"
LIES: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "no version before": (
        _edit(lambda told: told["history"].pop(0)),
        f"the continuation of {ORIGIN} is not in the bundle",
    ),
    "too few": (
        lambda: bundle(Told(signers=("bank-a", "bank-b"))),
        f"the continuation of {ORIGIN} is signed by 2 of 4 members",
    ),
    "nobody": (
        lambda: bundle(Told(signers=())),
        f"the continuation of {ORIGIN} is signed by 0 of 4 members",
    ),
    "no first entry": (_edit(lambda told: told["entries"].pop(0)), MISSING),
    "a closed first entry": (_edit(_closed), MISSING),
    "a member's": (lambda: bundle(Told(), opening(continued(), author="bank-a")), MISSING),
    "another action": (lambda: bundle(Told(), opening(continued(), kind="noted")), MISSING),
    "of the old name": (lambda: bundle(Told(), opening(continued(), changes=())), MISSING),
    "at another place": (
        lambda: bundle(Told(), replace(BEFORE[0], changes=(("origin", NAME),)),
                       opening(continued())),
        MISSING,
    ),
    "of another charter": (_says(charter="00" * 32), OTHER),
    "of another gap": (_says(continuation={"size": 4}), OTHER),
    "of nothing": (lambda: bundle(Told(), opening(continued(), document=[])), OTHER),
    "a head of nobody's": (lambda: bundle(Told(by=EVIL)), UNSIGNED),
    "another head": (lambda: bundle(Told(noted=OLD + 1)), UNSIGNED),
}  # fmt: skip


@pytest.mark.parametrize("change", [{"note": "\ud800"}, {"size": True}, {"start": 3.0}])
def test_a_continuation_without_a_canonical_form_is_malformed(change: dict[str, Any]) -> None:
    """It would end the verifier with an error, which answers any bundle with a verdict."""
    told = copy.deepcopy(GAPPED)
    told["history"][-1]["charter"]["continuations"][0].update(change)
    verdict = verify_bundle(told, CHARTER)
    assert verdict.status == "broken"
    assert verdict.failures[0].startswith("The charter is malformed")


def test_true_is_no_number_in_what_a_continuation_says() -> None:
    """To Python they are equal; what was committed to is another text."""
    signed = continued(Told(start=1))
    before = Story(BEFORE[:1]).tree.root().hex()
    (gap,) = signed.charter.continuations
    charter = replace(signed.charter, continuations=(replace(gap, start_root=before),))
    document = continued_document(charter, "")
    document["continuation"]["start"] = True
    told = Later(
        [BEFORE[0], opening(signed, document=document), *(
            replace(one, changes=(*one.changes, ("origin", NAME))) for one in honest_actions()
        )]
    ).bundle()  # fmt: skip
    told |= {"charter": charter.digest, "history": [SignedCharter(CHARTER).json()]}
    told["history"].append(SignedCharter(charter, signed.signatures).json())
    assert OTHER in _failures(told, charter)


@pytest.mark.parametrize("lie", LIES)
def test_a_gap_that_is_not_as_the_members_signed_it_makes_no_bundle(lie: str) -> None:
    made, expected = LIES[lie]
    told = made()
    signed = SignedCharter.from_json(told["history"][-1])
    assert expected in _failures(told, signed.charter)


def test_a_continuation_that_does_not_follow_is_not_believed() -> None:
    """Who pinned the version before goes by its members and signatures, whatever is shown."""
    for told in (Told(members=3), Told(signers=("bank-a", "bank-b")), Told(signers=())):
        assert "does not follow from yours" in _failures(bundle(told), CHARTER)
    stranger = replace(CHARTER, trust_domain="other.example")
    assert "under another charter" in _failures(GAPPED, stranger)
    hidden = {name: one for name, one in GAPPED.items() if name != "history"}
    assert "under another charter" in _failures(hidden, CHARTER)


@pytest.mark.parametrize(
    ("changes", "standing"),
    [
        ({}, "contradicts"),
        ({"origin": NAME}, "contradicts"),
        ({"origin": f"{ORIGIN}~3"}, "foreign"),
        ({"origin": "log.other"}, "foreign"),
        ({"job": "job_other"}, "foreign"),
        ({"author": "bank-x"}, "foreign"),
    ],
)
def test_a_leaf_that_its_author_kept_counts_under_every_name_of_the_log(
    changes: dict[str, Any], standing: str
) -> None:
    facts = {"kind": "update", "origin": ORIGIN, "author": "bank-a", "at": 5, "job": "job_story"}
    leaf = Leaf(**({**facts, "commitment": "ab" * 32} | changes))
    held = [{"leaf": sign_leaf(leaf, BANKS["bank-a"]).json()}]
    verdict = verify_bundle(GAPPED, continued().charter, held)
    assert [one.standing for one in verdict.held] == [standing]


@pytest.mark.parametrize("told", [7, {}, "x", [7], [{}], [SignedCharter(CHARTER).json()] * 257])
def test_a_history_that_is_none_is_malformed(told: Any) -> None:
    assert not verify_bundle({**GAPPED, "history": told}, CHARTER).ok
