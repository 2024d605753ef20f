"""Everything that a person decides on about a request, as one document for a screen or a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from secureflow.domain.specs.contributors import any_contributes
from secureflow.engines.privacy import epsilon
from secureflow.engines.run.labels import label_rows
from secureflow.kit.canonical import JSON
from secureflow.kit.reading import members

if TYPE_CHECKING:
    from secureflow.cli.decision import PendingRequest
    from secureflow.cli.kinds import CliKinds


def document(request: PendingRequest, kinds: CliKinds) -> dict[str, JSON]:
    """Return the document of a request, made from the spec that its id was computed over.

    Returns:
        `requester` and `purpose`; `data`: the dataset and its `columns`, the sensitive ones first;
        `parties`, `protection`; `privacy`: ε of the job, and of the owner's budget `before` and
        `after` it; `outputs`: who sees what, and why; `label`: what the protocol among parties
        gives; `estimate`: what an attempt takes, and which limits are below that; `code` that the
        job brings; `rule`, `before` and `people`: what the agent's own record says;
        `questions` to the submitter, and the answers as the centre told them.

    Raises:
        SecureFlowError: `invalid_spec`, of a kind that is not in the table.
    """
    item, here = request.item, members(request.details.get("here"))
    kind, spec = kinds.read(item.spec)
    protocol = kind.label(spec)
    estimate, low = kind.takes(spec, str(here.get("rows") or ""))
    simulated = "SIMULATED" if here.get("allow_simulated") else ""
    return {
        "id": item.id,
        "job": item.job,
        "spec_digest": item.digest,
        "state": item.state,
        "requester": {"submitter": spec.submitter, "project": spec.project},
        "purpose": spec.purpose,
        "kind": spec.kind,
        "task": kind.task(spec),
        "leaves": kind.leaves(spec),
        "data": _data(item.request),
        "parties": list(spec.parties),
        "protection": item.request.get("protection"),
        "privacy": _privacy(kind, spec, item.request, here),
        "outputs": [dict(row) for row in kind.engine.disclosure(spec, simulated)],
        "label": None if protocol is None else label_rows(protocol),
        "estimate": {"figures": dict(estimate), "limits_below": list(low)},
        "code": request.details.get("code"),
        "rule": here.get("rule"),
        "before": here.get("before"),
        "people": here.get("people"),
        "questions": here.get("questions") or [],
        "waits": {
            "reasons": list(item.reasons),
            "since": item.at,
            "until": here.get("decide_by") or item.expires,
        },
    }


def _data(request: Mapping[str, Any]) -> dict[str, JSON]:
    sensitive = [*(request.get("sensitive") or ())]
    names = sorted(request.get("columns") or (), key=lambda one: one not in sensitive)
    return {
        "dataset": request.get("dataset"),
        "key": request.get("key"),
        "columns": [{"name": one, "sensitive": one in sensitive} for one in names],
        "differing_bounds": list(request.get("differing_bounds") or ()),
    }


def _privacy(
    kind: Any, spec: Any, request: Mapping[str, Any], here: Mapping[str, Any]
) -> dict[str, JSON]:
    if spec.privacy is None:
        nothing = not any_contributes(spec) and spec.all_private
        return {"private": False, "releases_nothing_of_rows": nothing}
    budget = members(here.get("budget"))
    return {
        "private": True,
        "epsilon": epsilon(kind.engine.charge(spec), spec.privacy.delta),
        "delta": spec.privacy.delta,
        "charged": request.get("epsilon"),
        "limit": budget.get("epsilon"),
        "before": budget.get("spent"),
        "after": budget.get("after"),
    }
