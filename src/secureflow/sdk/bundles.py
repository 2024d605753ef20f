"""Code bundles: upload, description, download, removal."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from pathlib import Path
from typing import Any

from secureflow.domain.bundles import KeptBundle
from secureflow.engines.bundles import Bundle, pack, unpack
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.sdk import answers, verbs
from secureflow.sdk.bundlefiles import read_bundle
from secureflow.sdk.calls import Call, D_co, Page, Resource, listing, operation


class Bundles(Resource[D_co]):
    """Code bundles of the caller's projects."""

    @operation
    def upload(self, path: str | Path | Bundle, project: str, name: str = "") -> Call[KeptBundle]:
        """Upload a folder, a packed file or a bundle to a project; the same one is kept once.

        Raises:
            SecureFlowError: `invalid_file`, `bundle_refused` before anything is sent.
        """
        bundle = path if isinstance(path, Bundle) else read_bundle(path)
        return Call(
            "POST",
            "/bundles",
            answers.value(KeptBundle),
            {"project": project, "digest": bundle.digest, "name": name},
            content=pack(bundle),
            key=secrets.token_hex(16),
            slow=True,
        )

    @operation
    def get(self, digest: str) -> Call[KeptBundle]:
        """Return who uploaded a bundle, and its sizes."""
        return verbs.get(f"/bundles/{digest}", KeptBundle)

    @operation
    def download(self, digest: str) -> Generator[Any, Any, Bundle]:
        """Return a bundle, checked against its digest.

        Raises:
            SecureFlowError: `digest_mismatch`, `bundle_refused`.
        """
        packed = yield from verbs.read_large(f"/bundles/{digest}/content", answers.content)
        bundle = unpack(packed)
        if bundle.digest != digest:
            raise SecureFlowError(
                "digest_mismatch",
                Text(
                    "The bytes have digest {digest}, expected {expect}.",
                    digest=bundle.digest,
                    expect=digest[:64],
                ),
                "They were altered or cut off on the way: send them again.",
            )
        return bundle

    @operation
    def remove(self, digest: str, project: str = "") -> Call[None]:
        """Remove a bundle from all projects, or from one, unless an unfinished job names it."""
        return verbs.delete(f"/bundles/{digest}", project=project)

    @listing
    def list(self, project: str = "") -> Call[Page[KeptBundle]]:
        """Iterate over the bundles of the caller's projects, or of one project."""
        return verbs.pages("/bundles", KeptBundle, project=project)
