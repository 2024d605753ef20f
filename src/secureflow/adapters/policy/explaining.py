"""Why Cedar policies decided as they did: which conditions of which policy did not hold.

A policy's scope and the parts of its conditions that `&&` joins (of an `unless`: that `||` joins)
are evaluated one by one, each as a policy of its own. A part that cannot be evaluated, such as a
limit of an ε that the request does not have, does not hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import cedarpy

from secureflow.adapters.policy.nesting import levels
from secureflow.domain.policies import Nearly, Policy

_ANY: Final = {"principal": {"op": "All"}, "action": {"op": "All"}, "resource": {"op": "All"}}
_SCOPES: Final = {
    "principal": ("permit(", ", action, resource);"),
    "action": ("permit(principal, ", ", resource);"),
    "resource": ("permit(principal, action, ", ");"),
}
"""What stands around a part of the scope."""
_BODY: Final = re.compile(r"when \{(.*)\};$")
_NAMED: Final = re.compile(r"(?<!\w)\((context\.[a-z_]+)\)")
"""A fact in parentheses of its own; those of what it is given to stay."""


def nearly(
    policies: Iterable[Policy], titles: Mapping[str, str], request: Mapping[str, Any]
) -> tuple[Nearly, ...]:
    """Return each permit policy with the parts that do not hold, those with the fewest first.

    Args:
        policies: the texts, in their order.
        titles: by Cedar's names over all of them.
        request: in Cedar's form.
    """
    found = []
    number = 0
    for one in policies:
        listed = json.loads(cedarpy.policies_to_json_str(one.text))["staticPolicies"]
        for place in range(len(listed)):
            policy, title = listed[f"policy{place}"], titles[f"policy{number}"]
            number += 1
            if policy["effect"] == "permit":
                found.append(Nearly(title, _missing(policy, request)))
    return tuple(sorted(found, key=lambda one: len(one.missing)))


def part_levels(policy: Mapping[str, Any]) -> int:
    """Return how many levels the deepest part of a policy has: each is read from JSON again."""
    return max(map(levels, _parts(policy)), default=0)


def _missing(policy: Mapping[str, Any], request: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the parts of a policy that do not hold, as Cedar writes them."""
    parts = {str(at): part for at, part in enumerate(_parts(policy))}
    answer = cedarpy.is_authorized(dict(request), cedarpy.PolicySet.from_json_str(_set(parts)), [])
    holding = {*answer.diagnostics.reasons}
    return tuple(_text(part) for name, part in parts.items() if name not in holding)


def _set(policies: Mapping[str, Mapping[str, Any]]) -> str:
    return json.dumps({"templates": {}, "staticPolicies": policies, "templateLinks": []})


def _parts(policy: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each part of a policy as a policy that permits whatever it holds for."""
    for name in _ANY:
        if policy[name]["op"] != "All":
            yield {"effect": "permit", **_ANY, name: policy[name], "conditions": []}
    for condition in policy["conditions"]:
        unless = condition["kind"] == "unless"
        for body in _split(condition["body"], "||" if unless else "&&"):
            kept = {"!": {"arg": body}} if unless else body
            conditions = [{"kind": "when", "body": kept}]
            yield {"effect": "permit", **_ANY, "conditions": conditions}


def _split(body: Any, joined: str) -> Iterator[Any]:
    if isinstance(body, Mapping) and joined in body:
        yield from _split(body[joined]["left"], joined)
        yield from _split(body[joined]["right"], joined)
    else:
        yield body


def _text(part: Mapping[str, Any]) -> str:
    """Return a part as Cedar text, on one line."""
    text = " ".join(str(cedarpy.policies_from_json_str(_set({"policy0": part}))).split())
    body = _BODY.search(text)
    if body is not None:
        return _NAMED.sub(r"\1", body.group(1).strip())
    before, after = next(around for name, around in _SCOPES.items() if part[name]["op"] != "All")
    return text.removeprefix(before).removesuffix(after)
