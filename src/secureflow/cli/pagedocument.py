"""What the owner's page shows of a request: the document of `agent inbox show`, and its code.

The agent's own process makes it (`agent.edge.documents`), whose engines know what a job costs and
reveals: the page's process loads none of them. It says the same as the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from secureflow.cli.texts import speaking

if TYPE_CHECKING:
    from secureflow.cli.bundle_review import RequestedCode
    from secureflow.cli.kinds import CliKinds
    from secureflow.texts import Language

REMARKS: Final = 200
"""Lines about the code that a page has before the difference."""


class PageDocuments:
    """Makes documents (`agent.edge.documents.Describe`).

    Args:
        kinds: of job; SecureFlow's own, where None.
    """

    def __init__(self, kinds: CliKinds | None = None) -> None:
        self._kinds = kinds

    def __call__(
        self,
        answer: Mapping[str, Any],
        code: Mapping[str, Any] | None,
        language: Language,
        page: int,
    ) -> dict[str, Any]:
        """Return the document of a request.

        Args:
            answer: what `inbox.show` says of it.
            code: what `bundle.review` says of the code that it brings, if it is here.
            language: of its sentences.
            page: of the code's difference, from 1.

        Raises:
            SecureFlowError: `inbox_item_changed`; `invalid_spec`, of a kind that is not known.
        """
        from secureflow.cli.decision import recalled, sentences
        from secureflow.cli.kinds import CLI_KINDS  # all engines
        from secureflow.cli.requestdocument import document

        kinds = self._kinds or CLI_KINDS
        with speaking(language):
            request = recalled(answer, str(answer.get("id")))
            made = {**document(request, kinds), "sentences": sentences(request, kinds)}
            return {**made, "code": None if code is None else _code(answer, code, page)}


def _code(answer: Mapping[str, Any], told: Mapping[str, Any], page: int) -> dict[str, Any]:
    from secureflow.cli.bundle_review import reviewed, told_of

    found: RequestedCode = reviewed(told, answer)
    shown = min(max(page, 1), found.view.pages)
    lines, pages = found.view.page(shown)
    return {
        **found.view.summary(),
        "entry": found.entry,
        "told": list(map(str, told_of(found)))[:REMARKS],
        "known": bool(found.job),
        "page": shown,
        "pages": pages,
        "difference": lines,
    }
