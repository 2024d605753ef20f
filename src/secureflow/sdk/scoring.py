"""Jobs that apply models: what can be told of their code before anybody is asked."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from secureflow.engines.bundles import unpack
from secureflow.engines.bundles.inspection import lacks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.sdk import answers, verbs
from secureflow.sdk.objects import Model

_MOST: Final = 64
_UNSEEN: Final = frozenset({"not_found", "forbidden"})


def code_predicts(body: Mapping[str, Any]) -> Generator[Any, Any, None]:
    """Refuse a job that applies a model whose code can be seen to have no `predict`.

    Otherwise every owner is asked first, and the first agent that runs it says so. What cannot be
    read here is left to the centre and the agents.

    Args:
        body: of the request.

    Raises:
        SecureFlowError: `bundle_unusable`.
    """
    named = body.get("models") or (body.get("model"),)
    keys = [one for one in named if isinstance(one, str)] if isinstance(named, list | tuple) else []
    for key in keys[:_MOST]:
        try:
            found = yield from verbs.get(f"/models/{key}", Model)
            if found.family != "bundle":
                continue
            card = yield from verbs.read(f"/models/{key}/card", answers.card)
            code = (card.get("model") or {}).get("bundle") or {}
            path = f"/bundles/{code.get('digest')}/content"
            bundle = unpack((yield from verbs.read_large(path, answers.content)))
        except SecureFlowError as error:
            if error.code in _UNSEEN:
                continue
            raise
        if lacks(bundle, str(code.get("entry")), "predict"):
            raise SecureFlowError(
                "bundle_unusable",
                Text(
                    "The code of {model} has no method predict.",
                    model=f"{found.name}@{found.version}",
                ),
                "Add predict(self, weights, rows) to the class, and train with that code; the new "
                "job may resume this model.",
                {"model": key},
            )
