"""The command line's verifier and the browser's give one verdict, word for word.

Bundles of every kind of job and of end, of a log that was continued and of one whose key changed,
are changed in every single place; both judge each change under the pinned charter. A part of it is
tried here; `make soak` tries all.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest
from blake3 import blake3
from peers import verifiers
from peers.mutations import mutants
from peers.verifiers import BrowserVerifier

from secureflow.domain.charter import Charter, SignedCharter
from secureflow.engines.anchors.bundled import verify_anchored
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.ledger.bundle_format import parse_history
from secureflow.engines.ledger.merkle import MemoryTree, verify_consistency
from secureflow.kit.canonical import canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError
from tests.full import thinned
from tests.unit.engines.anchors import bundles as anchored
from tests.unit.engines.ledger import test_gaps as gaps
from tests.unit.engines.ledger import test_key_changes as keychanges
from tests.unit.engines.ledger import test_scores as scores
from tests.unit.engines.ledger.test_bundle import (
    BANKS,
    CHARTER,
    EVIL,
    HONEST,
    STORY,
    Story,
    honest_actions,
)
from tests.unit.engines.pipeline.test_pipeline_script import GatedWorld, TwoTonguedWorld
from tests.unit.engines.pipeline.worlds_that_lie import (
    Comparing,
    GoingOn,
    LeavingOut,
    Praising,
    played,
)
from tests.unit.engines.run.test_ending import COURSES, KINDS, story

LIMIT = 64 << 20
SHARE = 150
"""Of the changes of a bundle one in so many is tried here."""
WORDING = re.compile(r"(no canonical JSON form: ).*", re.DOTALL)
"""What Python's encoder says after it is its own."""


@pytest.fixture(scope="module", name="browser")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserVerifier]:
    verifiers.demand_node()
    with verifiers.browser_verifier(tmp_path_factory.mktemp("verifier")) as running:
        yield running


Case = tuple[dict[str, Any], Charter, list[SignedCharter]]


def ended(kind: str, course: str) -> Callable[[], Case]:
    def case() -> Case:
        world = story(kind, course)
        return world.bundle(), world.charter, []

    return case


def piped(made: type[GatedWorld]) -> Case:
    """A pipeline with a step on a condition."""
    bundle, _, charter = played(made)
    return bundle, charter, []


def _known() -> list[SignedCharter]:
    return [SignedCharter(CHARTER), gaps.continued()]


CASES: dict[str, Callable[[], Case]] = {
    "with an enclave": lambda: (HONEST, CHARTER, []),
    "continued": lambda: (gaps.GAPPED, gaps.continued().charter, []),
    "continued, pinned before": lambda: (gaps.GAPPED, CHARTER, []),
    "continued, pinned later": lambda: (gaps.GAPPED, gaps.NEXT, _known()),
    "another key": lambda: (
        keychanges.bundle(keychanges.changed()), keychanges.changed().charter, [],
    ),
    "another key, pinned before": lambda: (
        keychanges.bundle(keychanges.changed()), CHARTER, [],
    ),
    "an ended key": lambda: (
        HONEST, keychanges.changed().charter, [SignedCharter(CHARTER)],
    ),
    "scored": lambda: (scores.story().bundle(), CHARTER, []),
    "anchored": lambda: (anchored.bundled(*anchored.anchors()), CHARTER, []),
    "a pipeline": lambda: piped(GatedWorld),
    "a pipeline, told in two ways": lambda: piped(TwoTonguedWorld),
    **{f"{kind}, {course}": ended(kind, course) for kind in KINDS for course in COURSES},
}  # fmt: skip
TRIED = (
    "with an enclave", "scored", "anchored", "continued", "continued, pinned before", "another key",
    "another key, pinned before", "an ended key", "sealed, success", "secagg, accusation",
    "statistics, failure", "psi, dropped", "mpc, refused",
)  # fmt: skip


def charter_file(charter: Charter, known: list[SignedCharter]) -> dict[str, Any]:
    """Return the file of a pinned charter with the versions before it."""
    return SignedCharter(charter).json() | {"history": [one.json() for one in known]}


def plain(verdict: Any) -> Any:
    """Return a verdict as JSON, without what only one of both says in its own words."""
    told = json.loads(json.dumps(verdict))
    for name in ("failures", "missing"):
        told[name] = [WORDING.sub(r"\1", one) for one in told.get(name, [])]
    for one in told.get("anchors", []):
        one["reason"] = WORDING.sub(r"\1", one["reason"])
    return told


def by_python(
    bundle: bytes, file: bytes | None, held: Any = None, spec: str = "", report: Any = None
) -> Any:
    """Judge as `secureflow audit verify` does."""
    charter, known = None, []
    if file is not None:
        try:
            given = parse_json(file, LIMIT)
            known = parse_history(given.pop("history", [])) if isinstance(given, dict) else []
            charter = SignedCharter.from_json(given).charter
        except SecureFlowError as error:
            return {"refused": error.code}
    try:
        shown = parse_json(bundle, LIMIT)
        verdict = asdict(verify_anchored(shown, charter, held, spec, known, report))
    except SecureFlowError as error:
        return {"refused": error.code}
    return plain(verdict | {"size": str(verdict["size"])})


def by_browser(browser: BrowserVerifier, bundle: bytes) -> Any:
    told = browser.ask("B", bundle)
    return {"refused": told["refused"]} if "refused" in told else plain(told)


def agree(browser: BrowserVerifier, bundle: bytes, file: bytes | None, what: str) -> bool:
    """Hold both to one verdict on a bundle; return whether it is verified."""
    expected = by_python(bundle, file)
    assert by_browser(browser, bundle) == expected, what
    return bool(expected.get("ok"))


def pin(browser: BrowserVerifier, file: bytes | None) -> dict[str, Any]:
    for kind in "HRS":
        browser.ask(kind)
    return browser.ask("C", file or b"")


def try_bundle(browser: BrowserVerifier, name: str, share: int) -> tuple[int, int]:
    """Judge a share of a bundle's changes; return how many were tried, and verified all the same.

    Without a charter fewer are tried: nothing of it is another code than with one.
    """
    bundle, charter, known = CASES[name]()
    bundle = json.loads(json.dumps(bundle))
    file = json.dumps(charter_file(charter, known)).encode()
    tried = passed = 0
    for given, part in ((file, share), (None, 4 * share)):
        assert pin(browser, given) == {}
        agree(browser, json.dumps(bundle).encode(), given, name)
        first = random.Random(name).randrange(part)
        for at, (what, text) in enumerate(mutants(bundle)):
            if at % part == first:
                tried += 1
                passed += agree(browser, text(), given, f"{name}: {what}")
    return tried, passed


@pytest.mark.parametrize("name", TRIED)
def test_both_give_one_verdict_on_a_share_of_all_changes(
    browser: BrowserVerifier, name: str
) -> None:
    tried, _ = try_bundle(browser, name, SHARE)
    assert tried > 10


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", CASES)
def test_both_give_one_verdict_on_every_change(browser: BrowserVerifier, name: str) -> None:
    try_bundle(browser, name, 1)


def both(browser: BrowserVerifier, bundle: Any, charter: Charter) -> bool:
    file = json.dumps(charter_file(charter, [])).encode()
    pin(browser, file)
    return agree(browser, json.dumps(bundle).encode(), file, "")


def test_both_see_that_parties_signed_different_figures_of_a_step(
    browser: BrowserVerifier,
) -> None:
    for name, sound in (("a pipeline", True), ("a pipeline, told in two ways", False)):
        bundle, charter, _ = CASES[name]()
        assert both(browser, json.loads(json.dumps(bundle)), charter) == sound


LYING = (LeavingOut, GoingOn, Comparing, Praising)


@pytest.mark.parametrize("made", LYING)
def test_both_hold_the_centre_to_what_parties_signed_of_steps(
    browser: BrowserVerifier, made: type[GatedWorld]
) -> None:
    """A skip, a step that ran, a table of models: each beside the signed figures."""
    bundle, report, charter = played(made)
    sound = both(browser, bundle, charter)
    assert sound == (made in {Comparing, Praising})
    file = json.dumps(charter_file(charter, [])).encode()
    pin(browser, file)
    for told in (report, *changed_tables(report)):
        browser.ask("R", json.dumps(told).encode())
        text = json.dumps(bundle).encode()
        expected = by_python(text, file, report=told)
        assert by_browser(browser, text) == expected
        whole = told is report and made is Comparing
        assert (expected["status"] == "verified") == whole
    browser.ask("R")


def test_both_hold_scores_to_what_others_signed(browser: BrowserVerifier) -> None:
    """Every change of the scores alone, signed by the enclave: what is left is their own rules."""
    file = json.dumps(charter_file(CHARTER, [])).encode()
    pin(browser, file)
    told = scores.document()
    seen = set()
    for what, made in mutants(told):
        try:
            changed = scores.signed(parse_json(made()))
        except SecureFlowError:
            continue  # nobody can commit to it
        text = json.dumps(scores.story(changed, named="").bundle())
        expected = by_python(text.encode(), file)
        assert by_browser(browser, text.encode()) == expected, what
        seen |= set(expected["failures"])
    assert len({one for one in seen if "scores" in one}) >= 5


def test_both_see_who_signed_scores_and_of_what(browser: BrowserVerifier) -> None:
    file = json.dumps(charter_file(CHARTER, [])).encode()
    pin(browser, file)
    honest = scores.document()
    others = {**honest["commitments"], "bank-c": "00" * 32}
    told = {
        "no enclave": scores.story(scores.signed(honest, EVIL), named=""),
        "no such validation rows": scores.story(
            scores.signed(scores.document(commitments=others)), named=""
        ),
        "more than once": scores.twice(),
        "commits to its rows comes": scores.twice(opened=False),
        "with other scores": scores.story(named="00" * 32),
        "without the scores": scores.story(None, named=""),
        "asks not for": scores.story(spec=scores.SPEC),
        "commits to its rows": Story(
            [
                replace(one, document=None) if one.kind == "update" else one
                for one in scores.scored_actions()
            ],
            scores.SCORED_SPEC,
        ),
    }
    for words, story_told in told.items():
        text = json.dumps(story_told.bundle()).encode()
        expected = by_python(text, file)
        assert words in "\n".join([*expected["failures"], *expected["missing"]])
        assert by_browser(browser, text) == expected


def test_both_hold_a_report_to_the_recorded_scores(browser: BrowserVerifier) -> None:
    file = json.dumps(charter_file(CHARTER, [])).encode()
    pin(browser, file)
    text = json.dumps(scores.story().bundle()).encode()
    tried = 0
    for what, made in mutants(scores.report()):
        tried += 1
        if tried % 7 and "value" not in what:
            continue
        changed = made()
        browser.ask("R", changed)
        expected = by_python(text, file, report=json.loads(changed))
        assert by_browser(browser, text) == expected, what
    browser.ask("R")


def changed_tables(report: dict[str, Any]) -> Iterator[Any]:
    """Yield a report with other tables: no text is signed in it."""
    table = report.get("comparison") or {"models": [], "lines": [], "same_rows": True}
    yield {**report, "job": "job_other"}
    yield {**report, "comparison": {**table, "models": [{"step": "test"}]}}
    for metric, value in (("auc", "0.8500"), ("auc", "1,2e+5"), ("auc", "8.5e-01"), ("rows", "60"),
                          ("auc", "\x07"), ("auc", 0.85), ("rows", "59.5000001")):  # fmt: skip
        line = {"metric": metric, "cells": [{"value": value}]}
        yield {**report, "comparison": {**table, "lines": [*table["lines"], line]}}
    for other in (None, 1, [], {"models": {}, "lines": "x"}, {"lines": [1, {"cells": [2]}]}):
        yield {**report, "comparison": other}


def test_both_read_conditions_of_any_form_alike(browser: BrowserVerifier) -> None:
    """Nobody signed these specs; both see it, and read of them what they can."""
    bundle, _, charter = played(LeavingOut)
    file = json.dumps(charter_file(charter, [])).encode()
    pin(browser, file)
    tried = [
        *({"at_least": one} for one in (0, 1, -0.0, 0.8, 1e-6, 1e-7, 1.5e-5, 1e12, 1e13, 12.5, True,
                                        123456789012.123456, "0.8", None, [], 10**17)),
        *({"at_least": None, "at_most": one} for one in (0.9, 0.899999, 1e300, -1)),
        {"at_most": 0.5}, {"metric": "AUC"}, {"metric": 1}, {"step": "last"}, {"step": "other"},
        {"step": "none"}, {"of": "train"}, {"of": "prepare"}, {"of": 1}, {"of": None},
    ]  # fmt: skip
    seen = set()
    for change in tried:
        told = json.loads(json.dumps(bundle))
        told["spec"]["steps"][3]["when"].update(change)
        text = json.dumps(told).encode()
        agree(browser, text, file, str(change))
        seen.add(verify_bundle(parse_json(text, LIMIT), charter).failures[-1])
    steps: list[Any] = [None, [], {}, [1], [{"id": "a"}], [{"id": "a"}] * 2, [{"id": "A"}],
                        [{"id": "a", "when": {}}], [{"id": "a", "takes": 1}],
                        [{"id": "a", "takes": [{"input": "x"}]}],
                        [{"id": str(at)} for at in range(65)]]  # fmt: skip
    for spec in [*({"steps": one} for one in steps), *({"attempts": one} for one in
                 (None, 0, 1, 1.0, "1", 65, True, 2**60))]:  # fmt: skip
        text = json.dumps({**bundle, "spec": {**bundle["spec"], **spec}}).encode()
        agree(browser, text, file, str(spec))
    assert "the steps of the spec cannot be read" in seen


@pytest.mark.parametrize("under", thinned(("charter", "nothing", "ended key"), 3, pytest.mark.full))
def test_both_judge_hostile_anchors_alike(browser: BrowserVerifier, under: str) -> None:
    """Each alone, and beside honest ones; with and without a charter, and after a key's end."""
    told = {name: listed for name, (listed, *_) in anchored.hostile().items()}
    told |= {name: [one] for name, one in anchored.malformed().items()}
    honest, seen = anchored.anchors(), set[str]()
    charters = {"charter": CHARTER, "nothing": None, "ended key": keychanges.changed().charter}
    charter = charters[under]
    file = None if charter is None else json.dumps(charter_file(charter, [])).encode()
    pin(browser, file)
    for what, listed in told.items():
        for all_of_them in (listed, [*honest, *listed, honest[0]]):
            text = json.dumps(anchored.bundled(*all_of_them)).encode()
            expected = by_python(text, file)
            assert by_browser(browser, text) == expected, what
            seen |= {one["standing"] for one in expected["anchors"]}
    if charter is CHARTER:
        assert seen == {"receipt holds", "not checked", "foreign", "false"}


def test_both_bound_the_list_of_anchors_alike(browser: BrowserVerifier) -> None:
    file = json.dumps(charter_file(CHARTER, [])).encode()
    pin(browser, file)
    one = anchored.anchors()[-1]
    for listed in (None, {}, 1, [], [one] * 1000, [one] * 1001):
        text = json.dumps({**HONEST, "anchors": listed}).encode()
        agree(browser, text, file, str(listed)[:20])
    for job in ("\ud800", "é", ""):
        text = json.dumps({**anchored.bundled(one), "job": job}).encode()
        agree(browser, text, file, job.encode(errors="replace").decode())


@pytest.mark.parametrize("lie", gaps.LIES)
def test_both_judge_a_continuation_that_is_none_alike(browser: BrowserVerifier, lie: str) -> None:
    told = gaps.LIES[lie][0]()
    for charter in (SignedCharter.from_json(told["history"][-1]).charter, CHARTER):
        assert not both(browser, told, charter)


def test_both_count_who_signed_a_continuation_or_a_head_alike(browser: BrowserVerifier) -> None:
    """One change of a bundle that all have signed never leaves too few of them."""
    for count in range(len(BANKS) + 1):
        some = tuple(BANKS)[:count]
        told = gaps.bundle(gaps.Told(signers=some))
        assert both(browser, told, CHARTER) == (count >= 3)
        changed = keychanges.changed(signers=some)
        assert both(browser, keychanges.bundle(changed), CHARTER) == (count >= 3)
        assert both(browser, STORY.bundle(STORY.note(cosigners=some)), CHARTER) == (count >= 3)


def test_both_count_who_vouches_for_an_enclave_alike(browser: BrowserVerifier) -> None:
    """What others sign in a member's name vouches for nothing."""
    for forged in range(len(BANKS) + 1):
        names, actions = tuple(BANKS)[:forged], honest_actions()
        played = [
            replace(one, key=EVIL) if one.kind == "attested" and one.author in names else one
            for one in actions
        ]
        told = Story(played).bundle()
        assert both(browser, told, CHARTER) == (forged == 0)
        failures = verify_bundle(told, CHARTER).failures
        unvouched = any("its key is vouched for by" in one for one in failures)
        assert unvouched == (forged >= 3)


def try_charter(browser: BrowserVerifier, name: str, share: int) -> int:
    bundle, charter, known = CASES[name]()
    file = json.loads(json.dumps(charter_file(charter, known)))
    text = json.dumps(bundle).encode()
    tried = 0
    for at, (what, made) in enumerate(mutants(file)):
        if at % share:
            continue
        tried, changed = tried + 1, made()
        answer = pin(browser, changed)
        expected = by_python(text, changed)
        if "refused" in answer:
            assert expected == {"refused": answer["refused"]}, what
        else:
            assert by_browser(browser, text) == expected, what
    return tried


CHARTERS = ("continued, pinned later", "another key")


@pytest.mark.parametrize("name", CHARTERS)
def test_both_read_a_pinned_charter_alike(browser: BrowserVerifier, name: str) -> None:
    assert try_charter(browser, name, 25) > 10


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", CHARTERS)
def test_both_read_every_change_of_a_charter_alike(browser: BrowserVerifier, name: str) -> None:
    try_charter(browser, name, 1)


def test_both_compare_kept_leaves_and_the_expected_spec_alike(browser: BrowserVerifier) -> None:
    file = json.dumps(charter_file(CHARTER, [])).encode()
    held = [{"leaf": one.json(), "index": at, "proof": []} for at, one in enumerate(STORY.signed)]
    cut = {**HONEST, "entries": [e for e in HONEST["entries"] if e["index"] % 3]}
    for at, one in enumerate(held):
        one["proof"] = [node.hex() for node in STORY.tree.inclusion_proof(at)]
    for bundle in (HONEST, cut, {**cut, "entries": cut["entries"][:-2]}):
        text = json.dumps(bundle).encode()
        for spec in ("", "00" * 32):
            pin(browser, file)
            browser.ask("H", json.dumps(held).encode())
            browser.ask("S", spec.encode())
            expected = by_python(text, file, json.loads(json.dumps(held)), spec)
            assert len(expected["held"]) == len(held)
            assert by_browser(browser, text) == expected
    for wrong in ({}, [1], [{"leaf": {}}]):
        browser.ask("H", json.dumps(wrong).encode())
        refused = by_python(text, file, wrong)
        assert by_browser(browser, text) == refused
        assert "refused" in refused


TEXTS = [
    b"", b"1", b"-0", b"-0.0", b"1.0", b"1e400", b"NaN", b"-Infinity", b"01", b"+1", b"1.", b".5",
    b"9007199254740991", b"9007199254740992", b"9007199254740993", b"-9007199254740993",
    b"1" * 400, b"1" * 17, b"1e21", b"1e-7", b"5e-324", b"0.1", b"1.5e300", b"123456789012345.678",
    b"4.35", b"1E5", b"1e+5", b"1e5", b"[1,]", b"[,1]", b'{"a":1,"a":2}', b'{"\\u0061":1,"a":2}',
    b'{"b":1,"a":{"d":1,"c":[]}}', b'"\\ud83d\\ude00"', b'"\\ude00"', b'"\\ud83d"', b'"\x7f"',
    b'"\x01"', b'"\\x41"', b'"\\u00e9\\u2028"', '"é\u2028😀"'.encode(), b'"\xff"',
    b'"\xed\xa0\x80"',
    b"\xef\xbb\xbf1", b" \t\n\r1 ", b"\x0b1", b"\xc2\xa01", b"tru", b"true1", b"null", b"[[[]]]",
    b"[" * 600, b"{", b'{"a"', b'{"a":', b'{a:1}', b"'a'",
    b'{"\xf0\x9f\x98\x80":1,"\xef\xbf\xbf":2}',
    b'{"__proto__":1}', b'"\\/\\b\\f\\n\\r\\t\\"\\\\"', b'"a', b'{"a":1}x', b'{} {}',
]  # fmt: skip


def test_both_read_and_spell_json_alike(browser: BrowserVerifier) -> None:
    for text in TEXTS:
        try:
            expected = {"canonical": canonical_bytes(parse_json(text)).decode()}
        except SecureFlowError as error:
            expected = {"refused": error.code}
        told = browser.ask("J", text)
        told.pop("message", None)
        assert told == expected, text


def test_both_spell_numbers_alike(browser: BrowserVerifier) -> None:
    dice = random.Random("numbers")
    for _ in range(40):
        numbers = [dice.uniform(-1, 1) * 10.0 ** dice.randrange(-320, 308) for _ in range(100)]
        text = json.dumps([*numbers, *(dice.randrange(-(1 << 60), 1 << 60) for _ in range(50))])
        expected = canonical_bytes(parse_json(text)).decode()
        assert browser.ask("J", text.encode()) == {"canonical": expected}


@pytest.mark.parametrize(("depth", "read"), [(99, True), (100, True), (101, False)])
def test_both_read_a_bundle_up_to_one_depth(
    browser: BrowserVerifier, depth: int, read: bool
) -> None:
    """Without a bound of its own, how deep Python reads would depend on its stack."""
    pin(browser, None)
    deep: Any = 1
    for _ in range(depth - 2):  # the bundle and its spec are two levels
        deep = [deep]
    text = json.dumps({**HONEST, "spec": {**HONEST["spec"], "name": deep}}).encode()
    expected = by_python(text, None)
    assert by_browser(browser, text) == expected
    assert ("nested deeper" in expected["failures"][0]) != read


def test_a_bundle_whose_version_only_equals_one_is_none(browser: BrowserVerifier) -> None:
    pin(browser, None)
    for version in (True, 1.0, "1"):
        text = json.dumps({**HONEST, "v": version}).encode()
        assert by_python(text, None)["failures"][0].startswith("The audit bundle is malformed")
        assert by_browser(browser, text) == by_python(text, None)


def test_blake3_is_that_of_the_library(browser: BrowserVerifier) -> None:
    """At every edge of blocks, chunks and subtrees, as the official test vectors have them."""
    edges = [0, 1, 2, 3, 63, 64, 65, 127, 128, 129]
    edges += [1024 * n + by for n in (1, 2, 3, 4, 5, 6, 7, 8, 16, 31) for by in (-1, 0, 1)]
    for size in [*edges, 102_400]:
        data = bytes(at % 251 for at in range(size))
        assert browser.ask("X", data) == {"digest": blake3(data).hexdigest()}, size


def test_both_tell_a_charter_by_the_same_words(browser: BrowserVerifier) -> None:
    file = json.dumps(charter_file(CHARTER, [])).encode()
    words = {"en": CHARTER.fingerprint_words(), "zh": CHARTER.fingerprint_words("zh")}
    assert browser.ask("W", file) == words


def test_both_judge_consistency_alike(browser: BrowserVerifier) -> None:
    tree, dice = MemoryTree(), random.Random("consistency")
    tree.append(*(bytes([at]) for at in range(21)))
    held = 0
    for _ in range(400):
        new = dice.randrange(1, 22)
        old = dice.randrange(1, new + 1)
        proof = tree.consistency_proof(old, new)
        old_root, new_root = tree.root(old), tree.root(new)
        if dice.random() < 0.5:
            proof = [dice.choice((node, bytes(32))) for node in proof][: dice.randrange(6)]
            new += dice.choice((0, 0, 1))
            old_root = dice.choice((old_root, new_root))
        expected = verify_consistency(old, new, old_root, new_root, proof)
        asked = {
            "old": old, "new": new, "old_root": old_root.hex(), "new_root": new_root.hex(),
            "proof": [node.hex() for node in proof],
        }  # fmt: skip
        assert browser.ask("P", json.dumps(asked).encode()) == {"holds": expected}
        held += expected
    assert 100 < held < 350


def test_the_stories_are_honest() -> None:
    """Otherwise every change would be one of something broken."""
    for name in TRIED:
        bundle, charter, known = CASES[name]()
        verdict = verify_bundle(json.loads(json.dumps(bundle)), charter, None, "", known)
        assert verdict.ok == (name != "an ended key"), name
