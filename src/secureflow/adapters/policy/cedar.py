"""Cedar policy files decide who may use a dataset, for what, and how.

The language answers *allow* or *deny*; here a deny without a matching policy means **ask**: no
`permit` matched, so a person decides. A matching `forbid` means **refuse**, with the policy's `@id`
and `@reason`. Cedar skips a policy whose evaluation fails, even a `forbid`; that must never grant
access, so an evaluation error turns an *allow* into an *ask*.

The attributes of each kind of job are fixed (`schema`): a policy that misspells an attribute is
refused when the agent starts, not ignored when it matters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_CEILING, Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import cedarpy

from secureflow.adapters.policy.drafting import drafted
from secureflow.adapters.policy.explaining import nearly, part_levels
from secureflow.adapters.policy.nesting import LEVELS, PART_LEVELS, levels, too_deep
from secureflow.adapters.policy.places import line_of, unnumbered
from secureflow.domain.policies import Decision, Nearly, Policy
from secureflow.domain.specs.kind import Fact, SpecKind, SpecKinds
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import reason_of
from secureflow.kit.text import Text

MAX_POLICY_BYTES = 1 << 20
_BROKEN: Final = "a policy could not be evaluated"
TWO_PEOPLE: Final = "two_people"
"""The annotation of a permit policy whose requests two people decide: `@two_people("reason")`."""
_DIGIT = Decimal("0.0001")
_LARGEST = Decimal("922337203685477.5807")
"""Limits of a Cedar decimal."""

_SHARED: Final[Mapping[str, Fact]] = {
    **{"project": "text", "purpose": "text", "protection": "text"},
    **{"columns": "texts", "sensitive": "texts", "parties": "texts"},
    **{"group_size": "number", "min_contributors": "number"},
}
_TYPES: Final[Mapping[Fact, str]] = {
    **{"text": "String", "texts": "Set<String>"},
    **{"number": "Long", "decimal": "decimal"},
}


def schema(kinds: SpecKinds) -> str:
    """Return the attributes for policies, kind by kind, as a Cedar schema.

    `columns` includes the label; `sensitive` are those of them that the owner marked; `group_size`
    is the roster's size; `epsilon` is absent when `dp` is false. Decimals are rounded up to Cedar's
    four digits. The principal is the submitter as named by the *centre*: the owner cannot verify
    it, so a policy must not rely on it alone. A policy without an action applies to all kinds, and
    may use only their common attributes.
    """
    return "entity User, Dataset;\n" + "\n".join(map(_action, kinds.values())) + "\n"


def _action(kind: SpecKind) -> str:
    attributes = [f"{name}: {_TYPES[form]}" for name, form in {**_SHARED, **kind.facts}.items()]
    context = ", ".join((*attributes, "dp: Bool", "epsilon?: decimal"))
    name = json.dumps(kind.name)
    return (
        f"action {name} appliesTo {{ principal: [User], resource: [Dataset], "
        f"context: {{ {context} }} }};"
    )


class CedarPolicies:
    """Decides by reviewed Cedar texts; without any text, a person is asked about every request.

    Args:
        policies: the texts.
        kinds: the known kinds of job; for others a person is always asked.

    Raises:
        SecureFlowError: `policy_invalid` naming the file and Cedar's complaint.
    """

    def __init__(self, policies: Iterable[Policy] = (), kinds: SpecKinds = SPEC_KINDS) -> None:
        self.policies = tuple(policies)
        self._kinds = kinds
        known = schema(kinds)
        for policy in self.policies:
            _check(policy, known)
        text = "\n".join(policy.text for policy in self.policies)
        self._set = cedarpy.PolicySet.from_str(text)
        self._schema = cedarpy.Schema.from_str(known)
        self._titles, self._two = _annotated(self.policies)

    @classmethod
    def load(cls, paths: Iterable[Path], kinds: SpecKinds = SPEC_KINDS) -> CedarPolicies:
        """Read policy files.

        Raises:
            SecureFlowError: `policy_unreadable`, `policy_invalid`.
        """
        return cls((_read(path) for path in paths), kinds)

    def decide(self, request: Mapping[str, Any]) -> Decision:
        """Return allow, refuse, or ask.

        Args:
            request: `kind`, `submitter`, `dataset`, and the context of `schema`, with
                `epsilon` (float) or None.
        """
        answer = cedarpy.is_authorized(
            _cedar_request(request, self._kinds), self._set, [], self._schema
        )
        found = answer.diagnostics
        if found.errors:
            reasons = tuple(str(error) for error in found.errors)
            two: tuple[str, ...] = (
                (_BROKEN,) if self._two else ()
            )  # it may be one that asks for two people
            return Decision("ask", (_BROKEN, *reasons), two, broken=True)
        reasons = tuple(self._titles.get(name, name) for name in found.reasons)
        if answer.allowed:
            two = tuple(self._two[name] for name in found.reasons if name in self._two)
            return Decision("allow", reasons, two)
        if reasons:
            return Decision("refuse", reasons)
        return Decision("ask", ("no policy permits it",))

    def explain(self, request: Mapping[str, Any]) -> tuple[Nearly, ...]:
        """Return each permit policy with the parts that do not hold, the nearest first."""
        return nearly(self.policies, self._titles, _cedar_request(request, self._kinds))

    def suggest(self, request: Mapping[str, Any], *, allow: bool, name: str, two: str) -> str:
        """Return a policy's text that decides such a request and nothing wider.

        Args:
            request: as `decide` takes it.
            allow: whether it permits.
            name: its `@id`.
            two: why two people must decide, or empty.
        """
        facts = {**_SHARED, **self._kinds[str(request["kind"])].facts}
        return drafted(_cedar_request(request, self._kinds), facts, allow=allow, name=name, two=two)


def _read(path: Path) -> Policy:
    try:
        data = path.read_bytes()
        if len(data) > MAX_POLICY_BYTES:
            raise _unreadable(
                path,
                Text(
                    "it has more than {max_policy_bytes} bytes", max_policy_bytes=MAX_POLICY_BYTES
                ),
            )
        return Policy(path.name, data.decode("utf-8"), sha256(data).hexdigest())
    except (OSError, UnicodeError) as error:
        raise _unreadable(path, reason_of(error)) from error


def _check(policy: Policy, known: str) -> None:
    if too_deep(policy.text):
        raise _nested(policy.name)
    result = cedarpy.validate_policies(policy.text, known)
    if not result.validation_passed:
        raise _invalid(policy, [str(error) for error in result.errors])


def _invalid(policy: Policy, problems: list[str]) -> SecureFlowError:
    """Return the error that names the first complaint, and the line of the policy that it is of."""
    line, name = line_of(policy.text, problems[0]), policy.name
    if line is None:
        told = Text("The policy file {name} is not valid: {problems}", name=name,
                    problems=problems[0])  # fmt: skip
    else:
        told = Text("The policy file {name} is not valid. The policy that begins at line {line}: "
                    "{problem}", name=name, line=line, problem=unnumbered(problems[0]))  # fmt: skip
    return SecureFlowError(
        "policy_invalid", told, "Correct the file; `secureflow agent doctor` checks it again.",
        {"file": name, "problems": problems, **({"line": line} if line else {})},
    )  # fmt: skip


def _annotated(policies: Iterable[Policy]) -> tuple[dict[str, str], dict[str, str]]:
    """Return titles, and reasons for two people, by Cedar's policy names (`policy0`).

    A title is `@id: @reason`, or file and number. Cedar numbers the policies of all texts
    consecutively, in their order.
    """
    titles: dict[str, str] = {}
    two: dict[str, str] = {}
    for one in policies:
        listed = _listed(one)
        for number in range(len(listed)):
            name, policy = f"policy{len(titles)}", listed[f"policy{number}"]
            notes = policy.get("annotations") or {}
            parts = [str(notes[key]) for key in ("id", "reason") if notes.get(key)]
            titles[name] = ": ".join(parts) or f"{one.name}, policy {number + 1}"
            if TWO_PEOPLE in notes:
                if policy["effect"] != "permit":
                    raise _misplaced(one.name, titles[name])
                two[name] = str(notes[TWO_PEOPLE] or titles[name])
    return titles, two


def _listed(policy: Policy) -> dict[str, Any]:
    """Return the policies of a text as JSON, by Cedar's names.

    Raises:
        SecureFlowError: `policy_invalid` for what is nested too deeply to be read, and for
            templates: nothing fills their slots, and policies would be numbered around them.
    """
    try:
        listed: dict[str, Any] = json.loads(cedarpy.policies_to_json_str(policy.text))
    except RecursionError:
        raise _nested(policy.name) from None
    if levels(listed) > LEVELS:
        raise _nested(policy.name)
    if listed.get("templates"):
        raise _templates(policy.name)
    found: dict[str, Any] = listed["staticPolicies"]
    if any(part_levels(one) > PART_LEVELS for one in found.values()):
        raise _nested(policy.name)  # it decides, but nothing about it could be explained
    return found


def _nested(file: str) -> SecureFlowError:
    return SecureFlowError(
        "policy_invalid",
        Text("The policy file {name} is not valid: a policy is nested too deeply.", name=file),
        'Split the policy; ["a", "b"].contains(context.purpose) asks for one of several texts.',
        {"file": file},
    )


def _templates(file: str) -> SecureFlowError:
    return SecureFlowError(
        "policy_invalid",
        Text("The policy file {name} is not valid: it has a template (?principal).", name=file),
        "Write the policy with a name in its place, or with a condition.",
        {"file": file},
    )


def _misplaced(file: str, title: str) -> SecureFlowError:
    return SecureFlowError(
        "policy_invalid",
        Text(
            "The policy file {name} is not valid: {title} forbids, and has @two_people.",
            name=file,
            title=title,
        ),
        "Two people decide what a permit policy would allow: annotate that.",
        {"file": file},
    )


def _cedar_request(request: Mapping[str, Any], kinds: SpecKinds) -> dict[str, Any]:
    kind = str(request["kind"])
    facts = {**_SHARED, **kinds[kind].facts} if kind in kinds else {}  # no policy applies to others
    context: dict[str, Any] = {name: _FORMS[form](request[name]) for name, form in facts.items()}
    epsilon = request.get("epsilon")
    context["dp"] = epsilon is not None
    if epsilon is not None:
        context["epsilon"] = _decimal(epsilon)
    return {
        "principal": {"type": "User", "id": str(request["submitter"])},
        "action": {"type": "Action", "id": kind},
        "resource": {"type": "Dataset", "id": str(request["dataset"])},
        "context": context,
    }


def completed(request: Mapping[str, Any], kinds: SpecKinds = SPEC_KINDS) -> dict[str, Any]:
    """Return an example request that a person wrote with all facts of its kind.

    What is left out is empty, 0, or for ε absent. What an agent's inbox shows of a request is one.

    Raises:
        SecureFlowError: `invalid_file` naming the fact that is unknown or of another form.
    """
    kind = str(request.get("kind"))
    if kind not in kinds:
        raise _unfit("kind", Text("there is no kind of job {kind!r}", kind=kind[:64]))
    forms: dict[str, Fact] = {**_NAMES, **_SHARED, **kinds[kind].facts}
    made: dict[str, Any] = {name: _EMPTY[form] for name, form in forms.items()}
    for name, value in request.items():
        if name in ("kind", *_BESIDE):
            continue
        if name not in forms and name != "epsilon":
            raise _unfit(str(name)[:64], Text("policies of {kind} see no such fact", kind=kind))
        form = forms.get(name, "decimal")
        if not (_fits(value, form) or (name == "epsilon" and value is None)):
            raise _unfit(name, Text("it is not {form}", form=_SAID[form]))
        made[name] = value
    return {"epsilon": None, **made, "kind": kind}


def _fits(value: Any, form: Fact) -> bool:
    if form == "texts":
        return isinstance(value, list | tuple) and all(map(_is_text, value))
    if form == "decimal":
        return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return _is_text(value) if form == "text" else type(value) is int


def _is_text(value: Any) -> bool:
    """Tell whether this is a text of whole characters: YAML can spell halves, Cedar reads none."""
    return isinstance(value, str) and not any("\ud800" <= one <= "\udfff" for one in value)


def _unfit(name: str, problem: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_file",
        Text("The request is not valid: {name}: {problem}.", name=name, problem=problem),
        "secureflow agent inbox show REQUEST -o yaml shows one under `request`.",
    )


_NAMES: Final[Mapping[str, Fact]] = {"submitter": "text", "dataset": "text"}
_BESIDE: Final = frozenset({"commitment", "key", "differing_bounds"})
"""What a request says that policies do not see."""
_EMPTY: Final[Mapping[Fact, Any]] = {"text": "", "texts": (), "number": 0, "decimal": 0.0}
_SAID: Final[Mapping[Fact, str]] = {
    "text": "a text",
    "texts": "a list of texts",
    "number": "a whole number",
    "decimal": "a number",
}


def _decimal(value: float) -> dict[str, Any]:
    """Return Cedar's decimal (four digits, 64 bits) of ε or a bound, never smaller than it is."""
    written = str(_LARGEST)
    if value < float(_LARGEST):  # neither infinite nor no number
        written = str(Decimal(repr(float(value))).quantize(_DIGIT, rounding=ROUND_CEILING))
    return {"__extn": {"fn": "decimal", "arg": written}}


_FORMS: Final[Mapping[Fact, Callable[[Any], Any]]] = {
    **{"text": str, "texts": sorted, "number": int},
    "decimal": _decimal,
}


def _unreadable(path: Path, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "policy_unreadable",
        Text("The policy file {name} cannot be read: {reason}.", name=path.name, reason=reason),
        "Correct `consent.policies` in agent.yaml.",
    )
