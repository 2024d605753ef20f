"""The use cases around what jobs bring and leave: models, recipes, totals, code, weights."""

from __future__ import annotations

from dataclasses import dataclass

from secureflow.application.bundles import Bundles
from secureflow.application.intake import Intake
from secureflow.application.lineage import Lineages
from secureflow.application.models import Models
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.application.quotas import Quotas
from secureflow.application.recipes import Recipes
from secureflow.application.totals import Totals
from secureflow.application.transactions import Transactions
from secureflow.application.uploads import Uploads
from secureflow.kit.clock import Clock


@dataclass(frozen=True)
class Products:
    """What jobs bring and leave."""

    models: Models
    lineages: Lineages
    recipes: Recipes
    totals: Totals
    bundles: Bundles
    uploads: Uploads


def make_products(
    begin: UnitOfWorkFactory,
    transactions: Transactions,
    artifacts: Artifacts,
    uploads: Artifacts,
    clock: Clock,
    quotas: Quotas,
) -> Products:
    """Return the use cases; `uploads` stores what people upload, `artifacts` what jobs release."""
    uploading = begin, transactions, uploads, clock, quotas, Intake()
    return Products(
        models=Models(begin, artifacts),
        lineages=Lineages(begin),
        recipes=Recipes(artifacts),
        totals=Totals(artifacts),
        bundles=Bundles(*uploading),
        uploads=Uploads(*uploading),
    )
