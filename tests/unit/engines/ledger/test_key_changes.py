"""Bundles of a log whose key changed: each name's key signs under it, none after its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from secureflow.domain.charter import Charter, SignedCharter
from secureflow.domain.continuation import Continuation
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.ledger.gaps import CONTINUED, continued_document
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

NAME = f"{ORIGIN}~2"
NEW = SigningKey.from_seed(b"\x0a" * 32)
BEFORE = [Action("server", "user.created", job="", included=False)] * 3
END = len(BEFORE)


def changed(signers: tuple[str, ...] = tuple(BANKS), end: int = END) -> SignedCharter:
    """Return version 2: the log's key ends after the first entries."""
    tree = Story([*BEFORE, *honest_actions()][:end]).tree
    note = sign_checkpoint(Checkpoint(ORIGIN, end, tree.root()), LOG)
    root = tree.root().hex()
    last = Continuation(ORIGIN, end, root, note, end, root, LOG.public, "stolen")
    signed = SignedCharter(
        replace(CHARTER, version=2, origin=NAME, log_key=NEW.public, previous=CHARTER.digest,
                continuations=(last,))
    )  # fmt: skip
    for name in signers:
        signed = signed.sign(name, BANKS[name])
    return signed


class Later(Story):
    def note(self, log: SigningKey = NEW, cosigners: tuple[str, ...] = tuple(BANKS)) -> str:
        note = sign_checkpoint(Checkpoint(NAME, self.tree.size, self.tree.root()), log)
        return attach(note, [cosign(note, name, BANKS[name], 1_700_000_099) for name in cosigners])


def bundle(signed: SignedCharter, by: SigningKey = NEW, **changes: Any) -> dict[str, Any]:
    """Return the bundle of a job after the change; `by` signs the centre's entries of the job."""
    document = continued_document(signed.charter, "")
    opening = Action(
        "server", CONTINUED, document, job="", changes=(("origin", NAME),), opened=True, key=NEW
    )
    rest = [
        replace(one, changes=(*one.changes, ("origin", changes.get("origin", NAME))),
                key=by if one.author == "server" else one.key)
        for one in honest_actions()
    ]  # fmt: skip
    written = Later([*BEFORE, opening, *rest]).bundle()
    history = [SignedCharter(CHARTER).json(), signed.json()]
    return written | {"charter": signed.charter.digest, "history": history}


def test_a_bundle_of_after_the_change_verifies_and_shows_it() -> None:
    told = bundle(changed())
    for pinned in (changed().charter, CHARTER):  # who pinned the version before follows it
        verdict = verify_bundle(told, pinned)
        assert verdict.ok, verdict
        (gap,) = verdict.gaps
        assert (gap.ended_key, gap.reason, gap.lost) == (LOG.public, "stolen", 0)
        assert gap.signed == tuple(BANKS)


def test_a_bundle_of_before_the_change_verifies_under_the_charter_of_after() -> None:
    size = HONEST["entries"][-1]["index"] + 1
    later = _ended_at(size)
    verdict = verify_bundle(HONEST, later, known=[SignedCharter(CHARTER)])
    assert verdict.ok, verdict
    assert [gap.ended_key for gap in verdict.gaps] == [LOG.public]


def _ended_at(size: int) -> Charter:
    tree = Story(honest_actions()).tree
    assert tree.size == size
    root = tree.root().hex()
    note = sign_checkpoint(Checkpoint(ORIGIN, size, tree.root()), LOG)
    last = Continuation(ORIGIN, size, root, note, size, root, LOG.public, "yearly")
    return replace(
        CHARTER, version=2, origin=NAME, log_key=NEW.public, previous=CHARTER.digest,
        continuations=(last,),
    )  # fmt: skip


def test_a_head_under_the_old_key_after_its_end_makes_no_bundle() -> None:
    """A thief of the old key has even the members' cosignatures, of some other time."""
    verdict = verify_bundle(HONEST, changed().charter, known=[SignedCharter(CHARTER)])
    assert verdict.status == "broken"
    assert f"signed by a log key that ended at size {END}" in "\n".join(verdict.failures)


def test_a_fork_at_the_very_size_of_the_change_makes_no_bundle() -> None:
    size = HONEST["entries"][-1]["index"] + 1
    pinned = _ended_at(size)
    (last,) = pinned.continuations
    other = replace(last, root="ab" * 32, start_root="ab" * 32)
    forked = replace(pinned, continuations=(other,))
    verdict = verify_bundle(HONEST, forked, known=[SignedCharter(CHARTER)])
    assert verdict.status == "broken"


def test_the_old_key_signs_no_entry_under_the_new_name_nor_late_under_the_old_one() -> None:
    for origin, why in (
        (NAME, "the charter's key of server did not sign it"),
        (ORIGIN, "the centre's key of its log had ended before"),
    ):
        verdict = verify_bundle(bundle(changed(), LOG, origin=origin), changed().charter)
        assert verdict.status == "broken"
        assert why in "\n".join(verdict.failures)


def test_a_change_that_too_few_signed_or_by_a_third_key_makes_no_bundle() -> None:
    few = changed(("bank-a", "bank-b"))
    told = [
        line for one in (CHARTER, few.charter) for line in verify_bundle(bundle(few), one).failures
    ]
    assert "signed by 2 of 4 members" in "\n".join(told)
    verdict = verify_bundle(bundle(changed(), EVIL), changed().charter)
    assert verdict.status == "broken"


def test_what_the_old_key_signed_before_its_end_counts_in_a_bundle_of_after() -> None:
    """A job that was proposed before the change, and ended after it."""
    proposed, rest = honest_actions()[:2], honest_actions()[2:]
    tree = Story(proposed).tree
    note = sign_checkpoint(Checkpoint(ORIGIN, 2, tree.root()), LOG)
    last = Continuation(
        ORIGIN, 2, tree.root().hex(), note, 2, tree.root().hex(), LOG.public, "yearly"
    )
    signed = SignedCharter(
        replace(CHARTER, version=2, origin=NAME, log_key=NEW.public, previous=CHARTER.digest,
                continuations=(last,))
    )  # fmt: skip
    for name, key in BANKS.items():
        signed = signed.sign(name, key)
    opening = Action(
        "server", CONTINUED, continued_document(signed.charter, ""), job="",
        changes=(("origin", NAME),), opened=True, key=NEW,
    )  # fmt: skip
    after = [
        replace(one, changes=(*one.changes, ("origin", NAME)),
                key=NEW if one.author == "server" else one.key)
        for one in rest
    ]  # fmt: skip
    told = Later([*proposed, opening, *after]).bundle()
    told |= {"charter": signed.charter.digest,
             "history": [SignedCharter(CHARTER).json(), signed.json()]}  # fmt: skip
    verdict = verify_bundle(told, signed.charter)
    assert verdict.failures == ()
