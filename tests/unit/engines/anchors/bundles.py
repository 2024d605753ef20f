"""An honest bundle with statements about anchors, and the makers of hostile ones."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from secureflow.engines.anchors import entries as e
from secureflow.engines.anchors import filed
from secureflow.engines.anchors.bundled import anchored_json
from secureflow.engines.anchors.judged import Result
from secureflow.engines.anchors.reading import anchored_head
from secureflow.engines.anchors.statements import Statement, sign_statement
from secureflow.engines.ledger.merkle import MemoryTree
from secureflow.engines.ledger.notes import Checkpoint, sign_checkpoint
from secureflow.kit.canonical import b64decode, digest
from secureflow.kit.crypto import SigningKey
from tests.unit.engines.ledger.test_bundle import BANKS, HONEST, JOB, LOG, ORIGIN, SPEC, STORY

EVM = "evm:1337:0x" + "ab" * 20
FABRIC = "fabric:consortium:secureflow-anchors"
KEEPER = BANKS["bank-d"]
FILE = filed.place_of(b64decode(KEEPER.public))
ABOUT = e.job_digest(JOB)
SPECIFIED = bytes.fromhex(digest(SPEC))
WORD = b"\x05" * 32
AT = 1_800_000_000


def later(more: int = 5) -> MemoryTree:
    """Return the log when it has grown."""
    tree = MemoryTree()
    tree.append(*(one.data() for one in STORY.signed))
    tree.append(*(bytes([at]) * 3 for at in range(more)))
    return tree


LATER = later()


def head(size: int, root: bytes | None = None, log: SigningKey = LOG) -> e.AnchorHead:
    """Return a head of the log at a size, or one with another root."""
    found = LATER.root(size) if root is None else root
    return anchored_head(sign_checkpoint(Checkpoint(ORIGIN, size, found), log), log.public)


def said(
    entry: e.Entry,
    by: str | SigningKey = "bank-a",
    place: str = EVM,
    *,
    result: Result = "kept",
    receipt: Any = None,
    block: int = 12,
    transaction: str = "cd" * 32,
) -> dict[str, Any]:
    """Return a signed statement; that of a file gets its keeper's receipt unless one is given."""
    if receipt is None and place == FILE:
        receipt = kept(entry, result, line=block, transaction=transaction)
    made = Statement(place, entry, result, transaction, block, receipt, AT)
    return sign_statement(made, BANKS[by] if isinstance(by, str) else by).json()


def kept(
    entry: e.Entry,
    result: Result = "kept",
    *,
    line: int = 12,
    transaction: str = "cd" * 32,
    key: SigningKey = KEEPER,
    **changes: Any,
) -> Any:
    """Return a keeper's receipt of one entry."""
    parts: dict[str, Any] = {
        "place": FILE, "transaction": transaction, "line": line, "hash": "ef" * 32, "at": AT,
        "entries": (entry.digest.hex(),), "results": (result,), "reasons": ("",),
    }  # fmt: skip
    return filed.sign_receipt(key, filed.Receipt(**parts | changes))


def proven(size: int, by: str = "bank-a", place: str = EVM, **more: Any) -> dict[str, Any]:
    """Return a head of that size with its proof."""
    own = STORY.tree.size
    proof = None if size == own else LATER.consistency_proof(*sorted((own, size)))
    return anchored_json(said(head(size), by, place, **more), proof)


REGISTERED = e.RegisterJob(ABOUT, SPECIFIED)
APPROVED = e.ApproveJob(ABOUT, SPECIFIED)
ROUND = e.CommitRound(ABOUT, 1, WORD, bytes(32), bytes(32))
MEMBERS = tuple(sorted(b64decode(BANKS[name].public) for name in ("bank-a", "bank-b")))
DEEDS: tuple[e.Entry, ...] = (
    REGISTERED,
    APPROVED,
    ROUND,
    e.Spend(WORD, ABOUT, 7),
    e.SetContributions(ABOUT, 1, WORD, MEMBERS, (4_000, 6_000), MEMBERS[0]),
    e.Dispute(ABOUT, 1, WORD),
    e.Withdraw(ABOUT, 1),
    e.Split(ABOUT, 1, MEMBERS[0], 900, e.currency_word("EUR")),
)
OWN = STORY.tree.size


def anchors() -> list[dict[str, Any]]:
    """Return honest ones of every kind."""
    return [
        proven(OWN),
        proven(OWN + 3, "bank-b", FABRIC),
        proven(OWN + 5, "bank-c", FILE),
        proven(OWN - 4, "bank-d"),
        anchored_json(said(head(OWN + 1), "bank-d", FILE, result="known")),
        *(anchored_json(said(one, "bank-b", FILE)) for one in DEEDS),
        anchored_json(said(APPROVED, "bank-c", result="known")),
    ]


def bundled(*listed: Any) -> dict[str, Any]:
    """Return the honest bundle with these anchors."""
    made: dict[str, Any] = json.loads(json.dumps({**HONEST, "anchors": [*listed]}))
    return made


STRANGER = SigningKey.from_seed(b"\x0b" * 32)
OTHER_JOB = e.RegisterJob(e.job_digest("job_other"), SPECIFIED)
OTHER_LOG = replace(head(OWN), log=e.log_digest("other.example"))
UNSIGNED = replace(head(OWN), signature=(WORD, WORD))


def approved(receipt: Any) -> dict[str, Any]:
    """Return an approval in a file, with a receipt that may be none of it."""
    return anchored_json(said(APPROVED, place=FILE, receipt=receipt))


def hostile() -> dict[str, tuple[list[Any], str, str]]:
    """Return anchors by what is wrong: the last one's standing, and words of the reason."""
    good = proven(OWN + 3)["proof"]
    strange = filed.place_of(b64decode(STRANGER.public))
    stranger = kept(APPROVED, place=strange, key=STRANGER)
    return {
        "a stranger": (
            [anchored_json(said(APPROVED, STRANGER))], "foreign", "nobody in the charter",
        ),
        "another log": ([anchored_json(said(OTHER_LOG))], "foreign", "head of another log"),
        "a strange keeper": (
            [anchored_json(said(APPROVED, place=strange, receipt=stranger))],
            "foreign", "its keeper is not in the charter",
        ),
        "another job": ([anchored_json(said(OTHER_JOB))], "false", "not about this job"),
        "no job": (
            [anchored_json(said(e.Upgrade(WORD)))], "false", "not about this job",
        ),
        "another spec": (
            [anchored_json(said(e.ApproveJob(ABOUT, WORD)))], "false", "bank-a anchored the spec",
        ),
        "an unsigned head": ([anchored_json(said(UNSIGNED))], "false", "the log never signed"),
        "another key's head": (
            [anchored_json(said(head(OWN, log=STRANGER)))], "false", "the log never signed",
        ),
        "another root": (
            [anchored_json(said(head(OWN, WORD)))], "false", "another head of 26 entries than",
        ),
        "two roots": (
            [anchored_json(said(head(OWN + 9, WORD), "bank-b")),
             anchored_json(said(head(OWN + 9, WORD[::-1] + b""), "bank-a")),
             anchored_json(said(head(OWN + 9, b"\x06" * 32)))],
            "false", "bank-b anchored another head of 35 entries",
        ),
        "another history": (
            [anchored_json(said(head(OWN + 3, WORD)), [bytes.fromhex(one) for one in good])],
            "false", "its proof does not lead",
        ),
        "no proof at all": (
            [anchored_json(said(head(OWN + 3)), [])], "false", "its proof does not lead",
        ),
        "an empty log": (
            [anchored_json(said(head(0, MemoryTree().root())), [])], "false", "its proof does not",
        ),
        "a receipt by another": (
            [anchored_json(said(APPROVED, place=FILE, receipt=kept(APPROVED, key=LOG)))],
            "false", "its keeper did not sign it",
        ),
        "another deed's receipt": (
            [anchored_json(said(APPROVED, place=FILE, receipt=kept(REGISTERED)))],
            "false", "it is of another deed",
        ),
        "another line": (
            [anchored_json(said(APPROVED, place=FILE, receipt=kept(APPROVED, line=13)))],
            "false", "it is of another deed",
        ),
        "another transaction": (
            [approved(kept(APPROVED, transaction="aa" * 32))],
            "false", "it is of another deed",
        ),
        "another result": (
            [anchored_json(said(APPROVED, place=FILE, receipt=kept(APPROVED, "fork")))],
            "false", "it is of another deed",
        ),
        "a refused deed": (
            [anchored_json(said(APPROVED, place=FILE, receipt=kept(
                APPROVED, "refused", reasons=("stranger",))))],
            "false", "it is of another deed",
        ),
        "no receipt": (
            [anchored_json(said(APPROVED, place=FILE, receipt=7))], "false", "did not sign it",
        ),
        **{
            f"a receipt whose {name} is {value!r}": (
                [approved(kept(APPROVED, **{name: value}))],
                "false", "its keeper did not sign it",
            )
            for name, value in (
                ("line", -1), ("line", 1.5), ("at", "1"), ("hash", "EF" * 32), ("hash", None),
                ("entries", 7), ("entries", ({},)), ("entries", ()), ("results", ([],)),
                ("results", ("lost",)), ("reasons", ("because",)), ("reasons", ({},)),
                ("entries", ("aa" * 32,) * 25), ("place", EVM), ("transaction", 5),
            )
        },
    }  # fmt: skip


def resigned(change: Any, by: str = "bank-a") -> Any:
    """Return a statement whose body was changed before its member signed it."""
    body = said(APPROVED, by)["body"]
    change(body)
    return {"body": body, "key": BANKS[by].public,
            "signature": BANKS[by].sign("anchor-statement", body)}  # fmt: skip


def _put(name: str, value: Any) -> Any:
    return lambda body: body.update({name: value})


def malformed() -> dict[str, Any]:
    """Return elements of the list that cannot be read, by what is wrong."""
    honest, sound = said(APPROVED), said(head(OWN + 3))
    bodies: dict[str, Any] = {
        f"{name} is {value!r}"[:60]: {"statement": resigned(_put(name, value))}
        for name, value in (
            ("v", 1.0), ("v", True), ("v", 2), ("place", "evm:1"), ("place", "file:" + "zz" * 32),
            ("place", "evm:a:" + "b"), ("place", EVM.upper()), ("place", 3), ("place", EVM + "\n"),
            ("result", "refused"), ("result", "lost"), ("result", None), ("transaction", "xy"),
            ("transaction", ""), ("transaction", 5), ("block", -1), ("block", True), ("block", 1.5),
            ("block", 2.0**53), ("at", None), ("receipt", "x" * (40 << 10)), ("entry", None),
            ("entry", {}), ("entry", {"kind": "toString"}), ("entry", {"kind": "remove"}),
            ("entry", {"kind": "remove", "member": "AA" * 32}), ("entry", {"kind": 1}),
            ("entry", {"kind": "remove", "member": "aa" * 31 + " a"}),
            ("entry", {"kind": "remove", "member": "aa" * 32, "more": 1}),
        )
    }  # fmt: skip
    return (
        bodies
        | _misshapen_deeds()
        | {
            "no object": 5,
            "a list": [honest],
            "nothing": {},
            "more": {"statement": honest, "more": 1},
            "only a proof": {"proof": []},
            "null": {"statement": None},
            "another signature": {"statement": {**honest, "signature": "AAAA"}},
            "no signature": {"statement": {**honest, "signature": 7}},
            "a signature with more": {"statement": {**honest, "more": 7}},
            "another key": {"statement": {**honest, "key": BANKS["bank-b"].public}},
            "no key": {"statement": {**honest, "key": ""}},
            "a proof of a deed": {"statement": honest, "proof": []},
            "a proof that is none": {"statement": sound, "proof": 7},
            "a proof that is null": {"statement": sound, "proof": None},
            "a proof of words": {"statement": sound, "proof": ["x"]},
            "a proof of capitals": {"statement": sound, "proof": ["AA" * 32]},
            "a long proof": {"statement": sound, "proof": ["aa" * 32] * 65},
        }
    )


def _misshapen_deeds() -> dict[str, Any]:
    """Return statements about each kind of deed with one field wrong, or two at once."""
    found: dict[str, Any] = {}
    others = (
        e.Admit(WORD, WORD, (WORD, WORD)), e.CommitDataset(WORD, WORD, 1),
        e.Settle(WORD, 1, WORD, WORD), e.Confirm(WORD, WORD),
    )  # fmt: skip
    for one in (head(OWN), *DEEDS, *others):
        whole = one.json()
        names = [name for name in whole if name != "kind"]
        for name in names:
            for value in (-1, 1.5, "aa", None, [], ["aa" * 32], [1, 2], "aa" * 32, [True]):
                entry = {**whole, name: value}
                found[f"{one.kind}.{name} = {value!r}"] = resigned(_put("entry", entry))
        both = {**whole, names[0]: "zz", names[-1]: -1}
        found[f"{one.kind}, two faults"] = resigned(_put("entry", both))
    shares = DEEDS[4].json()
    members = shares["members"]
    for name, value in (("members", members[::-1]), ("members", members[:1] * 2),
                        ("shares", [4_000, 6_001]), ("shares", [10_000]), ("rounding", "aa" * 32),
                        ("members", ["aa" * 32] * 1001)):  # fmt: skip
        found[f"shares: {name} {str(value)[:40]}"] = resigned(
            _put("entry", {**shares, name: value})
        )
    return {name: {"statement": one} for name, one in found.items()}
